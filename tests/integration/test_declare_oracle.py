"""Rules against r4pm's conformance of OC-DECLARE, on arcs that r4pm discovers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ocelake.mining import encode
from ocelake.mining.constraints.check import check_rule
from ocelake.mining.constraints.declare import read_arc
from ocelake.mining.constraints.selection import Log
from ocelake.ocel import Ocel
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log
from ocelake.ocel.write import write_log
from tests.unit.reference_mining import Log as SmallLog

OPTIONS = {
    "noise_threshold": 0.3,
    "o2o_mode": "None",
    "reduction": "None",
    "refinement": True,
    "counts_for_generation": [1, None],
    "counts_for_filter": [1, 20],
}
COUNTS = ([1, None], [1, 1], [0, 2], [2, None], [0, 0])


def both(ocel: Ocel, folder: Path) -> tuple[Log, str]:
    """Hand a log to r4pm and to us, every event at a time of its own, in our order: r4pm knows no order of ties."""
    import r4pm

    own = pl.datetime(2024, 1, 1, time_zone="UTC") + pl.duration(seconds=pl.int_range(pl.len()))
    events = ocel.events.sort("time", "sequence", "event_id").with_columns(own.alias("time"))
    write_log(replace(ocel, events=events), folder / "log.json")
    theirs = r4pm.import_item("SlimLinkedOCEL", str(folder / "log.json"))
    return Log(
        encode(ocel.event_objects, ocel.objects, ocel.events), {"ocel.object_objects": ocel.object_objects}
    ), theirs


def shares(log: Log, theirs: str, arc: dict[str, Any]) -> tuple[float, float]:
    """Give the share of source events that fulfil an arc: ours and r4pm's."""
    from r4pm import bindings

    outcome = check_rule(log, read_arc(arc, "arc"))
    return 1 - len(outcome.details) / outcome.candidates, bindings.oc_declare_conformance(theirs, arc)


@pytest.mark.parametrize(
    "name",
    [
        "generated",
        pytest.param("ocel1/p2p-normal.jsonocel", marks=pytest.mark.data),
        pytest.param("ocel2/ocel20_example.jsonocel", marks=pytest.mark.data),
    ],
)
def test_discovered_arcs_are_violated_as_r4pm_says(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    from r4pm import bindings

    if name == "generated":
        ocel = generate(events=800, seed=7)
    else:
        ocel = read_log(request.getfixturevalue("data") / name).ocel
    log, theirs = both(ocel, tmp_path)
    compared = 0
    for kinds in (["EF", "EP"], ["AS"], ["DF", "DP"]):
        options = OPTIONS | {"considered_arrow_types": kinds}
        for arc in bindings.discover_oc_declare(theirs, options)[:40]:
            for counts in COUNTS:
                if kinds != ["DF", "DP"] or max(count or 0 for count in counts) < 2:
                    ours, expected = shares(log, theirs, arc | {"counts": counts})
                    assert ours == pytest.approx(expected, abs=1e-12), (arc, counts)
                    compared += 1
    assert compared > 20


def simple(kind: str) -> list[dict[str, str]]:
    return [{"type": "Simple", "object_type": kind}]


def linked(first: str, second: str, *, reverse: bool) -> list[dict[str, Any]]:
    return [{"type": "O2O", "first": first, "second": second, "reversed": reverse}]


@pytest.mark.parametrize("kind", ["EF", "EP", "AS", "DF", "DP"])
@pytest.mark.parametrize(
    "label",
    [
        {"each": simple("items"), "all": [], "any": simple("employees")},
        {"each": simple("orders"), "all": simple("items"), "any": []},
        {"each": [], "all": simple("customers"), "any": []},
        {"each": linked("orders", "items", reverse=False), "all": [], "any": []},
        {"each": [], "all": linked("orders", "packages", reverse=True), "any": []},
        {"each": linked("packages", "orders", reverse=False), "all": [], "any": []},
    ],
)
def test_any_label_is_violated_as_r4pm_says(kind: str, label: dict[str, Any], tmp_path: Path) -> None:
    log, theirs = both(generate(events=800, seed=3), tmp_path)
    for source, target in (
        ("place order", "pay order"),
        ("pay order", "package delivered"),
        ("pick item", "pick item"),
    ):
        for counts in COUNTS if kind[0] != "D" else ([1, None], [0, 0]):
            if kind == "AS" and source == target:
                continue  # r4pm counts the event itself (see below)
            if kind[0] == "D" and any(item["type"] == "O2O" for item in (*label["each"], *label["all"])):
                continue  # and takes the begin and end of an object for events
            arc = {"from": source, "to": target, "arc_type": kind, "counts": counts, "label": label}
            ours, expected = shares(log, theirs, arc)
            assert ours == pytest.approx(expected, abs=1e-12), arc


def small(objects: dict[str, str], relations: list[tuple[str, str]], activities: dict[str, str]) -> Ocel:
    """Make a small log, its events a second apart."""
    log = SmallLog(
        {event: (activity, place * 1_000_000, 0) for place, (event, activity) in enumerate(activities.items())},
        objects,
        [(event, name, "") for event, name in relations],
    )
    return Ocel(**{key.removeprefix("ocel."): frame for key, frame in log.tables().items()})


def test_where_r4pm_differs_it_counts_an_event_itself_or_the_end_of_an_object(tmp_path: Path) -> None:
    """Smallest logs: AS counts the event itself; DF and DP take an object's begin and end for events of their own."""
    alone = small({"o": "order"}, [("e1", "o")], {"e1": "a"})
    arc = {"from": "a", "to": "a", "arc_type": "AS", "counts": [1, None]}
    label: dict[str, Any] = {"each": simple("order"), "all": [], "any": []}
    assert shares(*both(alone, tmp_path), arc | {"label": label}) == (0.0, 1.0), "no other a"

    before = small({"o": "order", "i": "item"}, [("e1", "i"), ("e2", "o")], {"e1": "b", "e2": "a"})
    links = pl.DataFrame({"source_id": ["o"], "target_id": ["i"], "qualifier": ["has"]})
    before = replace(before, object_objects=links)
    arc = {"from": "a", "to": "b", "arc_type": "DP", "counts": [1, None]}
    label = {"each": linked("order", "item", reverse=False), "all": [], "any": []}
    assert shares(*both(before, tmp_path), arc | {"label": label}) == (1.0, 0.0), "the item's end is no event"
