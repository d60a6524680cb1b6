"""The object-centric directly-follows graph as a picture.

One box per activity; one line per object type and pair of activities, in the type's colour. Graphviz lays it out (as
WebAssembly, so that no system package is needed); the legend and the words around it are our own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from ocelake.draw.arcs import Arc, arcs_of
from ocelake.draw.graph import curve_line, graph_page, note_page
from ocelake.draw.layout import MOST_LINES, Box, Line, Point, lay_out
from ocelake.draw.order import process_order
from ocelake.draw.svg import (
    MUTED,
    PAPER,
    Style,
    attributes,
    human_count,
    human_duration,
    line_styles,
    rectangle,
    text,
    text_width,
    wrap,
)
from ocelake.mining.ocdfg_filter import filter_ocdfg

__all__ = ["draw_ocdfg", "is_readable"]

_READABLE: Final = 75
_PER_ACTIVITY: Final = 2.5
"""Arcs that a picture holds before it is a tangle: so many, or so many for each activity, if that is more."""

_TOO_LARGE: Final = "Too large to be drawn: choose object types (--type) or a lower share (--coverage)."

_COVERAGES: Final = (1.0, 0.98, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
_LARGE: Final = 13
_SMALL: Final = 11
_TITLE: Final = "Object-centric directly-follows graph"


def draw_ocdfg(
    nodes: pl.DataFrame,
    edges: pl.DataFrame,
    *,
    object_types: Collection[str] | None = None,
    coverage: float | None = None,
) -> str:
    """Draw an OC-DFG.

    Parameters
    ----------
    nodes, edges : DataFrame
        As `gold.ocdfg_nodes` and `gold.ocdfg_edges`.
    object_types : collection of str, optional
        Draw these types; by default all.
    coverage : float, optional
        Draw, of each type, the most frequent edges until they hold this share of ``total_objects`` (starts and ends
        likewise), and what connects them, as `ocelake.mining.ocdfg_filter.filter_ocdfg` does. 1 draws all. By default,
        the greatest share that stays readable; where none does, that of the busiest types.

    Returns
    -------
    str
        An SVG document; the same for the same frames. Of more than 600 lines, which would take too long to lay out, it
        says so instead.

    Raises
    ------
    OcelakeError
        As `filter_ocdfg`.

    Examples
    --------
    >>> nodes = pl.DataFrame(
    ...     {
    ...         "object_type": [None, "order"],
    ...         "activity": ["place", "place"],
    ...         "events": [3, 3],
    ...         "start_objects": [None, 3],
    ...         "end_objects": [None, 3],
    ...     }
    ... )
    >>> edges = pl.DataFrame(
    ...     schema={
    ...         "object_type": str,
    ...         "source": str,
    ...         "target": str,
    ...         "total_objects": int,
    ...         "duration_mean": float,
    ...     }
    ... )
    >>> draw_ocdfg(nodes, edges).count("<svg")
    1
    """
    arcs = arcs_of(nodes, edges)
    if coverage is None:
        kept = _readable(nodes, edges, object_types)
    else:
        kept = filter_ocdfg(nodes, edges, object_types=object_types, coverage=coverage)
    shown = arcs_of(*kept)
    events = dict(
        kept[0].filter(pl.col("object_type").is_null()).select("activity", "events").sort("activity").iter_rows()
    )
    every = nodes.filter(pl.col("object_type").is_null())["activity"].n_unique()
    if sum(arc.source != arc.target for arc in shown) > MOST_LINES:
        return note_page(_TITLE, _described(arcs, shown, (len(events), every)), _TOO_LARGE)
    styles = line_styles(sorted({arc.object_type for arc in arcs}))
    size, graph = _picture(events, shown, styles)
    return _page(size, graph, arcs, shown, styles, (len(events), every))


def _readable(
    nodes: pl.DataFrame, edges: pl.DataFrame, object_types: Collection[str] | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep as much as a picture holds: less coverage first, then fewer types, those with the most objects on edges."""
    for share in _COVERAGES:
        kept = filter_ocdfg(nodes, edges, object_types=object_types, coverage=share)
        if is_readable(*kept):
            return kept
    busiest = (
        kept[1].group_by("object_type").agg(pl.col("total_objects").sum()).sort(-pl.col("total_objects"), "object_type")
    )["object_type"].to_list()
    for number in range(len(busiest) - 1, 0, -1):
        fewer = filter_ocdfg(*kept, object_types=busiest[:number])
        if is_readable(*fewer) or number == 1:
            return fewer
    return kept


def is_readable(nodes: pl.DataFrame, edges: pl.DataFrame) -> bool:
    """Whether a picture holds all arcs of a graph before it is a tangle.

    Examples
    --------
    >>> nodes = pl.DataFrame(
    ...     {"object_type": ["order"], "activity": ["place"], "start_objects": [3], "end_objects": [3]}
    ... )
    >>> edges = {"object_type": str, "source": str, "target": str, "total_objects": int, "duration_mean": float}
    >>> is_readable(nodes, pl.DataFrame(schema=edges))
    True
    """
    arcs = len(arcs_of(nodes, edges))
    return arcs <= min(MOST_LINES, max(_READABLE, _PER_ACTIVITY * nodes["activity"].n_unique()))


@dataclass(frozen=True, slots=True)
class _Node:
    """What is drawn at one place of the graph: lines of text, strips of colour, and words for the pointer."""

    size: Box
    lines: list[str]
    colours: list[str]
    loops: list[tuple[str, str]]
    hover: str


def _picture(
    events: Mapping[str, int], arcs: Sequence[Arc], styles: Mapping[str, Style]
) -> tuple[tuple[float, float], list[str]]:
    """Lay the graph out and draw it; give its size and its parts."""
    rank = process_order(arcs)
    activities = {
        f"a:{name}": _activity(name, events[name], [arc for arc in arcs if name in (arc.source, arc.target)], styles)
        for name in sorted(events, key=lambda name: (rank.get(name, -1), name))
    }
    ends = [("s", arc.object_type) for arc in arcs if arc.source is None]
    ends += [("t", arc.object_type) for arc in arcs if arc.target is None]
    markers = {f"{letter}:{kind}": _marker(letter, kind, styles[kind].colour) for letter, kind in dict.fromkeys(ends)}
    nodes = activities | markers
    # A loop is written into its activity's box: several around one box would hide each other.
    between = [arc for arc in arcs if arc.source != arc.target]
    heaviest = max((arc.objects for arc in between), default=1)
    lines = [
        Line(
            f"s:{arc.object_type}" if arc.source is None else f"a:{arc.source}",
            f"t:{arc.object_type}" if arc.target is None else f"a:{arc.target}",
            Box(max(text_width(words, _SMALL) for words in _words(arc)) + 14, 13 * len(_words(arc))),
            1 + round(9 * arc.objects / heaviest),
            arc.source is not None and arc.target is not None and rank[arc.source] > rank[arc.target],
        )
        for arc in between
    ]
    layout = lay_out({key: node.size for key, node in nodes.items()}, lines)
    parts = []
    for arc, (curve, tip, _) in zip(between, layout.lines, strict=True):
        width = 1 + 4.5 * math.sqrt(arc.objects / heaviest)
        parts.append(curve_line(curve, tip, styles[arc.object_type], width, title=_hover(arc)))
    for arc, (_, _, (x, y)) in zip(between, layout.lines, strict=True):
        words = _words(arc)
        for row, word in enumerate(words):
            base = y + 4 + 13 * (row - (len(words) - 1) / 2)
            parts.append(_label(x, base, word, styles[arc.object_type].colour))
    parts += [_drawn_activity(node, layout.boxes[key]) for key, node in activities.items()]
    parts += [_drawn_marker(node, layout.boxes[key], key.startswith("s:")) for key, node in markers.items()]
    return (layout.width, layout.height), parts


def _activity(name: str, events: int, arcs: Sequence[Arc], styles: Mapping[str, Style]) -> _Node:
    lines = wrap(name, 150, _LARGE) or [""]
    through = {arc.object_type for arc in arcs}
    colours = [style.colour for kind, style in styles.items() if kind in through]
    repeated = [arc for arc in arcs if arc.source == arc.target]
    loops = [(", ".join(_words(arc)), styles[arc.object_type].colour) for arc in repeated]
    widths = [*(text_width(line, _LARGE) for line in lines), *(text_width(words, _SMALL) + 16 for words, _ in loops)]
    width = max([*widths, 12.0 * len(colours), 44.0]) + 22
    hover = "; ".join([f"{name}: {events:,} events", *(_hover(arc) for arc in repeated)])
    height = 16 * len(lines) + 29 + (6 if colours else 0) + 14 * len(loops)
    return _Node(Box(width, height), [*lines, f"{events:,}"], colours, loops, hover)


def _marker(letter: str, kind: str, colour: str) -> _Node:
    words = wrap(kind, 150, _SMALL, lines=1) or [""]
    hover = f"{'Start' if letter == 's' else 'End'} of {kind}"
    return _Node(Box(text_width(words[0], _SMALL) + 24, 20), words, [colour], [], hover)


def _drawn_activity(node: _Node, centre: Point) -> str:
    """Draw a box: the name, the number of events, the loops, and a strip in the colours of the types that pass."""
    (x, y), size = centre, node.size
    left, top = x - size.width / 2, y - size.height / 2
    *names, count = node.lines
    frame = rectangle(left, top, size.width, size.height, title=node.hover, rx=7, fill="#f4f6f8", stroke="#9aa5b1")
    parts = [frame]
    for row, name in enumerate(names):
        parts.append(text(x, top + 18 + 16 * row, name, size=_LARGE, font_weight="bold", text_anchor="middle"))
    base = top + 17 + 16 * len(names)
    parts.append(text(x, base, count, size=_SMALL, fill=MUTED, text_anchor="middle"))
    for words, colour in node.loops:
        base += 14
        begin = x - (text_width(words, _SMALL) + 16) / 2
        arrow = f"M{begin + 9:.1f} {base - 7:.1f}a4 4 0 1 0 1 3.5m-3.4 -1.2l3.4 1.2l1.6 -3.2"
        parts.append(f"<path {attributes(d=arrow, fill='none', stroke=colour, stroke_width=1.4)}/>")
        parts.append(text(begin + 16, base, words, size=_SMALL, fill=colour))
    for place, colour in enumerate(node.colours):
        parts.append(rectangle(x + 12 * (place - len(node.colours) / 2) + 1, base + 6, 10, 4, fill=colour))
    return f"<g>{''.join(parts)}</g>"


def _drawn_marker(node: _Node, centre: Point, start: bool) -> str:
    """Draw a pill: filled where the type starts, outlined where it ends."""
    (x, y), size, colour = centre, node.size, node.colours[0]
    fill, ink = (colour, PAPER) if start else (PAPER, colour)
    left, top = x - size.width / 2, y - size.height / 2
    box = rectangle(
        left, top, size.width, size.height, title=node.hover, rx=10, fill=fill, stroke=colour, stroke_width=2
    )
    words = text(x, y + 4, node.lines[0], size=_SMALL, fill=ink, font_weight="bold", text_anchor="middle")
    return f"<g>{box}{words}</g>"


def _label(x: float, y: float, word: str, colour: str) -> str:
    """Write on a line: with a white edge around the letters, that parts them from lines below."""
    return text(
        x, y, word, size=_SMALL, fill=colour, text_anchor="middle", stroke=PAPER, stroke_width=3, paint_order="stroke"
    )


def _words(arc: Arc) -> list[str]:
    """Give the lines of an arc's label."""
    return [human_count(arc.objects), *([human_duration(arc.seconds)] if arc.seconds is not None else [])]


def _hover(arc: Arc) -> str:
    way = f"{arc.source or 'start'} → {arc.target or 'end'}"
    mean = f", {human_duration(arc.seconds)} on average" if arc.seconds is not None else ""
    return f"{arc.object_type}: {way}, {arc.objects:,} objects{mean}"


def _page(
    size: tuple[float, float],
    graph: Sequence[str],
    arcs: Sequence[Arc],
    shown: Sequence[Arc],
    styles: Mapping[str, Style],
    activities: tuple[int, int],
) -> str:
    """Put the graph on a page, with the objects of each type in the legend."""
    objects: Counter[str] = Counter()
    for arc in arcs:
        objects[arc.object_type] += arc.objects if arc.source is None else 0
    drawn = {arc.object_type for arc in shown}
    legend = [(f"{kind} ({objects[kind]:,})", style) for kind, style in styles.items() if kind in drawn]
    return graph_page(_TITLE, _described(arcs, shown, activities), legend, size, graph)


def _described(arcs: Sequence[Arc], shown: Sequence[Arc], activities: tuple[int, int]) -> str:
    def inner(some: Sequence[Arc]) -> list[int]:
        return [arc.objects for arc in some if arc.source is not None and arc.target is not None]

    every, drawn = inner(arcs), inner(shown)
    reading = "On a line: how many objects take it, mean time. A pill is a type's start if filled, its end if outlined."
    if len(shown) == len(arcs):
        return f"{activities[1]} activities, {len(every)} edges. {reading}"
    share = sum(drawn) / max(sum(every), 1)
    types = [len({arc.object_type for arc in some}) for some in (shown, arcs)]
    return (
        f"{activities[0]} of {activities[1]} activities, {types[0]} of {types[1]} object types, {len(drawn)} of "
        f"{len(every)} edges: the most frequent, {share:.0%} of all steps. {reading}"
    )
