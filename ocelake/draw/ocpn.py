"""An object-centric Petri net as a picture, and where its elements stand.

Places are circles in their type's colour, one with a token where an object begins and a double one where it ends;
activities are boxes, silent transitions small bars; variable arcs are double lines (van der Aalst, Berti 2020). Four
activities or more that stand between the same places (the petals of a flower) share one frame, and its arcs.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from ocelake.draw.graph import curve_line, graph_page, note_page, sample_line
from ocelake.draw.layout import MOST_LINES, Box, Line, Point, lay_out
from ocelake.draw.svg import (
    INK,
    MUTED,
    PAPER,
    Style,
    attributes,
    line_styles,
    rectangle,
    text,
    text_width,
    wrap,
    xml_text,
)
from ocelake.errors import OcelakeError
from ocelake.tables import TABLES

__all__ = ["draw_ocpn", "lay_out_ocpn"]

_TITLE: Final = "Object-centric Petri net"
_RADIUS: Final = 11.0
_NAMED: Final = 16.0
"""Height of a type's name, above the place where its objects begin and below the one where they end."""

_BAR: Final = Box(28, 8)
_STACKED: Final = 4
"""So many activities between the same places are drawn in one frame."""

_READABLE: Final = 100
_TANGLED: Final = 1.5
"""Lines, and lines for each place and transition, from which on a glued net is a tangle."""

_TOO_LARGE: Final = "Too large to be drawn: choose object types (--type) or the most frequent variants (--coverage)."

_ROWS: Final = 12
_GAP: Final = 4.0
_LARGE: Final = 13
_SMALL: Final = 11
_WIDEST: Final = 150


def lay_out_ocpn(
    places: pl.DataFrame, transitions: pl.DataFrame, arcs: pl.DataFrame, markings: pl.DataFrame
) -> pl.DataFrame:
    """Place the elements of a net in layers, from where objects begin down to where they end.

    Parameters
    ----------
    places, transitions, arcs, markings : DataFrame
        As `ocpn.places`, `ocpn.transitions`, `ocpn.arcs` and `ocpn.markings`, of one model.

    Returns
    -------
    DataFrame
        As `ocpn.layout`, sorted; the same for the same rows in any order. Empty for a net of more than 600 arcs (those
        of a frame counted once), which would take too long.

    Raises
    ------
    OcelakeError
        Where the frames are of several models.

    Examples
    --------
    >>> model = {"model_id": ["m"]}
    >>> layout = lay_out_ocpn(
    ...     pl.DataFrame(model | {"place_id": ["p"], "object_type": ["order"]}),
    ...     pl.DataFrame(model | {"transition_id": ["t"], "activity": ["place"], "object_type": [None]}),
    ...     pl.DataFrame(model | {"source_id": ["p"], "target_id": ["t"], "variable": [False]}),
    ...     pl.DataFrame(model | {"marking": ["initial"], "place_id": ["p"]}),
    ... )
    >>> layout["element_id"].to_list()
    ['p -> t', 'p', 't']
    """
    models = pl.concat([frame["model_id"] for frame in (places, transitions, arcs, markings)]).unique().to_list()
    if len(models) > 1:
        raise OcelakeError(f"A picture shows one model, not {len(models)}.", fix="Filter the frames by model_id.")
    kinds, marked = _kinds(places), _marked(markings)
    activities = dict(transitions.select("transition_id", "activity").sort("transition_id").iter_rows())
    spec = TABLES["ocpn.layout"]
    schema = {name: dtype for name, dtype in spec.schema.items() if name != "log_id"}
    frames = _frames(transitions, arcs)
    frame_of = _frame_of(frames)
    lines = _lines_between(arcs, frame_of)
    if len(lines) > MOST_LINES:
        return pl.DataFrame(schema=schema)
    grids = {frame: _Grid.of([_box(activities[name] or "") for name in names]) for frame, names in frames.items()}
    boxes = {place: _place_box(kinds[place], named=place in marked) for place in sorted(kinds)}
    boxes |= {name: _BAR if label is None else _box(label) for name, label in activities.items()}
    outer = {key: box for key, box in boxes.items() if key not in frame_of}
    outer |= {frame: grid.box for frame, grid in grids.items()}
    beginnings = sorted(place for place, marks in marked.items() if "initial" in marks)
    order = _breadth_first(outer, sorted(lines), beginnings)
    # Graphviz breaks cycles from the nodes that it meets first: with these in the order of the flow, back leads back.
    ways = sorted(lines, key=lambda way: (order[way[0]], order[way[1]]))
    found = lay_out({key: outer[key] for key in order}, [Line(*way, None, 1, False) for way in ways])
    drawn = dict(zip(ways, found.lines, strict=True))
    centres = dict(found.boxes)
    for frame, names in frames.items():
        centres |= zip(names, grids[frame].centres(found.boxes[frame], len(names)), strict=True)
    rows: list[tuple[object, ...]] = []
    for key, box in boxes.items():
        framed = frame_of.get(key)
        cell = box if framed is None else grids[framed].cell
        size = (2 * _RADIUS, 2 * _RADIUS) if key in kinds else (cell.width, cell.height)
        rows.append((key, "place" if key in kinds else "transition", *centres[key], *size, None))
    for source, target in sorted(arcs.select("source_id", "target_id").iter_rows()):
        curve, tip, (x, y) = drawn[frame_of.get(source, source), frame_of.get(target, target)]
        path = [number for point in (*curve, tip) for number in point]
        rows.append((f"{source} -> {target}", "arc", x, y, None, None, path))
    return pl.DataFrame([(models[0], *row) for row in rows], schema=schema, orient="row").sort(spec.sort)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Boxes of one size in a frame, column by column."""

    cell: Box
    columns: int
    rows: int

    @classmethod
    def of(cls, boxes: Sequence[Box]) -> _Grid:
        columns = -(-len(boxes) // _ROWS)
        cell = Box(max(box.width for box in boxes), max(box.height for box in boxes))
        return cls(cell, columns, -(-len(boxes) // columns))

    @property
    def box(self) -> Box:
        return Box(self.columns * (self.cell.width + _GAP) + _GAP, self.rows * (self.cell.height + _GAP) + _GAP)

    def centres(self, centre: Point, number: int) -> list[Point]:
        left, top = centre[0] - self.box.width / 2, centre[1] - self.box.height / 2
        return [
            (
                left + _GAP + self.cell.width / 2 + place // self.rows * (self.cell.width + _GAP),
                top + _GAP + self.cell.height / 2 + place % self.rows * (self.cell.height + _GAP),
            )
            for place in range(number)
        ]


def _frames(transitions: pl.DataFrame, arcs: pl.DataFrame) -> dict[str, list[str]]:
    """Give the visible transitions that stand alike between the same places; by the first of them."""
    beside: dict[str, set[tuple[str, bool, bool]]] = defaultdict(set)
    for source, target, variable in arcs.select("source_id", "target_id", "variable").iter_rows():
        beside[source].add((target, True, variable))
        beside[target].add((source, False, variable))
    alike: dict[frozenset[tuple[str, bool, bool]], list[str]] = defaultdict(list)
    for name in transitions.filter(pl.col("activity").is_not_null())["transition_id"].sort():
        alike[frozenset(beside[name])].append(name)
    return {f"frame of {names[0]}": names for key, names in alike.items() if key and len(names) >= _STACKED}


def _frame_of(frames: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {name: frame for frame, names in frames.items() for name in names}


def _lines_between(arcs: pl.DataFrame, frame_of: Mapping[str, str]) -> set[tuple[str, str]]:
    """Give what is to be connected: the arcs of a frame share their line."""
    pairs = arcs.select("source_id", "target_id").iter_rows()
    return {(frame_of.get(source, source), frame_of.get(target, target)) for source, target in pairs}


def draw_ocpn(
    places: pl.DataFrame,
    transitions: pl.DataFrame,
    arcs: pl.DataFrame,
    markings: pl.DataFrame,
    layout: pl.DataFrame | None = None,
    *,
    object_types: Collection[str] | None = None,
    apart: bool | None = None,
) -> str:
    """Draw an object-centric Petri net.

    Parameters
    ----------
    places, transitions, arcs, markings : DataFrame
        As `ocpn.places`, `ocpn.transitions`, `ocpn.arcs` and `ocpn.markings`, of one model.
    layout : DataFrame, optional
        As `ocpn.layout` of that model; by default made here, as wherever some types alone are drawn, or types apart.
        Where there is none, as the net is too large (see `lay_out_ocpn`), the picture says so instead.
    object_types : collection of str, optional
        Draw the net of these types alone: their places and arcs, and the transitions that these touch. By default all.
    apart : bool, optional
        Draw the net of each type beside the others, instead of all glued at their activities. By default where the
        glued net is a tangle: more than 100 lines, and more than 1.5 for each place and transition.

    Returns
    -------
    str
        An SVG document; the same for the same rows in any order.

    Raises
    ------
    OcelakeError
        Where a type has no net, or the frames are of several models.

    Examples
    --------
    >>> model = {"model_id": ["m"]}
    >>> picture = draw_ocpn(
    ...     pl.DataFrame(model | {"place_id": ["p"], "object_type": ["order"]}),
    ...     pl.DataFrame(model | {"transition_id": ["t"], "activity": ["place"], "object_type": [None]}),
    ...     pl.DataFrame(
    ...         model
    ...         | {"source_id": ["p"], "target_id": ["t"], "object_type": ["order"]}
    ...         | {"variable": [False], "minimum": [1], "maximum": [1]}
    ...     ),
    ...     pl.DataFrame(model | {"marking": ["initial"], "place_id": ["p"]}),
    ... )
    >>> picture.count("initial place</title>")
    1
    """
    styles = line_styles(places["object_type"].unique().sort().to_list())
    whole = (len(styles), transitions["activity"].drop_nulls().n_unique())
    if object_types is not None:
        places, transitions, arcs, markings = _restricted(places, transitions, arcs, markings, object_types)
        layout = None
    described = _described(places, transitions, arcs, whole)
    through = _through(transitions, arcs)
    if apart is None:
        apart = _is_tangled(places, transitions, arcs)
    if apart:
        transitions, arcs = _taken_apart(transitions, arcs)
    if layout is None or apart:
        layout = lay_out_ocpn(places, transitions, arcs, markings)
    if layout.is_empty() and not places.is_empty():
        return note_page(_TITLE, described, _TOO_LARGE)
    if apart:
        described += " The types are drawn apart: an activity stands in the net of each of its types."
    size, graph = _picture(places, transitions, arcs, markings, layout, styles, through)
    drawn = places["object_type"].unique().sort().to_list()
    legend = [(kind, styles[kind]) for kind in drawn]
    return graph_page(
        _TITLE,
        described,
        legend,
        size,
        graph,
        signs=_signs(arcs, framed=bool(_frames(transitions, arcs))) if legend else (),
    )


def _restricted(
    places: pl.DataFrame,
    transitions: pl.DataFrame,
    arcs: pl.DataFrame,
    markings: pl.DataFrame,
    object_types: Collection[str],
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    known = places["object_type"].unique().sort().to_list()
    for kind in sorted(set(object_types).difference(known)):
        raise OcelakeError(f"The model has no object type {kind!r}.", fix=f"Name some of: {', '.join(known)}.")
    of_types = pl.col("object_type").is_in(sorted(object_types))
    places, arcs = places.filter(of_types), arcs.filter(of_types)
    touched = pl.concat([arcs["source_id"], arcs["target_id"]]).unique()
    return (
        places,
        transitions.filter(pl.col("transition_id").is_in(touched.implode())),
        arcs,
        markings.filter(pl.col("place_id").is_in(places["place_id"].implode())),
    )


def _is_tangled(places: pl.DataFrame, transitions: pl.DataFrame, arcs: pl.DataFrame) -> bool:
    frame_of = _frame_of(_frames(transitions, arcs))
    lines = _lines_between(arcs, frame_of)
    nodes = len(places) + len(transitions) - len(frame_of) + len(set(frame_of.values()))
    return len(lines) > _READABLE and len(lines) > _TANGLED * nodes


def _taken_apart(transitions: pl.DataFrame, arcs: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give each type a transition of its own for each activity that it goes through."""
    visible = transitions.filter(pl.col("activity").is_not_null())["transition_id"].implode()

    def own(end: str) -> pl.Expr:
        return pl.when(pl.col(end).is_in(visible)).then(pl.format("{} of {}", end, "object_type")).otherwise(end)

    ends = [
        arcs.select(own(end).alias("own"), pl.col(end).alias("transition_id")) for end in ("source_id", "target_id")
    ]
    named = (
        pl.concat(ends).unique().join(transitions.select("model_id", "transition_id", "activity"), on="transition_id")
    )
    return (
        named.select("model_id", pl.col("own").alias("transition_id"), "activity"),
        arcs.with_columns(own(end).alias(end) for end in ("source_id", "target_id")),
    )


def _kinds(places: pl.DataFrame) -> dict[str, str]:
    return dict(places.select("place_id", "object_type").iter_rows())


def _marked(markings: pl.DataFrame) -> dict[str, set[str]]:
    """Give the places with a token, and of which markings."""
    marked: dict[str, set[str]] = defaultdict(set)
    for place, marking in markings.select("place_id", "marking").iter_rows():
        marked[place].add(marking)
    return marked


def _place_box(kind: str, *, named: bool) -> Box:
    if not named:
        return Box(2 * _RADIUS, 2 * _RADIUS, radius=_RADIUS)
    return Box(max(2 * _RADIUS, text_width(_short(kind), _SMALL)), 2 * (_RADIUS + _NAMED), radius=_RADIUS)


def _through(transitions: pl.DataFrame, arcs: pl.DataFrame) -> dict[str, list[str]]:
    """Give the types of each activity."""
    ends = [arcs.select("object_type", transition_id=end) for end in ("source_id", "target_id")]
    named = pl.concat(ends).join(
        transitions.drop_nulls("activity").select("transition_id", "activity"), "transition_id"
    )
    return dict(named.group_by("activity").agg(pl.col("object_type").unique().sort()).iter_rows())


def _short(kind: str) -> str:
    return (wrap(kind, _WIDEST, _SMALL, lines=1) or [""])[0]


def _lines(activity: str) -> list[str]:
    return wrap(activity, _WIDEST, _LARGE) or [""]


def _box(activity: str) -> Box:
    lines = _lines(activity)
    return Box(max(44.0, *(text_width(line, _LARGE) for line in lines)) + 22, 16.0 * len(lines) + 16)


def _breadth_first(keys: Iterable[str], pairs: Iterable[tuple[str, str]], beginnings: Iterable[str]) -> dict[str, int]:
    """Number all nodes, from where objects begin."""
    following: dict[str, list[str]] = defaultdict(list)
    for source, target in pairs:
        following[source].append(target)
    order: dict[str, int] = {}
    for beginning in (*beginnings, *keys):
        todo = deque([beginning])
        while todo:
            key = todo.popleft()
            if key not in order:
                order[key] = len(order)
                todo.extend(following[key])
    return order


def _picture(
    places: pl.DataFrame,
    transitions: pl.DataFrame,
    arcs: pl.DataFrame,
    markings: pl.DataFrame,
    layout: pl.DataFrame,
    styles: Mapping[str, Style],
    through: Mapping[str, Collection[str]],
) -> tuple[tuple[float, float], list[str]]:
    """Draw every element at its place; give the size and the parts."""
    elements = {
        (element, key): (x, y, width, height)
        for element, key, x, y, width, height in layout.select(
            "element", "element_id", "x", "y", "width", "height"
        ).iter_rows()
    }
    paths = dict(layout.filter(element="arc").select("element_id", "path").iter_rows())
    parts = []
    # The arcs of a frame share their line.
    lines = defaultdict(list)
    of_arcs = arcs.select("source_id", "target_id", "object_type", "variable", "minimum", "maximum")
    for source, target, kind, variable, minimum, maximum in of_arcs.sort("source_id", "target_id").iter_rows():
        lines[tuple(paths[f"{source} -> {target}"]), kind, variable].append((minimum, maximum))
    for (path, kind, variable), counts in lines.items():
        *curve, tip = _points(path)
        least, most = min(minimum for minimum, _ in counts), max(maximum for _, maximum in counts)
        title = f"{kind}: {least:,} to {most:,} objects" if variable else f"{kind}: one object"
        parts.append(curve_line(curve, tip, styles[kind], 4.5 if variable else 1.6, title=title, double=variable))
    for names in _frames(transitions, arcs).values():
        parts.append(_frame([elements["transition", name] for name in names]))
    kinds, marked = _kinds(places), _marked(markings)
    for place in sorted(kinds):
        x, y, *_ = elements["place", place]
        parts.append(_place((x, y), kinds[place], styles[kinds[place]].colour, marked.get(place, set())))
    for transition, activity in transitions.select("transition_id", "activity").sort("transition_id").iter_rows():
        x, y, width, height = elements["transition", transition]
        colours = [styles[kind].colour for kind in sorted(through.get(activity, ()))]
        parts.append(_transition((x, y), (width, height), activity, colours))
    drawn = [place for element in elements.values() for place in _corners(*element)]
    drawn += [point for path in paths.values() for point in _points(path)]
    right, bottom = (max((point[axis] for point in drawn), default=0.0) for axis in (0, 1))
    return (right + _NAMED, bottom + _NAMED), parts


def _points(path: Sequence[float]) -> list[Point]:
    return list(zip(path[::2], path[1::2], strict=True))


def _corners(x: float, y: float, width: float | None, height: float | None) -> list[Point]:
    right, down = (width or 0.0) / 2, (height or 0.0) / 2
    return [(x - right, y - down), (x + right, y + down)]


def _place(centre: Point, kind: str, colour: str, marks: Collection[str]) -> str:
    x, y = centre
    parts = [_circle(x, y, _RADIUS - 1, fill=PAPER, stroke=colour, stroke_width=2)]
    if "final" in marks:
        parts.append(_circle(x, y, _RADIUS - 5, fill=PAPER, stroke=colour, stroke_width=2))
    if "initial" in marks:
        parts.append(_circle(x, y, _RADIUS - 6, fill=colour))
    named = {"font_weight": "bold", "text_anchor": "middle", "fill": colour}
    for mark, base in (("initial", y - _RADIUS - 5), ("final", y + _RADIUS + 13)):
        if mark in marks:
            parts.append(text(x, base, _short(kind), size=_SMALL, **named))
    hover = " and ".join(f"{mark} place" for mark in ("initial", "final") if mark in marks) or "place"
    return f"<g><title>{xml_text(f'{kind}: {hover}')}</title>{''.join(parts)}</g>"


def _frame(cells: Sequence[tuple[float, float, float, float]]) -> str:
    corners = [corner for cell in cells for corner in _corners(*cell)]
    (left, top), (right, bottom) = (
        [side(corner[axis] for corner in corners) for axis in (0, 1)] for side in (min, max)
    )
    size = (right - left + 2 * _GAP, bottom - top + 2 * _GAP)
    return rectangle(left - _GAP, top - _GAP, *size, rx=6, fill=PAPER, stroke=MUTED, title="one of these")


def _circle(x: float, y: float, radius: float, **more: str | float) -> str:
    return f"<circle {attributes(cx=x, cy=y, r=radius, **more)}/>"


def _transition(centre: Point, size: tuple[float, float], activity: str | None, colours: Sequence[str]) -> str:
    (x, y), (width, height) = centre, size
    left, top = x - width / 2, y - height / 2
    if activity is None:
        return rectangle(left, top, width, height, rx=1, fill=INK, title="silent")
    parts = [rectangle(left, top, width, height, rx=3, fill="#f4f6f8", stroke="#9aa5b1", title=activity)]
    for row, line in enumerate(_lines(activity)):
        parts.append(text(x, top + 18 + 16 * row, line, size=_LARGE, font_weight="bold", text_anchor="middle"))
    for place, colour in enumerate(colours):
        parts.append(rectangle(x + 12 * (place - len(colours) / 2) + 1, top + height - 7, 10, 4, fill=colour))
    return f"<g>{''.join(parts)}</g>"


def _signs(arcs: pl.DataFrame, *, framed: bool) -> list[tuple[str, str]]:
    """Give what the signs mean that the picture has."""
    grey = Style(INK, "none")
    ring: dict[str, str | float] = {"fill": PAPER, "stroke": INK, "stroke_width": 2}
    signs = [
        ("objects begin", _circle(13, 0, 7, **ring) + _circle(13, 0, 3, fill=INK)),
        ("objects end", _circle(13, 0, 7, **ring) + _circle(13, 0, 3.5, **ring)),
        ("silent transition", rectangle(2, -3, 22, 6, rx=1, fill=INK)),
        ("exactly one object", sample_line(0, 0, grey, 1.6)),
    ]
    if arcs["variable"].any():
        signs.append(("any number of objects", sample_line(0, 0, grey, 4.5, double=True)))
    if framed:
        signs.append(("one of several activities", rectangle(3, -7, 20, 14, rx=4, fill=PAPER, stroke=MUTED)))
    return signs


def _described(places: pl.DataFrame, transitions: pl.DataFrame, arcs: pl.DataFrame, whole: tuple[int, int]) -> str:
    types, activities = places["object_type"].n_unique(), transitions["activity"].drop_nulls().n_unique()

    def of(number: int, every: int, words: str) -> str:
        return f"{number} {words}" if number == every else f"{number} of {every} {words}"

    silent = transitions["activity"].null_count()
    return (
        f"{of(types, whole[0], 'object types')}, {of(activities, whole[1], 'activities')}: {len(places)} places, "
        f"{len(transitions)} transitions, {silent} of them silent, {len(arcs)} arcs, {arcs['variable'].sum()} variable."
    )
