"""Features: ours of every prefix of the orders, from Iceberg to frames; pm4py's of the orders, from its log in memory.

pm4py gives a row for each object, as of its end, and none for its prefixes. It computes those of all objects and keeps
the type's, so that its figure also stands beside ours of all types.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.cases import LOG, Work, _done, _pm4py_alone, _pm4py_log

__all__ = ["CASES", "PEERS"]

ORDERS = "features of prefixes, orders"
ALL = "features of prefixes, all types"


def _ours(object_type: str | None) -> Callable[[Path], Work]:
    def ocelake(folder: Path) -> Work:
        from ocelake.features import PredictionSettings, find_context, flowing_types, prefix_features
        from ocelake.lake import open_lake

        lake = open_lake(folder / "home")
        lake.latest(LOG, "silver")
        names = ("ocel.event_attributes", "ocel.object_attributes", "ocel.object_objects")

        def work() -> None:
            traces = lake.traces(LOG)
            tables = {name: lake.read(name, LOG) for name in names}
            context = find_context(traces, flowing_types(traces))
            for name in [object_type] if object_type else traces.object_types:
                _done(prefix_features(traces, name, tables, settings=PredictionSettings(), context=context))

        return work

    return ocelake


def _theirs(folder: Path) -> Work:
    extract, ocel = _pm4py_alone("extract_ocel_features"), _pm4py_log(folder)
    return lambda: _done(extract(ocel, "orders"))


CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    ORDERS: {"ocelake": _ours("orders"), "pm4py": _theirs},
    ALL: {"ocelake": _ours(None)},
}

PEERS: dict[str, str] = {ALL: ORDERS}
