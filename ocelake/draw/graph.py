"""What the pictures of graphs share: curved lines with arrows, and a page with a title and a legend of lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from ocelake.draw.layout import Point
from ocelake.draw.svg import MUTED, PAPER, Style, attributes, document, text, text_width, wrap, xml_text

__all__ = ["curve_line", "graph_page", "note_page", "sample_line"]

_MARGIN: Final = 20
_NARROWEST: Final = 640


def curve_line(
    curve: Sequence[Point], tip: Point, style: Style, width: float, *, title: str, double: bool = False
) -> str:
    """Draw a line with its arrow; a double one has white between its two strokes.

    Examples
    --------
    >>> line = curve_line([(0, 0), (0, 3), (0, 6), (0, 9)], (0, 17), Style("#0072b2", "none"), 2, title="order")
    >>> line.count("<path"), line.count("<polygon")
    (1, 1)
    """
    (x, y), *rest = [f"{a:.1f} {b:.1f}".split() for a, b in curve]
    path = f"M{x} {y}C" + " ".join(f"{a} {b}" for a, b in rest)
    end = curve[-1]
    length = math.dist(end, tip) or 1.0
    along = ((tip[0] - end[0]) / length, (tip[1] - end[1]) / length)
    half = 3.0 + width / 2
    corners = (
        (end[0] - along[1] * half, end[1] + along[0] * half),
        tip,
        (end[0] + along[1] * half, end[1] - along[0] * half),
    )
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    stroke = attributes(d=path, fill="none", stroke=style.colour, stroke_width=width, stroke_dasharray=style.dashes)
    between = f"<path {attributes(d=path, fill='none', stroke=PAPER, stroke_width=width / 3)}/>" if double else ""
    arrow = attributes(points=points, fill=style.colour)
    return f"<g><title>{xml_text(title)}</title><path {stroke}/>{between}<polygon {arrow}/></g>"


def sample_line(x: float, y: float, style: Style, width: float = 4, *, double: bool = False) -> str:
    """Draw a short line for a legend.

    Examples
    --------
    >>> sample_line(0, 0, Style("#0072b2", "none"), double=True).count("<line")
    2
    """

    def line(colour: str, thick: float, dashes: str) -> str:
        ends = attributes(x1=x, y1=y, x2=x + 26, y2=y)
        return f"<line {ends} {attributes(stroke=colour, stroke_width=thick, stroke_dasharray=dashes)}/>"

    return line(style.colour, width, style.dashes) + (line(PAPER, width / 3, "none") if double else "")


def graph_page(
    title: str,
    described: str,
    legend: Sequence[tuple[str, Style]],
    size: tuple[float, float],
    graph: Sequence[str],
    *,
    signs: Sequence[tuple[str, str]] = (),
) -> str:
    """Put a title, what is shown, and a legend above a graph.

    Parameters
    ----------
    title, described : str
    legend : sequence of (str, Style)
        What each kind of line means.
    size : (float, float)
        Width and height of the graph.
    graph : sequence of str
        Its parts.
    signs : sequence of (str, str)
        What other signs mean: words, and a part drawn around the middle of a line of 26 by 0 from the origin.

    Returns
    -------
    str
        An SVG document.

    Examples
    --------
    >>> graph_page("Graph", "Nothing.", [("order", Style("#0072b2", "none"))], (0, 0), []).count("<svg")
    1
    """
    width = max(size[0] + 2 * _MARGIN, _NARROWEST)
    parts = [text(_MARGIN, 32, title, size=17, font_weight="bold")]
    y = 36.0
    for line in wrap(described, width - 2 * _MARGIN, 12):
        y += 17
        parts.append(text(_MARGIN, y, line, size=12, fill=MUTED))
    y += 26
    for entries in ([(words, sample_line(0, 0, style)) for words, style in legend], signs):
        x = float(_MARGIN)
        for words, sign in entries:
            step = 34 + text_width(words, 12) + 18
            if x > _MARGIN and x + step > width - _MARGIN:
                x, y = float(_MARGIN), y + 20
            parts.append(f"<g {attributes(transform=f'translate({x:.1f} {y - 4:.1f})')}>{sign}</g>")
            parts.append(text(x + 34, y, words, size=12))
            x += step
        y += 22 if entries else 0
    place = attributes(transform=f"translate({(width - size[0]) / 2:.1f} {y:.1f})")
    parts.append("\n".join([f"<g {place}>", *graph, "</g>"]))
    return document(width, y + size[1] + _MARGIN, parts, title=title)


def note_page(title: str, described: str, note: str) -> str:
    """Put a note where the graph would be.

    Examples
    --------
    >>> "Too large." in note_page("Graph", "9,999 edges.", "Too large.")
    True
    """
    size = (text_width(note, 14), 40.0)
    return graph_page(title, described, [], size, [text(0, 24, note, size=14, font_weight="bold")])
