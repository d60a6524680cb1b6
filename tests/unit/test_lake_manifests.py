"""What manifests list is read once, and does not fill the memory."""

from __future__ import annotations

import pytest

from ocelake.lake import Lake, manifests, open_lake
from ocelake.lake.manifests import entries_of, manifests_of
from ocelake.lake.snapshots import slice_files
from tests.lake_frames import events


@pytest.fixture
def lake(tmp_path) -> Lake:
    return open_lake(tmp_path)


def test_a_manifest_is_read_once_until_others_take_its_room(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = manifests._Recent(8)
    monkeypatch.setattr(manifests, "_ENTRIES_OF", kept)
    every = events(12)
    for place in range(12):  # one manifest of one file each
        with lake.publication("A", "silver") as publication:
            publication.amend("ocel.events", add=every[place : place + 1])
            publication.commit()
    table = lake.table("ocel.events")
    listed = manifests_of(table.io, table.current_snapshot())
    assert len(listed) == 12
    newest = [entries_of(table.io, manifest) for manifest in listed[:8]]
    assert [entries_of(table.io, manifest) for manifest in listed[:8]] == newest
    assert all(entries_of(table.io, manifest) is found for manifest, found in zip(listed, newest, strict=False))
    assert kept._kept == 8
    assert entries_of(table.io, listed[8])[0].data_file.record_count == 1
    assert kept._kept == 8
    assert entries_of(table.io, listed[0]) is not newest[0]  # it had to go, and was read again
    assert len(slice_files(table, "A")) == 12
    assert not slice_files(table, "B")


def test_a_manifest_of_very_many_files_is_not_kept() -> None:
    kept = manifests._Recent(8)
    assert kept.get("large", lambda: (1, 2, 3)) == (1, 2, 3)
    assert kept.get("large", lambda: (4,)) == (4,)
    assert kept.get("large", lambda: (5,)) == (4,)
