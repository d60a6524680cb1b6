"""TOTeM, the temporal object type model: how the objects of two types are related, in number and in time.

References
----------
Liss, Adams, van der Aalst: TOTeM: Temporal Object Type Model for Object-Centric Process Mining (BPM Forum 2024).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array

from ocelake.errors import OcelakeError
from ocelake.mining.explore.object_graphs import distinct, object_edges
from ocelake.mining.traces import Traces

__all__ = ["TEMPORAL_RELATIONS", "totem"]

_Int64s: TypeAlias = npt.NDArray[np.int64]

TEMPORAL_RELATIONS: Final = {
    "D": "dependent",
    "Di": "dependent_inverse",
    "I": "initiating",
    "Ii": "initiating_inverse",
    "P": "pairs",
}
"""From the most precise on: the paper's letter, and the column that counts the object pairs that it holds for."""


def totem(traces: Traces, object_objects: pl.DataFrame, *, threshold: float = 0.9) -> pl.DataFrame:
    """Discover the relations between object types.

    Two objects are related where they have an event in common or an O2O relation, in either direction. An object's life
    spans from its first event to its last.

    Parameters
    ----------
    traces : Traces
    object_objects : DataFrame
        Columns source_id, target_id (of `ocel.object_objects`).
    threshold : float
        The share that has to agree (the paper's tau), above 0 and up to 1. The most precise relation that so many agree
        with is given.

    Returns
    -------
    DataFrame
        As `gold.type_relations`: a row for each ordered pair of two types with related objects, sorted.

        - event_cardinality: how many objects of the target type an event has that has one of the source type;
          log_cardinality: how many objects of the target type an object of the source type is related to. One of
          ``0``, ``1``, ``0..1``, ``1..*``, ``0..*``, in this order of precision. An object without events counts; the
          event cardinality is null where no event has the source type.
        - temporal_relation: for the lives of two related objects: ``D``, that of the source lies within that of the
          target; ``Di``, the other way round; ``I``, the source begins and ends before the target does, or ends
          when it begins; ``Ii``, the other way round; ``P``, any. Lives that only touch, or are equal, are in several.
          Null where no two related objects have both events.
        - The counts that these follow from, so that they can be had for another threshold.

    Raises
    ------
    OcelakeError
        Where the threshold is not above 0 and up to 1.

    Notes
    -----
    Related pairs are found and counted 4 million at a time, so that the memory does not grow with their number; it is
    one byte per object and type.

    Examples
    --------
    >>> from ocelake.mining import encode
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(1_000, seed=1)
    >>> model = totem(encode(log.event_objects, log.objects, log.events), log.object_objects)
    >>> model.filter(source_type="orders", target_type="customers").select(
    ...     "temporal_relation", "event_cardinality", "log_cardinality"
    ... ).row(0)
    ('D', '0..1', '1')
    """
    if not 0 < threshold <= 1:
        raise OcelakeError(f"The threshold {threshold} is no share.", fix="Use one above 0 and up to 1.")
    types = len(traces.object_types)
    lives, log_one, log_many = _related(traces, object_objects)
    objects = np.bincount(traces.object_type, minlength=types)
    having, event_one, event_many = _in_events(traces)
    source, target = np.nonzero((log_one + log_many > 0) & ~np.eye(types, dtype=bool))
    counts = pl.DataFrame(
        {
            "source_type": traces.object_types.gather(source),
            "target_type": traces.object_types.gather(target),
            "events": having[source],
            "events_one": event_one[source, target],
            "events_many": event_many[source, target],
            "objects": objects[source],
            "objects_one": log_one[source, target],
            "objects_many": log_many[source, target],
            **{column: lives[column][source, target] for column in TEMPORAL_RELATIONS.values()},
        }
    )
    return counts.select(
        "source_type",
        "target_type",
        _temporal(threshold).alias("temporal_relation"),
        _cardinality("events", threshold).alias("event_cardinality"),
        _cardinality("objects", threshold).alias("log_cardinality"),
        pl.exclude("source_type", "target_type").cast(pl.Int64),
    ).sort("source_type", "target_type")


def _cardinality(total: str, threshold: float) -> pl.Expr:
    one, many, all_of = pl.col(f"{total}_one"), pl.col(f"{total}_many"), pl.col(total)
    zero = all_of - one - many
    return (
        pl.when(all_of == 0)
        .then(None)
        .when(zero / all_of >= threshold)
        .then(pl.lit("0"))
        .when(one / all_of >= threshold)
        .then(pl.lit("1"))
        .when((zero + one) / all_of >= threshold)
        .then(pl.lit("0..1"))
        .when((one + many) / all_of >= threshold)
        .then(pl.lit("1..*"))
        .otherwise(pl.lit("0..*"))
    )


def _temporal(threshold: float) -> pl.Expr:
    holds = [
        pl.when(pl.col(column) / pl.col("pairs") >= threshold).then(pl.lit(letter))
        for letter, column in TEMPORAL_RELATIONS.items()
    ]
    return pl.when(pl.col("pairs") > 0).then(pl.coalesce(holds))


def _in_events(traces: Traces) -> tuple[_Int64s, _Int64s, _Int64s]:
    """Count by type the events with it, and by two types those that have one (several) of the second as well."""
    types = len(traces.object_types)
    steps = (traces.step_event, traces.object_type[traces.step_object])
    shape = (len(traces.event_ids), types)
    objects = coo_array((np.ones(len(traces.step_event), dtype=np.int32), steps), shape=shape).tocsr()
    objects.sum_duplicates()
    having = objects.copy()
    having.data = np.ones(having.nnz, dtype=np.int64)
    one = having.copy()
    one.data = (objects.data == 1).astype(np.int64)
    both, single = (having.T @ having).toarray(), (having.T @ one).toarray()
    return np.diagonal(both).copy(), single, both - single


def _related(traces: Traces, object_objects: pl.DataFrame) -> tuple[dict[str, _Int64s], _Int64s, _Int64s]:
    """Count related objects of two types.

    Returns
    -------
    lives : dict of str to int64 array, types by types
        Pairs by temporal relation, source first.
    one, many : int64 arrays, types by types
        Objects of the first type that are related to one or several of the second.
    """
    types = len(traces.object_types)
    has_life = traces.lengths > 0
    first, last = np.zeros((2, len(has_life)), dtype=np.int64)
    first[has_life] = traces.event_time[traces.step_event[traces.offsets[:-1][has_life]]]
    last[has_life] = traces.event_time[traces.step_event[traces.offsets[1:][has_life] - 1]]
    lives = {column: np.zeros((types, types), dtype=np.int64) for column in TEMPORAL_RELATIONS.values()}
    degrees = np.zeros(len(has_life) * types, dtype=np.uint8)  # 2 stands for many
    for source, target in _related_pairs(traces, object_objects):
        of_source, of_target = traces.object_type[source], traces.object_type[target]
        _add(degrees, source * types + of_target)
        _add(degrees, target * types + of_source)
        alive = has_life[source] & has_life[target]
        cell = (of_source.astype(np.int64) * types + of_target)[alive]
        s, t = source[alive], target[alive]
        for column, holds in _compare(first[s], last[s], first[t], last[t]).items():
            lives[column] += np.bincount(cell[holds], minlength=types * types).reshape(types, types)
    for column, inverse in (("dependent", "dependent_inverse"), ("initiating", "initiating_inverse")):
        forth, back = lives[column], lives[inverse]
        lives[column], lives[inverse] = forth + back.T, back + forth.T
    lives["pairs"] += lives["pairs"].T
    table = degrees.reshape(-1, types) if types else degrees.reshape(0, 0)
    ends = np.searchsorted(traces.object_type, np.arange(types + 1))
    parts = [table[ends[code] : ends[code + 1]] for code in range(types)]
    one, many = (
        np.array([(part == n).sum(axis=0) for part in parts], dtype=np.int64).reshape(types, types) for n in (1, 2)
    )
    return lives, one, many


def _compare(
    source_first: _Int64s, source_last: _Int64s, target_first: _Int64s, target_last: _Int64s
) -> dict[str, npt.NDArray[np.bool_]]:
    """Tell which temporal relations hold for pairs of lives."""
    begins, ends = source_first < target_first, source_last < target_last
    begins_after, ends_after = source_first > target_first, source_last > target_last
    return {
        "dependent": ~begins & ~ends_after,
        "dependent_inverse": ~begins_after & ~ends,
        "initiating": (source_last <= target_first) | (begins & ends),
        "initiating_inverse": (target_last <= source_first) | (begins_after & ends_after),
        "pairs": np.ones(len(source_first), dtype=bool),
    }


def _related_pairs(traces: Traces, object_objects: pl.DataFrame) -> Iterator[tuple[_Int64s, _Int64s]]:
    """Give the pairs of related objects of different types, each once, the lesser code first; in parts."""
    linked = _linked(traces, object_objects)
    met = np.zeros(len(linked), dtype=bool)
    for source, target in object_edges(traces, "interaction"):
        keys = source << 32 | target
        if len(keys):
            near = slice(*np.searchsorted(linked, (keys[0], keys[-1] + 1)))
            met[near] = np.isin(linked[near], keys, assume_unique=True)
        differ = traces.object_type[source] != traces.object_type[target]
        yield source[differ], target[differ]
    alone = linked[~met]
    yield alone >> 32, alone & 0xFFFFFFFF


def _linked(traces: Traces, object_objects: pl.DataFrame) -> _Int64s:
    """Give the pairs of objects of different types with an O2O relation, as sorted keys, the lesser code first."""
    codes = pl.DataFrame({"id": traces.object_ids}, schema={"id": pl.String}).with_row_index("code")
    pairs = object_objects.select("source_id", "target_id")
    for end in ("source", "target"):
        pairs = pairs.join(codes.rename({"id": f"{end}_id", "code": end}), on=f"{end}_id")
    source, target = (pairs[end].cast(pl.Int64).to_numpy() for end in ("source", "target"))
    differ = traces.object_type[source] != traces.object_type[target]
    low, high = np.minimum(source, target)[differ], np.maximum(source, target)[differ]
    return distinct(low << 32 | high)


def _add(degrees: npt.NDArray[np.uint8], cells: _Int64s) -> None:
    """Add one to each cell as often as it comes, up to two."""
    found, times = np.unique(cells, return_counts=True)
    degrees[found] = np.minimum(degrees[found] + times, 2)
