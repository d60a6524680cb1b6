"""Object graphs, type graphs and TOTeM against the plain reference, on random logs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import ocelake.mining.explore.meetings as meetings
import ocelake.mining.explore.object_graphs as graphs
from ocelake.errors import OcelakeError
from ocelake.mining import encode
from ocelake.mining.explore import (
    OBJECT_GRAPHS,
    TEMPORAL_RELATIONS,
    ObjectGraph,
    event_type_graph,
    object_edges,
    object_graph,
    object_type_graph,
    relation_tables,
    totem,
)
from ocelake.mining.traces import Traces
from ocelake.ocel import Ocel
from ocelake.ocel.audit import audit_table
from ocelake.ocel.generate import generate
from ocelake.tables import TABLES
from tests.unit import reference_explore as reference
from tests.unit.reference_explore import Rich, rich_logs

OF_PAIRS = {
    "gold.type_graph": ["object_pairs"],
    "gold.type_relations": [
        "temporal_relation",
        "log_cardinality",
        "objects_one",
        "objects_many",
        *TEMPORAL_RELATIONS.values(),
    ],
}
"""What is null where pairs are left out."""


def traces_of(log: Ocel) -> Traces:
    return encode(log.event_objects, log.objects, log.events)


@settings(max_examples=60)
@given(rich_logs(), st.sampled_from(OBJECT_GRAPHS))
def test_an_object_graph_equals_the_reference(rich: Rich, kind: ObjectGraph) -> None:
    found = object_graph(traces_of(rich.ocel()), kind)
    assert set(found.iter_rows()) == reference.object_graph(rich.log, kind)
    assert_frame_equal(found, found.unique().sort(pl.all()))


@pytest.mark.parametrize("kind", OBJECT_GRAPHS)
def test_parts_change_nothing(kind: ObjectGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    log = generate(300, seed=1)
    traces = traces_of(log)
    whole = object_graph(traces, kind)
    model = totem(traces, log.object_objects)
    monkeypatch.setattr(graphs, "_PAIRS_AT_ONCE", 7)
    assert len(list(graphs.object_edges(traces, kind))) > 10
    assert_frame_equal(object_graph(traces, kind), whole)
    assert_frame_equal(totem(traces, log.object_objects), model)


def test_a_graph_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "_LIMIT", 100)
    with pytest.raises(OcelakeError, match="more than 100 edges"):
        object_graph(traces_of(generate(300, seed=1)), "interaction")


@settings(max_examples=60)
@given(rich_logs(), st.sampled_from([0.3, 0.5, 0.75, 0.9, 1.0]))
def test_totem_equals_the_paper(rich: Rich, threshold: float) -> None:
    log = rich.ocel()
    found = totem(traces_of(log), log.object_objects, threshold=threshold)
    named = ("source_type", "target_type", "temporal_relation", "event_cardinality", "log_cardinality")
    rows = {(source, target): tuple(rest) for source, target, *rest in found.select(named).iter_rows()}
    assert rows == reference.totem(rich, threshold)


@settings(max_examples=40)
@given(rich_logs())
def test_the_two_directions_of_a_relation_mirror_each_other(rich: Rich) -> None:
    log = rich.ocel()
    found = totem(traces_of(log), log.object_objects)
    there = found.select("source_type", "target_type", "dependent", "initiating", "pairs").rows()
    back = found.select("target_type", "source_type", "dependent_inverse", "initiating_inverse", "pairs").rows()
    assert sorted(there) == sorted(back)


@pytest.mark.parametrize("threshold", [0, -1, 1.01])
def test_a_threshold_that_is_no_share_is_refused(threshold: float) -> None:
    log = generate(100, seed=1)
    with pytest.raises(OcelakeError, match="share"):
        totem(traces_of(log), log.object_objects, threshold=threshold)


@settings(max_examples=40)
@given(rich_logs())
def test_the_stored_tables_are_as_declared_and_count_what_is_there(rich: Rich) -> None:
    log = rich.ocel()
    tables = relation_tables(traces_of(log), dict(log.frames()))
    for identifier, frame in tables.items():
        assert all(found.passed for found in audit_table(TABLES[identifier], frame)), identifier
        assert frame.columns == [name for name in TABLES[identifier].schema if name != "log_id"]
        assert_frame_equal(frame, frame.sort(TABLES[identifier].sort))

    expected = {
        (kind, *types): count
        for kind in OBJECT_GRAPHS
        for types, count in reference.type_pairs(
            rich.log, reference.object_graph(rich.log, kind), undirected=kind not in ("descendants", "inheritance")
        ).items()
    }
    pairs = {(a, b) for a, b, _ in rich.o2o}
    o2o = reference.type_pairs(rich.log, pairs, undirected=False)
    expected |= {("o2o", *types): count for types, count in o2o.items()}
    assert {tuple(row): count for *row, count in tables["gold.type_graph"].drop("note").iter_rows()} == expected

    shuffled = replace(log, **{i.removeprefix("ocel."): f.reverse() for i, f in log.frames()})
    again = relation_tables(traces_of(shuffled), dict(shuffled.frames()))
    for identifier, frame in tables.items():
        assert_frame_equal(frame, again[identifier])


def one_event(items: int, orders: int = 2) -> dict[str, pl.DataFrame]:
    """Give a log of one event that all objects have, and an O2O relation that says no more."""
    names = [*(f"i{n}" for n in range(items)), *(f"o{n}" for n in range(orders))]
    kinds = pl.Series(["item"] * items + ["order"] * orders)
    relations = pl.DataFrame({"object_id": names}).with_columns(
        object_type=kinds, event_id=pl.lit("e"), activity=pl.lit("import"), time=datetime(2024, 1, 1), sequence=0
    )
    return {
        "ocel.event_objects": relations,
        "ocel.object_objects": pl.DataFrame({"source_id": ["o0"], "target_id": ["i0"]}),
    }


def test_an_event_with_very_many_objects_is_counted_exactly() -> None:
    tables = one_event(60_000)
    found = relation_tables(encode(tables["ocel.event_objects"]), tables)
    graph = found["gold.type_graph"].filter(relation="interaction")
    assert graph.drop("relation").rows() == [
        ("item", "item", 60_000 * 59_999 // 2, None),
        ("item", "order", 120_000, None),
        ("order", "order", 1, None),
    ]
    model = found["gold.type_relations"].select("source_type", "objects_one", "objects_many", "dependent", "pairs")
    assert model.rows() == [("item", 0, 60_000, 120_000, 120_000), ("order", 0, 2, 120_000, 120_000)]


def test_too_many_pairs_are_left_out_and_noted() -> None:
    # Each item has an event of its own as well: none is like another.
    tables = one_event(21_000)
    alone = tables["ocel.event_objects"].filter(object_type="item").with_columns(event_id="object_id", sequence=1)
    traces = encode(pl.concat([tables["ocel.event_objects"], alone.select(tables["ocel.event_objects"].columns)]))
    found = relation_tables(traces, tables)
    graph = found["gold.type_graph"].filter(relation="interaction")
    assert graph["object_pairs"].to_list() == [None, 42_000, 1]
    assert "220,489,500 pairs" in graph["note"][0]
    assert found["gold.type_relations"]["objects_many"].to_list() == [21_000, 2]


def assert_as_without(log: Ocel, limit: int) -> None:
    """Compare what is counted within a limit to the same without one."""
    whole = relation_tables(traces_of(log), dict(log.frames()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meetings, "_LIMIT", limit)
        looked_at = meetings.meetings(traces_of(log))
        limited = relation_tables(traces_of(log), dict(log.frames()))
    assert int(looked_at.meetings[looked_at.counted].sum()) <= limit
    for identifier, frame in limited.items():
        assert all(found.passed for found in audit_table(TABLES[identifier], frame)), identifier
        assert frame.height == whole[identifier].height
        counted = pl.when(frame["note"].is_null()).then(pl.col(OF_PAIRS[identifier])).name.keep()
        assert_frame_equal(frame.drop("note"), whole[identifier].with_columns(counted).drop("note"))


@settings(max_examples=60)
@given(rich_logs(), st.integers(0, 20))
def test_what_is_within_the_limit_is_counted_as_without_one(rich: Rich, limit: int) -> None:
    assert_as_without(rich.ocel(), limit)


def test_related_objects_of_several_types_are_counted_once_within_the_limit() -> None:
    log = generate(1_000, seed=1)
    every = int(meetings.meetings(traces_of(log)).meetings.sum())
    for limit in (every - 1, every // 2):
        assert_as_without(log, limit)


@settings(max_examples=40)
@given(rich_logs())
def test_the_event_type_graph_counts_objects_per_event(rich: Rich) -> None:
    log = rich.log
    members = reference.members(log)
    found = event_type_graph(traces_of(rich.ocel()))
    for activity, kind, *counts in found.iter_rows():
        per_event = [
            {name for name in members[event] if log.objects[name] == kind}
            for event, (name_of, _, _) in log.events.items()
            if name_of == activity
        ]
        sizes = [len(objects) for objects in per_event]
        assert counts == [
            sum(size > 0 for size in sizes),
            len(set().union(*per_event)),
            sum(sizes),
            min(sizes),
            max(sizes),
        ]
    related = {(log.events[event][0], log.objects[name]) for event, name, _ in log.relations}
    assert set(found.select("activity", "object_type").iter_rows()) == related


def test_the_type_graph_counts_the_edges_of_each_object_graph() -> None:
    log = generate(2_000, seed=3)
    traces = encode(log.event_objects, log.objects, log.events)
    found = object_type_graph(traces, log.object_objects)
    for kind in OBJECT_GRAPHS:
        edges = sum(len(source) for source, _ in object_edges(traces, kind))
        assert found.filter(relation=kind)["object_pairs"].sum() == edges > 0
