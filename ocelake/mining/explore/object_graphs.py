"""Object graphs: which objects meet in events, and which begin or end where others do.

All five are defined by what the objects of one event are to it, with the events in their order (time, sequence, id):

- ``interaction``: both have the event.
- ``descendants``: the target's first event is one that the source has had an event before.
- ``inheritance``: the source's last event is the target's first (unless that is the only event of both).
- ``cobirth``: it is the first event of both.
- ``codeath``: it is the last event of both.

References
----------
Adams, Park, Levich, Schuster, van der Aalst: A Framework for Extracting and Encoding Features from Object-Centric Event
Data (ICSOC 2022); Berti, Herforth, Qafari, van der Aalst: Graph-Based Feature Extraction on Object-Centric Event Logs
(2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_array

from ocelake.errors import OcelakeError
from ocelake.mining.traces import Traces

__all__ = [
    "OBJECT_GRAPHS",
    "ObjectGraph",
    "distinct",
    "interactions",
    "object_edges",
    "object_graph",
    "ranges",
    "undirected",
]

ObjectGraph: TypeAlias = Literal["interaction", "descendants", "inheritance", "cobirth", "codeath"]
"""A kind of object graph."""

OBJECT_GRAPHS: Final[tuple[ObjectGraph, ...]] = get_args(ObjectGraph)
"""All kinds of object graphs."""

_Int64s: TypeAlias = npt.NDArray[np.int64]

_PAIRS_AT_ONCE: Final = 4_000_000
_LIMIT: Final = 100_000_000
"""Edges of one graph as a frame; 100 million take 3 GB with their ids."""


def undirected(kind: ObjectGraph) -> bool:
    """Tell whether a kind of graph has no direction.

    Examples
    --------
    >>> [kind for kind in OBJECT_GRAPHS if not undirected(kind)]
    ['descendants', 'inheritance']
    """
    return kind not in ("descendants", "inheritance")


def object_graph(traces: Traces, kind: ObjectGraph) -> pl.DataFrame:
    """Give one object graph as a frame of edges.

    Parameters
    ----------
    traces : Traces
    kind : ObjectGraph

    Returns
    -------
    DataFrame
        source_id, target_id: distinct edges without loops, sorted. An edge without direction is given once, from the
        lesser id to the greater.

    Raises
    ------
    OcelakeError
        Where there are more than 100 million edges.

    See Also
    --------
    object_edges : the same as codes, a part at a time, for graphs of any size.

    Examples
    --------
    >>> from ocelake.mining import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e1", "e2", "e2"],
    ...         "object_id": ["o1", "i1", "o1", "p1"],
    ...         "activity": ["place", "place", "pack", "pack"],
    ...         "object_type": ["order", "item", "order", "package"],
    ...         "time": [1, 1, 2, 2],
    ...         "sequence": [0, 0, 0, 0],
    ...     }
    ... ).with_columns(pl.from_epoch("time"))
    >>> object_graph(encode(relations), "descendants").rows()
    [('o1', 'p1')]
    """
    parts, edges = [], 0
    for source, target in object_edges(traces, kind):
        parts.append((source.astype(np.int32), target.astype(np.int32)))
        edges += len(source)
        if edges > _LIMIT:
            raise OcelakeError(
                f"The {kind} graph has more than {_LIMIT:,} edges.",
                fix="Filter the log first, by object types (those of resources above all) or time.",
            )
    empty = np.empty(0, dtype=np.int32)
    source, target = (np.concatenate([empty, *(part[side] for part in parts)]) for side in (0, 1))
    # Objects are coded by type first: edges are sorted, and turned, by the rank of the ids alone.
    by_id = traces.object_ids.arg_sort().to_numpy()
    rank = np.empty(len(by_id), dtype=np.int64)
    rank[by_id] = np.arange(len(by_id))
    first, second = rank[source], rank[target]
    if undirected(kind):
        first, second = np.minimum(first, second), np.maximum(first, second)
    keys = np.sort(first << 32 | second)
    ids = traces.object_ids.gather(by_id)
    return pl.DataFrame({"source_id": ids.gather(keys >> 32), "target_id": ids.gather(keys & 0xFFFFFFFF)})


def object_edges(traces: Traces, kind: ObjectGraph) -> Iterator[tuple[_Int64s, _Int64s]]:
    """Give the edges of one object graph as object codes, a part at a time.

    Parameters
    ----------
    traces : Traces
    kind : ObjectGraph

    Yields
    ------
    source, target : int64 arrays
        Distinct over all parts. Of an edge without direction the source is the lesser code.

    Notes
    -----
    An interaction is found from the object with the lesser code, for a range of objects at a time. So no pair is
    looked for in two parts, and a part takes as much memory as 4 million pairs (event by event, so before they are made
    distinct), or as all those of one object. The other graphs follow from one event of each object.

    Examples
    --------
    >>> from ocelake.mining import encode
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(100, seed=1)
    >>> traces = encode(log.event_objects, log.objects, log.events)
    >>> sum(len(source) for source, _ in object_edges(traces, "interaction"))
    634
    """
    if kind == "interaction":
        types = len(traces.object_types)
        yield from interactions(traces, np.ones((types, types), dtype=bool))
        return
    members = _Members(traces)
    objects = np.flatnonzero(traces.lengths)
    first, last = np.full((2, len(traces.object_ids)), -1, dtype=np.int64)
    first[objects] = traces.step_event[traces.offsets[objects]]
    last[objects] = traces.step_event[traces.offsets[objects + 1] - 1]
    at = last if kind == "codeath" else first
    counts = members.counts[at[objects]]
    for part in _parts(counts):
        target = np.repeat(objects[part], counts[part])
        source = members.objects[ranges(members.offsets[at[objects[part]]], counts[part])].astype(np.int64)
        event = at[target]
        match kind:
            case "descendants":
                keep = first[source] < event
            case "inheritance":
                keep = (last[source] == event) & (source != target)
                keep &= (first[source] != event) | (last[target] != event)
            case _:
                keep = (at[source] == event) & (source < target)
        yield source[keep], target[keep]


class _Members:
    """The objects of each event, by event rank; ascending within an event."""

    def __init__(self, traces: Traces) -> None:
        shape = (len(traces.object_ids), len(traces.event_ids))
        steps = np.arange(len(traces.step_event), dtype=np.int32)
        # Transposing counts, where sorting would compare.
        by_event = csr_array((steps, traces.step_event, traces.offsets), shape=shape).tocsc()
        self.objects = by_event.indices
        self.offsets = by_event.indptr.astype(np.int64)
        self.counts = np.diff(self.offsets)
        self.place = np.empty(len(steps), dtype=np.int64)
        """Where each step is among the members."""
        self.place[by_event.data] = steps


def interactions(traces: Traces, between: npt.NDArray[np.bool_]) -> Iterator[tuple[_Int64s, _Int64s]]:
    """Give the edges of the interaction graph between objects of some types, a part at a time.

    Parameters
    ----------
    traces : Traces
    between : bool array, types by types
        Whether edges from the first type to the second are given; what is below the diagonal does not matter.

    Yields
    ------
    source, target : int64 arrays
        As of `object_edges`; those of a part are sorted.

    Examples
    --------
    >>> from ocelake.mining import encode
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(100, seed=1)
    >>> traces = encode(log.event_objects, log.objects, log.events)
    >>> types = len(traces.object_types)
    >>> sum(len(source) for source, _ in interactions(traces, ~np.eye(types, dtype=bool)))
    539
    """
    members = _Members(traces)
    types = len(traces.object_types)
    step_event = traces.step_event.astype(np.int64)
    if between[np.triu_indices(types)].all():
        after = members.place + 1
        yield from _meeting(traces, members, 0, after, members.offsets[step_event + 1] - after)
        return
    member_type = traces.object_type[members.objects]
    blocks = np.repeat(np.arange(len(members.counts)), members.counts) * types + member_type
    ends = np.searchsorted(traces.object_type, np.arange(types + 1))
    for source, target in zip(*np.nonzero(np.triu(between)), strict=True):
        steps = slice(*traces.offsets[ends[source : source + 2]])
        block = step_event[steps] * types + target
        start = members.place[steps] + 1 if source == target else np.searchsorted(blocks, block)
        stop = np.searchsorted(blocks, block, side="right")
        yield from _meeting(traces, members, ends[source], start, stop - start)


def _meeting(
    traces: Traces, members: _Members, first: int, starts: _Int64s, counts: _Int64s
) -> Iterator[tuple[_Int64s, _Int64s]]:
    """Pair objects, from the first on, with a range of members at each of their steps."""
    begin = traces.offsets[first]
    offsets = traces.offsets[first : np.searchsorted(traces.offsets, begin + len(counts), side="right")] - begin
    pairs = np.concatenate(([0], np.cumsum(counts)))[offsets]
    for part in _parts(np.diff(pairs)):
        steps = slice(offsets[part.start], offsets[part.stop])
        source = np.repeat(traces.step_object[begin:][steps].astype(np.int64), counts[steps])
        target = members.objects[ranges(starts[steps], counts[steps])]
        keys = distinct(source << 32 | target)
        yield keys >> 32, keys & 0xFFFFFFFF


def _parts(counts: _Int64s) -> Iterator[slice]:
    """Cut rows into ranges that have few pairs in sum; a row with many is a range of its own."""
    sums = np.concatenate(([0], np.cumsum(counts)))
    start = 0
    while start < len(counts):
        stop = max(int(np.searchsorted(sums, sums[start] + _PAIRS_AT_ONCE, side="right")) - 1, start + 1)
        yield slice(start, stop)
        start = stop


def distinct(keys: _Int64s) -> _Int64s:
    """Give the distinct keys, sorted; in a tenth of the time of `numpy.unique`, which hashes.

    Parameters
    ----------
    keys : int64 array
        It is sorted in place.

    Examples
    --------
    >>> distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    keys.sort()
    new = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return keys[new]


def ranges(starts: _Int64s, counts: _Int64s) -> _Int64s:
    """Give ``start, start + 1, ...`` for each start, as many as its count, one after the other.

    Examples
    --------
    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    shifts = starts - (np.cumsum(counts) - counts)
    found: _Int64s = np.arange(counts.sum(), dtype=np.int64) + np.repeat(shifts, counts)
    return found
