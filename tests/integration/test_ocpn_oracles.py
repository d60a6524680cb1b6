"""The Inductive Miner, object-centric Petri nets and PNML against pm4py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import networkx as nx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.mining import encode
from ocelake.mining.inductive import VariantLog, discover_tree, net_of_tree
from ocelake.mining.ocpn import discover_ocpn
from ocelake.mining.petri_nets import AcceptingNet, Ocpn
from ocelake.mining.pnml import from_pnml, to_pnml
from ocelake.ocel import Ocel
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log
from tests.integration.test_mining_oracles import as_pm4py
from tests.unit.reference_mining import Log

FLAGS = [(fall_throughs, strict) for fall_throughs in (False, True) for strict in (False, True)]

SMALL = (
    "ocel1/BPI150to550executionprocess.jsonocel",
    "ocel1/example_log.jsonocel",
    "ocel1/first10ep.jsonocel",
    "ocel1/github_pm4py.jsonocel",
    "ocel1/minimal_nested.jsonocel",
    "ocel1/newocel.jsonocel",
    "ocel1/ocel_order_simulated.csv",
    "ocel1/order_process.jsonocel",
    "ocel1/p2p-normal.jsonocel",
    "ocel1/recruiting-red.jsonocel",
    "ocel2/QEL_Inventory_Management_extended.xml",
    "ocel2/logistics.sqlite",
    "ocel2/ocel20_example.jsonocel",
    "ocel2/ocel_inventory_management.xml",
    "ocel2/pallet-logistics-v0.9.sqlite",
    "ocel2/running-example.sqlite",
)
LARGE = ("ocel2/permitflow.sqlite.gz",)


# --- graphs that are isomorphic exactly where nets are the same


def graph_of(nodes: Iterable[tuple[Any, Any]], arcs: Iterable[tuple[Any, Any, bool]]) -> nx.DiGraph:
    """Give the graph of a net; colour refinement leaves the isomorphism test little to search for."""
    graph = nx.DiGraph()
    for node, kind in nodes:
        graph.add_node(node, kind=kind)
    for source, target, variable in arcs:
        assert not graph.has_edge(source, target), "an arc of weight two"
        graph.add_edge(source, target, variable=variable)
    colours: dict[Any, Any] = {node: repr(kind) for node, kind in graph.nodes("kind")}
    while True:
        around = {
            node: (
                colours[node],
                sorted((colours[other], graph[other][node]["variable"]) for other in graph.pred[node]),
                sorted((colours[other], graph[node][other]["variable"]) for other in graph.succ[node]),
            )
            for node in graph
        }
        ranks = {repr(found): rank for rank, found in enumerate(sorted(around.values()))}
        refined = {node: ranks[repr(found)] for node, found in around.items()}
        if len(ranks) == len(set(colours.values())):
            nx.set_node_attributes(graph, refined, "colour")
            return graph
        colours = refined


def same(ours: nx.DiGraph, theirs: nx.DiGraph) -> bool:
    nodes = nx.algorithms.isomorphism.categorical_node_match(["kind", "colour"], [None, None])
    arcs = nx.algorithms.isomorphism.categorical_edge_match("variable", None)
    colours = [Counter(nx.get_node_attributes(graph, "colour").values()) for graph in (ours, theirs)]
    return colours[0] == colours[1] and bool(nx.is_isomorphic(ours, theirs, nodes, arcs))


def of_ocpn(ocpn: Ocpn) -> nx.DiGraph:
    nodes: dict[Any, Any] = {}
    arcs = []
    for net in ocpn.nets:
        kind = net.object_type
        for name, initial, final in zip(net.places, net.initial, net.final, strict=True):
            nodes["place", kind, name] = ("place", kind, initial, final)
        for transition in net.transitions:
            label = transition.label
            node = ("silent", kind, transition.name) if label is None else ("visible", label)
            nodes[node] = ("silent",) if label is None else node
            variable = label is not None and ocpn.cardinalities[kind, label].variable
            arcs += [(("place", kind, net.places[place]), node, variable) for place in transition.inputs]
            arcs += [(node, ("place", kind, net.places[place]), variable) for place in transition.outputs]
    return graph_of(nodes.items(), arcs)


def of_pm4py_ocpn(ocpn: Any, kinds: set[str]) -> nx.DiGraph:
    """Give the graph of pm4py's net; types that no event has are left out, as are transitions without an arc."""
    places = [place for place in ocpn.places if place.object_type in kinds]
    arcs = [arc for arc in ocpn.arcs if arc.object_type in kinds]
    steps = {node for arc in arcs for node in (arc.source, arc.target)} - set(places)

    def marked(marking: Any, place: Any) -> int:
        return max(marking[place].values(), default=0)

    return graph_of(
        [
            *(
                (p, ("place", p.object_type, marked(ocpn.initial_marking, p), marked(ocpn.final_marking, p)))
                for p in places
            ),
            *((t, ("visible", t.label) if t.label else ("silent",)) for t in steps),
        ],
        [(arc.source, arc.target, arc.is_variable) for arc in arcs],
    )


def of_net(net: AcceptingNet) -> nx.DiGraph:
    return graph_of(
        [
            *((n, ("place", *tokens)) for n, tokens in enumerate(zip(net.initial, net.final, strict=True))),
            *((t.name, ("silent",) if t.label is None else ("visible", t.label)) for t in net.transitions),
        ],
        [
            *((place, t.name, False) for t in net.transitions for place in t.inputs),
            *((t.name, place, False) for t in net.transitions for place in t.outputs),
        ],
    )


def of_pm4py_net(net: Any, initial: Any, final: Any) -> nx.DiGraph:
    return graph_of(
        [
            *((place, ("place", initial.get(place, 0), final.get(place, 0))) for place in net.places),
            *((t, ("silent",) if t.label is None else ("visible", t.label)) for t in net.transitions),
        ],
        [(arc.source, arc.target, False) for arc in net.arcs],
    )


# --- the miner


def pm4py_tree(traces: Sequence[Sequence[str]], fall_throughs: bool, strict: bool) -> Any:
    """Mine as pm4py does, from the variants; folded and sorted."""
    from pm4py.algo.discovery.inductive.dtypes.im_ds import IMDataStructureUVCL
    from pm4py.algo.discovery.inductive.variants.im import IMUVCL
    from pm4py.objects.process_tree.utils import generic

    parameters = {"disable_fallthroughs": not fall_throughs, "disable_strict_sequence_cut": not strict}
    tree = IMUVCL(parameters).apply(IMDataStructureUVCL(Counter(map(tuple, traces))), parameters)
    tree = generic.fold(tree)
    generic.tree_sort(tree)
    return tree


def written(tree: Any) -> str:
    return "".join(character for character in str(tree) if character not in " '")


def check_miner(traces: Sequence[Sequence[str]]) -> None:
    """Compare trees and nets under all four combinations of the flags."""
    from pm4py.objects.conversion.process_tree import converter

    for fall_throughs, strict in FLAGS:
        theirs = pm4py_tree(traces, fall_throughs, strict)
        log = VariantLog.of(traces)
        ours = discover_tree(log, fall_throughs=fall_throughs, strict_sequence_cut=strict)
        assert written(ours) == written(theirs)
        assert same(of_net(net_of_tree(ours, "order")), of_pm4py_net(*converter.apply(theirs)))


@settings(max_examples=60)
@given(st.lists(st.text("abcde", max_size=6), min_size=1, max_size=7).filter(any))
def test_any_traces_give_the_tree_and_net_of_pm4py(traces: list[str]) -> None:
    check_miner(traces)


@pytest.mark.parametrize("seed", range(60))
def test_traces_of_a_random_tree_give_the_tree_and_net_of_pm4py(seed: int) -> None:
    random = Random(seed)
    draw = random_process(random, "abcdefgh"[: random.randint(2, 8)])
    traces = [draw() for _ in range(random.choice([2, 5, 20]))]
    check_miner(traces if any(traces) else [*traces, "a"])


def random_process(random: Random, alphabet: str) -> Any:
    """Give a function that draws a trace of a random process tree."""
    if len(alphabet) == 1:
        return lambda: alphabet
    cut = random.randint(1, len(alphabet) - 1)
    first, second = random_process(random, alphabet[:cut]), random_process(random, alphabet[cut:])

    def interleaved() -> str:
        left, right = list(first()), list(second())
        trace = ""
        while left or right:
            taken = left if left and (not right or random.random() < 0.5) else right
            trace += taken.pop(0)
        return trace

    def loop() -> str:
        trace = str(first())
        while random.random() < 0.4:
            trace += second() + first()
        return trace

    return random.choice(
        [
            lambda: first() + second(),
            lambda: first() + (second() if random.random() < 0.5 else ""),
            lambda: first() if random.random() < 0.5 else second(),
            interleaved,
            loop,
        ]
    )


# --- the whole net


def with_events(ocel: Ocel) -> Ocel:
    """Leave out the types that no event has: pm4py fails on them (KeyError), and they have no net."""
    return replace(
        ocel, objects=ocel.objects.filter(pl.col("object_type").is_in(ocel.event_objects["object_type"].implode()))
    )


def mine(ocel: Ocel, **parameters: Any) -> Ocpn:
    frames = dict(ocel.frames())
    return discover_ocpn(
        encode(frames["ocel.event_objects"], frames["ocel.objects"], frames["ocel.events"]), **parameters
    )


def check_ocpn(ocel: Ocel) -> None:
    import pm4py

    ours = mine(ocel, variable_arcs="pm4py")
    theirs = pm4py.discover_oc_petri_net(as_pm4py(with_events(ocel)))
    assert same(of_ocpn(ours), of_pm4py_ocpn(theirs, {net.object_type for net in ours.nets}))


@pytest.mark.data
@pytest.mark.parametrize("name", SMALL)
def test_the_net_of_a_real_log_is_that_of_pm4py(data: Path, name: str) -> None:
    check_ocpn(read_log(data / name).ocel)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_the_net_of_a_large_real_log_is_that_of_pm4py(data: Path, name: str) -> None:
    check_ocpn(read_log(data / name).ocel)


@pytest.mark.parametrize(("events", "seed"), [(40, 1), (300, 2), (1500, 7)])
def test_the_net_of_a_generated_log_is_that_of_pm4py(events: int, seed: int) -> None:
    check_ocpn(generate(events=events, seed=seed))


@pytest.mark.parametrize(("fall_throughs", "strict"), FLAGS)
def test_flags_reach_the_miner_of_every_type(fall_throughs: bool, strict: bool) -> None:
    ocel = generate(events=600, seed=3)
    ours = mine(ocel, fall_throughs=fall_throughs, strict_sequence_cut=strict, variable_arcs="pm4py")
    from pm4py.algo.discovery.ocel.ocpn import algorithm

    theirs = algorithm.apply(
        as_pm4py(with_events(ocel)),
        parameters={"disable_fallthroughs": not fall_throughs, "disable_strict_sequence_cut": not strict},
    )
    assert same(of_ocpn(ours), of_pm4py_ocpn(theirs, {net.object_type for net in ours.nets}))


def test_pm4py_fails_on_a_type_that_no_event_has() -> None:
    """The smallest log: one event of one object, and an object of another type. Ours has no net for that type."""
    import pm4py

    log = Log({"e": ("pay", 0, 0)}, {"o": "order", "p": "product"}, [("e", "o", "")])
    tables = log.tables()
    ocel = Ocel(**{name: tables[f"ocel.{name}"] for name in ("events", "objects", "event_objects")})
    with pytest.raises(KeyError, match="product"):
        pm4py.discover_oc_petri_net(as_pm4py(ocel))
    assert [net.object_type for net in mine(ocel).nets] == ["order"]


# --- exchange


def test_pm4py_opens_our_pnml_and_we_open_its(tmp_path: Path) -> None:
    import pm4py

    for net in mine(generate(events=300, seed=2)).nets:
        path = tmp_path / "ours.pnml"
        path.write_text(to_pnml(net), encoding="utf-8")
        opened = pm4py.read_pnml(str(path))
        assert same(of_net(net), of_pm4py_net(*opened))
        pm4py.write_pnml(*opened, str(tmp_path / "theirs.pnml"))
        back = from_pnml((tmp_path / "theirs.pnml").read_bytes())
        assert same(of_net(back), of_net(net))
