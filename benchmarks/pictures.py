"""Pictures of what happens when: from Iceberg to the frame, and to SVG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cases import LOG, Work

__all__ = ["CASES"]


def _picture(frame: str, draw: str) -> dict[str, Callable[[Path], Work]]:
    def ocelake(folder: Path) -> Work:
        import ocelake.draw
        from ocelake.lake import open_lake
        from ocelake.mining import encode, spectrum

        make: Callable[..., Any] = getattr(spectrum, frame)
        picture: Callable[..., str] = getattr(ocelake.draw, draw)
        lake = open_lake(folder / "home")

        def work() -> None:
            relations = lake.read("ocel.event_objects", LOG, columns=["event_id", "object_id"])
            events = lake.read("ocel.events", LOG, columns=["event_id", "activity", "time", "sequence"])
            objects = lake.read("ocel.objects", LOG, columns=["object_id", "object_type"])
            picture(make(encode(relations, objects, events)))

        return work

    return {"ocelake": ocelake}


CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    "dotted chart": _picture("dotted_chart", "draw_dotted_chart"),
    "performance spectrum": _picture("performance_spectrum", "draw_performance_spectrum"),
    "heat map of waiting": _picture("waiting_times", "draw_waiting_heat_map"),
}
