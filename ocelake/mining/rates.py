"""How many events of an activity to expect in an hour, and which hours had unusually many or few.

Work has the rhythm of a week: an hour is compared with the same hour of the same weekday in the weeks before. Hours
count once they are over: the one in which the log's last event happened goes on, and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from ocelake.tables import as_table

__all__ = ["demand_forecast", "unusual_hours"]

_WEEKS: Final = 8
_WEEK: Final = timedelta(weeks=1)
_OVER: Final = timedelta(seconds=1)
"""So close before an hour's end an event says that the hour is over."""

_UNUSUAL: Final = 4.0
"""Standard deviations from which on an hour is told."""


@dataclass(frozen=True, slots=True)
class _Window:
    """The last whole weeks of complete hours, at most as many as are looked at, and when they end."""

    weeks: int
    end: datetime


def _window(events: pl.DataFrame) -> _Window | None:
    """Give the window of a log; None where it is shorter than a week."""
    first, last = events["time"].min(), events["time"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return None
    end = (last + _OVER).replace(minute=0, second=0, microsecond=0)
    weeks = min((end - first) // _WEEK, _WEEKS)
    return _Window(weeks, end) if weeks > 0 else None


def _by_hour(events: pl.DataFrame, window: _Window) -> pl.DataFrame:
    """Count events by activity and hour of a window; hours without are there with 0.

    Columns: activity, hour, events, week (0 is the last one), slot (the hour of the week).
    """
    first = window.end - window.weeks * _WEEK
    hours = pl.select(pl.datetime_range(first, window.end, "1h", closed="left", time_zone="UTC").alias("hour"))
    grid = hours.with_row_index("number").join(events.select(pl.col("activity").unique().sort()), how="cross")
    counted = (
        events.filter(pl.col("time").is_between(first, window.end, closed="left"))
        .group_by("activity", pl.col("time").dt.truncate("1h").alias("hour"))
        .len("events")
    )
    slots = 7 * 24
    return grid.join(counted, on=["activity", "hour"], how="left").select(
        "activity",
        "hour",
        pl.col("events").fill_null(0).cast(pl.Float64),
        week=window.weeks - 1 - pl.col("number").cast(pl.Int64) // slots,
        slot=pl.col("number").cast(pl.Int64) % slots,
    )


def demand_forecast(events: pl.DataFrame) -> pl.DataFrame:
    """Say how many events of each activity are to be expected in each hour of a week, from the current hour on.

    The current hour is that of the log's last event, as a whole; where that is at its very end, the next one.

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
    window = _window(events)
    if window is None:
        return as_table("gold.demand_forecast")
    counted = _by_hour(events, window)
    return (
        counted.group_by("activity", "slot")
        .agg(
            hour=pl.col("hour").max() + _WEEK,
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
    """Find hours of the last week with unusually many or few events of an activity; the current hour is not over yet.

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
    >>> days = [datetime(2024, 1, day, 9, tzinfo=UTC) for day in (1, 8, 15, 22, 29)]
    >>> times = [*days, *days[-1:] * 9, datetime(2024, 1, 29, 10, tzinfo=UTC)]
    >>> found = unusual_hours(pl.DataFrame({"activity": ["pay"] * len(times), "time": times}))
    >>> found.select("events", "expected", "score").row(0)
    (10.0, 1.0, 9.0)
    """
    window = _window(events)
    if window is None or window.weeks < 4:  # three to compare with
        return pl.DataFrame(
            schema={
                "activity": pl.String,
                "hour": pl.Datetime("us", "UTC"),
                **dict.fromkeys(("events", "expected", "score"), pl.Float64),
            }
        )
    counted = _by_hour(events, window)
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
