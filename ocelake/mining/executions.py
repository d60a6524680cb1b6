"""Process executions: which events and objects belong together.

``connected``: a connected component of the bipartite event-object graph. ``leading:TYPE``: breadth first over shared
events from each object of the leading type. A type's level is where the search first meets it; objects of that type at
another level are neither added nor passed through. The events of such an execution are those with at least one member
object; other objects are projected away, and executions overlap. So an execution is a set of objects with their whole
traces, and everything here is arrays of object codes and event ranks.

References
----------
Adams, Schuster, Schmitz, Schuh, van der Aalst: Defining Cases and Variants for Object-Centric Event Data (ICPM 2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ocelake.errors import OcelakeError
from ocelake.mining.traces import Codes, Traces

__all__ = [
    "CONNECTED",
    "LEADING",
    "Executions",
    "connected_executions",
    "execution_members",
    "find_executions",
    "isolated_prefix",
    "leading_executions",
    "ragged",
    "summarise_executions",
    "summary_rows",
]

CONNECTED: Final = "connected"
LEADING: Final = "leading:"
"""Kinds of executions; the leading type's name follows the second."""

Positions = npt.NDArray[np.int64]

_MOST_STEPS: Final = 20_000_000
"""Steps of all member objects of overlapping executions, beyond which (and four times the log's) they are refused."""

_SLICE: Final = 4_000_000
"""Pairs that are made at once while executions are searched."""


@dataclass(frozen=True, slots=True, eq=False)
class Executions:
    """Process executions of one kind, by code: the order of their ids as text.

    Attributes
    ----------
    kind : str
        ``connected``, or ``leading:`` and the type.
    ids : Series of str
        One per execution, sorted. A connected execution is named after its least object id, one without objects
        ``event:`` and the event's id; a leading one after its leading object.
    event_offsets, events : int64 array, one more than executions, and int32 array
        The events of execution ``x`` are the ranks ``events[event_offsets[x]:event_offsets[x + 1]]``, ascending.
    object_offsets, objects : int64 array, one more than executions, and int32 array
        Its objects are the codes ``objects[object_offsets[x]:object_offsets[x + 1]]``, ascending.

    See Also
    --------
    connected_executions, leading_executions : find them.
    """

    kind: str
    ids: pl.Series
    event_offsets: Positions
    events: Codes
    object_offsets: Positions
    objects: Codes


def find_executions(traces: Traces, kind: str) -> Executions:
    """Find the executions of a kind.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    kind : str
        ``connected``, or ``leading:`` and an object type.

    Raises
    ------
    OcelakeError
        Where the kind is neither, where the log has no object of the type, or the executions overlap too much.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     [("e1", "o1", "order"), ("e1", "i1", "item"), ("e2", "i1", "item"), ("e2", "o2", "order")],
    ...     schema=["event_id", "object_id", "object_type"],
    ...     orient="row",
    ... ).with_columns(activity=pl.lit("pick"), time=pl.lit(datetime(2024, 1, 1)), sequence=0)
    >>> find_executions(encode(relations), "connected").ids.to_list()
    ['i1']
    >>> find_executions(encode(relations), "leading:order").ids.to_list()
    ['o1', 'o2']
    """
    if kind == CONNECTED:
        return connected_executions(traces)
    if kind.startswith(LEADING):
        return leading_executions(traces, kind.removeprefix(LEADING))
    raise OcelakeError(f"{kind!r} is no kind of process execution.", fix="Use connected, or leading:TYPE.")


def connected_executions(traces: Traces) -> Executions:
    """Find the connected executions; an isolated object or event is one of its own.

    An execution is named after its least object id, so that the name does not depend on the order of rows. One without
    objects is an isolated event; it is named ``event:`` and the event's id (the prefix repeated as often as it takes
    for no object id to start with it).

    Notes
    -----
    Components are no sum over objects: sets of objects with events in common unite. Over several sets, connect the
    components of each by the events they share; after a removal, find those components again.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     [("e1", "o1"), ("e1", "o2"), ("e2", "o3")], schema=["event_id", "object_id"], orient="row"
    ... ).with_columns(
    ...     activity=pl.lit("pay"), object_type=pl.lit("order"), time=pl.lit(datetime(2024, 1, 1)), sequence=0
    ... )
    >>> connected_executions(encode(relations)).ids.to_list()
    ['o1', 'o3']
    """
    events, objects = len(traces.event_ids), len(traces.object_ids)
    ends = (traces.step_event, traces.step_object + np.int32(events))
    graph = coo_array((np.ones(len(traces.step_event), dtype=np.int8), ends), shape=(events + objects,) * 2)
    count, component = connected_components(graph, directed=False)
    names = _names(traces, component[:events], component[events:], count)
    by_name = names.arg_sort().to_numpy()
    code = np.empty(count, dtype=np.int64)
    code[by_name] = np.arange(count)
    event_offsets, members = _grouped(code[component[:events]], count)
    object_offsets, things = _grouped(code[component[events:]], count)
    return Executions(CONNECTED, names.gather(by_name), event_offsets, members, object_offsets, things)


def _names(traces: Traces, of_event: Codes, of_object: Codes, count: int) -> pl.Series:
    """Name components after their least object id, or their event."""
    # Written from the greatest id to the least, so that the least stays.
    least = np.full(count, -1, dtype=np.int64)
    descending = traces.object_ids.arg_sort(descending=True).to_numpy()
    least[of_object[descending]] = descending
    names = traces.object_ids.gather(pl.Series(least).replace(-1, None))
    alone = np.flatnonzero(least[of_event] < 0)
    if len(alone):
        names = names.scatter(of_event[alone], isolated_prefix(traces.object_ids) + traces.event_ids.gather(alone))
    return names


def isolated_prefix(object_ids: pl.Series) -> str:
    """Give what the execution of an event without objects is named with, before the event's id.

    Examples
    --------
    >>> isolated_prefix(pl.Series(["o1"])), isolated_prefix(pl.Series(["event:1"]))
    ('event:', 'event:event:')
    """
    prefix = "event:"
    while object_ids.str.starts_with(prefix).any():
        prefix += "event:"
    return prefix


def _grouped(group: Codes | Positions, count: int) -> tuple[Positions, Codes]:
    """Give offsets, and the positions in the order of their groups."""
    offsets = np.concatenate(([0], np.cumsum(np.bincount(group, minlength=count))))
    return offsets, np.argsort(group, kind="stable").astype(np.int32)


def leading_executions(traces: Traces, object_type: str) -> Executions:
    """Find the executions that the objects of a type lead; one for each, named after it.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    object_type : str
        The leading type.

    Raises
    ------
    OcelakeError
        Where the log has no object of the type, or where the objects of all executions have more than twenty million
        steps and four times those of the log: an object that takes part in most events, such as an employee, brings
        them all into each execution.

    Notes
    -----
    Where no type is met twice, an object joins at the level of its type, next to a member of the level before. What an
    object leads to depends on the types not met so far alone: it is found once for each such set, not once for each
    execution that passes through the object.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     [("e1", "o1", "order"), ("e1", "i1", "item"), ("e2", "i1", "item"), ("e2", "o2", "order")],
    ...     schema=["event_id", "object_id", "object_type"],
    ...     orient="row",
    ... ).with_columns(activity=pl.lit("pick"), time=pl.lit(datetime(2024, 1, 1)), sequence=0)
    >>> traces = encode(relations)
    >>> found = leading_executions(traces, "order")
    >>> traces.object_ids.gather(found.objects).to_list(), found.object_offsets.tolist()
    (['i1', 'o1', 'i1', 'o2'], [0, 2, 4])
    """
    leading = traces.object_types.index_of(object_type)
    if leading is None:
        raise OcelakeError(
            f"The log has no objects of type {object_type!r} to lead process executions.",
            fix=f"Use one of its object types: {', '.join(traces.object_types.to_list()) or 'it has none'}.",
        )
    roots = np.flatnonzero(traces.object_type == leading)
    members = _members(traces, roots, int(leading))
    execution, things = members >> 32, (members & 0xFFFFFFFF).astype(np.int32)
    object_offsets = np.searchsorted(execution, np.arange(len(roots) + 1))
    events = _events_of(traces, execution, things, object_offsets)
    return Executions(
        LEADING + object_type,
        traces.object_ids.gather(roots),
        np.searchsorted(events >> 32, np.arange(len(roots) + 1)),
        (events & 0xFFFFFFFF).astype(np.int32),
        object_offsets,
        things,
    )


def _members(traces: Traces, roots: Positions, leading: int) -> Positions:
    """Give the sorted keys ``execution << 32 | object`` of all members, level by level."""
    neighbours = _Neighbours(traces)
    met = np.zeros((len(roots), len(traces.object_types)), dtype=bool)
    met[:, leading] = True
    level = (np.arange(len(roots)) << 32) | roots
    levels = [level]
    steps, most = int(traces.lengths[roots].sum()), max(_MOST_STEPS, 4 * len(traces.step_object))
    while len(level):
        level = neighbours.beyond(level >> 32, level & 0xFFFFFFFF, met)
        things = level & 0xFFFFFFFF
        met[level >> 32, traces.object_type[things]] = True
        levels.append(level)
        steps += int(traces.lengths[things].sum())
        if steps > most:
            name = traces.object_types[leading]
            raise OcelakeError(
                f"The process executions led by {name!r} overlap too much: their objects have more than "
                f"{most:,} steps in all, {len(traces.step_object):,} in the log.",
                fix="Mine a log without the object types that take part in most events, such as employees or "
                "products, or use connected executions.",
            )
    return np.sort(np.concatenate(levels))


class _Neighbours:
    """Objects that share an event, by the type of the other object."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self._event_offsets, by_event = _grouped(traces.step_event, len(traces.event_ids))
        self._object_by_event = traces.step_object[by_event]
        # Sets of types are rows of bits.
        bits = np.packbits(np.eye(len(traces.object_types), dtype=bool), axis=1)
        self._types_of_event = _union(bits[traces.object_type[self._object_by_event]], self._event_offsets)
        self._types_around = _union(self._types_of_event[traces.step_event], traces.offsets)

    def beyond(self, execution: Positions, things: Positions, met: npt.NDArray[np.bool_]) -> Positions:
        """Give the keys ``execution << 32 | object`` of neighbours of types that the execution has not met."""
        sets, of_execution = np.unique(np.packbits(~met, axis=1), axis=0, return_inverse=True)
        of_execution = of_execution.reshape(-1)
        onward = (self._types_around[things] & sets[of_execution[execution]]).any(axis=1)
        execution, things = execution[onward], things[onward]
        asked, place = np.unique((of_execution[execution] << 32) | things, return_inverse=True)
        offsets, found = self._neighbours(asked >> 32, asked & 0xFFFFFFFF, sets)
        sizes = np.diff(offsets)[place]
        keys = [np.empty(0, dtype=np.int64)]
        for part in _slices(sizes):
            taken = ragged(offsets[place[part]], sizes[part])
            keys.append(_unique((np.repeat(execution[part], sizes[part]) << 32) | found[taken]))
        return _unique(np.concatenate(keys))

    def _neighbours(
        self, number: Positions, things: Positions, sets: npt.NDArray[np.uint8]
    ) -> tuple[Positions, Positions]:
        """Give offsets and the neighbours of each object, of the types in the numbered set."""
        traces = self._traces
        lengths = traces.lengths[things]
        keys = [np.empty(0, dtype=np.int64)]
        for part in _slices(lengths):
            asker = np.repeat(np.arange(part.start, part.stop), lengths[part])
            event = traces.step_event[ragged(traces.offsets[things[part]], lengths[part])]
            useful = (self._types_of_event[event] & sets[number[asker]]).any(axis=1)
            asker, event = asker[useful], event[useful]
            width = np.diff(self._event_offsets)[event]
            for inner in _slices(width):
                other = self._object_by_event[ragged(self._event_offsets[event[inner]], width[inner])]
                by = np.repeat(asker[inner], width[inner])
                kind = traces.object_type[other]
                wanted = (sets[number[by], kind >> 3] >> (7 - (kind & 7)).astype(np.uint8)) & 1 == 1
                keys.append(_unique((by[wanted] << 32) | other[wanted]))
        found = _unique(np.concatenate(keys))
        return np.searchsorted(found >> 32, np.arange(len(things) + 1)), found & 0xFFFFFFFF


def _events_of(traces: Traces, execution: Positions, things: Codes, offsets: Positions) -> Positions:
    """Give the sorted keys ``execution << 32 | event`` of the events with at least one member object."""
    lengths = traces.lengths[things]
    bounds = np.concatenate(([0], np.cumsum(lengths)))[offsets]
    keys = [np.empty(0, dtype=np.int64)]
    for part in _slices(np.diff(bounds)):
        member = slice(int(offsets[part.start]), int(offsets[part.stop]))
        steps = ragged(traces.offsets[things[member]], lengths[member])
        keys.append(_unique((np.repeat(execution[member], lengths[member]) << 32) | traces.step_event[steps]))
    found: Positions = np.concatenate(keys)
    return found


def ragged(starts: Positions, sizes: Positions) -> Positions:
    """Give the positions ``start, ..., start + size - 1`` of each range, one range after the other.

    Examples
    --------
    >>> ragged(np.array([10, 3]), np.array([2, 3])).tolist()
    [10, 11, 3, 4, 5]
    """
    ends = np.cumsum(sizes)
    positions: Positions = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)
    return positions


def _slices(sizes: Positions) -> Iterator[slice]:
    """Cut positions into runs of some total size, or of one position where that alone is more."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, before + _SLICE, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _union(rows: npt.NDArray[np.uint8], offsets: Positions) -> npt.NDArray[np.uint8]:
    """Unite the bits of each group of rows; an empty group has none."""
    united = np.zeros((len(offsets) - 1, rows.shape[1]), dtype=np.uint8)
    occupied = np.diff(offsets) > 0
    if occupied.any():
        united[occupied] = np.bitwise_or.reduceat(rows, offsets[:-1][occupied], axis=0)
    return united


def _unique(keys: Positions) -> Positions:
    """Sort in place, and drop repeats."""
    keys.sort()
    return keys[np.concatenate(([True], keys[1:] != keys[:-1]))] if len(keys) else keys


def summarise_executions(traces: Traces, executions: Executions) -> pl.DataFrame:
    """Describe each execution, in the order of its code.

    Returns
    -------
    DataFrame
        kind, execution_id, events, objects, first_time, last_time, and cycle_time: from the first event to the last, in
        seconds; the times are null without events.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {"event_id": ["e1", "e2"], "object_id": ["o", "o"], "time": [datetime(2024, 1, day) for day in (1, 2)]}
    ... ).with_columns(activity=pl.lit("pay"), object_type=pl.lit("order"), sequence=0)
    >>> traces = encode(relations)
    >>> summarise_executions(traces, connected_executions(traces)).select("execution_id", "events", "cycle_time").rows()
    [('o', 2, 86400.0)]
    """
    starts, ends = executions.event_offsets[:-1], executions.event_offsets[1:]
    occupied = ends > starts
    first, last = np.zeros((2, len(starts)), dtype=np.int64)
    # The events of an execution are ranked by time.
    first[occupied] = traces.event_time[executions.events[starts[occupied]]]
    last[occupied] = traces.event_time[executions.events[ends[occupied] - 1]]
    sizes = ends - starts, np.diff(executions.object_offsets)
    return summary_rows(executions.kind, executions.ids, *sizes, first, last)


def summary_rows(
    kind: str, ids: pl.Series, events: Positions, objects: Positions, first: Positions, last: Positions
) -> pl.DataFrame:
    """Describe executions by their sizes and the times of their first and last events.

    Parameters
    ----------
    kind : str
        ``connected``, or ``leading:`` and the type.
    ids : Series of str
        One per execution.
    events, objects : int64 array, one per execution
        How many it has.
    first, last : int64 array, one per execution
        Microseconds since 1970 in UTC; they do not count without events.

    Returns
    -------
    DataFrame
        As `summarise_executions`.

    Examples
    --------
    >>> one, five = np.array([1]), np.array([5_000_000])
    >>> summary_rows("connected", pl.Series(["o"]), one, one, 0 * five, five)["cycle_time"].to_list()
    [5.0]
    """
    frame = pl.DataFrame(
        {
            "kind": pl.repeat(kind, len(ids), eager=True, dtype=pl.String),
            "execution_id": ids,
            "events": events,
            "objects": objects,
            "first_time": pl.Series(first).cast(pl.Datetime("us", "UTC")),
            "last_time": pl.Series(last).cast(pl.Datetime("us", "UTC")),
            "cycle_time": (last - first) / 1_000_000,
        }
    )
    timed = ("first_time", "last_time", "cycle_time")
    return frame.with_columns(pl.when(pl.col("events") > 0).then(pl.col(name)) for name in timed)


def execution_members(traces: Traces, executions: Executions) -> tuple[pl.DataFrame, pl.DataFrame]:
    """List the events and the objects of each execution.

    Returns
    -------
    events, objects : DataFrame
        kind, execution_id and event_id; kind, execution_id, object_id and object_type; sorted.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {"event_id": ["e1", "e2"], "object_id": ["o", "o"], "time": [datetime(2024, 1, day) for day in (1, 2)]}
    ... ).with_columns(activity=pl.lit("pay"), object_type=pl.lit("order"), sequence=0)
    >>> traces = encode(relations)
    >>> events, objects = execution_members(traces, connected_executions(traces))
    >>> events["event_id"].to_list(), objects["object_id"].to_list()
    (['e1', 'e2'], ['o'])
    """
    events, _ = _member_rows(executions, traces.event_ids, executions.event_offsets, executions.events)
    objects, codes = _member_rows(executions, traces.object_ids, executions.object_offsets, executions.objects)
    types = traces.object_types.gather(traces.object_type[codes])
    return (
        events.rename({"member": "event_id"}),
        objects.rename({"member": "object_id"}).with_columns(types.alias("object_type")),
    )


def _member_rows(
    executions: Executions, ids: pl.Series, offsets: Positions, members: Codes
) -> tuple[pl.DataFrame, Codes]:
    """Give kind, execution_id and member, sorted as text; and the members' codes in that order."""
    by_text = ids.arg_sort().to_numpy()
    place = np.empty(len(ids), dtype=np.int64)
    place[by_text] = np.arange(len(ids))
    keys = np.repeat(np.arange(len(executions.ids)), np.diff(offsets))
    keys <<= 32
    keys |= place[members]
    keys.sort()
    ordered = by_text[keys & 0xFFFFFFFF].astype(np.int32)
    frame = pl.DataFrame(
        {
            "kind": pl.repeat(executions.kind, len(keys), eager=True, dtype=pl.String),
            "execution_id": executions.ids.gather(keys >> 32),
            "member": ids.gather(ordered),
        }
    )
    return frame, ordered
