"""Slices that change by some of their rows, and what changed between two publications."""

from __future__ import annotations

import sys
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import LakeError, StalePublication
from ocelake.lake import Lake, open_lake
from ocelake.lake.maintenance import compact
from ocelake.lake.publication import PublicationRecord
from ocelake.lake.snapshots import slice_files, stage_files
from tests.lake_frames import events, publish_silver

EVENTS = "ocel.events"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return open_lake(tmp_path_factory.mktemp("lake"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path)


def amend(lake: Lake, log_id: str, **changes: pl.DataFrame) -> PublicationRecord:
    with lake.publication(log_id, "silver") as publication:
        publication.amend(EVENTS, **changes)
        return publication.commit()


def rows(lake: Lake, log_id: str = "A", **moment: str) -> pl.DataFrame:
    return lake.read(EVENTS, log_id, **moment).sort("event_id")


def paths(lake: Lake, log_id: str = "A") -> set[str]:
    return set(lake.plan(EVENTS, log_id=log_id).paths)


def test_files_to_be_removed_are_found_while_threads_look_at_many_manifests(lake: Lake) -> None:
    logs = [f"log{i:02}" for i in range(12)]
    for log_id in logs:
        publish_silver(lake, log_id, 2, "a")
    table = lake.store.tables([EVENTS])[EVENTS]
    assert len(table.current_snapshot().manifests(table.io)) > 6
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for log_id in logs * 10:
            files = slice_files(table, log_id)
            stage_files(table, add=files, remove=files).discard()
    finally:
        sys.setswitchinterval(interval)


def test_rows_come_and_go_and_files_without_them_stay(lake: Lake) -> None:
    every = events(30).sort("event_id")
    amend(lake, "B", add=events(5))
    amend(lake, "A", add=every[:10])
    first = amend(lake, "A", add=every[10:20])
    before = paths(lake)
    record = amend(lake, "A", add=every[20:], remove=every[3:5])
    assert_frame_equal(rows(lake), pl.concat([every[:3], every[5:]]))
    assert record.rows[EVENTS] == 28
    assert len(paths(lake) & before) == 1
    assert_frame_equal(rows(lake, as_of=first.publication_id), every[:20])
    assert rows(lake, "B").height == 5


def test_all_rows_can_go(lake: Lake) -> None:
    amend(lake, "A", add=events(3))
    assert amend(lake, "A", remove=events(3)).rows[EVENTS] == 0
    assert rows(lake).is_empty()


def test_rows_that_are_not_there_make_the_publication_stale(lake: Lake) -> None:
    amend(lake, "A", add=events(3))
    with pytest.raises(StalePublication, match="Of 4 rows to be removed 3 are there"):
        amend(lake, "A", remove=events(4))
    assert rows(lake).height == 3


def test_rows_are_found_where_compaction_has_put_them_meanwhile(lake: Lake) -> None:
    every = events(20)
    amend(lake, "A", add=every[:10])
    amend(lake, "A", add=every[10:])
    with lake.publication("A", "silver") as publication:
        publication.amend(EVENTS, add=events(21)[20:], remove=every[:1])
        assert compact(lake, EVENTS, "A").files_after == 1
        record = publication.commit()
    assert record.rows[EVENTS] == 20
    assert_frame_equal(rows(lake), events(21)[1:])
    stored = {path for path in lake.settings.home.rglob("*.parquet") if path.is_file()}
    assert len(stored) == 2 + 1 + len(lake.plan(EVENTS).paths)  # as added, as compacted, and as they are now


def test_another_publication_meanwhile_makes_it_stale_though_compaction_came_too(lake: Lake) -> None:
    every = events(20)
    amend(lake, "A", add=every[:10])
    amend(lake, "A", add=every[10:])
    with lake.publication("A", "silver") as publication:
        publication.amend(EVENTS, remove=every[:1])
        amend(lake, "A", remove=every[:1])
        compact(lake, EVENTS, "A")
        with pytest.raises(StalePublication, match="Another writer"):
            publication.commit()
    assert_frame_equal(rows(lake), every[1:])


def test_a_table_is_amended_once(lake: Lake) -> None:
    with lake.publication("A", "silver") as publication:
        publication.amend(EVENTS, add=events(2))
        with pytest.raises(LakeError, match="Amend a table once"):
            publication.amend(EVENTS, add=events(2))


def test_changes_are_the_rows_that_differ_whatever_happened_to_the_files(lake: Lake) -> None:
    every = events(30).sort("event_id")
    first = amend(lake, "A", add=every[:10])
    amend(lake, "A", add=every[10:20], remove=every[:2])
    assert compact(lake, EVENTS, "A").files_after == 1
    last = amend(lake, "A", add=every[20:], remove=every[2:4])
    went, came = lake.changes(EVENTS, "A", since=first.publication_id, until=last.publication_id)
    assert_frame_equal(went.sort("event_id"), every[:4])
    assert_frame_equal(came.sort("event_id"), every[10:])
    assert [frame.height for frame in lake.changes(EVENTS, "A", since=last.publication_id)] == [0, 0]


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sets(st.integers(0, 19)), st.booleans()), min_size=1, max_size=5))
def test_any_sequence_of_amendments_gives_the_set_of_rows(shared: Lake, steps: list[tuple[set[int], bool]]) -> None:
    log_id, every, there = f"log{uuid4().hex}", events(20).sort("event_id"), set()
    for toggled, compacted in steps:
        add, remove = sorted(toggled - there), sorted(toggled & there)
        amend(shared, log_id, add=every[add], remove=every[remove])
        there ^= toggled
        if compacted and there:
            compact(shared, EVENTS, log_id)
    assert_frame_equal(rows(shared, log_id), every[sorted(there)])


def test_rows_go_by_their_key_whatever_else_is_said_of_them(lake: Lake) -> None:
    every = events(5)
    amend(lake, "A", add=every)
    moved = every[:2].with_columns(pl.col("time") + pl.duration(days=400))
    assert amend(lake, "A", add=moved, remove=moved).rows[EVENTS] == 5
    assert (
        lake.read(EVENTS, "A")
        .filter(pl.col("event_id").is_in(moved["event_id"].implode()))["time"]
        .sort()
        .equals(moved["time"].sort())
    )
