"""Publications, and reading them back at any moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from ocelake.errors import LakeError, NotFound, OutcomeUnknown, SettingError, StalePublication, Unreachable
from ocelake.lake import Lake, open_lake
from ocelake.lake.catalog import PublicationCatalog
from ocelake.lake.snapshots import slice_files
from ocelake.ocel.model import frame_schema
from ocelake.settings import LogSettings, Resilience
from ocelake.tables import TABLES, layer_tables
from tests.lake_frames import event_types, events, publish_silver, state


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path)


def publish_types(lake: Lake, log_id: str, count: int, mark: str = "a", **reads: str):
    with lake.publication(log_id, "silver", reads=reads) as publication:
        publication.replace("ocel.event_types", event_types(count, mark))
        return publication.commit()


def batch(batch_id: str) -> pl.DataFrame:
    row = {
        "batch_id": batch_id,
        "source": "file",
        "format": "ocel2-json",
        "content_hash": batch_id,
        "event_records": 0,
        "object_records": 0,
        "declarations": "{}",
        "metadata": "{}",
        "received": datetime(2024, 1, 1, tzinfo=UTC),
    }
    return pl.DataFrame([row], schema=frame_schema("bronze.batches"))


def publish_batch(lake: Lake, log_id: str, batch_id: str):
    with lake.publication(log_id, "bronze") as publication:
        publication.append("bronze.batches", batch(batch_id))
        record = publication.commit()
    return record, publication.discarded


def test_every_table_is_there_with_its_documentation(lake: Lake) -> None:
    for identifier, spec in TABLES.items():
        table = lake.table(identifier)
        assert [field.doc for field in table.schema().fields] == [column.doc for column in spec.columns]
        assert tuple(field.name for field in table.spec().fields) == spec.partition
        assert table.properties["comment"] == spec.doc
        assert lake.read(identifier).schema == pl.Schema({k: v for k, v in spec.schema.items() if k != "bucket"})


def test_publication_is_visible_only_once_committed(lake: Lake) -> None:
    with lake.publication("A", "silver") as publication:
        publication.replace("ocel.events", events(5))
        publication.replace("ocel.event_types", event_types(2))
        assert lake.read("ocel.events", "A").is_empty()
        record = publication.commit()
    assert_frame_equal(lake.read("ocel.events", "A"), events(5))
    assert (record.publication_id, record.number) == ("A.silver.1", 1)
    assert record.rows == {"ocel.events": 5, "ocel.event_types": 2}
    assert record == lake.latest("A", "silver")


def test_leaving_without_commit_discards_all(lake: Lake) -> None:
    with lake.publication("A", "silver") as publication:
        publication.replace("ocel.events", events(5))
    with suppress(ZeroDivisionError), lake.publication("A", "silver") as publication:
        publication.replace("ocel.events", events(5))
        _ = 1 / 0
    assert lake.logs() == []
    assert not list((lake.settings.home / "warehouse").rglob("*.parquet"))
    with pytest.raises(LakeError, match="is over"):
        publication.commit()


def test_replacing_a_slice_keeps_every_file_of_other_logs(lake: Lake) -> None:
    publish_silver(lake, "A", 5, "a")
    publish_silver(lake, "B", 7, "b")
    before = {file.file_path for file in slice_files(lake.table("ocel.events"), "B")}
    publish_silver(lake, "A", 3, "c")
    table = lake.table("ocel.events")
    assert {file.file_path for file in slice_files(table, "B")} == before
    assert not [task for task in table.scan().plan_files() if task.delete_files]
    assert state(lake, "A") == (3, {"c"}, 3)
    assert state(lake, "B") == (7, {"b"}, 7)
    assert lake.read("ocel.events").group_by("log_id").len().sort("log_id").rows() == [("A", 3), ("B", 7)]


def test_one_snapshot_a_table_and_publication(lake: Lake) -> None:
    for mark in "abc":
        record = publish_silver(lake, "A", 2, mark)
    table = lake.table("ocel.events")
    assert len(table.metadata.snapshots) == 3
    assert record.snapshots["ocel.events"] == table.metadata.current_snapshot_id
    # A table that never had a row has no snapshot, and says so.
    assert record.rows["ocel.objects"] == 0
    assert "ocel.objects" not in record.snapshots


def test_a_slice_can_become_empty(lake: Lake) -> None:
    publish_types(lake, "A", 3)
    publish_types(lake, "B", 1)
    publish_types(lake, "A", 0)
    assert lake.read("ocel.event_types", "A").is_empty()
    assert lake.read("ocel.event_types", "A", as_of="A.silver.1").height == 3
    assert lake.read("ocel.event_types").rows() == [("B", "a000")]


def test_append_adds_and_keeps_the_buckets(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocelake.lake.files.BUCKET_ROWS", 50)
    with lake.publication("A", "silver") as publication:
        publication.replace("ocel.events", events(200))
        publication.commit()
    assert {file.partition[1] for file in lake.plan("ocel.events").files} == {0, 1, 2, 3}
    extra = events(230).slice(200)
    with lake.publication("A", "silver") as publication:
        publication.append("ocel.events", extra.head(10))
        publication.append("ocel.events", [extra.slice(10, 10), extra.slice(20)])
        publication.commit()
    assert_frame_equal(lake.read("ocel.events", "A").sort("time"), events(230))
    assert {file.partition[1] for file in lake.plan("ocel.events").files} == {0, 1, 2, 3}


def test_times_strictly_increase_and_numbers_count_per_log_and_layer(lake: Lake) -> None:
    made = [publish_types(lake, log, 1) for log in "ABAAB"]
    assert [r.publication_id for r in made] == ["A.silver.1", "B.silver.1", "A.silver.2", "A.silver.3", "B.silver.2"]
    assert all(a.time < b.time for a, b in pairwise(made))
    shown = lake.publications()
    assert shown["publication_id"].to_list() == [r.publication_id for r in made]
    assert shown["time"].to_list() == [r.time for r in made]
    assert lake.publications("B")["number"].to_list() == [1, 2]
    assert lake.logs() == ["A", "B"]


def test_clock_that_goes_back_does_not_turn_publications_around(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish_types(lake, "A", 1)

    class Past(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) - timedelta(days=1)

    monkeypatch.setattr("ocelake.lake.catalog.datetime", Past)
    assert publish_types(lake, "A", 2).time == first.time + timedelta(microseconds=1)


def test_settings_and_reads_are_kept(lake: Lake) -> None:
    with lake.publication("A", "silver", reads={"bronze": "A.bronze.1"}, settings=LogSettings(ties="position")) as pub:
        pub.replace("ocel.event_types", event_types(1))
        pub.commit()
    record = lake.latest("A", "silver")
    assert record is not None
    assert record.reads == {"bronze": "A.bronze.1"}
    assert LogSettings.model_validate(record.settings).ties == "position"


def test_second_writer_of_a_replaced_layer_is_stale(lake: Lake) -> None:
    first = lake.publication("A", "silver")
    first.replace("ocel.event_types", event_types(1, "x"))
    publish_types(lake, "A", 2, "y")
    with pytest.raises(StalePublication, match=r"A\.silver\.1"), first:
        first.commit()
    assert lake.read("ocel.event_types", "A")["activity"].to_list() == ["y000", "y001"]
    assert len(list((lake.settings.home / "warehouse").rglob("*.parquet"))) == 1


def test_content_from_an_older_state_is_stale(lake: Lake) -> None:
    publish_types(lake, "A", 2, "new", bronze="A.bronze.2")
    with pytest.raises(StalePublication, match="bronze 2, this one from 1"):
        publish_types(lake, "A", 1, "old", bronze="A.bronze.1")
    assert publish_types(lake, "A", 2, "new", bronze="A.bronze.2").number == 2


def test_batches_are_added_to_whatever_is_there_and_only_once(lake: Lake) -> None:
    late = lake.publication("A", "bronze")
    assert publish_batch(lake, "A", "b1")[1] is False
    late.append("bronze.batches", batch("b2"))
    assert late.commit().publication_id == "A.bronze.2"
    record, discarded = publish_batch(lake, "A", "b1")
    assert (record.publication_id, discarded) == ("A.bronze.2", True)
    assert sorted(lake.read("bronze.batches", "A")["batch_id"]) == ["b1", "b2"]


def test_tables_of_other_layers_and_unknown_ones_are_refused(lake: Lake) -> None:
    with lake.publication("A", "silver") as publication:
        with pytest.raises(LakeError, match="belongs to the layer gold"):
            publication.replace("gold.log_summary", events(1))
        with pytest.raises(NotFound, match="no table"):
            publication.append("ocel.nothing", events(1))
        publication.replace("ocel.events", events(1))
        with pytest.raises(LakeError, match="already"):
            publication.replace("ocel.events", events(1))
    with pytest.raises(SettingError):
        lake.publication("../A", "silver")
    with pytest.raises(NotFound, match="no column 'when'"):
        lake.scan("ocel.events", columns=["when"])


def test_error_in_a_frame_surfaces_at_commit_and_publishes_nothing(lake: Lake) -> None:
    with lake.publication("A", "silver") as publication:
        publication.replace("ocel.events", events(1).drop("activity"))
        with pytest.raises(LakeError, match="do not fit"):
            publication.commit()
    assert lake.logs() == []


def test_time_travel_by_time_text_and_publication(lake: Lake) -> None:
    made = [publish_types(lake, "A", n) for n in (1, 2)]
    other = publish_types(lake, "B", 7)
    made.append(publish_types(lake, "A", 3))

    def count(as_of: datetime | str | None, log: str = "A") -> int:
        return lake.read("ocel.event_types", log, as_of=as_of).height

    assert [count(r.publication_id) for r in made] == [1, 2, 3]
    assert [count(r.time) for r in made] == [1, 2, 3]
    assert [count(r.time.isoformat()) for r in made] == [1, 2, 3]
    assert count(made[0].time - timedelta(microseconds=1)) == 0
    assert count(made[1].time - timedelta(microseconds=1)) == 1
    assert count("2001-01-01") == 0
    assert count(None) == 3
    assert count(other.publication_id) == 2
    assert count(made[1].publication_id, "B") == 0
    assert count(made[2].publication_id, "B") == 7
    assert lake.read("ocel.event_types", as_of="B.silver.1").height == 9
    assert lake.latest("A", "silver", as_of=other.time) == made[1]
    assert lake.latest("A", "silver", as_of="2001-01-01") is None
    with pytest.raises(NotFound, match=r"A\.silver\.9"):
        count("A.silver.9")
    with pytest.raises(SettingError, match="neither a time nor a publication"):
        count("yesterday")


def test_as_of_a_publication_is_what_it_read_and_the_rest_as_of_its_time(lake: Lake) -> None:
    publish_batch(lake, "A", "b1")
    publish_types(lake, "A", 1, bronze="A.bronze.1")
    publish_types(lake, "B", 1)
    publish_batch(lake, "A", "b2")
    publish_types(lake, "A", 2, bronze="A.bronze.2")
    publish_types(lake, "B", 2)
    with lake.publication("A", "gold", reads={"silver": "A.silver.1"}) as publication:
        gold = publication.commit()
    publish_types(lake, "B", 3)

    def counts(as_of: str | datetime) -> tuple[int, int, int]:
        types = lake.read("ocel.event_types", as_of=as_of)["log_id"].to_list()
        assert types.count("A") == lake.read("ocel.event_types", "A", as_of=as_of).height
        assert len(types) == lake.plan("ocel.event_types", as_of=as_of).rows
        return lake.read("bronze.batches", "A", as_of=as_of).height, types.count("A"), types.count("B")

    assert counts("A.gold.1") == (1, 1, 2)
    assert counts(gold.time) == (2, 2, 2)
    found = lake.latest("A", "silver", as_of="A.gold.1")
    assert found is not None
    assert found.publication_id == "A.silver.1"
    assert lake.latest("A", "bronze", as_of="A.gold.1").publication_id == "A.bronze.1"


def test_expired_snapshots_are_stood_in_for_or_named(lake: Lake) -> None:
    publish_types(lake, "A", 1)
    publish_types(lake, "B", 5)
    publish_types(lake, "A", 2)
    publish_types(lake, "B", 6)
    table = lake.catalog.load_table("ocel.event_types")
    first, second, third, _ = [s.snapshot_id for s in table.metadata.snapshots]
    table.maintenance.expire_snapshots().by_ids([first, third]).commit()
    # A's first slice lives on in B's first snapshot, its second one in the current snapshot.
    assert lake.read("ocel.event_types", "A", as_of="A.silver.1").height == 1
    assert lake.read("ocel.event_types", "A", as_of="A.silver.2").height == 2
    assert lake.read("ocel.event_types", as_of="A.silver.2").height == 2 + 5
    assert lake.history("ocel.event_types")["available"].to_list() == [False, True, False, True]
    lake.catalog.load_table("ocel.event_types").maintenance.expire_snapshots().by_ids([second]).commit()
    with pytest.raises(NotFound, match=r"A\.silver\.1 has expired"):
        lake.read("ocel.event_types", "A", as_of="A.silver.1")
    assert lake.read("ocel.event_types", "B", as_of="B.silver.2").height == 6


def test_a_foreign_commit_makes_the_publication_stage_again(lake: Lake) -> None:
    moved: list[bool] = []
    original = lake.store.catalog.exclusive
    with lake.publication("A", "silver") as publication:
        publication.replace("ocel.event_types", event_types(2))

        def moved_first():
            if not moved:
                moved.append(True)
                table = lake.catalog.load_table("ocel.event_types")
                with table.transaction() as transaction:
                    transaction.set_properties({"touched": "yes"})
            return original()

        lake.store.catalog.exclusive = moved_first
        record = publication.commit()
    table = lake.catalog.load_table("ocel.event_types")
    assert table.properties["touched"] == "yes"
    assert table.metadata.current_snapshot_id == record.snapshots["ocel.event_types"]
    assert lake.read("ocel.event_types", "A").height == 2
    assert len(table.metadata.snapshots) == 1


def test_ocel_reads_all_tables_at_one_moment(lake: Lake) -> None:
    publish_silver(lake, "A", 4, "a")
    publish_silver(lake, "A", 6, "b")
    ocel = lake.ocel("A")
    assert_frame_equal(ocel.events, events(6, "b"))
    assert ocel.event_types.height == 6
    assert ocel.objects.is_empty()
    assert lake.ocel("A", as_of="A.silver.1").events.height == 4
    with pytest.raises(NotFound, match="'C' has no OCEL tables"):
        lake.ocel("C")
    with pytest.raises(NotFound, match="at that moment"):
        lake.ocel("A", as_of="2001-01-01")


def test_a_reader_during_publications_never_sees_half_of_one(lake: Lake) -> None:
    publish_silver(lake, "A", 1, "a")
    stop = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        reader = open_lake(settings=lake.settings)
        while not stop.is_set():
            ocel = reader.ocel("A")
            if ocel.events.height != ocel.event_types.height:
                wrong.append((ocel.events.height, ocel.event_types.height))

    thread = threading.Thread(target=read)
    thread.start()
    for n in range(2, 16):
        publish_silver(lake, "A", n, "a")
    stop.set()
    thread.join()
    assert not wrong


def test_manifests_and_metadata_files_stay_bounded(lake: Lake) -> None:
    for n in range(45):
        publish_types(lake, f"L{n % 3}", n % 5 + 1)
    table = lake.table("ocel.event_types")
    assert len(table.current_snapshot().manifests(table.io)) < 25
    assert lake.read("ocel.event_types").group_by("log_id").len().height == 3
    files = list((lake.settings.home / "warehouse" / "ocel" / "event_types" / "metadata").glob("*.metadata.json"))
    assert len(files) <= 22


def test_opening_again_finds_all_and_checks_once(lake: Lake) -> None:
    publish_silver(lake, "A", 3, "a")
    again = open_lake(settings=lake.settings)
    assert state(again, "A") == (3, {"a"}, 3)
    assert again.table("ocel.events").metadata_location == lake.table("ocel.events").metadata_location


def test_every_layer_can_be_published_empty(lake: Lake) -> None:
    for layer in ("bronze", "silver", "gold"):
        with lake.publication("A", layer) as publication:
            for spec in layer_tables(layer):
                publication.replace(spec.identifier, frame_schema(spec.identifier).to_frame())
            assert publication.commit().snapshots == {}
        assert lake.latest("A", layer).number == 1


def test_unreachable_catalog_says_what_to_check(lake: Lake) -> None:
    uri = "postgresql+psycopg2://nobody:secret@127.0.0.1:1/none"
    settings = lake.settings.model_copy(update={"catalog_uri": uri, "resilience": Resilience(seconds=0.3)})
    with pytest.raises(Unreachable, match="Connection refused") as error:
        open_lake(settings=settings).logs()
    assert "OCELAKE_CATALOG_URI" in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError])
def test_what_is_published_keeps_its_files_when_the_tidying_breaks(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    def broken(*_: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(PublicationCatalog, "remove_old_metadata", broken)
        with suppress(KeyboardInterrupt):
            publish_types(lake, "A", 3)
    again = open_lake(lake.settings.home)
    assert again.publications()["publication_id"].to_list() == ["A.silver.1"]
    assert again.read("ocel.event_types", "A").height == 3


def test_what_is_published_keeps_its_files_when_the_answer_to_the_commit_is_lost(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    exclusive = PublicationCatalog.exclusive
    lost = 0

    @contextmanager
    def lossy(catalog: PublicationCatalog) -> Iterator[Connection]:
        nonlocal lost
        with exclusive(catalog) as connection:
            yield connection
        lost += 1
        raise OperationalError("COMMIT", {}, Exception("the server closed the connection"))

    lake.ensure_tables()
    elsewhere = f"sqlite:///{lake.settings.home / '.' / 'x' / '..' / 'catalog.db'}"  # a circuit of its own
    changes = {"catalog_uri": elsewhere, "resilience": Resilience(seconds=0.5)}
    impatient = open_lake(settings=lake.settings.model_copy(update=changes))
    impatient.ensure_tables()
    with monkeypatch.context() as patch:
        patch.setattr(PublicationCatalog, "exclusive", lossy)
        with pytest.raises(OutcomeUnknown, match=r"A\.silver\.1"):
            publish_types(impatient, "A", 3)
    assert lost > 1
    assert lake.publications()["publication_id"].to_list() == ["A.silver.1"]
    assert lake.read("ocel.event_types", "A").height == 3


def test_a_refused_publication_deletes_its_files(lake: Lake) -> None:
    with lake.publication("A", "silver") as publication:
        publication.replace("ocel.event_types", event_types(3))
        publish_types(lake, "A", 2)
        with pytest.raises(StalePublication):
            publication.commit()
    publish_batch(lake, "A", "b1")
    assert publish_batch(lake, "A", "b1")[1]
    files = {path.name for path in (lake.settings.home / "warehouse").rglob("*.parquet")}
    planned = [path for name in ("ocel.event_types", "bronze.batches") for path in lake.plan(name).paths]
    assert files == {Path(path).name for path in planned}


def test_a_publication_is_stale_against_the_base_that_it_was_computed_from(lake: Lake) -> None:
    publish_types(lake, "A", 1)
    publish_types(lake, "A", 2)
    with lake.publication("A", "silver", base=1) as publication:
        publication.replace("ocel.event_types", event_types(3))
        with pytest.raises(StalePublication):
            publication.commit()
    with lake.publication("A", "silver", base=2) as publication:
        publication.replace("ocel.event_types", event_types(4))
        assert publication.commit().number == 3
    with lake.publication("A", "silver", base=0) as publication:
        publication.replace("ocel.event_types", event_types(3))
        with pytest.raises(StalePublication):
            publication.commit()


def test_reads_at_one_moment_agree_also_where_the_moment_is_now(lake: Lake) -> None:
    nothing = lake.moment(None)
    publish_silver(lake, "A", 2, "a")
    now, future = lake.moment(None), lake.moment("2999-01-01")
    assert lake.read("ocel.events", "A", as_of=now).height == 2
    publish_silver(lake, "A", 5, "b")
    publish_silver(lake, "B", 1, "b")
    for moment in (now, future):
        assert lake.read("ocel.event_types", "A", as_of=moment).height == 2
        assert lake.read("ocel.event_types", as_of=moment).height == 2
        assert lake.ocel("A", as_of=moment).events.height == 2
        assert lake.latest("B", "silver", moment) is None
    assert lake.read("ocel.events", as_of=nothing).is_empty()
    assert lake.read("ocel.events").height == 6


def test_a_table_is_read_part_by_part(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocelake.lake.lake._PART", 100)
    publish_types(lake, "B", 50)
    publish_types(lake, "A", 1000)
    parts = list(lake.read_parts("ocel.event_types", "A", columns=["activity"]))
    assert len(parts) > 5
    assert_frame_equal(pl.concat(parts), lake.read("ocel.event_types", "A"))


def test_the_newest_publications_are_listed_alone_where_that_is_asked(lake: Lake) -> None:
    for number in range(1, 5):
        publish_silver(lake, "A", number, "a")
    assert lake.publications(limit=2)["publication_id"].to_list() == ["A.silver.3", "A.silver.4"]
