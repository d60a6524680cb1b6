"""Operations on logs: each result is a proper log, and what it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import OcelakeError
from ocelake.mining import encode
from ocelake.mining.executions import connected_executions
from ocelake.mining.explore import (
    ActivityDimension,
    EventAttribute,
    ObjectAttribute,
    ObjectTypeDimension,
    Orphans,
    Period,
    drill_down,
    filter_activities,
    filter_event_attribute,
    filter_events,
    filter_executions,
    filter_object_attribute,
    filter_object_types,
    filter_objects,
    filter_time,
    filter_type_activities,
    fold,
    process_cube,
    roll_up,
    sample_log,
    select_log,
    unfold,
)
from ocelake.mining.explore.as_of import values_as_of_events, values_at
from ocelake.ocel import Ocel
from ocelake.ocel.equal import log_differences
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log
from ocelake.ocel.write import write_log
from tests.unit import reference_explore as reference
from tests.unit.reference_explore import Rich, improper, rich_logs, value_as_of
from tests.unit.reference_mining import Log, executions, instant

Operation = Callable[[Ocel], Ocel]
DIMENSIONS = (
    ActivityDimension(),
    ObjectTypeDimension(),
    Period("quarter"),
    EventAttribute("x"),
    ObjectAttribute("order", "x"),
    ObjectAttribute("item", "y"),
)

FILTERS: dict[str, Operation] = {
    "types": lambda log: filter_object_types(log, ["order", "item"]),
    "activities": lambda log: filter_activities(log, ["a", "b", "é"]),
    "time": lambda log: filter_time(log, instant(1_000_000), instant(5_000_000)),
    "events": lambda log: filter_events(log, ["e", "o", "1", "é", "oo"]),
    "objects": lambda log: filter_objects(log, ["e", "o", "1", "ee"]),
    "kept": lambda log: filter_activities(log, ["a", "c"], orphans="keep"),
}
OPERATIONS: dict[str, Operation] = {
    **FILTERS,
    "pairs": lambda log: filter_type_activities(log, {"order": ["a", "b"], "item": ["a"]}),
    "event values": lambda log: filter_event_attribute(log, "x", pl.col("value") == "1"),
    "object values": lambda log: filter_object_attribute(log, "x", pl.col("value") != "1"),
    "object values then": lambda log: filter_object_attribute(log, "x", pl.col("value") == "2", at=instant(3_000_000)),
    "executions": lambda log: filter_executions(log, object_types=["order"], activities=["a", "b"]),
    "some executions": lambda log: sample_log(log, 2),
    "some objects": lambda log: sample_log(log, 2, unit="objects"),
    "some events": lambda log: sample_log(log, 2, unit="events"),
    "drill-down": lambda log: drill_down(log, "order", "x"),
    "early drill-down": lambda log: drill_down(log, "order", "x", at=instant(1_500_000)),
    "unfold": lambda log: unfold(log, "a", "order"),
    "unfold by value": lambda log: unfold(log, "a", "item", "x"),
    "roll-up of filtered": lambda log: roll_up(filter_activities(drill_down(log, "order", "x"), ["a"]), "order"),
    "slice": lambda log: process_cube(log, DIMENSIONS).slice("order.x", "1"),
    "dice": lambda log: process_cube(log, DIMENSIONS).dice({"object_type": ["order", None], "item.y": ["2", None]}),
}


@settings(max_examples=12)
@given(rich_logs())
def test_every_operation_gives_a_proper_log(rich: Rich) -> None:
    log = rich.ocel()
    assert not improper(log)
    for name, operation in OPERATIONS.items():
        assert not improper(operation(log)), name


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_log_of_declarations_alone_stays_a_proper_log(name: str) -> None:
    assert not improper(OPERATIONS[name](Rich(Log({}, {}, []), [], {}, {}).ocel()))


@settings(max_examples=25)
@given(rich_logs(), st.permutations(sorted(FILTERS)).map(lambda names: names[:3]))
def test_filters_commute_and_twice_is_once(rich: Rich, names: list[str]) -> None:
    results = []
    for order in permutations(names):
        log = rich.ocel()
        for name in order:
            if name != "activities" or "kept" not in order:  # names of each other's that the one took away
                log = FILTERS[name](log)
                twice = FILTERS[name](log)
                assert not log_differences(log, twice)
        results.append(log)
    if "kept" not in names:  # whether an orphan goes depends on which filter orphans it
        for other in results[1:]:
            assert not log_differences(results[0], other)


@settings(max_examples=40)
@given(rich_logs(), st.sampled_from(["drop", "keep"]))
def test_a_filter_keeps_what_the_plain_rule_keeps(rich: Rich, orphans: Orphans) -> None:
    log = rich.log
    part = filter_type_activities(rich.ocel(), {"order": ["a", "b"], "item": ["a"]}, orphans=orphans)
    allowed = {("order", "a"), ("order", "b"), ("item", "a")}
    relations = {r for r in log.relations if (log.objects[r[1]], log.events[r[0]][0]) in allowed}
    had_events, had_objects = ({r[side] for r in log.relations} for side in (0, 1))
    has_events, has_objects = ({r[side] for r in relations} for side in (0, 1))
    events = {e for e in log.events if orphans == "keep" or e in has_events or e not in had_events}
    objects = {
        o
        for o, kind in log.objects.items()
        if kind in ("order", "item") and (orphans == "keep" or o in has_objects or o not in had_objects)
    }
    assert set(part.event_objects.select("event_id", "object_id", "qualifier").iter_rows()) == relations
    assert set(part.events["event_id"]) == events
    assert set(part.objects["object_id"]) == objects
    assert set(part.object_objects.iter_rows()) == {r for r in rich.o2o if r[0] in objects and r[1] in objects}
    histories = {key[:2] for key in rich.object_values if key[0] in objects}
    assert set(part.object_attributes.select("object_id", "name").iter_rows()) == histories
    assert part.object_attributes.height == sum(key[0] in objects for key in rich.object_values)
    assert part.object_types["object_type"].to_list() == ["item", "order"]


@settings(max_examples=60)
@given(rich_logs())
@example(
    Rich(
        Log(
            {"e1": ("a", 1_500_001, 0), "e2": ("a", 1_500_001, 1), "e3": ("a", 3_000_002, 0)},
            {"o": "order"},
            [("e1", "o", ""), ("e2", "o", ""), ("e3", "o", "")],
        ),
        [],
        {},
        {("o", "x", None, 0): "1", ("o", "x", 1_500_001, 0): "2", ("o", "x", 1_500_001, 1): ""},
    )
)
def test_values_as_of_events_equal_the_reference(rich: Rich) -> None:
    log = rich.ocel()
    for attribute in reference.ATTRIBUTES:
        found = values_as_of_events(log.event_objects, log.object_attributes.filter(name=attribute))
        assert found.height == log.event_objects.select("event_id", "object_id").n_unique()
        for event, name, value in found.iter_rows():
            assert value == value_as_of(rich, event, name, attribute)


@settings(max_examples=40)
@given(rich_logs(), st.one_of(st.none(), st.integers(0, 8).map(lambda half: half * 750_000 + half // 2)))
def test_values_at_an_instant_equal_the_reference(rich: Rich, time: int | None) -> None:
    expected: dict[tuple[str, str], str] = {}
    for (owner, name, at, _), value in sorted(
        rich.object_values.items(), key=lambda item: (-1 if item[0][2] is None else item[0][2], item[0][3])
    ):
        if time is None or at is None or at <= time:
            expected[owner, name] = value
    found = values_at(rich.ocel().object_attributes, None if time is None else instant(time))
    assert {(owner, name): value for owner, name, value in found.select("object_id", "name", "value").iter_rows()} == (
        expected
    )
    assert found.height == len(expected)


@settings(max_examples=40)
@given(rich_logs(), st.sampled_from(reference.OBJECT_TYPES), st.sampled_from(reference.ATTRIBUTES))
def test_rolling_up_undoes_drilling_down(rich: Rich, object_type: str, attribute: str) -> None:
    log = rich.ocel()
    finer = drill_down(log, object_type, attribute)
    last = dict(values_at(log.object_attributes.filter(name=attribute)).select("object_id", "value").iter_rows())
    for name, kind in finer.objects.select("object_id", "object_type").iter_rows():
        drilled = rich.log.objects[name] == object_type and name in last
        assert kind == (f"({object_type}, {last[name]})" if drilled else rich.log.objects[name])
    keeps_some = finer.objects.filter(object_type=object_type).height > 0
    unsplit = finer.objects["object_type"].equals(log.objects["object_type"])
    assert (object_type in finer.object_types["object_type"]) == (keeps_some or unsplit)
    assert not log_differences(roll_up(finer, object_type), log)
    again = drill_down(drill_down(log, "order", "x"), "item", "y")
    assert not log_differences(roll_up(roll_up(again, "order"), "item"), log)


@settings(max_examples=40)
@given(rich_logs(), st.sampled_from(["a", "b"]), st.sampled_from([None, *reference.ATTRIBUTES]))
def test_folding_undoes_unfolding(rich: Rich, activity: str, attribute: str | None) -> None:
    log = rich.ocel()
    finer = unfold(log, activity, "order", attribute)
    objects = reference.members(rich.log)
    for event, name in finer.events.select("event_id", "activity").iter_rows():
        orders = [o for o in objects[event] if rich.log.objects[o] == "order"]
        values = {value_as_of(rich, event, o, attribute) for o in orders} - {None} if attribute else set()
        expected = was = rich.log.events[event][0]
        if was == activity and values:
            expected = f"({was}, (order, {' & '.join(sorted(v for v in values if v is not None))}))"
        elif was == activity and orders and not attribute:
            expected = f"({was}, order)"
        assert name == expected
    assert not log_differences(fold(finer, activity), log)
    assert not log_differences(fold(finer, activity, "order"), log)
    assert not log_differences(fold(finer, activity, "item"), finer)


def test_unfolding_a_drilled_type_is_unfolding_by_a_value_that_never_changes() -> None:
    log = generate(500, seed=3)
    log = filter_object_types(log, ["orders", "employees"])
    once = unfold(log, "place order", "employees", "role")
    drilled = drill_down(log, "employees", "role")
    twice = unfold(drilled, "place order", "(employees, sales)")
    assert once.events["activity"].equals(twice.events["activity"])
    assert "(place order, (employees, sales))" in set(once.event_types["activity"])


def test_only_relations_with_the_qualifiers_unfold() -> None:
    log = generate(200, seed=1)
    qualifiers = log.event_objects.filter(activity="pay order", object_type="customers")["qualifier"].unique()
    assert qualifiers.to_list() == ["payer"]
    finer = unfold(log, "pay order", "customers", qualifiers=["payer"])
    assert not log_differences(finer, unfold(log, "pay order", "customers"))
    assert not log_differences(unfold(log, "pay order", "customers", qualifiers=["recipient"]), log)


def test_a_taken_name_is_refused() -> None:
    log = generate(200, seed=1)
    twice = drill_down(log, "orders", "status", at=instant(0))
    taken = twice.object_types["object_type"][0]
    renamed = replace(
        log, object_types=pl.concat([log.object_types, pl.DataFrame({"object_type": [taken]})]).sort(pl.all())
    )
    with pytest.raises(OcelakeError, match="already"):
        drill_down(renamed, "orders", "status", at=instant(0))


@pytest.mark.parametrize(
    "mistake",
    [
        lambda log: filter_object_types(log, ["order"]),
        lambda log: filter_activities(log, ["pay"]),
        lambda log: filter_type_activities(log, {"orders": ["pay"]}),
        lambda log: filter_executions(log, activities=["pay"]),
        lambda log: filter_executions(log, kind="leading:order"),
        lambda log: filter_event_attribute(log, "price", pl.lit(True)),
        lambda log: filter_object_attribute(log, "channel", pl.lit(True)),
        lambda log: filter_time(log, datetime(2024, 1, 1)),
        lambda log: drill_down(log, "orders", "role"),
        lambda log: roll_up(log, "order"),
        lambda log: unfold(log, "pay", "orders"),
        lambda log: unfold(log, "pay order", "orders", "role"),
        lambda log: fold(log, "pay"),
        lambda log: sample_log(log, -1),
        lambda log: select_log(log, executions_with=["nobody"]),
        lambda log: process_cube(log, []),
        lambda log: process_cube(log, [EventAttribute("month"), Period("month")]),
        lambda log: process_cube(log, [Period("month")]).slice("year", "2024"),
        lambda log: process_cube(log, [EventAttribute("events")]),
    ],
)
def test_mistakes_are_refused_with_a_way_out(mistake: Operation) -> None:
    with pytest.raises(OcelakeError) as refused:
        mistake(generate(100, seed=1))
    assert refused.value.fix


@settings(max_examples=25)
@given(rich_logs(), st.integers(0, 5), st.integers(0, 3))
def test_a_sample_is_of_the_size_and_does_not_depend_on_the_order_of_rows(rich: Rich, size: int, seed: int) -> None:
    log = rich.ocel()
    shuffled = replace(log, **{i.removeprefix("ocel."): f.reverse() for i, f in log.frames()})
    for unit in ("executions", "objects", "events"):
        part = sample_log(log, size, unit=unit, seed=seed)
        assert not log_differences(part, sample_log(shuffled, size, unit=unit, seed=seed))
        parts = (part, log)
        if unit == "executions":
            found, there = (
                len(connected_executions(encode(one.event_objects, one.objects, one.events)).ids) for one in parts
            )
        else:
            found, there = (getattr(one, unit).height for one in parts)
        assert found == min(size, there)
        kept = set(part.objects["object_id"])
        assert set(part.object_objects.iter_rows()) == {r for r in rich.o2o if r[0] in kept and r[1] in kept}
        assert part.object_attributes.height == sum(key[0] in kept for key in rich.object_values)


@settings(max_examples=25)
@given(rich_logs())
def test_executions_stay_whole(rich: Rich) -> None:
    log = rich.ocel()
    orders = {name for name, kind in rich.log.objects.items() if kind == "order"}
    part = filter_executions(log, object_types=["order"])
    expected = [(e, o) for e, o in executions(rich.log) if o & orders]
    assert set(part.events["event_id"]) == {name for events, _ in expected for name in events}
    assert set(part.objects["object_id"]) == {name for _, objects in expected for name in objects}
    one_by_one = [filter_executions(log, object_ids=[name]).event_objects for name in sorted(orders)]
    assert set(part.event_objects.iter_rows()) == {row for frame in one_by_one for row in frame.iter_rows()}
    assert not log_differences(filter_executions(log), log)


def test_selecting_is_filtering_then_sampling() -> None:
    log = generate(2_000, seed=5)
    start, end = log.events["time"][200], log.events["time"][1500]
    part = select_log(log, object_types=["orders", "items"], start=start, end=end, sample=10, seed=4)
    by_hand = sample_log(filter_time(filter_object_types(log, ["orders", "items"]), start, end), 10, seed=4)
    assert not log_differences(part, by_hand)
    order = part.objects.filter(object_type="orders")["object_id"][0]
    one = select_log(log, object_types=["orders", "items"], executions_with=[order], kind="leading:orders")
    assert one.objects.filter(object_type="orders")["object_id"].to_list() == [order]
    assert not log_differences(select_log(log), log)


@settings(max_examples=25)
@given(rich_logs(), st.lists(st.sampled_from(DIMENSIONS), min_size=1, max_size=3, unique=True))
def test_a_cells_log_has_what_the_cell_counts(rich: Rich, dimensions: list[reference.Any]) -> None:
    cube = process_cube(rich.ocel(), dimensions)
    cells = cube.cells()
    assert cells.select(cube.dimensions).is_unique().all()
    for cell in cells.iter_rows(named=True):
        part = cube.dice({name: [cell[name]] for name in cube.dimensions})
        assert not improper(part)
        assert (part.events.height, part.objects.height) == (cell["events"], cell["objects"])
        assert part.event_objects.select("event_id", "object_id").n_unique() == cell["event_objects"]
        assert (part.events["time"].min(), part.events["time"].max()) == (cell["first_time"], cell["last_time"])


@settings(max_examples=25)
@given(rich_logs())
def test_an_events_cells_are_the_values_of_its_objects_as_of_then(rich: Rich) -> None:
    cube = process_cube(rich.ocel(), [ObjectAttribute("order", "x")])
    for event, objects in reference.members(rich.log).items():
        orders = [name for name in objects if rich.log.objects[name] == "order"]
        values = {value_as_of(rich, event, name, "x") for name in orders} or {None}
        found = cube.steps.filter(event_id=event)
        assert set(found["order.x"]) == values
        for value in values:
            inside = set(cube.slice("order.x", value).event_objects.filter(event_id=event)["object_id"])
            assert inside == (objects - set(orders)) | {
                name for name in orders if value_as_of(rich, event, name, "x") == value
            }


def test_an_order_is_in_a_cell_only_with_the_events_at_which_it_has_the_value() -> None:
    changing = Rich(
        Log(
            {"e1": ("a", 1_500_001, 0), "e2": ("b", 3_000_002, 0)},
            {"o1": "order", "o2": "order", "i": "item"},
            [("e1", "o1", ""), ("e1", "o2", ""), ("e1", "i", ""), ("e2", "o2", "")],
        ),
        [("o1", "o2", "")],
        {},
        {("o1", "x", None, 0): "1", ("o2", "x", None, 0): "2", ("o2", "x", 2_000_000, 0): "1"},
    )
    part = process_cube(changing.ocel(), [ObjectAttribute("order", "x")]).slice("order.x", "1")
    assert set(part.event_objects.select("event_id", "object_id").iter_rows()) == {
        ("e1", "o1"),
        ("e1", "i"),
        ("e2", "o2"),
    }
    assert part.object_objects.height == 1


def test_an_attribute_may_be_called_time() -> None:
    log = generate(100, seed=2)
    named = pl.when(pl.col("name") == "amount").then(pl.lit("time")).otherwise("name").alias("name")
    renamed = replace(
        log,
        event_attributes=log.event_attributes.with_columns(named),
        event_type_attributes=log.event_type_attributes.with_columns(named),
    )
    cells = process_cube(renamed, [EventAttribute("time")]).cells()
    assert cells["first_time"].min() == log.events["time"].min()
    assert cells["last_time"].max() == log.events["time"].max()


def test_slicing_by_activity_and_period_is_filtering() -> None:
    log = generate(1_000, seed=2)
    cube = process_cube(log, [ActivityDimension(), Period("month")])
    sliced, filtered = cube.slice("activity", "pay order"), filter_activities(log, ["pay order"])
    assert_frame_equal(sliced.event_objects, filtered.event_objects)
    assert cube.cells()["events"].sum() == log.events.height
    periods = {
        length: process_cube(log, [Period(length)]).cells()[length][0]
        for length in ("day", "week", "month", "quarter", "year")
    }
    assert periods == {
        "day": "2023-01-05",
        "week": "2023-W01",
        "month": "2023-01",
        "quarter": "2023-Q1",
        "year": "2023",
    }


@pytest.mark.parametrize("suffix", ["json", "xml", "sqlite"])
@pytest.mark.parametrize("name", ["drill-down", "unfold", "sample", "dice", "filter"])
def test_results_are_written_and_read_again(name: str, suffix: str, tmp_path: Path) -> None:
    log = generate(600, seed=11)
    operations: dict[str, Operation] = {
        "drill-down": lambda log: drill_down(log, "orders", "status"),
        "unfold": lambda log: unfold(log, "create package", "orders", "status"),
        "sample": lambda log: sample_log(log, 20, unit="objects"),
        "dice": lambda log: process_cube(log, [ObjectAttribute("orders", "status")]).slice("orders.status", "paid"),
        "filter": lambda log: filter_object_types(log, ["orders", "packages"]),
    }
    part = operations[name](log)
    assert part.events.height > 1
    write_log(part, tmp_path / f"log.{suffix}")
    assert not log_differences(part, read_log(tmp_path / f"log.{suffix}").ocel, ignore=["sequence"])
