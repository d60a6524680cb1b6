"""A source to one batch, once."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from ocelake.errors import LogRefused
from ocelake.lake import Lake, open_lake
from ocelake.lake.ingest import ingest, ingest_source
from ocelake.ocel.input import Input
from ocelake.ocel.read import LogSource, open_log
from ocelake.settings import LogSettings
from tests.lake_frames import records


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "home")


def source(folder: Path, content: str) -> LogSource:
    path = folder / f"{content}.json"
    path.write_text(content)
    return LogSource(Input(path), "ocel2-json")


def test_one_batch_of_many_chunks(lake: Lake, tmp_path: Path) -> None:
    log = source(tmp_path, "one")
    done = ingest_source(lake, log, records(25), "A")
    assert (done.batch_id, done.events, done.objects, done.already) == (log.content_hash[:16], 25, 25, False)
    assert done.publication is not None
    assert done.publication.rows == {"bronze.event_records": 25, "bronze.object_records": 25, "bronze.batches": 1}
    events = lake.read("bronze.event_records", "A")
    assert events["position"].to_list() == list(range(25))
    assert events["batch_id"].unique().to_list() == [done.batch_id]
    assert events["attributes"].list.len().sum() == 12
    assert events["relationships"][0].to_list() == [{"object_id": "o0", "qualifier": "has", "object_type": None}]
    assert events["sequence"].null_count() == 25
    (batch,) = lake.read("bronze.batches", "A").to_dicts()
    assert batch["event_records"] == 25
    assert orjson.loads(batch["declarations"])["event_types"] == {"pay": {"price": "integer"}}
    # One snapshot a table, however many chunks.
    assert len(lake.table("bronze.event_records").metadata.snapshots) == 1


def test_the_same_content_again_changes_nothing(lake: Lake, tmp_path: Path) -> None:
    first = ingest_source(lake, source(tmp_path, "one"), records(25), "A")
    again = ingest_source(lake, source(tmp_path, "one"), iter(()), "A")
    assert (again.already, again.publication, again.events, again.batch_id) == (True, None, 25, first.batch_id)
    other = ingest_source(lake, source(tmp_path, "one"), records(25), "B")
    assert (other.already, other.publication.publication_id) == (False, "B.bronze.1")
    second = ingest_source(lake, source(tmp_path, "two"), records(5), "A")
    assert second.publication.publication_id == "A.bronze.2"
    assert lake.read("bronze.event_records", "A").height == 30


def test_a_broken_source_leaves_nothing(lake: Lake, tmp_path: Path) -> None:
    def torn():
        yield from records(25)[:2]
        raise LogRefused("broken")

    with pytest.raises(LogRefused):
        ingest_source(lake, source(tmp_path, "one"), torn(), "A")
    assert lake.logs() == []
    assert not list((tmp_path / "home").rglob("*.parquet"))


def test_ties_by_position_leave_bronze_as_the_source_wrote_it(lake: Lake, tmp_path: Path) -> None:
    LogSettings(ties="position").save(lake.settings.home / "logs" / "A.yaml")
    ingest_source(lake, source(tmp_path, "one"), records(25), "A")
    assert lake.read("bronze.event_records", "A")["sequence"].null_count() == 25
    assert lake.latest("A", "bronze").settings["ties"] == "position"


LOG = {
    "objectTypes": [],
    "eventTypes": [{"name": "pay", "attributes": []}],
    "objects": [],
    "events": [{"id": f"e{i}", "type": "pay", "time": "2024-01-01T00:00:00Z"} for i in range(3)],
}


@pytest.mark.parametrize("how", ["other content", "same size", "another file", "gone"])
def test_a_file_that_changes_while_it_is_read_is_not_taken(lake: Lake, tmp_path: Path, how: str) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(whole := orjson.dumps(LOG))
    os.utime(path, (1, 1))
    opened = open_log(path)
    assert opened.batch_id

    def read():
        yield from opened
        if how == "other content":
            path.write_bytes(whole.replace(b"pay", b"repay"))
            os.utime(path, (1, 1))
        elif how == "same size":
            path.write_bytes(whole.replace(b"pay", b"buy"))
        elif how == "another file":
            (tmp_path / "new").write_bytes(whole)
            os.utime(tmp_path / "new", (1, 1))
            (tmp_path / "new").rename(path)
        else:
            path.unlink()

    with pytest.raises(LogRefused, match=r"changed while it was read\. \[log\.json\] Ingest it again"):
        ingest_source(lake, opened, read(), "A")
    assert lake.logs() == []
    assert not list((tmp_path / "home").rglob("*.parquet"))
    path.write_bytes(whole)
    done = ingest(lake, path, "A")
    assert (done.events, done.already) == (3, False)


def test_a_file_that_is_replaced_before_it_is_read_is_not_taken_for_the_hashed_one(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(whole := orjson.dumps(LOG))
    opened = open_log(path)
    assert opened.batch_id
    path.write_bytes(orjson.dumps({**LOG, "events": LOG["events"][:1]}))
    with pytest.raises(LogRefused, match="changed"):
        ingest_source(lake, opened, opened, "A")
    path.write_bytes(whole)
    assert ingest(lake, path, "A").events == 3


@pytest.mark.parametrize("how", ["written", "added", "removed"])
def test_a_folder_whose_tables_change_is_not_taken(lake: Lake, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "event.csv").write_text("ocel_id,ocel_type\ne1,a\n")
    (folder / "object.csv").write_text("ocel_id,ocel_type\n")
    (folder / "notes.txt").write_text("none")
    opened = open_log(folder)

    def read():
        yield from opened
        if how == "written":
            (folder / "event.csv").write_text("ocel_id,ocel_type\ne1,a\ne2,a\n")
        elif how == "added":
            (folder / "event_a.csv").write_text("ocel_id,ocel_time\n")
        else:
            (folder / "notes.txt").unlink()

    with pytest.raises(LogRefused, match="changed"):
        ingest_source(lake, opened, read(), "A")
    assert lake.logs() == []
    assert not ingest(lake, folder, "A").already


@pytest.mark.data
def test_a_real_log(lake: Lake, data: Path) -> None:
    done = ingest(lake, data / "ocel2" / "ocel20_example.jsonocel", "orders")
    assert (done.events, done.objects) == (13, 9)
    assert ingest(lake, data / "ocel2" / "ocel20_example.jsonocel", "orders").already
