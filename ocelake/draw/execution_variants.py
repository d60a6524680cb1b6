"""Execution variants as a picture: for each, an example with one lane per object, its events as chips across lanes.

A chip stands at its event's rank: the longest directly-follows path to it. Events of one rank whose lanes cross stand
side by side, so that a chip never covers a lane that it does not belong to. Long examples go on in a further band of
lanes, as music does; very long ones are cut, and the picture says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import polars as pl

from ocelake.draw.svg import (
    GRID,
    INK,
    MUTED,
    PAPER,
    Style,
    attributes,
    document,
    human_duration,
    line_styles,
    rectangle,
    shorten,
    text,
    text_width,
)
from ocelake.mining.execution_variants import MOST_EVENTS

__all__ = ["draw_execution_variants"]

_WIDTH: Final = 1180
_MARGIN: Final = 20
_NAMES: Final = 130
"""Where the names of lanes begin; share, count and mean duration stand before them."""

_LEFT: Final = 268
"""Where the first chip begins."""

_LANE: Final = 24
_CHIP: Final = 18
_GAP: Final = 8
_FONT: Final = 11
_WIDEST: Final = (190, 118)
"""Width of an activity's name: where all chips fit in one band, and else."""

_JOINT: Final = "#aab4bf"
_MOST_LANES: Final = 20
_MOST_BANDS: Final = 3


@dataclass(frozen=True, slots=True)
class _Chip:
    """One event: its activity and lanes (ascending), and the column it stands in."""

    activity: str
    lanes: tuple[int, ...]
    column: int


def draw_execution_variants(execution_variants: pl.DataFrame, *, most: int = 8) -> str:
    """Draw the most frequent execution variants, one below the other.

    Parameters
    ----------
    execution_variants : DataFrame
        As `gold.execution_variants`; each kind of execution is a section.
    most : int
        Draw at most this many variants of each kind, the most frequent.

    Returns
    -------
    str
        An SVG document; the same for the same frame.

    Examples
    --------
    >>> lanes = [{"object_type": "order", "events": [0, 1]}, {"object_type": "item", "events": [1]}]
    >>> variants = pl.DataFrame(
    ...     {"kind": ["connected"], "variant_id": ["5a"], "executions": [12], "share": [1.0], "events": [2],
    ...      "objects": [2], "duration_mean": [86400.0], "activities": [["place", "pick"]], "lanes": [lanes]}
    ... )
    >>> picture = draw_execution_variants(variants)
    >>> picture.startswith("<svg"), "pick: order, item" in picture
    (True, True)
    """
    title = "Execution variants"
    ordered = execution_variants.sort("kind", "executions", "variant_id", descending=[False, True, False])
    shown = ordered.filter(pl.int_range(pl.len()).over("kind") < most)
    parts = [
        text(_MARGIN, 32, title, size=17, font_weight="bold"),
        text(
            _MARGIN,
            53,
            "Share and number of executions, mean time from first to last event; of an example, one lane per object, "
            "and each event on the lanes of all its objects.",
            fill=MUTED,
        ),
    ]
    styles = line_styles(_types(execution_variants))
    y = 72.0
    if shown.is_empty():
        none = f"No executions of at most {MOST_EVENTS:,} events: larger ones are not compared."
        parts.append(text(_MARGIN, y + 22, none, size=12, fill=MUTED))
        y += 44
    for (kind,), rows in shown.group_by("kind", maintain_order=True):
        y = _section(parts, str(kind), rows, ordered.filter(kind=kind), styles, y)
    return document(_WIDTH, y + _MARGIN, parts, title=title)


def _types(variants: pl.DataFrame) -> list[str]:
    """Give the object types, sorted: as every picture of the log gives them their colours."""
    return variants["lanes"].explode().drop_nulls().struct.field("object_type").unique().sort().to_list()


def _section(
    parts: list[str], kind: str, rows: pl.DataFrame, every: pl.DataFrame, styles: Mapping[str, Style], y: float
) -> float:
    """Draw the variants of one kind of execution; give where the next section begins."""
    count = f"{len(every):,} variants" if len(every) > 1 else "1 variant"
    cut = f", the {len(rows)} most frequent hold {rows['share'].sum():.0%}" if len(rows) < len(every) else ""
    parts.append(f"<line {attributes(x1=_MARGIN, y1=y, x2=_WIDTH - _MARGIN, y2=y, stroke=GRID)}/>")
    name = shorten(kind, 400, 14)
    parts.append(text(_MARGIN, y + 22, name, size=14, font_weight="bold", title=kind))
    total = every["executions"].sum()
    described = f"{total:,} execution{'s' if total > 1 else ''}, {count}{cut}"
    parts.append(text(_MARGIN + text_width(name, 14) + 14, y + 22, described, size=12, fill=MUTED))
    y += 44
    widest = rows["share"].max()
    for row in rows.iter_rows(named=True):
        parts.append(rectangle(_MARGIN, y, 90 * row["share"] / widest, 16, rx=2, fill="#c3ccd6"))
        share = _percent(row["share"])
        parts.append(text(_MARGIN + 4, y + 12, share, size=_FONT, font_weight="bold", title=row["variant_id"]))
        parts.append(text(_MARGIN, y + 31, f"{row['executions']:,}", size=_FONT))
        parts.append(text(_MARGIN, y + 46, human_duration(row["duration_mean"]), size=_FONT, fill=MUTED))
        y = max(_example(parts, row, styles, y), y + 56) + 16
    return y + 4


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "<0.1%"


def _example(parts: list[str], row: Mapping[str, Any], styles: Mapping[str, Style], y: float) -> float:
    """Draw the example of one variant; give where it ends."""
    types, lanes = _lanes(row["lanes"])
    chips = _chips(row["activities"], lanes)
    if not chips:
        parts.append(text(_NAMES, y + 12, "no events", size=_FONT, fill=MUTED, font_style="italic"))
        return y + _LANE
    if not lanes:
        # An event without objects stands on no lane.
        lanes, types = [[0]], [""]
        chips = [_Chip(chip.activity, (0,), chip.column) for chip in chips]
    widest = next((width for width in _WIDEST if len(_bands(chips, width)) == 1), _WIDEST[-1])
    bands = _bands(chips, widest)
    spans = _spans(chips)
    for first, lefts in bands:
        end = first + len(lefts) - 1
        inside = [chip for chip in chips if first <= chip.column < end]
        alive = [lane for lane in range(len(lanes)) if spans[lane][0] < end and spans[lane][1] >= first]
        _draw_lanes(parts, alive, types, lefts, first, styles, y, spans)
        middle = {lane: y + 8 + place * _LANE for place, lane in enumerate(alive)}
        for chip in inside:
            left, right = lefts[chip.column - first : chip.column - first + 2]
            _draw_chip(parts, chip, left, right - _GAP - left, widest, middle, types, styles)
        y += len(alive) * _LANE + 10
    kept = sum(chip.column < end for chip in chips)
    hidden = _hidden(kept, row["events"], len(lanes) if types != [""] else 0, row["objects"])
    if hidden:
        parts.append(text(_NAMES, y + 8, hidden, size=_FONT, fill=MUTED, font_style="italic"))
        y += 20
    return y


def _hidden(events: int, of_events: int, objects: int, of_objects: int) -> str:
    cut = [
        f"the first {shown:,} of {total:,} {name}"
        for shown, total, name in ((events, of_events, "events"), (objects, of_objects, "objects"))
        if shown < total
    ]
    return f"Drawn: {' and '.join(cut)}." if cut else ""


def _lanes(stored: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[int]]]:
    """Give type and events of the lanes drawn: the first ones, those of a type together, types by their first event."""
    chosen = [lane for lane in stored if lane["events"]][:_MOST_LANES]
    begins: dict[str, int] = {}
    for lane in chosen:
        begins.setdefault(lane["object_type"], lane["events"][0])
    chosen.sort(key=lambda lane: (begins[lane["object_type"]], lane["object_type"], lane["events"]))
    return [lane["object_type"] for lane in chosen], [lane["events"] for lane in chosen]


def _chips(activities: Sequence[str], lanes: Sequence[Sequence[int]]) -> list[_Chip]:
    """Place the events that are on a lane (all of them, without lanes) in columns."""
    on: list[list[int]] = [[] for _ in activities]
    rank = [0] * len(activities)
    before: list[list[int]] = [[] for _ in activities]
    for number, events in enumerate(lanes):
        for event in events:
            on[event].append(number)
        for event, later in pairwise(events):
            before[later].append(event)
    # Events are in order, so that whatever precedes one comes before it.
    for event, earlier in enumerate(before):
        rank[event] = max((rank[other] + 1 for other in earlier), default=0)
    drawn = [event for event in range(len(activities)) if on[event] or not lanes]
    chips: list[_Chip] = []
    column = 0
    for level in range(max((rank[event] for event in drawn), default=-1) + 1):
        ends: list[int] = []
        for event in sorted((e for e in drawn if rank[e] == level), key=lambda e: (on[e][:1], on[e][-1:], e)):
            first, last = (on[event][0], on[event][-1]) if on[event] else (0, 0)
            track = next((place for place, end in enumerate(ends) if end < first), len(ends))
            ends[track : track + 1] = [last]
            chips.append(_Chip(activities[event], tuple(on[event]), column + track))
        column += len(ends)
    return chips


def _bands(chips: Sequence[_Chip], widest: float) -> list[tuple[int, list[float]]]:
    """Break the columns into bands: the first column, where each begins, and where the last ends, with its gap."""
    widths: dict[int, float] = {}
    for chip in chips:
        width = min(text_width(chip.activity, _FONT), widest) + 12
        widths[chip.column] = max(widths.get(chip.column, 0), width)
    bands: list[tuple[int, list[float]]] = [(0, [_LEFT])]
    for column in range(len(widths)):
        if bands[-1][1][-1] + widths[column] > _WIDTH - _MARGIN:
            if len(bands) == _MOST_BANDS:
                break
            bands.append((column, [_LEFT]))
        lefts = bands[-1][1]
        lefts.append(lefts[-1] + widths[column] + _GAP)
    return bands


def _spans(chips: Sequence[_Chip]) -> dict[int, tuple[int, int]]:
    """Give the first and last column of each lane."""
    spans: dict[int, tuple[int, int]] = {}
    for chip in chips:
        for lane in chip.lanes:
            first, last = spans.get(lane, (chip.column, chip.column))
            spans[lane] = (min(first, chip.column), max(last, chip.column))
    return spans


def _draw_lanes(
    parts: list[str],
    alive: Sequence[int],
    types: Sequence[str],
    lefts: Sequence[float],
    first: int,
    styles: Mapping[str, Style],
    y: float,
    spans: Mapping[int, tuple[int, int]],
) -> None:
    """Draw the lanes of a band, each from its first event to its last; one that goes on reaches over the band's end."""
    last = first + len(lefts) - 2
    for place, lane in enumerate(alive):
        kind = types[lane]
        if not kind:
            continue
        style, middle = styles[kind], y + 8 + place * _LANE
        if not place or types[alive[place - 1]] != kind:
            words = shorten(kind, _LEFT - _NAMES - 22, _FONT)
            parts.append(text(_NAMES, middle + 4, words, size=_FONT, font_weight="bold", fill=style.colour, title=kind))
        begin, end = spans[lane]
        x1 = lefts[begin - first] if begin >= first else _LEFT - 12
        x2 = (lefts[end - first] if end <= last else lefts[-1]) + 4
        drawn = attributes(x1=x1, y1=middle, x2=x2, y2=middle, stroke=style.colour, stroke_dasharray=style.dashes)
        parts.append(f'<line {drawn} stroke-width="2"/>')


def _draw_chip(
    parts: list[str],
    chip: _Chip,
    x: float,
    width: float,
    widest: float,
    middle: Mapping[int, float],
    types: Sequence[str],
    styles: Mapping[str, Style],
) -> None:
    """Draw an event on each of its lanes: one block over neighbouring lanes, blocks tied by a line."""
    hover = f"{chip.activity}: {', '.join(types[lane] for lane in chip.lanes)}".removesuffix(": ")
    for lane, below in pairwise(chip.lanes):
        near = middle[below] - middle[lane] <= _LANE
        breadth = width if near else 2.5
        left = x if near else x + width / 2 - 1.25
        parts.append(rectangle(left, middle[lane], breadth, middle[below] - middle[lane], fill=_JOINT if near else INK))
    words = shorten(chip.activity, widest, _FONT)
    for lane in chip.lanes:
        colour, top = styles[types[lane]].colour if types[lane] else MUTED, middle[lane] - _CHIP / 2
        parts.append(rectangle(x, top, width, _CHIP, rx=4, fill=PAPER))
        frame = rectangle(x, top, width, _CHIP, rx=4, title=hover, fill=colour, fill_opacity=0.16, stroke=colour)
        parts.append(frame)
        parts.append(text(x + 6, middle[lane] + 4, words, size=_FONT, fill=INK, title=hover))
