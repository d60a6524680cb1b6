"""The Inductive Miner: cuts, fall-throughs, normal form, and nets that every trace fits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.mining.inductive import TAU, Operator, ProcessTree, VariantLog, discover_tree, fold, net_of_tree
from ocelake.mining.inductive.cuts import DirectlyFollows, directly_follows, loop_cut, parallel_cut, strict_sequence_cut
from ocelake.mining.inductive.trees import leaf
from ocelake.mining.petri_nets import AcceptingNet

FLAGS = pytest.mark.parametrize(
    ("fall_throughs", "strict"), [(flag, other) for flag in (False, True) for other in (False, True)]
)

some_traces = st.lists(st.text("abcde", max_size=6), min_size=1, max_size=7)


def graph(*traces: str) -> DirectlyFollows:
    return directly_follows(VariantLog.of(traces))


def parts(traces: Sequence[str], groups: np.ndarray | None) -> list[str] | None:
    labels = sorted(set("".join(traces)))
    if groups is None:
        return None
    numbers = range(groups.max() + 1)
    return ["".join(label for label, group in zip(labels, groups, strict=True) if group == n) for n in numbers]


def mined(*traces: str, fall_throughs: bool = False, strict: bool = False) -> str:
    tree = discover_tree(VariantLog.of(traces), fall_throughs=fall_throughs, strict_sequence_cut=strict)
    return written(tree)


def written(tree: ProcessTree) -> str:
    """Write a tree, children of choices and parallel nodes in alphabetical order."""
    if tree.operator is None:
        return tree.label or "tau"
    children = [written(child) for child in tree.children]
    if tree.operator in (Operator.XOR, Operator.PARALLEL):
        children.sort(key=lambda child: (child != "tau", child))
    return f"{tree.operator.value}({','.join(children)})"


def accepts(net: AcceptingNet, trace: Sequence[str]) -> bool:
    """Replay a trace by trying everything; every place of a sound net holds one token at most."""

    def fire(markings: set[frozenset[int]], label: str | None) -> set[frozenset[int]]:
        return {
            (marking - set(step.inputs)) | set(step.outputs)
            for marking in markings
            for step in net.transitions
            if step.label == label and marking.issuperset(step.inputs)
        }

    def silent(markings: set[frozenset[int]]) -> set[frozenset[int]]:
        while not (found := fire(markings, None)) <= markings:
            markings = markings | found
        return markings

    reached = silent({frozenset(place for place, tokens in enumerate(net.initial) if tokens)})
    for label in trace:
        reached = silent(fire(reached, label))
    return frozenset(place for place, tokens in enumerate(net.final) if tokens) in reached


@pytest.mark.parametrize(
    ("traces", "tree"),
    [
        (["a"], "a"),
        (["ab"], "->(a,b)"),
        (["a", "b"], "X(a,b)"),
        (["ab", "ba"], "+(a,b)"),
        (["a", "aba"], "*(a,b)"),
        (["a", ""], "X(tau,a)"),
        (["aa"], "*(tau,a)"),
        (["abcd", "acbd", "aed"], "->(a,X(+(b,c),e),d)"),
        (["abcdefbdceg", "abdceg", "abcdefbcdefbdceg"], "->(a,*(->(b,+(c,d),e),f),g)"),
    ],
)
def test_known_trees(traces: list[str], tree: str) -> None:
    assert mined(*traces) == tree


def test_without_a_cut_the_flags_decide() -> None:
    # b once in each trace; c is that, or comes and goes.
    assert mined("abcab", "cab") == "*(tau,X(a,b,c))"
    assert mined("abac", "caba", "bca", fall_throughs=True).startswith("+(")
    assert mined("aa", fall_throughs=True) == "*(a,tau)"
    assert mined("abcd", "ad") == "->(a,X(tau,b),X(tau,c),d)"
    assert mined("abcd", "ad", strict=True) == "->(a,X(tau,->(b,c)),d)"


def test_groups_that_are_reached_or_left_only_through_a_skippable_one_join_it() -> None:
    assert parts("abcde", strict_sequence_cut(graph("abcde", "ae", "abe"))) == ["a", "bcd", "e"]
    assert parts("abcde", strict_sequence_cut(graph("abcde", "ae", "ade"))) == ["a", "bcd", "e"]
    assert parts("abcd", strict_sequence_cut(graph("abcd", "abd", "acd"))) == ["a", "b", "c", "d"]
    assert parts("abc", strict_sequence_cut(graph("abc", "c"))) == ["ab", "c"]
    assert parts("abc", strict_sequence_cut(graph("abc", "a"))) == ["a", "bc"]


def test_a_part_without_start_or_end_joins_another() -> None:
    # All follow one another, but no trace starts or ends with c; then the same with a, which has none before it.
    traces = ["acbca", "bcacb", "acb", "abcba", "abab", "bacab"]
    assert parts("abc", parallel_cut(graph(*traces))) == ["a", "bc"]
    renamed = [trace.translate(str.maketrans("abc", "bca")) for trace in traces]
    assert parts("abc", parallel_cut(graph(*renamed))) == ["ab", "c"]


def test_what_leads_back_comes_from_every_end_and_leads_to_every_start() -> None:
    assert parts("abc", loop_cut(graph("ab", "abcab"))) == ["ab", "c"]
    assert loop_cut(graph("ab", "db", "abcab")) is None
    assert loop_cut(graph("ab", "ad", "abcab")) is None


def test_fold_joins_nested_operators_and_drops_silent_steps() -> None:
    choice = ProcessTree(Operator.XOR, (leaf("b"), ProcessTree(Operator.XOR, (TAU, leaf("a"), TAU))))
    tree = ProcessTree(Operator.SEQUENCE, (TAU, ProcessTree(Operator.SEQUENCE, (leaf("c"), choice)), TAU))
    assert written(fold(tree)) == "->(c,X(tau,a,b))"
    assert fold(ProcessTree(Operator.LOOP, (TAU, TAU))) == TAU
    nested = ProcessTree(Operator.LOOP, (ProcessTree(Operator.LOOP, (leaf("a"), TAU)), TAU))
    assert fold(nested) == nested


@settings(max_examples=60)
@given(some_traces, st.booleans(), st.booleans())
def test_every_trace_fits_the_net(traces: list[str], fall_throughs: bool, strict: bool) -> None:
    tree = discover_tree(VariantLog.of(traces), fall_throughs=fall_throughs, strict_sequence_cut=strict)
    net = net_of_tree(tree, "order")
    assert all(accepts(net, trace) for trace in traces)


@settings(max_examples=30)
@given(some_traces, st.booleans(), st.booleans(), st.randoms())
def test_neither_order_nor_frequency_matters(traces: list[str], fall_throughs: bool, strict: bool, random) -> None:
    shuffled = traces + random.choices(traces, k=3)
    random.shuffle(shuffled)
    flags = {"fall_throughs": fall_throughs, "strict": strict}
    assert mined(*traces, **flags) == mined(*shuffled, **flags)


@settings(max_examples=60)
@given(some_traces, st.booleans(), st.booleans())
def test_nets_are_workflow_nets_of_the_traces_activities(traces: list[str], fall_throughs: bool, strict: bool) -> None:
    tree = discover_tree(VariantLog.of(traces), fall_throughs=fall_throughs, strict_sequence_cut=strict)
    net = net_of_tree(tree, "order")
    source, sink = net.places.index("source"), net.places.index("sink")
    assert (sum(net.initial), net.initial[source], sum(net.final), net.final[sink]) == (1, 1, 1, 1)
    fed = {place for step in net.transitions for place in step.outputs}
    drained = {place for step in net.transitions for place in step.inputs}
    places = set(range(len(net.places)))
    assert fed == places - {source}
    assert drained == places - {sink}
    assert sorted(step.label for step in net.transitions if step.label) == sorted(set("".join(traces)))
    names = [step.name for step in net.transitions]
    assert names == sorted(set(names))
    assert list(net.places) == sorted(set(net.places))


@FLAGS
def test_silent_transitions_are_not_named_as_activities(fall_throughs: bool, strict: bool) -> None:
    log = VariantLog.of(permutations(["tau1", "tau2", "tau_1"]))
    net = net_of_tree(discover_tree(log, fall_throughs=fall_throughs, strict_sequence_cut=strict), "order")
    names = {step.name: step.label for step in net.transitions}
    assert names == {"tau1": "tau1", "tau2": "tau2", "tau_1": "tau_1", "tau__1": None, "tau__2": None}


def test_a_long_log_of_many_activities_is_no_matter() -> None:
    labels = [f"step {n:03}" for n in range(150)]
    tree = discover_tree(VariantLog.of([labels, labels[::2]]))
    assert tree.operator is Operator.SEQUENCE
    assert len(tree.children) == 150


def test_choices_may_be_nested_however_deep() -> None:
    # After each step the process goes on, or ends with an activity that nothing else leads to.
    traces = [[*(f"step {n}" for n in range(exit)), f"exit {exit}"] for exit in range(250)]
    tree = discover_tree(VariantLog.of(traces))
    assert str(tree).count("->( 'step ") == str(tree).count("X( ") == 249
    tree = leaf("a")
    for n in range(3000):
        choice = ProcessTree(Operator.XOR, (tree, leaf(f"exit {n}")))
        tree = ProcessTree(Operator.SEQUENCE, (leaf(f"step {n}"), choice))
    tree = fold(tree)
    assert str(tree).count("X( ") == 3000
    net = net_of_tree(tree, "order")
    assert len(net.transitions) == 6001
    assert len(net.places) == 3002
