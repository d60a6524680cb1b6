"""Execution variants against networkx, on random logs and on graphs that refinement alone cannot tell apart."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import get_args

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.mining import execution_variants
from ocelake.mining.execution_variants import Equality, execution_tables, find_execution_variants
from ocelake.mining.executions import find_executions
from tests.unit.reference_mining import Log
from tests.unit.test_executions import members, traces_of

EQUALITIES: tuple[Equality, ...] = get_args(Equality)


def graph_of(log: Log, events: frozenset[str], objects: frozenset[str], equality: Equality) -> nx.DiGraph:
    """Give the labelled graph of an execution, as the definition says."""
    graph = nx.DiGraph()
    graph.add_nodes_from((("event", event), {"label": ("event", log.events[event][0])}) for event in events)
    types: dict[tuple[str, str], Counter[str]] = {}
    traces = log.traces()
    for name in objects:
        for couple in pairwise(traces[name]):
            types.setdefault(couple, Counter())[log.objects[name]] += 1
    graph.add_edges_from(
        (("event", first), ("event", later), {"label": counts}) for (first, later), counts in types.items()
    )
    if equality == "labelled":
        graph.add_nodes_from((("object", name), {"label": ("object", log.objects[name])}) for name in objects)
        graph.add_edges_from(
            (("event", event), ("object", name), {"label": None}) for name in objects for event in traces[name]
        )
    return graph


def same_graph(one: nx.DiGraph, other: nx.DiGraph) -> bool:
    def equal(left: dict[str, object], right: dict[str, object]) -> bool:
        return left["label"] == right["label"]

    return bool(nx.is_isomorphic(one, other, node_match=equal, edge_match=equal))


def assert_oracle(log: Log, kind: str) -> None:
    """Hold the variants of a kind of execution to networkx, pair by pair."""
    traces = traces_of(log)
    found = find_executions(traces, kind)
    inside = list(members(traces, found).values())
    for equality in EQUALITIES:
        variants = find_execution_variants(traces, found, equality=equality)
        graphs = [graph_of(log, events, objects, equality) for events, objects in inside]
        for number, graph in enumerate(graphs):
            same = [same_graph(graph, other) for other in graphs]
            assert (variants.of_execution == variants.of_execution[number]).tolist() == same
        assert variants.ids.n_unique() == len(variants.ids)
        assert variants.of_execution[variants.example].tolist() == list(range(len(variants.ids)))


@st.composite
def alike(draw: st.DrawFn) -> Log:
    """Draw logs of many alike parts: few activities and types, several small executions."""
    log = Log({}, {}, [])
    for part in range(draw(st.integers(1, 5))):
        events = draw(st.lists(st.sampled_from("ab"), max_size=5))
        objects = draw(st.lists(st.sampled_from("xxxy"), max_size=4))
        log.events.update({f"e{part}{n}": (name, n // 2, 0) for n, name in enumerate(events)})
        log.objects.update({f"o{part}{n}": kind for n, kind in enumerate(objects)})
        if events and objects:
            pairs = st.tuples(st.integers(0, len(events) - 1), st.integers(0, len(objects) - 1))
            related = draw(st.lists(pairs, unique=True, max_size=10))
            log.relations.extend((f"e{part}{event}", f"o{part}{name}", "") for event, name in related)
    return log


@settings(max_examples=100)
@given(alike(), st.sampled_from(["connected", "leading"]))
def test_variants_are_the_isomorphism_classes_of_networkx(log: Log, kind: str) -> None:
    kinds = ["connected"] if kind == "connected" else [f"leading:{name}" for name in sorted(set(log.objects.values()))]
    for each in kinds:
        assert_oracle(log, each)


@settings(max_examples=40)
@given(alike())
def test_the_outcome_is_exact_whatever_the_hash_and_the_parts(log: Log) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution_variants, "_hashes", lambda graphs: np.zeros(len(graphs), dtype=np.uint64))
        patch.setattr(execution_variants, "_PART", 7)
        assert_oracle(log, "connected")


def merged(*logs: Log) -> Log:
    """Put logs side by side, each with ids of its own."""
    whole = Log({}, {}, [])
    for place, log in enumerate(logs):
        whole.events.update({f"{place}{event}": values for event, values in log.events.items()})
        whole.objects.update({f"{place}{name}": kind for name, kind in log.objects.items()})
        whole.relations.extend((f"{place}{event}", f"{place}{name}", "") for event, name, _ in log.relations)
    return whole


def from_traces(objects: dict[str, tuple[str, list[str]]], activities: dict[str, str] | None = None) -> Log:
    """Make a log of traces; an event's activity is the first letter of its id, its time the order of the ids."""
    ids = sorted({event for _, trace in objects.values() for event in trace})
    return Log(
        {event: ((activities or {}).get(event, event[0]), place, 0) for place, event in enumerate(ids)},
        {name: kind for name, (kind, _) in objects.items()},
        [(event, name, "") for name, (_, trace) in objects.items() for event in trace],
    )


def codes(log: Log, equality: Equality = "labelled") -> list[int]:
    traces = traces_of(log)
    found: list[int] = find_execution_variants(
        traces, find_executions(traces, "connected"), equality=equality
    ).of_execution.tolist()
    return found


def test_without_object_nodes_different_traces_coincide() -> None:
    one = from_traces({"i1": ("item", ["a", "m", "y"]), "i2": ("item", ["b", "m", "z"])})
    two = from_traces({"i1": ("item", ["a", "m", "z"]), "i2": ("item", ["b", "m", "y"])})
    assert codes(merged(one, two)) == [0, 1]
    assert codes(merged(one, two), "adams") == [0, 0]


def test_a_bijection_is_checked_step_by_step() -> None:
    """A chain against a fork of the same labels, in one bucket."""
    chain = from_traces({"x": ("order", ["a1", "a2"]), "y": ("order", ["a2", "a3"])})
    fork = from_traces({"x": ("order", ["a1", "a2"]), "y": ("order", ["a1", "a3"])})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution_variants, "_hashes", lambda graphs: np.zeros(len(graphs), dtype=np.uint64))
        assert codes(merged(chain, fork, chain)) == [0, 1, 0]


def ring(*sizes: int, turned: int = 1) -> Log:
    """Give objects whose second and third events make rings of some sizes; all start with one event in common.

    Neighbours in a ring are that many events of equal rank apart.
    """
    objects, begin = {}, 0
    for size in sizes:
        for place in range(size):
            for turn in (0, 1):
                trace = ["a", f"b{begin + place * turned % size}", f"c{begin + (place + turn) % size}"]
                objects[f"o{begin + place}{turn}"] = ("order", trace)
        begin += size
    return from_traces(objects)


@pytest.mark.parametrize("equality", EQUALITIES)
def test_graphs_that_refinement_cannot_tell_apart_are_decided(equality: Equality) -> None:
    """One ring of six against two of three: every event has the same surroundings, however far one looks."""
    log = merged(ring(6), ring(3, 3), ring(6), ring(3, 3), ring(2, 4))
    traces = traces_of(log)
    found = find_execution_variants(traces, find_executions(traces, "connected"), equality=equality)
    assert found.of_execution.tolist() == [0, 1, 0, 1, 2]
    first, second, third = found.ids
    assert second == f"{first}-2"
    assert third == f"{first}-3"


def test_a_hash_is_the_same_in_every_log() -> None:
    order = from_traces({"o": ("order", ["a", "b", "c"]), "i": ("item", ["b", "c"])})
    other = from_traces({"z": ("Order", ["z", "b"]), "y": ("item", ["b"])})

    def ids(log: Log, equality: Equality = "labelled") -> list[str]:
        traces = traces_of(log)
        return find_execution_variants(traces, find_executions(traces, "connected"), equality=equality).ids.to_list()

    assert ids(order) == [ids(merged(other, order))[1]] == ["70631d62d775924e"]
    assert ids(order, "adams") != ids(order)


def crowd(seed: int, parts: int) -> Log:
    """Give an order with packages of three items each, all alike, the events of items in a random order."""
    chance = np.random.default_rng(seed)
    objects: dict[str, tuple[str, list[str]]] = {}
    activities = {"0": "place", "9": "pay"}
    for package in range(parts):
        activities[f"8{package}"] = "pack"
        for item in range(3):
            name = f"{package}.{item}"
            own = [f"{n}.{chance.random():.12f}" for n in (2, 3)]
            activities |= dict.fromkeys(own[:1], "pick") | dict.fromkeys(own[1:], "check")
            objects[f"i{name}"] = ("item", ["0", *own, f"8{package}"])
    objects["o"] = ("order", ["0", "9"])
    return from_traces(objects, activities)


def test_where_an_arbitrary_order_of_ties_fails_a_search_finds_the_bijection() -> None:
    log = merged(ring(7), ring(7, turned=3), ring(7, turned=2))
    assert codes(log) == [0, 0, 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution_variants, "_search", lambda pair: False)
        assert codes(log) != [0, 0, 0], "the first proposal is not always right"


@pytest.mark.parametrize("equality", EQUALITIES)
def test_many_parts_that_can_be_exchanged_take_no_search(equality: Equality) -> None:
    log = merged(crowd(1, 300), crowd(2, 300), crowd(3, 299))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution_variants, "_search", None)
        assert codes(log, equality) == [0, 0, 1]


def test_a_variant_tells_its_executions_and_an_example() -> None:
    order = from_traces({"o": ("order", ["a", "c"]), "i": ("item", ["b", "c"]), "e": ("item", [])})
    traces = traces_of(merged(order, order, order))
    tables = execution_tables(traces, [find_executions(traces, "connected")])
    row, empty = sorted(tables["gold.execution_variants"].rows(named=True), key=lambda row: -row["events"])
    assert (row["executions"], row["share"], row["events"], row["objects"]) == (3, 0.5, 3, 2)
    assert (row["example"], row["activities"]) == ("0i", ["a", "b", "c"])
    assert row["lanes"] == [{"object_type": "order", "events": [0, 2]}, {"object_type": "item", "events": [1, 2]}]
    assert [row[f"duration_{name}"] for name in ("min", "median", "mean", "max")] == [2e-6] * 4
    assert (empty["events"], empty["objects"], empty["lanes"], empty["duration_mean"]) == (0, 1, [], None)
    assert tables["ocel.process_executions"]["variant_id"].to_list() == [empty["variant_id"], row["variant_id"]] * 3


def test_of_a_long_example_the_beginning_is_kept() -> None:
    objects = {f"o{n:03}": ("order", [f"a{n:03}", f"b{n:03}", "z"]) for n in range(250)}
    traces = traces_of(from_traces(objects))
    tables = execution_tables(traces, [find_executions(traces, "connected")])
    (row,) = tables["gold.execution_variants"].rows(named=True)
    assert (row["events"], row["objects"]) == (501, 250)
    assert Counter(row["activities"]) == {"a": 250, "b": 150}
    assert [lane["events"] for lane in row["lanes"]] == [[n, 250 + n] for n in range(100)]


def test_an_execution_of_too_many_events_is_not_compared() -> None:
    log = merged(*(from_traces({"o": ("order", ["a", "b", "c"][:size])}) for size in (3, 2, 3, 2, 1)))
    traces = traces_of(log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution_variants, "MOST_EVENTS", 2)
        assert codes(log) == [-1, 0, -1, 0, 1]
        tables = execution_tables(traces, [find_executions(traces, "connected")])
    rare, often = tables["gold.execution_variants"].rows(named=True)
    assert [(row["executions"], row["share"], row["example"]) for row in (rare, often)] == [
        (1, 1 / 3, "4o"),
        (2, 2 / 3, "1o"),
    ]
    ids = [None, often["variant_id"], None, often["variant_id"], rare["variant_id"]]
    assert tables["ocel.process_executions"]["variant_id"].to_list() == ids
