"""Executions that follow batches against the tables of the whole log, on random logs and random batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import OcelakeError
from ocelake.mining import Traces, execution_variants
from ocelake.mining.execution_variants import execution_tables
from ocelake.mining.executions import connected_executions, find_executions
from ocelake.mining.incremental import executions as incremental
from ocelake.mining.incremental.executions import ExecutionChanges, advance_executions, execution_state
from ocelake.settings import MiningSettings
from ocelake.tables import TABLES
from tests.unit.reference_mining import Log
from tests.unit.reference_moves import moves_between
from tests.unit.test_execution_variants import from_traces, merged, ring
from tests.unit.test_executions import traces_of

if TYPE_CHECKING:
    from collections.abc import Iterator

Tables = Mapping[str, pl.DataFrame]

TYPES = ["item", "order", "person"]
NAMES = ["a", "b", "c", "d", "e", "f", "event:1", "ö"]
EVENTS = st.tuples(st.sampled_from("xxy"), st.integers(0, 3), st.integers(0, 1))


@st.composite
def edits(draw: st.DrawFn, log: Log) -> Log:
    """Draw what a batch does: it adds, corrects and takes away events, objects and relations."""
    events, objects, relations = dict(log.events), dict(log.objects), set(log.relations)
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from(NAMES))
        match draw(st.sampled_from(["event", "event", "object", "relation", "relation", "less"])):
            case "event":
                events[name] = draw(EVENTS)
                relations |= {(name, other, "") for other in draw(st.sets(st.sampled_from(NAMES), max_size=2))}
            case "object":
                objects[name] = draw(st.sampled_from(TYPES))
            case "relation":
                relations.add((name, draw(st.sampled_from(NAMES)), ""))
            case "less":
                taken = draw(st.sampled_from([events, objects]))
                taken.pop(name, None)
                if relations:
                    relations.discard(draw(st.sampled_from(sorted(relations))))
    kept = [(event, name, "") for event, name, _ in sorted(relations) if event in events and name in objects]
    return Log(events, objects, kept)


@st.composite
def histories(draw: st.DrawFn) -> list[Log]:
    """Draw a log and what becomes of it."""
    names = st.sampled_from(NAMES)
    start = Log(
        draw(st.dictionaries(names, EVENTS)),
        draw(st.dictionaries(names, st.sampled_from(TYPES))),
        draw(st.lists(st.tuples(names, names, st.just("")), unique=True, max_size=12)),
    )
    logs = [draw(edits(start))]
    for _ in range(draw(st.integers(1, 3))):
        logs.append(draw(edits(logs[-1])))
    return logs


def whole(traces: Traces, mining: MiningSettings) -> Tables:
    parts = traces.of_types(mining.execution_types) if mining.execution_types else traces
    found = [find_executions(parts, kind) for kind in sorted(set(mining.executions))]
    return execution_tables(parts, found, equality=mining.execution_equality)


def applied(tables: Tables, changes: ExecutionChanges) -> Tables:
    """Give the tables after the changes, which have to be the least ones."""
    result = {"gold.execution_variants": changes.variants}
    for name, frame in tables.items():
        if name == "gold.execution_variants":
            continue
        key = list(TABLES[name].key[1:])
        removed, added = changes.removed[name], changes.added[name]
        assert removed.columns == key
        assert removed.join(frame, on=key, how="anti").is_empty(), "only what is there goes"
        assert added.join(frame, on=added.columns, how="semi", nulls_equal=True).is_empty(), "what stays does not come"
        result[name] = pl.concat([frame.join(removed, on=key, how="anti"), added]).sort(key)
        for part in (removed, added):
            assert_frame_equal(part, part.sort(key))
    return result


def assert_follows(logs: Sequence[Log], mining: MiningSettings) -> None:
    """Hold the tables after each batch to those of the whole log."""
    before = traces_of(logs[0])
    state, tables = execution_state(before, mining), whole(before, mining)
    for log in logs[1:]:
        after = traces_of(log)
        state, changes = advance_executions(state, before, after, moves_between(before, after), mining)
        tables, expected = applied(tables, changes), whole(after, mining)
        for name, frame in expected.items():
            assert_frame_equal(tables[name], frame, check_exact=True)
        parts = after.of_types(mining.execution_types) if mining.execution_types else after
        assert state.connected.ids.to_list() == connected_executions(parts).ids.to_list()
        before = after


@contextmanager
def small(*, events: int = 4, alike: bool = False) -> Iterator[None]:
    """Compare executions of few events only; give all graphs the same hash."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (execution_variants, incremental):
            patch.setattr(module, "MOST_EVENTS", events)
        if alike:
            patch.setattr(execution_variants, "_hashes", lambda graphs: np.full(len(graphs), 7, dtype=np.uint64))
        yield


@settings(max_examples=100)
@given(histories(), st.sampled_from(["labelled", "adams"]), st.booleans(), st.sampled_from([4, 50_000]))
def test_the_tables_are_those_of_the_whole_log(logs: list[Log], equality: str, alike: bool, most: int) -> None:
    with small(events=most, alike=alike):
        assert_follows(logs, MiningSettings.model_validate({"execution_equality": equality}))


@settings(max_examples=50)
@given(histories(), st.sampled_from([["connected"], ["leading:item", "connected"], ["leading:item"]]), st.booleans())
def test_they_are_where_executions_are_made_of_some_types(logs: list[Log], kinds: list[str], alike: bool) -> None:
    logs = [replace(log, objects=log.objects | {"item": "item", "order": "order"}) for log in logs]
    with small(alike=alike):
        described = {"executions": kinds, "execution_types": ["item", "order"]}
        assert_follows(logs, MiningSettings.model_validate(described))


def test_a_batch_without_changes_changes_nothing() -> None:
    log = merged(ring(2), ring(3), ring(2))
    traces, mining = traces_of(log), MiningSettings(executions=("connected", "leading:order"))
    state = execution_state(traces, mining)
    _, changes = advance_executions(state, traces, traces, moves_between(traces, traces), mining)
    assert all(frame.is_empty() for part in (changes.removed, changes.added) for frame in part.values())
    assert_frame_equal(changes.variants, whole(traces, mining)["gold.execution_variants"], check_exact=True)


def test_what_did_not_change_is_neither_hashed_nor_compared() -> None:
    """The second of three alike orders gets an event more; the fourth is like it."""
    logs = [
        merged(*(from_traces({"o": ("order", list(trace))}) for trace in log))
        for log in (
            ("ab", "ab", "ab", "abc"),
            ("ab", "abc", "ab", "abc"),
        )
    ]
    before, after = map(traces_of, logs)
    state, hashed, compared = execution_state(before, MiningSettings()), [], []
    with pytest.MonkeyPatch.context() as patch:
        original, decided = execution_variants._hashes, execution_variants._isomorphic
        patch.setattr(execution_variants, "_hashes", lambda graphs: hashed.append(len(graphs)) or original(graphs))
        patch.setattr(
            execution_variants,
            "_isomorphic",
            lambda graphs, *pairs: compared.append(len(graphs)) or decided(graphs, *pairs),
        )
        _, changes = advance_executions(state, before, after, moves_between(before, after), MiningSettings())
    assert (hashed, compared) == ([1], [2])
    assert changes.variants["executions"].to_list() == [2, 2]
    assert {name: len(frame) for name, frame in changes.added.items()} == {
        "ocel.process_executions": 1,
        "ocel.execution_events": 1,
        "ocel.execution_objects": 0,
    }


def test_variants_with_the_same_hash_are_numbered_anew_when_the_first_goes() -> None:
    """Rings of six, and two of three: refinement cannot tell them apart."""
    logs = [merged(ring(6), ring(3, 3), ring(6)), merged(Log({}, {}, []), ring(3, 3), ring(6))]
    before, after = map(traces_of, logs)
    state = execution_state(before, MiningSettings())
    _, changes = advance_executions(state, before, after, moves_between(before, after), MiningSettings())
    (first, second), (third, fourth) = (
        frame.sort("execution_id")["variant_id"].to_list()
        for frame in (
            changes.added["ocel.process_executions"],
            whole(after, MiningSettings())["ocel.process_executions"],
        )
    )
    assert (first, second) == (third, fourth) == (first, f"{first}-2")


def test_a_type_that_executions_are_made_of_has_to_stay() -> None:
    before, after = traces_of(from_traces({"o": ("order", ["a"])})), traces_of(from_traces({"i": ("item", ["a"])}))
    mining = MiningSettings(execution_types=("order",))
    state = execution_state(before, mining)
    with pytest.raises(OcelakeError, match="no objects of the type 'order'"):
        advance_executions(state, before, after, moves_between(before, after), mining)
