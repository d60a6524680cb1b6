"""Filtering an OC-DFG by frequency, type and activity, so that what stays is connected.

A threshold on edges alone leaves activities that nothing leads to. Here every activity that stays, of a type, is kept
on a way from a start to an end of that type: the widest one, whose least frequent arc is the most frequent possible.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import Final, NamedTuple

import polars as pl

from ocelake.errors import OcelakeError

__all__ = ["filter_ocdfg"]

_MARKS: Final = (("start", "source"), ("end", "target"))


class _Arc(NamedTuple):
    """An edge of one type; without a source the type's start, without a target its end."""

    source: str | None
    target: str | None
    objects: int


def filter_ocdfg(
    nodes: pl.DataFrame,
    edges: pl.DataFrame,
    *,
    object_types: Collection[str] | None = None,
    activities: Collection[str] | None = None,
    coverage: float | Mapping[str, float] = 1.0,
    minimum: int | Mapping[str, int] = 0,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep the frequent part of an OC-DFG, and what it takes to connect it.

    Starts, ends and edges between activities are three groups of arcs for each type. Of a group, the most frequent
    arcs stay until they hold the type's ``coverage`` of the group's objects; of these, those with ``minimum`` objects
    or more. Then, for each activity that has such an arc, the widest way to it from a start, and from it to an end.

    Parameters
    ----------
    nodes, edges : DataFrame
        As `gold.ocdfg_nodes` and `gold.ocdfg_edges`; other columns than ids, ``total_objects`` of edges, and
        ``start_objects`` and ``end_objects`` of nodes pass through.
    object_types : collection of str, optional
        Keep these types; by default all.
    activities : collection of str, optional
        Keep these activities, whatever their frequency, and the frequent arcs among them; another one only where it
        connects them. By default frequency alone decides.
    coverage : float or mapping of object type to float
        Share of the objects that each group is held to, 0 to 1. A type that the mapping does not have is held to 1.
    minimum : int or mapping of object type to int
        Least ``total_objects`` (of starts and ends: objects). A type that the mapping does not have is held to 0.

    Returns
    -------
    nodes, edges : DataFrame
        Rows of the given frames in their order, with their counts over the whole log; only starts and ends that do not
        stay count 0. An activity over all events (type null) stays where it stays for a type, and all do where every
        arc does. More coverage or a lower minimum never loses a row.

    Raises
    ------
    OcelakeError
        Where a coverage is not within 0 and 1, or a type or activity is not in the graph.

    Examples
    --------
    >>> nodes = pl.DataFrame(
    ...     {
    ...         "object_type": ["order"] * 3,
    ...         "activity": ["cancel", "pay", "place"],
    ...         "start_objects": [0, 0, 10],
    ...         "end_objects": [1, 9, 0],
    ...     }
    ... )
    >>> edges = pl.DataFrame(
    ...     {
    ...         "object_type": ["order"] * 2,
    ...         "source": ["place"] * 2,
    ...         "target": ["cancel", "pay"],
    ...         "total_objects": [1, 9],
    ...     }
    ... )
    >>> kept, ways = filter_ocdfg(nodes, edges, coverage=0.8)
    >>> kept["activity"].to_list(), ways["target"].to_list()
    (['pay', 'place'], ['pay'])
    """
    _check(nodes, object_types, activities, coverage)
    arcs = _arcs(nodes, edges)
    kept = {
        kind: _kept(
            of_type,
            None if activities is None else frozenset(activities),
            coverage.get(kind, 1.0) if isinstance(coverage, Mapping) else coverage,
            minimum.get(kind, 0) if isinstance(minimum, Mapping) else minimum,
        )
        for kind, of_type in arcs.items()
        if object_types is None or kind in object_types
    }
    whole = activities is None and {kind: len(found) for kind, found in kept.items()} == {
        kind: len(found) for kind, found in arcs.items()
    }
    return _restricted(nodes, edges, kept, whole=whole)


def _check(
    nodes: pl.DataFrame,
    object_types: Collection[str] | None,
    activities: Collection[str] | None,
    coverage: float | Mapping[str, float],
) -> None:
    for share in coverage.values() if isinstance(coverage, Mapping) else [coverage]:
        if not 0 <= share <= 1:
            raise OcelakeError(f"A coverage of {share} is no share.", fix="Give 0 to 1: 0.8 keeps 80% of the objects.")
    types = {*(object_types or ()), *(coverage if isinstance(coverage, Mapping) else ())}
    for column, named in (("object_type", types), ("activity", {*(activities or ())})):
        known = nodes[column].drop_nulls().unique().sort().to_list()
        for name in sorted(named.difference(known)):
            what = column.replace("_", " ")
            raise OcelakeError(f"The graph has no {what} {name!r}.", fix=f"Name some of: {', '.join(known)}.")


def _arcs(nodes: pl.DataFrame, edges: pl.DataFrame) -> dict[str, list[_Arc]]:
    """Give all arcs by type, in a fixed order."""
    found: dict[str, list[_Arc]] = defaultdict(list)
    typed = nodes.filter(pl.col("object_type").is_not_null())
    for mark, _ in _MARKS:
        marked = typed.filter(pl.col(f"{mark}_objects") > 0)
        for kind, activity, objects in marked.select("object_type", "activity", f"{mark}_objects").iter_rows():
            found[kind].append(_Arc(None, activity, objects) if mark == "start" else _Arc(activity, None, objects))
    for kind, source, target, objects in edges.select("object_type", "source", "target", "total_objects").iter_rows():
        found[kind].append(_Arc(source, target, objects))
    return {kind: sorted(found[kind], key=_key) for kind in sorted(found)}


def _key(arc: _Arc) -> tuple[int, bool, str, bool, str]:
    """The most frequent first; of equal ones by name."""
    return -arc.objects, arc.source is not None, arc.source or "", arc.target is not None, arc.target or ""


def _kept(arcs: Sequence[_Arc], activities: frozenset[str] | None, coverage: float, minimum: int) -> set[_Arc]:
    """Choose among the arcs of one type, the most frequent first."""
    among = [arc for arc in arcs if activities is None or all(end is None or end in activities for end in arc[:2])]
    groups: dict[tuple[bool, bool], list[_Arc]] = defaultdict(list)
    for arc in among:
        groups[arc.source is None, arc.target is None].append(arc)
    kept = {arc for group in groups.values() for arc in _covering(group, coverage) if arc.objects >= minimum}
    present = {end for arc in arcs for end in arc[:2] if end is not None}
    wanted = {end for arc in kept for end in arc[:2] if end is not None} | (present & (activities or frozenset()))
    before, after = _widest(arcs), _widest([_reversed(arc) for arc in arcs])
    # Whatever stands on these ways is itself reached, and leads on: no second round is needed.
    for activity in wanted:
        kept.update(_way(before, activity))
        kept.update(_reversed(arc) for arc in _way(after, activity))
    return kept


def _covering(group: Sequence[_Arc], coverage: float) -> list[_Arc]:
    """Give the first arcs of a group that hold a share of its objects."""
    if coverage >= 1:
        return list(group)
    wanted, held = coverage * sum(arc.objects for arc in group), 0
    for number, arc in enumerate(group):
        if held >= wanted:
            return list(group[:number])
        held += arc.objects
    return list(group)


def _reversed(arc: _Arc) -> _Arc:
    return _Arc(arc.target, arc.source, arc.objects)


def _widest(arcs: Iterable[_Arc]) -> dict[str, _Arc]:
    """Give each activity's last arc on the widest way to it from a start (Dijkstra's algorithm, by bottleneck)."""
    leaving: dict[str | None, list[_Arc]] = defaultdict(list)
    for arc in arcs:
        leaving[arc.source].append(arc)
    last: dict[str, _Arc] = {}
    tie = count()
    queue = [(-arc.objects, next(tie), arc) for arc in leaving[None]]
    heapq.heapify(queue)
    while queue:
        width, _, arc = heapq.heappop(queue)
        if arc.target is None or arc.target in last:
            continue
        last[arc.target] = arc
        for onward in leaving[arc.target]:
            heapq.heappush(queue, (max(width, -onward.objects), next(tie), onward))
    return last


def _way(last: Mapping[str, _Arc], activity: str | None) -> list[_Arc]:
    way = []
    while activity is not None and activity in last:
        way.append(last[activity])
        activity = last[activity].source
    return way


def _restricted(
    nodes: pl.DataFrame, edges: pl.DataFrame, kept: Mapping[str, set[_Arc]], *, whole: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the rows of the frames that the arcs stand on."""
    rows = [(kind, arc.source, arc.target) for kind, arcs in kept.items() for arc in arcs]
    arcs = pl.DataFrame(rows, schema=dict.fromkeys(("object_type", "source", "target"), pl.String), orient="row")
    stay = pl.concat(arcs.select("object_type", activity=end) for _, end in _MARKS).drop_nulls().unique()
    typed = pl.col("object_type").is_not_null()
    place = "__place"
    numbered = nodes.with_row_index(place)
    of_types = numbered.filter(typed).join(stay, on=["object_type", "activity"], how="semi")
    for mark, _ in _MARKS:
        inner, outer = ("target", "source") if mark == "start" else ("source", "target")
        marked = arcs.filter(pl.col(outer).is_null()).select("object_type", activity=inner)
        columns = [name for name in (f"{mark}_events", f"{mark}_objects") if name in nodes.columns]
        loses = ~pl.struct("object_type", "activity").is_in(marked.to_struct().implode())
        of_types = of_types.with_columns(pl.when(loses).then(0).otherwise(name).alias(name) for name in columns)
    over_all = numbered.filter(~typed)
    if not whole:
        over_all = over_all.join(stay.select("activity"), on="activity", how="semi")
    return (
        pl.concat([of_types.select(numbered.columns), over_all]).sort(place).drop(place),
        edges.join(arcs, on=["object_type", "source", "target"], how="semi", maintain_order="left"),
    )
