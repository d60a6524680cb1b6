"""From microseconds, which mining computes in, to what the tables hold: seconds and instants."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["in_order", "instants", "spoken", "to_seconds"]

_UNITS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def to_seconds(durations: pl.Series) -> pl.Series:
    """Turn microseconds into seconds; null stays null.

    Examples
    --------
    >>> to_seconds(pl.Series([1_500_000, None])).to_list()
    [1.5, None]
    """
    # By numpy: Polars divides by a constant through its reciprocal, which is off in the last digit.
    return pl.Series(durations.name, durations.cast(pl.Float64).to_numpy() / 1_000_000, nan_to_null=True)


def instants(microseconds: npt.NDArray[np.int64]) -> pl.Series:
    """Turn microseconds since 1970 into instants.

    Examples
    --------
    >>> instants(np.array([0]))[0].isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return pl.Series(microseconds, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """Sort events that come by rank by time and id: the two differ where a sequence decides among equal times.

    Examples
    --------
    >>> in_order(pl.DataFrame({"event_id": ["e2", "e1"], "time": [0, 0]}))["event_id"].to_list()
    ['e1', 'e2']
    """
    time, event = pl.col("time"), pl.col("event_id")
    wrong = (time == time.shift()) & (event < event.shift())
    return events.sort("time", "event_id") if events.select(wrong.any()).item() else events


def spoken(duration: float) -> str:
    """Say a duration of some seconds in its greatest unit.

    Examples
    --------
    >>> [spoken(duration) for duration in (0.0, 0.25, 90.0, 5400.0, 276480.0)]
    ['0 s', '250 ms', '1.5 min', '1.5 h', '3.2 d']
    """
    size, unit = next((unit for unit in _UNITS if duration >= unit[0]), (1.0, "s"))
    number = round(duration / size, 1)
    return f"{number:.0f} {unit}" if number >= 10 or number.is_integer() else f"{number} {unit}"
