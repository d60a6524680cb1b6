"""Exploring: drill-down, the object interaction graph, and the relations of object types.

Drill-down starts from a log in memory; for the graphs, pm4py does, and ours from Iceberg. pm4py has no TOTeM; its
object type graph is the closest, as both need all pairs of objects with a common event.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.cases import LOG, Work, _done, _pm4py_alone, _pm4py_log

__all__ = ["CASES"]


def _drill_down_ocelake(folder: Path) -> Work:
    from ocelake.lake import open_lake
    from ocelake.mining.explore import drill_down

    ocel = open_lake(folder / "home").ocel(LOG)
    return lambda: _done(drill_down(ocel, "orders", "status"))


def _drill_down_pm4py(folder: Path) -> Work:
    drill_down, ocel = _pm4py_alone("ocel_drill_down"), _pm4py_log(folder)
    return lambda: _done(drill_down(ocel, "orders", "status"))


def _interactions_ocelake(folder: Path) -> Work:
    from ocelake.lake import open_lake
    from ocelake.mining import encode
    from ocelake.mining.explore import object_graph

    lake = open_lake(folder / "home")
    lake.latest(LOG, "silver")

    def work() -> None:
        relations, objects = lake.read("ocel.event_objects", LOG), lake.read("ocel.objects", LOG)
        _done(object_graph(encode(relations, objects), "interaction"))

    return work


def _interactions_pm4py(folder: Path) -> Work:
    discover, ocel = _pm4py_alone("discover_objects_graph"), _pm4py_log(folder)
    return lambda: _done(discover(ocel, graph_type="object_interaction"))


def _type_relations_ocelake(folder: Path) -> Work:
    from ocelake.lake import open_lake
    from ocelake.mining import encode
    from ocelake.mining.explore import relation_tables

    lake = open_lake(folder / "home")
    lake.latest(LOG, "silver")

    def work() -> None:
        tables = {name: lake.read(f"ocel.{name}", LOG) for name in ("event_objects", "objects", "object_objects")}
        traces = encode(tables["event_objects"], tables["objects"])
        _done(relation_tables(traces, {"ocel.object_objects": tables["object_objects"]}))

    return work


def _type_relations_pm4py(folder: Path) -> Work:
    _pm4py_alone("discover_objects_graph")
    from pm4py.algo.discovery.ocel.otg import algorithm

    ocel = _pm4py_log(folder)
    return lambda: _done(algorithm.apply(ocel))


CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    "drill-down": {"ocelake": _drill_down_ocelake, "pm4py": _drill_down_pm4py},
    "object interaction graph": {"ocelake": _interactions_ocelake, "pm4py": _interactions_pm4py},
    "relations of object types": {"ocelake": _type_relations_ocelake, "pm4py": _type_relations_pm4py},
}
