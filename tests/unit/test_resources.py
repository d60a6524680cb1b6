"""Resources: how much they do, how long they are busy, and to whom they hand over."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelake.errors import OcelakeError
from ocelake.mining.lifecycle import find_work
from ocelake.mining.predecessors import find_predecessors
from ocelake.mining.resources import event_resources, handovers, resources
from ocelake.settings import MiningSettings
from tests.unit.reference_mining import Log, logs
from tests.unit.reference_performance import attributes, encoded, predecessors

SECOND = 1_000_000
LOG = Log(
    {"a": ("place", 0, 0), "b": ("pack", 4 * SECOND, 0), "c": ("send", 10 * SECOND, 0)},
    {"o": "order", "Ann": "clerk", "Bob": "clerk"},
    [("a", "o", ""), ("b", "o", ""), ("c", "o", ""), ("a", "Ann", ""), ("b", "Bob", ""), ("c", "Bob", "helps")],
)


def described(log: Log, values: pl.DataFrame, **settings: str) -> dict[str, dict[str, object]]:
    traces = encoded(log)
    chosen = MiningSettings.model_validate(settings)
    work = find_work(traces, values, start=chosen.start)
    found = resources(traces, event_resources(traces, values, chosen), work)
    return {row["resource"]: row for row in found.iter_rows(named=True)}


def handed(log: Log, values: pl.DataFrame, **settings: str) -> dict[tuple[str, str, str], tuple[int, float]]:
    traces = encoded(log)
    done_by = event_resources(traces, values, MiningSettings.model_validate(settings))
    return {row[:3]: row[3:] for row in handovers(traces, find_predecessors(traces), done_by).iter_rows()}


@pytest.mark.parametrize("name", ["org:resource", "resource", "clerk"])
def test_an_attribute_or_a_type_names_the_resource(name: str) -> None:
    values = attributes([("a", name, "Ann"), ("b", name, "Bob"), ("c", name, "Bob")])
    settings = {"resource": name} if name == "clerk" else {}
    by_attribute, by_type = described(LOG, values, **settings), described(LOG, values, resource_type="clerk")
    assert by_attribute == by_type
    assert (by_type["Bob"]["events"], by_type["Bob"]["activities"]) == (2, 2)
    assert by_type["Bob"]["workload_share"] == pytest.approx(2 / 3)
    expected = {("order", "Ann", "Bob"): (1, 4.0)}
    assert handed(LOG, values, resource_type="clerk") == expected
    assert handed(LOG, values, **settings) == expected, "a clerk's own trace hands over to nobody else"


def test_without_starts_of_work_nobody_is_busy() -> None:
    ann = described(LOG, attributes([]), resource_type="clerk")["Ann"]
    assert (ann["instances"], ann["busy"], ann["utilization"]) == (0, None, None)


def test_work_on_several_things_at_once_is_counted_once() -> None:
    # Bob works from 1 to 4 and from 2 to 10; the log lasts from 0 to 10.
    values = attributes([("b", "begun", SECOND), ("c", "begun", 2 * SECOND)])
    bob = described(LOG, values, resource_type="clerk", start="begun")["Bob"]
    assert (bob["instances"], bob["busy"], bob["utilization"]) == (2, 9.0, 0.9)


def test_work_within_longer_work_adds_nothing() -> None:
    # Bob works from 1 to 10, and meanwhile from 2 to 4 and from 6 to 7.
    log = Log({**LOG.events, "d": ("call", 7 * SECOND, 0)}, LOG.objects, [*LOG.relations, ("d", "Bob", "")])
    begun = {"b": 2, "c": 1, "d": 6}
    values = attributes([(event, "begun", second * SECOND) for event, second in begun.items()])
    bob = described(log, values, resource_type="clerk", start="begun")["Bob"]
    assert (bob["instances"], bob["busy"]) == (3, 9.0)


def test_the_first_name_that_the_log_has_counts() -> None:
    values = attributes([("a", "resource", "team"), ("a", "org:resource", "Ann")])
    assert set(described(LOG, values)) == {"Ann"}
    assert set(described(LOG, values, resource="resource")) == {"team"}


@pytest.mark.parametrize("settings", [{"resource": "clrek"}, {"resource_type": "clrek"}])
def test_a_resource_that_the_log_does_not_have_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(OcelakeError, match="'clrek'"):
        described(LOG, attributes([]), **settings)
    assert described(Log({}, {}, []), attributes([]), **settings) == {}


@given(logs(), st.data())
def test_handovers_are_those_of_the_reference(log: Log, data: st.DataObject) -> None:
    names = st.sampled_from(["Ann", "Bob", "Cid"])
    done = {event: data.draw(st.sets(names, max_size=2)) for event in log.events}
    rows = [(event, "resource", name) for event, of_event in done.items() for name in of_event]
    values = attributes(rows).with_columns(ordinal=pl.int_range(pl.len()).over("event_id"))
    couples = {(kind, first, event) for event, before in predecessors(log).items() for kind, _, first in before}
    expected: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for kind, first, event in couples:
        for giver in done[first]:
            for taker in done[event] - {giver}:
                expected[kind, giver, taker].append((log.events[event][1] - log.events[first][1]) / 1e6)
    found = handed(log, values)
    assert {key: count for key, (count, _) in found.items()} == {key: len(times) for key, times in expected.items()}
    for key, (_, mean) in found.items():
        assert mean == pytest.approx(sum(expected[key]) / len(expected[key]))


@given(logs(), st.data())
def test_resources_are_those_of_the_reference(log: Log, data: st.DataObject) -> None:
    done = {event: data.draw(st.sampled_from(["Ann", "Bob", None])) for event in log.events}
    begun = {event: time - data.draw(st.integers(0, 4)) for event, (_, time, _) in log.events.items()}
    values = [(event, "resource", name) for event, name in done.items() if name]
    found = described(log, attributes([*values, *((e, "begun", t) for e, t in begun.items())]), start="begun")
    assert set(found) == {name for name in done.values() if name}
    for name, row in found.items():
        own = [event for event, of_event in done.items() if of_event == name]
        busy = {moment for event in own for moment in range(begun[event], log.events[event][1])}
        span = max(time for _, time, _ in log.events.values()) - min(begun.values())
        assert row["events"] == row["instances"] == len(own)
        assert row["activities"] == len({log.events[event][0] for event in own})
        assert row["workload_share"] == len(own) / len(values)
        assert row["busy"] == pytest.approx(len(busy) / 1e6)
        assert row["utilization"] == (pytest.approx(len(busy) / span) if span else None)
