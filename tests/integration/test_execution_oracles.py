"""Process executions and their variants against networkx, pm4py, and ocpa's numbers of real logs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import networkx as nx
import pytest

from ocelake.mining import Traces, encode
from ocelake.mining.execution_variants import Equality, find_execution_variants
from ocelake.mining.executions import find_executions
from ocelake.ocel import Ocel
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log
from tests.integration.test_mining_oracles import as_pm4py
from tests.unit.reference_mining import Log
from tests.unit.test_execution_variants import EQUALITIES, graph_of, same_graph
from tests.unit.test_executions import members


@cache
def load(path: Path) -> tuple[Ocel, Traces]:
    ocel = read_log(path).ocel
    return ocel, encode(ocel.event_objects, ocel.objects, ocel.events)


def as_log(traces: Traces) -> Log:
    """Give a log as plain values, its events in our order."""
    names = traces.activities.gather(traces.event_activity)
    events = traces.event_ids.gather(traces.step_event)
    things = traces.object_ids.gather(traces.step_object)
    return Log(
        {event: (name, place, 0) for place, (event, name) in enumerate(zip(traces.event_ids, names, strict=True))},
        dict(zip(traces.object_ids, traces.object_types.gather(traces.object_type), strict=True)),
        [(event, thing, "") for event, thing in zip(events, things, strict=True)],
    )


@pytest.mark.data
def test_what_ocpa_publishes_about_procure_to_pay(data: Path) -> None:
    """80 connected executions in 20 variants, by either equality; 127 led by an invoice."""
    _, traces = load(data / "ocel1/p2p-normal.jsonocel")
    connected = find_executions(traces, "connected")
    assert len(connected.ids) == 80
    for equality in EQUALITIES:
        assert len(find_execution_variants(traces, connected, equality=equality).ids) == 20

    led = find_executions(traces, "leading:INVOICE")
    assert len(led.ids) == 127
    assert len(led.events) == 1143, "events with any member object"
    log = as_log(traces)
    objects_of: dict[str, set[str]] = {}
    for event, name, _ in log.relations:
        objects_of.setdefault(event, set()).add(name)
    inside = members(traces, led).values()
    assert sum(objects_of[event] <= objects for events, objects in inside for event in events) == 955, "with all"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ocel1/p2p-normal.jsonocel", "connected"),
        ("ocel1/p2p-normal.jsonocel", "leading:INVOICE"),
        ("ocel1/order_process.jsonocel", "leading:order"),
        ("ocel1/recruiting-red.jsonocel", "connected"),
    ],
)
@pytest.mark.parametrize("equality", EQUALITIES)
def test_variants_of_real_logs_are_those_of_networkx(data: Path, name: str, kind: str, equality: Equality) -> None:
    _, traces = load(data / name)
    assert_classes(traces, kind, equality)


def assert_classes(traces: Traces, kind: str, equality: Equality) -> None:
    """Hold each execution to its example, and the examples to each other where their degrees are the same."""
    found = find_executions(traces, kind)
    variants = find_execution_variants(traces, found, equality=equality)
    log, inside = as_log(traces), list(members(traces, found).values())
    graphs = [graph_of_part(log, *part, equality) for part in inside]
    for graph, code in zip(graphs, variants.of_execution, strict=True):
        assert same_graph(graph, graphs[variants.example[code]])
    alike: dict[tuple[object, ...], list[nx.DiGraph]] = {}
    for place in variants.example:
        graph = graphs[place]
        degrees = sorted(
            (str(label), graph.in_degree(node), graph.out_degree(node)) for node, label in graph.nodes("label")
        )
        alike.setdefault(tuple(degrees), []).append(graph)
    for examples in alike.values():
        for number, graph in enumerate(examples):
            assert not any(same_graph(graph, other) for other in examples[:number])


def graph_of_part(log: Log, events: frozenset[str], objects: frozenset[str], equality: Equality) -> nx.DiGraph:
    part = log.part(objects)
    return graph_of(Log(log.events, part.objects, part.relations), events, objects, equality)


def test_variants_of_a_generated_log_without_resources_are_those_of_networkx() -> None:
    ocel = generate(events=1200, seed=5)
    core = ["orders", "items", "packages"]
    relations = ocel.event_objects.filter(ocel.event_objects["object_type"].is_in(core))
    traces = encode(relations, ocel.objects.filter(ocel.objects["object_type"].is_in(core)), ocel.events)
    for equality in EQUALITIES:
        assert_classes(traces, "leading:orders", equality)


def test_connected_executions_are_those_of_pm4py() -> None:
    """pm4py's components are of objects that share events with another: those on their own it leaves out."""
    from pm4py.algo.transformation.ocel.split_ocel import algorithm as split_ocel

    ocel = generate(events=600, seed=3)
    traces = encode(ocel.event_objects, ocel.objects, ocel.events)
    theirs = split_ocel.apply(as_pm4py(ocel), variant=split_ocel.Variants.CONNECTED_COMPONENTS)
    ours = members(traces, find_executions(traces, "connected")).values()
    assert {(frozenset(part.events["ocel:eid"]), frozenset(part.objects["ocel:oid"])) for part in theirs} == {
        part for part in ours if len(part[1]) > 1
    }
