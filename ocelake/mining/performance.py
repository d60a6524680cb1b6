"""Performance of an object-centric process: how long each event comes after its predecessors, and why.

With T the times of an event's predecessors (the event before, of each of its objects), at time t, and T(k) those over
objects of type k: sojourn = t - max T, synchronization = max T - min T, flow = t - min T; pooling(k) = max T(k) -
min T(k), lagging(k) = max T(k) - min of T over the other types (0 where negative, null without other types),
readiness(k) = min T(k) - min T. An event without predecessors has none of them.

References
----------
Park, Adams, van der Aalst: OPerA: Object-Centric Performance Analysis (ER 2022).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.lifecycle import INSTANCE, Work, edge_work, find_work, work_times
from ocelake.mining.ocdfg import edge_durations, in_seconds
from ocelake.mining.predecessors import Predecessors, find_predecessors
from ocelake.mining.times import in_order, instants, to_seconds
from ocelake.mining.traces import Traces
from ocelake.settings import MiningSettings

__all__ = [
    "activity_performance",
    "attribute_names",
    "event_performance",
    "event_times",
    "performance_tables",
    "type_times",
    "work_performance",
]

_LATEST = np.iinfo(np.int32).max


def attribute_names(settings: MiningSettings) -> tuple[str, ...]:
    """Give the event attributes that performance is computed from.

    Examples
    --------
    >>> attribute_names(MiningSettings(start="begun"))
    ('begun', 'lifecycle:transition', 'concept:instance')
    """
    start = () if settings.start is None else (settings.start,)
    return (*start, settings.lifecycle, INSTANCE)


def performance_tables(
    traces: Traces, tables: Mapping[str, pl.DataFrame], settings: MiningSettings
) -> dict[str, pl.DataFrame]:
    """Compute all tables of performance.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    tables : mapping of str to DataFrame
        ``ocel.event_attributes`` (the rows of `attribute_names` at least) of the log.
    settings : MiningSettings
        Where the starts of work are to be found.

    Returns
    -------
    dict of str to DataFrame
        `gold.event_performance`, `gold.activity_performance`, `gold.edge_performance`, `gold.work_times`, without
        ``log_id``, sorted.

    Raises
    ------
    OcelakeError
        Where the settings name a start attribute that the log does not have.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.tables import TABLES
    >>> names = ("ocel.event_objects", "ocel.event_attributes")
    >>> silver = {name: pl.DataFrame(schema=TABLES[name].schema) for name in names}
    >>> sorted(performance_tables(encode(silver["ocel.event_objects"]), silver, MiningSettings()))[:2]
    ['gold.activity_performance', 'gold.edge_performance']
    """
    predecessors = find_predecessors(traces)
    work = find_work(traces, tables["ocel.event_attributes"], start=settings.start, lifecycle=settings.lifecycle)
    return {
        "gold.event_performance": event_performance(traces, predecessors),
        "gold.activity_performance": activity_performance(traces, predecessors, work),
        "gold.edge_performance": edge_work(traces, work),
        "gold.work_times": work_times(traces, work),
    }


def event_times(traces: Traces, predecessors: Predecessors) -> pl.DataFrame:
    """Measure every event that has predecessors, over all object types.

    Returns
    -------
    DataFrame
        event (int32: rank, ascending); sojourn, synchronization, flow (int64: microseconds).

    See Also
    --------
    event_performance : the same with names, for all events.
    type_times : the measures per object type.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2", "e3", "e3"],
    ...         "object_id": ["o1", "i1", "o1", "i1"],
    ...         "activity": ["place", "pick", "send", "send"],
    ...         "object_type": ["orders", "items", "orders", "items"],
    ...         "time": [datetime(2024, 1, 1, 0, 0, second) for second in (0, 3, 5, 5)],
    ...         "sequence": 0,
    ...     }
    ... )
    >>> traces = encode(relations)
    >>> event_times(traces, find_predecessors(traces)).row(0)
    (2, 2000000, 3000000, 5000000)
    """
    time = traces.event_time
    own, first, last = (time[rank] for rank in (predecessors.event, predecessors.earliest, predecessors.latest))
    return pl.DataFrame(
        {"event": predecessors.event, "sojourn": own - last, "synchronization": last - first, "flow": own - first}
    )


def type_times(traces: Traces, predecessors: Predecessors) -> pl.DataFrame:
    """Measure every event that has predecessors, over each object type that it has predecessors of.

    Returns
    -------
    DataFrame
        event (int32: rank), object_type (int32: code), both ascending; pooling, lagging (null without predecessors of
        other types), readiness (int64: microseconds).

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2", "e3", "e3"],
    ...         "object_id": ["o1", "i1", "o1", "i1"],
    ...         "activity": ["place", "pick", "send", "send"],
    ...         "object_type": ["orders", "items", "orders", "items"],
    ...         "time": [datetime(2024, 1, 1, 0, 0, second) for second in (0, 3, 5, 5)],
    ...         "sequence": 0,
    ...     }
    ... )
    >>> traces = encode(relations)
    >>> type_times(traces, find_predecessors(traces)).rows()
    [(2, 0, 0, 3000000, 3000000), (2, 1, 0, 0, 0)]
    """
    split, kind = predecessors.by_type(traces)
    if not len(split.event):
        measures = dict.fromkeys(("pooling", "lagging", "readiness"), pl.Int64)
        return pl.DataFrame(schema={"event": pl.Int32, "object_type": pl.Int32, **measures})
    # Ranks are in the order of time, so that the least and greatest of times are those of ranks.
    earliest, latest = split.earliest, split.latest
    starts = np.flatnonzero(np.diff(split.event, prepend=-1))
    types = np.diff(starts, append=len(kind))
    first = np.minimum.reduceat(earliest, starts)
    is_first = earliest == np.repeat(first, types)
    second = np.minimum.reduceat(np.where(is_first, _LATEST, earliest), starts)
    shared = np.add.reduceat(is_first, starts, dtype=np.int32) > 1
    second[shared] = first[shared]
    first, second, alone = (np.repeat(of_event, types) for of_event in (first, second, types == 1))
    others = np.where(is_first, second, first)
    others[alone] = earliest[alone]
    time = traces.event_time
    lagging = pl.Series(np.maximum(time[latest] - time[others], 0))
    lagging = lagging.set(pl.Series(alone), None)
    return pl.DataFrame(
        {
            "event": split.event,
            "object_type": kind,
            "pooling": time[latest] - time[earliest],
            "lagging": lagging,
            "readiness": time[earliest] - time[first],
        }
    )


def event_performance(
    traces: Traces, predecessors: Predecessors, events: npt.NDArray[np.int64] | None = None
) -> pl.DataFrame:
    """Measure all events, or those of some ranks, as `gold.event_performance`.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2", "e3", "e3"],
    ...         "object_id": ["o1", "i1", "o1", "i1"],
    ...         "activity": ["place", "pick", "send", "send"],
    ...         "object_type": ["orders", "items", "orders", "items"],
    ...         "time": [datetime(2024, 1, 1, 0, 0, second) for second in (0, 3, 5, 5)],
    ...         "sequence": 0,
    ...     }
    ... )
    >>> traces = encode(relations)
    >>> found = event_performance(traces, find_predecessors(traces))
    >>> found.select("event_id", "sojourn", "synchronization", "lagging_object").rows()
    [('e1', None, None, None), ('e2', None, None, None), ('e3', 2.0, 3.0, 'i1')]
    """
    times = event_times(traces, predecessors)
    place = np.full(len(traces.event_ids), -1, dtype=np.int32)
    place[predecessors.event] = np.arange(len(predecessors.event), dtype=np.int32)
    ranks = slice(None) if events is None else events
    row = pl.Series(place[ranks]).replace(-1, None)
    lagging = pl.Series(predecessors.lagging_object(predecessors.latest))
    lagging = lagging.set(times["synchronization"] == 0, None)
    lagging_type = pl.Series(traces.object_type).gather(lagging)
    return in_order(
        pl.DataFrame(
            {
                "event_id": traces.event_ids if events is None else traces.event_ids.gather(events),
                "activity": traces.activities.gather(traces.event_activity[ranks]),
                "time": instants(traces.event_time[ranks]),
                **{name: to_seconds(times[name]).gather(row) for name in ("sojourn", "synchronization", "flow")},
                "lagging_type": traces.object_types.gather(lagging_type).gather(row),
                "lagging_object": traces.object_ids.gather(lagging).gather(row),
            }
        )
    )


def activity_performance(traces: Traces, predecessors: Predecessors, work: Work) -> pl.DataFrame:
    """Describe the distribution of every measure over the events of an activity, as `gold.activity_performance`.

    Quantiles are exact, interpolated linearly.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.tables import TABLES
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2"],
    ...         "object_id": ["o1", "o1"],
    ...         "activity": ["place", "pay"],
    ...         "object_type": ["orders", "orders"],
    ...         "time": [datetime(2024, 1, 1), datetime(2024, 1, 2)],
    ...         "sequence": 0,
    ...     }
    ... )
    >>> traces = encode(relations)
    >>> work = find_work(traces, pl.DataFrame(schema=TABLES["ocel.event_attributes"].schema))
    >>> found = activity_performance(traces, find_predecessors(traces), work)
    >>> found.filter(measure="sojourn").select("activity", "events", "median").row(0)
    ('pay', 1, 86400.0)
    """
    overall, by_type = event_times(traces, predecessors), type_times(traces, predecessors)
    return pl.concat(
        [
            _distributions(traces, overall, ("sojourn", "synchronization", "flow")),
            _distributions(traces, by_type, ("pooling", "lagging", "readiness")),
            work_performance(traces, work),
        ]
    ).sort("activity", "object_type", "measure")


def work_performance(traces: Traces, work: Work) -> pl.DataFrame:
    """Describe the distributions of waiting and working, as `gold.activity_performance`; in no order.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.tables import TABLES
    >>> nothing = encode(pl.DataFrame(schema=TABLES["ocel.event_objects"].schema))
    >>> work = find_work(nothing, pl.DataFrame(schema=TABLES["ocel.event_attributes"].schema))
    >>> work_performance(nothing, work).height
    0
    """
    return _distributions(traces, work.instances, ("waiting", "working"))


def _distributions(traces: Traces, times: pl.DataFrame, measures: tuple[str, ...]) -> pl.DataFrame:
    """Describe measures of events by activity, and by object type where ``times`` has them by type."""
    types = len(traces.object_types) + 1
    activity = traces.event_activity[times["event"].to_numpy()].astype(np.int64)
    kind = times["object_type"].to_numpy() if "object_type" in times.columns else types - 1
    # One number as the key, as grouping by two takes longer.
    node, parts = pl.Series("node", activity * types + kind), []
    for measure in measures:
        known = times.select(node, pl.col(measure).alias("duration")).drop_nulls("duration")
        described = known.group_by("node").agg(pl.len().cast(pl.Int64).alias("events"), *edge_durations())
        parts.append(described.with_columns(measure=pl.lit(measure)))
    found = in_seconds(pl.concat(parts))
    activity, kind = np.divmod(found["node"].to_numpy(), types)
    return found.select(
        traces.activities.gather(activity).alias("activity"),
        traces.object_types.gather(pl.Series(kind).replace(types - 1, None)).alias("object_type"),
        "measure",
        "events",
        *(pl.col(f"duration_{name}").alias(name) for name in ("sum", "mean", "min", "median", "p90", "p95", "max")),
    )
