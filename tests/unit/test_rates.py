"""Events by hour: what is expected, what is unusual, and that an hour counts once it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.mining.rates import demand_forecast, unusual_hours

START = datetime(2024, 1, 1, tzinfo=UTC)


def every_minute(until: datetime) -> pl.DataFrame:
    times = pl.datetime_range(START, until, "1m", time_zone="UTC", eager=True)
    return pl.DataFrame({"time": times}).with_columns(activity=pl.lit("pay"))


@settings(max_examples=25)
@given(st.integers(4 * 7 * 24 * 60, 6 * 7 * 24 * 60))
def test_a_steady_log_is_steady_at_whatever_minute_it_ends(minutes: int) -> None:
    last = START + timedelta(minutes=minutes)
    events = every_minute(last)
    assert unusual_hours(events).is_empty()
    forecast = demand_forecast(events)
    current = last.replace(minute=0)
    assert forecast["hour"].to_list() == [current + timedelta(hours=n) for n in range(7 * 24)]
    assert forecast.select("expected", "low", "high").unique().rows() == [(60.0, 60.0, 60.0)]


def test_an_hour_is_over_once_an_event_is_at_its_very_end() -> None:
    events = every_minute(START + timedelta(weeks=5, hours=11, minutes=59))
    last = START + timedelta(weeks=5, hours=11, minutes=59, seconds=59)
    burst = pl.DataFrame({"time": [last] * 100}, schema=events.select("time").schema).with_columns(
        activity=pl.lit("pay")
    )
    found = unusual_hours(pl.concat([events, burst], how="diagonal"))
    assert found.select("hour", "events").rows() == [(last.replace(minute=0, second=0), 160.0)]
    earlier = burst.with_columns(pl.col("time") - timedelta(seconds=2))
    assert unusual_hours(pl.concat([events, earlier], how="diagonal")).is_empty()


def test_too_short_a_log_has_neither() -> None:
    for events in (every_minute(START + timedelta(days=7, minutes=-1)), every_minute(START).head(0)):
        assert demand_forecast(events).is_empty()
        assert unusual_hours(events).is_empty()
