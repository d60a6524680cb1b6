"""Upkeep: it changes no row, takes nothing from readers of what is retained, and really frees space."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyiceberg.table import Table
from pyiceberg.types import LongType

from ocelake.errors import LakeError, NotFound, QueryRefused
from ocelake.lake import Lake, PublicationRecord, open_lake
from ocelake.lake import files as files_module
from ocelake.lake import retention as retention_module
from ocelake.lake.catalog import PublicationCatalog
from ocelake.lake.maintenance import (
    MaintenanceConfig,
    Retention,
    compact,
    expire_snapshots,
    fragmented,
    merge_manifests,
    merge_small,
    mergeable,
    remove_orphans,
    run_maintenance,
)
from ocelake.lake.maintenance import compaction as compaction_module
from ocelake.lake.maintenance import expiry as expiry_module
from ocelake.lake.maintenance.references import (
    References,
    delete_files,
    metadata_files,
    path_of,
    referenced_files,
    stored_files,
)
from ocelake.lake.maintenance.tiers import FANOUT
from ocelake.ocel.model import frame_schema
from ocelake.settings import LakeSettings
from ocelake.tables import TABLES, Layer, layer_tables

NOTHING = timedelta(0)
KEEP_ONE = Retention(publications=1, grace=NOTHING)


def rows(identifier: str, number: int, offset: int = 0) -> pl.DataFrame:
    """Distinct rows of a table, in reverse of its order."""
    some: dict[type, Callable[[int], object]] = {
        pl.String: lambda n: f"v{n:06}",
        pl.Int64: lambda n: n,
        pl.Float64: float,
        pl.Boolean: lambda _: True,
        pl.Datetime: lambda n: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=n),
    }
    schema = frame_schema(identifier)
    numbers = range(offset + number - 1, offset - 1, -1)
    columns = {
        name: [some[kind.base_type()](n) for n in numbers] for name, kind in schema.items() if not kind.is_nested()
    }
    return pl.DataFrame(columns, schema={name: schema[name] for name in columns}).select(
        pl.col(name) if name in columns else pl.lit([], schema[name]).alias(name) for name in schema
    )


SOME = {"silver": ("ocel.events", "ocel.object_attributes"), "gold": ("gold.log_summary",)}
"""Tables that are published here; each one costs time, and all are treated alike."""


def publish(lake: Lake, log_id: str, layer: Layer, number: int = 3, **reads: str) -> PublicationRecord:
    with lake.publication(log_id, layer, reads=reads) as publication:
        for identifier in SOME[layer]:
            publication.replace(identifier, rows(identifier, number))
        return publication.commit()


def ingest(lake: Lake, log_id: str, batch: int, number: int = 3) -> PublicationRecord:
    with lake.publication(log_id, "bronze") as publication:
        for spec in layer_tables("bronze"):
            frame = rows(spec.identifier, 1 if spec.name == "batches" else number)
            if spec.name == "batches":
                frame = frame.with_columns(pl.lit(None, pl.String).alias("topic"))  # a file, not a range of a topic
            publication.append(spec.identifier, frame.with_columns(batch_id=pl.lit(f"b{batch:04}")))
        return publication.commit()


def files_of(table: Table) -> dict[str, str]:
    return {file.path: file.location for file in stored_files(table)}


def strays(lake: Lake) -> set[str]:
    """Files in the tables' folders that nothing refers to."""
    found: set[str] = set()
    for identifier in TABLES:
        table = lake.catalog.load_table(identifier)
        found |= set(files_of(table)) - set(referenced_files(table)) - metadata_files(table)
    return found


def overtake(monkeypatch: pytest.MonkeyPatch, other: Callable[[], object]) -> None:
    """Let somebody else do something whenever a compaction has staged its change and has not committed it yet."""
    stage = compaction_module.stage_files

    def overtaken(*arguments: object, **options: object) -> object:
        staged = stage(*arguments, **options)
        other()
        return staged

    monkeypatch.setattr(compaction_module, "stage_files", overtaken)


def make_old(lake: Lake, age: timedelta = timedelta(days=2)) -> None:
    """Let every file of a local warehouse be older than it is."""
    past = time.time() - age.total_seconds()
    for path in Path(lake.settings.warehouse).rglob("*"):
        os.utime(path, (past, past))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path)


@pytest.fixture
def remote_lake(tmp_path: Path, s3_bucket: dict[str, str], catalog_uri: str) -> Lake:
    """A lake whose files are in an object store, with the catalog in SQLite and in PostgreSQL."""
    return open_lake(
        settings=LakeSettings(
            home=tmp_path,
            catalog_uri=catalog_uri,
            warehouse=f"s3://lake/{uuid4().hex}",
            catalog_properties=s3_bucket,
        )
    )


# --- compaction


def test_compaction_leaves_one_sorted_file_and_the_same_rows(lake: Lake) -> None:
    for batch in (2, 0, 1):
        ingest(lake, "orders", batch)
    ingest(lake, "claims", 0)
    before = lake.read("bronze.event_records")
    table = lake.table("bronze.event_records")
    assert fragmented(table, TABLES["bronze.event_records"]) == ["orders"]

    done = compact(lake, "bronze.event_records", "orders")

    assert (done.rows, done.files_before, done.files_after, done.conflict) == (9, 3, 1, False)
    assert fragmented(lake.table("bronze.event_records"), TABLES["bronze.event_records"]) == []
    assert_frame_equal(lake.read("bronze.event_records"), before, check_row_order=False)
    (path,) = lake.plan("bronze.event_records", log_id="orders").paths
    written = pl.read_parquet(path.removeprefix("file://"), hive_partitioning=False)
    assert_frame_equal(written, written.sort("batch_id", "position"))
    assert lake.plan("bronze.event_records", log_id="claims").rows == 3


def content(lake: Lake, identifier: str, log_id: str) -> tuple[int, int]:
    """The number of rows of a slice and a hash of them, whatever their order."""
    frame = lake.read(identifier, log_id)
    return frame.height, hash(tuple(sorted(frame.hash_rows(seed=1))))


def test_small_files_are_merged_by_tiers_and_the_rows_stay(lake: Lake) -> None:
    identifier = "bronze.event_records"
    ingest(lake, "claims", 0)
    with lake.publication("orders", "bronze") as publication:
        large = rows(identifier, 600).with_columns(batch_id=pl.lit("large"))
        publication.append(identifier, large)
        publication.commit()
    (untouched,) = lake.plan(identifier, log_id="orders").paths
    for batch in range(FANOUT - 1):
        ingest(lake, "orders", batch)
    assert merge_small(lake, identifier, "orders") == []
    ingest(lake, "orders", FANOUT)
    before = content(lake, identifier, "orders")
    assert mergeable(lake.table(identifier), TABLES[identifier]) == ["orders"]
    assert merge_small(lake, identifier, "orders", most_bytes=10_000) == []

    (done,) = merge_small(lake, identifier, "orders")

    assert (done.rows, done.files_before, done.files_after, done.conflict) == (3 * FANOUT, FANOUT, 1, False)
    assert mergeable(lake.table(identifier), TABLES[identifier]) == []
    assert content(lake, identifier, "orders") == before
    (path,) = set(lake.plan(identifier, log_id="orders").paths) - {untouched}
    written = pl.read_parquet(path.removeprefix("file://"), hive_partitioning=False)
    assert written.height == 3 * FANOUT
    assert_frame_equal(written, written.sort("batch_id", "position"))
    assert lake.plan(identifier, log_id="claims").rows == 3


def test_files_of_a_bucket_are_merged_within_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "BUCKET_ROWS", 10)
    identifier = "ocel.object_attributes"
    with lake.publication("orders", "silver") as publication:
        publication.replace(identifier, rows(identifier, 40))
        publication.commit()
    for number in range(FANOUT):
        with lake.publication("orders", "silver") as publication:
            publication.append(identifier, rows(identifier, 8, offset=100 + 8 * number))
            publication.commit()
    place = TABLES[identifier].partition.index("bucket")
    before = content(lake, identifier, "orders")
    held = {(file.partition[place], file.record_count) for file in lake.plan(identifier).files}
    by_bucket = {bucket: sum(f.record_count for f in lake.plan(identifier).files if f.partition[place] == bucket)
                 for bucket, _ in held}  # fmt: skip
    assert len(by_bucket) == 4
    for done in merge_small(lake, identifier, "orders"):
        assert not done.conflict
    assert mergeable(lake.table(identifier), TABLES[identifier]) == []
    assert content(lake, identifier, "orders") == before
    files = lake.plan(identifier).files
    assert len(files) < len(held)
    for bucket, number in by_bucket.items():
        assert sum(file.record_count for file in files if file.partition[place] == bucket) == number
    for file in files:
        ids = pl.read_parquet(file.file_path.removeprefix("file://"), hive_partitioning=False)["object_id"]
        assert set(files_module.bucket_of(ids, 4)) == {file.partition[place]}


def test_the_night_leaves_a_large_file_alone_where_few_rows_lie_beside_it(lake: Lake) -> None:
    identifier = "bronze.event_records"
    with lake.publication("orders", "bronze") as publication:
        publication.append(identifier, rows(identifier, 5000).with_columns(batch_id=pl.lit("large")))
        publication.commit()
    (untouched,) = lake.plan(identifier, log_id="orders").paths
    for batch in range(FANOUT):
        ingest(lake, "orders", batch, 1)
    before = content(lake, identifier, "orders")
    assert fragmented(lake.table(identifier), TABLES[identifier]) == []
    run_maintenance(lake, MaintenanceConfig())
    (file,) = [file for file in lake.plan(identifier, log_id="orders").files if file.file_path != untouched]
    assert file.record_count == FANOUT
    assert content(lake, identifier, "orders") == before


def test_compaction_restores_trace_order_with_nulls_first(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rows come and are written in many small parts, as those of a large log do.
    monkeypatch.setattr(compaction_module, "_BATCH_ROWS", 8)
    monkeypatch.setattr(files_module, "_PART_ROWS", 16)
    identifier = "ocel.object_attributes"
    frame = rows(identifier, 40).with_columns(
        time=pl.when(pl.col("ordinal") % 2 == 0).then("time"), object_id=pl.lit("o") + (pl.col("ordinal") % 7).cast(str)
    )
    with lake.publication("orders", "silver") as publication:
        for part in frame.iter_slices(10):
            publication.append(identifier, part)
        publication.append("ocel.events", frame_schema("ocel.events").to_frame())
        publication.commit()
    # One writer puts small parts into one file, so a second publication makes the second file.
    with lake.publication("orders", "silver") as publication:
        publication.append(identifier, frame.with_columns(ordinal=pl.col("ordinal") + 100))
        publication.commit()
    compact(lake, identifier, "orders")
    (path,) = lake.plan(identifier).paths
    written = pl.read_parquet(path.removeprefix("file://"), hive_partitioning=False)
    assert written.height == 80
    assert_frame_equal(written, written.sort("object_id", "name", "time", "ordinal"))


def test_readers_of_earlier_publications_keep_their_files(lake: Lake) -> None:
    first, second = ingest(lake, "orders", 0), ingest(lake, "orders", 1)
    compact(lake, "bronze.event_records", "orders")
    assert lake.read("bronze.event_records", as_of=first.publication_id).height == 3
    assert lake.read("bronze.event_records", as_of=second.publication_id).height == 6
    assert lake.sql("SELECT count(*) FROM bronze.event_records", as_of=first.publication_id).item() == 3
    assert lake.read("bronze.event_records").height == 6


def test_batches_that_are_added_meanwhile_stay_beside_what_was_compacted(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch in range(2):
        ingest(lake, "orders", batch)
    overtake(monkeypatch, lambda: ingest(open_lake(lake.settings.home), "orders", 2))
    done = compact(lake, "bronze.event_records", "orders")
    assert (done.files_before, done.files_after, done.conflict) == (2, 1, False)
    assert lake.read("bronze.event_records").select("batch_id", "position").n_unique() == 9
    assert len(lake.plan("bronze.event_records").paths) == 2
    make_old(lake)
    remove_orphans(lake)
    assert strays(lake) == set()


def test_a_replacement_meanwhile_wins_over_compaction(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (3, 5):
        with lake.publication("orders", "silver") as publication:
            publication.append("ocel.events", rows("ocel.events", number, offset=10 * number))
            publication.commit()
    overtake(monkeypatch, lambda: publish(open_lake(lake.settings.home), "orders", "silver", 4))
    done = compact(lake, "ocel.events", "orders")
    assert done.conflict
    assert lake.read("ocel.events").height == 4
    make_old(lake)
    remove_orphans(lake)
    assert strays(lake) == set()


def test_writers_that_keep_overtaking_cannot_keep_compaction_away(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for batch in range(2):
        ingest(lake, "orders", batch)
    batches = iter(range(2, 100))

    def overtaken() -> None:
        if not lake.catalog.engine.pool.checkedout():  # else the lock is held, and the other one would wait for it
            ingest(open_lake(lake.settings.home), "orders", next(batches))

    overtake(monkeypatch, overtaken)
    assert not compact(lake, "bronze.event_records", "orders").conflict
    assert next(batches) == 4
    assert lake.read("bronze.event_records").select("batch_id", "position").n_unique() == 12
    assert len(lake.plan("bronze.event_records").paths) == 3


def test_compaction_and_publications_at_once_lose_nothing(lake: Lake) -> None:
    ingest(lake, "orders", 0)

    def compacting() -> None:
        for _ in range(6):
            compact(open_lake(lake.settings.home), "bronze.event_records", "orders")

    with ThreadPoolExecutor(2) as pool:
        upkeep = pool.submit(compacting)
        for batch in range(1, 9):
            ingest(lake, "orders", batch)
        upkeep.result()
    found = lake.read("bronze.event_records", "orders")
    assert found.height == 27
    assert found.select("batch_id", "position").is_unique().all()


def test_compaction_that_dies_leaves_the_table_as_it_was(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for batch in range(2):
        ingest(lake, "orders", batch)
    before = lake.table("bronze.event_records").metadata_location

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lake.catalog, "swap", killed)
    with pytest.raises(KeyboardInterrupt):
        compact(lake, "bronze.event_records", "orders")
    monkeypatch.undo()
    assert lake.table("bronze.event_records").metadata_location == before
    assert lake.read("bronze.event_records").height == 6
    make_old(lake)
    assert sum(removal.files for removal in remove_orphans(lake)) > 0
    assert strays(lake) == set()
    assert lake.read("bronze.event_records").height == 6


def test_compaction_refuses_to_lose_columns(lake: Lake) -> None:
    ingest(lake, "orders", 0)
    with lake.table("bronze.batches").update_schema() as update:
        update.add_column("cost", LongType())
    with pytest.raises(LakeError, match="cost"):
        compact(lake, "bronze.batches", "orders")


# --- manifests


def test_merging_manifests_changes_no_row(lake: Lake) -> None:
    for batch in range(6):
        ingest(lake, "orders", batch)
    table = lake.table("bronze.event_records")
    assert len(table.current_snapshot().manifests(table.io)) == 6
    before = lake.read("bronze.event_records")
    assert not merge_manifests(lake, "bronze.event_records", least=7)
    assert merge_manifests(lake, "bronze.event_records")
    table = lake.table("bronze.event_records")
    assert len(table.current_snapshot().manifests(table.io)) == 1
    assert_frame_equal(lake.read("bronze.event_records"), before, check_row_order=False)
    ingest(lake, "orders", 7)
    assert lake.read("bronze.event_records").height == 21


# --- expiry


def test_expiry_frees_what_nothing_retained_refers_to(lake: Lake) -> None:
    records = [publish(lake, "orders", "silver", number) for number in (2, 3, 4, 5)]
    table = lake.table("ocel.events")
    before = files_of(table)
    newest = [table.snapshot_by_id(record.snapshots["ocel.events"]) for record in records[2:]]
    kept = References().of(table.io, newest)

    done = expire_snapshots(lake, Retention(publications=2, grace=NOTHING))

    assert {expiry.identifier for expiry in done} == set(SOME["silver"])
    assert all(expiry.snapshots == 2 and expiry.files >= 4 for expiry in done)
    table = lake.table("ocel.events")
    assert len(table.metadata.snapshots) == 2
    after = files_of(table)
    assert set(kept) <= set(after)
    assert len([path for path in before if path.endswith(".parquet")]) == 4
    assert len([path for path in after if path.endswith(".parquet")]) == 2
    assert strays(lake) == set()
    for record, number in zip(records[2:], (4, 5), strict=True):
        assert lake.ocel("orders", as_of=record.publication_id).events.height == number
        assert lake.sql("SELECT count(*) FROM ocel.events", as_of=record.publication_id).item() == number
    assert lake.history("ocel.events")["available"].to_list() == [False, False, True, True]


def test_an_expired_publication_says_what_is_retained(lake: Lake) -> None:
    for number in range(1, 6):
        publish(lake, "orders", "silver", number)
    expire_snapshots(lake, Retention(publications=3, grace=NOTHING))
    for ask in (
        lambda: lake.read("ocel.events", "orders", as_of="orders.silver.1"),
        lambda: lake.sql("SELECT count(*) FROM ocel.events", as_of="orders.silver.1"),
        lambda: lake.ocel("orders", as_of="orders.silver.1"),
    ):
        with pytest.raises(NotFound, match=r"orders.silver.1.*Retained are orders.silver.3, ..., orders.silver.5"):
            ask()


def test_old_publications_expire_by_age_but_the_newest_of_each_log_stays(lake: Lake) -> None:
    publish(lake, "claims", "silver", 2)
    for number in (3, 4):
        publish(lake, "orders", "silver", number)
    expire_snapshots(lake, Retention(age=NOTHING, grace=NOTHING))
    assert len(lake.table("ocel.events").metadata.snapshots) == 1
    assert lake.ocel("claims", as_of="claims.silver.1").events.height == 2
    assert lake.ocel("orders", as_of="orders.silver.2").events.height == 4
    with pytest.raises(NotFound):
        lake.ocel("orders", as_of="orders.silver.1")


def test_one_log_can_be_read_where_another_ones_state_has_expired(lake: Lake) -> None:
    publish(lake, "orders", "silver", 3)
    first = publish(lake, "claims", "silver", 2).time
    for number in (4, 5):
        publish(lake, "claims", "silver", number)
    expire_snapshots(lake, Retention(publications=2, grace=NOTHING))
    assert lake.read("ocel.events", "orders", as_of=first).height == 3
    assert lake.ocel("orders", as_of=first).events.height == 3
    for log_id in ("claims", None):
        with pytest.raises(NotFound, match=r"claims\.silver\.1"):
            lake.read("ocel.events", log_id, as_of=first)


def test_a_state_lives_on_in_the_snapshots_of_other_logs(lake: Lake) -> None:
    first = publish(lake, "claims", "silver", 2)
    publish(lake, "orders", "silver", 3)
    publish(lake, "claims", "silver", 4)
    expire_snapshots(lake, Retention(publications=2, grace=NOTHING))
    assert lake.read("ocel.events", "claims", as_of=first.publication_id).height == 2


def test_what_the_newest_publication_was_computed_from_stays(lake: Lake) -> None:
    source = publish(lake, "orders", "silver", 2)
    publish(lake, "orders", "gold", 1, silver=source.publication_id)
    for number in (3, 4):
        publish(lake, "orders", "silver", number)
    expire_snapshots(lake, KEEP_ONE)
    assert lake.ocel("orders", as_of="orders.gold.1").events.height == 2
    with pytest.raises(NotFound):
        lake.ocel("orders", as_of="orders.silver.2")


def test_snapshots_that_were_current_a_moment_ago_stay(lake: Lake) -> None:
    for number in (1, 2, 3):
        publish(lake, "orders", "silver", number)
    before = files_of(lake.table("ocel.events"))
    assert [(done.snapshots, done.files) for done in expire_snapshots(lake, Retention(publications=1))] == [(2, 0)] * 2
    assert len(lake.table("ocel.events").metadata.snapshots) == 1
    assert {path for path in before if path.endswith((".parquet", ".avro"))} <= set(files_of(lake.table("ocel.events")))
    make_old(lake)
    remove_orphans(lake)
    other = open_lake(lake.settings.home)
    for number in (1, 2, 3):
        assert other.ocel("orders", as_of=f"orders.silver.{number}").events.height == number
        assert other.sql("SELECT count(*) FROM ocel.events", as_of=f"orders.silver.{number}").item() == number
    assert {done.snapshots for done in expire_snapshots(lake, KEEP_ONE)} == {0}
    assert strays(lake) == set()
    with pytest.raises(NotFound):
        other.ocel("orders", as_of="orders.silver.2")


def test_a_reader_that_has_just_begun_keeps_its_files_while_others_publish(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "_SLACK", 2)
    lake.store.retention = retention = Retention(publications=2)
    last = publish(lake, "orders", "silver", 2)
    reader = lake.scan("ocel.events", "orders", as_of=last.publication_id)
    make_old(lake)
    for number in range(3, 9):
        publish(lake, "orders", "silver", number)
    run_maintenance(lake, MaintenanceConfig(retention))
    assert reader.collect().height == 2
    assert len(lake.table("ocel.events").metadata.snapshots) <= 4
    assert lake.ocel("orders", as_of=last.publication_id).events.height == 2
    lake.store.retention = Retention(publications=2, grace=NOTHING)
    run_maintenance(lake, MaintenanceConfig(lake.store.retention))
    assert len(lake.table("ocel.events").metadata.snapshots) == 2
    with pytest.raises(NotFound):
        lake.ocel("orders", as_of=last.publication_id)


def test_retention_is_transitive(lake: Lake) -> None:
    bronze = ingest(lake, "orders", 0)
    silver = publish(lake, "orders", "silver", 2, bronze=bronze.publication_id)
    publish(lake, "orders", "gold", 1, silver=silver.publication_id)
    for batch in range(1, 4):
        newer = ingest(lake, "orders", batch)
        publish(lake, "orders", "silver", batch + 2, bronze=newer.publication_id)
    expire_snapshots(lake, KEEP_ONE)
    moment = lake.moment("orders.gold.1")
    assert lake.read("ocel.events", "orders", as_of=moment).height == 2
    assert lake.read("bronze.event_records", "orders", as_of=moment).height == 3
    with pytest.raises(NotFound):
        lake.read("bronze.event_records", "orders", as_of="orders.bronze.2")


def test_what_was_read_stays_where_its_own_snapshot_had_gone_already(lake: Lake) -> None:
    source = publish(lake, "orders", "silver", 2)
    publish(lake, "claims", "silver", 3)
    # The newest of each log is in the current snapshot, so that the first one can go.
    expire_snapshots(lake, KEEP_ONE)
    assert lake.history("ocel.events")["available"].to_list() == [False, True]
    publish(lake, "orders", "gold", 1, silver=source.publication_id)
    for number in (4, 5):
        publish(lake, "orders", "silver", number)
    expire_snapshots(lake, KEEP_ONE)
    assert lake.ocel("orders", as_of="orders.gold.1").events.height == 2


def test_a_publication_while_snapshots_expire_keeps_what_it_made_necessary(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = publish(lake, "orders", "silver", 2)
    publish(lake, "claims", "silver", 3)
    publish(lake, "orders", "gold", 1, silver=source.publication_id)
    judge, waiting = expiry_module.expired_snapshots, [4]

    def overtaken(*how: object, **options: object) -> list[int]:
        gone = judge(*how, **options)
        if waiting and "ocel.events" in how:
            publish(open_lake(lake.settings.home), "orders", "silver", waiting.pop())
        return gone

    monkeypatch.setattr(expiry_module, "expired_snapshots", overtaken)
    expire_snapshots(lake, KEEP_ONE)
    assert not waiting
    assert lake.history("ocel.events")["available"].to_list() == [True, True, True]
    assert lake.ocel("orders", as_of="orders.gold.1").events.height == 2


def test_files_are_deleted_only_after_the_commit(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        publish(lake, "orders", "silver", number)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lake.catalog, "swap", killed)
        with pytest.raises(KeyboardInterrupt):
            expire_snapshots(lake, KEEP_ONE)
    for number in (1, 2, 3):
        assert lake.ocel("orders", as_of=f"orders.silver.{number}").events.height == number

    with monkeypatch.context() as patch:
        patch.setattr(expiry_module, "delete_files", killed)
        with pytest.raises(KeyboardInterrupt):
            expire_snapshots(lake, KEEP_ONE)
    # Killed between commit and deletion: the files are orphans, which a later run removes.
    assert lake.ocel("orders").events.height == 3
    assert strays(lake)
    make_old(lake)
    expire_snapshots(lake, KEEP_ONE)
    remove_orphans(lake)
    assert strays(lake) == set()
    assert lake.ocel("orders").events.height == 3


def test_expiry_and_publications_at_once(lake: Lake) -> None:
    publish(lake, "orders", "silver", 1)

    def expiring() -> None:
        other = open_lake(lake.settings.home)
        for _ in range(4):
            expire_snapshots(other, KEEP_ONE)

    with ThreadPoolExecutor(2) as pool:
        upkeep = pool.submit(expiring)
        for number in range(2, 7):
            publish(lake, "orders", "silver", number)
        upkeep.result()
    assert lake.ocel("orders").events.height == 6
    assert lake.ocel("orders", as_of="orders.silver.6").events.height == 6


def test_a_warm_query_at_an_expired_moment_fails_cleanly(lake: Lake) -> None:
    for number in (1, 2, 3):
        publish(lake, "orders", "silver", number)
    other = open_lake(lake.settings.home)
    assert lake.sql("SELECT count(*) FROM ocel.events", as_of="orders.silver.1").item() == 1
    expire_snapshots(other, KEEP_ONE)
    with pytest.raises(NotFound):
        lake.sql("SELECT count(*) FROM ocel.events", as_of="orders.silver.1")
    assert lake.sql("SELECT count(*) FROM ocel.events").item() == 3


# --- orphans


def test_staged_files_of_a_running_publication_survive(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(lake, "orders", "silver", 2)
    swept: list[int] = []
    swap = PublicationCatalog.swap

    def sweeping(*arguments: object) -> None:
        swept.append(len(strays(lake)))
        assert remove_orphans(lake) == []
        swap(*arguments)

    monkeypatch.setattr(PublicationCatalog, "swap", sweeping)
    publish(lake, "orders", "silver", 5)
    assert swept[0] >= 4 * len(SOME["silver"])
    assert lake.ocel("orders").events.height == 5


def test_orphans_and_old_metadata_are_removed_and_nothing_else(lake: Lake) -> None:
    for number in range(1, 4):
        publish(lake, "orders", "silver", number)
    table = lake.table("ocel.events")
    folder = Path(path_of(table.location()))
    stray = [folder / "data" / "log_id=orders" / "lost.parquet", folder / "metadata" / "00000-old.metadata.json"]
    for path in stray:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"lost")
    elsewhere = Path(lake.settings.warehouse) / "notes.txt"
    elsewhere.write_text("not ours")
    assert remove_orphans(lake) == []
    make_old(lake)
    (removal,) = remove_orphans(lake)
    assert (removal.identifier, removal.files, removal.size) == ("ocel.events", 2, 8)
    assert not any(path.exists() for path in stray)
    assert elsewhere.exists()
    assert [lake.ocel("orders", as_of=f"orders.silver.{n}").events.height for n in (1, 2, 3)] == [1, 2, 3]


def test_deleting_a_file_twice_is_no_error(lake: Lake) -> None:
    publish(lake, "orders", "silver", 1)
    table = lake.table("ocel.events")
    (path,) = lake.plan("ocel.events").paths
    assert delete_files(table.io, [path]) == 1
    assert delete_files(table.io, [path]) == 0


# --- in an object store


def test_upkeep_and_sql_in_an_object_store(remote_lake: Lake) -> None:
    lake = remote_lake
    for batch in range(2):
        ingest(lake, "orders", batch)
    for number in (1, 3):
        publish(lake, "orders", "silver", number)
    lost = f"{lake.table('ocel.events').location()}/data/lost.parquet"
    with lake.table("ocel.events").io.new_output(lost).create() as stream:
        stream.write(b"lost")
    assert lake.sql("SELECT count(*) FROM ocel.events", as_of="orders.silver.1").item() == 1
    config = MaintenanceConfig(KEEP_ONE, orphan_age=NOTHING, manifests=2)
    report = run_maintenance(lake, config)
    assert {done.files_after for done in report.compacted} == {1}
    assert [(removal.identifier, removal.files) for removal in report.orphans if removal.files == 1]
    assert strays(lake) == set()
    assert not lake.table("ocel.events").io.new_input(lost).exists()
    found = lake.sql("SELECT batch_id, position FROM bronze.event_records WHERE batch_id > 'b0000' ORDER BY ALL")
    assert found.height == 3
    assert lake.sql("SELECT count(*) FROM ocel.events").item() == 3
    with pytest.raises(NotFound, match=r"Retained are orders\.silver\.2\."):
        lake.sql("SELECT count(*) FROM ocel.events", as_of="orders.silver.1")
    with pytest.raises(QueryRefused):
        lake.sql(f"FROM read_parquet('{lake.plan('ocel.events').paths[0]}')")
    with lake.table("ocel.events").update_schema() as update:
        update.rename_column("activity", "event_type")
        update.add_column("cost", LongType())
    found = lake.sql("SELECT event_type, cost FROM ocel.events ORDER BY 1")
    assert found.rows() == [(f"v00000{n}", None) for n in range(3)]


# --- all of it


def test_the_nightly_run_reports_what_it_did(lake: Lake) -> None:
    for batch in range(9):
        ingest(lake, "orders", batch)
        publish(lake, "orders", "silver", batch + 1, bronze=f"orders.bronze.{batch + 1}")
    before = {identifier: lake.read(identifier) for identifier in TABLES}
    make_old(lake)
    config = MaintenanceConfig(Retention(publications=2, grace=NOTHING), orphan_age=timedelta(hours=1), manifests=4)
    report = run_maintenance(lake, config)
    assert {(done.identifier, done.files_before, done.files_after) for done in report.compacted} == {
        (spec.identifier, 9, 1) for spec in layer_tables("bronze")
    }
    assert {done.identifier for done in report.expired} >= set(SOME["silver"])
    assert report.seconds > 0
    for identifier, frame in before.items():
        assert_frame_equal(lake.read(identifier), frame, check_row_order=False)
    again = run_maintenance(lake, config)
    assert (again.compacted, again.merged) == ((), ())
    assert lake.ocel("orders", as_of="orders.silver.8").events.height == 8


def test_publishing_keeps_snapshots_manifests_and_metadata_files_few(lake: Lake) -> None:
    # No reader is running: else an hour's snapshots would stay.
    lake.store.retention = Retention(publications=5, grace=NOTHING)
    for number in range(40):
        publish(lake, f"log{number % 3}", "silver", 2)
    table = lake.table("ocel.events")
    assert len(table.metadata.snapshots) <= 21
    assert len(table.current_snapshot().manifests(table.io)) <= 20
    assert len([path for path in files_of(table) if path.endswith(".metadata.json")]) <= 21
    assert lake.read("ocel.events").height == 6
    assert lake.ocel("log0", as_of="log0.silver.14").events.height == 2
    make_old(lake)
    expire_snapshots(lake, lake.store.retention)
    remove_orphans(lake)
    assert strays(lake) == set()
    assert lake.ocel("log0", as_of="log0.silver.14").events.height == 2


@pytest.mark.slow
def test_thousands_of_publications_leave_commits_and_reads_as_fast_as_the_first(tmp_path: Path) -> None:
    """OCELAKE_TEST_PUBLICATIONS=5000 is the full form. Processor time is compared: it does not depend on others."""
    number, logs, some = int(os.environ.get("OCELAKE_TEST_PUBLICATIONS", "300")), 3, 20
    lake = open_lake(tmp_path)
    # The publications stand for those of weeks: none of their snapshots is spared for readers that have just begun.
    lake.store.retention = Retention(grace=NOTHING)
    frame = rows("ocel.events", 3)
    commits: list[float] = []
    reads: list[float] = []
    queries: list[float] = []
    for published in range(number):
        start = time.process_time()
        with lake.publication(f"log{published % logs}", "silver") as publication:
            publication.replace("ocel.events", frame)
            record = publication.commit()
        commits.append(time.process_time() - start)
        if published < some + logs or published >= number - some:
            start = time.process_time()
            assert lake.read("ocel.events", record.log_id).height == 3
            reads.append(time.process_time() - start)
            start = time.process_time()
            lake.sql("SELECT count(*) FROM ocel.events", as_of=record.publication_id)
            queries.append(time.process_time() - start)
    ratios = {
        name: statistics.median(times[-some:]) / statistics.median(times[logs : some + logs])
        for name, times in (("commit", commits), ("read", reads), ("sql", queries))
    }
    print({name: round(ratio, 2) for name, ratio in ratios.items()}, f"after {number} publications")
    assert max(ratios.values()) < 2, ratios
    table = lake.table("ocel.events")
    assert len(table.metadata.snapshots) < 120
    assert len(table.current_snapshot().manifests(table.io)) <= 20
    assert lake.publications().height == number
    assert lake.read("ocel.events", "log0", as_of=f"log0.silver.{(number + 2) // logs}").height == 3
    make_old(lake)
    expire_snapshots(lake, lake.store.retention)
    with pytest.raises(NotFound, match="Retained are"):
        lake.read("ocel.events", "log0", as_of="log0.silver.1")
    remove_orphans(lake)
    assert strays(lake) == set()
    assert len(files_of(table)) < 700
