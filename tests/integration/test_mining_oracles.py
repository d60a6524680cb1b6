"""Mining against other tools: pm4py (OC-DFG, flattening), networkx (components), r4pm, and known facts of real logs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import polars as pl
import pytest

from ocelake.mining import mine_log
from ocelake.ocel import Ocel
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log
from ocelake.ocel.write import write_log

LOGS = (
    "ocel1/p2p-normal.jsonocel",
    "ocel1/first10ep.jsonocel",
    "ocel1/order_process.jsonocel",
    "ocel1/github_pm4py.jsonocel",
    "ocel2/ocel20_example.jsonocel",
    "ocel2/logistics.sqlite",
)
REAL = [pytest.param(name, marks=pytest.mark.data) for name in LOGS]


@cache
def load(path: Path | None) -> tuple[Ocel, dict[str, pl.DataFrame]]:
    """Read a log, or generate one, and mine it."""
    ocel = read_log(path).ocel if path else generate(events=1500, seed=7)
    return ocel, mine_log(dict(ocel.frames()), quarantined=0, publication_id="log.silver.1")


@pytest.fixture(params=["generated", *REAL])
def mined(request: pytest.FixtureRequest) -> tuple[Ocel, dict[str, pl.DataFrame]]:
    name: str = request.param
    return load(None if name == "generated" else request.getfixturevalue("data") / name)


def ordered_relations(ocel: Ocel) -> pl.DataFrame:
    """Give the control-flow relation in our order, ties arranged."""
    return ocel.event_objects.unique(["event_id", "object_id"]).sort("time", "sequence", "event_id", "object_id")


def as_pm4py(ocel: Ocel) -> Any:
    """Hand the frames to pm4py in our order: it keeps the order of rows among equal times."""
    from pm4py.objects.ocel.obj import OCEL

    order = ("time", "sequence", "event_id")
    names = {
        "event_id": "ocel:eid",
        "activity": "ocel:activity",
        "time": "ocel:timestamp",
        "object_id": "ocel:oid",
        "object_type": "ocel:type",
        "qualifier": "ocel:qualifier",
    }

    def frame(source: pl.DataFrame, *columns: str) -> pd.DataFrame:
        return pd.DataFrame({names[column]: source[column].to_list() for column in columns})

    return OCEL(
        events=frame(ocel.events.sort(order), "event_id", "activity", "time"),
        objects=frame(ocel.objects, "object_id", "object_type"),
        relations=frame(
            ordered_relations(ocel), "event_id", "object_id", "activity", "time", "object_type", "qualifier"
        ),
    )


def sizes(found: dict[str, dict[Any, Any]]) -> dict[tuple[str, Any], int]:
    return {(kind, key): len(members) for kind, of_kind in found.items() for key, members in of_kind.items()}


def test_the_ocdfg_is_that_of_pm4py(mined: tuple[Ocel, dict[str, pl.DataFrame]]) -> None:
    import pm4py

    ocel, tables = mined
    theirs = pm4py.discover_ocdfg(as_pm4py(ocel))
    edges = tables["gold.ocdfg_edges"].rows(named=True)
    for count in ("event_couples", "unique_objects", "total_objects"):
        ours = {(row["object_type"], (row["source"], row["target"])): row[count] for row in edges}
        assert ours == sizes(theirs["edges"][count])

    nodes = tables["gold.ocdfg_nodes"].rows(named=True)
    for column, part, count in (
        ("events", "activities_ot", "events"),
        ("unique_objects", "activities_ot", "unique_objects"),
        ("total_objects", "activities_ot", "total_objects"),
        ("start_events", "start_activities", "events"),
        ("start_objects", "start_activities", "unique_objects"),
        ("end_events", "end_activities", "events"),
        ("end_objects", "end_activities", "unique_objects"),
    ):
        ours = {
            (row["object_type"], row["activity"]): row[column]
            for row in nodes
            if row["object_type"] is not None and row[column]
        }
        assert ours == sizes(theirs[part][count])

    durations = theirs["edges_performance"]["total_objects"]
    for row in edges:
        found = pd.Series(durations[row["object_type"]][row["source"], row["target"]])
        expected = [found.sum(), found.mean(), found.min(), found.max(), *found.quantile([0.5, 0.9, 0.95])]
        names = ("sum", "mean", "min", "max", "median", "p90", "p95")
        assert [row[f"duration_{name}"] for name in names] == pytest.approx(expected)


def test_variants_are_those_of_pm4pys_flattened_log(mined: tuple[Ocel, dict[str, pl.DataFrame]]) -> None:
    import pm4py

    ocel, tables = mined
    log = as_pm4py(ocel)
    for (kind,), ours in tables["gold.trace_variants"].group_by("object_type"):
        flat = pm4py.ocel_flattening(log, kind)
        traces = flat.groupby("case:concept:name", sort=False)["concept:name"].agg(tuple)
        counted = {tuple(names): n for names, n in ours.select("activities", "objects").iter_rows() if names}
        assert counted == Counter(traces)
        empty = ours.filter(pl.col("activities").list.len() == 0)["objects"].sum()
        assert empty == ocel.objects.filter(object_type=kind).height - len(traces)


def test_total_objects_are_those_of_r4pm(mined: tuple[Ocel, dict[str, pl.DataFrame]], tmp_path: Path) -> None:
    import r4pm
    from r4pm import bindings

    ocel, tables = mined
    # r4pm orders equal times in its own way: here every event has a time of its own, in our order.
    own = pl.datetime(2024, 1, 1, time_zone="UTC") + pl.duration(seconds=pl.int_range(pl.len()))
    ranked = ocel.events.sort("time", "sequence", "event_id").with_columns(own.alias("time"))
    write_log(replace(ocel, events=ranked), tmp_path / "log.json")
    log = r4pm.import_item("OCEL", str(tmp_path / "log.json"))
    for (kind,), ours in tables["gold.ocdfg_edges"].group_by("object_type"):
        theirs = {(source, target): n for (source, target), n in bindings.get_dfg_of_object_type(log, kind)}
        assert {(a, b): n for a, b, n in ours.select("source", "target", "total_objects").iter_rows()} == theirs


def test_connected_executions_are_those_of_networkx(mined: tuple[Ocel, dict[str, pl.DataFrame]]) -> None:
    ocel, tables = mined
    graph = nx.Graph()
    graph.add_nodes_from(("e", event) for event in ocel.events["event_id"])
    graph.add_nodes_from(("o", name) for name in ocel.objects["object_id"])
    graph.add_edges_from(
        (("e", event), ("o", name)) for event, name in ocel.event_objects.select("event_id", "object_id").iter_rows()
    )
    ours: dict[str, set[tuple[str, str]]] = {}
    for letter, table in (("e", "execution_events"), ("o", "execution_objects")):
        for _, execution, member, *_ in tables[f"ocel.{table}"].iter_rows():
            ours.setdefault(execution, set()).add((letter, member))
    assert {frozenset(members) for members in ours.values()} == {
        frozenset(component) for component in nx.connected_components(graph)
    }


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "executions"),
    [
        ("ocel1/p2p-normal.jsonocel", 80),
        ("ocel1/BPI150to550executionprocess.jsonocel", 400),
        ("ocel1/first10ep.jsonocel", 10),
    ],
)
def test_known_numbers_of_connected_executions(data: Path, name: str, executions: int) -> None:
    _, tables = load(data / name)
    assert len(tables["ocel.process_executions"]) == executions
    assert tables["gold.log_summary"]["executions"].item() == executions


@pytest.mark.data
def test_more_than_a_quarter_of_logistics_steps_are_tied(data: Path) -> None:
    _, tables = load(data / "ocel2/logistics.sqlite")
    assert tables["gold.log_summary"]["tied_share"].item() == pytest.approx(0.28, abs=0.01)
