"""The performance spectrum: when each frequent segment was entered and left (Denisov, Fahland, van der Aalst 2018)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from ocelake.draw.arcs import Arc
from ocelake.draw.axis import ticks
from ocelake.draw.order import process_order
from ocelake.draw.svg import (
    GRID,
    MUTED,
    attributes,
    document,
    human_count,
    human_duration,
    rectangle,
    shorten,
    text,
    text_width,
    wrap,
    xml_text,
)

__all__ = ["draw_performance_spectrum"]

_TITLE: Final = "Performance spectrum"
_WIDTH: Final = 1180
_PLOT: Final = (220.0, 1070.0)
_BAND: Final = 52.0
_QUARTILES: Final = (
    ("#2166ac", "fastest quarter of the segment"),
    ("#92c5de", "second"),
    ("#f0b94d", "third"),
    ("#c2371f", "slowest quarter"),
)
_STROKES: Final = ((0.5, 1.8), (0.15, 1.1), (0.0, 0.6))
"""Least share of the steps on the segment's busiest line, and the width of a line."""


def draw_performance_spectrum(spectrum: pl.DataFrame) -> str:
    """Draw a performance spectrum.

    Parameters
    ----------
    spectrum : DataFrame
        As `ocelake.mining.spectrum.performance_spectrum` gives it.

    Returns
    -------
    str
        An SVG document; the same for the same rows in any order.

    Examples
    --------
    >>> at = {"first": datetime(2024, 1, 1), "begin": datetime(2024, 1, 1)}
    >>> at |= {"end": datetime(2024, 1, 2), "last": datetime(2024, 1, 2)}
    >>> segment = {"object_type": ["order"], "source": ["place"], "target": ["pay"], "quartile": [0], "steps": [1]}
    >>> seconds = dict.fromkeys(("q1", "median", "q3"), 86400.0)
    >>> draw_performance_spectrum(pl.DataFrame(segment | at | seconds | {"total": 1})).count("<path")
    1
    """
    parts = [text(20, 32, _TITLE, size=17, font_weight="bold")]
    if spectrum.is_empty():
        parts.append(text(20, 56, "No event follows another of the same object.", size=12, fill=MUTED))
        return document(_WIDTH, 80, parts, title=_TITLE)
    spectrum = spectrum.sort("object_type", "source", "target", "quartile", "begin", "end")
    first, last = spectrum["first"][0], spectrum["last"][0]
    span = max(last - first, timedelta(seconds=1))
    y = 36.0
    for line in wrap(
        "A line: an object leaves the upper activity and reaches the lower one; the flatter, the longer it took. Lines "
        "that nearly coincide are drawn as one, thicker the more they are, in the colour of most. Of each type, the "
        "most frequent segments; time in UTC.",
        _WIDTH - 40,
        12,
    ):
        y += 17
        parts.append(text(20, y, line, size=12, fill=MUTED))
    x, y = 20.0, y + 27
    for colour, words in _QUARTILES:
        parts.append(rectangle(x, y - 10, 12, 12, rx=2, fill=colour))
        parts.append(text(x + 18, y, words, size=12))
        x += 38 + text_width(words, 12)
    y += 14
    begin, marks = y, []
    for of_type in _by_frequency(spectrum):
        kind = of_type["object_type"][0]
        marks.append(text(20, y + 20, shorten(kind, 400, 13), size=13, font_weight="bold", title=kind))
        y += 30
        for segment in _in_order(of_type):
            marks += _band(segment, (first, span), y)
            y += _BAND + 12
    for tick, label in ticks(first, first + span):
        x = _x(tick, first, span)
        line = attributes(x1=x, y1=begin + 26, x2=x, y2=y, stroke=GRID)
        parts.append(f"<line {line}/>")
        parts.append(text(x, y + 14, label, size=11, fill=MUTED, text_anchor="middle"))
    return document(_WIDTH, y + 30, [*parts, *marks], title=_TITLE)


def _by_frequency(spectrum: pl.DataFrame) -> list[pl.DataFrame]:
    """Give the rows of each type, the busiest first."""
    return sorted(
        spectrum.partition_by("object_type"), key=lambda rows: (-int(rows["steps"].sum()), rows["object_type"][0])
    )


def _in_order(of_type: pl.DataFrame) -> list[pl.DataFrame]:
    """Give the rows of each segment, as the process goes: what one leads to begins the next where it can."""
    segments = of_type.partition_by("source", "target")
    rank = process_order(
        Arc(rows["object_type"][0], rows["source"][0], rows["target"][0], rows["total"][0], None) for rows in segments
    )
    return sorted(segments, key=lambda rows: (rank[rows["source"][0]], rank[rows["target"][0]]))


def _x(instant: datetime, first: datetime, span: timedelta) -> float:
    return _PLOT[0] + (instant - first) / span * (_PLOT[1] - _PLOT[0])


def _band(segment: pl.DataFrame, axis: tuple[datetime, timedelta], y: float) -> list[str]:
    """Draw one segment: its activities, its lines, its numbers."""
    source, target = segment["source"][0], segment["target"][0]
    bottom = y + _BAND
    parts = []
    for name, edge, base in ((source, y, y + 9), (target, bottom, bottom)):
        ends = attributes(x1=_PLOT[0], y1=edge, x2=_PLOT[1], y2=edge, stroke="#9aa5b1")
        parts.append(f"<line {ends}/>")
        parts.append(text(_PLOT[0] - 10, base, shorten(name, 190, 12), size=12, text_anchor="end", title=name))
    words = (human_count(segment["total"][0]), f"median {human_duration(segment['median'][0])}")
    for row, word in enumerate(words):
        parts.append(text(_PLOT[1] + 10, y + 22 + 15 * row, word, size=11, fill=MUTED))
    first, span = axis
    width = _PLOT[1] - _PLOT[0]
    placed = segment.select(
        "quartile",
        "steps",
        *(((pl.col(end) - first) / span * width + _PLOT[0]).clip(*_PLOT) for end in ("begin", "end")),
    )
    busiest = max(segment["steps"])
    paths: dict[tuple[int, float], list[str]] = {}
    for quartile, steps, begin, end in placed.iter_rows():
        thick = next(stroke for least, stroke in _STROKES if steps >= least * busiest)
        paths.setdefault((quartile, thick), []).append(f"M{begin:.1f} {y:.0f}L{end:.1f} {bottom:.0f}")
    quarters = [segment[name][0] for name in ("q1", "median", "q3")]
    for (quartile, thick), lines in sorted(paths.items()):
        colour, _ = _QUARTILES[quartile]
        stroke = attributes(d="".join(lines), fill="none", stroke=colour, stroke_width=thick, stroke_opacity=0.7)
        title = xml_text(f"{segment['object_type'][0]}: {source} → {target}, {_between(quarters, quartile)}")
        parts.append(f"<path {stroke}><title>{title}</title></path>")
    return parts


def _between(quarters: list[float], quartile: int) -> str:
    if quartile == 0:
        return f"up to {human_duration(quarters[0])}"
    least = f"more than {human_duration(quarters[quartile - 1])}"
    return least if quartile == len(quarters) else f"{least}, up to {human_duration(quarters[quartile])}"
