"""The dotted chart: when the events of which objects happened, by activity (Song, van der Aalst 2007)."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final

import polars as pl

from ocelake.draw.axis import ticks
from ocelake.draw.legend import OTHER_FILL, legend_of_areas
from ocelake.draw.svg import (
    GRID,
    MUTED,
    attributes,
    document,
    human_duration,
    shorten,
    solids,
    text,
    text_width,
    wrap,
    xml_text,
)

__all__ = ["draw_dotted_chart"]

_TITLE: Final = "Dotted chart"
_WIDTH: Final = 1000
_PLOT: Final = (20.0, 980.0)
_MOST: Final = 7
_HEIGHT: Final = 720
_TALLEST: Final = 12.0
_LEAST: Final = 3.0
"""Height of a row, where there are few of them and many."""


def draw_dotted_chart(chart: pl.DataFrame) -> str:
    """Draw a dotted chart.

    Parameters
    ----------
    chart : DataFrame
        As `ocelake.mining.spectrum.dotted_chart` gives it.

    Returns
    -------
    str
        An SVG document; the same for the same rows in any order.

    Examples
    --------
    >>> day = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> chart = {"object_type": "order", "row": 0, "objects": 1, "begin": day, "end": day, "activity": ["place", "pay"]}
    >>> draw_dotted_chart(pl.DataFrame(chart | {"steps": [1, 1]})).count("<path")
    2
    """
    parts = [text(20, 32, _TITLE, size=17, font_weight="bold")]
    if chart.is_empty():
        parts.append(text(20, 56, "No object has an event.", size=12, fill=MUTED))
        return document(_WIDTH, 80, parts, title=_TITLE)
    chart = chart.sort("object_type", "row", "begin")
    first, last = chart.select(pl.col("begin").min(), pl.col("end").max()).row(0)
    span = last - first
    names = (
        chart.group_by("activity")
        .agg(pl.col("steps").sum())
        .sort("steps", "activity", descending=[True, False])["activity"]
        .to_list()
    )
    top = names[: _MOST if len(names) > _MOST + 1 else _MOST + 1]
    fills: dict[str | None, str] = dict(zip([*top, None], [*solids(top), OTHER_FILL], strict=True))
    cell = human_duration((chart["end"] - chart["begin"])[0].total_seconds())
    y = 36.0
    for line in wrap(
        "Across: time (UTC). Down: the objects of a type by their first event, as many to a row as is written. "
        f"A dot: the events of a row within {cell}, in the colour of the activity of most of them.",
        _WIDTH - 40,
        12,
    ):
        y += 17
        parts.append(text(20, y, line, size=12, fill=MUTED))
    others: list[str | None] = [None] if len(names) > len(top) else []
    y = legend_of_areas(parts, [*top, *others], fills, len(names) - len(top), y + 27) + 14
    begin = y
    rows = chart.select("object_type", "row").n_unique()
    height = min(_TALLEST, max(_LEAST, _HEIGHT / rows))
    marks: list[str] = []
    for panel in chart.partition_by("object_type"):
        y = _panel(marks, panel, fills, (first, last), height, y)
    for tick, label in ticks(first, last):
        x = _PLOT[0] + (tick - first) / span * (_PLOT[1] - _PLOT[0])
        line = attributes(x1=x, y1=begin + 6, x2=x, y2=y + 5, stroke=GRID)
        parts.append(f"<line {line}/>")
        parts.append(text(x, y + 19, label, size=11, fill=MUTED, text_anchor="middle"))
    return document(_WIDTH, y + 36, [*parts, *marks], title=_TITLE)


def _panel(
    marks: list[str],
    panel: pl.DataFrame,
    fills: dict[str | None, str],
    span: tuple[datetime, datetime],
    height: float,
    y: float,
) -> float:
    """Draw the objects of one type; give where they end."""
    kind = panel["object_type"][0]
    rows = panel.group_by("row").agg(pl.col("objects").first())
    objects, most = sum(rows["objects"]), max(rows["objects"])
    each = "one a row" if most == 1 else f"{most:,} a row"
    name = shorten(kind, 400, 13)
    marks.append(text(_PLOT[0], y + 20, name, size=13, font_weight="bold", title=kind))
    described = f"{objects:,} objects, {each}; {panel['steps'].sum():,} events"
    marks.append(text(_PLOT[0] + text_width(name, 13) + 12, y + 20, described, size=12, fill=MUTED))
    top = y + 28
    wide = _PLOT[1] - _PLOT[0]
    place = (pl.col("begin") + (pl.col("end") - pl.col("begin")) / 2 - span[0]) / (span[1] - span[0])
    dots: dict[str | None, list[str]] = defaultdict(list)
    for activity, row, x in panel.select("activity", "row", place * wide + _PLOT[0]).iter_rows():
        dots[activity if activity in fills else None].append(f"M{x:.1f} {top + (row + 0.5) * height:.1f}h0")
    for activity, fill in sorted(fills.items(), key=lambda item: (item[0] is not None, item[0] or "")):
        if activity in dots:
            stroke = attributes(d="".join(dots[activity]), stroke=fill, stroke_width=min(height, 7.0))
            words = xml_text(f"{kind}: {activity or 'other activities'}")
            marks.append(f'<path {stroke} fill="none" stroke-linecap="round"><title>{words}</title></path>')
    return top + len(rows) * height + 6
