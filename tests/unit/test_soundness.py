"""Soundness: rules and bounded exploration against brute force, and against pm4py's Woflan."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from ocelake.mining.petri_nets import AcceptingNet, Ocpn
from ocelake.mining.soundness import check_soundness, model_soundness
from ocelake.tables import TABLES
from tests.pm4py_nets import discover, to_pm4py
from tests.unit.reference_nets import NETS, made_net, reachable, refined_nets


def by_brute_force(net: AcceptingNet) -> bool | None:
    """Check soundness by its definition; None for more than 2,000 markings."""
    following = reachable(net, 2000)
    if len(following) > 2000:
        return None
    completing = {net.final} & following.keys()
    while more := {m for m, steps in following.items() if completing & set(steps.values())} - completing:
        completing |= more
    proper = all(m == net.final or any(a < b for a, b in zip(m, net.final, strict=True)) for m in following)
    alive = {name for steps in following.values() for name in steps} == {t.name for t in net.transitions}
    return proper and alive and set(following) == completing


def is_workflow_net(net: AcceptingNet) -> bool:
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(net.places)))
    for t in net.transitions:
        graph.add_edges_from((place, t.name) for place in t.inputs)
        graph.add_edges_from((t.name, place) for place in t.outputs)
    return nx.descendants(graph, 0) | {0} == nx.ancestors(graph, 1) | {1} == set(graph)


@settings(max_examples=400)
@given(NETS)
def test_it_is_what_the_definition_says(net: AcceptingNet) -> None:
    expected = by_brute_force(net)
    found = check_soundness(net, limit=4000)
    if expected is None:
        assert not found.sound
    else:
        assert found.sound is expected, found
    assert found.reason
    assert (found.states == 0) <= bool(found.sound)


@settings(max_examples=30)
@given(refined_nets().filter(is_workflow_net).filter(lambda net: is_safe(net)))
def test_it_is_what_woflan_says_of_safe_workflow_nets(net: AcceptingNet) -> None:
    import pm4py

    assert check_soundness(net).sound is bool(pm4py.check_soundness(*to_pm4py(net))[0])


def is_safe(net: AcceptingNet) -> bool:
    """Whether no reachable marking has two tokens in a place."""
    return all(max(marking) <= 1 for marking in reachable(net, 2000))


def test_woflan_rejects_nets_that_no_state_machines_cover_though_they_are_sound() -> None:
    import pm4py

    # Two tokens that both activities may move to and fro, until both places have one. pm4py stops at a lack of
    # S-components, which is a hint of unsoundness, not a proof: the five reachable markings can all be completed.
    swap = net(4, [({0}, {2, 3}), ({2}, {3}), ({3}, {2}), ({2, 3}, {1})])
    assert check_soundness(swap).sound is by_brute_force(swap) is True
    sound, diagnostics = pm4py.check_soundness(*to_pm4py(swap))
    assert not sound
    assert diagnostics["s_components"] == []


def test_mined_nets_are_sound_by_construction() -> None:
    sequences = [list("abcde"), list("acbde"), list("ade"), list("abcdbcde"), list("bcdae"), list("fgfgf"), []]
    for n in range(1, len(sequences)):
        found = check_soundness(discover("order", sequences[:n]))
        assert (found.sound, found.states) == (True, 0)


def net(places: int, arcs: list[tuple[set[int], set[int]]]) -> AcceptingNet:
    """Make a net from place 0 to place 1, its labels a0, a1, ..."""
    return made_net(places, [(before, after, f"a{n}") for n, (before, after) in enumerate(arcs)])


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (net(4, [({0}, {2}), ({0}, {3}), ({2, 3}, {1})]), "the final marking cannot be reached from [p3]"),
        (net(4, [({0}, {2, 3}), ({2}, {1}), ({3}, {1})]), "tokens are left beside the final marking: [p1, p3]"),
        (net(3, [({0}, {2}), ({2}, {0, 2}), ({2}, {1})]), "unbounded: [p0, p2] can follow [p2]"),
        (net(3, [({0}, {1}), ({2}, {2})]), "dead: a1"),
        (net(3, [({0}, {1}), ({2}, {1})]), "dead: a1"),
    ],
)
def test_it_says_what_is_wrong(made: AcceptingNet, reason: str) -> None:
    found = check_soundness(made)
    assert (found.sound, found.reason) == (False, reason)


def test_beyond_the_limit_it_is_not_known() -> None:
    # Twelve parallel branches that an unreducible part keeps from reducing: 2 ** 12 markings and more.
    parallel = [({n}, {n + 12}) for n in range(2, 14)]
    ends = [({0}, set(range(2, 14))), (set(range(14, 26)), {26, 27})]
    crossing = [({26}, {28}), ({27}, {29}), ({26}, {30}), ({27}, {31}), ({28, 29}, {1}), ({30, 31}, {1})]
    assert check_soundness(net(32, parallel + ends + crossing), limit=1000).sound is None
    assert check_soundness(net(32, parallel + ends + crossing)).sound is False


def test_the_table_has_the_columns_of_the_registry() -> None:
    orders = discover("order", [list("abc"), list("ac")])
    frame = model_soundness(Ocpn((orders,), {}))
    spec = TABLES["gold.model_soundness"]
    expected = {name: dtype for name, dtype in spec.schema.items() if name not in ("log_id", "model_id")}
    assert dict(frame.schema) == expected
    row = frame.row(0, named=True)
    assert (row["places"], row["transitions"], row["silent"]) == (
        len(orders.places), len(orders.transitions), sum(t.label is None for t in orders.transitions),
    )  # fmt: skip
    assert row["density"] == orders.arcs / (2 * row["places"] * row["transitions"])
