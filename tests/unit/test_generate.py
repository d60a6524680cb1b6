"""The generated log is an order-to-cash process, is the same for the same seed, and is a sound log."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ocelake.errors import SettingError
from ocelake.ocel import Ocel
from ocelake.ocel.generate import generate, write_demo_log
from ocelake.ocel.json_writer import write_json
from ocelake.ocel.model import frame_schema
from ocelake.ocel.read import read_log
from ocelake.tables import TABLES, VALUE_TYPES


@pytest.fixture(scope="module")
def log() -> Ocel:
    return generate(5_000, seed=7)


def test_frames_are_those_of_the_registry(log: Ocel) -> None:
    for identifier, frame in log.frames():
        spec = TABLES[identifier]
        assert frame.schema == frame_schema(identifier)
        assert frame.equals(frame.sort([name for name in spec.sort if name in frame.columns])), identifier
        key = [name for name in spec.key if name in frame.columns]
        assert not frame.select(key).is_duplicated().any(), identifier
        required = [column.name for column in spec.columns if column.required and column.name in frame.columns]
        assert frame.select(required).null_count().sum_horizontal().sum() == 0, identifier


def test_every_id_that_is_referred_to_exists(log: Ocel) -> None:
    objects, events = log.objects["object_id"].implode(), log.events["event_id"].implode()
    assert log.event_objects["event_id"].is_in(events).all()
    assert log.event_attributes["event_id"].is_in(events).all()
    for column in (
        log.event_objects["object_id"],
        log.object_objects["source_id"],
        log.object_objects["target_id"],
        log.object_attributes["object_id"],
    ):
        assert column.is_in(objects).all()


def test_the_shape_is_the_one_that_benchmarks_count_on(log: Ocel) -> None:
    events = log.events.height
    assert events == 5_000
    assert log.object_types.height == 6
    assert 4.2 < log.event_objects.height / events < 4.8
    assert 0.9 < log.object_objects.height / events < 1.2
    assert 0.45 < log.objects.height / events < 0.6
    assert 0.22 < (~log.object_attributes["initial"]).sum() / events < 0.32
    assert set(log.object_attributes["value_type"]) == set(VALUE_TYPES) - {"list", "map"}


def test_it_has_what_makes_object_centric_logs_hard(log: Ocel) -> None:
    pairs = log.event_objects.select("event_id", "object_id")
    assert pairs.is_duplicated().any(), "several qualifiers for one pair"
    assert log.events["time"].is_duplicated().any(), "ties"
    assert log.objects.join(log.event_objects, on="object_id", how="anti").height > 0, "objects without events"
    steps = log.event_objects.unique(["event_id", "object_id"]).group_by("object_id", "activity").len()
    again = set(steps.filter(pl.col("len") > 1)["activity"])
    assert {"pick item", "item out of stock", "failed delivery", "payment reminder"} <= again, "rework"


def test_orders_go_through_the_process_in_order(log: Ocel) -> None:
    orders = log.event_objects.filter(pl.col("object_type") == "orders").unique(["event_id", "object_id"])
    traces = orders.sort("time", "sequence", "event_id").group_by("object_id", maintain_order=True).agg("activity")
    assert traces["activity"].list.first().unique().to_list() == ["place order"]
    assert (traces["activity"].list.get(1, null_on_oob=True).drop_nulls() == "confirm order").all()


def test_events_happen_mostly_in_working_hours(log: Ocel) -> None:
    picks = log.events.filter(pl.col("activity") == "pick item")["time"]
    assert picks.dt.hour().is_between(7, 17).all()
    assert (picks.dt.weekday() <= 5).all()


@pytest.mark.parametrize("events", [1, 7, 400])
def test_equal_seeds_give_equal_bytes(events: int, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_json(generate(events, seed), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_no_log_without_events() -> None:
    with pytest.raises(SettingError, match="at least one"):
        generate(0, seed=1)


@pytest.mark.parametrize("events", [1, 8, 2_000])
def test_the_demo_log_is_quarantined_as_announced(events: int, tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    expected = write_demo_log(path, events, seed=7)
    conformed = read_log(path)
    assert dict(conformed.quarantine.group_by("reason").len().iter_rows()) == expected
    assert conformed.ocel.events.height == events
    assert expected["malformed"] == expected["invalid_time"] == 2
    assert [file.name for file in tmp_path.iterdir()] == ["demo.json"]
