"""A source to one batch, once."""

from __future__ import annotations

from pathlib import Path

import orjson
import polars as pl
import pytest

from ocelake.errors import LogRefused
from ocelake.lake import Lake, open_lake
from ocelake.lake.ingest import ingest, ingest_source
from ocelake.ocel.input import Input
from ocelake.ocel.read import LogSource
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


def test_ties_by_position_are_stored_as_the_sequence(lake: Lake, tmp_path: Path) -> None:
    LogSettings(ties="position").save(lake.settings.home / "logs" / "A.yaml")
    ingest_source(lake, source(tmp_path, "one"), records(25), "A")
    assert lake.read("bronze.event_records", "A").filter(pl.col("sequence") != pl.col("position")).is_empty()
    assert lake.latest("A", "bronze").settings["ties"] == "position"


@pytest.mark.data
def test_a_real_log(lake: Lake, data: Path) -> None:
    done = ingest(lake, data / "ocel2" / "ocel20_example.jsonocel", "orders")
    assert (done.events, done.objects) == (13, 9)
    assert ingest(lake, data / "ocel2" / "ocel20_example.jsonocel", "orders").already
