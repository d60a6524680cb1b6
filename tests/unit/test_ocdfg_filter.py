"""Filtering an OC-DFG: what stays is connected, covers its share, and grows with the thresholds."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import networkx as nx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import OcelakeError
from ocelake.mining import mine_log
from ocelake.mining.ocdfg_filter import filter_ocdfg
from ocelake.ocel.generate import generate
from tests.unit.reference_mining import Log, logs

Graph = tuple[pl.DataFrame, pl.DataFrame]
SHARES = [0.0, 0.2, 0.5, 0.8, 0.95, 1.0]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw the OC-DFG of random traces of two types, several of them alike."""
    steps = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=7)
    return chains(*draw(st.lists(st.tuples(st.sampled_from("xy"), steps, st.integers(1, 4)), max_size=15)))


def chains(*traces: tuple[str, list[str], int]) -> Graph:
    """Give the OC-DFG of traces of a type, each of so many objects, and of an activity without objects."""
    starts: Counter[Any] = Counter()
    ends: Counter[Any] = Counter()
    edges: Counter[Any] = Counter()
    activities: set[tuple[str, str]] = set()
    for kind, steps, times in traces:
        activities |= {(kind, activity) for activity in steps}
        starts[kind, steps[0]] += times
        ends[kind, steps[-1]] += times
        edges.update({(kind, *pair): times * number for pair, number in Counter(pairwise(steps)).items()})
    names = sorted({activity for _, activity in activities} | {"audit"})
    nodes = [(kind, activity, starts[kind, activity], ends[kind, activity]) for kind, activity in sorted(activities)]
    return (
        pl.DataFrame(
            [*((None, name, None, None) for name in names), *nodes],
            schema={
                "object_type": pl.String,
                "activity": pl.String,
                "start_objects": pl.Int64,
                "end_objects": pl.Int64,
            },
            orient="row",
        ),
        pl.DataFrame(
            [(*edge, objects) for edge, objects in sorted(edges.items())],
            schema={"object_type": pl.String, "source": pl.String, "target": pl.String, "total_objects": pl.Int64},
            orient="row",
        ),
    )


def arcs(graph: Graph) -> dict[str, dict[tuple[str, str], int]]:
    """Give the arcs of each type, starts and ends included, and their objects."""
    nodes, edges = graph
    found: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for row in nodes.filter(pl.col("object_type").is_not_null()).iter_rows(named=True):
        for pair, objects in (
            (("START", row["activity"]), row["start_objects"]),
            ((row["activity"], "END"), row["end_objects"]),
        ):
            if objects:
                found[row["object_type"]][pair] = objects
    for row in edges.iter_rows(named=True):
        found[row["object_type"]][row["source"], row["target"]] = row["total_objects"]
    return found


def group(pair: tuple[str, str]) -> tuple[bool, bool]:
    return pair[0] == "START", pair[1] == "END"


def assert_connected(graph: Graph) -> None:
    nodes, _ = graph
    for kind, of_type in arcs(graph).items():
        drawn = nx.DiGraph(list(of_type))
        activities = set(nodes.filter(pl.col("object_type") == kind)["activity"])
        assert activities == set(drawn) - {"START", "END"}
        assert activities <= nx.descendants(drawn, "START")
        assert activities <= nx.ancestors(drawn, "END")


@settings(max_examples=80)
@given(graphs(), st.sampled_from(SHARES), st.integers(0, 5))
def test_every_activity_that_stays_is_on_a_way_from_start_to_end(graph: Graph, share: float, minimum: int) -> None:
    assert_connected(filter_ocdfg(*graph, coverage=share, minimum=minimum))
    assert_connected(filter_ocdfg(*graph, coverage={kind: share for kind in arcs(graph) if kind == "x"}))


@settings(max_examples=60)
@given(graphs(), st.sampled_from(SHARES))
def test_each_type_and_group_is_held_to_its_share(graph: Graph, share: float) -> None:
    kept = arcs(filter_ocdfg(*graph, coverage=share))
    for kind, of_type in arcs(graph).items():
        for which in {group(pair) for pair in of_type}:
            every = sum(objects for pair, objects in of_type.items() if group(pair) == which)
            held = sum(objects for pair, objects in kept[kind].items() if group(pair) == which)
            assert held >= share * every


@settings(max_examples=60)
@given(
    graphs(),
    st.lists(st.sampled_from(SHARES), min_size=2, max_size=2),
    st.lists(st.integers(0, 6), min_size=2, max_size=2),
)
def test_more_coverage_or_a_lower_minimum_never_loses_a_row(
    graph: Graph, shares: list[float], minima: list[int]
) -> None:
    def rows(share: float, minimum: int) -> set[Any]:
        nodes, edges = filter_ocdfg(*graph, coverage=share, minimum=minimum)
        return {
            *nodes.select("object_type", "activity").rows(),
            *edges.select("object_type", "source", "target").rows(),
        }

    assert rows(min(shares), max(minima)) <= rows(max(shares), min(minima))


@settings(max_examples=60)
@given(logs())
def test_no_threshold_is_no_change(log: Log) -> None:
    tables = mine_log(log.tables(), quarantined=0, publication_id="p")
    graph = tables["gold.ocdfg_nodes"], tables["gold.ocdfg_edges"]
    for kept, given_ in zip(filter_ocdfg(*graph), graph, strict=True):
        assert_frame_equal(kept, given_)


@settings(max_examples=60)
@given(graphs(), st.sampled_from(SHARES), st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_nothing(graph: Graph, share: float, random: Any) -> None:
    seed = random.randrange(1000)
    shuffled = [frame.sample(fraction=1, shuffle=True, seed=seed) for frame in graph]
    for one, other in zip(filter_ocdfg(*graph, coverage=share), filter_ocdfg(*shuffled, coverage=share), strict=True):
        assert_frame_equal(one, other, check_row_order=False)


@settings(max_examples=60)
@given(graphs(), st.sets(st.sampled_from("abcdefg")), st.sampled_from(SHARES))
def test_activities_that_are_asked_for_stay_and_are_connected(graph: Graph, asked: set[str], share: float) -> None:
    asked &= set(graph[0]["activity"])
    kept = filter_ocdfg(*graph, activities=asked, coverage=share)
    assert_connected(kept)
    wanted = graph[0].filter(pl.col("activity").is_in(sorted(asked)) & pl.col("object_type").is_not_null())
    missing = wanted.join(kept[0], on=["object_type", "activity"], how="anti")
    assert missing.is_empty()


def test_the_widest_way_connects_not_the_shortest() -> None:
    graph = chains(("x", ["a", "b", "c", "d"], 9), ("x", ["a", "d", "z", "d"], 1), ("x", ["z", "d"], 1))
    _, edges = filter_ocdfg(*graph, activities=["c"], coverage=0.0)
    assert edges.select("source", "target").rows() == [("a", "b"), ("b", "c"), ("c", "d")]
    nodes, _ = filter_ocdfg(*graph, coverage=0.5)
    typed = nodes.filter(pl.col("object_type").is_not_null())
    assert dict(typed.select("activity", "start_objects").iter_rows()) == {"a": 10, "b": 0, "c": 0, "d": 0}
    assert "z" not in nodes["activity"]


def test_a_rare_type_is_held_to_its_own_share_and_threshold() -> None:
    graph = chains(("many", ["a", "b"], 90), ("many", ["a", "c"], 10), ("rare", ["r", "s"], 2))
    assert set(filter_ocdfg(*graph, coverage=0.5)[1]["object_type"]) == {"many", "rare"}
    assert set(filter_ocdfg(*graph, minimum=10)[1]["object_type"]) == {"many"}
    _, edges = filter_ocdfg(*graph, minimum={"many": 11})
    assert edges["target"].to_list() == ["b", "s"]
    nodes, edges = filter_ocdfg(*graph, object_types=["rare"])
    assert set(nodes["activity"]) == {"r", "s"}
    assert edges["object_type"].to_list() == ["rare"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coverage": 1.2}, "no share"),
        ({"coverage": {"x": -1.0}}, "no share"),
        ({"coverage": {"y": 0.5}}, "no object type 'y'"),
        ({"object_types": ["order"]}, "no object type 'order'"),
        ({"activities": ["pay"]}, "no activity 'pay'"),
    ],
)
def test_what_is_not_there_is_refused_by_name(options: Any, message: str) -> None:
    with pytest.raises(OcelakeError, match=message):
        filter_ocdfg(*chains(("x", ["a", "b"], 1)), **options)


def test_a_generated_log_is_filtered_to_its_backbone() -> None:
    tables = mine_log(dict(generate(events=1500, seed=7).frames()), quarantined=0, publication_id="p")
    graph = tables["gold.ocdfg_nodes"], tables["gold.ocdfg_edges"]
    sizes = []
    for share in SHARES:
        kept = filter_ocdfg(*graph, coverage=share)
        assert_connected(kept)
        sizes.append(len(kept[1]))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == len(graph[1])
    assert all(a != b for a, b in pairwise(sizes[:3]))
