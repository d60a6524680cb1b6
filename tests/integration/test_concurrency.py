"""Two processes publish at once: nothing is lost, nothing is doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocelake.lake import open_lake
from ocelake.settings import LakeSettings
from tests.integration.lake_processes import COMPLETED, ingest_many, publish_many, start
from tests.lake_frames import state

TIMES = 50


@pytest.fixture
def settings(tmp_path: Path, catalog_uri: str) -> LakeSettings:
    settings = LakeSettings(home=tmp_path, catalog_uri=catalog_uri, warehouse=str(tmp_path / "warehouse"))
    open_lake(settings=settings).ensure_tables()
    return settings


def run(*processes) -> None:
    for process in processes:
        process.join(120)
        assert process.exitcode == COMPLETED


def test_different_logs(settings: LakeSettings) -> None:
    run(*[start(publish_many, settings, log, TIMES) for log in "AB"])
    lake = open_lake(settings=settings)
    for log in "AB":
        rows, marks, types = state(lake, log)
        assert (rows, types, len(marks)) == (TIMES, TIMES, 1)
        assert lake.publications(log)["number"].to_list() == list(range(1, TIMES + 1))
    assert lake.publications()["time"].is_sorted()
    assert lake.publications()["time"].n_unique() == 2 * TIMES
    # Any past state is whole, too: each publication numbered n has n rows in both tables.
    for record in lake.publications().sample(6, seed=1).to_dicts():
        assert state_at(lake, record) == (record["number"], record["number"])


def state_at(lake, record) -> tuple[int, int]:
    tables = ("ocel.events", "ocel.event_types")
    first, second = (lake.read(t, record["log_id"], as_of=record["publication_id"]).height for t in tables)
    return first, second


def test_the_same_log(settings: LakeSettings) -> None:
    run(*[start(publish_many, settings, "A", TIMES // 2) for _ in range(2)])
    lake = open_lake(settings=settings)
    assert lake.publications("A")["number"].to_list() == list(range(1, TIMES + 1))
    rows, marks, types = state(lake, "A")
    assert rows == types
    assert len(marks) == 1


def test_the_same_files_and_other_ones_into_one_log(settings: LakeSettings, tmp_path: Path) -> None:
    names = [f"n{i}-" for i in range(18)]
    folders = [tmp_path / "files" / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir(parents=True)
    some = zip(folders, (names[:12], names), strict=True)
    run(*[start(ingest_many, settings, folder, mine) for folder, mine in some])
    lake = open_lake(settings=settings)
    events = lake.read("bronze.event_records", "A")
    assert events.height == 18 * 25
    assert events["event_id"].n_unique() == 18 * 25
    assert lake.read("bronze.object_records", "A").height == 18 * 25
    assert lake.read("bronze.batches", "A").height == 18
    assert lake.publications("A")["number"].to_list() == list(range(1, 19))
