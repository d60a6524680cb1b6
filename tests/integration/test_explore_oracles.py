"""Exploring logs against other tools: pm4py (OLAP, filters, graphs, connected components) and r4pm (counts of types).

Where pm4py differs on purpose, the logs are made comparable first: it drops objects that never had an event, and cannot
look at events without objects.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ocelake.mining import encode
from ocelake.mining.explore import (
    OBJECT_GRAPHS,
    ObjectGraph,
    drill_down,
    event_type_graph,
    filter_activities,
    filter_event_attribute,
    filter_executions,
    filter_object_attribute,
    filter_object_types,
    filter_objects,
    filter_time,
    filter_type_activities,
    fold,
    induced_log,
    object_graph,
    object_type_graph,
    roll_up,
    sample_log,
    unfold,
)
from ocelake.mining.traces import Traces
from ocelake.ocel import Ocel
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log
from ocelake.ocel.write import write_log

LOGS = ("ocel1/p2p-normal.jsonocel", "ocel1/order_process.jsonocel", "ocel2/ocel20_example.jsonocel")
REAL = [pytest.param(name, marks=pytest.mark.data) for name in LOGS]


@cache
def load(path: Path | None) -> Ocel:
    """Read a log, or generate one, without what pm4py drops or stumbles over."""
    ocel = read_log(path).ocel if path else generate(events=700, seed=7)
    return induced_log(ocel, events=ocel.event_objects, objects=ocel.event_objects)


@pytest.fixture(params=["generated", *REAL])
def log(request: pytest.FixtureRequest) -> Ocel:
    name: str = request.param
    return load(None if name == "generated" else request.getfixturevalue("data") / name)


def traces_of(ocel: Ocel) -> Traces:
    return encode(ocel.event_objects, ocel.objects, ocel.events)


def types_of(ocel: Ocel) -> list[str]:
    """Give the object types, the most frequent first."""
    return [name for name, _ in Counter(ocel.objects["object_type"]).most_common()]


def contents(ours: Ocel | Any) -> dict[str, list[tuple[Any, ...]]]:
    """Give what both tools have: ids with names, relations, and of O2O and attribute changes who they are about."""
    theirs = ours.to_pm4py() if isinstance(ours, Ocel) else ours
    columns = {
        "events": ["ocel:eid", "ocel:activity", "ocel:timestamp"],
        "objects": ["ocel:oid", "ocel:type"],
        "relations": ["ocel:eid", "ocel:oid", "ocel:activity", "ocel:type"],
        "o2o": ["ocel:oid", "ocel:oid_2"],
        "object_changes": ["ocel:oid", "ocel:type", "ocel:field"],
    }
    frames = {name: getattr(theirs, name) for name in columns}
    return {
        name: sorted(frame[columns[name]].itertuples(index=False, name=None)) if len(frame) else []
        for name, frame in frames.items()
    }


def test_drilling_down_and_rolling_up_are_pm4pys() -> None:
    import pm4py

    ocel = load(None)
    for object_type, attribute in (("employees", "role"), ("orders", "status"), ("items", "price")):
        # pm4py goes by initial values alone.
        finer = drill_down(ocel, object_type, attribute, at=ocel.events["time"][0] - timedelta(days=40_000))
        theirs = pm4py.ocel_drill_down(ocel.to_pm4py(), object_type, attribute)
        assert any(name.startswith(f"({object_type}, ") for name in finer.object_types["object_type"])
        if attribute != "price":  # pandas' numbers are written in another way
            assert contents(finer) == contents(theirs)
        assert contents(roll_up(finer, object_type)) == contents(pm4py.ocel_roll_up(theirs, object_type))


def test_unfolding_and_folding_are_pm4pys(log: Ocel) -> None:
    import pm4py

    for activity in log.event_types["activity"].to_list()[:4]:
        for object_type in types_of(log)[:3]:
            finer = unfold(log, activity, object_type)
            theirs = pm4py.ocel_unfold(log.to_pm4py(), activity, object_type)
            assert contents(finer) == contents(theirs)
            folded = pm4py.ocel_fold(theirs, activity, object_type)
            assert contents(fold(finer, activity, object_type)) == contents(folded) == contents(log)


def test_filters_are_pm4pys(log: Ocel) -> None:
    import pm4py

    theirs = log.to_pm4py()
    kinds, activities = types_of(log)[:2], log.event_types["activity"].to_list()[:3]
    part = pm4py.filter_ocel_object_types(theirs, kinds)
    assert contents(filter_object_types(log, kinds)) == contents(part)

    part = pm4py.filter_ocel_event_attribute(theirs, "ocel:activity", activities)
    assert contents(filter_activities(log, activities)) == contents(part)

    ids = log.objects["object_id"].to_list()[::3]
    assert contents(filter_objects(log, ids)) == contents(pm4py.filter_ocel_objects(theirs, ids))

    allowed = {kinds[0]: activities, kinds[1]: activities[:1]}
    part = pm4py.filter_ocel_object_types_allowed_activities(theirs, allowed)
    assert contents(filter_type_activities(log, allowed)) == contents(part)

    quarter, end = log.events["time"][log.events.height // 4], log.events["time"][-1]
    start = quarter.replace(microsecond=0) + timedelta(seconds=1)  # pm4py takes text, of whole seconds
    part = pm4py.filter_ocel_events_timestamp(theirs, f"{start:%Y-%m-%d %H:%M:%S}", f"{end:%Y}-12-31 23:59:59")
    assert contents(filter_time(log, start)) == contents(part)


def test_attribute_filters_are_pm4pys() -> None:
    import pm4py

    ocel = load(None)
    part = pm4py.filter_ocel_event_attribute(ocel.to_pm4py(), "channel", ["web"])
    assert contents(filter_event_attribute(ocel, "channel", pl.col("value") == "web")) == contents(part)
    part = pm4py.filter_ocel_object_attribute(ocel.to_pm4py(), "role", ["sales"])
    assert contents(filter_object_attribute(ocel, "role", pl.col("value") == "sales")) == contents(part)


def test_connected_executions_are_pm4pys_components(log: Ocel) -> None:
    import pm4py

    some = filter_object_types(log, types_of(log)[:2])
    for name in (some.objects["object_id"][0], some.objects["object_id"][-1]):
        part = pm4py.filter_ocel_cc_object(some.to_pm4py(), name)
        assert contents(filter_executions(some, object_ids=[name])) == contents(part)
    activity = some.events["activity"][0]
    part = pm4py.filter_ocel_cc_activity(some.to_pm4py(), activity)
    assert contents(filter_executions(some, activities=[activity])) == contents(part)


def test_a_sample_keeps_the_o2o_and_histories_that_pm4pys_loses() -> None:
    import pm4py

    # pm4py joins the sampled components' events, objects and
    # relations alone, so that even a sample of everything has neither.
    ocel = filter_object_types(load(None), ["orders", "items"])
    whole = sample_log(ocel, ocel.objects.height)
    theirs = pm4py.sample_ocel_connected_components(ocel.to_pm4py(), ocel.objects.height)
    assert contents(whole) == contents(ocel)
    assert ocel.object_objects.height > 0 < ocel.object_attributes.filter(~pl.col("initial")).height
    assert len(theirs.objects) == whole.objects.height
    assert len(theirs.o2o) == len(theirs.object_changes) == 0


@pytest.mark.parametrize("kind", OBJECT_GRAPHS)
def test_object_graphs_are_pm4pys(log: Ocel, kind: ObjectGraph) -> None:
    import pm4py

    theirs = pm4py.discover_objects_graph(log.to_pm4py(), graph_type=f"object_{kind}")
    assert set(object_graph(traces_of(log), kind).iter_rows()) == theirs


def test_the_object_type_graph_is_pm4pys(log: Ocel) -> None:
    from pm4py.algo.discovery.ocel.otg import algorithm as otg

    _, edges = otg.apply(log.to_pm4py())
    expected: Counter[tuple[str, str, str]] = Counter()
    for (source, relation, target), count in edges.items():
        kind = relation.removeprefix("object_")
        # Where edges have no direction, pm4py's go by the ids of the objects: here by the types.
        ends = (source, target) if kind in ("descendants", "inheritance") else sorted((source, target))
        expected[kind, *ends] += count
    ours = object_type_graph(traces_of(log), log.object_objects).filter(pl.col("relation") != "o2o").drop("note")
    assert {tuple(row): count for *row, count in ours.iter_rows()} == dict(expected)


def test_the_event_type_graph_is_pm4pys_and_r4pms(log: Ocel, tmp_path: Path) -> None:
    import r4pm
    from pm4py.algo.discovery.ocel.etot import algorithm as etot

    # Both count each qualifier: here every pair has one.
    once = log.event_objects.unique(["event_id", "object_id"], keep="first", maintain_order=True)
    single = Ocel(**{**{i.removeprefix("ocel."): frame for i, frame in log.frames()}, "event_objects": once})
    ours = {
        (a, t): n for a, t, n in event_type_graph(traces_of(log))["activity", "object_type", "event_objects"].rows()
    }
    _, _, _, weights = etot.apply(single.to_pm4py())
    assert ours == weights
    write_log(single, tmp_path / "log.json")
    item = r4pm.import_item("SlimLinkedOCEL", str(tmp_path / "log.json"))
    assert ours == {(a, t): n for a, t, n in r4pm.bindings.locel_event_object_type_counts(item)}
