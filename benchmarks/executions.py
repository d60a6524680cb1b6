"""Process executions and their variants: ours from Iceberg to frames, pm4py's components from its log in memory.

In the generated log nearly every event has an employee and products, so that its connected execution is the whole log,
and leading executions would each hold most of it: they are measured, as they are used, among orders, items and
packages. Neither pm4py nor r4pm has execution variants or leading executions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.cases import LOG, Work, _pm4py_log

__all__ = ["CASES"]

CORE = ("orders", "items", "packages")


def _connected_ocelake(folder: Path) -> Work:
    from ocelake.lake import open_lake
    from ocelake.mining.executions import connected_executions, execution_members, summarise_executions

    lake = open_lake(folder / "home")

    def work() -> None:
        traces = lake.traces(LOG)
        found = connected_executions(traces)
        summarise_executions(traces, found)
        execution_members(traces, found)

    return work


def _connected_pm4py(folder: Path) -> Work:
    ocel = _pm4py_log(folder)
    from pm4py.algo.transformation.ocel.split_ocel import algorithm as split_ocel

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
            traces = lake.traces(LOG).of_types(object_types) if object_types else lake.traces(LOG)
            execution_tables(traces, [find_executions(traces, kind)])

        return work

    return ocelake


CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    "connected executions": {"ocelake": _connected_ocelake, "pm4py": _connected_pm4py},
    "execution variants (connected)": {"ocelake": _variants_ocelake("connected", None)},
    "execution variants (leading type)": {"ocelake": _variants_ocelake("leading:orders", CORE)},
}
