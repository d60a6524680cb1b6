"""Traces that follow a log are the traces of the log as it is then."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from ocelake.errors import OcelakeError
from ocelake.mining.incremental import Moves, move_traces
from ocelake.mining.traces import Traces
from tests.unit.changing_logs import START, Log, change, histories


def sequence_of(log: Log, traces: Traces) -> np.ndarray:
    return np.array([log.events[name][2] for name in traces.event_ids], dtype=np.int64)


def assert_same(ours: Traces, theirs: Traces) -> None:
    for part in fields(Traces):
        left, right = getattr(ours, part.name), getattr(theirs, part.name)
        assert list(left) == list(right), part.name
        assert left.dtype == right.dtype, part.name


def assert_moves(before: Log, after: Log, old: Traces, new: Traces, moves: Moves) -> None:
    for moved, back, ids, new_ids, stayed in (
        (
            moves.event,
            moves.event_before,
            old.event_ids,
            new.event_ids,
            lambda name: before.events[name] == after.events.get(name),
        ),
        (
            moves.object,
            moves.object_before,
            old.object_ids,
            new.object_ids,
            lambda name: before.objects[name] == after.objects.get(name),
        ),
    ):
        assert [new_ids[int(to)] if to >= 0 else None for to in moved] == [
            name if stayed(name) else None for name in ids
        ]
        assert {(int(to), at) for at, to in enumerate(moved) if to >= 0} == {
            (at, int(to)) for at, to in enumerate(back) if to >= 0
        }
    for at, to in enumerate(moves.step):
        if to >= 0:
            assert moves.step_before[to] == at
            assert moves.event[old.step_event[at]] == new.step_event[to]
            assert moves.object[old.step_object[at]] == new.step_object[to]
    assert (moves.step >= 0).sum() == (moves.step_before >= 0).sum()
    traces = [
        {
            name: t.event_ids.gather(t.step_event[t.offsets[at] : t.offsets[at + 1]]).to_list()
            for at, name in enumerate(t.object_ids)
        }
        for t in (old, new)
    ]
    kept = {name for name, event in after.events.items() if before.events.get(name) == event}
    for at, name in enumerate(new.object_ids):
        same = (
            before.objects.get(name) == after.objects[name]
            and traces[0][name] == traces[1][name]
            and set(traces[1][name]) <= kept
        )
        assert bool(moves.touched_objects[at]) == (not same)
    for at, name in enumerate(new.event_ids):
        before_related = {o for e, o in before.relations if e == name and before.objects[o] == after.objects.get(o)}
        related = {o for e, o in after.relations if e == name}
        lost = {o for e, o in before.relations if e == name} - before_related
        assert bool(moves.touched_events[at]) == (name not in kept or related != before_related or bool(lost))


@settings(max_examples=200)
@given(histories())
def test_moved_traces_are_those_of_the_whole(logs: list[Log]) -> None:
    traces = logs[0].traces()
    sequence = sequence_of(logs[0], traces)
    for before, after in pairwise(logs):
        old = traces
        traces, sequence, moves = move_traces(old, sequence, change(before, after))
        assert_same(traces, after.traces())
        assert sequence.tolist() == sequence_of(after, traces).tolist()
        assert_moves(before, after, old, traces, moves)


def test_a_change_of_another_log_is_refused() -> None:
    empty = Log().traces()
    gone = Log({}, {"o": "order"}, set())
    with pytest.raises(OcelakeError, match="no object 'o'"):
        move_traces(empty, np.empty(0, dtype=np.int64), change(gone, Log()))
    lost = replace(change(Log(), Log()), relations_came=Log(relations={("e", "o")}).frames()[2])
    with pytest.raises(OcelakeError, match="no object 'o'"):
        move_traces(empty, np.empty(0, dtype=np.int64), lost)


def test_a_relation_that_goes_and_comes_is_a_new_step() -> None:
    log = Log({"e": ("a", START, 0)}, {"o": "order", "p": "order"}, {("e", "o"), ("e", "p")})
    again = Log(relations={("e", "o")}).frames()[2]
    changes = replace(change(log, log), relations_went=again, relations_came=again)
    traces, _, moves = move_traces(log.traces(), np.zeros(1, dtype=np.int64), changes)
    assert_same(traces, log.traces())
    assert moves.step.tolist() == moves.step_before.tolist() == [-1, 1]
    assert moves.touched_objects.tolist() == [True, False]


def test_a_relation_that_was_not_there_does_not_go() -> None:
    log = Log({"e": ("a", START, 0)}, {"o": "order", "p": "order"}, {("e", "p")})
    gone = replace(change(log, log), relations_went=Log(relations={("e", "o")}).frames()[2])
    with pytest.raises(OcelakeError, match="relation that went"):
        move_traces(log.traces(), np.zeros(1, dtype=np.int64), gone)


@pytest.mark.parametrize("after", [Log({}, {"o": "order"}), Log({"e": ("a", START, 0)})], ids=["event", "object"])
def test_what_goes_takes_its_steps_along(after: Log) -> None:
    log = Log({"e": ("a", START, 0)}, {"o": "order"}, {("e", "o")})
    untold = replace(change(log, after), relations_went=Log().frames()[2])
    traces, _, moves = move_traces(log.traces(), np.zeros(1, dtype=np.int64), untold)
    assert_same(traces, after.traces())
    assert moves.step.tolist() == [-1]


def test_a_new_event_comes_before_the_next_one() -> None:
    """The next event's rank is where the new one comes in, which is not to be taken for it."""
    logs = [
        Log(dict.fromkeys(names, ("a", START, 0)), {"o": "order"}, {(name, "o") for name in names})
        for names in ("f", "ef")
    ]
    traces, _, moves = move_traces(logs[0].traces(), np.zeros(1, dtype=np.int64), change(*logs))
    assert_same(traces, logs[1].traces())
    assert moves.step_before.tolist() == [-1, 0]
