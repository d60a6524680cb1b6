"""What every picture shares: palette, text, numbers for people, and the frame of an SVG document."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

__all__ = [
    "FONT",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "Style",
    "attributes",
    "document",
    "human_count",
    "human_duration",
    "line_styles",
    "rectangle",
    "shorten",
    "solids",
    "text",
    "text_width",
    "tints",
    "wrap",
    "xml_text",
]

FONT: Final = "Helvetica, Arial, 'Liberation Sans', sans-serif"
INK: Final = "#1f2933"
MUTED: Final = "#52606d"
GRID: Final = "#d9dee4"
PAPER: Final = "#ffffff"

_COLOURS: Final = ("#0072b2", "#d55e00", "#00815e", "#aa3377", "#332288", "#8a6d00", "#7b4b21", "#5f6670")
"""Okabe and Ito's and Tol's colours that are told apart with any colour vision, dark enough for lines on white."""

_DASHES: Final = ("none", "8 4", "2 4")

_AREAS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a5195", "#b5a642")
"""Okabe and Ito's colours for areas side by side."""

_TINTS: Final = (
    *("#a6cee3", "#fdd0a2", "#b2dfb0", "#f4b6c8", "#d4c5ec", "#f3e08c", "#a7e0db", "#d5d9de"),
    *("#f2b8a0", "#c5dba0", "#b7c4f0", "#e3c9a8", "#e6b3e6", "#9fd0b8", "#ffe9c7", "#c9e6f7"),
)
"""Light fills under dark text; what they mean is written in them as well."""

_ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_NARROW: Final = frozenset("ijlI.,:;'|!()[] ft")
_BROAD: Final = frozenset("mwMW@%")


@dataclass(frozen=True, slots=True)
class Style:
    """How one object type is drawn: a colour, and a dash pattern from the ninth type on."""

    colour: str
    dashes: str


def line_styles(names: Sequence[str]) -> dict[str, Style]:
    """Give every name its line: eight colours, each solid, then dashed, then dotted; then again.

    Examples
    --------
    >>> line_styles(["order"])
    {'order': Style(colour='#0072b2', dashes='none')}
    """
    return {
        name: Style(_COLOURS[place % len(_COLOURS)], _DASHES[place // len(_COLOURS) % len(_DASHES)])
        for place, name in enumerate(names)
    }


def solids(names: Sequence[str]) -> list[str]:
    """Give every name a colour for areas; they repeat after eight.

    Examples
    --------
    >>> solids(["place", "pay"])
    ['#0072b2', '#e69f00']
    """
    return [_AREAS[place % len(_AREAS)] for place in range(len(names))]


def tints(names: Sequence[str]) -> dict[str, str]:
    """Give every name its light fill; they repeat after sixteen.

    Examples
    --------
    >>> tints(["place"])
    {'place': '#a6cee3'}
    """
    return {name: _TINTS[place % len(_TINTS)] for place, name in enumerate(names)}


def xml_text(value: str) -> str:
    """Escape text for XML; what XML cannot hold becomes the replacement character, line breaks become spaces.

    Examples
    --------
    >>> xml_text("<a & b>")
    '&lt;a &amp; b&gt;'
    """
    return escape(_ILLEGAL.sub("\ufffd", value.replace("\r", " ").replace("\n", " ")), {'"': "&quot;"})


def attributes(**values: str | float) -> str:
    """Write attributes; an underscore in a name is a dash, numbers have at most two decimals.

    Examples
    --------
    >>> attributes(x=1.0, stroke_width=0.333)
    'x="1" stroke-width="0.33"'
    """

    def written(value: str | float) -> str:
        return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")

    return " ".join(f"{name.replace('_', '-')}={quoteattr(written(value))}" for name, value in values.items())


def text(x: float, y: float, content: str, *, size: float = 12, title: str | None = None, **more: str | float) -> str:
    """Write one line of text; ``title`` shows where the pointer rests.

    Examples
    --------
    >>> text(1, 2, "a < b")
    '<text x="1" y="2" font-size="12">a &lt; b</text>'
    """
    hover = f"<title>{xml_text(title)}</title>" if title is not None else ""
    return f"<text {attributes(x=x, y=y, font_size=size, **more)}>{xml_text(content)}{hover}</text>"


def rectangle(x: float, y: float, width: float, height: float, *, title: str | None = None, **more: str | float) -> str:
    """Write a rectangle; ``title`` shows where the pointer rests.

    Examples
    --------
    >>> rectangle(0, 0, 3, 4, title="box")
    '<rect x="0" y="0" width="3" height="4"><title>box</title></rect>'
    """
    hover = f"<title>{xml_text(title)}</title>" if title is not None else ""
    return f"<rect {attributes(x=x, y=y, width=width, height=height, **more)}>{hover}</rect>"


def document(width: float, height: float, parts: Sequence[str], *, title: str) -> str:
    """Put parts into an SVG document on white paper.

    Examples
    --------
    >>> document(10, 10, [rectangle(1, 1, 2, 2)], title="Box").count("<rect")
    2
    """
    size = attributes(width=width, height=height, viewBox=f"0 0 {width:.0f} {height:.0f}")
    body = "\n".join((f"<title>{xml_text(title)}</title>", rectangle(0, 0, width, height, fill=PAPER), *parts))
    font = attributes(font_family=FONT, fill=INK)
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} {font}>\n{body}\n</svg>\n'


def text_width(content: str, size: float) -> float:
    """Estimate the width of a line of sans-serif text, a little generously.

    Examples
    --------
    >>> text_width("mw", 10) > text_width("il", 10)
    True
    """
    units = sum(
        0.32
        if letter in _NARROW
        else 0.9
        if letter in _BROAD
        else 1.02
        if ord(letter) > 0x2E7F
        else 0.73
        if letter.isupper()
        else 0.59
        for letter in content
    )
    return units * size


def shorten(content: str, width: float, size: float) -> str:
    """Cut a line to a width, with an ellipsis where something is cut.

    Examples
    --------
    >>> shorten("a very long name", 60, 12)
    'a very l…'
    """
    if text_width(content, size) <= width:
        return content
    # The width never falls with the letters kept.
    kept = bisect_right(range(1, len(content) + 1), width, key=lambda end: text_width(content[:end] + "…", size))
    return content[:kept].rstrip() + "…"


def wrap(content: str, width: float, size: float, *, lines: int = 3) -> list[str]:
    """Break text into lines between words (within one, where it is too long), and cut after the last line.

    Examples
    --------
    >>> wrap("create purchase order", 80, 12)
    ['create', 'purchase', 'order']
    """
    broken = [""]
    for word in content.split():
        joined = f"{broken[-1]} {word}".strip()
        if text_width(joined, size) <= width or not broken[-1]:
            broken[-1] = joined
        else:
            broken.append(word)
    kept = broken[:lines]
    if len(broken) > lines:
        kept[-1] = " ".join(broken[lines - 1 :])
    return [shorten(line, width, size) for line in kept]


def human_count(number: int) -> str:
    """Write a count in a few letters.

    Examples
    --------
    >>> human_count(950), human_count(12_345), human_count(1_230_000)
    ('950', '12,345', '1.23M')
    """
    for factor, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= factor * (100 if unit == "k" else 1):
            return f"{number / factor:.3g}{unit}"
    return f"{number:,}"


def human_duration(seconds: float | None) -> str:
    """Write a duration in its greatest fitting unit.

    Examples
    --------
    >>> human_duration(0.25), human_duration(90), human_duration(200_000), human_duration(40_000_000)
    ('250 ms', '1.5 min', '2.3 d', '1.3 y')
    """
    if seconds is None:
        return ""
    if seconds == 0:
        return "0 s"
    for size, unit in ((365.25 * 86_400, "y"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        # A little less than a unit is that unit: no "24 h" beside "1 d".
        if seconds >= 0.99 * size:
            amount = seconds / size
            return f"{amount:,.0f} {unit}" if amount >= 100 else f"{amount:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds * 1000:,.0f} ms" if seconds >= 0.001 else "< 1 ms"
