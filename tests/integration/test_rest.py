"""A REST catalog: the publication's row is the commit point."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyiceberg.catalog.sql import SqlCatalog

from ocelake.errors import StalePublication, Unreachable
from ocelake.lake import Lake, open_lake
from ocelake.lake.snapshots import slice_files
from ocelake.settings import LakeSettings, Resilience
from ocelake.tables import TABLES, Layer
from tests.integration import rest_catalog
from tests.integration.lake_processes import (
    COMPLETED,
    ingest_and_die,
    ingest_many,
    ingest_named,
    publish_and_die,
    publish_many,
    publish_pair,
    start,
)
from tests.lake_frames import events, publish_silver, state


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LakeSettings]:
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    catalog = SqlCatalog("behind", uri=f"sqlite:///{tmp_path / 'behind.db'}", warehouse=str(warehouse))
    server = rest_catalog.serve(catalog)
    yield LakeSettings(home=tmp_path, catalog_uri=f"http://127.0.0.1:{server.server_port}", warehouse=str(warehouse))
    server.shutdown()
    server.server_close()


def ends(process) -> bool:
    process.join(60)
    assert process.exitcode in (COMPLETED, -signal.SIGKILL)
    return process.exitcode == COMPLETED


def test_publications_and_time_travel(settings: LakeSettings) -> None:
    lake = open_lake(settings=settings)
    publish_silver(lake, "A", 3, "a")
    publish_silver(lake, "B", 4, "b")
    second = publish_silver(lake, "A", 5, "c")
    again = open_lake(settings=settings)
    assert state(again, "A") == (5, {"c"}, 5)
    assert state(again, "B") == (4, {"b"}, 4)
    assert again.logs() == ["A", "B"]
    assert again.latest("A", "silver") == second
    assert again.publications()["publication_id"].to_list() == ["A.silver.1", "B.silver.1", "A.silver.2"]
    assert again.publications()["time"].is_sorted()
    assert again.read("ocel.events", "A", as_of="A.silver.1").height == 3
    assert again.read("ocel.events", as_of="B.silver.1").height == 7
    assert again.read("ocel.events").height == again.plan("ocel.events").rows == 9
    assert_frame_equal(again.ocel("A").events, events(5, "c"))
    late = lake.publication("A", "silver")
    late.replace("ocel.events", events(1))
    publish_silver(again, "A", 6, "d")
    with pytest.raises(StalePublication), late:
        late.commit()


def test_many_publications_keep_the_table_of_publications_small(settings: LakeSettings) -> None:
    lake = open_lake(settings=settings)
    for n in range(18):
        with lake.publication("A", "silver") as publication:
            publication.replace("ocel.events", events(n))
            publication.commit()
    assert lake.publications()["number"].to_list() == list(range(1, 19))
    assert len(slice_files(lake.catalog.load_table("lake.publications"))) <= 32
    assert lake.read("ocel.events", "A").height == 17


def test_killed_at_every_step(settings: LakeSettings) -> None:
    lake = open_lake(settings=settings)
    publish_silver(lake, "A", 3, "start")
    publish_silver(lake, "B", 4, "other")
    old, died_old, died_new = (3, {"start"}, 3), 0, 0
    for step in count(1):
        rows, mark = 3 + step, f"m{step}"
        new = rows, {mark}, rows
        completed = ends(start(publish_and_die, settings, rows, mark, step))
        assert state(lake, "A") in (old, new), f"before recovery, step {step}"
        lake = open_lake(settings=settings)
        found = state(lake, "A")
        assert found in (old, new), f"step {step}"
        assert state(lake, "B") == (4, {"other"}, 4)
        # Recovery leaves nothing half done in the tables themselves.
        for identifier in ("ocel.events", "ocel.event_types"):
            assert sum(f.record_count for f in slice_files(lake.table(identifier), "A")) == found[0]
        if completed:
            assert found == new
            break
        died_old, died_new = died_old + (found == old), died_new + (found == new)
        if found == old and step % 3 == 0:
            publish_pair(lake, rows, mark)
            assert state(lake, "A") == new
        old = state(lake, "A")
        assert step < 150
    assert died_old > 10


def test_batch_killed_on_the_way(settings: LakeSettings, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    # Every third step: replaced layers above are killed at each, and take the same way.
    for files, step in enumerate(count(1, 3), start=1):
        completed = ends(start(ingest_and_die, settings, folder, f"file{step}-", step))
        lake = open_lake(settings=settings)
        shown = lake.read("bronze.event_records", "A")
        found = shown.filter(pl.col("event_id").str.starts_with(f"file{step}-")).height
        assert found in (0, 25), f"step {step}"
        assert ingest_named(lake, folder, f"file{step}-").already == (found == 25)
        assert lake.read("bronze.event_records", "A").height == 25 * files
        assert lake.read("bronze.object_records", "A").height == 25 * files
        assert lake.read("bronze.batches", "A").height == files
        if completed:
            break
        assert step < 150


def test_two_processes_at_once(settings: LakeSettings, tmp_path: Path) -> None:
    open_lake(settings=settings).ensure_tables()
    processes = [start(publish_many, settings, log, 5) for log in "AB"]
    for span in ((0, 1, 2), (1, 2, 3)):
        # Each has files of its own: one that another process writes while it is read is refused.
        folder = tmp_path / f"files{span[0]}"
        folder.mkdir()
        processes.append(start(ingest_many, settings, folder, [f"n{i}-" for i in span]))
    for process in processes:
        process.join(120)
        assert process.exitcode == COMPLETED
    lake: Lake = open_lake(settings=settings)
    for log in "AB":
        rows, marks, types = state(lake, log)
        assert (rows, types, len(marks)) == (5, 5, 1)
    assert lake.publications(layer="silver").group_by("log_id").len().sort("log_id").rows() == [("A", 5), ("B", 5)]
    assert lake.read("bronze.event_records", "A").height == 4 * 25
    assert lake.publications("A", "bronze")["number"].to_list() == [1, 2, 3, 4]


def test_unreachable_server_says_what_to_check(tmp_path: Path) -> None:
    settings = LakeSettings(
        home=tmp_path, catalog_uri="http://127.0.0.1:1", warehouse=str(tmp_path), resilience=Resilience(seconds=0.3)
    )
    with pytest.raises(Unreachable, match="OCELAKE_CATALOG_URI"):
        open_lake(settings=settings).logs()


def test_a_table_that_changed_its_layer_is_empty_until_its_layer_is_published(
    settings: LakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = TABLES["ocel.events"]
    with monkeypatch.context() as before:
        before.setitem(TABLES, spec.identifier, replace(spec, layer="gold"))
        publish_events(open_lake(settings=settings), "gold", 2)
    lake = open_lake(settings=settings)
    assert lake.read(spec.identifier, "A").is_empty()
    assert lake.read(spec.identifier, as_of="A.gold.1").is_empty()
    publish_events(lake, "silver", 5)
    assert lake.read(spec.identifier, "A").equals(events(5))
    assert lake.read(spec.identifier, "A", as_of="A.gold.1").is_empty()


def publish_events(lake: Lake, layer: Layer, rows: int) -> None:
    with lake.publication("A", layer) as publication:
        publication.replace("ocel.events", events(rows))
        publication.commit()
