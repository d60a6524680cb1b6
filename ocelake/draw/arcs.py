"""The arcs of an OC-DFG: its edges, starts and ends, in a fixed order."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

__all__ = ["Arc", "arcs_of"]


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
    """Give every arc of the graph, starts and ends included, in a fixed order.

    Examples
    --------
    >>> nodes = {"object_type": ["order"], "activity": ["place"], "start_objects": [3], "end_objects": [3]}
    >>> edges = {"object_type": str, "source": str, "target": str, "total_objects": int, "duration_mean": float}
    >>> [arc[1:4] for arc in arcs_of(pl.DataFrame(nodes), pl.DataFrame(schema=edges))]
    [(None, 'place', 3), ('place', None, 3)]
    """
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
