"""Object-centric fitness and precision: of the log's and the model's choices in each context, how many they share.

The context of an event is, per object type, the multiset of prefixes of the objects of the event and of its ancestors
in the event graph, where each event leads to the next one of each of its objects. A prefix is what the object did in
the ancestors. Two facts make contexts cheap.

An ancestor brings all earlier events of its objects along, so that it moves each of its objects from one node of the
prefix tree to the next. Anything that adds up over the objects of a context (how many objects could do what next, a
hash of the multiset) is therefore a sum over the ancestors; and as an event knows all that its latest predecessor
knows, only the ancestors that this one does not know are added.

In the model, objects are tied together by nothing but the visible transitions, and the log tells which objects those
fired for. So the states that the ancestors' replay can reach are the product of those of the objects, and what they
enable is known per unique (type, prefix).

References
----------
Adams, van der Aalst: Precision and Fitness in Object-Centric Process Mining (ICPM 2021).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from ocelake.errors import OcelakeError
from ocelake.mining.firing import PackedNet
from ocelake.mining.petri_nets import Ocpn
from ocelake.mining.traces import Codes, Traces

__all__ = ["LIMIT", "OcQuality", "oc_quality", "oc_quality_rows"]

LIMIT: Final = 200_000
"""Events of the largest execution that is measured: its ancestor sets are bits, events times events at worst."""

MARKINGS: Final = 20_000
"""Markings that one object may be in after one prefix; a net that allows more is refused."""

_BATCH: Final = 1 << 18
"""Events that are swept together, of executions of similar size."""

_ENTRIES: Final = 1 << 22
"""(event, ancestor) pairs that are spread out at a time."""

_SUMS: Final = 1 << 24
"""Sums that are held at a time: events times features."""

_WORDS: Final = 1 << 24
"""Words of ancestor sets that are joined at a time."""

_HASHES: Final = 2
"""64-bit words in the hash of a context."""

_Integers: TypeAlias = npt.NDArray[np.int64]
_Words: TypeAlias = npt.NDArray[np.uint64]
_Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class OcQuality:
    """Object-centric fitness and precision of a model on a log.

    Attributes
    ----------
    fitness : float or None
        Mean of ``|en_L & en_M| / |en_L|`` over the measured events; None without any.
    precision : float or None
        Mean of ``|en_L & en_M| / |en_M|`` over the measured events whose en_M is not empty; None without any.
    contexts : int
        Distinct contexts of the measured events.
    events, measured : int
        Events of the log, and those in executions within the limit.
    largest, limit : int
        Events of the largest execution, and the most that one may have.
    """

    fitness: float | None
    precision: float | None
    contexts: int
    events: int
    measured: int
    largest: int
    limit: int


def oc_quality(
    traces: Traces, ocpn: Ocpn, *, object_types: Collection[str] | None = None, limit: int = LIMIT
) -> OcQuality:
    """Measure object-centric fitness and precision.

    With en_L(e) the activities of the events whose context equals that of e, and en_M(e) the visible labels that are
    enabled in some state reachable by replaying the ancestors of such an event: fitness is the mean of
    ``|en_L & en_M| / |en_L|`` over all events, precision that of ``|en_L & en_M| / |en_M|`` where en_M is not empty.

    A binding has exactly one object of a type whose arcs are not variable; else any number, none only where the
    cardinality's minimum is zero; and one object at least. Where an ancestor cannot be replayed, en_M is empty. So it
    is where an object's type has no net.

    Parameters
    ----------
    traces : Traces
    ocpn : Ocpn
    object_types : collection of str, optional
        Look at these types alone: other objects, events of only such, and other nets are left out.
    limit : int
        Events of the largest connected execution that is measured; larger ones are left out and counted.

    Raises
    ------
    OcelakeError
        Where a net lets one object be in more than 20,000 markings after one prefix.

    Notes
    -----
    Contexts are grouped by a hash and then compared in full; if the hash misled, another one is drawn.

    Time grows with the square of an execution's events (its ancestor sets are joined as bits), and with the ancestors
    by which the predecessors of an event differ.

    ocpa follows the same definitions, but leaves an event out of the precision also where en_M is not empty and shares
    nothing with en_L, replays events with any number of objects, wants a token even where a type may be absent, and
    takes states for equal that have different objects in the same places.

    Examples
    --------
    The net lets a placed order be paid again and again; in each context of the log, it enables what was seen.

    >>> from datetime import datetime
    >>> from ocelake.mining.petri_nets import AcceptingNet, Cardinality, Transition
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2", "e3"],
    ...         "object_id": ["o1", "o1", "o2"],
    ...         "activity": ["place", "pay", "place"],
    ...         "object_type": ["order", "order", "order"],
    ...         "time": [datetime(2024, 1, day) for day in (1, 2, 3)],
    ...         "sequence": [0, 0, 0],
    ...     }
    ... )
    >>> place, pay = Transition("t1", "place", (0,), (1,)), Transition("t2", "pay", (1,), (1,))
    >>> net = AcceptingNet("order", ("source", "sink"), (place, pay), (1, 0), (0, 1))
    >>> one = Cardinality(variable=False, minimum=1, maximum=1)
    >>> quality = oc_quality(encode(relations), Ocpn((net,), {("order", "place"): one, ("order", "pay"): one}))
    >>> quality.fitness, quality.precision, quality.contexts
    (1.0, 1.0, 2)
    """
    if object_types is not None:
        traces = _of_types(traces, object_types)
        ocpn = replace(ocpn, nets=tuple(net for net in ocpn.nets if net.object_type in object_types))
    prefixes = _prefix_tree(traces)
    choices = _choices(traces, ocpn, prefixes)
    graph = _event_graph(traces)
    for seed in count():
        hashes, enabled = _contexts(prefixes, choices, graph, _words(seed, len(prefixes.parent)), limit)
        context = _groups(hashes)
        if _confirmed(prefixes, graph, context, limit):
            break
    sizes = np.diff(graph.executions)
    return _means(choices.activity[graph.event[: len(context)]], context, enabled, len(graph.event), sizes, limit)


def oc_quality_rows(model_id: str, quality: OcQuality) -> pl.DataFrame:
    """Give the rows of `gold.model_quality`: the metrics ``oc_fitness`` and ``oc_precision``.

    Where an execution was too large to be measured, the values are null, and the detail has those of the other events.

    Examples
    --------
    >>> quality = OcQuality(1.0, 0.75, contexts=2, events=40, measured=30, largest=9, limit=5)
    >>> for row in oc_quality_rows("m", quality).rows():
    ...     print(row)
    ('m', None, 'oc_fitness', None, 'An execution has 9 events, the limit is 5; 1.0 over the other 75.0% of events.')
    ('m', None, 'oc_precision', None, 'An execution has 9 events, the limit is 5; 0.75 over the other 75.0% of events.')
    """
    whole = quality.measured == quality.events
    rows = []
    for metric, value in (("oc_fitness", quality.fitness), ("oc_precision", quality.precision)):
        if not whole:
            detail = f"An execution has {quality.largest} events, the limit is {quality.limit}"
            if value is not None:
                share = f"{quality.measured / quality.events:.1%}"
                detail += f"; {round(value, 4)} over the other {share} of events"
        elif value is None:
            detail = "No event enables anything in the model" if quality.events else "There are no events"
        else:
            detail = f"{quality.contexts} contexts of {quality.events} events"
        rows.append((model_id, None, metric, value if whole else None, f"{detail}."))
    columns = {"model_id": pl.String, "object_type": pl.String, "metric": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema={**columns, "detail": pl.String}, orient="row")


def _of_types(traces: Traces, object_types: Collection[str]) -> Traces:
    """Give the traces of the objects of some types; events that thereby lose all objects leave."""
    kind = traces.object_types.is_in(list(object_types)).to_numpy()
    own = kind[traces.object_type]
    step = own[traces.step_object]
    had, has = np.zeros((2, len(traces.event_ids)), dtype=bool)
    had[traces.step_event] = True
    has[traces.step_event[step]] = True
    event = has | ~had

    def renumbered(codes: Codes, kept: _Flags) -> Codes:
        return (np.cumsum(kept) - 1).astype(np.int32)[codes]

    return replace(
        traces,
        object_types=traces.object_types.filter(pl.Series(kind)),
        event_ids=traces.event_ids.filter(pl.Series(event)),
        object_ids=traces.object_ids.filter(pl.Series(own)),
        event_activity=traces.event_activity[event],
        event_time=traces.event_time[event],
        object_type=renumbered(traces.object_type[own], kind),
        step_object=renumbered(traces.step_object[step], own),
        step_event=renumbered(traces.step_event[step], event),
        step_activity=traces.step_activity[step],
        offsets=np.concatenate(([0], np.cumsum(traces.lengths[own]))),
    )


# What objects did: the prefix tree.


@dataclass(frozen=True, slots=True, eq=False)
class _Prefixes:
    """The unique (type, prefix).

    Attributes
    ----------
    parent, activity : int arrays, one per node
        Nodes come after their parents. The first are the roots, by type code; their parent and activity are -1.
    before, after : int arrays, one per step
        The node of the step's object before the step and after it.
    """

    parent: _Integers
    activity: _Integers
    before: _Integers
    after: _Integers


def _prefix_tree(traces: Traces) -> _Prefixes:
    """Number the prefixes of all traces, a depth at a time, until no two objects share one."""
    types, activities, lengths = len(traces.object_types), max(1, len(traces.activities)), traces.lengths
    after = np.empty(len(traces.step_object), dtype=np.int64)
    longest = np.argsort(-lengths, kind="stable")
    ascending = lengths[longest][::-1]
    node = traces.object_type[longest].astype(np.int64)
    parents, known = [np.full(types, -1)], types
    acts = [np.full(types, -1)]
    depth = 0
    while active := len(ascending) - int(np.searchsorted(ascending, depth, side="right")):
        objects = longest[:active]
        steps = traces.offsets[objects] + depth
        keys, node = np.unique(node[:active] * activities + traces.step_activity[steps], return_inverse=True)
        parents.append(keys // activities)
        acts.append(keys % activities)
        node += known
        known += len(keys)
        after[steps] = node
        depth += 1
        if len(keys) == active:
            break
    # From here on every step is a node of its own.
    position = np.arange(len(after)) - np.repeat(traces.offsets[:-1], lengths)
    own = np.flatnonzero(position >= depth)
    after[own] = known + np.arange(len(own))
    before = np.empty_like(after)
    before[1:] = after[:-1]
    first = position == 0
    before[first] = traces.object_type[traces.step_object[first]]
    return _Prefixes(
        parent=np.concatenate([*parents, before[own]]),
        activity=np.concatenate([*acts, traces.step_activity[own]]),
        before=before,
        after=after,
    )


# What the model lets objects do next.


@dataclass(frozen=True, slots=True, eq=False)
class _Choices:
    """What the model enables, by state: all that an object's replay can have come to.

    Attributes
    ----------
    activity : int array, one per event
        Label code.
    pairs : list of (label code, whether the type may be absent, column)
        For each (type, label) of the nets.
    labels : int
        Number of label codes: activities of the log and labels of the model.
    state : int array, one per node
        State after the prefix.
    enabled : uint8 array (columns, states)
        1 where the state enables the pairs of the column: those that the same states enable share one. The last is 1
        where the prefix cannot be replayed.
    broken : bool array, one per event
        Whether the event has a number of objects that its transition does not allow.
    """

    activity: Codes
    pairs: list[tuple[int, bool, int]]
    labels: int
    state: _Integers
    enabled: npt.NDArray[np.uint8]
    broken: _Flags


class _Replay:
    """Replay of one object on its type's net: sets of markings, made as they are met."""

    def __init__(self, packed: PackedNet) -> None:
        self._packed = packed
        self._known: dict[frozenset[int], int] = {}
        self.markings: list[frozenset[int]] = []
        self.enabled: list[set[str]] = []
        self.next: list[dict[str, int]] = []
        # Markings recur in many states: what one enables is worked out once, from the places that have tokens.
        self._enabled: dict[int, list[int]] = {}
        self._consumers = [
            [t for t, places in enumerate(packed.inputs) if place in places] for place in range(len(packed.net.places))
        ]
        self._free = [t for t, places in enumerate(packed.inputs) if not places]
        self.start = self._state({packed.initial})

    def after(self, state: int, label: str) -> int:
        """Fire a label from every marking of a state that enables it."""
        found = self.next[state].get(label)
        if found is None:
            packed = self._packed
            fired = {
                marking + packed.change[transition]
                for transition in packed.labelled.get(label, ())
                for marking in self.markings[state]
                if packed.lacking(marking, transition) is None
            }
            found = self.next[state][label] = self._state(fired)
        return found

    def _state(self, markings: set[int]) -> int:
        """Close a set of markings under silent steps, and number it."""
        packed = self._packed
        open_ = list(markings)
        while open_:
            marking = open_.pop()
            for transition in self._enabled_in(marking):
                if packed.net.transitions[transition].label is None:
                    after = marking + packed.change[transition]
                    if after not in markings:
                        markings.add(after)
                        open_.append(after)
            if len(markings) > MARKINGS:
                raise OcelakeError(
                    f"The net of {packed.net.object_type!r} lets one object be in more than {MARKINGS} markings.",
                    fix="Leave the type out with object_types, or discover a model with fewer parallel silent steps.",
                )
        key = frozenset(markings)
        if key not in self._known:
            self._known[key] = len(self.markings)
            self.markings.append(key)
            self.next.append({})
            enabled = {transition for marking in key for transition in self._enabled_in(marking)}
            labels = (packed.net.transitions[transition].label for transition in enabled)
            self.enabled.append({label for label in labels if label is not None})
        return self._known[key]

    def _enabled_in(self, marking: int) -> list[int]:
        found = self._enabled.get(marking)
        if found is None:
            packed = self._packed
            marked = (place for place, tokens in enumerate(packed.unpack(marking)) if tokens)
            near = {transition for place in marked for transition in self._consumers[place]}
            found = self._enabled[marking] = [
                transition for transition in (*self._free, *near) if packed.lacking(marking, transition) is None
            ]
        return found


def _choices(traces: Traces, ocpn: Ocpn, prefixes: _Prefixes) -> _Choices:
    replays = {net.object_type: _Replay(PackedNet(net)) for net in ocpn.nets}
    names = traces.activities.to_list()
    columns = [(net.object_type, label) for net in ocpn.nets for label in PackedNet(net).labelled]
    labels = {label: code for code, label in enumerate(dict.fromkeys([*names, *(label for _, label in columns)]))}

    # Without a net, the object can be there, but nothing can be done with it: state 0 enables nothing, state 1 is dead.
    numbers: dict[tuple[str, int], int] = {}
    rows: list[tuple[str, set[str], bool]] = [("", set(), False), ("", set(), True)]

    def number(object_type: str, state: int) -> int:
        if (object_type, state) not in numbers:
            replay = replays[object_type]
            numbers[object_type, state] = len(rows)
            rows.append((object_type, replay.enabled[state], not replay.markings[state]))
        return numbers[object_type, state]

    types = traces.object_types.to_list()
    nodes: list[tuple[str, int] | None] = [
        (object_type, replays[object_type].start) if object_type in replays else None for object_type in types
    ]
    state = [number(*node) if node else 0 for node in nodes]
    roots = len(nodes)
    for parent, activity in zip(prefixes.parent[roots:].tolist(), prefixes.activity[roots:].tolist(), strict=True):
        above = nodes[parent]
        if above is None:
            nodes.append(None)
            state.append(1)
        else:
            object_type, markings = above
            markings = replays[object_type].after(markings, names[activity])
            nodes.append((object_type, markings))
            state.append(number(object_type, markings))

    enabling: dict[tuple[str, str], list[int]] = {column: [] for column in columns}
    for row, (object_type, found, _) in enumerate(rows):
        for label in found:
            enabling[object_type, label].append(row)
    numbered = {states: column for column, states in enumerate(dict.fromkeys(map(tuple, enabling.values())))}
    enabled = np.zeros((len(numbered) + 1, len(rows)), dtype=np.uint8)
    for column, states in enumerate(numbered):
        enabled[column, list(states)] = 1
    enabled[-1] = [dead for _, _, dead in rows]
    cardinality = [ocpn.cardinalities[column] for column in columns]
    return _Choices(
        activity=traces.event_activity,
        pairs=[
            (labels[label], arc.variable and arc.minimum == 0, numbered[tuple(enabling[kind, label])])
            for (kind, label), arc in zip(columns, cardinality, strict=True)
        ],
        labels=len(labels),
        state=np.array(state, dtype=np.int64),
        enabled=enabled,
        broken=_broken(traces, ocpn, columns),
    )


def _broken(traces: Traces, ocpn: Ocpn, columns: Sequence[tuple[str, str]]) -> _Flags:
    """Whether each event has a number of objects, of some type of its transition, that no binding has."""
    broken = np.zeros(len(traces.event_ids), dtype=bool)
    codes = {name: code for code, name in enumerate(traces.activities)}
    step_type = traces.object_type[traces.step_object]
    for object_type in dict.fromkeys(object_type for object_type, _ in columns):
        one, some = np.zeros((2, len(codes)), dtype=bool)
        for of_type, label in columns:
            if of_type == object_type and label in codes:
                arc = ocpn.cardinalities[of_type, label]
                one[codes[label]] = not arc.variable
                some[codes[label]] = arc.variable and arc.minimum > 0
        own = np.flatnonzero((traces.object_types == object_type).to_numpy())
        steps = traces.step_event[np.isin(step_type, own)]
        objects = np.bincount(steps, minlength=len(broken))
        broken |= one[traces.event_activity] & (objects != 1)
        broken |= some[traces.event_activity] & (objects == 0)
    return broken


# The event graph, and the ancestors of every event in it.


@dataclass(frozen=True, slots=True, eq=False)
class _EventGraph:
    """The event graph, its events numbered so that an execution's are consecutive and in order.

    Attributes
    ----------
    event : int64 array, one per event
        Rank of each event; small executions come first.
    executions : int64 array, one more than executions
        Execution ``i`` has the events ``executions[i]:executions[i + 1]``.
    first : int64 array, one per event
        The first event of its execution.
    sources, source_offsets : int64 arrays
        The predecessors of event ``e``, ascending, are ``sources[source_offsets[e]:source_offsets[e + 1]]``.
    targets, target_offsets : int64 arrays
        The successors, likewise.
    steps, step_offsets : int64 arrays
        The steps of each event, likewise.
    """

    event: _Integers
    executions: _Integers
    first: _Integers
    sources: _Integers
    source_offsets: _Integers
    targets: _Integers
    target_offsets: _Integers
    steps: _Integers
    step_offsets: _Integers


def _event_graph(traces: Traces) -> _EventGraph:
    events = len(traces.event_ids)
    follows = np.flatnonzero(traces.step_object[1:] == traces.step_object[:-1])
    source, target = traces.step_event[follows], traces.step_event[follows + 1]
    ones = np.ones(len(source), dtype=np.int8)
    number, component = connected_components(
        coo_array((ones, (source, target)), shape=(events, events)), directed=False
    )
    size = np.bincount(component, minlength=number)
    event = np.lexsort((component, size[component]))  # stable: within an execution the ranks ascend
    position = np.empty(events, dtype=np.int64)
    position[event] = np.arange(events)
    changes = np.flatnonzero(np.diff(component[event], prepend=-1))
    executions = np.append(changes, events)

    pairs = np.unique(position[target] << 32 | position[source])
    back = np.sort((pairs & 0xFFFFFFFF) << 32 | pairs >> 32)
    step_position = position[traces.step_event]
    bounds = np.arange(events + 1)
    return _EventGraph(
        event=event,
        executions=executions,
        first=np.repeat(changes, np.diff(executions)),
        sources=pairs & 0xFFFFFFFF,
        source_offsets=np.searchsorted(pairs, bounds << 32),
        targets=back & 0xFFFFFFFF,
        target_offsets=np.searchsorted(back, bounds << 32),
        steps=np.argsort(step_position, kind="stable"),
        step_offsets=np.concatenate(([0], np.cumsum(np.bincount(step_position, minlength=events)))),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Front:
    """Some events, none an ancestor of another, whose predecessors have all been seen.

    Attributes
    ----------
    events : int64 array, one per event
    ancestors : uint64 array (events, words)
        Bit ``i`` of a row is the i-th event of the row's execution.
    base : int64 array, one per event
        The latest predecessor; -1 without one.
    unknown : uint64 array (events, words)
        The ancestors that are neither the base nor its ancestors.
    """

    events: _Integers
    ancestors: _Words
    base: _Integers
    unknown: _Words


def _fronts(graph: _EventGraph, start: int, stop: int) -> Iterator[_Front]:
    """Go through whole executions from front to front, keeping the ancestors of those events that others follow."""
    width = -(-int((np.arange(start, stop) - graph.first[start:stop]).max(initial=0) + 1) // 64)
    waits = np.diff(graph.source_offsets[start : stop + 1])
    pending = np.diff(graph.target_offsets[start : stop + 1])
    rows = max(_WORDS // max(width, 1), 1)
    slot = np.full(stop - start, -1)
    known = np.empty((0, width), dtype=np.uint64)
    free = np.empty(0, dtype=np.int64)
    events = start + np.flatnonzero(waits == 0)
    while len(events):
        followed = events[pending[events - start] > 0]
        if len(free) < len(followed):
            more = max(len(followed) - len(free), len(known))
            free = np.concatenate((free, len(known) + np.arange(more)))
            known = np.concatenate((known, np.empty((more, width), dtype=np.uint64)))
        slot[followed - start], free = free[: len(followed)], free[len(followed) :]
        for part in np.split(events, np.arange(rows, len(events), rows)):
            front = _front(graph, part, known, slot, start)
            yield front
            kept = np.flatnonzero(pending[part - start])
            taken = slot[part[kept] - start]
            known[taken] = front.ancestors[kept]
            bit = part[kept] - graph.first[part[kept]]
            known[taken, bit >> 6] |= np.uint64(1) << (bit & 63).astype(np.uint64)

        sources = graph.sources[_ranges(graph.source_offsets, events)[0]]
        np.subtract.at(pending, sources - start, 1)
        done = np.unique(sources[pending[sources - start] == 0])
        free = np.concatenate((free, slot[done - start]))

        targets = graph.targets[_ranges(graph.target_offsets, events)[0]]
        np.subtract.at(waits, targets - start, 1)
        events = np.unique(targets[waits[targets - start] == 0])


def _front(graph: _EventGraph, events: _Integers, known: _Words, slot: _Integers, start: int) -> _Front:
    """Unite what the predecessors of some events know; ``slot`` tells where in ``known`` that is."""
    width = known.shape[1]
    entry, size = _ranges(graph.source_offsets, events)
    sources = graph.sources[entry]
    if not len(sources):  # in the first front none has any, in the others all have
        none = np.zeros((len(events), width), dtype=np.uint64)
        return _Front(events, none, np.full(len(events), -1), none)
    ends = np.cumsum(size)
    base = sources[ends - 1]
    of_base = known[slot[base - start]]
    ancestors = of_base.copy()
    # Most events have few predecessors: the n-th of all events at once.
    for nth in range(2, int(size.max()) + 1):
        some = np.flatnonzero(size >= nth)
        ancestors[some] |= known[slot[sources[ends[some] - nth] - start]]
    return _Front(events, ancestors, base, ancestors & ~of_base)


def _ranges(offsets: _Integers, rows: _Integers) -> tuple[_Integers, _Integers]:
    """Give the positions of some rows' entries, one row after the other, and their number by row."""
    size = offsets[rows + 1] - offsets[rows]
    ends = np.cumsum(size)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(offsets[rows] - ends + size, size), size


def _members(bits: _Words) -> tuple[_Integers, _Integers]:
    """Give the rows and columns of the bits that are set, in order."""
    row, word = np.nonzero(bits)
    octets = bits[row, word].astype("<u8").view(np.uint8).reshape(len(row), 8)
    entry, bit = np.nonzero(np.unpackbits(octets, axis=1, bitorder="little"))
    return row[entry], (word[entry] << 6) + bit


def _batches(graph: _EventGraph, limit: int) -> Iterator[tuple[int, int]]:
    """Split the measured events into batches of whole executions, of similar size each."""
    sizes = np.diff(graph.executions)
    sizes = sizes[sizes <= limit]
    words = np.maximum(-(-sizes // 64), 1)
    kind = np.ceil(np.log2(words)).astype(np.int64) << 32 | np.cumsum(sizes) // _BATCH
    starts = np.flatnonzero(np.diff(kind, prepend=-1))
    bounds = graph.executions[np.append(starts, len(sizes))].tolist()
    return pairwise(bounds)


# Contexts: sums over ancestors, grouped where they are equal.


def _contexts(
    prefixes: _Prefixes, choices: _Choices, graph: _EventGraph, words: _Words, limit: int
) -> tuple[_Words, npt.NDArray[np.uint8]]:
    """Hash the context of each measured event, and find the labels that the model enables there, as packed bits."""
    hashes = [np.empty((0, _HASHES), dtype=np.uint64)]
    labels = [np.empty((0, -(-choices.labels // 8)), dtype=np.uint8)]
    for start, stop in _batches(graph, limit):
        sums = _sums(prefixes, graph, np.arange(len(words)), words, None, start, stop)
        hashes.append(sums)
        enabled = np.zeros((stop - start, choices.labels), dtype=bool)
        for pairs in _pair_groups(choices, stop - start):
            columns = [*dict.fromkeys(column for _, _, column in pairs), -1]  # the last: what cannot be replayed
            features = np.ascontiguousarray(choices.enabled[columns].T).astype(np.uint64)
            broken = choices.broken[graph.event[start:stop]]
            sums = _sums(prefixes, graph, choices.state, features, broken, start, stop)
            place = {column: position for position, column in enumerate(columns)}
            _enable(enabled, [(label, absent, place[column]) for label, absent, column in pairs], sums)
        labels.append(np.packbits(enabled, axis=1))
    return np.concatenate(hashes), np.concatenate(labels)


def _pair_groups(choices: _Choices, events: int) -> Iterator[list[tuple[int, bool, int]]]:
    """Cut the pairs, label by label, into groups of so few columns that their sums fit into memory."""
    of_label: dict[int, list[tuple[int, bool, int]]] = {}
    for pair in choices.pairs:
        of_label.setdefault(pair[0], []).append(pair)
    group: list[tuple[int, bool, int]] = []
    columns: set[int] = set()
    for pairs in of_label.values():
        more = columns.union(column for _, _, column in pairs)
        if group and len(more) * events > _SUMS:
            yield group
            group, more = [], {column for _, _, column in pairs}
        group, columns = group + pairs, more
    if group:
        yield group


def _sums(
    prefixes: _Prefixes,
    graph: _EventGraph,
    of_node: _Integers,
    features: _Words,
    broken: _Flags | None,
    start: int,
    stop: int,
) -> _Words:
    """Sum features over the objects of each event's context, modulo 2**64.

    Parameters
    ----------
    of_node : int64 array, one per prefix
        The row of ``features``.
    broken : bool array, one per event, optional
        Events that add one to the last feature of all later contexts.
    """
    steps = graph.steps[graph.step_offsets[start] : graph.step_offsets[stop]]
    size = np.diff(graph.step_offsets[start : stop + 1])
    before, after = of_node[prefixes.before[steps]], of_node[prefixes.after[steps]]
    first = (prefixes.parent[prefixes.before[steps]] < 0).astype(np.uint64)
    # What each event changes in all later contexts; what its new objects add to its own is added at the end.
    gain = _sum(size, after, features)
    gain -= _sum(size, before, features, np.uint64(1) - first)
    if broken is not None:
        gain[broken, -1] += np.uint64(1)
    sums = np.zeros_like(gain)
    for front in _fronts(graph, start, stop):
        row, bit = _members(front.unknown)
        ancestor = graph.first[front.events[row]] - start + bit
        sums[front.events - start] = _sum(np.bincount(row, minlength=len(front.events)), ancestor, gain)
        based = front.base >= 0
        base = front.base[based] - start
        sums[front.events[based] - start] += sums[base] + gain[base]
    sums += _sum(size, before, features, first)
    return sums


def _sum(size: _Integers, columns: _Integers, features: _Words, weight: _Words | None = None) -> _Words:
    """Sum rows of features: of ``columns``, the first ``size[0]`` go to the first sum, and so on."""
    indptr = np.concatenate(([0], np.cumsum(size)))
    data = np.ones(len(columns), dtype=np.uint64) if weight is None else weight
    summed: _Words = csr_array((data, columns, indptr), shape=(len(size), len(features))) @ features
    return summed


def _enable(enabled: _Flags, pairs: Sequence[tuple[int, bool, int]], sums: _Words) -> None:
    """Mark the labels that the model enables: some type's object can, and so can one of each type that must be there.

    Parameters
    ----------
    enabled : bool array (events, labels)
        Changed in place, where a label is among the pairs.
    pairs : sequence of (label code, whether the type may be absent, column of ``sums``)
    """
    alive, present = sums[:, -1] == 0, sums > 0
    of_label: dict[int, list[tuple[bool, int]]] = {}
    for label, absent, column in pairs:
        of_label.setdefault(label, []).append((absent, column))
    for label, types in of_label.items():
        needed = [column for absent, column in types if not absent]
        some = present[:, [column for _, column in types]].any(axis=1)
        enabled[:, label] = alive & some & present[:, needed].all(axis=1)


def _words(seed: int, nodes: int) -> _Words:
    """Draw what each node adds to the hash of a context."""
    return np.random.default_rng(seed).integers(1 << 64, dtype=np.uint64, size=(nodes, _HASHES))


def _groups(hashes: _Words) -> _Integers:
    """Number the distinct rows."""
    order = np.lexsort(hashes.T)
    new = np.ones(len(order), dtype=bool)
    new[1:] = (hashes[order[1:]] != hashes[order[:-1]]).any(axis=1)
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(new) - 1
    return group


def _confirmed(prefixes: _Prefixes, graph: _EventGraph, context: _Integers, limit: int) -> bool:
    """Whether all events of each group have equal contexts: each is compared with the first of its group."""
    members = np.bincount(context)
    shared = members > 1
    examples: dict[int, tuple[int, _Words]] = {}
    left = members.tolist()
    for start, stop in _batches(graph, limit):
        pending = int(shared[context[start:stop]].sum())
        for front in _fronts(graph, start, stop) if pending else ():
            rows = np.flatnonzero(shared[context[front.events]])
            events, ancestors = front.events[rows], front.ancestors[rows]
            others, theirs = np.empty_like(events), np.zeros_like(ancestors)
            for row, (group, event) in enumerate(zip(context[events].tolist(), events.tolist(), strict=True)):
                if group not in examples:
                    examples[group] = event, ancestors[row].copy()
                others[row], example = examples[group]
                theirs[row, : len(example)] = example
                left[group] -= 1
                if not left[group]:
                    del examples[group]
            # What two events of one execution both know is in both contexts.
            both = np.where((graph.first[events] == graph.first[others])[:, np.newaxis], ancestors & theirs, 0)
            ancestors ^= both
            theirs ^= both
            pairs = np.cumsum(np.bitwise_count(ancestors).sum(axis=1) + np.bitwise_count(theirs).sum(axis=1))
            for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(pairs // _ENTRIES)) + 1):
                came, went = _moves(prefixes, graph, events[part], ancestors[part])
                their_came, their_went = _moves(prefixes, graph, others[part], theirs[part])
                if not np.array_equal(
                    np.sort(np.concatenate((came, their_went))), np.sort(np.concatenate((went, their_came)))
                ):
                    return False
            pending -= len(rows)
            if not pending:
                break
    return True


def _moves(
    prefixes: _Prefixes, graph: _EventGraph, events: _Integers, ancestors: _Words
) -> tuple[_Integers, _Integers]:
    """Give the (row, node) that objects came to, and that they went from, by the ancestors and by being new."""
    row, bit = _members(ancestors)
    entry, size = _ranges(graph.step_offsets, graph.first[events[row]] + bit)
    step, row = graph.steps[entry], np.repeat(row, size) * len(prefixes.parent)
    before = prefixes.before[step]
    old = prefixes.parent[before] >= 0

    entry, size = _ranges(graph.step_offsets, events)
    start = prefixes.before[graph.steps[entry]]
    new = prefixes.parent[start] < 0
    initial = np.repeat(np.arange(len(events)) * len(prefixes.parent), size)[new] + start[new]
    return np.concatenate((row + prefixes.after[step], initial)), row[old] + before[old]


def _means(
    activity: Codes, context: _Integers, enabled: npt.NDArray[np.uint8], events: int, sizes: _Integers, limit: int
) -> OcQuality:
    """Compare, in each context, the activities of the log with the labels that the model enables."""
    order = np.argsort(context, kind="stable")
    starts = np.flatnonzero(np.diff(context[order], prepend=-1))
    in_model = np.bitwise_or.reduceat(enabled[order], starts, axis=0) if len(order) else enabled
    of_context = np.diff(np.append(starts, len(order)))
    # The distinct (context, activity), and whether the model enables them.
    owner, label = np.divmod(np.unique(context << 32 | activity), 1 << 32)
    hit = in_model[owner, label >> 3] >> (7 - (label & 7)) & 1
    both = np.bincount(owner, weights=hit, minlength=len(starts))
    log_choices = np.bincount(owner, minlength=len(starts))
    model_choices = np.bitwise_count(in_model).sum(axis=1, dtype=np.int64)
    some = model_choices > 0
    return OcQuality(
        fitness=float(np.average(both / log_choices, weights=of_context)) if len(order) else None,
        precision=float(np.average(both[some] / model_choices[some], weights=of_context[some])) if some.any() else None,
        contexts=len(starts),
        events=events,
        measured=len(order),
        largest=int(sizes.max(initial=0)),
        limit=limit,
    )
