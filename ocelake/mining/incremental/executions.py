"""Process executions and their variants that follow new events, without doing again what did not change.

New relations only unite connected executions: what was one stays one, and the graph that tells which unite has the old
executions for nodes. Where a relation, an event or an object went, the executions they were in are taken apart, and
found again from their own objects. An event or object whose activity, time or type alone was corrected holds together
what it held together before. An execution without any change in it keeps its hash and its variant; the others are
hashed, and compared with an example of each variant of the same hash.

Everything is kept in codes of the whole log's traces, also where executions are made of some object types alone: the
trace of an object is the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ocelake.mining.execution_variants import (
    MOST_EVENTS,
    example_pictures,
    execution_tables,
    graph_hashes,
    isomorphic_with,
    measure_variants,
    variant_ids,
)
from ocelake.mining.executions import (
    CONNECTED,
    Executions,
    find_executions,
    isolated_prefix,
    ragged,
    summary_rows,
)
from ocelake.mining.incremental.moves import Moves, Places, first_moves
from ocelake.mining.traces import Codes, Traces, encode
from ocelake.settings import MiningSettings
from ocelake.tables import TABLES, as_table, frame_schema

__all__ = [
    "ConnectedExecutions",
    "ConnectedVariants",
    "ExecutionChanges",
    "ExecutionState",
    "advance_executions",
    "execution_state",
]

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

_VARIANTS: Final = "gold.execution_variants"
_ROUNDS: Final = 4
"""How far from a hub, over events, is searched before all components are."""

_ROWS: Final = ("ocel.process_executions", "ocel.execution_events", "ocel.execution_objects")


@dataclass(frozen=True, slots=True, eq=False)
class ConnectedExecutions:
    """The connected executions of a log, by code: the order of their ids as text.

    Attributes
    ----------
    ids : Series of str
        One per execution, sorted.
    of_event, of_object : int32 array, one per event and one per object of the log
        Code of its execution; -1 where it is in none, as executions are made of other object types.
    events, objects : int64 array, one per execution
        How many it has.
    first_time, last_time : int64 array, one per execution
        Microseconds since 1970 in UTC; 0 without events.
    prefix : str
        What the id of an event without objects begins with.
    """

    ids: pl.Series
    of_event: Codes
    of_object: Codes
    events: Positions
    objects: Positions
    first_time: Positions
    last_time: Positions
    prefix: str


@dataclass(frozen=True, slots=True, eq=False)
class ConnectedVariants:
    """The variants of the connected executions.

    Attributes
    ----------
    hashes : uint64 array, one per execution
        Its invariant; 0 where it is not compared.
    of_execution : int32 array, one per execution
        Code of its variant: the order of their least executions; -1 where it is not compared.
    ids : Series of str, one per variant
        As `gold.execution_variants` has it.
    ordinals : int64 array, one per variant
        Its number among those with the same hash, from 1.
    places : int64 array, one per variant
        Its row in the table.
    table : DataFrame
        As `gold.execution_variants`.
    """

    hashes: Words
    of_execution: Codes
    ids: pl.Series
    ordinals: Positions
    places: Positions
    table: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionState:
    """What is kept of the executions of a log between two batches.

    Attributes
    ----------
    connected : ConnectedExecutions
        Always there: `gold.log_summary` counts them.
    variants : ConnectedVariants, optional
        None where the settings do not name connected executions.
    leading : mapping of str to mapping of str to DataFrame
        The tables of each kind of leading executions.
    """

    connected: ConnectedExecutions
    variants: ConnectedVariants | None
    leading: Mapping[str, Mapping[str, pl.DataFrame]]


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionChanges:
    """What a batch changes in the tables of executions.

    Attributes
    ----------
    removed, added : mapping of str to DataFrame
        For `ocel.process_executions`, `ocel.execution_events` and `ocel.execution_objects` the keys of rows that go,
        and rows that come, sorted, both without ``log_id``; a row that changes is in both, one that stays equal is in
        neither.
    variants : DataFrame
        All of `gold.execution_variants`.
    """

    removed: Mapping[str, pl.DataFrame]
    added: Mapping[str, pl.DataFrame]
    variants: pl.DataFrame


def execution_state(traces: Traces, settings: MiningSettings) -> ExecutionState:
    """Find the executions and variants of a log, to follow them from there.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    settings : MiningSettings
        Which kinds of executions there are, what they are made of, and when two are of one variant.

    Raises
    ------
    OcelakeError
        Where the log has no object of a type that the settings name.

    Examples
    --------
    >>> from datetime import datetime
    >>> relations = pl.DataFrame(
    ...     {"event_id": ["e1", "e2"], "object_id": ["o1", "o2"]}
    ... ).with_columns(
    ...     activity=pl.lit("pay"), object_type=pl.lit("order"), time=pl.lit(datetime(2024, 1, 1)), sequence=0
    ... )
    >>> state = execution_state(encode(relations), MiningSettings())
    >>> state.connected.ids.to_list(), state.variants.of_execution.tolist()
    (['o1', 'o2'], [0, 0])
    """
    # A log grows out of nothing in one batch.
    none, no_places = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
    moves = first_moves(traces)
    no_ids = pl.Series([], dtype=pl.String)
    nothing = ConnectedExecutions(no_ids, none, none, no_places, no_places, no_places, no_places, "")
    empty = encode(as_table("ocel.event_objects"))
    connected, passage = _regroup(nothing, _compare(nothing, empty, traces, moves, settings), traces)
    no_hashes = np.empty(0, dtype=np.uint64)
    unclassified = ConnectedVariants(no_hashes, none, no_ids, no_places, no_places, as_table(_VARIANTS))
    compared = CONNECTED in settings.executions
    variants = _classify(unclassified, connected, passage, traces, settings) if compared else None
    return ExecutionState(connected, variants, _leading(traces, settings))


def advance_executions(
    state: ExecutionState, before: Traces, after: Traces, moves: Moves, settings: MiningSettings
) -> tuple[ExecutionState, ExecutionChanges]:
    """Take executions and variants from one state of a log to the next.

    Parameters
    ----------
    state : ExecutionState
        Of the log before.
    before, after : Traces
        Of the whole log.
    moves : Moves
        From the one to the other.
    settings : MiningSettings
        As the state was made with.

    Returns
    -------
    state : ExecutionState
        Of the log after.
    changes : ExecutionChanges
        What that changes in the tables; with it they are what `ocelake.mining.execution_variants.execution_tables`
        makes of the log after.

    Raises
    ------
    OcelakeError
        Where the log has no object any more of a type that the settings name.

    Notes
    -----
    Leading executions overlap, and reach as far as the types go: they are found anew, and their tables compared. An
    execution that lost a relation, event or object is found anew as well, in the time that all its objects' steps take;
    and where an execution comes to be named after another object, all its rows change.

    Examples
    --------
    >>> from datetime import datetime
    >>> schema = ["event_id", "object_id"]
    >>> relations = pl.DataFrame([("e1", "o1"), ("e2", "o2"), ("e3", "o1"), ("e3", "o2")], schema, orient="row")
    >>> relations = relations.with_columns(
    ...     activity=pl.lit("pay"), object_type=pl.lit("order"), time=pl.lit(datetime(2024, 1, 1)), sequence=0
    ... )
    >>> before, after = encode(relations[:2]), encode(relations)
    >>> moves = Moves(
    ...     event=np.array([0, 1]), object=np.array([0, 1]), step=np.array([0, 2]),
    ...     event_before=np.array([0, 1, -1]), object_before=np.array([0, 1]), step_before=np.array([0, -1, 1, -1]),
    ...     activity=np.array([0]), object_type=np.array([0]),
    ...     touched_events=np.array([False, False, True]), touched_objects=np.array([True, True]),
    ... )
    >>> settings = MiningSettings()
    >>> state, changes = advance_executions(execution_state(before, settings), before, after, moves, settings)
    >>> state.connected.ids.to_list()
    ['o1']
    >>> changes.removed["ocel.execution_events"].rows(), changes.added["ocel.execution_events"].rows()
    ([('connected', 'o2', 'e2')], [('connected', 'o1', 'e2'), ('connected', 'o1', 'e3')])
    """
    change = _compare(state.connected, before, after, moves, settings)
    connected, passage = _regroup(state.connected, change, after)
    variants = _classify(state.variants, connected, passage, after, settings) if state.variants else None
    followed = ExecutionState(connected, variants, _leading(after, settings))
    changed = [
        {name: _differing(name, tables[name], followed.leading[kind][name]) for name in _ROWS}
        for kind, tables in state.leading.items()
    ]
    if state.variants and variants:
        pair = state.connected, connected
        rows = (
            _execution_rows(*pair, state.variants, variants, passage),
            _event_rows(*pair, before, after, passage, change),
            _object_rows(*pair, before, after, passage, moves),
        )
        changed.append(dict(zip(_ROWS, rows, strict=True)))
    removed, added = (
        {name: pl.concat([part[name][side] for part in changed]).sort(TABLES[name].key[1:]) for name in _ROWS}
        for side in (0, 1)
    )
    return followed, ExecutionChanges(removed, added, _all_variants(followed))


def _all_variants(state: ExecutionState) -> pl.DataFrame:
    """Give `gold.execution_variants`, by kind."""
    frames = [state.variants.table] if state.variants else []
    return pl.concat([as_table(_VARIANTS), *frames, *(tables[_VARIANTS] for tables in state.leading.values())])


def _leading(traces: Traces, settings: MiningSettings) -> dict[str, dict[str, pl.DataFrame]]:
    """Make the tables of each kind of leading executions, by kind."""
    kinds = sorted(set(settings.executions) - {CONNECTED})
    parts = traces.of_types(settings.execution_types) if kinds and settings.execution_types else traces
    equality = settings.execution_equality
    return {kind: execution_tables(parts, [find_executions(parts, kind)], equality=equality) for kind in kinds}


def _at(values: npt.NDArray[Any], positions: npt.NDArray[np.integer[Any]], missing: int = -1) -> npt.NDArray[Any]:
    """Look values up; what is at -1 is missing."""
    found: npt.NDArray[Any] = np.append(values, np.array([missing], dtype=values.dtype))[positions]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """What changed, of the objects that executions are made of and their relations.

    Attributes
    ----------
    event, object : int array, one per old event and object
        The new one with the same id, whatever else was corrected; -1 where there is none.
    event_before, object_before : int array, one per new event and object
        The same the other way round.
    members : bool array, one per new object
        Whether executions are made of it.
    alone : bool
        Whether an event without objects is an execution.
    left_event, left_object : int array, one per relation that went
        Old codes of its ends. A relation of the same ids, one of them corrected, did not go.
    new_event, new_object : int array, one per relation that came
        New codes of its ends. One with an end that was corrected came.
    touched_events, touched_objects : int arrays
        New codes of events and objects that came; one that was corrected came.
    """

    event: Places
    object: Places
    event_before: Places
    object_before: Places
    members: Mask
    alone: bool
    left_event: Codes
    left_object: Codes
    new_event: Codes
    new_object: Codes
    touched_events: Positions
    touched_objects: Positions


def _compare(
    old: ConnectedExecutions, before: Traces, after: Traces, moves: Moves, settings: MiningSettings
) -> _Change:
    """Say what changed of what executions are made of."""
    types = settings.execution_types
    chosen = after.chosen_types(types) if types else np.ones(len(after.object_types), dtype=bool)
    members = chosen[after.object_type]
    event, event_before = _by_id(moves.event, moves.event_before, before.event_ids, after.event_ids)
    thing, thing_before = _by_id(moves.object, moves.object_before, before.object_ids, after.object_ids)

    came = np.flatnonzero(moves.step_before < 0)
    came = came[members[after.step_object[came]]]
    new_event, new_object = after.step_event[came], after.step_object[came]
    went = np.flatnonzero(moves.step < 0)
    went = went[old.of_object[before.step_object[went]] >= 0]
    left_event, left_object = before.step_event[went], before.step_object[went]
    left = np.ones(len(went), dtype=bool)
    if len(went):
        # New relations are in the order of their keys. One whose event or object is gone has a key below all of them.
        keys = np.append(_keys(new_event, new_object), np.iinfo(np.int64).max)
        sought = _keys(event[left_event], thing[left_object])
        left = keys[np.searchsorted(keys, sought)] != sought
    return _Change(
        event=event,
        object=thing,
        event_before=event_before,
        object_before=thing_before,
        members=members,
        alone=not types,
        left_event=left_event[left],
        left_object=left_object[left],
        new_event=new_event,
        new_object=new_object,
        touched_events=np.flatnonzero(moves.event_before < 0),
        touched_objects=np.flatnonzero(moves.object_before < 0),
    )


def _keys(events: Codes | Positions, objects: Codes | Positions) -> Positions:
    keys: Positions = (objects.astype(np.int64) << 32) | events
    return keys


def _by_id(to: Places, back: Places, before: pl.Series, after: pl.Series) -> tuple[Places, Places]:
    """Give where ids are and were: of those that went and came as something else as well."""
    went, came = np.flatnonzero(to < 0), np.flatnonzero(back < 0)
    if not len(went) or not len(came):
        return to, back
    pairs = pl.DataFrame({"id": before.gather(went), "before": went}).join(
        pl.DataFrame({"id": after.gather(came), "after": came}), on="id"
    )
    to, back = to.copy(), back.copy()
    to[pairs["before"].to_numpy()] = pairs["after"].to_numpy()
    back[pairs["after"].to_numpy()] = pairs["before"].to_numpy()
    return to, back


@dataclass(frozen=True, slots=True, eq=False)
class _Passage:
    """From old executions to new ones.

    Attributes
    ----------
    whole : int64 array, one per new execution
        The old one that it is; -1 where it changed in any way.
    named : int64 array, one per old execution
        The new one of the same name; -1 without.
    grown : int64 array, one per old execution
        The new one that all that is left of it is in; -1 where it was taken apart.
    loose_events, loose_objects : int64 arrays
        New codes of what was in none, or in one that was taken apart.
    """

    whole: Positions
    named: Positions
    grown: Positions
    loose_events: Positions
    loose_objects: Positions


def _regroup(old: ConnectedExecutions, change: _Change, after: Traces) -> tuple[ConnectedExecutions, _Passage]:
    """Unite executions, and find again those that lost something."""
    prefix = isolated_prefix(after.object_ids)
    torn = _torn(old, change) | ((old.objects == 0) & (prefix != old.prefix))
    kept = np.flatnonzero(~torn)

    # The graph: what is left of an old execution is one node; each event and object that is in none is one.
    node = np.full(len(torn), -1, dtype=np.int32)
    node[kept] = np.arange(len(kept))
    of_event = _at(_at(node, old.of_event), change.event_before)
    of_object = np.where(change.members, _at(_at(node, old.of_object), change.object_before), -1)
    loose_objects = np.flatnonzero((of_object < 0) & change.members)
    lengths = after.lengths[loose_objects]
    ends = (
        np.concatenate((change.new_event, after.step_event[ragged(after.offsets[loose_objects], lengths)])),
        np.concatenate((change.new_object, np.repeat(loose_objects, lengths))),
    )
    loose = of_event < 0
    if not change.alone:
        related = np.zeros(len(loose), dtype=bool)
        related[ends[0]] = True
        loose &= related
    loose_events = np.flatnonzero(loose)
    border = len(kept) + len(loose_events)
    of_event[loose_events] = np.arange(len(kept), border)
    of_object[loose_objects] = np.arange(border, border + len(loose_objects))
    nodes = border + len(loose_objects)
    count, component = _components(nodes, of_event[ends[0]], of_object[ends[1]])

    # A component of one old execution alone keeps its name, and so its place among those that do.
    single = np.bincount(component, minlength=count)[component[: len(kept)]] == 1
    staying = kept[single]
    fresh = np.ones(count, dtype=bool)
    fresh[component[: len(kept)][single]] = False
    united = np.flatnonzero(~single & (old.objects[kept] > 0))
    fresh_code = np.cumsum(fresh) - 1
    names = _names(
        int(fresh.sum()),
        pl.concat([old.ids.gather(kept[united]), after.object_ids.gather(loose_objects)]),
        fresh_code[np.concatenate((component[united], component[border:]))],
        prefix + after.event_ids.gather(loose_events),
        fresh_code[component[len(kept) : border]],
    )
    ids, old_code, new_code = _merged(old.ids.gather(staying), names)
    code = np.empty(count, dtype=np.int32)
    code[component[: len(kept)][single]] = old_code
    code[fresh] = new_code

    of_event, of_object = _at(code[component], of_event), _at(code[component], of_object)
    executions = _described(ids, of_event, of_object, after, prefix)
    whole = np.full(count, -1)
    whole[old_code] = staying
    for part in (of_object[change.new_object], of_event[change.touched_events], of_object[change.touched_objects]):
        whole[part[part >= 0]] = -1
    named = np.full(len(torn), -1)
    named[staying] = old_code
    others = np.flatnonzero(named < 0)
    found = pl.DataFrame({"name": old.ids.gather(others)}).join(
        pl.DataFrame({"name": names, "code": new_code}), on="name", how="left", maintain_order="left"
    )
    named[others] = found["code"].fill_null(-1).to_numpy()
    return executions, _Passage(whole, named, _at(code[component], node), loose_events, loose_objects)


def _components(nodes: int, ones: Codes, others: Codes) -> tuple[int, Codes]:
    """Find the connected components of a graph from the ends of its edges.

    What is near the node with the most edges is put together first: where a hub makes one component of nearly all,
    that leaves few edges.
    """
    near = np.zeros(nodes, dtype=bool)
    if len(ones):
        near[np.bincount(others).argmax()] = True
    for _ in range(_ROUNDS):
        near[others[near[ones]]] = True
        near[ones[near[others]]] = True
        apart = np.flatnonzero(~(near[ones] & near[others]))
        ones, others = ones[apart], others[apart]
        if not len(ones):
            break
    number = np.cumsum(~near) - (not near.any())
    number[near] = 0
    size = int(number.max(initial=-1)) + 1
    # Bits, as it does not count how many edges are between the same two.
    edges = coo_array((np.ones(len(ones), dtype=bool), (number[ones], number[others])), shape=(size, size))
    count, component = connected_components(edges, directed=False)
    return count, component[number]


def _torn(old: ConnectedExecutions, change: _Change) -> Mask:
    """Say which old executions lost a relation, an event or an object."""
    torn = np.zeros(len(old.ids), dtype=bool)
    gone_objects = np.flatnonzero(~_at(change.members, change.object, 0))
    for part in (
        old.of_object[change.left_object],
        old.of_event[change.event < 0],
        old.of_object[gone_objects],
    ):
        torn[part[part >= 0]] = True
    return torn


def _names(count: int, objects: pl.Series, of_object: Positions, events: pl.Series, of_event: Positions) -> pl.Series:
    """Name components after their least object, those without after their event."""
    least = pl.DataFrame({"component": of_object, "name": objects}).group_by("component").agg(pl.col("name").min())
    places = least["component"].to_numpy()
    empty = np.ones(count, dtype=bool)
    empty[places] = False
    alone = empty[of_event]
    every = pl.concat([least["name"], events.filter(pl.Series(alone))])
    order = np.empty(count, dtype=np.int64)
    order[np.concatenate((places, of_event[alone]))] = np.arange(count)
    return every.gather(order)


def _merged(one: pl.Series, other: pl.Series) -> tuple[pl.Series, Positions, Positions]:
    """Sort names, of which some are sorted; give the names, and the places of the ones and of the others."""
    by_name = other.arg_sort().to_numpy()
    places = one.search_sorted(other.gather(by_name)).to_numpy().astype(np.int64) + np.arange(len(other))
    free = np.ones(len(one) + len(other), dtype=bool)
    free[places] = False
    of_one, of_other = np.flatnonzero(free), np.empty(len(other), dtype=np.int64)
    of_other[by_name] = places
    order = np.empty(len(free), dtype=np.int64)
    order[of_one], order[of_other] = np.arange(len(one)), np.arange(len(one), len(free))
    return pl.concat([one, other]).gather(order), of_one, of_other


def _described(ids: pl.Series, of_event: Codes, of_object: Codes, after: Traces, prefix: str) -> ConnectedExecutions:
    """Count and time the executions."""
    # What is in none is at the last place, which is cut off. Of many values written to one place, the last stays.
    first, last = np.zeros((2, len(ids) + 1), dtype=np.int64)
    first[of_event[::-1]] = after.event_time[::-1]
    last[of_event] = after.event_time
    events, objects = (np.bincount(of + 1, minlength=len(ids) + 1)[1:] for of in (of_event, of_object))
    return ConnectedExecutions(ids, of_event, of_object, events, objects, first[:-1], last[:-1], prefix)


def _gathered(executions: ConnectedExecutions, codes: Positions) -> Executions:
    """Give some executions, ascending."""
    place = np.full(len(executions.ids), -1, dtype=np.int32)
    place[codes] = np.arange(len(codes))
    members = []
    for of in (executions.of_event, executions.of_object):
        inside = np.flatnonzero(_at(place, of) >= 0)
        group = place[of[inside]]
        offsets = np.concatenate(([0], np.cumsum(np.bincount(group, minlength=len(codes)))))
        members += [offsets, inside[np.argsort(group, kind="stable")].astype(np.int32)]
    return Executions(CONNECTED, executions.ids.gather(codes), *members)


def _classify(
    old: ConnectedVariants,
    executions: ConnectedExecutions,
    passage: _Passage,
    after: Traces,
    settings: MiningSettings,
) -> ConnectedVariants:
    """Hash what changed, and find its variants."""
    equality = settings.execution_equality
    asked = (passage.whole < 0) & (executions.events <= MOST_EVENTS)
    hashes = _at(old.hashes, passage.whole, 0)
    changed = _gathered(executions, np.flatnonzero(asked))
    hashes[asked] = graph_hashes(after, changed, np.ones(len(changed.ids), dtype=bool), equality=equality)

    # Variants are told apart by labels first: the old code, or the number of old ones and an execution beyond that.
    label = _at(old.of_execution, passage.whole).astype(np.int64)
    example = _least(label, len(old.ordinals))
    near = example[example >= 0]
    codes = np.sort(np.concatenate((near[np.isin(hashes[near], hashes[asked])], np.flatnonzero(asked))))
    near_or_changed = _gathered(executions, codes)
    every, known = np.ones(len(codes), dtype=bool), ~asked[codes]
    like = codes[isomorphic_with(after, near_or_changed, hashes[codes], every, known, equality=equality)]
    label[codes] = np.where(asked[like], len(old.ordinals) + like, label[like])

    least = _least(label, len(old.ordinals) + len(label))
    examples = np.sort(least[least >= 0])
    code = np.full(len(least), -1, dtype=np.int32)
    code[label[examples]] = np.arange(len(examples))
    of_execution = _at(code, label)
    origin = np.where(label[examples] < len(old.ordinals), label[examples], -1)

    # A variant has another row where an execution joined or left it, or changed.
    same = passage.whole[passage.whole >= 0]
    left = np.ones(len(old.of_execution), dtype=bool)
    left[same] = False
    stale = np.zeros(len(old.ordinals) + 1, dtype=bool)
    stale[old.of_execution[left]] = True
    stale[-1] = True
    stale = stale[origin]
    stale[of_execution[asked]] = True
    made = _variant_rows(after, executions, of_execution, examples, stale)
    source = np.empty(len(examples), dtype=np.int64)
    source[~stale] = old.places[origin[~stale]]
    source[stale] = np.arange(len(old.table), len(old.table) + len(made))
    ids, ordinals = variant_ids(hashes[examples])
    # Only what the order is made of is looked up twice: the examples' pictures are long.
    sizes = pl.concat([old.table["executions"], made["executions"]]).gather(source)
    order = pl.DataFrame({"size": sizes, "id": ids}).select(pl.arg_sort_by("size", "id")).to_series().to_numpy()
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    table = pl.concat([old.table, made])[source[order]].with_columns(
        variant_id=ids.gather(order), share=pl.col("executions") / pl.col("executions").sum()
    )
    return ConnectedVariants(hashes, of_execution, ids, ordinals, places, table)


def _least(label: Positions, count: int) -> Positions:
    """Give the first place of each label; -1 where it is at none. A label of -1 is none."""
    least = np.full(count + 1, -1)
    least[label[::-1]] = np.arange(len(label))[::-1]
    return least[:-1]


def _variant_rows(
    after: Traces, executions: ConnectedExecutions, of_execution: Codes, examples: Positions, asked: Mask
) -> pl.DataFrame:
    """Give the rows of some variants, without id and share."""
    described = _summary(executions)
    inside = pl.Series(_at(asked, of_execution, 0))
    measured = measure_variants(of_execution[inside.to_numpy()], described["cycle_time"].filter(inside))
    codes = examples[asked]
    pictures = example_pictures(after, _gathered(executions, codes), np.arange(len(codes)))
    example = described.select("kind", "events", "objects", pl.col("execution_id").alias("example"))[codes]
    return (
        pl.concat([example, measured, pictures], how="horizontal")
        .with_columns(variant_id=pl.lit(""), share=0.0)
        .select(pl.col(name).cast(dtype) for name, dtype in frame_schema(_VARIANTS).items())
    )


def _summary(executions: ConnectedExecutions) -> pl.DataFrame:
    sizes = executions.events, executions.objects
    return summary_rows(CONNECTED, executions.ids, *sizes, executions.first_time, executions.last_time)


def _differing(name: str, before: pl.DataFrame, after: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give keys of the rows that only the one table has, and the rows that only the other has."""
    went = before.join(after, on=before.columns, how="anti", nulls_equal=True)
    came = after.join(before, on=after.columns, how="anti", nulls_equal=True)
    return went.select(TABLES[name].key[1:]), came


def _execution_rows(
    old: ConnectedExecutions,
    new: ConnectedExecutions,
    old_variants: ConnectedVariants,
    new_variants: ConnectedVariants,
    passage: _Passage,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the keys of `ocel.process_executions` that go, and the rows that come."""
    named = np.flatnonzero(passage.named >= 0)
    code = passage.named[named]
    equal = np.ones(len(named), dtype=bool)
    for before, after in zip(_shown(old, old_variants), _shown(new, new_variants), strict=True):
        equal &= before[named] == after[code]
    went, came = np.ones(len(old.ids), dtype=bool), np.ones(len(new.ids), dtype=bool)
    went[named[equal]] = False
    came[code[equal]] = False
    variant = pl.Series(new_variants.of_execution[came]).replace(-1, None)
    rows = _summary(new).filter(pl.Series(came)).with_columns(variant_id=new_variants.ids.gather(variant))
    return _keyed({"execution_id": old.ids.filter(pl.Series(went))}), as_table("ocel.process_executions", rows)


def _shown(executions: ConnectedExecutions, variants: ConnectedVariants) -> tuple[npt.NDArray[Any], ...]:
    """Give what the row of an execution tells, as numbers: a variant is named after its hash and ordinal."""
    ordinal = _at(variants.ordinals, variants.of_execution, 0)
    times = executions.first_time, executions.last_time
    return executions.events, executions.objects, *times, variants.hashes, ordinal


def _event_rows(
    old: ConnectedExecutions,
    new: ConnectedExecutions,
    before: Traces,
    after: Traces,
    passage: _Passage,
    change: _Change,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the keys of `ocel.execution_events` that go, and the rows that come."""
    went, came = _moved(old.of_event, new.of_event, change.event, change.event_before, passage.loose_events, passage)
    return (
        _keyed({"execution_id": old.ids.gather(old.of_event[went]), "event_id": before.event_ids.gather(went)}),
        _keyed({"execution_id": new.ids.gather(new.of_event[came]), "event_id": after.event_ids.gather(came)}),
    )


def _object_rows(
    old: ConnectedExecutions, new: ConnectedExecutions, before: Traces, after: Traces, passage: _Passage, moves: Moves
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the keys of `ocel.execution_objects` that go, and the rows that come: also where the type was corrected."""
    went, came = _moved(old.of_object, new.of_object, moves.object, moves.object_before, passage.loose_objects, passage)
    return (
        _keyed({"execution_id": old.ids.gather(old.of_object[went]), "object_id": before.object_ids.gather(went)}),
        _keyed(
            {
                "execution_id": new.ids.gather(new.of_object[came]),
                "object_id": after.object_ids.gather(came),
                "object_type": after.object_types.gather(after.object_type[came]),
            }
        ),
    )


def _moved(
    old: Codes, new: Codes, to: Places, back: Places, loose: Positions, passage: _Passage
) -> tuple[Positions, Positions]:
    """Give the old members that are not in an execution of the same name any more, and the new ones that were not."""
    elsewhere = (passage.grown < 0) | (passage.grown != passage.named)
    went = np.flatnonzero(_at(elsewhere, old, 0) | ((to < 0) & (old >= 0)))
    there = to[went]
    place = _at(new, there)
    stays = (place >= 0) & (place == passage.named[old[went]])
    # The events and objects of what was taken apart may have got together under the same name.
    asked = back < 0
    asked[loose] = True
    asked[there[there >= 0]] = True
    came = np.flatnonzero(asked & (new >= 0))
    stayed = _at(passage.named, _at(old, back[came])) == new[came]
    return went[~stays], came[~stayed]


def _keyed(columns: Mapping[str, pl.Series]) -> pl.DataFrame:
    """Give rows of connected executions."""
    return pl.DataFrame(columns).select(pl.lit(CONNECTED).alias("kind"), *columns)
