"""Rows to data files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.conversions import from_bytes
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import StringType

from ocelake.errors import LakeError
from ocelake.lake import Lake, files, open_lake
from ocelake.lake.files import SliceWriter, bucket_count, bucket_of, is_sorted
from ocelake.ocel.model import frame_schema
from ocelake.tables import TABLES
from tests.lake_frames import events


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return open_lake(tmp_path_factory.mktemp("home"))


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 2)), st.one_of(st.none(), st.sampled_from("ab")))))
@settings(max_examples=60)
def test_is_sorted_agrees_with_sorting(rows: list[tuple[int | None, str | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"x": pl.Int64, "y": pl.String}, orient="row")
    assert is_sorted(frame, ["x", "y"]) == frame.equals(frame.sort("x", "y"))


@given(st.lists(st.text(), min_size=1), st.sampled_from([1, 2, 8, 64]))
@settings(max_examples=40)
def test_bucket_is_that_of_iceberg(ids: list[str], buckets: int) -> None:
    reference = BucketTransform(buckets).transform(StringType())
    assert bucket_of(pl.Series(ids, dtype=pl.String), buckets).to_list() == [reference(value) for value in ids]


def test_a_log_has_one_bucket_up_to_four_million_rows() -> None:
    assert [bucket_count(n) for n in (0, 1, 8_000_000, 8_000_001, 16_000_001, 32_000_001)] == [1, 1, 1, 2, 4, 8]


def test_file_has_field_ids_statistics_and_sort_order(lake: Lake) -> None:
    table = lake.table("ocel.events")
    writer = SliceWriter(table, TABLES["ocel.events"], "A")
    writer.write([events(100).reverse()])
    (file,) = writer.close()
    parquet = pq.ParquetFile(file.file_path)
    ids = {c.name: int(c.metadata[b"PARQUET:field_id"]) for c in parquet.schema_arrow}
    assert ids == {field.name: field.field_id for field in table.schema().fields}
    assert not parquet.schema_arrow.field("event_id").nullable
    assert parquet.metadata.row_group(0).column(0).compression == "ZSTD"
    assert pl.read_parquet(file.file_path)["event_id"].is_sorted()
    time = table.schema().find_field("time")
    bounds = [from_bytes(time.field_type, bound[time.field_id]) for bound in (file.lower_bounds, file.upper_bounds)]
    start = datetime(2024, 1, 1, tzinfo=UTC)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert [epoch + timedelta(microseconds=b) for b in bounds] == [start, start + timedelta(seconds=99)]
    assert (file.record_count, list(file.partition._data)) == (100, ["A", 0])
    assert file.file_size_in_bytes == Path(file.file_path).stat().st_size


def test_large_slice_is_one_sorted_file_per_bucket(lake: Lake) -> None:
    writer = SliceWriter(lake.table("ocel.events"), TABLES["ocel.events"], "A", buckets=4)
    writer.write([events(1000)])
    found = writer.close()
    assert sorted(file.partition[1] for file in found) == [0, 1, 2, 3]
    for file in found:
        rows = pl.read_parquet(file.file_path)
        assert rows["event_id"].is_sorted()
        assert bucket_of(rows["event_id"], 4).to_list() == rows["bucket"].to_list() == [file.partition[1]] * rows.height
    assert sum(file.record_count for file in found) == 1000


def test_iterators_are_written_as_they_come(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PART_ROWS", 1000)
    held = 0
    writer = SliceWriter(lake.table("ocel.event_types"), TABLES["ocel.event_types"], "A")
    for first in range(50):
        writer.write([pl.DataFrame({"activity": [f"{first:03}.{i:03}" for i in range(300)]})])
        held = max(held, sum(frame.height for frame in writer._waiting))
    (file,) = writer.close()
    assert held < 1000
    assert pq.read_metadata(file.file_path).num_row_groups == 13
    rows = pl.read_parquet(file.file_path)["activity"]
    assert len(rows) == file.record_count == 15_000
    assert rows.is_sorted()


def test_a_file_rolls_over_at_its_size(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PART_ROWS", 100)
    monkeypatch.setattr(files, "FILE_BYTES", 1)
    writer = SliceWriter(lake.table("ocel.events"), TABLES["ocel.events"], "A")
    writer.write([events(250)])
    assert [file.record_count for file in writer.close()] == [125, 125]


def test_discarded_files_are_gone(lake: Lake) -> None:
    writer = SliceWriter(lake.table("ocel.events"), TABLES["ocel.events"], "gone")
    writer.write([events(5)])
    (file,) = writer.close()
    writer.write([events(5)])
    writer._flush()
    writer.discard()
    assert not list(Path(file.file_path).parent.iterdir())


def test_nested_values_keep_their_field_ids(lake: Lake) -> None:
    spec = TABLES["bronze.event_records"]
    attribute = {"name": "price", "time": None, "value": "1", "value_type": "integer"}
    row = {"batch_id": "b", "position": 0, "attributes": [attribute, attribute], "relationships": [], "declared": True}
    frame = pl.DataFrame([row], schema=frame_schema(spec.identifier))
    writer = SliceWriter(lake.table(spec.identifier), spec, "A")
    writer.write([frame])
    (file,) = writer.close()
    element = pq.ParquetFile(file.file_path).schema_arrow.field("attributes").type.value_field
    assert b"PARQUET:field_id" in element.metadata
    assert all(b"PARQUET:field_id" in field.metadata for field in element.type)
    assert pl.read_parquet(file.file_path)["attributes"].to_list() == [[attribute, attribute]]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda f: f.drop("activity"), "activity is missing"),
        (lambda f: f.with_columns(extra=1), "extra is no column"),
        (lambda f: f.with_columns(pl.col("sequence").cast(pl.Int32)), "sequence is Int32"),
        (lambda f: f.with_columns(activity=pl.lit(None, dtype=pl.String)), "hold nulls: activity"),
    ],
)
def test_rows_that_do_not_fit_are_refused(lake: Lake, change, what: str) -> None:
    writer = SliceWriter(lake.table("ocel.events"), TABLES["ocel.events"], "A")
    with pytest.raises(LakeError, match=what) as error:
        writer.write([change(events(3))])
    assert error.value.where == "ocel.events"
