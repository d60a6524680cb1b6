"""Prices as bars: open, high, low and close over time, their moving averages, and what is unusual."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

import polars as pl

from ocelake.draw.axis import ticks
from ocelake.draw.svg import GRID, INK, MUTED, attributes, document, rectangle, shorten, text, text_width, xml_text

__all__ = ["draw_price_bars"]

_TITLE: Final = "Price bars"
_WIDTH: Final = 1000
_PLOT: Final = (76.0, 980.0)
_PANEL: Final = 150.0
_MOST_PANELS: Final = 8
_MOST_BARS: Final = 120
_ENOUGH_BARS: Final = 30
_UP: Final = "#0072b2"
_DOWN: Final = "#d55e00"
_SHORT: Final = "#e69f00"
_LONG: Final = "#aa3377"
_LEGEND: Final = (
    ("closes at or above its open", _UP),
    ("closes below its open", _DOWN),
    ("short average", _SHORT),
    ("long average", _LONG),
)


def draw_price_bars(bars: pl.DataFrame, anomalies: pl.DataFrame) -> str:
    """Draw the latest bars of each commodity, one panel below the other.

    Of the intervals the longest is drawn that has enough bars to see a course in.

    Parameters
    ----------
    bars : DataFrame
        `gold.price_bars`.
    anomalies : DataFrame
        `gold.price_anomalies`.

    Returns
    -------
    str
        An SVG document; the same for the same rows in any order.

    Examples
    --------
    >>> from ocelake.tables import as_table
    >>> empty = [as_table(name) for name in ("gold.price_bars", "gold.price_anomalies")]
    >>> "There are no prices." in draw_price_bars(*empty)
    True
    """
    parts = [text(20, 32, _TITLE, size=17, font_weight="bold")]
    if bars.is_empty():
        parts.append(text(20, 56, "There are no prices.", size=12, fill=MUTED))
        return document(_WIDTH, 80, parts, title=_TITLE)
    interval = _interval(bars)
    shown = bars.filter(pl.col("interval") == interval).sort("commodity", "time")
    names = shown["commodity"].unique().sort().to_list()
    shown = shown.filter(pl.col("commodity").is_in(names[:_MOST_PANELS])).group_by("commodity").tail(_MOST_BARS)
    shown = shown.sort("commodity", "time")
    unusual = anomalies.filter(pl.col("interval") == interval).sort("commodity", "time", "kind")
    first, last = shown["time"].min(), shown["time"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    left_out = f"; {len(names) - _MOST_PANELS:,} more commodities are not shown" if len(names) > _MOST_PANELS else ""
    said = f"Bars of {interval}, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC{left_out}."
    parts.append(text(20, 53, said, size=12, fill=MUTED))
    y = _legend(parts, 78) + 8
    for panel in shown.partition_by("commodity"):
        of_panel = unusual.filter(pl.col("commodity") == panel["commodity"][0])
        y = _panel(parts, panel, of_panel, (first, last), y)
    for tick, label in ticks(first, last):
        parts.append(text(_across(tick, first, last), y + 16, label, size=11, fill=MUTED, text_anchor="middle"))
    return document(_WIDTH, y + 32, parts, title=_TITLE)


def _interval(bars: pl.DataFrame) -> str:
    """Choose the interval: bars of the longest are the fewest."""
    most = bars.group_by("interval", "commodity").len().group_by("interval").agg(pl.col("len").max())
    enough = most.filter(pl.col("len") >= _ENOUGH_BARS).sort("len", "interval")
    return str((enough if enough.height else most.sort("len", "interval", descending=True))["interval"][0])


def _legend(parts: list[str], y: float) -> float:
    x = 20.0
    for words, fill in _LEGEND:
        parts.append(rectangle(x, y - 10, 12, 12, rx=2, fill=fill))
        parts.append(text(x + 18, y, words, size=12))
        x += 18 + text_width(words, 12) + 20
    parts.append(_ring(x + 6, y - 4, ""))
    parts.append(text(x + 18, y, "unusual", size=12))
    return y


def _across(time: datetime, first: datetime, last: datetime) -> float:
    inset = 6.0
    wide = _PLOT[1] - _PLOT[0] - 2 * inset
    share: float = (time - first).total_seconds() / (last - first).total_seconds() if last > first else 0.5
    return _PLOT[0] + inset + wide * share


def _panel(
    parts: list[str], bars: pl.DataFrame, anomalies: pl.DataFrame, span: tuple[datetime, datetime], y: float
) -> float:
    """Draw one commodity; give where its panel ends."""
    name, close = bars["commodity"][0], bars["close"][-1]
    label = shorten(name, 400, 13)
    parts.append(text(20, y + 18, label, size=13, font_weight="bold", title=name))
    said = f"last {close:,.6g}, of {bars.height:,} bars"
    parts.append(text(20 + text_width(label, 13) + 12, y + 18, said, size=12, fill=MUTED))
    top, bottom = y + 28, y + 28 + _PANEL
    low, high = bars.select(pl.col("low").min(), high=pl.col("high").max()).row(0)
    levels = list(_levels(low, high))
    least, most = float(min(low, levels[0])), float(max(high, levels[-1]))

    def down(value: float) -> float:
        return bottom - (value - least) / (most - least) * _PANEL

    for level in levels:
        at = down(level)
        parts.append(f"<line {attributes(x1=_PLOT[0], y1=at, x2=_PLOT[1], y2=at, stroke=GRID)}/>")
        parts.append(text(_PLOT[0] - 8, at + 4, f"{level:,.6g}", size=11, fill=MUTED, text_anchor="end"))
    for tick, _ in ticks(*span):
        at = _across(tick, *span)
        parts.append(f"<line {attributes(x1=at, y1=top, x2=at, y2=bottom, stroke=GRID)}/>")
    wide = max(1.0, min(8.0, 0.7 * (_PLOT[1] - _PLOT[0]) / max(1, bars.height)))
    for row in bars.iter_rows(named=True):
        parts.append(_bar(row, _across(row["time"], *span), wide, down))
    for column, colour in (("average_long", _LONG), ("average_short", _SHORT)):
        known = bars.drop_nulls(column).select("time", column).iter_rows()
        points = " ".join(f"{_across(time, *span):.1f},{down(value):.1f}" for time, value in known)
        line = attributes(points=points, stroke=colour, stroke_width=1.4, stroke_linejoin="round")
        parts.append(f'<polyline {line} fill="none"/>')
    highs = dict(bars.select("time", "high").iter_rows())
    for (time,), found in anomalies.filter(pl.col("time").is_in(highs)).group_by("time", maintain_order=True):
        words = ", ".join(
            f"{kind} {score:+.1f} standard deviations" for kind, score in found.select("kind", "score").rows()
        )
        parts.append(
            _ring(_across(time, *span), max(top + 5, down(highs[time]) - 8), f"{name}, {time:%Y-%m-%d %H:%M}: {words}")
        )
    return bottom + 4


def _bar(row: dict[str, Any], x: float, wide: float, down: Callable[[float], float]) -> str:
    """Draw a bar as a candle: a line from low to high, a box from open to close."""
    colour = _UP if row["close"] >= row["open"] else _DOWN
    line = attributes(x1=x, y1=down(row["low"]), x2=x, y2=down(row["high"]), stroke=colour)
    top, bottom = sorted((down(row["open"]), down(row["close"])))
    prices = ", ".join(f"{name} {row[name]:,.6g}" for name in ("open", "high", "low", "close"))
    words = f"{row['time']:%Y-%m-%d %H:%M}: {prices}"
    box = rectangle(x - wide / 2, top, wide, max(1.0, bottom - top), fill=colour, title=words)
    return f"<line {line}/>{box}"


def _ring(x: float, y: float, words: str) -> str:
    ring = attributes(cx=x, cy=y, r=4, stroke=INK, stroke_width=1.4)
    return f'<circle {ring} fill="none" pointer-events="all"><title>{xml_text(words)}</title></circle>'


def _levels(low: float, high: float) -> Iterator[float]:
    """Give round numbers around some prices: at most seven, a step of 1, 2 or 5 times a power of ten."""
    least = max((high - low) / 5, abs(high) * 1e-6, 1e-9)
    power = math.floor(math.log10(least))
    step = next(
        step for exponent in (power, power + 1) for digit in (1, 2, 5) if (step := digit * 10.0**exponent) >= least
    )
    begin = math.floor(low / step)
    for number in range(begin, math.ceil(high / step) + (begin * step == high) + 1):
        yield number * step
