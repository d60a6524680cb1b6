"""Pairs of objects that meet in events, for counts by type: of objects alike at once, and not more than a limit.

An event with many objects has pairs by their square. Objects with the very same events meet the very same objects, so
one stands for all of them, with their number: an event in which 60,000 objects have their only event takes as long as
one with one of each type. Where objects differ, the pairs have to be looked at; the limit bounds how many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array

from ocelake.mining.explore.object_graphs import interactions, ranges
from ocelake.mining.traces import Traces

__all__ = ["Meetings", "meetings"]

_Int64s: TypeAlias = npt.NDArray[np.int64]

_LIMIT: Final = 200_000_000
"""Pairs that are looked at, event by event; a log of 45 million relations has 110 million, if of no large events."""


@dataclass(frozen=True, slots=True)
class Meetings:
    """Which objects meet in events.

    Attributes
    ----------
    traces : Traces
        Of one object of each group of objects that have the same type and the same events; the events are all.
    group : int32 array, one per object of the log
        The group that it is of, as object code of `traces`.
    sizes : int64 array, one per group
        Its objects.
    meetings : int64 array, types by types
        Pairs of groups of two types, event by event; above the diagonal from the lesser type, and nothing below.
    counted : bool array, types by types
        Whether the pairs of two types are within the limit: all, or those of the fewest first. Likewise.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining import encode
    >>> rows = {"event_id": ["e"] * 2, "object_id": ["o", "i"], "activity": ["pay"] * 2, "sequence": [0] * 2}
    >>> frame = pl.DataFrame({**rows, "object_type": ["order", "item"], "time": [datetime(2024, 1, 1)] * 2})
    >>> meetings(encode(frame)).notes()
    [None, None, None, None]
    """

    traces: Traces
    group: npt.NDArray[np.int32]
    sizes: _Int64s
    meetings: _Int64s
    counted: npt.NDArray[np.bool_]

    def edges(self) -> Iterator[tuple[_Int64s, _Int64s]]:
        """Give the pairs of two groups with a common event whose types are counted, each once, in parts.

        See Also
        --------
        ocelake.mining.explore.object_edges : how they come.
        """
        return interactions(self.traces, self.counted)

    def notes(self) -> list[str | None]:
        """Give, for each two types (row by row, the lesser first), why their pairs are not counted."""
        total, limit = int(self.meetings.sum()), f"{_LIMIT:,}"
        return [
            f"Not counted: {number:,} pairs of objects to look at in events, of {total:,} in the log, where up to "
            f"{limit} are looked at, types with the fewest first. Left out is what follows from pairs of objects."
            if not counted
            else None
            for number, counted in zip(self.meetings.ravel().tolist(), self.counted.ravel().tolist(), strict=True)
        ]


def meetings(traces: Traces) -> Meetings:
    """Find the objects that are alike, and the types whose pairs are few enough to be counted.

    Parameters
    ----------
    traces : Traces

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining import encode
    >>> rows = {"event_id": ["e"] * 3, "object_id": ["o", "i1", "i2"], "activity": ["pay"] * 3, "sequence": [0] * 3}
    >>> frame = pl.DataFrame({**rows, "object_type": ["order", "item", "item"], "time": [datetime(2024, 1, 1)] * 3})
    >>> found = meetings(encode(frame))
    >>> found.group.tolist(), found.sizes.tolist(), found.meetings.tolist()
    ([0, 0, 1], [2, 1], [[0, 1], [0, 0]])
    """
    first = _first_alike(traces)
    kept = first == np.arange(len(first))
    group = (np.cumsum(kept) - 1).astype(np.int32)[first]
    steps = kept[traces.step_object]
    groups = replace(
        traces,
        object_ids=traces.object_ids.filter(pl.Series(kept, dtype=pl.Boolean)),
        object_type=traces.object_type[kept],
        step_object=group[traces.step_object[steps]],
        step_event=traces.step_event[steps],
        step_activity=traces.step_activity[steps],
        offsets=np.concatenate(([0], np.cumsum(traces.lengths[kept]))),
    )
    found = _meetings(groups)
    counted = np.ones_like(found, dtype=bool)
    if found.sum() > _LIMIT:
        order = np.argsort(found, axis=None, kind="stable")
        counted.ravel()[order] = np.cumsum(found.ravel()[order]) <= _LIMIT
    return Meetings(groups, group, np.bincount(group, minlength=int(kept.sum())), found, counted)


def _first_alike(traces: Traces) -> _Int64s:
    """Give for each object the first one of its type that has the same events."""
    # Equal sums of random numbers, one for each event, only propose; the events themselves decide.
    random = np.random.default_rng(0)
    of_event, of_type = (
        random.integers(2**64, size=len(names), dtype=np.uint64) for names in (traces.event_ids, traces.object_types)
    )
    sums = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(of_event[traces.step_event], dtype=np.uint64)))
    marks = sums[traces.offsets[1:]] - sums[traces.offsets[:-1]] + of_type[traces.object_type]
    order = np.argsort(marks, kind="stable")
    new = np.ones(len(order), dtype=bool)
    np.not_equal(marks[order[1:]], marks[order[:-1]], out=new[1:])
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[new][np.cumsum(new) - 1]

    own, lengths = np.arange(len(order)), traces.lengths
    alike = (lengths[first] == lengths) & (traces.object_type[first] == traces.object_type)
    others = np.flatnonzero(alike & (first != own))
    there = ranges(traces.offsets[first[others]], lengths[others])
    here = ranges(traces.offsets[others], lengths[others])
    differ = traces.step_event[there] != traces.step_event[here]
    alike[np.repeat(others, lengths[others])[differ]] = False
    return np.where(alike, first, own)


def _meetings(traces: Traces) -> _Int64s:
    """Count the pairs of objects in all events, by their types."""
    shape = len(traces.event_ids), len(traces.object_types)
    steps = traces.step_event, traces.object_type[traces.step_object]
    objects = coo_array((np.ones(len(traces.step_event), dtype=np.int64), steps), shape=shape).tocsr()
    twice: _Int64s = (objects.T @ objects).toarray()
    alike = (np.diagonal(twice) - objects.sum(axis=0)) // 2
    found: _Int64s = np.triu(twice, 1) + np.diag(alike)
    return found
