"""Soundness: rules and bounded exploration against brute force, and against pm4py's Woflan."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.mining.petri_nets import AcceptingNet, Marking, Ocpn, Transition
from ocelake.mining.soundness import check_soundness, model_soundness
from ocelake.tables import TABLES
from tests.pm4py_nets import discover, to_pm4py


def fire(marking: Marking, transition: Transition) -> Marking | None:
    """Give the marking after a transition; None where it is not enabled."""
    tokens = list(marking)
    for place in transition.inputs:
        tokens[place] -= 1
        if tokens[place] < 0:
            return None
    for place in transition.outputs:
        tokens[place] += 1
    return tuple(tokens)


def by_brute_force(net: AcceptingNet) -> bool | None:
    """Check soundness by its definition; None for more than 2,000 markings."""
    following: dict[Marking, dict[str, Marking]] = {}
    open_ = [net.initial]
    while open_:
        marking = open_.pop()
        if marking in following:
            continue
        steps = {t.name: after for t in net.transitions if (after := fire(marking, t)) is not None}
        following[marking] = steps
        open_.extend(steps.values())
        if len(following) > 2000:
            return None
    completing = {net.final} & following.keys()
    while more := {m for m, steps in following.items() if completing & set(steps.values())} - completing:
        completing |= more
    proper = all(m == net.final or any(a < b for a, b in zip(m, net.final, strict=True)) for m in following)
    alive = {name for steps in following.values() for name in steps} == {t.name for t in net.transitions}
    return proper and alive and set(following) == completing


@st.composite
def workflow_nets(draw: st.DrawFn) -> AcceptingNet:
    """Draw small nets from place 0 to place 1, many of them no workflow nets, most of them unsound."""
    places = draw(st.integers(2, 6))
    before = st.sets(st.integers(0, places - 1).filter(lambda p: p != 1), min_size=1, max_size=2)
    after = st.sets(st.integers(1, places - 1), min_size=1, max_size=2)
    arcs = draw(st.lists(st.tuples(before, after), min_size=1, max_size=7))
    transitions = tuple(
        Transition(f"t{n}", None if n % 2 else f"a{n}", tuple(sorted(ins)), tuple(sorted(outs)))
        for n, (ins, outs) in enumerate(arcs)
    )
    initial, final = (tuple(int(p == end) for p in range(places)) for end in (0, 1))
    return AcceptingNet("order", tuple(f"p{n}" for n in range(places)), transitions, initial, final)


@st.composite
def refined_nets(draw: st.DrawFn) -> AcceptingNet:
    """Draw nets by refining one transition, then add or leave out an arc or two: about half of them are sound."""
    places = 2
    arcs: list[tuple[set[int], set[int]]] = [({0}, {1})]
    for _ in range(draw(st.integers(0, 5))):
        chosen = draw(st.integers(0, len(arcs) - 1))
        ins, outs = arcs[chosen]
        kind = draw(st.sampled_from(["sequence", "choice", "parallel", "loop"]))
        if kind == "sequence":
            arcs[chosen] = (ins, {places})
            arcs.append(({places}, outs))
            places += 1
        elif kind == "choice":
            arcs.append((set(ins), set(outs)))
        elif kind == "parallel":
            arcs[chosen] = (ins, {places, places + 1})
            arcs += [({places}, {places + 2}), ({places + 1}, {places + 3}), ({places + 2, places + 3}, outs)]
            places += 4
        else:
            arcs[chosen] = (ins, {places})
            arcs += [({places}, {places + 1}), ({places + 1}, {places}), ({places + 1}, outs)]
            places += 2
    for _ in range(draw(st.integers(0, 2))):
        ins, outs = arcs[draw(st.integers(0, len(arcs) - 1))]
        place = draw(st.integers(0, places - 1))
        if draw(st.booleans()) and place != 1:
            ins ^= {place} if ins != {place} else set()
        elif place != 0:
            outs ^= {place} if outs != {place} else set()
    transitions = tuple(
        Transition(f"t{n}", f"a{n}", tuple(sorted(i)), tuple(sorted(o))) for n, (i, o) in enumerate(arcs)
    )
    initial, final = (tuple(int(p == end) for p in range(places)) for end in (0, 1))
    return AcceptingNet("order", tuple(f"p{n}" for n in range(places)), transitions, initial, final)


def is_workflow_net(net: AcceptingNet) -> bool:
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(net.places)))
    for t in net.transitions:
        graph.add_edges_from((place, t.name) for place in t.inputs)
        graph.add_edges_from((t.name, place) for place in t.outputs)
    return nx.descendants(graph, 0) | {0} == nx.ancestors(graph, 1) | {1} == set(graph)


@settings(max_examples=400, deadline=None)
@given(st.one_of(workflow_nets(), refined_nets()))
def test_it_is_what_the_definition_says(net: AcceptingNet) -> None:
    expected = by_brute_force(net)
    found = check_soundness(net, limit=4000)
    if expected is None:
        assert not found.sound
    else:
        assert found.sound is expected, found
    assert found.reason
    assert (found.states == 0) <= bool(found.sound)


@settings(max_examples=30, deadline=None)
@given(refined_nets().filter(is_workflow_net).filter(lambda net: is_safe(net)))
def test_it_is_what_woflan_says_of_safe_workflow_nets(net: AcceptingNet) -> None:
    import pm4py

    assert check_soundness(net).sound is bool(pm4py.check_soundness(*to_pm4py(net))[0])


def is_safe(net: AcceptingNet) -> bool:
    """Whether no reachable marking has two tokens in a place."""
    found: set[Marking] = set()
    open_ = [net.initial]
    while open_:
        marking = open_.pop()
        if max(marking) > 1:
            return False
        if marking not in found:
            found.add(marking)
            open_.extend(after for t in net.transitions if (after := fire(marking, t)) is not None)
    return True


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
    """Make a net from place 0 to place 1."""
    transitions = tuple(
        Transition(f"t{n}", f"a{n}", tuple(sorted(i)), tuple(sorted(o))) for n, (i, o) in enumerate(arcs)
    )
    initial, final = (tuple(int(p == end) for p in range(places)) for end in (0, 1))
    return AcceptingNet("order", tuple(f"p{n}" for n in range(places)), transitions, initial, final)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (net(4, [({0}, {2}), ({0}, {3}), ({2, 3}, {1})]), "the final marking cannot be reached from [p3]"),
        (net(4, [({0}, {2, 3}), ({2}, {1}), ({3}, {1})]), "tokens are left beside the final marking: [p1, p3]"),
        (net(3, [({0}, {2}), ({2}, {0, 2}), ({2}, {1})]), "unbounded: [p0, p2] can follow [p2]"),
        (net(3, [({0}, {1}), ({2}, {2})]), "dead: a1"),
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
