"""Activity instances: which start belongs to which completion, and what is waiting and what working."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelake.errors import OcelakeError
from ocelake.mining.lifecycle import Work, edge_work, find_work, work_times
from tests.unit.reference_mining import Log, logs
from tests.unit.reference_performance import attributes, encoded, predecessors

SECOND = 1_000_000
TRANSITION = "lifecycle:transition"


def log_of(*steps: str, objects: dict[str, str] | None = None) -> tuple[Log, pl.DataFrame]:
    """Make a log from lines "activity+ objects" (start) or "activity- objects" (completion), one second each."""
    kinds = objects or {"o": "order", "p": "order"}
    events, relations, transitions = {}, [], []
    for second, step in enumerate(steps):
        name, *members = step.split()
        event = f"{second:02d}{name}"
        events[event] = (name.rstrip("+-"), second * SECOND, 0)
        relations += [(event, member, "") for member in members]
        if name[-1] in "+-":
            transitions.append((event, TRANSITION, "Start" if name[-1] == "+" else "complete"))
    return Log(events, kinds, relations), attributes(transitions)


def instances(log: Log, values: pl.DataFrame, start: str | None = None) -> dict[str, tuple[object, ...]]:
    """Give completing event to (start event, waiting, working)."""
    traces = encoded(log)
    found = work_times(traces, find_work(traces, values, start=start))
    return {row[0]: row[1:] for row in found.select("event_id", "start_event_id", "waiting", "working").iter_rows()}


def test_work_lasts_from_its_start_to_its_completion_and_waits_since_the_last_one() -> None:
    log, values = log_of("place- o", "pack+ o", "pack- o", "send- o")
    assert instances(log, values) == {"02pack-": ("01pack+", 1.0, 1.0)}


def test_the_first_start_is_completed_first() -> None:
    log, values = log_of("a+ o", "a+ o", "a- o", "a- o")
    assert {event: found[0] for event, found in instances(log, values).items()} == {"02a-": "00a+", "03a-": "01a+"}


def test_a_completion_without_an_open_start_has_no_working_time_and_uses_up_no_start() -> None:
    log, values = log_of("a- o", "a+ o", "b- o", "a- o", "a- o")
    assert instances(log, values) == {"03a-": ("01a+", 1.0, 2.0)}


def test_waiting_is_for_completions_not_for_the_start_of_other_work() -> None:
    log, values = log_of("place- o", "a+ o", "b+ o", "a- o", "b- o")
    assert instances(log, values) == {"03a-": ("01a+", 1.0, 2.0), "04b-": ("02b+", 2.0, 2.0)}


def test_work_that_began_before_its_predecessor_was_complete_did_not_wait() -> None:
    log = Log({"a": ("a", 5 * SECOND, 0), "b": ("b", 8 * SECOND, 0)}, {"o": "order"}, [("a", "o", ""), ("b", "o", "")])
    assert instances(log, attributes([("b", "begun", 3 * SECOND)]), "begun") == {"b": (None, 0.0, 5.0)}


def test_objects_that_disagree_follow_the_start_with_most_of_them() -> None:
    # Ann starts work on o, then on p, and completes p first: by her alone, it would be the start of o.
    log, values = log_of(
        "a+ o Ann", "a+ p Ann", "a- p Ann", "a- o Ann", objects={"o": "order", "p": "order", "Ann": "clerk"}
    )
    assert {event: found[0] for event, found in instances(log, values).items()} == {"02a-": "01a+", "03a-": "00a+"}


def test_a_batch_is_started_once_and_completed_one_by_one() -> None:
    log, values = log_of("a+ o p", "a- o", "a- p")
    assert instances(log, values) == {"01a-": ("00a+", None, 1.0), "02a-": ("00a+", None, 2.0)}


def test_instance_ids_tell_parallel_work_apart() -> None:
    log, values = log_of("a+ o", "a+ o", "a- o", "a- o")
    names = attributes([(event, "concept:instance", name) for event, name in zip(log.events, "xyyx", strict=True)])
    found = instances(log, pl.concat([values, names]))
    assert {event: of[0] for event, of in found.items()} == {"02a-": "01a+", "03a-": "00a+"}


def test_an_attribute_tells_the_start_before_any_event_does() -> None:
    log, values = log_of("place- o", "a+ o", "a- o")
    begun = attributes([("02a-", "begun", SECOND // 2)])
    assert instances(log, pl.concat([values, begun]), "begun") == {"02a-": (None, 0.5, 1.5)}


def test_a_start_after_the_completion_is_not_believed() -> None:
    log, _ = log_of("a o", "b o")
    assert instances(log, attributes([("00a", "begun", 5 * SECOND)]), "begun") == {}


def test_starts_that_are_no_times_are_refused() -> None:
    log, _ = log_of("a o")
    with pytest.raises(OcelakeError, match="of its 1 values none is, such as 'yesterday'"):
        instances(log, attributes([("00a", "begun", "yesterday")]), "begun")
    with pytest.raises(OcelakeError, match=r"'began'.* no event has it"):
        instances(log, attributes([("00a", "begun", SECOND)]), "began")


def test_edges_are_split_into_waiting_and_working_over_distinct_couples() -> None:
    # Two orders go together: one couple. The work on b began before a was complete, so that nothing waited.
    log, values = log_of("a+ o p", "b+ o p", "a- o p", "b- o p", "c+ o", "c- o")
    traces = encoded(log)
    found = edge_work(traces, find_work(traces, values))
    assert found.rows() == [
        ("order", "a", "b", 1, 0.0, 0.0, 1.0, 1.0),
        ("order", "b", "c", 1, 1.0, 1.0, 1.0, 1.0),
    ]


@given(logs(), st.data())
def test_without_known_starts_there_is_nothing(log: Log, data: st.DataObject) -> None:
    completes = data.draw(st.sets(st.sampled_from(sorted(log.events)))) if log.events else set()
    work = find_work(encoded(log), attributes([(event, TRANSITION, "complete") for event in completes]))
    assert work.instances.is_empty()
    assert not work.starts.any()


@given(logs(), st.data())
def test_pairs_are_those_of_a_queue_per_object(log: Log, data: st.DataObject) -> None:
    transitions = {
        event: data.draw(st.sampled_from(["start", "complete", "complete", "suspend", None])) for event in log.events
    }
    values = attributes([(event, TRANSITION, kind) for event, kind in transitions.items() if kind])
    found = {event: of[0] for event, of in instances(log, values).items()}

    candidates: dict[str, set[str]] = {}
    traces = log.traces()
    for events in traces.values():
        queues: dict[str, list[str]] = {}
        for event in events:
            queue = queues.setdefault(log.events[event][0], [])
            if transitions[event] == "start":
                queue.append(event)
            elif transitions[event] == "complete" and queue:
                candidates.setdefault(event, set()).add(queue.pop(0))

    def preference(event: str, start: str) -> tuple[int, int, int, str]:
        shared = sum(event in events and start in events for events in traces.values())
        return (-shared, *log.events[start][1:], start)

    assert found == {
        event: min(starts, key=lambda start, event=event: preference(event, start))
        for event, starts in candidates.items()
    }


@given(logs(), st.data())
def test_waiting_and_working_are_as_defined(log: Log, data: st.DataObject) -> None:
    begun = {event: data.draw(st.integers(-3, 3)) + time for event, (_, time, _) in log.events.items()}
    found = instances(log, attributes([(event, "begun", start) for event, start in begun.items()]), "begun")
    expected = {}
    for event, before in predecessors(log).items():
        own, start = log.events[event][1], begun[event]
        last = max((log.events[first][1] for _, _, first in before), default=None)
        if start <= own:
            expected[event] = (None, None if last is None else max(start - last, 0) / 1e6, (own - start) / 1e6)
    assert found == expected


@given(logs(), st.data())
def test_the_parts_of_an_edge_add_up_to_its_durations(log: Log, data: st.DataObject) -> None:
    worked = {event: data.draw(st.integers(0, 5)) for event in log.events}
    traces = encoded(log)
    names = traces.event_ids.to_list()
    work = Work(
        starts=np.zeros(len(names), dtype=bool),
        instances=pl.DataFrame(
            {"event": range(len(names)), "working": [worked[name] for name in names]},
            schema={"event": pl.Int32, "working": pl.Int64},
        ),
    )
    found = edge_work(traces, work)
    couples = {(kind, first, event) for event, before in predecessors(log).items() for kind, _, first in before}
    waiting, working, count = Counter[object](), Counter[object](), Counter[object]()
    for kind, first, event in couples:
        edge = (kind, log.events[first][0], log.events[event][0])
        duration = log.events[event][1] - log.events[first][1]
        count[edge] += 1
        working[edge] += min(worked[event], duration)
        waiting[edge] += duration - min(worked[event], duration)
    assert {row[:3]: row[3] for row in found.iter_rows()} == count
    for row in found.iter_rows(named=True):
        edge = (row["object_type"], row["source"], row["target"])
        assert row["waiting_sum"] == pytest.approx(waiting[edge] / 1e6)
        assert row["working_sum"] == pytest.approx(working[edge] / 1e6)
        assert row["waiting_mean"] == pytest.approx(waiting[edge] / 1e6 / count[edge])
        assert row["working_mean"] == pytest.approx(working[edge] / 1e6 / count[edge])
