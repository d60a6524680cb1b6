"""Process executions and their variants: ours from Iceberg to frames, pm4py's components from its log in memory.

In the generated log nearly every event has an employee and products, so that its connected execution is the whole log,
and leading executions would each hold most of it: they are measured, as they are used, among orders, items and
packages. Neither pm4py nor r4pm has execution variants or leading executions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ocelake.mining.traces import Traces

__all__ = ["CASES"]

LOG = "bench"
CORE = ("orders", "items", "packages")

Work = Callable[[], float | None]


def _traces(lake: Any, object_types: tuple[str, ...] | None = None) -> Traces:
    from ocelake.mining.traces import encode

    relations = lake.read("ocel.event_objects", LOG, columns=["event_id", "object_id", "object_type"])
    objects = lake.read("ocel.objects", LOG, columns=["object_id", "object_type"])
    if object_types:
        relations, objects = (frame.filter(frame["object_type"].is_in(object_types)) for frame in (relations, objects))
    return encode(
        relations, objects, lake.read("ocel.events", LOG, columns=["event_id", "activity", "time", "sequence"])
    )


def _connected_ocelake(folder: Path) -> Work:
    from ocelake.lake import open_lake
    from ocelake.mining.executions import connected_executions, execution_members, summarise_executions

    lake = open_lake(folder / "home")

    def work() -> None:
        traces = _traces(lake)
        found = connected_executions(traces)
        summarise_executions(traces, found)
        execution_members(traces, found)

    return work


def _connected_pm4py(folder: Path) -> Work:
    import sys

    sys.modules["r4pm"] = None  # type: ignore[assignment]  # as where it is not installed
    import pm4py
    from pm4py.algo.transformation.ocel.split_ocel import algorithm as split_ocel

    ocel = pm4py.read_ocel2_json(str(folder / "log.json"))

    def work() -> None:
        split_ocel.apply(ocel, variant=split_ocel.Variants.CONNECTED_COMPONENTS)

    return work


def _variants_ocelake(kind: str, object_types: tuple[str, ...] | None) -> Callable[[Path], Work]:
    def ocelake(folder: Path) -> Work:
        from ocelake.lake import open_lake
        from ocelake.mining.execution_variants import execution_tables
        from ocelake.mining.executions import find_executions

        lake = open_lake(folder / "home")

        def work() -> None:
            traces = _traces(lake, object_types)
            execution_tables(traces, [find_executions(traces, kind)])

        return work

    return ocelake


CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    "connected executions": {"ocelake": _connected_ocelake, "pm4py": _connected_pm4py},
    "execution variants (connected)": {"ocelake": _variants_ocelake("connected", None)},
    "execution variants (leading type)": {"ocelake": _variants_ocelake("leading:orders", CORE)},
}
