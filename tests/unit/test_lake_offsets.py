"""Ranges of topics: a publication holds only where no other writer has read on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import polars as pl
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from ocelake.errors import LakeError, StalePublication
from ocelake.lake import Lake, PublicationRecord, open_lake
from ocelake.lake.batches import Ledger, TopicPartition
from ocelake.lake.snapshots import slice_files, stage_files
from ocelake.ocel.model import frame_schema
from ocelake.settings import LakeSettings
from ocelake.stream.offsets import CommittedOffsets
from tests.integration import rest_catalog

P0, P1, P2 = places = [("t", 0), ("t", 1), ("other", 0)]


@pytest.fixture(scope="module", params=["sqlite", "rest"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    home = tmp_path_factory.mktemp("home")
    if request.param == "sqlite":
        yield open_lake(home)
        return
    warehouse = home / "warehouse"
    warehouse.mkdir()
    catalog = SqlCatalog("behind", uri=f"sqlite:///{home / 'behind.db'}", warehouse=str(warehouse))
    server = rest_catalog.serve(catalog)
    yield open_lake(
        settings=LakeSettings(home=home, catalog_uri=f"http://127.0.0.1:{server.server_port}", warehouse=str(warehouse))
    )
    server.shutdown()
    server.server_close()


@pytest.fixture
def log(request: pytest.FixtureRequest) -> str:
    """A log of each test's own."""
    return request.node.originalname.removeprefix("test_")[:90]


def batches(ranges: Mapping[TopicPartition | str, tuple[int, int] | None]) -> pl.DataFrame:
    rows = [
        {
            "batch_id": place if isinstance(place, str) else f"{place[0]}-{place[1]}-{offsets[0]}-{offsets[1]}",
            "source": "s",
            "format": "json",
            "content_hash": "h",
            "topic": None if isinstance(place, str) else place[0],
            "partition": None if isinstance(place, str) else place[1],
            "first_offset": offsets[0] if offsets else None,
            "last_offset": offsets[1] if offsets else None,
            "event_records": 0,
            "object_records": 0,
            "declarations": "{}",
            "metadata": "{}",
            "received": datetime(2024, 1, 1, tzinfo=UTC),
        }
        for place, offsets in ranges.items()
    ]
    return pl.DataFrame(rows, schema=frame_schema("bronze.batches"))


class Writer:
    """A process that reads partitions on from where it believes that they were read to."""

    def __init__(self, lake: Lake, log: str, *places: TopicPartition) -> None:
        self.lake, self.log, self.places = lake, log, places
        self.known = CommittedOffsets(lake, log)
        self.known.refresh()

    def read(self, **ends: int) -> PublicationRecord:
        """Publish the next range of the first partition (``p0``), the second one (``p1``), ..."""
        offsets = self.known.of(self.places)
        wanted = {places[int(name[1])]: end for name, end in ends.items()}
        ranges = {
            place: ((offsets[place] if offsets[place] is not None else -1) + 1, end) for place, end in wanted.items()
        }
        with self.lake.publication(self.log, "bronze", base=self.known.number, offsets=offsets) as publication:
            publication.append("bronze.batches", batches(ranges))
            record = publication.commit()
        self.known.published(record, wanted)
        return record


def held(lake: Lake, log: str) -> list[str]:
    return sorted(lake.read("bronze.batches", log)["batch_id"])


def test_of_two_writers_from_the_same_offsets_one_loses(lake: Lake, log: str) -> None:
    one, other = Writer(lake, log, P0), Writer(lake, log, P0)
    assert one.read(p0=9).number == 1
    with pytest.raises(StalePublication, match=r"read on: t-0 up to 9\."):
        other.read(p0=4)
    assert held(lake, log) == ["t-0-0-9"]
    other.known.refresh()
    assert other.read(p0=14).number == 2
    with pytest.raises(StalePublication, match=r"t-0 up to 14"):
        one.read(p0=19)
    assert held(lake, log) == ["t-0-0-9", "t-0-10-14"]
    assert lake.offsets(log) == {P0: 14}


def test_a_writer_that_lost_one_of_its_partitions_publishes_nothing(lake: Lake, log: str) -> None:
    zombie = Writer(lake, log, P0, P1)
    zombie.read(p0=9, p1=9)
    heir = Writer(lake, log, P1)
    heir.read(p1=19)
    with pytest.raises(StalePublication, match=r"t-1 up to 19"):
        zombie.read(p0=14, p1=14)
    with pytest.raises(StalePublication, match=r"t-1 up to 19"):
        zombie.read(p0=14)  # it holds what it believes of all its partitions against the lake
    assert held(lake, log) == ["t-0-0-9", "t-1-0-9", "t-1-10-19"]
    zombie.places = (P0,)
    zombie.read(p0=14)
    assert lake.offsets(log) == {P0: 14, P1: 19}


def test_publications_of_other_partitions_and_of_files_come_between(lake: Lake, log: str) -> None:
    one, other = Writer(lake, log, P0), Writer(lake, log, P1, P2)
    numbers = [one.read(p0=9).number, other.read(p1=5, p2=7).number, one.read(p0=19).number]
    with lake.publication(log, "bronze") as publication:
        publication.append("bronze.batches", batches({"file": None}))
        numbers.append(publication.commit().number)
    numbers += [other.read(p1=6).number, one.read(p0=29).number]
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert lake.offsets(log) == {P0: 29, P1: 6, P2: 7}
    assert len(held(lake, log)) == 7


def test_a_partition_that_was_lost_and_comes_back_goes_on_after_what_others_read_of_it(lake: Lake, log: str) -> None:
    writer, other = Writer(lake, log, P0, P1), Writer(lake, log, P1)
    writer.places = (P0,)
    other.read(p1=9)
    writer.read(p0=9)  # without a look at what came before
    other.read(p1=19)
    writer.read(p0=19)
    writer.places = (P0, P1)
    writer.known.refresh()
    assert writer.known.of([P1]) == {P1: 19}
    writer.read(p0=29, p1=29)
    assert lake.offsets(log) == {P0: 29, P1: 29}
    assert lake.read("bronze.batches", log)["batch_id"].is_unique().all()


def test_a_range_that_overlaps_or_whose_offsets_are_not_told_is_refused(lake: Lake, log: str) -> None:
    Writer(lake, log, P0).read(p0=9)
    for offsets in ({P0: 9}, {P1: None}, {}):
        with (
            pytest.raises(LakeError, match="t-0-9-12 does not begin after"),
            lake.publication(log, "bronze", offsets=offsets) as publication,
        ):
            publication.append("bronze.batches", batches({P0: (9, 12)}))
    assert held(lake, log) == ["t-0-0-9"]


def test_nothing_is_read_where_no_other_publication_came_between(
    lake: Lake, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(lake, log, P0)
    writer.read(p0=9)
    looked: list[str] = []
    for name, shown in (("offsets", {P0: 24}), ("batches", {"nothing"})):
        monkeypatch.setattr(Ledger, name, property(lambda _, name=name, shown=shown: looked.append(name) or shown))
    writer.read(p0=19)
    with lake.publication(log, "bronze", base=2) as publication:
        publication.append("bronze.batches", batches({"file": None}))
        publication.commit()
    assert looked == []
    with pytest.raises(StalePublication, match="t-0 up to 24"):
        writer.read(p0=29)
    with lake.publication(log, "bronze", base=2) as publication:
        publication.append("bronze.batches", batches({"another file": None}))
        publication.commit()
    assert set(looked) == {"offsets", "batches"}


def test_only_what_came_since_is_read_also_after_files_were_rewritten(
    lake: Lake, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, slow = Writer(lake, log, P0), Writer(lake, log, P1)
    first = writer.read(p0=9)
    writer.read(p0=19)
    base = writer.read(p0=29)
    assert lake.offsets(log, first) == {P0: 29}
    assert lake.offsets(log, base) == {}
    slow.known.refresh()
    if lake.store.shared_snapshots:  # maintenance of a REST catalog's tables is the catalog's
        table = lake.table("bronze.batches")
        old = slice_files(table, log, first.snapshots["bronze.batches"])
        staged = stage_files(table, add=old, remove=old)
        lake.catalog.commit_table(table, staged.requirements, staged.updates)
        assert lake.offsets(log, base) == {P0: 9}, "an old range in a new file"
    slow.places = (P0, P1)
    with lake.publication(log, "bronze") as publication:
        publication.append("bronze.batches", batches({"file": None}))
        publication.commit()
    slow.read(p0=39, p1=3)
    assert lake.offsets(log) == {P0: 39, P1: 3}
