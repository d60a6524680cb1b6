"""Hours and what is usual in them: the one that is not over is not judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from ocelake.mining.rates import demand_forecast, unusual_hours

START = datetime(2024, 1, 1, tzinfo=UTC)


def busy(until: datetime) -> pl.DataFrame:
    """Sixty events in every hour, one a minute."""
    minutes = int((until - START) / timedelta(minutes=1))
    return pl.DataFrame({"activity": "work", "time": [START + timedelta(minutes=n) for n in range(minutes + 1)]})


def test_an_hour_that_is_not_over_is_not_unusual_and_foretold_as_the_others_are() -> None:
    now = START + timedelta(weeks=6, days=2, hours=12, minutes=3)
    events = busy(now)
    assert unusual_hours(events).is_empty()
    forecast = demand_forecast(events)
    assert forecast["hour"].min() == now.replace(minute=0)
    assert forecast["expected"].unique().to_list() == [60.0]
    assert forecast["low"].min() == forecast["high"].max() == 60
    assert forecast.height == 7 * 24


def test_an_hour_that_is_over_and_had_few_is_told() -> None:
    now = START + timedelta(weeks=6, days=2, hours=12, minutes=3)
    quiet = now.replace(minute=0) - timedelta(hours=3)
    events = busy(now).filter(~pl.col("time").is_between(quiet, quiet + timedelta(minutes=56)))
    found = unusual_hours(events)
    assert found["hour"].to_list() == [quiet]
    assert found["events"].item() == 3
    assert found["expected"].item() == 60
