"""Object-centric Petri nets: from stored relations to a model's tables, and pm4py's discovery of the same net."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.cases import LOG, Work, _done, _pm4py_alone, _pm4py_log

__all__ = ["CASES"]


def _ocelake(folder: Path) -> Work:
    from ocelake.lake import open_lake
    from ocelake.mining.ocpn import discover_ocpn, ocpn_tables
    from ocelake.mining.traces import encode

    lake = open_lake(folder / "home")
    lake.latest(LOG, "silver")

    def work() -> None:
        relations = lake.read("ocel.event_objects", LOG, columns=["event_id", "object_id"])
        events = lake.read("ocel.events", LOG, columns=["event_id", "activity", "time", "sequence"])
        objects = lake.read("ocel.objects", LOG, columns=["object_id", "object_type"])
        ocpn = discover_ocpn(encode(relations, objects, events))
        _done(ocpn_tables(ocpn, version=1, publication_id="", parameters={}))

    return work


def _pm4py(folder: Path) -> Work:
    discover, ocel = _pm4py_alone("discover_oc_petri_net"), _pm4py_log(folder)
    return lambda: _done(discover(ocel))


CASES: dict[str, dict[str, Callable[[Path], Work]]] = {"OCPN": {"ocelake": _ocelake, "pm4py": _pm4py}}
