"""Rules: twenty of them on the generated log, and those that OC-DECLARE's arcs can say by r4pm's conformance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["CASES", "RULES"]

Work = Callable[[], float | None]
LOG = "bench"

ARCS: list[dict[str, Any]] = [
    {"when": "place order", "then": "pay order", "each": "orders", "count": 1},
    {"when": "place order", "then": "confirm order", "each": "orders", "all": "items"},
    {"when": "place order", "then": "pick item", "each": "items", "count": {"at_least": 1, "at_most": 2}},
    {"when": "pick item", "then": "place order", "order": "before", "each": "items", "count": 1},
    {"when": "create package", "then": "send package", "all": ["packages", "items"]},
    {"when": "send package", "then": "package delivered", "each": "packages", "any": "items"},
    {"when": "package delivered", "then": "send package", "order": "directly before", "each": "packages"},
    {"when": "create package", "then": "pick item", "order": "before", "each": "items"},
    {"when": "payment reminder", "then": "pay order", "order": "before", "each": "orders", "count": 0},
    {"when": "item out of stock", "then": "reorder item", "order": "directly after", "each": "items"},
    {"when": "pay order", "then": "place order", "order": "any", "all": ["orders", "customers"], "count": 1},
    {"when": "confirm order", "then": "create package", "any": "items"},
]
OTHERS: list[dict[str, Any]] = [
    {"when": "place order", "then": "pay order", "each": "orders", "within": "30 d"},
    {"when": {"activity": "pay order", "where": {"amount": {"above": 100}}}, "holds": {"method": ["card", "transfer"]}},
    {"for_each": "items", "objects": "packages", "sharing": "create package", "count": {"at_most": 1}},
    {"for_each": "orders", "objects": "customers", "o2o": "places", "count": 1},
    {"for_each": "orders", "events": "place order", "count": 1},
    {"for_each": "orders", "starts_with": "place order"},
    {"when": "create package", "objects": "items", "count": {"at_least": 1, "at_most": 5}},
    {"for_each": "items", "holds": {"price": {"above": 0}}},
]
RULES = [{"name": f"rule_{number:02}"} | rule for number, rule in enumerate([*ARCS, *OTHERS])]


def _ours(rules: list[dict[str, Any]]) -> Callable[[Path], Work]:
    def ocelake(folder: Path) -> Work:
        import polars as pl

        from ocelake.lake import open_lake
        from ocelake.mining.constraints import Rules, attribute_names, rule_tables
        from ocelake.mining.traces import encode

        lake = open_lake(folder / "home")
        lake.latest(LOG, "silver")
        checked = Rules(rules=rules)
        names = dict(zip(("event", "object"), attribute_names(checked), strict=True))

        def work() -> None:
            relations = lake.read("ocel.event_objects", LOG, columns=["event_id", "object_id"])
            events = lake.read("ocel.events", LOG, columns=["event_id", "activity", "time", "sequence"])
            objects = lake.read("ocel.objects", LOG, columns=["object_id", "object_type"])
            tables = {"ocel.object_objects": lake.read("ocel.object_objects", LOG)}
            for kind, read in names.items():
                values = lake.read(f"ocel.{kind}_attributes", LOG)
                tables[f"ocel.{kind}_attributes"] = values.filter(pl.col("name").is_in(read))
            rule_tables(checked, encode(relations, objects, events), tables)

        return work

    return ocelake


def _r4pm(folder: Path) -> Work:
    import r4pm
    from r4pm import bindings

    from ocelake.mining.constraints.declare import write_arc
    from ocelake.mining.constraints.language import EventEvents

    arcs = [write_arc(EventEvents(name="arc", **arc)) for arc in ARCS]
    log = r4pm.import_item("SlimLinkedOCEL", str(folder / "log.json"))

    def work() -> None:
        for arc in arcs:
            bindings.oc_declare_conformance(log, arc)

    return work


CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    "20 rules": {"ocelake": _ours(RULES)},
    "12 rules that OC-DECLARE has": {"ocelake": _ours(RULES[: len(ARCS)]), "r4pm": _r4pm},
}
