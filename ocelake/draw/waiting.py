"""The heat map of waiting: how long objects take from one activity to the next, by when they begin to."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from ocelake.draw.axis import ticks
from ocelake.draw.svg import (
    MUTED,
    attributes,
    document,
    human_duration,
    rectangle,
    shorten,
    text,
    text_width,
    wrap,
)

__all__ = ["draw_waiting_heat_map"]

_TITLE: Final = "Heat map of waiting"
_WIDTH: Final = 1180
_PLOT: Final = (330.0, 1100.0)
_ROW: Final = 26.0
_SCALE: Final = ("#fff7bc", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#0c2c84")
"""ColorBrewer's yellow to blue: told apart with any colour vision, and in grey."""

_NONE: Final = "#f1f3f5"
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_BLOCKS: Final = 8
_HOURS: Final = 3
_ROUND: Final = (
    *(1e-3, 1e-2, 0.1, 1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600),
    *(86400 * days for days in (1, 2, 4, 7, 14, 30, 60, 120, 365.25, 730.5, 1826.25, 3652.5)),
)


def draw_waiting_heat_map(waiting: pl.DataFrame) -> str:
    """Draw a heat map of waiting.

    Parameters
    ----------
    waiting : DataFrame
        As `ocelake.mining.spectrum.waiting_times` gives it, by week or by the log's time.

    Returns
    -------
    str
        An SVG document; the same for the same rows in any order.

    Examples
    --------
    >>> edge = {"object_type": ["order"], "source": ["place"], "target": ["pay"], "total": [86400.0]}
    >>> cell = {"column": [0], "begin": [None], "end": [None], "steps": [1], "mean": [86400.0]}
    >>> "Mon 00:00 to 03:00: 1 d on average over 1 step" in draw_waiting_heat_map(pl.DataFrame(edge | cell))
    True
    """
    parts = [text(20, 32, _TITLE, size=17, font_weight="bold")]
    if waiting.is_empty():
        parts.append(text(20, 56, "No event follows another of the same object.", size=12, fill=MUTED))
        return document(_WIDTH, 80, parts, title=_TITLE)
    waiting = waiting.sort("total", "object_type", "source", "target", "column", descending=[True] + [False] * 4)
    bounds = _bounds(waiting)
    week = waiting["begin"].null_count() > 0
    columns = len(_DAYS) * _BLOCKS if week else waiting.select(pl.col("column").max()).item() + 1
    when = "weekday and time of day" if week else "time"
    y = 36.0
    for line in wrap(
        f"Mean time from an activity to the next of the same object, by {when} at which the first of them happened "
        "(UTC). The edges with the greatest sum of these times; its sum at the right.",
        _WIDTH - 40,
        12,
    ):
        y += 17
        parts.append(text(20, y, line, size=12, fill=MUTED))
    y = _legend(parts, bounds, y + 27) + 22
    wide = (_PLOT[1] - _PLOT[0]) / columns
    y = (_week_axis(parts, wide, y) if week else _time_axis(parts, waiting, wide, columns, y)) + 8
    for edge in waiting.partition_by("object_type", "source", "target", maintain_order=True):
        _row(parts, edge, bounds, wide, columns, y)
        y += _ROW + 4
    return document(_WIDTH, y + 16, parts, title=_TITLE)


def _bounds(waiting: pl.DataFrame) -> list[float]:
    """Give round durations that part the cells' means, without the shortest and longest twentieth; at most six."""
    low, high = (float(waiting["mean"].quantile(share, "nearest") or 0.0) for share in (0.05, 0.95))
    within = [bound for bound in _ROUND if low < bound <= high]
    most = len(_SCALE) - 1
    if len(within) <= most:
        return within
    return [within[round(place * (len(within) - 1) / (most - 1))] for place in range(most)]


def _colour(mean: float, bounds: list[float]) -> str:
    """Give the colour of a mean: few classes spread over the whole scale."""
    place = bisect_right(bounds, mean)
    return _SCALE[round(place * (len(_SCALE) - 1) / max(len(bounds), 1))]


def _legend(parts: list[str], bounds: list[float], y: float) -> float:
    x = 20.0
    for place in range(len(bounds) + 1):
        colour = _SCALE[round(place * (len(_SCALE) - 1) / max(len(bounds), 1))]
        words = (
            "any time"
            if not bounds
            else f"less than {human_duration(bounds[0])}"
            if place == 0
            else f"{human_duration(bounds[-1])} or more"
            if place == len(bounds)
            else f"{human_duration(bounds[place - 1])} or more"
        )
        parts.append(rectangle(x, y - 10, 16, 12, fill=colour, stroke="#c3ccd6", stroke_width=0.5))
        parts.append(text(x + 22, y, words, size=12))
        x += 42 + text_width(words, 12)
    parts.append(rectangle(x, y - 10, 16, 12, fill=_NONE, stroke="#c3ccd6", stroke_width=0.5))
    parts.append(text(x + 22, y, "none", size=12))
    return y


def _week_axis(parts: list[str], wide: float, y: float) -> float:
    for day, name in enumerate(_DAYS):
        x = _PLOT[0] + day * _BLOCKS * wide
        parts.append(text(x + _BLOCKS * wide / 2, y, name, size=12, text_anchor="middle"))
        for block in range(0, _BLOCKS, 2):
            parts.append(text(x + block * wide, y + 15, f"{block * _HOURS}", size=10, fill=MUTED))
    return y + 15


def _time_axis(parts: list[str], waiting: pl.DataFrame, wide: float, columns: int, y: float) -> float:
    begin, end, column = waiting.select("begin", "end", "column").row(0)
    step: timedelta = end - begin
    first: datetime = begin - column * step
    for tick, label in ticks(first, first + columns * step):
        x = _PLOT[0] + (tick - first) / step * wide
        parts.append(text(x, y, label, size=11, fill=MUTED, text_anchor="middle"))
        line = attributes(x1=x, y1=y + 4, x2=x, y2=y + 8, stroke=MUTED)
        parts.append(f"<line {line}/>")
    return y + 4


def _row(parts: list[str], edge: pl.DataFrame, bounds: list[float], wide: float, columns: int, y: float) -> None:
    """Draw one edge: its name, its cells, its sum."""
    kind, source, target, total = edge.select("object_type", "source", "target", "total").row(0)
    way = f"{shorten(source, 145, 12)} → {shorten(target, 145, 12)}"
    parts.append(text(_PLOT[0] - 10, y + 11, way, size=12, text_anchor="end", title=f"{source} → {target}"))
    parts.append(text(_PLOT[0] - 10, y + 24, shorten(kind, 280, 11), size=11, fill=MUTED, text_anchor="end"))
    parts.append(rectangle(_PLOT[0], y, columns * wide, _ROW, fill=_NONE))
    cells = edge.select("column", "begin", "end", "steps", "mean")
    for column, begin, end, steps, mean in cells.iter_rows():
        days = "" if begin is None or (end - begin) < timedelta(days=1) else "%Y-%m-%d"
        if begin is None:
            day, block = divmod(column, _BLOCKS)
            when = f"{_DAYS[day][:3]} {block * _HOURS:02}:00 to {(block + 1) * _HOURS:02}:00"
        else:
            form = days or "%Y-%m-%d %H:%M"
            when = f"{begin:{form}} to {end:{form}}"
        counted = f"{steps:,} steps" if steps != 1 else "1 step"
        title = f"{kind}, {source} → {target}, {when}: {human_duration(mean)} on average over {counted}"
        fill = _colour(mean, bounds)
        parts.append(rectangle(_PLOT[0] + column * wide + 0.5, y, wide - 1, _ROW, fill=fill, title=title))
    parts.append(text(_PLOT[1] + 10, y + 17, human_duration(total), size=12, fill=MUTED))
