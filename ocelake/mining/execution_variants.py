"""Execution variants: process executions that are the same up to the identity of events and objects.

Executions are equal when their labelled graphs are isomorphic: event nodes (activity), object nodes (type), E2O edges,
and directly-follows edges with their multiset of types. An object's events stand on a path of directly-follows edges,
so its trace can be read off the graph: the graphs are isomorphic exactly where a bijection of events that keeps the
activities maps the traces of the one, each with its object's type, to the traces of the other. That is what is
computed on: *events* with a label and *sequences* of events with a label. With ``equality="adams"`` the object nodes
are dropped; the sequences then are the directly-follows pairs, one for each object between two events.

First, colour refinement of all executions at once gives each an invariant hash; it makes the buckets and the variant
ids. Then, within a bucket, every execution is compared with an example: colours are refined until all events of an
execution differ, ties being split where they remain, which proposes a bijection; it is checked sequence by sequence.
Where it fails, a search over all ways to split ties decides. So the outcome is exact whatever the hash.

Executions of more than 50,000 events are not compared. An object that takes part in most events makes one execution of
a whole log, of which a variant says nothing, and its hash would have to be made again with every new event.

References
----------
Adams, Schuster, Schmitz, Schuh, van der Aalst: Defining Cases and Variants for Object-Centric Event Data (ICPM 2022).
McKay, Piperno: Practical graph isomorphism, II (Journal of Symbolic Computation, 2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ocelake.mining.executions import Executions, execution_members, ragged, summarise_executions
from ocelake.mining.traces import Codes, Traces
from ocelake.tables import as_table

__all__ = [
    "MOST_EVENTS",
    "Equality",
    "ExecutionVariants",
    "example_pictures",
    "execution_tables",
    "execution_variants",
    "find_execution_variants",
    "graph_hashes",
    "isomorphic_with",
    "measure_variants",
    "variant_ids",
]

Equality: TypeAlias = Literal["labelled", "adams"]

Positions: TypeAlias = npt.NDArray[np.int64]
Words: TypeAlias = npt.NDArray[np.uint64]
Mask: TypeAlias = npt.NDArray[np.bool_]

MOST_EVENTS: Final = 50_000
"""Events of an execution at most for it to be compared with others."""

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_SPLIT: Final = np.uint64(0xD6E8FEB86659FD93)
_ROUNDS: Final = 32
"""Rounds of refinement at most: enough unless a chain of many alike parts is longer."""

_PART: Final = 3_000_000
"""Steps that are worked on at once."""

_TABLES: Final = (
    "gold.execution_variants",
    "ocel.process_executions",
    "ocel.execution_events",
    "ocel.execution_objects",
)

_SHOWN_EVENTS: Final = 400
_SHOWN_OBJECTS: Final = 100
"""What is kept of an example to draw it."""


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionVariants:
    """The variants of a set of executions.

    Attributes
    ----------
    of_execution : int32 array, one per execution
        Code of its variant; -1 for an execution of more than `MOST_EVENTS` events, which is not compared.
    ids : Series of str
        One per variant: the invariant hash, 16 hex digits, the same in every run and log for the same graph. Where
        graphs that differ share it, all but the first (by their least execution) have a number after it, which then
        is of this log alone.
    example : int64 array, one per variant
        The least execution with that variant; ascending.
    """

    of_execution: Codes
    ids: pl.Series
    example: Positions


def find_execution_variants(
    traces: Traces, executions: Executions, *, equality: Equality = "labelled"
) -> ExecutionVariants:
    """Group executions whose graphs are isomorphic.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    executions : Executions
        Of one kind.
    equality : {"labelled", "adams"}
        Whether objects are nodes of the graph, or only the types of its directly-follows edges. Without them different
        traces coincide: (i1: a m c, i2: b m d) and (i1: a m d, i2: b m c).

    Notes
    -----
    Time is that of a few sorts of all steps where colours tell apart what differs, as they do in forests of alike
    parts. Graphs made to defeat colour refinement take a search that is exponential in the number of alike parts.
    An execution whose hash is its own is not compared with any, however large.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.executions import connected_executions
    >>> from ocelake.mining.traces import encode
    >>> steps = [("e1", "o1", "place"), ("e2", "o1", "pay"), ("e3", "o2", "place"), ("e4", "o2", "pay"),
    ...          ("e5", "o3", "place")]
    >>> relations = pl.DataFrame(steps, schema=["event_id", "object_id", "activity"], orient="row").with_columns(
    ...     object_type=pl.lit("order"), time=pl.lit(datetime(2024, 1, 1)), sequence=0
    ... )
    >>> traces = encode(relations)
    >>> find_execution_variants(traces, connected_executions(traces)).of_execution.tolist()
    [0, 0, 1]
    """
    compared = np.diff(executions.event_offsets) <= MOST_EVENTS
    hashes = graph_hashes(traces, executions, compared, equality=equality)
    known = np.zeros(len(executions.ids), dtype=bool)
    example = isomorphic_with(traces, executions, hashes, compared, known, equality=equality)
    examples, of_compared = np.unique(example[compared], return_inverse=True)
    of_execution = np.full(len(executions.ids), -1, dtype=np.int32)
    of_execution[compared] = of_compared
    ids, _ = variant_ids(hashes[examples])
    return ExecutionVariants(of_execution, ids, examples)


def graph_hashes(traces: Traces, executions: Executions, compared: Mask, *, equality: Equality = "labelled") -> Words:
    """Give each execution its invariant: equal where graphs are isomorphic, and only seldom where they are not.

    Parameters
    ----------
    traces : Traces
        With all steps of the executions' objects.
    executions : Executions
        Of one kind.
    compared : bool array, one per execution
        Of which to make it; it is 0 for the others.
    equality : {"labelled", "adams"}
        See `find_execution_variants`.

    Returns
    -------
    uint64 array, one per execution

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.executions import connected_executions
    >>> from ocelake.mining.traces import encode
    >>> steps = [("e1", "o1", "place"), ("e2", "o2", "place"), ("e3", "o3", "pay")]
    >>> relations = pl.DataFrame(steps, schema=["event_id", "object_id", "activity"], orient="row").with_columns(
    ...     object_type=pl.lit("order"), time=pl.lit(datetime(2024, 1, 1)), sequence=0
    ... )
    >>> traces = encode(relations)
    >>> one, two, three = graph_hashes(traces, connected_executions(traces), np.ones(3, dtype=bool))
    >>> bool(one == two), bool(two == three)
    (True, False)
    """
    hashes = np.zeros(len(executions.ids), dtype=np.uint64)
    for part in _parts(np.flatnonzero(compared), _steps_of(traces, executions)):
        hashes[part] = _hashes(_graphs(traces, executions, part, equality))
    return hashes


def variant_ids(hashes: Words) -> tuple[pl.Series, Positions]:
    """Name variants after their hashes; where some share one, all but the first have a number after it.

    Returns
    -------
    ids : Series of str
        One per variant.
    ordinals : int64 array
        Its number among those with the same hash, from 1.

    Examples
    --------
    >>> ids, ordinals = variant_ids(np.array([255, 7, 255], dtype=np.uint64))
    >>> ids.to_list(), ordinals.tolist()
    (['00000000000000ff', '0000000000000007', '00000000000000ff-2'], [1, 1, 2])
    """
    digits = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(hashes), [None, pa.py_buffer(hashes.astype(">u8"))])
    ordinal = pl.col("ordinal")
    frame = (
        pl.DataFrame({"hash": hashes, "id": pl.Series(digits.cast(pa.large_binary()))})
        .with_columns(pl.col("id").bin.encode("hex"), ordinal=pl.int_range(1, pl.len() + 1).over("hash"))
        .with_columns(pl.when(ordinal > 1).then(pl.format("{}-{}", "id", "ordinal")).otherwise("id").alias("id"))
    )
    return frame["id"], frame["ordinal"].to_numpy()


def _steps_of(traces: Traces, executions: Executions) -> Positions:
    """Count the steps of the objects of each execution, and one for itself."""
    sums = np.concatenate(([0], np.cumsum(traces.lengths[executions.objects])))
    steps: Positions = np.diff(sums[executions.object_offsets]) + np.diff(executions.event_offsets) + 1
    return steps


def _parts(members: Positions, steps: Positions) -> Iterator[Positions]:
    """Cut executions, in their order, into parts of some steps."""
    number = (np.cumsum(steps[members]) - 1) // _PART
    cuts = np.flatnonzero(np.diff(number)) + 1
    return (part for part in np.split(members, cuts) if len(part))


@dataclass(frozen=True, slots=True, eq=False)
class _Graphs:
    """Many graphs side by side.

    Attributes
    ----------
    event_offsets : int64 array, one more than graphs
        Of each graph's events.
    event_label, sequence_label : uint64 arrays
        Words of the activity and of the type.
    sequence_graph : int64 array, one per sequence
        Its graph; never falls.
    offsets : int64 array, one more than sequences
        Of each sequence's steps.
    step_event : int64 array, one per step
        The event.
    """

    event_offsets: Positions
    event_label: Words
    sequence_graph: Positions
    sequence_label: Words
    offsets: Positions
    step_event: Positions

    def __len__(self) -> int:
        return len(self.event_offsets) - 1

    @property
    def event_graph(self) -> Positions:
        return np.repeat(np.arange(len(self)), np.diff(self.event_offsets))

    @property
    def sequence_offsets(self) -> Positions:
        return np.searchsorted(self.sequence_graph, np.arange(len(self) + 1))

    def take(self, graphs: Positions) -> _Graphs:
        """Give some of the graphs, in the given order."""
        sizes, own = np.diff(self.event_offsets)[graphs], self.sequence_offsets
        taken = ragged(self.event_offsets[graphs], sizes)
        width = np.diff(own)[graphs]
        sequences = ragged(own[graphs], width)
        lengths = np.diff(self.offsets)[sequences]
        steps = ragged(self.offsets[sequences], lengths)
        event_offsets = _bounds(sizes)
        graph = np.repeat(np.arange(len(graphs)), width)
        moved = np.repeat((event_offsets[:-1] - self.event_offsets[graphs])[graph], lengths)
        return _Graphs(
            event_offsets,
            self.event_label[taken],
            graph,
            self.sequence_label[sequences],
            _bounds(lengths),
            self.step_event[steps] + moved,
        )

    def events_of(self, graphs: Positions) -> Positions:
        """Give the events of some of the graphs."""
        return ragged(self.event_offsets[graphs], np.diff(self.event_offsets)[graphs])


def _graphs(traces: Traces, executions: Executions, members: Positions, equality: Equality) -> _Graphs:
    """Make the graphs of some executions."""
    sizes = np.diff(executions.event_offsets)[members]
    events = executions.events[ragged(executions.event_offsets[members], sizes)]
    width = np.diff(executions.object_offsets)[members]
    things = executions.objects[ragged(executions.object_offsets[members], width)]
    graph = np.repeat(np.arange(len(members)), width)
    lengths = traces.lengths[things]
    ranks = traces.step_event[ragged(traces.offsets[things], lengths)]
    known = (np.repeat(np.arange(len(members)), sizes) << 32) | events
    step_event = np.searchsorted(known, (np.repeat(graph, lengths) << 32) | ranks)
    types, activities = _words("type", traces.object_types), _words("activity", traces.activities)
    whole = _Graphs(
        _bounds(sizes),
        activities[traces.event_activity[events]] if len(events) else np.empty(0, dtype=np.uint64),
        graph,
        types[traces.object_type[things]] if len(things) else np.empty(0, dtype=np.uint64),
        _bounds(lengths),
        step_event,
    )
    return whole if equality == "labelled" else _pairs(whole)


def _pairs(graphs: _Graphs) -> _Graphs:
    """Break every sequence into its directly-follows pairs."""
    lengths = np.diff(graphs.offsets)
    pairs = np.maximum(lengths - 1, 0)
    first = ragged(graphs.offsets[:-1], pairs)
    return replace(
        graphs,
        sequence_graph=np.repeat(graphs.sequence_graph, pairs),
        # Another label than the type's: ids of the two equalities differ.
        sequence_label=_mixed(np.repeat(graphs.sequence_label, pairs)),
        offsets=np.arange(len(first) + 1) * 2,
        step_event=graphs.step_event[np.stack([first, first + 1], axis=1).reshape(-1)],
    )


def _bounds(sizes: Positions) -> Positions:
    return np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)


def _words(role: str, names: pl.Series) -> Words:
    """Give each name a word that is the same in every run and log."""
    digests = [hashlib.blake2b(name.encode(), digest_size=8, person=role.encode()).digest() for name in names]
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def _mixed(words: Words) -> Words:
    """Scatter words over all 64 bits, one to one (the finaliser of Steele, Lea and Flood's SplitMix)."""
    mixed = words ^ (words >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _sums(words: Words, bounds: Positions) -> Words:
    """Sum each segment, modulo 2**64; an empty one is 0."""
    total = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(words, dtype=np.uint64)))
    sums: Words = total[bounds[1:]] - total[bounds[:-1]]
    return sums


class _Refinement:
    """Colour refinement: an event's new colour is of its old one and of the sequences it is in, and where in them."""

    def __init__(self, graphs: _Graphs) -> None:
        self.graphs = graphs
        lengths = np.diff(graphs.offsets)
        longest = int(lengths.max(initial=0))
        place = np.arange(len(graphs.step_event)) - np.repeat(graphs.offsets[:-1], lengths)
        self._power = np.full(longest + 1, _STEP, dtype=np.uint64).cumprod(dtype=np.uint64)[place]
        by_event = np.argsort(graphs.step_event, kind="stable")
        self._sequence = np.repeat(np.arange(len(lengths)), lengths)[by_event]
        self._place = (place[by_event].astype(np.uint64) + np.uint64(1)) * _SPLIT
        self._event_bounds = _bounds(np.bincount(graphs.step_event, minlength=len(graphs.event_label)))

    def sequences(self, colour: Words) -> Words:
        """Give the colour of each sequence: its label and the colours along it."""
        along = _sums(colour[self.graphs.step_event] * self._power, self.graphs.offsets)
        return _mixed(along + self.graphs.sequence_label)

    def events(self, colour: Words) -> Words:
        """Give each event its next colour."""
        around = _sums(_mixed(self.sequences(colour)[self._sequence] + self._place), self._event_bounds)
        return _mixed(around + colour * _STEP)

    def totals(self, colour: Words) -> Words:
        """Give a word for each graph that does not depend on the order of its events and sequences."""
        events = _sums(_mixed(colour + _STEP), self.graphs.event_offsets)
        sequences = _sums(self.sequences(colour), self.graphs.sequence_offsets)
        return _mixed(_mixed(events) + sequences)


def _refined(graphs: _Graphs, colour: Words) -> tuple[Words, Words]:
    """Refine each graph until no colour of it splits; give the colours, and the total of each graph.

    How often a graph is refined depends on that graph alone.
    """
    colour, totals = colour.copy(), np.empty(len(graphs), dtype=np.uint64)
    active = np.arange(len(graphs))
    part, current = _Refinement(graphs), colour
    colours = _distinct(graphs, current)
    for rounds in range(1, _ROUNDS + 1):
        current = part.events(current)
        now = _distinct(part.graphs, current)
        stable = (now == colours) | (now == np.diff(part.graphs.event_offsets)) | (rounds == _ROUNDS)
        if stable.any():
            done = np.flatnonzero(stable)
            colour[graphs.events_of(active[done])] = current[part.graphs.events_of(done)]
            totals[active[done]] = part.totals(current)[done]
            left = np.flatnonzero(~stable)
            if not len(left):
                break
            current = current[part.graphs.events_of(left)]
            part = _Refinement(part.graphs.take(left))
            active, now = active[left], now[left]
        colours = now
    return colour, totals


def _distinct(graphs: _Graphs, colour: Words) -> Positions:
    """Count the colours of each graph."""
    frame = pl.DataFrame({"graph": graphs.event_graph, "colour": colour})
    found = frame.group_by("graph").agg(pl.col("colour").n_unique())
    counts = np.zeros(len(graphs), dtype=np.int64)
    counts[found["graph"].to_numpy()] = found["colour"].to_numpy()
    return counts


def _hashes(graphs: _Graphs) -> Words:
    """Give each graph its invariant: equal for isomorphic graphs."""
    return _refined(graphs, graphs.event_label)[1]


def isomorphic_with(
    traces: Traces,
    executions: Executions,
    hashes: Words,
    compared: Mask,
    known: Mask,
    *,
    equality: Equality = "labelled",
) -> Positions:
    """Find for each execution an example whose graph is isomorphic with its own.

    Parameters
    ----------
    traces : Traces
        With all steps of the executions' objects.
    executions : Executions
        Of one kind.
    hashes : uint64 array, one per execution
        Of `graph_hashes`. Only executions with the same hash are compared.
    compared : bool array, one per execution
        Which to compare.
    known : bool array, one per execution
        Which are known to be of different variants; the others are compared with these first.
    equality : {"labelled", "adams"}
        See `find_execution_variants`.

    Returns
    -------
    int64 array, one per execution
        The known one that it is isomorphic with; where there is none, the least such execution.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.executions import connected_executions
    >>> from ocelake.mining.traces import encode
    >>> steps = [("e1", "o1", "place"), ("e2", "o2", "pay"), ("e3", "o3", "place"), ("e4", "o4", "pay")]
    >>> relations = pl.DataFrame(steps, schema=["event_id", "object_id", "activity"], orient="row").with_columns(
    ...     object_type=pl.lit("order"), time=pl.lit(datetime(2024, 1, 1)), sequence=0
    ... )
    >>> traces, every = encode(relations), np.ones(4, dtype=bool)
    >>> executions = connected_executions(traces)
    >>> hashes = graph_hashes(traces, executions, every)
    >>> isomorphic_with(traces, executions, hashes, every, ~every).tolist()
    [0, 1, 0, 1]
    >>> isomorphic_with(traces, executions, hashes, every, np.array([False, False, False, True])).tolist()
    [0, 3, 0, 3]
    """
    example = np.arange(len(executions.ids))
    bucket = np.unique(hashes, return_inverse=True)[1]
    steps = _steps_of(traces, executions)
    left = np.lexsort((~known, bucket))
    left = left[compared[left]]
    while len(left):
        # Of each bucket, the first is the example; it stays as long as others may be like it.
        waiting = np.bincount(bucket[left[~known[left]]], minlength=len(bucket))
        begins = np.concatenate(([True], bucket[left[1:]] != bucket[left[:-1]]))
        first, others = left[begins], left[~begins]
        of_bucket = np.empty(len(bucket), dtype=np.int64)
        of_bucket[bucket[first]] = first
        others = others[waiting[bucket[others]] > 0]
        asked = others[~known[others]]
        differs = known.copy()
        for part in _parts(asked, steps):
            those = np.unique(np.concatenate((part, of_bucket[bucket[part]])))
            graphs = _graphs(traces, executions, those, equality)
            one, other = np.searchsorted(those, part), np.searchsorted(those, of_bucket[bucket[part]])
            same = _isomorphic(graphs, one, other)
            example[part[same]] = of_bucket[bucket[part[same]]]
            differs[part[~same]] = True
        left = others[differs[others]] if len(asked) else asked
    return example


def _isomorphic(graphs: _Graphs, ones: Positions, others: Positions) -> Mask:
    """Decide for pairs of graphs whether they are isomorphic."""
    colour = _discrete(graphs)
    same = _matching(graphs, colour, ones, others)
    for pair in np.flatnonzero(~same):
        same[pair] = _search(graphs.take(np.array([ones[pair], others[pair]])))
    return same


def _discrete(graphs: _Graphs) -> Words:
    """Refine, and split the smallest tie of each graph in an arbitrary order, until no colours are equal.

    Where alike parts can be exchanged freely, every order is as good as any other. The smallest tie comes first: the
    packages of an order before the items within them.
    """
    colour, active = graphs.event_label.copy(), np.arange(len(graphs))
    part, current = graphs, colour
    while len(active):
        current, _ = _refined(part, current)
        tied, cell, place = _smallest_tie(part, current)
        colour[graphs.events_of(active)] = current
        left = np.flatnonzero(tied)
        current[cell] = _mixed(current[cell] + (place + 1).astype(np.uint64) * _SPLIT)
        current = current[part.events_of(left)]
        part, active = part.take(left), active[left]
    return colour


def _smallest_tie(graphs: _Graphs, colour: Words) -> tuple[Mask, Positions, Positions]:
    """Find in each graph the smallest set of more than one event of one colour, of these the least colour.

    Returns
    -------
    tied : bool array, one per graph
        Whether there is one.
    cell, place : int64 arrays
        The events of all these sets, and the place of each event in its set.
    """
    graph = graphs.event_graph
    order = np.lexsort((colour, graph))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (colour[order[1:]] != colour[order[:-1]]) | (graph[order[1:]] != graph[order[:-1]])
    start = np.flatnonzero(new)
    size = np.diff(np.append(start, len(order)))
    ties = np.flatnonzero(size > 1)
    ties = ties[np.lexsort((ties, size[ties], graph[order[start[ties]]]))]
    owner = graph[order[start[ties]]]
    chosen = ties[np.concatenate(([True], owner[1:] != owner[:-1]))] if len(ties) else ties
    tied = np.zeros(len(graphs), dtype=bool)
    tied[owner] = True
    taken = ragged(start[chosen], size[chosen])
    return tied, order[taken], taken - np.repeat(start[chosen], size[chosen])


def _matching(graphs: _Graphs, colour: Words, ones: Positions, others: Positions) -> Mask:
    """Whether to take events of the same colour for each other is an isomorphism; the colours of a graph all differ."""
    graph = graphs.event_graph
    by_colour = np.lexsort((colour, graph))
    number = np.empty(len(by_colour), dtype=np.int64)
    number[by_colour] = np.arange(len(by_colour)) - np.repeat(graphs.event_offsets[:-1], np.diff(graphs.event_offsets))
    label = graphs.event_label[by_colour]
    # Sequences that are equal have the same colour, so that each meets its like at the same place.
    by_sequence = np.lexsort((_Refinement(graphs).sequences(colour), graphs.sequence_graph))
    lengths = np.diff(graphs.offsets)[by_sequence]
    steps = number[graphs.step_event[ragged(graphs.offsets[by_sequence], lengths)]]
    sequences = graphs.sequence_offsets
    of_steps = _bounds(lengths)[sequences]
    same = _equal_segments(label, graphs.event_offsets, ones, others)
    same &= _equal_segments(graphs.sequence_label[by_sequence], sequences, ones, others)
    same &= _equal_segments(lengths, sequences, ones, others)
    same &= _equal_segments(steps, of_steps, ones, others)
    return same


def _equal_segments(values: npt.NDArray[np.generic], bounds: Positions, ones: Positions, others: Positions) -> Mask:
    """Whether the segments of values are equal."""
    sizes = np.diff(bounds)
    equal: Mask = sizes[ones] == sizes[others]
    pairs = np.flatnonzero(equal & (ones != others))
    size = sizes[ones[pairs]]
    differ = values[ragged(bounds[ones[pairs]], size)] != values[ragged(bounds[others[pairs]], size)]
    equal[np.repeat(pairs, size)[differ]] = False
    return equal


def _search(pair: _Graphs) -> bool:
    """Decide by trying, for one event of the first graph, every event of the same colour of the second, and so on."""
    one, two = np.array([0]), np.array([1])
    border = int(pair.event_offsets[1])
    untried = [pair.event_label]
    waiting: list[tuple[Words, int, list[int]]] = []
    while untried or waiting:
        if not untried:
            colour, event, candidates = waiting[-1]
            if not candidates:
                waiting.pop()
                continue
            chosen = colour.copy()
            chosen[[event, candidates.pop()]] = _mixed(colour[[event]] + _SPLIT)
            untried.append(chosen)
        colour, _ = _refined(pair, untried.pop())
        if not np.array_equal(np.sort(colour[:border]), np.sort(colour[border:])):
            continue
        tied, cell, _ = _smallest_tie(pair, colour)
        if not tied.any():
            if _matching(pair, colour, one, two)[0]:
                return True
            continue
        waiting.append((colour, int(cell[cell < border][0]), cell[cell >= border].tolist()))
    return False


def execution_variants(traces: Traces, executions: Executions, variants: ExecutionVariants) -> pl.DataFrame:
    """Describe each variant, with what it takes to draw an example.

    Returns
    -------
    DataFrame
        As `gold.execution_variants`, sorted by kind, executions and variant_id.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.executions import connected_executions
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {"event_id": ["e1", "e2", "e2"], "object_id": ["o", "o", "i"], "object_type": ["order", "order", "item"],
    ...      "activity": ["place", "pick", "pick"], "time": [datetime(2024, 1, day) for day in (1, 2, 2)]}
    ... ).with_columns(sequence=0)
    >>> traces = encode(relations)
    >>> executions = connected_executions(traces)
    >>> found = execution_variants(traces, executions, find_execution_variants(traces, executions))
    >>> found.select("executions", "activities", "lanes").rows()[0][:2]
    (1, ['place', 'pick'])
    >>> found["lanes"][0].to_list()
    [{'object_type': 'order', 'events': [0, 1]}, {'object_type': 'item', 'events': [1]}]
    """
    summary = summarise_executions(traces, executions)
    example = summary.select("kind", "events", "objects", pl.col("execution_id").alias("example"))[variants.example]
    measured = measure_variants(variants.of_execution, summary["cycle_time"]).drop("variant")
    pictures = example_pictures(traces, executions, variants.example)
    return (
        pl.concat([example, measured, pictures], how="horizontal")
        .with_columns(variant_id=variants.ids, share=pl.col("executions") / pl.col("executions").sum())
        .sort("kind", "executions", "variant_id")
    )


def measure_variants(of_execution: Codes, cycle_time: pl.Series) -> pl.DataFrame:
    """Count and measure the executions of each variant.

    Parameters
    ----------
    of_execution : int32 array, one per execution
        Code of its variant; -1 for none.
    cycle_time : Series of float, one per execution
        Seconds; null without events.

    Returns
    -------
    DataFrame
        variant (ascending), executions, and duration_mean, duration_min, duration_median, duration_max in seconds.

    Examples
    --------
    >>> measure_variants(np.array([0, -1, 0]), pl.Series([1.0, 9.0, 2.0])).select("executions", "duration_mean").rows()
    [(2, 1.5)]
    """
    duration = pl.col("duration")
    return (
        pl.DataFrame({"variant": of_execution, "duration": cycle_time})
        .filter(pl.col("variant") >= 0)
        .group_by("variant")
        .agg(
            pl.len().cast(pl.Int64).alias("executions"),
            # Sorted, as a sum of floats differs in the last digit by its order.
            duration.sort().mean().alias("duration_mean"),
            duration.min().alias("duration_min"),
            duration.median().alias("duration_median"),
            duration.max().alias("duration_max"),
        )
        .sort("variant")
    )


def execution_tables(
    traces: Traces, found: Iterable[Executions], *, equality: Equality = "labelled"
) -> dict[str, pl.DataFrame]:
    """Make the tables of process executions and their variants.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    found : iterable of Executions
        Each of another kind.
    equality : {"labelled", "adams"}
        When executions are of one variant: see `find_execution_variants`.

    Returns
    -------
    dict of str to DataFrame
        `gold.execution_variants`, `ocel.process_executions`, `ocel.execution_events` and `ocel.execution_objects`,
        without ``log_id``, sorted by the tables' order.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.executions import find_executions
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {"event_id": ["e1", "e2"], "object_id": ["o1", "o2"]}
    ... ).with_columns(
    ...     activity=pl.lit("pay"), object_type=pl.lit("order"), time=pl.lit(datetime(2024, 1, 1)), sequence=0
    ... )
    >>> traces = encode(relations)
    >>> tables = execution_tables(traces, [find_executions(traces, kind) for kind in ("connected", "leading:order")])
    >>> tables["gold.execution_variants"].select("kind", "executions", "share").rows()
    [('connected', 2, 1.0), ('leading:order', 2, 1.0)]
    """
    parts = {name: [as_table(name)] for name in _TABLES}
    for executions in sorted(found, key=lambda executions: executions.kind):
        variants = find_execution_variants(traces, executions, equality=equality)
        ids = variants.ids.gather(pl.Series(variants.of_execution).replace(-1, None))
        events, objects = execution_members(traces, executions)
        made = (
            execution_variants(traces, executions, variants),
            summarise_executions(traces, executions).with_columns(variant_id=ids),
            events,
            objects,
        )
        for name, frame in zip(_TABLES, made, strict=True):
            parts[name].append(as_table(name, frame))
    return {name: pl.concat(frames) for name, frames in parts.items()}


def example_pictures(traces: Traces, executions: Executions, members: Positions) -> pl.DataFrame:
    """Give what it takes to draw some executions.

    Returns
    -------
    DataFrame
        One row per member: activities (of its first events), and lanes (of its first objects among these events).

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.executions import connected_executions
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame({"event_id": ["e1", "e2"], "object_id": ["o", "o"]}).with_columns(
    ...     activity=pl.lit("pay"), object_type=pl.lit("order"), time=pl.lit(datetime(2024, 1, 1)), sequence=0
    ... )
    >>> traces = encode(relations)
    >>> example_pictures(traces, connected_executions(traces), np.array([0])).row(0)
    (['pay', 'pay'], [{'object_type': 'order', 'events': [0, 1]}])
    """
    sizes = np.minimum(np.diff(executions.event_offsets)[members], _SHOWN_EVENTS)
    events = executions.events[ragged(executions.event_offsets[members], sizes)]
    owner = np.repeat(np.arange(len(members)), sizes)
    position = np.arange(len(events)) - np.repeat(_bounds(sizes)[:-1], sizes)
    known = (owner << 32) | events

    # What an object does first comes first; one without events has no lane.
    width = np.diff(executions.object_offsets)[members]
    thing = executions.objects[ragged(executions.object_offsets[members], width)]
    lane_owner = np.repeat(np.arange(len(members)), width)
    begins = traces.lengths[thing] > 0
    thing, lane_owner = thing[begins], lane_owner[begins]
    start = traces.step_event[traces.offsets[:-1][thing]]
    order = np.lexsort((thing, start, lane_owner))
    lanes = _bounds(np.bincount(lane_owner, minlength=len(members)))
    kept = np.minimum(np.diff(lanes), _SHOWN_OBJECTS)
    shown = order[ragged(lanes[:-1], kept)]
    thing, lane_owner = thing[shown], lane_owner[shown]

    # An object's steps ascend, so that those among the first events come first.
    lengths = np.minimum(traces.lengths[thing], _SHOWN_EVENTS)
    step = (np.repeat(lane_owner, lengths) << 32) | traces.step_event[ragged(traces.offsets[thing], lengths)]
    place = np.minimum(np.searchsorted(known, step), max(len(known) - 1, 0))
    inside = known[place] == step if len(known) else np.zeros(0, dtype=bool)
    lane_sizes = np.diff(_bounds(inside)[_bounds(lengths)])
    return pl.DataFrame(
        {
            "activities": _lists(_bounds(sizes), traces.activities.gather(traces.event_activity[events]).to_arrow()),
            "lanes": _lists(
                _bounds(kept),
                pa.StructArray.from_arrays(
                    [
                        traces.object_types.gather(traces.object_type[thing]).to_arrow(),
                        pa.LargeListArray.from_arrays(_bounds(lane_sizes), position[place[inside]]),
                    ],
                    names=["object_type", "events"],
                ),
            ),
        }
    )


def _lists(bounds: Positions, values: pa.Array) -> pl.Series:
    return pl.Series(pa.LargeListArray.from_arrays(pa.array(bounds), values))
