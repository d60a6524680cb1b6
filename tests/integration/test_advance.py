"""Silver and gold that follow a log batch by batch hold what building it at once gives."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ocelake.lake import Lake, increment, open_lake
from ocelake.lake.arrivals import arrivals
from ocelake.lake.build import STEPS, published_tables, sources, verify
from ocelake.lake.increment import Computed, advance
from ocelake.lake.maintenance import compact
from ocelake.ocel.generate import generate
from ocelake.ocel.model import Ocel, frame_schema
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD
from ocelake.tables import TABLES
from tests.integration.lake_processes import COMPLETED, advance_and_die, start

LONG = bool(os.environ.get("OCELAKE_LONG_TESTS"))
MOST_STEPS = 1000
NO_TYPES = '{"event_types":{},"object_types":{}}'


def records(log: Ocel) -> tuple[list[dict], list[dict]]:
    """Give a log's events and objects as bronze records."""
    related = log.event_objects.group_by("event_id").agg(
        relationships=pl.struct("object_id", "qualifier", object_type=pl.lit(None, pl.String))
    )
    linked = log.object_objects.group_by(object_id="source_id").agg(
        relationships=pl.struct(object_id="target_id", qualifier="qualifier", object_type=pl.lit(None, pl.String))
    )
    plain = {"version": None, "declared": True, "defect": None, "raw": None, "attributes": []}
    events = log.events.join(related, on="event_id", how="left").with_columns(pl.col("time").dt.to_string("iso:strict"))
    things = log.objects.join(linked, on="object_id", how="left")
    return (
        [
            {**plain, **row, "sequence": None, "relationships": row["relationships"] or []}
            for row in events.select("event_id", "activity", "time", "relationships").to_dicts()
        ],
        [
            {**plain, **row, "relationships": row["relationships"] or []}
            for row in things.select("object_id", "object_type", "relationships").to_dicts()
        ],
    )


def land(lake: Lake, log_id: str, number: int, events: list[dict], objects: list[dict]) -> None:
    """Publish one batch of records."""
    batch_id = f"batch-{number:04}"
    batch = {
        "batch_id": batch_id,
        "source": "topic",
        "format": "json",
        "content_hash": batch_id,
        "event_records": len(events),
        "object_records": len(objects),
        "declarations": NO_TYPES,
        "metadata": "{}",
        "received": datetime(2024, 1, 1, tzinfo=UTC),
    }
    with lake.publication(log_id, "bronze", settings=lake.settings.log(log_id)) as publication:
        for name, rows, schema in (
            ("bronze.event_records", events, EVENT_RECORD),
            ("bronze.object_records", objects, OBJECT_RECORD),
        ):
            frame = pl.DataFrame([{"position": at, **row} for at, row in enumerate(rows)], schema=schema)
            publication.append(name, frame.with_columns(batch_id=pl.lit(batch_id)))
        publication.append("bronze.batches", pl.DataFrame([batch], schema=frame_schema("bronze.batches")))
        publication.commit()


def assert_as_built_at_once(lake: Lake, log_id: str) -> None:
    """Compare silver and gold with a whole computation from the same publications."""
    for layer in ("silver", "gold"):
        record = lake.latest(log_id, layer)
        assert record is not None
        read, settings = sources(lake, log_id, layer), STEPS[layer].settings(lake, log_id)
        assert {name: source.publication_id for name, source in read.items()} == record.reads
        expected = STEPS[layer].compute(lake, read, settings, record.number)
        published = published_tables(lake, record)
        for name, frame in expected.items():
            key = [column for column in TABLES[name].key if column not in TABLES[name].partition] or frame.columns
            hidden = TABLES[name].provenance
            ours, theirs = published[name].drop(hidden).sort(key), frame.drop(hidden).sort(key)
            assert_frame_equal(ours, theirs, check_exact=True)
            assert record.rows[name] == len(frame), name


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What was computed: the layer, and whether by changes."""
    taken: list[tuple[str, bool]] = []

    def told(layer: str, compute: Callable[..., Computed]) -> Callable[..., Computed]:
        def computed(*arguments: object) -> Computed:
            found = compute(*arguments)
            taken.append((layer, found.incremental))
            return found

        return computed

    for layer, compute in increment._COMPUTE.items():
        monkeypatch.setitem(increment._COMPUTE, layer, told(layer, compute))
    return taken


def disturbed(events: list[dict], chance: random.Random) -> list[dict]:
    """Give events as a topic has them: late ones, repeated ones, and corrections."""
    told = list(events)
    for event in chance.sample(events, len(events) // 20):
        told.append({**event, "version": 1})
        if chance.random() < 0.5:
            told.append({**event, "version": 2, "activity": "check order", "relationships": event["relationships"][1:]})
    chance.shuffle(told)
    return told


@pytest.mark.parametrize("seed", [1, 2])
def test_a_log_in_batches_is_followed_exactly(tmp_path: Path, seed: int, ways: list[tuple[str, bool]]) -> None:
    lake, chance = open_lake(tmp_path), random.Random(seed)
    events, objects = records(generate(400, seed=seed))
    told = disturbed(events, chance)
    chance.shuffle(objects)
    land(lake, "shop", 0, told[:200], objects[: len(objects) * 2 // 3])
    advance(lake, "shop")
    step, left = 30, objects[len(objects) * 2 // 3 :]
    for number, first in enumerate(range(200, len(told), step), start=1):
        land(lake, "shop", number, told[first : first + step], left[: len(left) // 3])
        left = left[len(left) // 3 :]
        if number % 3:
            made = advance(lake, "shop")
            assert made["gold"].reads["silver"] == made["silver"].publication_id
        if number == 4:
            for name in ("ocel.events", "ocel.event_objects", "gold.object_summaries"):
                compact(lake, name, "shop")
        if number == 5:
            lake.followed.clear()
        if number % 4 == 1:
            assert_as_built_at_once(lake, "shop")
    land(lake, "shop", 999, [], left)
    advance(lake, "shop")
    assert_as_built_at_once(lake, "shop")
    assert all(table.equal for table in verify(lake, "shop"))
    assert ways[:2] == [("silver", False), ("gold", False)]
    assert all(by_changes for _, by_changes in ways[2:])
    assert advance(lake, "shop")["gold"].number == lake.latest("shop", "gold").number


@pytest.mark.slow
def test_killed_at_every_step_silver_and_gold_are_made_by_the_next(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    events, objects = records(generate(600, seed=1))
    land(lake, "shop", 0, events[:100], objects)
    advance(lake, "shop")
    numbers = []
    for batch, step in enumerate(count(1, 1 if LONG else 41), start=1):
        land(lake, "shop", batch, [events[100 + batch], {**events[batch], "version": batch, "activity": "check"}], [])
        process = start(advance_and_die, lake.settings, "shop", step)
        process.join(60)
        assert process.exitcode in (COMPLETED, -signal.SIGKILL)
        numbers.append(tuple(lake.latest("shop", layer).number for layer in ("silver", "gold")))
        advance(lake, "shop")
        assert_as_built_at_once(lake, "shop")
        if process.exitcode == COMPLETED:
            break
        assert step < MOST_STEPS, "it goes on and on"
    changes = [silver - gold for silver, gold in numbers]
    assert changes[0] == 0 == changes[-1], "before silver, and after gold"
    assert 1 in changes, "between the two"


def test_what_came_late_is_told_when_it_comes(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    events, objects = records(generate(60, seed=3))
    events.sort(key=lambda event: event["time"])
    land(lake, "shop", 0, events[10:40], objects)
    first = advance(lake, "shop", ("silver",))["silver"]
    corrected = {**events[20], "version": 1, "activity": "check order"}
    land(lake, "shop", 1, [*events[:4], *events[40:50], corrected, events[30]], [])
    second = advance(lake, "shop", ("silver",))["silver"]
    found = arrivals(lake, since=first, until=second)
    assert (found.events, found.late, found.late_share) == (14, 4, 4 / 14)
    assert found.watermark == lake.read("ocel.events", "shop")["time"].max()
    assert arrivals(lake, since=second, until=second).late_share == 0.0
