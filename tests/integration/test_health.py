"""Tables that are published to every few seconds stay in good order, and nobody who reads them notices the upkeep."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import inspect, text

from benchmarks import health
from ocelake.lake import Lake, open_lake
from ocelake.lake import retention as retention_module
from ocelake.lake.maintenance import Budget, Retention, Upkeep, background, expire_snapshots
from ocelake.lake.maintenance.tiers import FANOUT
from ocelake.settings import LakeSettings
from tests.integration.lake_processes import COMPLETED, read_again_and_again, start
from tests.lake_frames import events

EACH = 10
NOTHING = timedelta(0)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path)


def silver(lake: Lake, batch: int, log_id: str = "A") -> None:
    """Add a batch of events, and correct those of the one before."""
    everything = events((batch + 1) * EACH, "new")
    corrected = events(batch * EACH, "corrected").tail(EACH // 3)
    with lake.publication(log_id, "silver") as publication:
        publication.amend("ocel.events", add=pl.concat([everything.tail(EACH), corrected]), remove=corrected)
        publication.commit()


def bronze(lake: Lake, batch: int, log_id: str = "A") -> None:
    """Add a batch of records of a topic."""
    tables, *_ = health._rows(batch)
    last = batch * health.EVENTS - 1 if batch else None
    with lake.publication(log_id, "bronze", offsets={("topic", 0): last}) as publication:
        for identifier, frame in tables.items():
            publication.append(identifier, frame if identifier == "bronze.batches" else frame.head(EACH))
        publication.commit()


def files(lake: Lake, identifier: str) -> int:
    return len(lake.plan(identifier).paths)


def test_readers_in_other_processes_notice_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_DROPPED", 1)
    monkeypatch.setattr(retention_module, "_SLACK", 1)
    settings, tmp_path = lake.settings, lake.settings.home
    lake.store.retention = retention = Retention(publications=1, grace=timedelta(seconds=15))
    for layer in (bronze, silver):
        layer(lake, 0)
    until = tmp_path / "done"
    readers = [start(read_again_and_again, settings, until, EACH) for _ in range(2)]
    compacted = removed = batch = 0
    deadline = time.monotonic() + 150
    with Upkeep(lake, retention=retention) as upkeep:
        while (batch < 2 * FANOUT or not removed) and time.monotonic() < deadline:
            batch += 1
            bronze(lake, batch)
            silver(lake, batch)
            report = upkeep.run()
            assert report.failed == ()
            compacted += sum(not one.conflict for one in report.compacted)
            removed += sum(one.files for one in report.expired)
    until.touch()
    for reader in readers:
        reader.join(60)
        assert reader.exitcode == COMPLETED
    assert compacted >= 2
    assert removed
    assert all(int(path.read_text()) >= 1 for path in tmp_path.glob("done.*"))
    assert len(list(tmp_path.glob("done.*"))) == 2
    assert files(lake, "bronze.event_records") < batch
    assert lake.read("bronze.event_records", "A").height == (batch + 1) * EACH


def test_upkeep_merges_what_has_grown_and_looks_at_nothing_else(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    look = background.mergeable
    monkeypatch.setattr(
        background, "mergeable", lambda table, spec: looked.append(spec.identifier) or look(table, spec)
    )
    upkeep = Upkeep(lake)
    for batch in range(FANOUT):
        bronze(lake, batch)
    done = upkeep.run().compacted
    assert {one.identifier for one in done} == {
        f"bronze.{name}" for name in ("event_records", "object_records", "batches")
    }
    assert {(one.files_before, one.files_after, one.conflict) for one in done} == {(FANOUT, 1, False)}
    assert sorted(looked) == sorted(one.identifier for one in done)
    assert upkeep.run().compacted == ()
    bronze(lake, FANOUT)
    assert upkeep.run().compacted == ()
    assert len(looked) == 3
    assert lake.read("bronze.event_records", "A").height == (FANOUT + 1) * EACH


def test_one_process_at_a_time_does_the_upkeep(tmp_path: Path, catalog_uri: str) -> None:
    settings = LakeSettings(home=tmp_path, catalog_uri=catalog_uri, warehouse=str(tmp_path / "warehouse"))
    lake = open_lake(settings=settings)
    lake.store.retention = retention = Retention(publications=1, grace=NOTHING)
    for batch in range(FANOUT):
        bronze(lake, batch)
    other = open_lake(settings=settings)
    with other.catalog.lease("upkeep", timedelta(minutes=1)) as mine:
        assert mine
        assert Upkeep(lake).run().compacted == ()
    # A holder that was killed keeps it for a while only.
    with other.catalog.lease("upkeep", timedelta(microseconds=1)), lake.catalog.lease("upkeep", timedelta(1)) as free:
        assert free
    assert len(Upkeep(lake).run().compacted) == 3
    # The same on either kind of database: what was dropped is listed until its files are gone.
    (expired,) = [done for done in expire_snapshots(lake, retention) if done.identifier == "bronze.batches"]
    assert expired.snapshots == FANOUT - 1
    assert lake.catalog.dropped("bronze.batches") == []
    assert lake.logs() == ["A"]


def test_upkeep_keeps_to_its_budget(lake: Lake) -> None:
    for batch in range(FANOUT):
        bronze(lake, batch)
    assert Upkeep(lake, budget=Budget(seconds=-1.0)).run().compacted == ()
    assert Upkeep(lake, budget=Budget(most_bytes=1000)).run().compacted == ()
    assert files(lake, "bronze.event_records") == FANOUT


def test_upkeep_that_fails_harms_no_one_and_is_tried_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for batch in range(FANOUT):
        bronze(lake, batch)

    def broken(*_: object, **__: object) -> None:
        raise OSError("no room")

    upkeep = Upkeep(lake)
    with monkeypatch.context() as patch:
        patch.setattr(background, "merge_small", broken)
        assert len(upkeep.run().failed) == 3
    assert len(upkeep.run().compacted) == 3


def test_nudges_run_in_the_background_one_round_at_a_time(lake: Lake) -> None:
    with Upkeep(lake) as upkeep:
        for batch in range(FANOUT):
            bronze(lake, batch)
            upkeep.nudge()
        deadline = time.monotonic() + 60
        while files(lake, "bronze.event_records") == FANOUT and time.monotonic() < deadline:
            upkeep.nudge()
            time.sleep(0.05)
    assert files(lake, "bronze.event_records") == 1
    upkeep.nudge()
    assert upkeep.last is not None


def test_a_writer_remembers_tables_as_they_are_written(lake: Lake) -> None:
    for batch in range(FANOUT):
        bronze(lake, batch)
    Upkeep(lake).run()
    for identifier in ("bronze.event_records", "bronze.batches"):
        table = lake.table(identifier)
        read = lake.catalog.table_at(identifier, table.metadata_location)
        assert table.metadata.model_dump() == read.metadata.model_dump()


def test_an_older_catalog_gets_what_lookups_need(lake: Lake) -> None:
    bronze(lake, 0)
    name = "lake_publications_log_layer_time"
    with lake.catalog.engine.begin() as connection:
        connection.execute(text(f"DROP INDEX {name}"))
    again = open_lake(lake.settings.home)
    assert name in {index["name"] for index in inspect(again.catalog.engine).get_indexes("lake_publications")}
    bronze(again, 0, "B")
    assert again.logs() == ["A", "B"]


@pytest.mark.slow
def test_micro_batches_leave_commits_and_reads_as_fast_as_the_first(tmp_path: Path) -> None:
    """OCELAKE_TEST_PUBLICATIONS=10000 is the full form. Processor time is compared: it does not depend on others."""
    number = int(os.environ.get("OCELAKE_TEST_PUBLICATIONS", "100"))
    *_, last, compacted = health.measure(tmp_path, number, 1, timedelta(seconds=5))
    print(last, compacted, sep="\n")
    assert last["ratio"] < 2
    assert last["read ratio"] < 2
    for read in ("scan", "sql"):
        assert last[read] < 2 * compacted[read] + 0.05  # what it takes to plan a few files, whatever they hold
    assert last["files"] <= (FANOUT - 1) * 8
    assert last["snapshots"] <= 120
    assert last["manifests"] <= 20
