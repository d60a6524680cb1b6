"""Performance against other tools: r4pm (sojourn, synchronization), pm4py (intervals, handover of work)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from ocelake.mining.analysis import capacity_tables
from ocelake.mining.performance import performance_tables
from ocelake.mining.traces import encode
from ocelake.ocel import Ocel
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log
from ocelake.ocel.write import write_log
from ocelake.settings import MiningSettings

LOGS = (
    "ocel1/p2p-normal.jsonocel",
    "ocel1/BPI150to550executionprocess.jsonocel",
    "ocel1/github_pm4py.jsonocel",
    "ocel2/running-example.sqlite",
    "ocel2/logistics.sqlite",
)
REAL = [pytest.param(name, marks=pytest.mark.data) for name in LOGS]


@cache
def load(path: Path | None) -> tuple[Ocel, dict[str, pl.DataFrame]]:
    """Read a log, or generate one, and measure it."""
    ocel = read_log(path).ocel if path else generate(events=3_000, seed=7)
    tables = dict(ocel.frames())
    traces = encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])
    settings = MiningSettings()
    return ocel, performance_tables(traces, tables, settings) | capacity_tables(traces, tables, settings)


def as_r4pm(ocel: Ocel, folder: Path) -> Any:
    """Hand a log to r4pm, its events in our order, which it keeps among equal times."""
    import r4pm

    path = folder / "log.json"
    write_log(replace(ocel, events=ocel.events.sort("time", "sequence", "event_id")), path)
    return r4pm.import_item("SlimLinkedOCEL", str(path))


@pytest.mark.parametrize("name", [None, *REAL])
def test_sojourn_and_synchronization_are_those_of_r4pm(
    name: str | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    import r4pm

    ocel, tables = load(request.getfixturevalue("data") / name if name else None)
    item = as_r4pm(ocel, tmp_path)
    ours = tables["gold.event_performance"].drop_nulls("sojourn")
    sojourn = dict(r4pm.bindings.locel_oc_perf_sojourn_per_event(item, top_k=None))
    synchronization = {
        event: (duration, delaying)
        for event, duration, delaying in r4pm.bindings.locel_oc_perf_sync_per_event(item, top_k=None)
    }
    assert set(ours["event_id"]) == set(sojourn) == set(synchronization) != set()
    # Where several objects have the last predecessor, ours is the first by type and id, theirs the first by id.
    last = last_objects(ocel)
    for row in ours.iter_rows(named=True):
        event = row["event_id"]
        span, delaying = synchronization[event]
        assert round(row["sojourn"] * 1e6) == sojourn[event]
        assert round(row["synchronization"] * 1e6) == span
        assert row["lagging_object"] in last[event] if span else row["lagging_object"] is None
        assert delaying in last[event]


def last_objects(ocel: Ocel) -> dict[str, list[str]]:
    """Give the objects of every event whose event before is at the greatest time."""
    steps = ocel.event_objects.unique(["event_id", "object_id"]).sort("object_id", "time", "sequence", "event_id")
    before = steps.with_columns(before=pl.col("time").shift().over("object_id")).drop_nulls("before")
    last = before.filter(pl.col("before") == pl.col("before").max().over("event_id"))
    return dict(last.group_by("event_id").agg("object_id").iter_rows())


def as_pm4py(ocel: Ocel) -> pd.DataFrame:
    """Hand the cases of an XES log to pm4py, in our order."""
    values = ocel.event_attributes.filter(pl.col("name").is_in(["org:resource", "lifecycle:transition"]))
    wide = values.pivot("name", index="event_id", values="value")
    steps = ocel.event_objects.sort("object_id", "time", "sequence", "event_id").join(wide, on="event_id", how="left")
    columns = {
        "case:concept:name": "object_id",
        "concept:name": "activity",
        "time:timestamp": "time",
        **{name: name for name in wide.columns if name != "event_id"},
    }
    return pd.DataFrame({name: steps[column].to_list() for name, column in columns.items()})


@pytest.mark.data
def test_working_times_are_the_intervals_of_pm4py(data: Path) -> None:
    import pm4py
    from pm4py.objects.log.util.interval_lifecycle import to_interval

    ocel, tables = load(data / "xes/03_repairExample.xes.gz")
    intervals = to_interval(pm4py.convert_to_event_log(as_pm4py(ocel)))
    # pm4py gives a completion without a start the length 0; a working time that nobody knows is none.
    theirs = Counter(
        (trace.attributes["concept:name"], event["concept:name"], event["start_timestamp"], event["time:timestamp"])
        for trace in intervals
        for event in trace
        if "@@startevent_concept:name" in event
    )
    cases = ocel.event_objects.select("event_id", "object_id")
    work = tables["gold.work_times"].join(cases, on="event_id")
    assert Counter(work.select("object_id", "activity", "start_time", "time").iter_rows()) == theirs
    assert theirs.total() == 4_121


@pytest.mark.data
@pytest.mark.parametrize("name", ["xes/03_repairExample.xes.gz", "xes/helpdesk.xes.gz"])
def test_handovers_are_the_handover_of_work_of_pm4py(data: Path, name: str) -> None:
    import pm4py

    ocel, tables = load(data / name)
    ours = {row[1:3]: row[3] for row in tables["gold.handovers"].iter_rows()}
    shares = pm4py.discover_handover_of_work_network(as_pm4py(ocel)).connections
    follows = len(ocel.event_objects) - ocel.event_objects["object_id"].n_unique()
    # Theirs are shares of all steps, from a resource to itself included.
    theirs = {pair: share * follows for pair, share in shares.items() if pair[0] != pair[1] and share}
    assert ours == pytest.approx(theirs)


@pytest.mark.data
def test_employees_of_the_running_example_are_resources_as_objects(data: Path) -> None:
    ocel = read_log(data / "ocel2/running-example.sqlite").ocel
    traces = encode(ocel.event_objects, ocel.objects, ocel.events)
    tables = capacity_tables(traces, dict(ocel.frames()), MiningSettings(resource_type="employees"))
    found = tables["gold.resources"]
    expected = (
        ocel.event_objects.filter(object_type="employees").group_by("object_id").agg(pl.col("event_id").n_unique())
    )
    assert dict(found.select("resource", "events").iter_rows()) == dict(expected.iter_rows())
    assert found["utilization"].null_count() == len(found)
    assert "employees" not in tables["gold.handovers"]["object_type"]
    assert set(tables["gold.bottlenecks"]["object_type"].drop_nulls()) <= {"orders", "items", "packages"}
