"""Events over time as a picture: a stacked bar per span of time, by activity."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Final

import numpy as np
import polars as pl

from ocelake.draw.axis import ticks
from ocelake.draw.legend import OTHER_FILL, legend_of_areas
from ocelake.draw.svg import (
    GRID,
    MUTED,
    attributes,
    document,
    human_count,
    rectangle,
    solids,
    text,
)

__all__ = ["draw_timeline"]

_WIDTH: Final = 1000
_PLOT: Final = (64.0, 980.0)
_PLOT_HEIGHT: Final = 260
_MOST: Final = 7


def draw_timeline(events: pl.DataFrame, *, bins: int = 60) -> str:
    """Draw how many events happened when.

    Parameters
    ----------
    events : DataFrame
        Columns activity and time (of `ocel.events`).
    bins : int
        Number of bars, of equal spans of time.

    Returns
    -------
    str
        An SVG document; the same for the same events, in any order.

    Examples
    --------
    >>> events = pl.DataFrame({"activity": ["place", "pay"], "time": [datetime(2024, 1, 1), datetime(2024, 1, 2)]})
    >>> "2 events, 2024-01-01 00:00 to 2024-01-02 00:00 UTC" in draw_timeline(events)
    True
    """
    title = "Events over time"
    parts = [text(20, 32, title, size=17, font_weight="bold")]
    if events.is_empty():
        parts.append(text(20, 56, "The log has no events.", size=12, fill=MUTED))
        return document(_WIDTH, 80, parts, title=title)
    first, last = events.select(pl.col("time").min().alias("first"), pl.col("time").max().alias("last")).row(0)
    span = max(last - first, timedelta(seconds=1))
    names = events["activity"].value_counts(sort=True).sort("count", "activity", descending=[True, False])["activity"]
    top = names.head(_MOST if len(names) > _MOST + 1 else _MOST + 1).to_list()
    counts = _counts(events, first, span, bins, top)

    parts.append(
        text(
            20, 53, f"{len(events):,} events, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC", size=12, fill=MUTED
        )
    )
    fills = dict(zip([*top, None], [*solids(top), OTHER_FILL], strict=True))
    y = legend_of_areas(parts, [*top, *([None] if len(names) > len(top) else [])], fills, len(names) - len(top)) + 18
    levels = _levels(int(counts.sum(axis=0).max()))
    bottom = y + _PLOT_HEIGHT
    scale = _PLOT_HEIGHT / levels[-1]
    for level in levels:
        height = bottom - level * scale
        line = attributes(x1=_PLOT[0], y1=height, x2=_PLOT[1], y2=height, stroke=GRID)
        parts.append(f"<line {line}/>")
        parts.append(text(_PLOT[0] - 8, height + 4, human_count(level), size=11, fill=MUTED, text_anchor="end"))
    wide = (_PLOT[1] - _PLOT[0]) / bins
    for place in range(bins):
        base = bottom
        begin = first + span / bins * place
        for name, number in zip([*top, None], counts[:, place].tolist(), strict=True):
            if number:
                hover = f"{name or 'other'}: {number:,} events from {begin:%Y-%m-%d %H:%M}"
                x, height = _PLOT[0] + place * wide, number * scale
                parts.append(rectangle(x + 0.5, base - height, wide - 1, height, fill=fills[name], title=hover))
                base -= height
    for tick, label in ticks(first, first + span):
        x = _PLOT[0] + (tick - first) / span * (_PLOT[1] - _PLOT[0])
        line = attributes(x1=x, y1=bottom, x2=x, y2=bottom + 5, stroke=MUTED)
        parts.append(f"<line {line}/>")
        parts.append(text(x, bottom + 19, label, size=11, fill=MUTED, text_anchor="middle"))
    return document(_WIDTH, bottom + 36, parts, title=title)


def _counts(events: pl.DataFrame, first: datetime, span: timedelta, bins: int, top: list[str]) -> np.ndarray:
    """Count the events of each top activity, and of the others together (last row), in each span."""
    offset = (events["time"] - first).dt.total_microseconds().to_numpy()
    place = np.minimum(offset * bins // (span // timedelta(microseconds=1)), bins - 1)
    rows = events["activity"].replace_strict(top, range(len(top)), default=len(top), return_dtype=pl.Int64).to_numpy()
    return np.bincount(rows * bins + place, minlength=(len(top) + 1) * bins).reshape(len(top) + 1, bins)


def _levels(highest: int) -> list[int]:
    """Give round numbers from 0 to the highest or beyond: at most six, a step of 1, 2 or 5 times a power of ten."""
    step = next(digit * 10**power for power in count() for digit in (1, 2, 5) if digit * 10**power * 5 >= highest)
    return list(range(0, highest + step, step))
