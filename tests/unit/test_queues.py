"""Who will wait: counted as by hand, foretold from the past alone, and by the way that would have been best."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.features import flowing_types
from ocelake.mining.queues import Visits, bottleneck_forecast, find_visits, foretell, waiting
from ocelake.mining.traces import encode
from ocelake.ocel.generate import generate

HOUR = 3_600_000_000
WEEK = 168 * HOUR
NEVER = np.iinfo(np.int64).max

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def _visits(rows: list[tuple[int, int, int | None]], places: int = 2) -> Visits:
    place, enter, leave = (np.array(part, dtype=np.int64) for part in zip(*[
        (where, came, NEVER if went is None else went) for where, came, went in rows
    ], strict=True))  # fmt: skip
    return Visits(place, places, enter, leave)


stays = st.tuples(
    st.integers(0, 1),
    st.integers(0, 3 * WEEK - 1),
    st.none() | st.integers(0, 2 * WEEK) | st.integers(0, 3 * HOUR),
).map(lambda row: (row[0], row[1], None if row[2] is None else row[1] + row[2]))


@given(st.lists(stays, min_size=1, max_size=30))
@settings(max_examples=150)
def test_who_waits_is_counted_as_one_by_one(rows):
    visits, start, hours = _visits(rows), WEEK, 40
    ended = _visits([row for row in rows if row[2] is not None] or [(0, 0, 0)])
    there, came, left = waiting(ended, NEVER, start, hours)
    for place in range(2):
        mine = [
            (enter, leave)
            for where, enter, leave in zip(ended.place, ended.enter, ended.leave, strict=True)
            if where == place
        ]
        for hour in range(hours):
            begin, end = start + hour * HOUR, start + (hour + 1) * HOUR
            assert there[place, hour] == sum(enter < begin <= leave for enter, leave in mine)
            assert came[place, hour] == sum(begin <= enter < end for enter, _ in mine)
            assert left[place, hour] == sum(begin <= leave < end for _, leave in mine)
    # What has not ended counts for at most one, and for nothing where nobody ever went on.
    whole = waiting(visits, 3 * WEEK, 2 * WEEK, 168)[0]
    known = visits.as_of(3 * WEEK)
    for place in range(2):
        open_here = ((known.place == place) & (known.leave == NEVER)).sum()
        if not ((known.place == place) & (known.leave < NEVER)).any():
            assert not whole[place].any()
        assert whole[place, -1] <= open_here


@given(st.lists(stays, min_size=1, max_size=30), st.lists(stays, max_size=30))
@settings(max_examples=300)
def test_what_comes_later_has_no_say_in_a_forecast(rows, later):
    now = 2 * WEEK
    past = [(place, enter, leave) for place, enter, leave in rows if enter < now] or [(0, 0, HOUR)]
    cut = [(place, enter, leave if leave is not None and leave < now else None) for place, enter, leave in past]
    future = [(place, enter + now, None if leave is None else leave + now) for place, enter, leave in later]
    said = foretell(_visits(cut), now, 2)
    same = foretell(_visits(past + future), now, 2)
    for way, numbers in said.items():
        np.testing.assert_array_equal(numbers, same[way])


def test_an_open_visit_counts_as_the_share_of_those_that_went_on():
    # Three went on within an hour, one has been silent for long: the one that came just now counts three quarters.
    rows = [(0, hour * HOUR, (hour + 1) * HOUR) for hour in range(3)] + [(0, 0, None), (0, 100 * HOUR - 1, None)]
    there = waiting(_visits(rows, 1), 100 * HOUR, 0, 100)[0]
    assert there[0, -1] == pytest.approx(0.75)
    assert there[0, 50] == 0


def test_a_queue_drains_at_the_rate_of_its_past_and_fills_by_arrivals():
    # Every day at 8:30 ten come, and leave at 9:30; at the end ten more than ever are there.
    daily = [(0, day * 24 * HOUR + 8 * HOUR + HOUR // 2, day * 24 * HOUR + 9 * HOUR + HOUR // 2) for day in range(28)]
    said = foretell(_visits(daily * 10 + [(0, 28 * 24 * HOUR - 1, None)] * 10, 1), 28 * 24 * HOUR, 4)
    flow = said["flow"][0]
    assert flow[:10].tolist() == [10] * 9 + [20]  # those that are there stay until somebody has ever left
    assert flow[10] == 0
    assert flow[24:].tolist() == [10.0 if hour % 24 == 9 else 0.0 for hour in range(24, 168)]
    assert said["rhythm"][0, :24].tolist() == [10.0 if hour == 9 else 0.0 for hour in range(24)]
    assert set(said["stays"][0]) == {10.0}


def _log(steps: dict[str, timedelta], begins: list[datetime]) -> pl.DataFrame:
    rows = [
        (f"{activity}{number}", f"o{number}", activity, "orders", begin + later, 0)
        for number, begin in enumerate(begins)
        for activity, later in steps.items()
    ]
    return pl.DataFrame(
        rows, schema=["event_id", "object_id", "activity", "object_type", "time", "sequence"], orient="row"
    )


def test_the_best_way_of_the_weeks_before_is_taken():
    weekly = [MONDAY + timedelta(weeks=week, hours=9) for week in range(6)]
    relations = _log({"place": timedelta(0), "pay": timedelta(days=1)}, weekly)
    found = bottleneck_forecast(encode(relations), ["orders"])
    assert found["method"].unique().to_list() == ["rhythm"]
    assert found["error"].unique().to_list() == [0.0]
    assert found["weeks"].unique().to_list() == [4]
    assert found["activity"].unique().to_list() == ["place"]  # after the last activity nobody waits
    first = found["hour"].min()
    assert first == MONDAY + timedelta(weeks=6, hours=10)  # after the hour of their coming


def test_each_place_has_the_way_with_the_least_error():
    log = generate(5_000, seed=3)
    traces = encode(log.event_objects, log.objects, log.events)
    types = flowing_types(traces)
    found = bottleneck_forecast(traces, types)
    assert found["method"].n_unique() > 1
    visits = find_visits(traces, types)
    now = (int(visits.enter.max()) // HOUR + 1) * HOUR
    first, errors = int(visits.enter.min()), {}
    for begin in (now - back * WEEK for back in (1, 2, 3, 4)):
        weeks = min(8, (begin - first) // WEEK)
        truth = waiting(visits, now, begin, 168)[0]
        for way, said in foretell(visits, begin, weeks).items():
            errors.setdefault(way, []).append(np.abs(said - truth[:, :168]).mean(axis=1))
    means = {way: np.mean(parts, axis=0) for way, parts in errors.items()}
    for object_type, activity, method, error in (
        found.select("object_type", "activity", "method", "error").unique().iter_rows()
    ):
        place = traces.object_types.to_list().index(object_type) * len(
            traces.activities
        ) + traces.activities.to_list().index(activity)
        assert error == pytest.approx(means[method][place])
        assert error == pytest.approx(min(part[place] for part in means.values()))


def test_short_and_empty_logs_have_no_forecast():
    empty = _log({}, [])
    empty = empty.with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")), pl.col("sequence").cast(pl.Int64))
    assert bottleneck_forecast(encode(empty), ["orders"]).is_empty()
    short = _log({"place": timedelta(0), "pay": timedelta(hours=1)}, [MONDAY])
    assert bottleneck_forecast(encode(short), ["orders"]).is_empty()
    week = _log({"place": timedelta(0), "pay": timedelta(hours=30)}, [MONDAY + timedelta(days=day) for day in range(9)])
    found = bottleneck_forecast(encode(week), ["orders"])
    assert found.height
    assert found["error"].null_count() == found.height  # no week before that could have been foretold


def test_a_generated_log_is_foretold_better_than_by_its_present():
    log = generate(20_000, seed=1)
    traces = encode(log.event_objects, log.objects, log.events)
    visits = find_visits(traces, flowing_types(traces))
    now = (int(visits.enter.max()) // HOUR + 1) * HOUR
    chosen, present = 0.0, 0.0
    for at in (now - back * WEEK for back in (1, 2, 3, 4)):
        truth = waiting(visits, now, at, 168)[0][:, :168]
        said = foretell(visits, at, 4)
        chosen += np.abs(said["flow"] - truth).mean()
        present += np.abs(said["stays"] - truth).mean()
    assert chosen < 0.9 * present
