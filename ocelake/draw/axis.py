"""The axis of time that pictures share: instants at round dates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

__all__ = ["ticks"]

_TICKS: Final = 8
_STEPS: Final = (
    *(timedelta(seconds=step) for step in (1, 5, 15, 30)),
    *(timedelta(minutes=step) for step in (1, 5, 15, 30)),
    *(timedelta(hours=step) for step in (1, 3, 6, 12)),
    *(timedelta(days=step) for step in (1, 2, 7, 14)),
)
_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000)


def ticks(first: datetime, last: datetime) -> Iterator[tuple[datetime, str]]:
    """Give instants at round dates, ten at most, and what to write there.

    Examples
    --------
    >>> [words for _, words in ticks(datetime(2024, 1, 1), datetime(2024, 1, 3))]
    ['01-01 00:00', '01-01 06:00', '01-01 12:00', '01-01 18:00', '01-02 00:00', '01-02 06:00', '01-02 12:00', \
'01-02 18:00', '01-03 00:00']
    """
    span = last - first
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    step = next((step for step in _STEPS if span / step <= _TICKS), None)
    if step is not None:
        form = (
            "%Y-%m-%d" if step >= timedelta(days=1) else "%m-%d %H:%M" if step >= timedelta(minutes=1) else "%H:%M:%S"
        )
        tick = midnight + step * math.ceil((first - midnight) / step)
        while tick <= last:
            yield tick, tick.strftime(form)
            tick += step
        return
    months = next((step for step in _MONTHS if span / timedelta(days=30.44 * step) <= _TICKS), _MONTHS[-1])
    number = math.ceil((first.year * 12 + first.month - 1) / months) * months
    while number // 12 <= 9999:
        tick = midnight.replace(year=number // 12, month=number % 12 + 1, day=1)
        if tick > last:
            return
        if tick >= first:
            yield tick, tick.strftime("%Y" if months % 12 == 0 else "%Y-%m")
        number += months
