"""TOTeM, the temporal object type model: how the objects of two types are related, in number and in time.

References
----------
Liss, Adams, van der Aalst: TOTeM: Temporal Object Type Model for Object-Centric Process Mining (BPM Forum 2024).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array

from ocelake.errors import OcelakeError
from ocelake.mining.explore.meetings import Meetings, meetings
from ocelake.mining.explore.object_graphs import distinct
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

_OF_PAIRS: Final = ("objects_one", "objects_many", *TEMPORAL_RELATIONS.values())
"""The columns that follow from pairs of objects."""


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
        - note: why what follows from pairs of objects (all but the event cardinality) is null; of types whose objects
          meet in too many pairs.

    Raises
    ------
    OcelakeError
        Where the threshold is not above 0 and up to 1.

    Notes
    -----
    Related pairs are found and counted 4 million at a time, so that the memory does not grow with their number; it is
    two bytes per object and type. Objects with the same events are counted at once, and up to 200 million pairs of such
    groups are looked at, event by event; where there are more, type by type from those with the fewest on.

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
    met = meetings(traces)
    lives, log_one, log_many = _related(traces, met, object_objects)
    objects = np.bincount(traces.object_type, minlength=types)
    having, event_one, event_many = _in_events(traces)
    notes = pl.Series("note", met.notes(), dtype=pl.String)
    left_out = ~(met.counted & met.counted.T)
    source, target = np.nonzero(((log_one + log_many > 0) | left_out) & ~np.eye(types, dtype=bool))
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
            "note": notes.gather(np.minimum(source, target) * types + np.maximum(source, target)),
        }
    ).with_columns(pl.when(pl.col("note").is_null()).then(pl.col(_OF_PAIRS)).name.keep())
    return counts.select(
        "source_type",
        "target_type",
        _temporal(threshold).alias("temporal_relation"),
        _cardinality("events", threshold).alias("event_cardinality"),
        _cardinality("objects", threshold).alias("log_cardinality"),
        pl.exclude("source_type", "target_type", "note").cast(pl.Int64),
        "note",
    ).sort("source_type", "target_type")


def _cardinality(total: str, threshold: float) -> pl.Expr:
    one, many, all_of = pl.col(f"{total}_one"), pl.col(f"{total}_many"), pl.col(total)
    zero = all_of - one - many
    return (
        pl.when((all_of == 0) | one.is_null())
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


def _related(
    traces: Traces, met: Meetings, object_objects: pl.DataFrame
) -> tuple[dict[str, _Int64s], _Int64s, _Int64s]:
    """Count related objects of two types.

    Returns
    -------
    lives : dict of str to int64 array, types by types
        Pairs by temporal relation, source first.
    one, many : int64 arrays, types by types
        Objects of the first type that are related to one or several of the second.
    """
    types = len(traces.object_types)
    linked = _linked(traces, object_objects)
    # Objects of groups that meet do so as well, so it is enough to look for each two groups once.
    group = met.group.astype(np.int64)
    near, place = np.unique(group[linked >> 32] << 32 | group[linked & 0xFFFFFFFF], return_inverse=True)
    known = np.zeros(len(near), dtype=bool)
    groups = _Related(met.traces, met.sizes)
    for source, target in met.edges():
        differ = met.traces.object_type[source] != met.traces.object_type[target]
        source, target = source[differ], target[differ]
        groups.add(source, target)
        keys = source << 32 | target
        if len(keys):
            at = slice(*np.searchsorted(near, (keys[0], keys[-1] + 1)))
            known[at] |= np.isin(near[at], keys, assume_unique=True)
    objects = _Related(traces, np.ones(len(traces.object_ids), dtype=np.int64))
    objects.degrees = groups.degrees.reshape(-1, max(types, 1))[met.group].ravel()
    alone = linked[~known[place]]
    objects.add(alone >> 32, alone & 0xFFFFFFFF)

    lives = {column: groups.lives[column] + objects.lives[column] for column in TEMPORAL_RELATIONS.values()}
    for column, inverse in (("dependent", "dependent_inverse"), ("initiating", "initiating_inverse")):
        forth, back = lives[column], lives[inverse]
        lives[column], lives[inverse] = forth + back.T, back + forth.T
    lives["pairs"] = lives["pairs"] + lives["pairs"].T
    table = objects.degrees.reshape(-1, types) if types else objects.degrees.reshape(0, 0)
    ends = np.searchsorted(traces.object_type, np.arange(types + 1))
    parts = [table[ends[code] : ends[code + 1]] for code in range(types)]
    one, many = (
        np.array([(part == n).sum(axis=0) for part in parts], dtype=np.int64).reshape(types, types) for n in (1, 2)
    )
    return lives, one, many


class _Related:
    """Counts over related objects, or groups of objects with the same events.

    Parameters
    ----------
    traces : Traces
    sizes : int64 array, one per object
        How many it stands for.
    """

    def __init__(self, traces: Traces, sizes: _Int64s) -> None:
        self.types = len(traces.object_types)
        self.object_type, self.sizes = traces.object_type.astype(np.int64), sizes
        self.alive = traces.lengths > 0
        self.first, self.last = np.zeros((2, len(sizes)), dtype=np.int64)
        self.first[self.alive] = traces.event_time[traces.step_event[traces.offsets[:-1][self.alive]]]
        self.last[self.alive] = traces.event_time[traces.step_event[traces.offsets[1:][self.alive] - 1]]
        self.lives = {
            column: np.zeros((self.types, self.types), dtype=np.int64) for column in TEMPORAL_RELATIONS.values()
        }
        """Pairs by temporal relation, source first."""
        self.degrees = np.zeros(len(sizes) * self.types, dtype=np.uint8)
        """Objects of each type that each is related to; 2 stands for many."""

    def add(self, source: _Int64s, target: _Int64s) -> None:
        """Add pairs of objects of different types that were not added before."""
        for one, other in ((source, target), (target, source)):
            self._add_degrees(one * self.types + self.object_type[other], self.sizes[other])
        alive = self.alive[source] & self.alive[target]
        s, t = source[alive], target[alive]
        cell = self.object_type[s] * self.types + self.object_type[t]
        pairs = self.sizes[s] * self.sizes[t]
        for column, holds in _compare(self.first[s], self.last[s], self.first[t], self.last[t]).items():
            # Sums of whole numbers as floats are exact up to 2**53, the pairs of 100 million objects.
            found = np.bincount(cell[holds], weights=pairs[holds], minlength=self.types**2)
            self.lives[column] += found.astype(np.int64).reshape(self.types, self.types)

    def _add_degrees(self, cells: _Int64s, sizes: _Int64s) -> None:
        self.degrees[cells[sizes > 1]] = 2
        found, times = np.unique(cells[sizes == 1], return_counts=True)
        self.degrees[found] = np.minimum(self.degrees[found] + times, 2)


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
