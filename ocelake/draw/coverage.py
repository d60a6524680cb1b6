"""Which arcs of an OC-DFG a picture shows: the most frequent ones, and what keeps them connected."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from typing import NamedTuple

import polars as pl

__all__ = ["Arc", "arcs_of", "cover"]


class Arc(NamedTuple):
    """One arc of one object type; ``source`` null is the type's start, ``target`` null its end."""

    object_type: str
    source: str | None
    target: str | None
    objects: int
    seconds: float | None

    @property
    def key(self) -> tuple[str, str, str]:
        """Its place in the order of arcs of the same frequency."""
        return self.object_type, self.source or "", self.target or ""


def arcs_of(nodes: pl.DataFrame, edges: pl.DataFrame) -> list[Arc]:
    """Give every arc of the graph, starts and ends included, in a fixed order."""
    typed = nodes.filter(pl.col("object_type").is_not_null())
    starts = typed.filter(pl.col("start_objects") > 0).select("object_type", "activity", "start_objects")
    ends = typed.filter(pl.col("end_objects") > 0).select("object_type", "activity", "end_objects")
    inner = edges.select("object_type", "source", "target", "total_objects", "duration_mean")
    found = [
        *(Arc(kind, None, activity, objects, None) for kind, activity, objects in starts.iter_rows()),
        *(Arc(*row) for row in inner.iter_rows()),
        *(Arc(kind, activity, None, objects, None) for kind, activity, objects in ends.iter_rows()),
    ]
    return sorted(found, key=lambda arc: arc.key)


def cover(arcs: Sequence[Arc], share: float) -> list[Arc]:
    """Keep the most frequent arcs until they hold a share of all objects on them.

    Starts, ends and the edges between activities are each held to that share. Beyond these, arcs are kept that it takes
    for every activity (of a type) to be reached from a start and to reach an end: those of the widest path, whose
    least frequent arc is the most frequent possible.
    """
    if share >= 1:
        return list(arcs)
    kept: set[Arc] = set()
    for group in (
        [arc for arc in arcs if arc.source is None],
        [arc for arc in arcs if arc.target is None],
        [arc for arc in arcs if arc.source is not None and arc.target is not None],
    ):
        wanted = share * sum(arc.objects for arc in group)
        held = 0
        for arc in sorted(group, key=lambda arc: (-arc.objects, arc.key)):
            if held >= wanted:
                break
            kept.add(arc)
            held += arc.objects
    by_type: dict[str, list[Arc]] = defaultdict(list)
    for arc in arcs:
        by_type[arc.object_type].append(arc)
    for of_type in by_type.values():
        _connect(of_type, kept)
    return [arc for arc in arcs if arc in kept]


def _connect(arcs: Sequence[Arc], kept: set[Arc]) -> None:
    """Add the arcs of one type that connect what is kept of it with a start and an end."""
    before, after = _widest(arcs), _widest([_reversed(arc) for arc in arcs])
    while True:
        of_type = [arc for arc in arcs if arc in kept]
        activities = {name for arc in of_type for name in (arc.source, arc.target) if name is not None}
        unreached = sorted(activities - _reached(of_type))
        stuck = sorted(activities - _reached([_reversed(arc) for arc in of_type]))
        added = {arc for name in unreached for arc in _path(before, name)}
        added |= {_reversed(arc) for name in stuck for arc in _path(after, name)}
        if added <= kept:
            return
        kept |= added


def _reversed(arc: Arc) -> Arc:
    return arc._replace(source=arc.target, target=arc.source)


def _reached(arcs: Iterable[Arc]) -> set[str]:
    """Give the activities that a start leads to."""
    following: dict[str | None, list[str]] = defaultdict(list)
    for arc in arcs:
        if arc.target is not None:
            following[arc.source].append(arc.target)
    reached: set[str] = set()
    todo = list(following[None])
    while todo:
        activity = todo.pop()
        if activity not in reached:
            reached.add(activity)
            todo.extend(following[activity])
    return reached


def _widest(arcs: Iterable[Arc]) -> dict[str, Arc]:
    """Give each activity's last arc on the widest path to it from a start (Dijkstra's algorithm, by bottleneck)."""
    leaving: dict[str | None, list[Arc]] = defaultdict(list)
    for arc in arcs:
        leaving[arc.source].append(arc)
    last: dict[str, Arc] = {}
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


def _path(last: dict[str, Arc], activity: str) -> list[Arc]:
    path: list[Arc] = []
    current: str | None = activity
    while current is not None and current in last:
        path.append(last[current])
        current = last[current].source
    return path
