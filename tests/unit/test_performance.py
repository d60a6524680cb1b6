"""Sojourn to readiness: against the reference, and what a person can count on the fingers."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given

from ocelake.mining.analysis import capacity_tables
from ocelake.mining.lifecycle import find_work
from ocelake.mining.performance import (
    activity_performance,
    attribute_names,
    event_performance,
    performance_tables,
    type_times,
)
from ocelake.mining.predecessors import find_predecessors
from ocelake.mining.traces import Traces, encode
from ocelake.ocel.generate import generate
from ocelake.settings import MiningSettings
from ocelake.tables import TABLES
from tests.unit import reference_performance as reference
from tests.unit.reference_mining import Log, logs, quantile

SECOND = 1_000_000
NONE = reference.attributes([])


def mine(log: Log, attributes: pl.DataFrame = NONE, settings: MiningSettings | None = None) -> dict[str, pl.DataFrame]:
    return measured(reference.encoded(log), attributes, settings or MiningSettings())


def measured(traces: Traces, attributes: pl.DataFrame, settings: MiningSettings) -> dict[str, pl.DataFrame]:
    """Give all tables of performance: gold's, and those of the analysis."""
    tables = {"ocel.event_attributes": attributes}
    return performance_tables(traces, tables, settings) | capacity_tables(traces, tables, settings)


def of_types(log: Log) -> dict[tuple[str, str], dict[str, float | None]]:
    traces = reference.encoded(log)
    found = type_times(traces, find_predecessors(traces))
    return {
        (traces.event_ids[event], traces.object_types[kind]): {
            name: None if value is None else value / 1e6
            for name, value in zip(("pooling", "lagging", "readiness"), values, strict=True)
        }
        for event, kind, *values in found.iter_rows()
    }


# Two items and an order come together to be sent: the order was placed at 0, the items picked at 2 and 5, sent at 9.
SEND = Log(
    events={
        "place": ("place", 0, 0),
        "pick 1": ("pick", 2 * SECOND, 0),
        "pick 2": ("pick", 5 * SECOND, 0),
        "send": ("send", 9 * SECOND, 0),
    },
    objects={"order": "orders", "item 1": "items", "item 2": "items"},
    relations=[
        ("place", "order", ""),
        ("pick 1", "item 1", ""),
        ("pick 2", "item 2", ""),
        *(("send", name, "") for name in ("order", "item 1", "item 2")),
    ],
)


def test_an_event_that_waits_for_its_last_object() -> None:
    send = mine(SEND)["gold.event_performance"].row(-1, named=True)
    assert (send["sojourn"], send["synchronization"], send["flow"]) == (4.0, 5.0, 9.0)
    assert (send["lagging_type"], send["lagging_object"]) == ("items", "item 2")
    assert of_types(SEND) == {
        ("send", "items"): {"pooling": 3.0, "lagging": 5.0, "readiness": 2.0},
        ("send", "orders"): {"pooling": 0.0, "lagging": 0.0, "readiness": 0.0},
    }


def test_events_without_predecessors_have_no_times_rather_than_zeros() -> None:
    places = mine(SEND)["gold.event_performance"].head(3)
    assert places.select("sojourn", "synchronization", "flow", "lagging_object").null_count().row(0) == (3, 3, 3, 3)


@given(logs())
def test_events_are_measured_as_the_reference_does(log: Log) -> None:
    found = {row["event_id"]: row for row in mine(log)["gold.event_performance"].iter_rows(named=True)}
    lagging = reference.lagging(log)
    for event, measures in reference.event_measures(log).items():
        assert {name: found[event][name] for name in measures} == measures
        assert (found[event]["lagging_type"], found[event]["lagging_object"]) == (lagging[event] or (None, None))
    assert len(found) == len(log.events)


@given(logs())
def test_types_are_measured_as_the_reference_does(log: Log) -> None:
    assert of_types(log) == reference.type_measures(log)


@given(logs())
def test_activities_have_the_distribution_of_their_events(log: Log) -> None:
    expected: dict[tuple[str, str | None, str], list[float]] = defaultdict(list)
    for event, measures in reference.event_measures(log).items():
        for name, value in measures.items():
            if value is not None:
                expected[log.events[event][0], None, name].append(value)
    for (event, kind), measures in reference.type_measures(log).items():
        for name, value in measures.items():
            if value is not None:
                expected[log.events[event][0], kind, name].append(value)
    found = mine(log)["gold.activity_performance"]
    assert {row[:3] for row in found.iter_rows()} == set(expected)
    for row in found.iter_rows(named=True):
        values = sorted(expected[row["activity"], row["object_type"], row["measure"]])
        assert row["events"] == len(values)
        assert (row["min"], row["max"]) == (values[0], values[-1])
        assert row["sum"] == pytest.approx(sum(values))
        assert row["mean"] == pytest.approx(sum(values) / len(values))
        for name, share in (("median", 0.5), ("p90", 0.9), ("p95", 0.95)):
            assert row[name] == pytest.approx(quantile(values, share), abs=1e-6)


@given(logs())
def test_the_order_of_rows_and_order_preserving_names_change_nothing(log: Log) -> None:
    tables = log.tables()
    shuffled = [tables[f"ocel.{name}"].reverse() for name in ("event_objects", "objects", "events")]
    settings = MiningSettings(resource_type="item") if "item" in reference_steps(log) else MiningSettings()
    ours = measured(reference.encoded(log), NONE, settings)
    again = measured(encode(*shuffled), NONE, settings)
    assert all(ours[name].equals(again[name]) for name in ours)

    renamed = Log(
        {f"x{event}": values for event, values in log.events.items()},
        {f"x{name}": kind for name, kind in log.objects.items()},
        [(f"x{event}", f"x{name}", qualifier) for event, name, qualifier in log.relations],
    )
    after = measured(reference.encoded(renamed), NONE, settings)
    for name in ("gold.activity_performance", "gold.bottlenecks"):
        assert ours[name].equals(after[name])


def reference_steps(log: Log) -> set[str]:
    """Give the object types that have an event."""
    return {log.objects[name] for _, name, _ in log.relations}


@given(logs())
def test_tables_have_the_columns_keys_and_order_of_the_registry(log: Log) -> None:
    check_tables(mine(log))


def test_tables_of_a_generated_log_are_as_the_registry_says() -> None:
    ocel = generate(3_000, seed=5)
    traces = encode(ocel.event_objects, ocel.objects, ocel.events)
    tables = measured(traces, ocel.event_attributes, MiningSettings(resource_type="employees"))
    check_tables(tables)
    assert all(len(tables[f"gold.{name}"]) for name in ("resources", "handovers", "bottlenecks"))
    assert tables["gold.work_times"].is_empty(), "the log does not tell when work starts"


def check_tables(tables: dict[str, pl.DataFrame]) -> None:
    for identifier, frame in tables.items():
        spec = TABLES[identifier]
        assert frame.schema == {name: dtype for name, dtype in spec.schema.items() if name != "log_id"}
        assert not frame.select(name for name in spec.key if name != "log_id").is_duplicated().any()
        assert frame.select(spec.sort).equals(frame.select(spec.sort).sort(spec.sort))
        for column in spec.columns:
            assert not (column.required and column.name != "log_id" and frame[column.name].null_count())


def test_events_that_a_sequence_orders_against_their_ids_are_stored_by_time_and_id() -> None:
    log = Log({"a": ("x", 0, 1), "b": ("x", 0, 0)}, {"o": "order"}, [("a", "o", ""), ("b", "o", "")])
    found = mine(log)["gold.event_performance"]
    assert found.select("event_id", "sojourn").rows() == [("a", 0.0), ("b", None)]


def test_sums_beyond_64_bits_are_right() -> None:
    century = 36_525 * 86_400 * SECOND
    events = {f"{turn:04d}": ("x", turn % 2 * century, turn) for turn in range(6_000)}
    objects = {f"{turn:04d}": "order" for turn in range(3_000)}
    relations = [(f"{2 * turn + after:04d}", f"{turn:04d}", "") for turn in range(3_000) for after in (0, 1)]
    log = Log(events, objects, relations)
    traces = reference.encoded(log)
    assert 3_000 * century > np.iinfo(np.int64).max
    found = activity_performance(traces, find_predecessors(traces), find_work(traces, NONE))
    assert found.filter(measure="sojourn")["sum"].item() == 3_000 * century / SECOND


def test_the_attributes_that_are_needed_are_named() -> None:
    assert attribute_names(MiningSettings()) == ("lifecycle:transition", "concept:instance")
    assert "begun" in attribute_names(MiningSettings(start="begun"))


@given(logs())
def test_predecessors_split_into_types_and_couples(log: Log) -> None:
    traces = reference.encoded(log)
    found = find_predecessors(traces)
    couples = {
        (traces.object_types[int(kind)], traces.event_ids[int(first)], traces.event_ids[int(second)])
        for kind, first, second in zip(*found.couples(traces), strict=True)
    }
    expected = {
        (kind, first, event) for event, before in reference.predecessors(log).items() for kind, _, first in before
    }
    assert couples == expected
    assert len(found.couples(traces)[0]) == len(expected)

    kept = np.array([kind != "item" for kind in traces.object_types], dtype=bool)
    left = found.of_types(traces, kept)
    assert {traces.event_ids[int(event)] for event in left.event} == {
        event for kind, _, event in expected if kind != "item"
    }
    assert event_performance(traces, left).height == len(log.events)
