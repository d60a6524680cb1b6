"""The registry changes; the tables follow without a rewrite."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pytest

from ocelake.lake import Lake, open_lake
from ocelake.lake.build import STEPS, build_log, publish, sources, verify
from ocelake.lake.evolve import ensure_tables
from ocelake.lake.ingest import ingest
from ocelake.lake.maintenance import run_maintenance
from ocelake.lake.rows import read_file
from ocelake.lake.schema import iceberg_schema, registry_fingerprint
from ocelake.lake.snapshots import slice_files
from ocelake.ocel.generate import generate
from ocelake.ocel.write import write_log
from ocelake.tables import TABLES, Column, Layer, layer_tables
from tests.lake_frames import event_types, events, publish_silver


def with_column(monkeypatch: pytest.MonkeyPatch, column: Column) -> None:
    spec = TABLES["ocel.events"]
    monkeypatch.setitem(TABLES, "ocel.events", replace(spec, columns=(*spec.columns, column)))


def open_with(lake: Lake) -> Lake:
    return open_lake(settings=lake.settings)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = open_lake(tmp_path)
    publish_silver(lake, "A", 3, "a")
    return lake


def test_added_column_is_null_in_old_rows_and_filled_in_new_ones(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before = slice_files(lake.table("ocel.events"), "A")
    with_column(monkeypatch, Column("cost", pl.Float64, "What it cost.", True))
    newer = open_with(lake)
    assert newer.read("ocel.events", "A")["cost"].to_list() == [None] * 3
    with newer.publication("B", "silver") as publication:
        publication.replace("ocel.events", events(2).with_columns(cost=pl.lit(1.5)))
        publication.commit()
    assert newer.read("ocel.events").group_by("log_id").agg("cost").sort("log_id")["cost"].to_list() == [
        [None] * 3,
        [1.5] * 2,
    ]
    assert newer.scan("ocel.events").filter(pl.col("cost") > 1).collect().height == 2
    assert newer.read("ocel.events", "A", as_of="A.silver.1")["cost"].to_list() == [None] * 3
    assert {f.file_path for f in slice_files(newer.table("ocel.events"), "A")} == {f.file_path for f in before}
    assert newer.table("ocel.events").schema().find_field("cost").doc == "What it cost."


def test_nested_column_can_be_added(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    dtype = pl.List(pl.Struct({"k": pl.String, "n": pl.Int64}))
    with_column(monkeypatch, Column("tags", dtype, "Tags."))
    newer = open_with(lake)
    tags = [[{"k": "x", "n": 1}], []]
    with newer.publication("B", "silver") as publication:
        publication.replace(
            "ocel.events",
            events(2).with_columns(tags=pl.Series(tags, dtype=dtype)),
        )
        publication.commit()
    assert newer.read("ocel.events", "B")["tags"].to_list() == tags
    assert newer.read("ocel.events", "A")["tags"].to_list() == [None] * 3


def test_older_registry_still_writes_and_reads(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        with_column(patch, Column("cost", pl.Float64, "What it cost."))
        open_with(lake).ensure_tables()
    older = open_with(lake)
    publish_silver(older, "A", 4, "b")
    assert older.read("ocel.events", "A").equals(events(4, "b"))


def test_rows_are_in_a_new_order_from_then_on(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(TABLES["ocel.events"], sort=("event_id", "time"))
    before = slice_files(lake.table("ocel.events"), "A")
    monkeypatch.setitem(TABLES, "ocel.events", spec)
    newer = open_with(lake)
    late_first = events(3).with_columns(pl.col("time").reverse())
    with newer.publication("B", "silver") as publication:
        publication.replace("ocel.events", late_first.reverse())
        publication.commit()
    table = newer.table("ocel.events")
    assert [table.schema().find_column_name(field.source_id) for field in table.sort_order().fields] == list(spec.sort)
    (file,) = slice_files(table, "B")
    assert read_file(table.io, spec, file).equals(late_first)
    assert [file.file_path for file in slice_files(table, "A")] == [file.file_path for file in before]


def test_renamed_column_is_found_by_its_field_id(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.catalog.load_table("ocel.event_types")
    with table.update_schema() as update:
        update.rename_column("activity", "event_type")
    spec = TABLES["ocel.event_types"]
    renamed = (spec.columns[0], replace(spec.columns[1], name="event_type"))
    monkeypatch.setitem(TABLES, "ocel.event_types", replace(spec, columns=renamed, sort=("event_type",)))
    newer = open_with(lake)
    assert newer.read("ocel.event_types", "A")["event_type"].to_list() == ["a000", "a001", "a002"]
    assert newer.scan("ocel.event_types").filter(pl.col("event_type") == "a001").collect().height == 1
    with newer.publication("B", "silver") as publication:
        publication.replace("ocel.event_types", event_types(1, "b").rename({"activity": "event_type"}))
        publication.commit()
    assert sorted(newer.read("ocel.event_types")["event_type"]) == ["a000", "a001", "a002", "b000"]
    assert newer.read("ocel.event_types", as_of="A.silver.1")["event_type"].to_list() == ["a000", "a001", "a002"]


def test_documentation_follows(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TABLES["ocel.events"]
    columns = tuple(replace(c, doc="Said anew.") if c.name == "activity" else c for c in spec.columns)
    monkeypatch.setitem(TABLES, "ocel.events", replace(spec, columns=columns, doc="Anew."))
    table = open_with(lake).table("ocel.events")
    assert table.schema().find_field("activity").doc == "Said anew."
    assert table.properties["comment"] == "Anew."


def test_a_column_that_is_no_longer_required_takes_nulls(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TABLES["ocel.events"]
    columns = tuple(replace(c, required=False, doc="Anew.") if c.name == "activity" else c for c in spec.columns)
    monkeypatch.setitem(TABLES, "ocel.events", replace(spec, columns=columns))
    newer = open_with(lake)
    with newer.publication("B", "silver") as publication:
        publication.replace("ocel.events", events(2).with_columns(activity=pl.lit(None, dtype=pl.String)))
        publication.commit()
    assert newer.read("ocel.events", "B")["activity"].to_list() == [None] * 2
    assert newer.scan("ocel.events").select(pl.col("activity").null_count()).collect().item() == 2
    field = newer.table("ocel.events").schema().find_field("activity")
    assert (field.required, field.doc) == (False, "Anew.")


def test_nothing_to_do_is_one_look_up(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(lake.catalog), "load_table", None)
    monkeypatch.setattr(type(lake.catalog), "create_namespace", None)
    ensure_tables(lake.catalog, TABLES)


def test_fingerprint_sees_every_change() -> None:
    spec = TABLES["ocel.events"]
    prints = {registry_fingerprint(TABLES)}
    for change in ({"doc": "x"}, {"sort": ()}, {"columns": spec.columns[:-1]}):
        prints.add(registry_fingerprint({**TABLES, "ocel.events": replace(spec, **change)}))
    assert len(prints) == 4


def test_every_type_of_the_registry_has_a_counterpart() -> None:
    for spec in TABLES.values():
        schema = iceberg_schema(spec)
        assert [field.name for field in schema.fields] == [column.name for column in spec.columns]
        assert [field.required for field in schema.fields] == [column.required for column in spec.columns]


def _open(home: str) -> int:
    return len(open_lake(home).catalog.list_tables("ocel"))


def test_two_processes_create_a_lake_at_once(tmp_path: Path) -> None:
    with get_context("forkserver").Pool(2) as pool:
        found = pool.map(_open, [str(tmp_path / "new")] * 2, chunksize=1)
    assert found == [14, 14]


def test_a_lake_from_before_the_analysis_was_a_layer_is_read_built_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed(layer: Layer) -> dict[str, pl.DataFrame]:
        step = STEPS[layer]
        return step.compute(before, sources(before, "A", layer), step.settings(before, "A"), 1)

    before = open_lake(tmp_path)
    write_log(generate(200, seed=1), tmp_path / "log.json")
    ingest(before, tmp_path / "log.json", "A")
    publish(before, sources(before, "A", "silver"), "silver", computed("silver"), settings=before.settings.log("A"))
    gold, analysis = computed("gold"), computed("analysis")
    with monkeypatch.context() as old:
        for spec in layer_tables("analysis"):
            old.setitem(TABLES, spec.identifier, replace(spec, layer="gold"))
        publish(before, sources(before, "A", "gold"), "gold", gold | analysis, settings=before.settings.mining("A"))

    lake = open_with(before)
    assert all(frame.height for name, frame in analysis.items() if name in ("gold.bottlenecks", "gold.type_graph"))
    for name, frame in analysis.items():
        assert lake.read(name, "A").equals(frame), "the newest rows are still there"
        assert lake.read(name, "A", as_of="A.gold.1").is_empty(), "but no publication of the analysis wrote them"
        assert lake.read(name, as_of="A.gold.1").is_empty()
        assert lake.history(name).is_empty()
    assert lake.sql("FROM gold.bottlenecks", as_of="A.gold.1").is_empty()
    assert lake.read("gold.ocdfg_edges", "A", as_of="A.gold.1").equals(gold["gold.ocdfg_edges"])
    assert all(table.equal for table in verify(lake, "A"))

    ingest(lake, tmp_path / "log.json", "B")
    build_log(lake, "B")
    run_maintenance(lake)
    assert all(lake.read(name, "A").equals(frame) for name, frame in analysis.items()), "another log takes nothing away"

    build_log(lake, "A")
    run_maintenance(lake)
    for name, frame in analysis.items():
        assert lake.read(name, "A").equals(frame)
        assert lake.read(name, "A", as_of="A.analysis.1").equals(frame)
        assert lake.read(name, "A", as_of="A.gold.1").is_empty()
    assert all(table.equal for table in verify(lake, "A"))
