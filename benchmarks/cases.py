"""What is measured: for each case and tool, a function that gets ready and gives the work to be timed.

What is loaded before the clock starts (a log in memory for mining and export) is each tool's own form of it.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["CASES", "PEERS", "TOOLS", "prepare"]

TOOLS = ["ocelake", "pm4py", "r4pm"]
LOG = "bench"

Work = Callable[[], float | None]
"""The timed part; it may give its own time (the median of warm repeats) instead."""


def prepare(folder: Path, events: int) -> None:
    """Generate the log, write it in each format, and build the lake that the queries read."""
    from ocelake.ocel.generate import generate
    from ocelake.ocel.write import write_log

    ocel = generate(events, seed=1)
    for suffix in ("json", "xml", "sqlite"):
        write_log(ocel, folder / f"log.{suffix}")
    del ocel
    _build(folder / "home", folder / "log.json")


def _build(home: Path, path: Path) -> Any:
    """From file to gold, all published: the layers' own functions, in the order of the graph."""
    from ocelake.lake import open_lake
    from ocelake.lake.build import build_log
    from ocelake.lake.ingest import ingest

    lake = open_lake(home)
    ingest(lake, path, LOG)
    build_log(lake, LOG)
    return lake


def _read(suffix: str) -> dict[str, Callable[[Path], Work]]:
    def ocelake(folder: Path) -> Work:
        _import_readers()
        from ocelake.ocel.read import read_log

        return lambda: _done(read_log(folder / f"log.{suffix}"))

    def pm4py(folder: Path) -> Work:
        reader = _pm4py_alone(f"read_ocel2_{suffix}")
        return lambda: _done(reader(str(folder / f"log.{suffix}")))

    def r4pm(folder: Path) -> Work:
        import r4pm

        return lambda: _done(r4pm.df.import_ocel(str(folder / f"log.{suffix}")))

    return {"ocelake": ocelake, "pm4py": pm4py, "r4pm": r4pm}


def _records(suffix: str) -> Callable[[Path], Work]:
    def ocelake(folder: Path) -> Work:
        _import_readers()
        from ocelake.ocel.read import open_log

        def work() -> None:
            for chunk in open_log(folder / f"log.{suffix}"):
                _done(chunk)

        return work

    return ocelake


def _import_readers() -> None:
    """Import what the readers import when they are asked for: imports are not timed."""
    import ocelake.ocel.conform
    import ocelake.ocel.json_reader
    import ocelake.ocel.sqlite_reader
    import ocelake.ocel.xml_reader  # noqa: F401  # for its effect


def _write(suffix: str) -> dict[str, Callable[[Path], Work]]:
    def ocelake(folder: Path) -> Work:
        from ocelake.lake import open_lake
        from ocelake.ocel.write import write_log

        ocel = open_lake(folder / "home").ocel(LOG)
        return lambda: write_log(ocel, folder / f"ours.{suffix}")

    def pm4py(folder: Path) -> Work:
        ocel, writer = _pm4py_log(folder), _pm4py_alone(f"write_ocel2_{suffix}")
        return lambda: _done(writer(ocel, str(folder / f"pm4py.{suffix}")))

    def r4pm(folder: Path) -> Work:
        import r4pm

        item = r4pm.import_item("OCEL", str(folder / "log.json"))
        return lambda: _done(r4pm.export_item(item, str(folder / f"r4pm.{suffix}")))

    return {"ocelake": ocelake, "pm4py": pm4py, "r4pm": r4pm}


def _pm4py_alone(name: str) -> Callable[..., Any]:
    """Give a function of pm4py that does not hand the work to r4pm."""
    import sys

    sys.modules["r4pm"] = None  # an import of it fails, as where it is not installed
    import pm4py

    function: Callable[..., Any] = getattr(pm4py, name)
    return function


def _pm4py_log(folder: Path) -> Any:
    return _pm4py_alone("read_ocel2_json")(str(folder / "log.json"))


def _done(result: object) -> None:
    del result


def _ocdfg_ocelake(folder: Path) -> Work:
    from ocelake.lake import open_lake
    from ocelake.mining.ocdfg import ocdfg
    from ocelake.mining.traces import encode

    lake = open_lake(folder / "home")
    lake.latest(LOG, "silver")

    def work() -> None:
        relations = lake.read("ocel.event_objects", LOG, columns=["event_id", "object_id"])
        events = lake.read("ocel.events", LOG, columns=["event_id", "activity", "time", "sequence"])
        objects = lake.read("ocel.objects", LOG, columns=["object_id", "object_type"])
        _done(ocdfg(encode(relations, objects, events)))

    return work


def _ocdfg_pm4py(folder: Path) -> Work:
    discover, ocel = _pm4py_alone("discover_ocdfg"), _pm4py_log(folder)
    return lambda: _done(discover(ocel))


def _ocdfg_r4pm(folder: Path) -> Work:
    import r4pm

    item = r4pm.import_item("OCEL", str(folder / "log.json"))
    return lambda: _done(r4pm.bindings.discover_dfg_from_ocel(item))


def _variants_ocelake(folder: Path) -> Work:
    from ocelake.lake import open_lake
    from ocelake.mining.traces import encode
    from ocelake.mining.variants import find_variants, trace_variants

    lake = open_lake(folder / "home")
    relations, objects = lake.read("ocel.event_objects", LOG), lake.read("ocel.objects", LOG)

    def work() -> None:
        traces = encode(relations, objects)
        _done(trace_variants(traces, find_variants(traces)))

    return work


def _variants_pm4py(folder: Path) -> Work:
    flatten, ocel = _pm4py_alone("ocel_flattening"), _pm4py_log(folder)
    import pm4py

    def work() -> None:
        for object_type in pm4py.ocel_get_object_types(ocel):
            _done(pm4py.get_variants(flatten(ocel, object_type)))

    return work


def _variants_r4pm(folder: Path) -> Work:
    import r4pm

    item = r4pm.import_item("SlimLinkedOCEL", str(folder / "log.json"))
    types = r4pm.bindings.locel_get_ob_types(item)

    def work() -> None:
        for object_type in types:
            _done(r4pm.bindings.get_variants_of_object_type(item, object_type))

    return work


def _file_to_gold(folder: Path) -> Work:
    home = folder / f"home-{os.getpid()}"
    return lambda: _done(_build(home, folder / "log.json"))


def _append(folder: Path) -> Work:
    """Seconds for a million rows, appended to `bronze.event_records` of a fresh lake."""
    from ocelake.lake import open_lake

    source = open_lake(folder / "home").read("bronze.event_records", LOG)
    lake = open_lake(folder / f"append-{os.getpid()}")
    source = source.drop("log_id", strict=False)

    def work() -> float:
        started = time.perf_counter()
        with lake.publication(LOG, "bronze") as publication:
            publication.append("bronze.event_records", source)
            publication.commit()
        return (time.perf_counter() - started) * 1_000_000 / source.height

    return work


def _sql(folder: Path) -> Work:
    from ocelake.lake import open_lake

    lake = open_lake(folder / "home")
    query = "select object_type, activity, count(*) as n from ocel.event_objects group by all order by n desc"
    lake.sql(query)

    def work() -> float:
        times = []
        for _ in range(9):
            started = time.perf_counter()
            lake.sql(query)
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    return work


FORMATS = ("json", "xml", "sqlite")

CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    **{f"read {suffix}": _read(suffix) for suffix in FORMATS},
    **{f"read {suffix}, records alone": {"ocelake": _records(suffix)} for suffix in FORMATS},
    **{f"export {suffix}": _write(suffix) for suffix in FORMATS},
    "OC-DFG with durations": {"ocelake": _ocdfg_ocelake, "pm4py": _ocdfg_pm4py, "r4pm": _ocdfg_r4pm},
    "trace variants, all types": {"ocelake": _variants_ocelake, "pm4py": _variants_pm4py, "r4pm": _variants_r4pm},
    "file to gold, published": {"ocelake": _file_to_gold},
    "append a million event records": {"ocelake": _append},
    "SQL aggregate over E2O, warm": {"ocelake": _sql},
}

PEERS: dict[str, str] = {
    **{f"read {suffix}, records alone": f"read {suffix}" for suffix in FORMATS},
    "file to gold, published": "read json",
}
"""Cases of ours alone, compared with what the peers need to read the file."""
