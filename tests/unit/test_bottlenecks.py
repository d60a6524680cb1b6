"""Bottlenecks: every delay is counted once, where it arises, and said in words."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.errors import OcelakeError
from ocelake.mining.analysis import capacity_tables
from ocelake.mining.bottlenecks import bottlenecks, permanent_types
from ocelake.mining.lifecycle import find_work
from ocelake.mining.predecessors import find_predecessors
from ocelake.mining.times import spoken
from ocelake.mining.traces import encode
from ocelake.ocel.generate import generate
from ocelake.settings import MiningSettings
from tests.unit.reference_mining import Log, logs, quantile
from tests.unit.reference_performance import attributes, busy_logs, encoded, predecessors, rank

DAY = 86_400_000_000


def ranked(log: Log, values: pl.DataFrame | None = None, start: str | None = None) -> pl.DataFrame:
    traces = encoded(log)
    work = find_work(traces, attributes([]) if values is None else values, start=start)
    return bottlenecks(traces, find_predecessors(traces), work)


def orders(packed: list[int], picked: list[int], *, shared: int = 1) -> Log:
    """Orders placed at 0, whose last item is picked on one day and that are packed on another, `shared` items each."""
    log = Log({}, {}, [])
    for number, (pick, pack) in enumerate(zip(picked, packed, strict=True)):
        names = {"o": f"o{number}", **{f"i{item}": f"i{number}.{item}" for item in range(shared)}}
        log.objects.update({name: "order" if key == "o" else "item" for key, name in names.items()})
        for activity, day, members in (("place", 0, "o"), ("pick", pick, "i"), ("pack", pack, "oi")):
            event = f"{activity}{number}"
            log.events[event] = (activity, day * DAY, 0)
            log.relations.extend((event, name, "") for key, name in names.items() if key[0] in members)
    return log


def test_the_order_that_waits_for_its_items() -> None:
    found = ranked(orders(picked=[1, 1, 1, 9], packed=[2, 2, 2, 10]))
    activity, cause = found.rows(named=True)
    assert cause["kind"] == "synchronization"
    assert (cause["object_type"], cause["source"], cause["activity"]) == ("item", "pick", "pack")
    assert (cause["occurrences"], cause["delay"], cause["share"]) == (4, 8 * 86_400.0, 1.0)
    assert cause["reason"] == (
        "'pack' waits on average 3 d for the last of its objects, of type 'item' from 'pick' "
        "(1 d or less in the fastest quarter); 100% of all delay."
    )
    assert activity["reason"] == (
        "'pack' comes on average 4 d after the first of its objects is ready, 2 d of it delay; 100% of all delay."
    )


def test_what_many_objects_share_is_counted_once() -> None:
    one, many = (ranked(orders(picked=[1, 1, 1, 9], packed=[2, 3, 4, 15], shared=n)) for n in (1, 50))
    assert one.equals(many)


def test_a_process_that_always_takes_as_long_has_no_bottleneck() -> None:
    assert ranked(orders(picked=[1, 1, 1], packed=[5, 5, 5])).is_empty()


def test_work_that_takes_long_is_told_from_waiting_for_it() -> None:
    log = orders(picked=[1, 1, 1, 1], packed=[3, 3, 3, 9])
    starts = {"pack0": 2, "pack1": 2, "pack2": 2, "pack3": 4}
    values = attributes([(event, "begun", day * DAY) for event, day in starts.items()])
    found = ranked(log, values, "begun").filter(pl.col("kind") != "activity")
    assert found.select("kind", "delay").rows() == [("working", 4 * 86_400.0), ("waiting", 2 * 86_400.0)]
    assert found["reason"][1].startswith("Work on 'pack' starts on average 1.5 d after 'pick' of 'item' ")


def test_nobody_waits_for_a_permanent_object() -> None:
    log = orders(picked=[1, 1, 1, 1], packed=[2, 2, 2, 12])
    log.objects["customer"] = "customers"
    # One order after the other: the customer's last event is long ago, which is nobody's delay.
    for event, (activity, time, sequence) in list(log.events.items()):
        log.events[event] = (activity, time + int(event[-1]) * 30 * DAY, sequence)
        log.relations.append((event, "customer", ""))
    traces = encoded(log)
    assert traces.object_types.filter(pl.Series(permanent_types(traces))).to_list() == ["customers"]
    assert "customers" not in ranked(log)["object_type"].to_list()
    assert ranked(log).row(0, named=True)["activity"] == "pack"


def test_a_log_of_nothing_but_permanent_objects_keeps_them() -> None:
    events = {f"{turn}": ("ab"[turn % 2], turn * DAY, 0) for turn in range(6)}
    traces = encoded(Log(events, {"o": "machine"}, [(event, "o", "") for event in events]))
    assert not permanent_types(traces).any()


def test_the_demo_waits_for_its_packages_not_for_its_customers() -> None:
    ocel = generate(5_000, seed=2)
    traces = encode(ocel.event_objects, ocel.objects, ocel.events)
    found = bottlenecks(traces, find_predecessors(traces), find_work(traces, ocel.event_attributes))
    assert set(found["object_type"].drop_nulls()) <= {"items", "orders", "packages"}
    worst = found.filter(rank=1, kind="synchronization").row(0, named=True)
    assert (worst["object_type"], worst["source"], worst["activity"]) == ("items", "pick item", "create package")


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (0, "0 s"),
        (59.96, "60 s"),
        (60, "1 min"),
        (3_599, "60 min"),
        (36_000, "10 h"),
        (8_605_440, "100 d"),
        (0.04, "40 ms"),
    ],
)
def test_durations_are_said_in_their_greatest_unit(duration: float, said: str) -> None:
    assert spoken(duration) == said


@settings(max_examples=40)
@given(logs() | busy_logs(), st.data())
def test_delays_are_those_of_the_reference(log: Log, data: st.DataObject) -> None:
    begun = {
        event: time - data.draw(st.integers(0, 40)) * 1_000_003
        for event, (_, time, _) in log.events.items()
        if data.draw(st.booleans())
    }
    traces = encoded(log)
    permanent = set(traces.object_types.filter(pl.Series(permanent_types(traces), dtype=pl.Boolean)))
    parts: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for event, before in predecessors(log).items():
        kept = [entry for entry in before if entry[0] not in permanent]
        if not kept:
            continue
        activity, own, _ = log.events[event]
        last = max((first for *_, first in kept), key=lambda first: rank(log, first))
        kind = min(kind for kind, _, first in kept if first == last)
        edge = (kind, log.events[last][0], activity)
        sojourn = own - log.events[last][1]
        parts["synchronization", *edge].append(log.events[last][1] - min(log.events[first][1] for *_, first in kept))
        if event in begun:
            working = min(own - begun[event], sojourn)
            parts["working", *edge].append(working)
            parts["waiting", *edge].append(sojourn - working)
        else:
            parts["sojourn", *edge].append(sojourn)
    delays = {
        key: sum(max(value - quantile(sorted(values), 0.25), 0) for value in values) / 1e6
        for key, values in parts.items()
    }
    expected = {key: delay for key, delay in delays.items() if delay > 1e-9}

    found = ranked(
        log, attributes([(event, "begun", start) for event, start in begun.items()]), "begun" if begun else None
    )
    causes, activities = (
        found.filter(is_cause) for is_cause in (pl.col("kind") != "activity", pl.col("kind") == "activity")
    )
    assert {row[:4] for row in causes.select("kind", "object_type", "source", "activity").iter_rows()} == set(expected)
    for row in causes.iter_rows(named=True):
        key = (row["kind"], row["object_type"], row["source"], row["activity"])
        assert row["delay"] == pytest.approx(expected[key])
        assert row["occurrences"] == len(parts[key])
        assert row["mean"] == pytest.approx(sum(parts[key]) / len(parts[key]) / 1e6)
        assert row["share"] == pytest.approx(expected[key] / sum(expected.values()))
    for row in activities.iter_rows(named=True):
        assert row["delay"] == pytest.approx(sum(d for key, d in expected.items() if key[-1] == row["activity"]))
    for rows in (causes, activities):
        assert rows.is_empty() or rows["share"].sum() == pytest.approx(1)
        assert rows.sort("rank")["delay"].is_sorted(descending=True)
        assert sorted(rows["rank"]) == list(range(1, len(rows) + 1))


@given(logs())
def test_objects_that_live_short_or_never_start_over_are_not_permanent(log: Log) -> None:
    traces = encoded(log)
    permanent = set(traces.object_types.filter(pl.Series(permanent_types(traces), dtype=pl.Boolean)))
    own = {name: [log.events[event] for event in events] for name, events in log.traces().items() if events}
    times = [time for events in own.values() for _, time, _ in events]
    expected = set()
    for kind in set(log.objects.values()):
        of_kind = [events for name, events in own.items() if log.objects[name] == kind]
        steps = sum(map(len, of_kind))
        again = sum(
            len(events)
            for events in of_kind
            if any(after[0] == events[0][0] != before[0] for before, after in pairwise(events))
        )
        life = sum(len(events) * (events[-1][1] - events[0][1]) for events in of_kind)
        if steps and again / steps > 0.5 and life / steps > 0.25 * (max(times) - min(times)):
            expected.add(kind)
    flowing = {log.objects[name] for name, events in own.items() if len(events) > 1}
    assert permanent == (expected if flowing - expected else set())
    assert permanent_types(traces).dtype == np.bool_


def test_a_person_may_say_which_types_are_permanent() -> None:
    log = orders(picked=[1, 1, 1, 9], packed=[2, 2, 2, 10])
    traces = encoded(log)
    work, before = find_work(traces, attributes([])), find_predecessors(traces)
    assert set(bottlenecks(traces, before, work)["object_type"].drop_nulls()) == {"item"}
    told = bottlenecks(traces, before, work, flowing=["order"])
    assert told.select("kind", "object_type", "source", "activity").rows() == [
        ("activity", None, None, "pack"),
        ("sojourn", "order", "place", "pack"),
    ]
    with pytest.raises(OcelakeError, match=r"no objects of the type 'orders'.*item, order"):
        bottlenecks(traces, before, work, flowing=["orders"])


def test_the_execution_types_of_a_log_are_those_that_wait() -> None:
    log = orders(picked=[1, 1, 1, 9], packed=[2, 2, 2, 10])
    settings = MiningSettings(execution_types=("order",))
    found = capacity_tables(encoded(log), {"ocel.event_attributes": attributes([])}, settings)["gold.bottlenecks"]
    assert set(found["object_type"].drop_nulls()) == {"order"}
