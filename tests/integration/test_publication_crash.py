"""Kill a process at every step of a publication: each log stays wholly old or wholly new."""

from __future__ import annotations

import signal
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from ocelake.lake import Lake, open_lake
from ocelake.settings import LakeSettings
from tests.integration.lake_processes import (
    COMPLETED,
    ingest_and_die,
    ingest_named,
    publish_and_die,
    publish_pair,
    start,
)
from tests.lake_frames import publish_silver, state

MOST_STEPS = 150


@pytest.fixture
def settings(tmp_path: Path, catalog_uri: str) -> LakeSettings:
    return LakeSettings(home=tmp_path, catalog_uri=catalog_uri, warehouse=str(tmp_path / "warehouse"))


def ends(process) -> bool:
    """Wait for a child; whether it came to its end alive."""
    process.join(60)
    assert process.exitcode in (COMPLETED, -signal.SIGKILL)
    return process.exitcode == COMPLETED


def test_replaced_layer_is_wholly_old_or_wholly_new(settings: LakeSettings) -> None:
    lake = open_lake(settings=settings)
    publish_silver(lake, "A", 3, "start")
    publish_silver(lake, "B", 4, "other")
    old, died_old, died_new = (3, {"start"}, 3), 0, 0
    for step in count(1):
        rows, mark = 3 + step, f"m{step}"
        new = rows, {mark}, rows
        completed = ends(start(publish_and_die, settings, rows, mark, step))
        lake = open_lake(settings=settings)
        assert state(lake, "B") == (4, {"other"}, 4)
        found = state(lake, "A")
        assert found in (old, new), f"step {step}"
        assert state_of_newest(lake) == found
        if completed:
            assert found == new
            break
        died_old, died_new = died_old + (found == old), died_new + (found == new)
        if found == old:
            publish_pair(lake, rows, mark)
            assert state(lake, "A") == new, f"again after step {step}"
        old = new
        assert step < MOST_STEPS
    # It was killed before, within and after the one moment that counts.
    assert died_old > 10
    assert died_new >= 1
    assert lake.publications("A")["number"].to_list() == list(range(1, step + 2))


def state_of_newest(lake: Lake) -> tuple[int, set[str], int]:
    """What the newest publication's own snapshots say of log A."""
    record = lake.latest("A", "silver")
    shown = lake.read("ocel.events", "A", as_of=record.publication_id)
    types = lake.read("ocel.event_types", "A", as_of=record.publication_id)
    return shown.height, set(shown["activity"]) | {name[:-3] for name in types["activity"]}, types.height


def test_batch_is_there_wholly_or_not_at_all(settings: LakeSettings, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    ingest_named(open_lake(settings=settings), folder, "start", "B")
    died_old = died_new = 0
    for step in count(1):
        name = f"file{step}-"
        completed = ends(start(ingest_and_die, settings, folder, name, step))
        lake = open_lake(settings=settings)
        found = batch_rows(lake, name)
        assert found in ((0, 0), (25, 25)), f"step {step}"
        died_old, died_new = died_old + (found == (0, 0)), died_new + (found == (25, 25) and not completed)
        again = ingest_named(lake, folder, name)
        assert again.already == (found == (25, 25)), f"again after step {step}"
        assert batch_rows(lake, name) == (25, 25)
        assert lake.read("bronze.batches", "A")["batch_id"].n_unique() == step
        assert lake.read("bronze.batches", "A").height == step
        if completed:
            break
        assert step < MOST_STEPS
    assert died_old > 10
    assert died_new >= 1
    assert lake.read("bronze.event_records", "B").height == 25


def batch_rows(lake: Lake, name: str) -> tuple[int, int]:
    """How many of a file's events are there, and how many objects came with the same batch."""
    rows = lake.read("bronze.event_records", "A").filter(pl.col("event_id").str.starts_with(name))
    batches = rows["batch_id"].unique()
    objects = lake.read("bronze.object_records", "A").filter(pl.col("batch_id").is_in(batches.implode()))
    return rows.height, objects.height
