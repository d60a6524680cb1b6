"""How many events of an activity to expect in an hour, and which hours had unusually many or few.

Work has the rhythm of a week: an hour is compared with the same hour of the same weekday in the weeks before.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from ocelake.tables import as_table

__all__ = ["demand_forecast", "unusual_hours"]

_WEEKS: Final = 8
_WEEK: Final = timedelta(weeks=1)
_AHEAD: Final = timedelta(weeks=1)
_UNUSUAL: Final = 4.0
"""Standard deviations from which on an hour is told."""


def _by_hour(events: pl.DataFrame, weeks: int) -> pl.DataFrame:
    """Count events by activity and hour of the last whole weeks; hours without are there with 0.

    The hour of the last event is left out: it is not over.

    Columns: activity, hour, events, week (0 is the last one), slot (the hour of the week).
    """
    end = events["time"].max()
    assert isinstance(end, datetime), "there are whole weeks of events"
    last = end.replace(minute=0, second=0, microsecond=0)
    first = last - weeks * _WEEK
    hours = pl.select(pl.datetime_range(first, last, "1h", closed="left", time_zone="UTC").alias("hour"))
    grid = hours.with_row_index("number").join(events.select(pl.col("activity").unique().sort()), how="cross")
    counted = (
        events.filter((pl.col("time") >= first) & (pl.col("time") < last))
        .group_by("activity", pl.col("time").dt.truncate("1h").alias("hour"))
        .len("events")
    )
    slots = 7 * 24
    return grid.join(counted, on=["activity", "hour"], how="left").select(
        "activity",
        "hour",
        pl.col("events").fill_null(0).cast(pl.Float64),
        week=weeks - 1 - pl.col("number").cast(pl.Int64) // slots,
        slot=pl.col("number").cast(pl.Int64) % slots,
    )


def _weeks(events: pl.DataFrame) -> int:
    """Give how many whole weeks the log has, at most as many as are looked at."""
    if not events.height:
        return 0
    first, last = events["time"].min(), events["time"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return min((last.replace(minute=0, second=0, microsecond=0) - first) // _WEEK, _WEEKS)


def demand_forecast(events: pl.DataFrame) -> pl.DataFrame:
    """Say how many events of each activity are to be expected in each hour of a week, that of the last event first.

    Parameters
    ----------
    events : DataFrame
        Columns activity, time (UTC).

    Returns
    -------
    DataFrame
        As `gold.demand_forecast`; hours in which nothing is expected, and logs shorter than a week, have no rows.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> days = [datetime(2024, 1, day, 9, tzinfo=UTC) for day in (1, 8, 15, 22)]
    >>> found = demand_forecast(pl.DataFrame({"activity": ["pay"] * 4, "time": days}))
    >>> found.select("hour", "expected", "weeks").row(0)
    (datetime.datetime(2024, 1, 22, 9, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 1.0, 3)
    """
    weeks = _weeks(events)
    if not weeks:
        return as_table("gold.demand_forecast")
    counted = _by_hour(events, weeks)
    return (
        counted.group_by("activity", "slot")
        .agg(
            hour=pl.col("hour").max() + _AHEAD,
            expected=pl.col("events").mean(),
            low=pl.col("events").min(),
            high=pl.col("events").max(),
            weeks=pl.len().cast(pl.Int64),
        )
        .filter(pl.col("expected") > 0)
        .drop("slot")
        .sort("activity", "hour")
    )


def unusual_hours(events: pl.DataFrame) -> pl.DataFrame:
    """Find hours of the week before the last event's hour with unusually many or few events of an activity.

    An hour is held against the same hours of the weeks before; what is at least four standard deviations away is told,
    where a deviation is never taken for less than that of counts by chance (the root of their mean), nor less than one.

    Parameters
    ----------
    events : DataFrame
        Columns activity, time (UTC).

    Returns
    -------
    DataFrame
        activity, hour, events, expected, score (standard deviations; below 0 for few). Empty for less than four weeks.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> usual = [datetime(2024, 1, day, 9, tzinfo=UTC) for day in (1, 8, 15, 22, 29)]
    >>> now = datetime(2024, 1, 29, 10, 3, tzinfo=UTC)
    >>> found = unusual_hours(pl.DataFrame({"activity": ["pay"] * 15, "time": [*usual, *usual[-1:] * 9, now]}))
    >>> found.select("events", "expected", "score").row(0)
    (10.0, 1.0, 9.0)
    """
    weeks = _weeks(events)
    if weeks < 4:  # three to compare with
        return pl.DataFrame(
            schema={
                "activity": pl.String,
                "hour": pl.Datetime("us", "UTC"),
                **dict.fromkeys(("events", "expected", "score"), pl.Float64),
            }
        )
    counted = _by_hour(events, weeks)
    usual = (
        counted.filter(pl.col("week") > 0)
        .group_by("activity", "slot")
        .agg(expected=pl.col("events").mean(), spread=pl.col("events").std())
    )
    spread = pl.max_horizontal("spread", pl.col("expected").sqrt(), pl.lit(1.0))
    return (
        counted.filter(pl.col("week") == 0)
        .join(usual, on=["activity", "slot"])
        .with_columns(score=(pl.col("events") - pl.col("expected")) / spread)
        .filter(pl.col("score").abs() >= _UNUSUAL)
        .select("activity", "hour", "events", "expected", "score")
        .sort("activity", "hour")
    )
