"""Windowed aggregates: what they are, and that a change of rows gives what all rows at once give."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.mining.windows import Session, Sliding, Tumbling, Window, aggregate, place, refresh

START = datetime(1969, 12, 31, 23, 58, tzinfo=UTC)  # before 1970, where remainders are easily wrong
MINUTE = timedelta(minutes=1)
WINDOWS: tuple[Window, ...] = (
    Tumbling(5 * MINUTE),
    Sliding(10 * MINUTE, 5 * MINUTE),
    Sliding(7 * MINUTE, 3 * MINUTE),
    Sliding(2 * MINUTE, 5 * MINUTE),
    Session(3 * MINUTE),
)
SCHEMA = {
    "row": pl.Int64,
    "key": pl.String,
    "time": pl.Datetime("us", "UTC"),
    "sequence": pl.Int64,
    "price": pl.Float64,
    "volume": pl.Float64,
}

Row = tuple[int, str, datetime, int, float | None, float | None]

prices = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
rows = st.builds(
    lambda row, key, minute, sequence, price, volume: (row, key, START + minute * MINUTE / 2, sequence, price, volume),
    st.integers(0, 40),
    st.sampled_from("ab"),
    st.integers(0, 60),
    st.integers(0, 2),
    st.none() | prices,
    st.none() | st.just(0.1) | st.just(1e16),
)
"""Rows; one with the id of an earlier one corrects it. Among the volumes, the order of a sum shows in its last bits."""


def frame(found: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


def full(found: pl.DataFrame, window: Window) -> pl.DataFrame:
    return aggregate(found, window, ["price", "volume"], keys=["key"], order=["sequence"], quantiles=[0.25, 0.5, 0.9])


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@settings(max_examples=40)
@given(batches=st.lists(st.lists(rows, max_size=8), max_size=6), data=st.data())
def test_any_split_with_late_rows_duplicates_and_corrections_gives_what_all_rows_give(
    window: Window, batches: list[list[Row]], data: st.DataObject
) -> None:
    now: dict[int, Row] = {}
    windows = full(frame([]), window)
    for batch in batches:
        changed = []
        for row in [*batch, *batch[:1]]:
            changed += [before for before in (now.get(row[0]), row) if before is not None]
            now[row[0]] = row
        for lost in data.draw(st.lists(st.sampled_from(sorted(now)), unique=True, max_size=2)) if now else []:
            changed.append(now.pop(lost))
        present = frame(data.draw(st.permutations(list(now.values()))))
        refreshed = refresh(
            windows,
            present.lazy(),
            frame(changed),
            window,
            ["price", "volume"],
            keys=["key"],
            order=["sequence"],
            quantiles=[0.25, 0.5, 0.9],
        )
        windows = refreshed.apply(windows)
        assert_frame_equal(windows, full(present, window), check_exact=True)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@settings(max_examples=40)
@given(found=st.lists(rows, max_size=25))
def test_the_aggregates_are_those_of_pythons_own_statistics(window: Window, found: list[Row]) -> None:
    expected: dict[tuple[str, datetime, datetime], list[Row]] = defaultdict(list)
    for key in "ab":
        of_key = sorted((row for row in found if row[1] == key), key=lambda row: (row[2], row[3], row[4] or 0))
        for bounds, members in by_hand(of_key, window).items():
            expected[key, *bounds] = members
    given_back = full(frame(found), window)
    assert list(given_back.select("key", "window_start", "window_end").iter_rows()) == sorted(expected)
    for row in given_back.iter_rows(named=True):
        members = expected[row["key"], row["window_start"], row["window_end"]]
        assert row["rows"] == len(members)
        known = [member[4] for member in members if member[4] is not None]
        assert row["price_count"] == len(known)
        if not known:
            assert row["price_mean"] is row["price_last"] is row["price_q50"] is None
            continue
        assert row["price_sum"] == pytest.approx(math.fsum(known), abs=1e-6)
        assert row["price_mean"] == pytest.approx(statistics.fmean(known), abs=1e-6)
        assert (row["price_min"], row["price_max"]) == (min(known), max(known))
        assert row["price_q50"] == pytest.approx(statistics.median(known))
        if len(known) > 1:
            assert row["price_std"] == pytest.approx(statistics.stdev(known), abs=1e-6)
        else:
            assert row["price_std"] is None


def by_hand(ordered: list[Row], window: Window) -> dict[tuple[datetime, datetime], list[Row]]:
    """Give the rows of each window, row by row."""
    found: dict[tuple[datetime, datetime], list[Row]] = defaultdict(list)
    if isinstance(window, Session):
        sessions: list[list[Row]] = []
        for row in ordered:
            if sessions and row[2] - sessions[-1][-1][2] < window.gap:
                sessions[-1].append(row)
            else:
                sessions.append([row])
        return {(members[0][2], members[-1][2] + window.gap): members for members in sessions}
    length, step = (window.length, window.length) if isinstance(window, Tumbling) else (window.length, window.step)
    monday = datetime(1970, 1, 5, tzinfo=UTC)
    for row in ordered:
        for number in range((row[2] - length - monday) // step, (row[2] - monday) // step + 1):
            begin = monday + number * step
            if begin <= row[2] < begin + length:
                found[begin, begin + length].append(row)
    return found


def test_first_and_last_are_by_time_and_then_by_the_order_told() -> None:
    found = frame(
        [
            (1, "a", START, 2, 3.0, None),
            (2, "a", START, 1, 7.0, None),
            (3, "a", START + MINUTE, 1, 9.0, None),
            (4, "a", START + MINUTE, 5, 1.0, None),
        ]
    )
    (row,) = full(found, Session(5 * MINUTE)).iter_rows(named=True)
    assert (row["price_first"], row["price_max"], row["price_min"], row["price_last"]) == (7.0, 9.0, 1.0, 1.0)


def test_weeks_begin_on_monday_and_days_at_midnight() -> None:
    sunday = frame([(1, "a", datetime(2024, 3, 3, 23, 59, tzinfo=UTC), 0, 1.0, None)])
    for length, begin in ((timedelta(weeks=1), datetime(2024, 2, 26)), (timedelta(days=1), datetime(2024, 3, 3))):
        assert place(sunday, Tumbling(length))["window_start"].to_list() == [begin.replace(tzinfo=UTC)]


def test_a_session_merges_when_the_gap_is_filled_and_splits_when_it_opens() -> None:
    window = Session(3 * MINUTE)
    apart = frame([(1, "a", START, 0, 1.0, None), (3, "a", START + 4 * MINUTE, 0, 3.0, None)])
    between = frame([(2, "a", START + 2 * MINUTE, 0, 2.0, None)])
    before = full(apart, window)
    assert before.height == 2
    joined = refresh(before, pl.concat([apart, between]), between, window, ["price"], keys=["key"])
    assert (joined.gone.height, joined.made["rows"].to_list()) == (2, [3])
    parted = refresh(joined.made, apart, between, window, ["price"], keys=["key"])
    assert (parted.gone.height, parted.made["rows"].to_list()) == (1, [1, 1])


def test_only_the_touched_windows_are_computed() -> None:
    found = frame([(n, "ab"[n % 2], START + n * MINUTE, 0, float(n), None) for n in range(100)])
    before = full(found, Tumbling(5 * MINUTE))
    late = frame([(100, "a", START + 7 * MINUTE, 0, 5.5, None)])
    refreshed = refresh(before, pl.concat([found, late]), late, Tumbling(5 * MINUTE), ["price"], keys=["key"])
    assert refreshed.gone.height == refreshed.made.height == 1
