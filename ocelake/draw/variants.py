"""Trace variants as a picture: per object type, the most frequent sequences as rows of chevrons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

import polars as pl

from ocelake.draw.svg import (
    GRID,
    INK,
    MUTED,
    attributes,
    document,
    human_duration,
    rectangle,
    shorten,
    text,
    text_width,
    tints,
    xml_text,
)

__all__ = ["draw_variants"]

_WIDTH: Final = 1180
_MARGIN: Final = 20
_LEFT: Final = 190
"""Where the chevrons begin; the share, the count and the mean duration stand before them."""

_HEIGHT: Final = 24
_READING: Final = "Share and number of objects, mean time from first to last event, activities in order."
_POINT: Final = 9
_FONT: Final = 11
_LONGEST: Final = 170
_SHORTEST: Final = 100
"""Width of an activity's name, in a short sequence and in one of more than a few steps."""

_TOTAL: Final = 72
_LEAST: Final = 3
_FEW: Final = 6
_ROWS: Final = 3
_MORE: Final = 80


def draw_variants(trace_variants: pl.DataFrame, *, most: int = 12) -> str:
    """Draw trace variants.

    Parameters
    ----------
    trace_variants : DataFrame
        As `gold.trace_variants`.
    most : int
        Draw at most this many variants of each object type, the most frequent; fewer in a log of many types.

    Returns
    -------
    str
        An SVG document; the same for the same frame.

    Examples
    --------
    >>> variant = {"object_type": ["order"], "variant_id": ["0"], "activities": [["place", "pay"]]}
    >>> numbers = {"objects": [3], "share": [1.0], "duration_mean": [60.0]}
    >>> draw_variants(pl.DataFrame(variant | numbers)).count("<polygon")
    2
    """
    ordered = trace_variants.sort("object_type", "objects", "variant_id", descending=[False, True, False])
    most = min(most, max(_LEAST, _TOTAL // max(trace_variants["object_type"].n_unique(), 1)))
    # Where every object goes its own way (an employee, a product), a few show as much as many.
    repeated = pl.col("objects").max().over("object_type") > 1
    place = pl.int_range(pl.len()).over("object_type")
    shown = ordered.filter(place < pl.when(repeated).then(most).otherwise(min(most, _LEAST)))
    fills = tints(_by_frequency(shown))
    parts = [
        text(_MARGIN, 32, "Trace variants", size=17, font_weight="bold"),
        text(
            _MARGIN,
            53,
            "Share and number of objects, mean time from first to last event, activities in order.",
            fill=MUTED,
        ),
    ]
    y = 72.0
    for (kind,), rows in shown.group_by("object_type", maintain_order=True):
        every = ordered.filter(object_type=kind)
        y = _section(parts, str(kind), rows, every, fills, y)
    return document(_WIDTH, y + _MARGIN, parts, title="Trace variants")


def _by_frequency(shown: pl.DataFrame) -> list[str]:
    """Give the activities drawn, the most frequent first, so that these get colours of their own."""
    counts = (
        shown.select("activities", "objects")
        .explode("activities")
        .drop_nulls()
        .group_by("activities")
        .agg(pl.col("objects").sum())
        .sort("objects", "activities", descending=[True, False])
    )
    return counts["activities"].to_list()


def _section(
    parts: list[str], kind: str, rows: pl.DataFrame, every: pl.DataFrame, fills: Mapping[str, str], y: float
) -> float:
    """Draw the variants of one object type; give where the next section begins."""
    objects, covered = every["objects"].sum(), rows["share"].sum()
    count = f"{len(every):,} variants" if len(every) > 1 else "1 variant"
    cut = f", the {len(rows)} most frequent hold {covered:.0%}" if len(rows) < len(every) else ""
    line = attributes(x1=_MARGIN, y1=y, x2=_WIDTH - _MARGIN, y2=y, stroke=GRID)
    parts.append(f"<line {line}/>")
    name = shorten(kind, 400, 14)
    parts.append(text(_MARGIN, y + 22, name, size=14, font_weight="bold", title=kind))
    described = f"{objects:,} objects, {count}{cut}"
    parts.append(text(_MARGIN + text_width(name, 14) + 14, y + 22, described, size=12, fill=MUTED))
    y += 34
    widest = rows["share"].max()
    for activities, number, share, mean in rows.select("activities", "objects", "share", "duration_mean").iter_rows():
        bar = 60 * share / widest
        parts.append(rectangle(_MARGIN, y + 4, bar, _HEIGHT - 8, rx=2, fill="#c3ccd6"))
        parts.append(text(_MARGIN + 4, y + 16, _percent(share), size=_FONT, font_weight="bold"))
        parts.append(text(_MARGIN + 108, y + 16, f"{number:,}", size=_FONT, text_anchor="end"))
        parts.append(text(_LEFT - 12, y + 16, human_duration(mean), size=_FONT, fill=MUTED, text_anchor="end"))
        drawn, lines = _chevrons(activities, fills, y)
        parts.append(drawn)
        y += lines * (_HEIGHT + 3) + 4
    return y + 10


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "<0.1%"


def _chevrons(activities: Sequence[str], fills: Mapping[str, str], y: float) -> tuple[str, int]:
    """Draw a sequence; give it and the number of rows it takes.

    Repeats in a row become one chevron. A sequence that three rows hold is drawn whole, of a longer one the beginning.
    """
    if not activities:
        return text(_LEFT, y + 16, "no events", size=_FONT, fill=MUTED, font_style="italic"), 1
    steps = [(name, len(list(run))) for name, run in groupby(activities)]
    longest = _LONGEST if len(steps) <= _FEW else _SHORTEST
    rows = _rows(steps, longest, _WIDTH - _MARGIN)
    whole = len(rows) <= _ROWS
    if not whole:
        rows = _rows(steps, longest, _WIDTH - _MARGIN - _MORE)[:1]
    parts: list[str] = []
    x = float(_LEFT)
    for row, chevrons in enumerate(rows):
        top, x = y + row * (_HEIGHT + 3), float(_LEFT)
        for place, (name, words, width) in enumerate(chevrons):
            first = row == place == 0
            parts.append(_chevron(x, top, width, fills[name], first=first, hover=name))
            parts.append(text(x + (8 if first else _POINT + 5), top + 16, words, size=_FONT, fill=INK, title=name))
            x += width - _POINT + 2
    if not whole:
        rest = len(activities) - sum(times for _, times in steps[: len(rows[0])])
        parts.append(text(x + 14, y + 16, f"+ {rest:,} more", size=_FONT, fill=MUTED))
    return "".join(parts), len(rows)


def _rows(steps: Sequence[tuple[str, int]], longest: float, end: float) -> list[list[tuple[str, str, float]]]:
    """Break a sequence into rows of (activity, words, width)."""
    rows: list[list[tuple[str, str, float]]] = [[]]
    x = float(_LEFT)
    for name, times in steps:
        repeat = f" ×{times}" if times > 1 else ""
        words = shorten(name, longest - text_width(repeat, _FONT), _FONT) + repeat
        width = text_width(words, _FONT) + 2 * _POINT + 8
        if x + width > end and rows[-1]:
            rows.append([])
            x = float(_LEFT)
        rows[-1].append((name, words, width))
        x += width - _POINT + 2
    return rows


def _chevron(x: float, y: float, width: float, fill: str, *, first: bool, hover: str) -> str:
    right, middle, bottom = x + width, y + _HEIGHT / 2, y + _HEIGHT
    notch = [] if first else [(x + _POINT, middle)]
    corners = [(x, y), (right - _POINT, y), (right, middle), (right - _POINT, bottom), (x, bottom), *notch]
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    return f"<polygon {attributes(points=points, fill=fill)}><title>{xml_text(hover)}</title></polygon>"
