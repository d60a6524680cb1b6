"""What adds up over objects: summaries of sets of whole objects, that merge and can be taken away again.

Their frames (rows in no order) are keyed by names and ids, never by codes, so that summaries merge across buckets,
batches and machines: ``merge(summarise(A), summarise(B))`` is ``summarise(A + B)`` for disjoint sets of objects, and
`subtract` the inverse.

Two steps, both exact:

- `Summary` holds the sums proper; it is small (one row per node, edge, histogram bin, variant).
- What is no sum (distinct events and event couples, minima, maxima, quantiles) follows from `References`: by how many
  objects each event and each couple of events is reached. These counts add up as well; they are as large as the
  OC-DFG's event couples, so a caller keeps them only where it needs those numbers over several sets.

`ocdfg_of` turns both into the tables that `ocelake.mining.ocdfg.ocdfg` gives for one set at once. Connected executions
are no sum in either sense, see `ocelake.mining.executions`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, TypeVar

import numpy as np
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.ocdfg import edge_durations, follows, in_seconds, label_edges, label_nodes, steps
from ocelake.mining.traces import Traces
from ocelake.mining.variants import find_variants, trace_variants

__all__ = ["References", "Summary", "merge", "ocdfg_of", "references", "subtract", "summarise"]

_NODE: Final = ("object_type", "activity")
_EDGE: Final = ("object_type", "source", "target")
_KEYS: Final = {
    "nodes": _NODE,
    "edges": _EDGE,
    "histogram": (*_EDGE, "bin"),
    "variants": ("object_type", "variant_id", "activities"),
    "events": (*_NODE, "event_id"),
    "couples": (*_EDGE, "source_event", "target_event", "duration"),
}
"""What identifies a row of each frame. The other columns are sums; the first of them is 0 where nothing is left."""

_BINS: Final = 2 ** np.arange(63, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """The sums over a set of whole objects.

    Attributes
    ----------
    nodes : DataFrame
        object_type, activity; total_objects, unique_objects, start_objects, end_objects.
    edges : DataFrame
        object_type, source, target; total_objects, unique_objects, duration (the sum, microseconds).
    histogram : DataFrame
        object_type, source, target, bin; total_objects. Bin 0 holds durations of 0, bin b those of at least
        2**(b - 1) and less than 2**b microseconds.
    variants : DataFrame
        object_type, variant_id, activities; objects, duration (the sum of last minus first event, microseconds; 0 for
        the empty variant).
    """

    nodes: pl.DataFrame
    edges: pl.DataFrame
    histogram: pl.DataFrame
    variants: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """By how many objects each event and couple of events is reached.

    Attributes
    ----------
    events : DataFrame
        object_type, activity, event_id; objects, starts and ends: objects whose trace has, starts or ends with it.
    couples : DataFrame
        object_type, source, target, source_event, target_event, duration (microseconds); objects.
    """

    events: pl.DataFrame
    couples: pl.DataFrame


Sums = TypeVar("Sums", Summary, References)


def summarise(traces: Traces) -> Summary:
    """Sum over the objects of some traces.

    See Also
    --------
    merge, subtract : the sums of several sets of objects.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> log = {"event_id": ["d", "e", "e"], "object_id": ["o", "o", "p"], "activity": ["place", "pay", "pay"]}
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2), datetime(2024, 1, 2)]
    >>> relations = pl.DataFrame({**log, "time": days}).with_columns(object_type=pl.lit("order"), sequence=0)
    >>> summarise(encode(relations)).nodes.select("activity", "total_objects").sort("activity").rows()
    [('pay', 2), ('place', 1)]
    """
    nodes = (
        steps(traces)
        .group_by("node")
        .agg(
            pl.len().alias("total_objects"),
            pl.col("object").n_unique().alias("unique_objects"),
            pl.col("first").sum().alias("start_objects"),
            pl.col("last").sum().alias("end_objects"),
        )
    )
    triples = follows(traces)
    edges = triples.group_by("edge").agg(
        pl.len().alias("total_objects"),
        pl.col("object").n_unique().alias("unique_objects"),
        pl.col("duration").cast(pl.Int128).sum(),
    )
    bins = np.searchsorted(_BINS, triples["duration"].to_numpy(), side="right")
    histogram = triples.select("edge", pl.Series("bin", bins)).group_by("edge", "bin").agg(total_objects=pl.len())
    variants = trace_variants(traces, find_variants(traces)).with_columns(pl.col("duration").fill_null(0))
    return Summary(
        nodes=label_nodes(traces, _wide(nodes)),
        edges=label_edges(traces, _wide(edges)),
        histogram=label_edges(traces, _wide(histogram)),
        variants=variants,
    )


def references(traces: Traces) -> References:
    """Count by how many objects each event, and each couple of directly following events, is reached.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> log = {"event_id": ["d", "e", "e"], "object_id": ["o", "o", "p"], "activity": ["place", "pay", "pay"]}
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2), datetime(2024, 1, 2)]
    >>> relations = pl.DataFrame({**log, "time": days}).with_columns(object_type=pl.lit("order"), sequence=0)
    >>> references(encode(relations)).events.select("event_id", "objects").sort("event_id").rows()
    [('d', 1), ('e', 2)]
    """
    events = (
        steps(traces)
        .group_by("node", "event")
        .agg(objects=pl.len(), starts=pl.col("first").sum(), ends=pl.col("last").sum())
    )
    couples = follows(traces).group_by("edge", "couple", "duration").agg(objects=pl.len())
    source, target = np.divmod(couples["couple"].to_numpy(), 1 << 32)
    event_ids = traces.event_ids
    events = events.select("node", event_ids.gather(events["event"]), pl.exclude("node", "event"))
    couples = couples.select(
        "edge",
        event_ids.gather(source).alias("source_event"),
        event_ids.gather(target).alias("target_event"),
        "duration",
        "objects",
    )
    return References(events=label_nodes(traces, _wide(events)), couples=label_edges(traces, _wide(couples)))


def merge(a: Sums, b: Sums) -> Sums:
    """Sum over the objects of both; no object may be in both.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> log = {"event_id": ["d", "e", "e"], "object_id": ["o", "o", "p"], "activity": ["place", "pay", "pay"]}
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2), datetime(2024, 1, 2)]
    >>> relations = pl.DataFrame({**log, "time": days}).with_columns(object_type=pl.lit("order"), sequence=0)
    >>> parts = [summarise(encode(relations.filter(object_id=name))) for name in ("o", "p")]
    >>> merge(*parts).nodes.select("activity", "total_objects").sort("activity").rows()
    [('pay', 2), ('place', 1)]
    """
    return _combine(a, b, 1)


def subtract(a: Sums, b: Sums) -> Sums:
    """Take the objects of ``b`` out of ``a``.

    Raises
    ------
    OcelakeError
        Where ``b`` is not a part of ``a``.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> log = {"event_id": ["d", "e", "e"], "object_id": ["o", "o", "p"], "activity": ["place", "pay", "pay"]}
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2), datetime(2024, 1, 2)]
    >>> relations = pl.DataFrame({**log, "time": days}).with_columns(object_type=pl.lit("order"), sequence=0)
    >>> whole, part = summarise(encode(relations)), summarise(encode(relations.filter(object_id="o")))
    >>> subtract(whole, part).nodes.select("activity", "total_objects").rows()
    [('pay', 1)]
    """
    return _combine(a, b, -1)


def ocdfg_of(summary: Summary, references: References) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the OC-DFG of merged summaries: what `ocelake.mining.ocdfg.ocdfg` gives over all their objects at once.

    The columns may come in another order.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> log = {"event_id": ["d", "e", "e"], "object_id": ["o", "o", "p"], "activity": ["place", "pay", "pay"]}
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2), datetime(2024, 1, 2)]
    >>> relations = pl.DataFrame({**log, "time": days}).with_columns(object_type=pl.lit("order"), sequence=0)
    >>> parts = [encode(relations.filter(object_id=name)) for name in ("o", "p")]
    >>> nodes, edges = ocdfg_of(merge(*map(summarise, parts)), merge(*map(references, parts)))
    >>> nodes.select("activity", "events", "total_objects").rows()
    [('pay', 1, 2), ('place', 1, 1)]
    """
    events = references.events.group_by(_NODE).agg(
        events=pl.len(), start_events=(pl.col("starts") > 0).sum(), end_events=(pl.col("ends") > 0).sum()
    )
    couples = references.couples.group_by(_EDGE).agg(event_couples=pl.len())
    triples = references.couples.select(*_EDGE, pl.col("duration").repeat_by("objects")).explode("duration")
    durations = triples.group_by(_EDGE).agg(edge_durations())
    edges = summary.edges.drop("duration").join(couples, on=_EDGE).join(durations, on=_EDGE)
    return _wide(summary.nodes.join(events, on=_NODE)).sort(_NODE), in_seconds(_wide(edges)).sort(_EDGE)


def _combine(a: Sums, b: Sums, sign: int) -> Sums:
    frames = {}
    for field in fields(a):
        name, taken = field.name, getattr(b, field.name)
        sums = pl.exclude(_KEYS[name]) * sign
        frames[name] = _summed(name, pl.concat([getattr(a, name), taken.with_columns(sums)]))
    return type(a)(**frames)


def _summed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Sum the rows of one key; give the keys that are left."""
    keys = _KEYS[name]
    counts = pl.exclude(keys)
    left = frame.group_by(keys).agg(counts.sum()).filter(pl.any_horizontal(counts != 0))
    if not left.select(pl.all_horizontal((counts >= 0).all())).item():
        raise OcelakeError(
            f"The {name} of a summary would fall below nothing.", fix="Subtract only what was merged before."
        )
    return left


def _wide(frame: pl.DataFrame) -> pl.DataFrame:
    """Widen Polars' 32-bit counts, which sums over many sets of objects could exceed."""
    return frame.with_columns(pl.col(pl.UInt32).cast(pl.Int64))
