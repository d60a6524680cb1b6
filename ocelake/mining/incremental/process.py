"""The directly-follows graph, the variants and the performance of a log that changes.

What is a sum over steps, triples or objects is added and taken away. What is no sum has the collection that it is read
from: `Counts` of the pairs of which the distinct ones count, `Values` of the durations that have quantiles. A triple
(two events that directly follow each other for an object) stayed where both of its steps did and are neighbours still;
an event's performance is measured again where one of its triples came or went. So a change costs what it touches, and a
few passes over arrays of integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.executions import ragged
from ocelake.mining.incremental.counts import Counts, Values
from ocelake.mining.incremental.moves import Moves
from ocelake.mining.performance import event_performance, event_times, type_times
from ocelake.mining.predecessors import Predecessors, find_predecessors
from ocelake.mining.traces import Codes, Traces
from ocelake.mining.variants import find_variants, object_summaries, trace_variants

__all__ = ["Edge", "Node", "ProcessState", "RowChanges", "empty_state", "follow_process"]

Positions: TypeAlias = npt.NDArray[np.int64]
RowChanges: TypeAlias = tuple[pl.DataFrame, pl.DataFrame]
"""Keys of the rows that go, and the rows that come."""

_BITS: Final = 16
MOST_NAMES: Final = 1 << _BITS
"""More activities or object types than that are not followed: their codes do not fit beside those of objects."""

_NO_VALUES: Final = Values()
_LOW: Final = MOST_NAMES - 1
_OVERALL: Final = ("sojourn", "synchronization", "flow")
_BY_TYPE: Final = ("pooling", "lagging", "readiness")


@dataclass(frozen=True, slots=True)
class Node:
    """What `gold.ocdfg_nodes` has of an activity for one object type."""

    events: int = 0
    unique_objects: int = 0
    total_objects: int = 0
    start_events: int = 0
    start_objects: int = 0
    end_events: int = 0
    end_objects: int = 0


_NO_NODE: Final = Node()


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """Distinct couples and objects of an edge, and the durations of all its triples."""

    couples: int = 0
    objects: int = 0
    durations: Values = _NO_VALUES


@dataclass(frozen=True, slots=True, eq=False)
class ProcessState:
    """What is kept of a log between two changes.

    Attributes
    ----------
    traces : Traces
        Of the whole log.
    predecessors : Predecessors
        Of all its events.
    object_activities, object_edges : Counts
        Pairs of an object and an activity, and of an object and an edge.
    events, starts, ends : Counts
        Pairs of an event and an object type: by how many objects it is reached, and how many traces it starts or ends.
    couples : mapping of str to Counts
        By object type the pairs of events that directly follow each other.
    nodes : mapping of (object type, activity) to Node
    edges : mapping of (object type, source, target) to Edge
    measures : mapping of (activity, object type or None, measure) to Values
        The values of performance.
    variants : DataFrame
        object_type, variant_id, activities.
    variant : int32 array, one per object
        The object's row in ``variants``.
    """

    traces: Traces
    predecessors: Predecessors
    object_activities: Counts
    object_edges: Counts
    events: Counts
    starts: Counts
    ends: Counts
    couples: Mapping[str, Counts]
    nodes: Mapping[tuple[str, str], Node]
    edges: Mapping[tuple[str, str, str], Edge]
    measures: Mapping[tuple[str, str | None, str], Values]
    variants: pl.DataFrame
    variant: Codes


def empty_state(traces: Traces) -> ProcessState:
    """Give the state of a log without anything in it.

    Parameters
    ----------
    traces : Traces
        Of such a log.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.tables import TABLES
    >>> empty_state(encode(pl.DataFrame(schema=TABLES["ocel.event_objects"].schema))).nodes
    {}
    """
    none = Counts.of(np.empty(0, dtype=np.int64))
    variants = trace_variants(traces, find_variants(traces)).select("object_type", "variant_id", "activities")
    no_variant = np.empty(0, dtype=np.int32)
    return ProcessState(
        traces, find_predecessors(traces), none, none, none, none, none, {}, {}, {}, {}, variants, no_variant
    )


def follow_process(state: ProcessState, after: Traces, moves: Moves) -> tuple[ProcessState, dict[str, RowChanges]]:
    """Bring the state up to new traces.

    Parameters
    ----------
    state : ProcessState
    after : Traces
        Of the log as it is now.
    moves : Moves
        From the traces of the state to these.

    Returns
    -------
    ProcessState
        The new state.
    dict of str to (DataFrame, DataFrame)
        For `gold.event_performance` and `gold.object_summaries` (without ``publication_id``) the keys of the rows that
        go, and the rows that come.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.incremental.moves import first_moves
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> log = pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0)
    >>> state, _ = follow_process(empty_state(encode(log.clear())), encode(log), first_moves(encode(log)))
    >>> state.edges["order", "place", "pay"].durations.total
    86400000000
    """
    before = state.traces
    lost, gained = _neighbours(before, moves.step), _neighbours(after, moves.step_before)
    went, came = np.flatnonzero(moves.step < 0), np.flatnonzero(moves.step_before < 0)
    predecessors = find_predecessors(after)
    object_activities, (events, starts, ends), nodes = _nodes(state, after, moves, went, came)
    object_edges, couples, edges = _edges(state, after, moves, lost, gained)
    old, new = _measured(state, after, moves, lost, gained)
    measures = _measures(state, after, predecessors, old, new)
    variants, variant, summaries = _variants(state, after, moves)
    gone, fresh = np.flatnonzero(moves.event < 0), np.flatnonzero(moves.event_before < 0)
    rows = event_performance(after, _only(predecessors, new), np.union1d(new, fresh))
    keys = pl.DataFrame({"event_id": before.event_ids.gather(np.union1d(old, gone))})
    followed = ProcessState(
        after,
        predecessors,
        object_activities,
        object_edges,
        events,
        starts,
        ends,
        couples,
        nodes,
        edges,
        measures,
        variants,
        variant,
    )
    return followed, {"gold.event_performance": (keys, rows), "gold.object_summaries": summaries}


def _neighbours(traces: Traces, moved: Positions) -> Positions:
    """Give the first steps of the triples that are in these traces alone: in the others they are no neighbours."""
    follows = traces.step_object[1:] == traces.step_object[:-1]
    stayed = (moved[:-1] >= 0) & (moved[1:] == moved[:-1] + 1)
    return np.flatnonzero(follows & ~stayed)


def _nodes(
    state: ProcessState, after: Traces, moves: Moves, went: Positions, came: Positions
) -> tuple[Counts, list[Counts], dict[tuple[str, str], Node]]:
    """Count what nodes have; give the pairs of object and activity, and those of event and type."""
    sides = (state.traces, went, -1), (after, came, 1)
    nodes = dict(state.nodes)
    objects = state.object_activities
    for traces, steps, sign in sides:
        keys = _object_activity(traces, steps)
        if sign > 0:
            moved = moves.object[objects.keys >> _BITS] << _BITS | moves.activity[objects.keys & _LOW]
            objects, changed = objects.renamed(moved).with_more(keys)
        else:
            objects, changed = objects.with_less(keys)
        for name, found in (("unique_objects", changed), ("total_objects", keys)):
            _tally(nodes, name, traces, traces.object_type[found >> _BITS], found & _LOW, sign)
    ends = [_ends(traces, things) for traces, things in zip((state.traces, after), _compared(moves), strict=True)]
    reached = []
    for role, counts, by_side in (
        ("", state.events, (went, came)),
        ("start_", state.starts, (ends[0][0], ends[1][0])),
        ("end_", state.ends, (ends[0][1], ends[1][1])),
    ):
        for (traces, _, sign), steps in zip(sides, by_side, strict=True):
            keys = _event_type(traces, steps)
            if sign > 0:
                moved = moves.event[counts.keys >> _BITS] << _BITS | moves.object_type[counts.keys & _LOW]
                counts, changed = counts.renamed(moved).with_more(keys)
            else:
                counts, changed = counts.with_less(keys)
            _tally(nodes, f"{role}events", traces, changed & _LOW, traces.event_activity[changed >> _BITS], sign)
            if role:
                _tally(nodes, f"{role}objects", traces, keys & _LOW, traces.event_activity[keys >> _BITS], sign)
        reached.append(counts)
    return objects, reached, {key: node for key, node in nodes.items() if node.events}


def _compared(moves: Moves) -> tuple[Positions, Positions]:
    """Give the objects whose traces differ: as they were, and as they are."""
    before = moves.object < 0
    known = moves.object_before[moves.touched_objects]
    before[known[known >= 0]] = True
    return np.flatnonzero(before), np.flatnonzero(moves.touched_objects)


def _ends(traces: Traces, objects: Positions) -> tuple[Positions, Positions]:
    """Give the first and the last step of each object that has any."""
    first, after = traces.offsets[objects], traces.offsets[objects + 1]
    occupied = after > first
    return first[occupied], after[occupied] - 1


def _tally(
    nodes: dict[tuple[str, str], Node],
    name: str,
    traces: Traces,
    kinds: Codes | Positions,
    activities: Codes | Positions,
    sign: int,
) -> None:
    """Add how often each node occurs to one of its numbers."""
    for code, number in _counted(kinds.astype(np.int64) << _BITS | activities):
        key = traces.object_types[code >> _BITS], traces.activities[code & _LOW]
        node = nodes.get(key, _NO_NODE)
        nodes[key] = replace(node, **{name: getattr(node, name) + sign * number})


def _object_activity(traces: Traces, steps: Positions) -> Positions:
    keys: Positions = traces.step_object[steps].astype(np.int64) << _BITS | traces.step_activity[steps]
    return keys


def _event_type(traces: Traces, steps: Positions) -> Positions:
    kind = traces.object_type[traces.step_object[steps]]
    keys: Positions = traces.step_event[steps].astype(np.int64) << _BITS | kind
    return keys


def _counted(codes: Positions) -> list[tuple[int, int]]:
    found, counts = np.unique(codes, return_counts=True)
    return list(zip(found.tolist(), counts.tolist(), strict=True))


def _edges(
    state: ProcessState, after: Traces, moves: Moves, lost: Positions, gained: Positions
) -> tuple[Counts, dict[str, Counts], dict[tuple[str, str, str], Edge]]:
    before, edges = state.traces, dict(state.edges)
    objects, gone = state.object_edges.with_less(_object_edge(before, lost))
    _count_objects(edges, before, gone, -1)
    keys = objects.keys
    pair = moves.activity[keys >> _BITS & _LOW] << _BITS | moves.activity[keys & _LOW]
    objects, came = objects.renamed(moves.object[keys >> 2 * _BITS] << 2 * _BITS | pair).with_more(
        _object_edge(after, gained)
    )
    _count_objects(edges, after, came, 1)
    couples = _couples(state, after, moves, lost, gained, edges)
    went, came_durations = (_durations(traces, steps) for traces, steps in ((before, lost), (after, gained)))
    none = np.empty(0, dtype=np.int64)
    for key in went.keys() | came_durations.keys():
        edge = edges.get(key, Edge())
        edges[key] = replace(edge, durations=edge.durations.changed(went.get(key, none), came_durations.get(key, none)))
    return objects, couples, {key: edge for key, edge in edges.items() if len(edge.durations)}


def _object_edge(traces: Traces, first: Positions) -> Positions:
    pair = traces.step_activity[first].astype(np.int64) << _BITS | traces.step_activity[first + 1]
    keys: Positions = traces.step_object[first].astype(np.int64) << 2 * _BITS | pair
    return keys


def _count_objects(edges: dict[tuple[str, str, str], Edge], traces: Traces, keys: Positions, sign: int) -> None:
    kind = traces.object_type[keys >> 2 * _BITS].astype(np.int64)
    for code, number in _counted(kind << 2 * _BITS | keys & ((1 << 2 * _BITS) - 1)):
        key = _edge_name(traces, code)
        edge = edges.get(key, Edge())
        edges[key] = replace(edge, objects=edge.objects + sign * number)


def _edge_name(traces: Traces, code: int) -> tuple[str, str, str]:
    return (
        traces.object_types[code >> 2 * _BITS],
        traces.activities[code >> _BITS & _LOW],
        traces.activities[code & _LOW],
    )


def _couples(
    state: ProcessState,
    after: Traces,
    moves: Moves,
    lost: Positions,
    gained: Positions,
    edges: dict[tuple[str, str, str], Edge],
) -> dict[str, Counts]:
    """Count the couples of events by type; what came and what went changes the edges."""
    parts = [_by_type(traces, first) for traces, first in ((state.traces, lost), (after, gained))]
    none = np.empty(0, dtype=np.int64)
    couples = {}
    for kind in state.couples.keys() | parts[1].keys():
        counts, gone = state.couples.get(kind, Counts.of(none)).with_less(parts[0].get(kind, none))
        moved = moves.event[counts.keys >> 32] << 32 | moves.event[counts.keys & 0xFFFFFFFF]
        counts, came = counts.renamed(moved).with_more(parts[1].get(kind, none))
        for traces, keys, sign in ((state.traces, gone, -1), (after, came, 1)):
            pair = traces.event_activity[keys >> 32].astype(np.int64) << _BITS
            for code, number in _counted(pair | traces.event_activity[keys & 0xFFFFFFFF]):
                key = kind, traces.activities[code >> _BITS], traces.activities[code & _LOW]
                edge = edges.get(key, Edge())
                edges[key] = replace(edge, couples=edge.couples + sign * number)
        if len(counts.keys):
            couples[kind] = counts
    return couples


def _by_type(traces: Traces, first: Positions) -> dict[str, Positions]:
    kinds = traces.object_type[traces.step_object[first]]
    keys = traces.step_event[first].astype(np.int64) << 32 | traces.step_event[first + 1]
    # Objects are in the order of their types.
    bounds = np.searchsorted(kinds, np.arange(len(traces.object_types) + 1))
    names = traces.object_types
    return {names[code]: keys[bounds[code] : bounds[code + 1]] for code in np.flatnonzero(np.diff(bounds)).tolist()}


def _durations(traces: Traces, first: Positions) -> dict[tuple[str, str, str], Positions]:
    """Give the durations of triples by edge."""
    kind = traces.object_type[traces.step_object[first]].astype(np.int64) << 2 * _BITS
    code = kind | _object_edge(traces, first) & ((1 << 2 * _BITS) - 1)
    time = traces.event_time
    duration = time[traces.step_event[first + 1]] - time[traces.step_event[first]]
    return {_edge_name(traces, key): values for key, values in _grouped(code, duration)}


def _grouped(codes: Positions, values: Positions) -> list[tuple[int, Positions]]:
    """Group values by code."""
    order = np.argsort(codes, kind="stable")
    found, starts = np.unique(codes[order], return_index=True)
    return list(zip(found.tolist(), np.split(values[order], starts[1:]), strict=True)) if len(found) else []


def _measured(
    state: ProcessState, after: Traces, moves: Moves, lost: Positions, gained: Positions
) -> tuple[Positions, Positions]:
    """Give the events that are measured anew: their ranks before, and after."""
    went, came = (
        traces.step_event[first + 1].astype(np.int64) for traces, first in ((state.traces, lost), (after, gained))
    )
    earlier, later = moves.event_before[came], moves.event[went]
    return np.union1d(went, earlier[earlier >= 0]), np.union1d(came, later[later >= 0])


def _measures(
    state: ProcessState, after: Traces, predecessors: Predecessors, old: Positions, new: Positions
) -> dict[tuple[str, str | None, str], Values]:
    went = _measurements(state.traces, _only(state.predecessors, old))
    came = _measurements(after, _only(predecessors, new))
    measures, none = dict(state.measures), np.empty(0, dtype=np.int64)
    for key in went.keys() | came.keys():
        values = measures.get(key, _NO_VALUES).changed(went.get(key, none), came.get(key, none))
        measures[key] = values
    return {key: values for key, values in measures.items() if len(values)}


def _only(predecessors: Predecessors, events: Positions) -> Predecessors:
    """Give the predecessors of some events; those without any are left out."""
    place = np.searchsorted(predecessors.event, events)
    inside = place < len(predecessors.event)
    inside[inside] = predecessors.event[place[inside]] == events[inside]
    place = place[inside]
    starts = predecessors.offsets[place]
    sizes = predecessors.offsets[place + 1] - starts
    entries = ragged(starts, sizes)
    return Predecessors(
        predecessors.event[place],
        np.concatenate(([0], np.cumsum(sizes))),
        predecessors.object[entries],
        predecessors.predecessor[entries],
    )


def _measurements(traces: Traces, predecessors: Predecessors) -> dict[tuple[str, str | None, str], Positions]:
    """Give the values of all measures."""
    found: dict[tuple[str, str | None, str], Positions] = {}
    if not len(predecessors.event):
        return found
    overall = event_times(traces, predecessors).with_columns(object_type=pl.lit(-1, pl.Int32))
    for times, measures in ((overall, _OVERALL), (type_times(traces, predecessors), _BY_TYPE)):
        activity = traces.event_activity[times["event"].to_numpy()].astype(np.int64)
        code = (times["object_type"].to_numpy().astype(np.int64) + 1) << _BITS | activity
        for measure in measures:
            known = times[measure].is_not_null().to_numpy()
            for key, values in _grouped(code[known], times[measure].drop_nulls().to_numpy()):
                kind = None if key < MOST_NAMES else traces.object_types[(key >> _BITS) - 1]
                found[traces.activities[key & _LOW], kind, measure] = values
    return found


def _variants(state: ProcessState, after: Traces, moves: Moves) -> tuple[pl.DataFrame, Codes, RowChanges]:
    """Find the variants of touched objects, and describe these."""
    gone, touched = _compared(moves)
    part = _of_objects(after, touched)
    found = find_variants(part)
    described = trace_variants(part, found)
    key = ["object_type", "variant_id"]
    numbered = state.variants.select(key).with_row_index("code")
    codes = described.select(key).join(numbered, on=key, how="left", maintain_order="left")["code"]
    new = codes.is_null().arg_true()
    codes = codes.cast(pl.Int32).scatter(new, np.arange(len(new), dtype=np.int32) + len(state.variants))
    variants = pl.concat([state.variants, described[new].select(state.variants.columns)])
    variant = np.empty(len(after.object_ids), dtype=np.int32)
    stayed = moves.object_before >= 0
    variant[stayed] = state.variant[moves.object_before[stayed]]
    variant[touched] = codes.to_numpy()[found.of_object]
    used = np.bincount(variant, minlength=len(variants)) > 0
    if not used.all():
        variant = (np.cumsum(used) - 1).astype(np.int32)[variant]
        variants = variants.filter(pl.Series(used))
    rows = object_summaries(part, found, described["variant_id"])
    went = object_summaries(
        _of_objects(state.traces, gone), find_variants(_of_objects(state.traces, gone)), pl.Series([""] * 10**6)
    )
    return variants, variant, (went.select("object_id", "last_time"), rows)


def _of_objects(traces: Traces, objects: Positions) -> Traces:
    """Give the traces of some objects; the events stay all there are."""
    lengths = traces.lengths[objects]
    steps = ragged(traces.offsets[objects], lengths)
    return replace(
        traces,
        object_ids=traces.object_ids.gather(objects),
        object_type=traces.object_type[objects],
        step_object=np.repeat(np.arange(len(objects), dtype=np.int32), lengths),
        step_event=traces.step_event[steps],
        step_activity=traces.step_activity[steps],
        offsets=np.concatenate(([0], np.cumsum(lengths))),
    )
