"""The object-centric directly-follows graph (OC-DFG): nodes and edges per object type, with their three counts.

For an edge (object type, a, b): ``event_couples`` counts distinct (e1, e2), ``unique_objects`` distinct objects, and
``total_objects`` the (e1, e2, object) triples; durations are over the triples. What of this adds up over objects is
in `ocelake.mining.summaries`.

References
----------
Berti, van der Aalst: Extracting multiple viewpoint models from relational databases (SIMPDA 2018/19).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from ocelake.mining.traces import Traces

__all__ = [
    "QUANTILES",
    "activity_nodes",
    "edge_durations",
    "follows",
    "in_seconds",
    "label_edges",
    "label_nodes",
    "ocdfg",
    "steps",
]

QUANTILES = {"duration_median": 0.5, "duration_p90": 0.9, "duration_p95": 0.95}
"""Exact quantiles of the durations; between two values, by linear interpolation (Hyndman and Fan's type 7)."""

_SECOND = 1_000_000


def steps(traces: Traces) -> pl.DataFrame:
    """Give every step of every trace: node code, object, event, and whether it is the first or last of its trace.

    Returns
    -------
    DataFrame
        node (int64: object type code * activities + activity code), object, event, first, last; in trace order.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> steps(traces).select("event", "first", "last").rows()
    [(0, True, False), (1, False, True)]
    """
    node = traces.object_type[traces.step_object].astype(np.int64) * len(traces.activities) + traces.step_activity
    first, last = np.zeros(len(node), dtype=bool), np.zeros(len(node), dtype=bool)
    occupied = traces.lengths > 0
    first[traces.offsets[:-1][occupied]] = True
    last[traces.offsets[1:][occupied] - 1] = True
    return pl.DataFrame(
        {"node": node, "object": traces.step_object, "event": traces.step_event, "first": first, "last": last}
    )


def follows(traces: Traces) -> pl.DataFrame:
    """Give every (e1, e2, object) triple of directly following events.

    Returns
    -------
    DataFrame
        edge (int64: node code of e1 * activities + activity code of e2), object, couple (int64: rank of e1 << 32 |
        rank of e2) and duration (int64, microseconds); in trace order.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> follows(traces).select("object", "duration").rows()
    [(0, 86400000000)]
    """
    first = np.flatnonzero(traces.step_object[1:] == traces.step_object[:-1])
    second = first + 1
    objects = traces.step_object[first]
    names = len(traces.activities)
    edge = traces.object_type[objects].astype(np.int64)
    for position in (first, second):
        edge *= names
        edge += traces.step_activity[position]
    source, target = traces.step_event[first], traces.step_event[second]
    couple = source.astype(np.int64)
    couple <<= 32
    couple |= target
    duration = traces.event_time[target] - traces.event_time[source]
    return pl.DataFrame({"edge": edge, "object": objects, "couple": couple, "duration": duration})


def label_nodes(traces: Traces, frame: pl.DataFrame) -> pl.DataFrame:
    """Replace the code ``node`` by object_type and activity.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> label_nodes(traces, steps(traces).select("node")).rows()
    [('order', 'place'), ('order', 'pay')]
    """
    kind, activity = np.divmod(frame["node"].to_numpy(), max(len(traces.activities), 1))
    return frame.select(
        traces.object_types.gather(kind).alias("object_type"),
        traces.activities.gather(activity).alias("activity"),
        pl.exclude("node"),
    )


def label_edges(traces: Traces, frame: pl.DataFrame) -> pl.DataFrame:
    """Replace the code ``edge`` by object_type, source and target.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> label_edges(traces, follows(traces).select("edge")).rows()
    [('order', 'place', 'pay')]
    """
    names = max(len(traces.activities), 1)
    node, target = np.divmod(frame["edge"].to_numpy(), names)
    kind, source = np.divmod(node, names)
    return frame.select(
        traces.object_types.gather(kind).alias("object_type"),
        traces.activities.gather(source).alias("source"),
        traces.activities.gather(target).alias("target"),
        pl.exclude("edge"),
    )


def edge_durations() -> list[pl.Expr]:
    """Give the duration columns of an edge from a column ``duration`` of all its triples; microseconds both.

    Examples
    --------
    >>> triples = pl.DataFrame({"edge": [0, 0], "duration": [1, 4]})
    >>> triples.group_by("edge").agg(edge_durations()).select("duration_sum", "duration_median", "duration_max").row(0)
    (5.0, 2.5, 4)
    """
    duration = pl.col("duration")
    # Sums are taken in 128 bits: ten million triples of ten days each go beyond 64.
    total = duration.cast(pl.Int128).sum().cast(pl.Float64)
    return [
        total.alias("duration_sum"),
        (total / pl.len()).alias("duration_mean"),
        duration.min().alias("duration_min"),
        *(duration.quantile(q, "linear").alias(name) for name, q in QUANTILES.items()),
        duration.max().alias("duration_max"),
    ]


def in_seconds(frame: pl.DataFrame) -> pl.DataFrame:
    """Turn all columns named ``duration_*`` from microseconds to seconds.

    Examples
    --------
    >>> in_seconds(pl.DataFrame({"duration_max": [1_500_000]})).item()
    1.5
    """
    # By numpy: Polars divides by a constant through its reciprocal, which is off in the last digit.
    return frame.with_columns(
        pl.Series(column.name, column.cast(pl.Float64).to_numpy() / _SECOND, nan_to_null=True)
        for column in frame.select("^duration_.*$")
    )


def activity_nodes(events: pl.DataFrame) -> pl.DataFrame:
    """Give the type-independent nodes: every activity with its events, those without objects included.

    Parameters
    ----------
    events : DataFrame
        Column activity, one row per event.

    Returns
    -------
    DataFrame
        object_type (null), activity, events.

    Examples
    --------
    >>> activity_nodes(pl.DataFrame({"activity": ["pay", "place", "pay"]})).rows()
    [(None, 'pay', 2), (None, 'place', 1)]
    """
    counts = events.group_by("activity").agg(pl.len().cast(pl.Int64).alias("events"))
    return counts.select(pl.lit(None, pl.String).alias("object_type"), "activity", "events").sort("activity")


def ocdfg(traces: Traces) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Discover the OC-DFG.

    Returns
    -------
    nodes, edges : DataFrame
        As `gold.ocdfg_nodes` (without the type-independent rows, see `activity_nodes`) and `gold.ocdfg_edges`, sorted.

    Notes
    -----
    Exact over the given objects. The counts of objects, and sums of durations, add up over sets of whole objects; the
    counts of events and couples, minima, maxima and quantiles do not: over several sets they come from
    `ocelake.mining.summaries.references`.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> nodes, edges = ocdfg(traces)
    >>> nodes.select("activity", "start_objects", "end_objects").rows()
    [('pay', 0, 1), ('place', 1, 0)]
    >>> edges.select("source", "target", "total_objects", "duration_mean").rows()
    [('place', 'pay', 1, 86400.0)]
    """
    step = steps(traces)
    nodes = step.group_by("node").agg(
        pl.col("event").n_unique().alias("events"),
        pl.col("object").n_unique().alias("unique_objects"),
        pl.len().alias("total_objects"),
        pl.col("event").filter("first").n_unique().alias("start_events"),
        pl.col("first").sum().alias("start_objects"),
        pl.col("event").filter("last").n_unique().alias("end_events"),
        pl.col("last").sum().alias("end_objects"),
    )
    edges = (
        follows(traces)
        .group_by("edge")
        .agg(
            pl.col("couple").n_unique().alias("event_couples"),
            pl.col("object").n_unique().alias("unique_objects"),
            pl.len().alias("total_objects"),
            *edge_durations(),
        )
    )
    counts = pl.col(pl.UInt32).cast(pl.Int64)
    return (
        label_nodes(traces, nodes.with_columns(counts)).sort("object_type", "activity"),
        label_edges(traces, in_seconds(edges.with_columns(counts))).sort("object_type", "source", "target"),
    )
