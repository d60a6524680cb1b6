"""Which files are merged: few stay, no row is rewritten often, no large file for the sake of small ones."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelake.lake.files import FILE_BYTES
from ocelake.lake.maintenance.tiers import FANOUT, due, tier


@dataclass(frozen=True)
class File:
    record_count: int
    rewrites: int = 0
    bytes_each: int = 60

    @property
    def file_size_in_bytes(self) -> int:
        return self.bytes_each * self.record_count


def merged(files: list[File]) -> list[File]:
    """Files after what is due has been merged; a merge takes on the rewrites of its most rewritten row."""
    small = due(files)
    if not small:
        return files
    one = File(sum(file.record_count for file in small), 1 + max(file.rewrites for file in small))
    return [*(file for file in files if not any(file is other for other in small)), one]


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=400))
def test_files_and_rewrites_stay_logarithmic(batches: list[int]) -> None:
    files: list[File] = []
    for rows in batches:
        files = merged([*files, File(rows)])
    assert sum(file.record_count for file in files) == sum(batches)
    highest = tier(sum(batches))
    assert len(files) <= (FANOUT - 1) * (highest + 1)
    assert max(file.rewrites for file in files) <= highest


@given(st.lists(st.integers(1, 10**7), max_size=60))
def test_what_is_merged_leaves_its_tier_and_is_not_much_smaller_than_the_rest(sizes: list[int]) -> None:
    small = due([File(rows) for rows in sizes])
    if small:
        assert tier(sum(file.record_count for file in small)) > max(tier(file.record_count) for file in small)
        largest = max(file.record_count for file in small)
        assert sum(file.record_count for file in small) - largest >= largest * (FANOUT - 1) / FANOUT
    # Nothing more is due at once: what came out would have to meet others of its size.
    again = merged(merged([File(rows) for rows in sizes]))
    assert len(again) <= max(len(sizes), 1)


def test_a_large_file_is_left_alone() -> None:
    large = [File(FILE_BYTES // 100, bytes_each=51)] * FANOUT
    assert due(large) == []
    assert due(large + [File(100)] * (FANOUT - 1)) == []
    assert due(large + [File(100)] * FANOUT) == [File(100)] * FANOUT


@pytest.mark.parametrize(("rows", "expected"), [(0, 0), (1, 0), (7, 0), (8, 1), (511, 2), (512, 3), (10**9, 9)])
def test_tiers(rows: int, expected: int) -> None:
    assert tier(rows) == expected
