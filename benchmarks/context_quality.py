"""Object-centric fitness and precision. The peer, ocpa, takes none of the measured sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.cases import LOG, Work
from ocelake.mining.traces import Traces

__all__ = ["CASES"]


def _quality(object_types: tuple[str, ...] | None) -> Callable[[Path], Work]:
    def ocelake(folder: Path) -> Work:
        from ocelake.lake import open_lake
        from ocelake.mining.context_quality import oc_quality, oc_quality_rows
        from ocelake.mining.ocpn import discover_ocpn
        from ocelake.mining.traces import encode

        lake = open_lake(folder / "home")

        def traces_of_lake() -> Traces:
            return encode(
                lake.read("ocel.event_objects", LOG, columns=["event_id", "object_id"]),
                lake.read("ocel.objects", LOG, columns=["object_id", "object_type"]),
                lake.read("ocel.events", LOG, columns=["event_id", "activity", "time", "sequence"]),
            )

        ocpn = discover_ocpn(traces_of_lake())

        def work() -> None:
            oc_quality_rows("model", oc_quality(traces_of_lake(), ocpn, object_types=object_types))

        return work

    return ocelake


CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    "object-centric fitness and precision, all types": {"ocelake": _quality(None)},
    "object-centric fitness and precision, orders, items, packages": {
        "ocelake": _quality(("orders", "items", "packages"))
    },
}
