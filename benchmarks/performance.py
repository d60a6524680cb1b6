"""Measured: times between the events of an object-centric log, by us from Iceberg, by r4pm from its own linked log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from ocelake.mining.traces import Traces
    from ocelake.settings import MiningSettings

__all__ = ["CASES"]

LOG = "bench"

Work = Callable[[], float | None]


def _traces(lake: Any) -> Traces:
    from ocelake.mining.traces import encode

    return encode(
        lake.read("ocel.event_objects", LOG, columns=["event_id", "object_id"]),
        lake.read("ocel.objects", LOG, columns=["object_id", "object_type"]),
        lake.read("ocel.events", LOG, columns=["event_id", "activity", "time", "sequence"]),
    )


def _times_ocelake(folder: Path) -> Work:
    from ocelake.lake import open_lake
    from ocelake.mining.performance import event_performance
    from ocelake.mining.predecessors import find_predecessors

    lake = open_lake(folder / "home")
    lake.latest(LOG, "silver")

    def work() -> None:
        traces = _traces(lake)
        event_performance(traces, find_predecessors(traces))

    return work


def _times_r4pm(folder: Path) -> Work:
    import r4pm

    item = r4pm.import_item("SlimLinkedOCEL", str(folder / "log.json"))

    def work() -> None:
        r4pm.bindings.locel_oc_perf_sojourn_per_event(item, top_k=None)
        r4pm.bindings.locel_oc_perf_sync_per_event(item, top_k=None)

    return work


def _tables(
    folder: Path, measure: Callable[[Traces, Mapping[str, pl.DataFrame], MiningSettings], dict[str, pl.DataFrame]]
) -> Work:
    from ocelake.lake import open_lake
    from ocelake.settings import MiningSettings

    lake = open_lake(folder / "home")
    lake.latest(LOG, "silver")
    # The generated log names nobody in an attribute: its employees are objects.
    settings = MiningSettings(resource_type="employees")
    attributes = lake.read("ocel.event_attributes", LOG).clear()

    def work() -> None:
        measure(_traces(lake), {"ocel.event_attributes": attributes}, settings)

    return work


def _performance_ocelake(folder: Path) -> Work:
    from ocelake.mining.performance import performance_tables

    return _tables(folder, performance_tables)


def _capacity_ocelake(folder: Path) -> Work:
    from ocelake.mining.analysis import capacity_tables

    return _tables(folder, capacity_tables)


CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    "sojourn and synchronization": {"ocelake": _times_ocelake, "r4pm": _times_r4pm},
    "performance, all measures": {"ocelake": _performance_ocelake},
    "resources, handovers, bottlenecks": {"ocelake": _capacity_ocelake},
}
