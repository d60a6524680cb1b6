"""Optimal alignments against a search over the whole synchronous product."""

from __future__ import annotations

from heapq import heappop, heappush

from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.mining.alignments import Aligner, Alignment
from ocelake.mining.petri_nets import AcceptingNet, Marking
from tests.unit.reference_nets import BOUNDED, SEQUENCES, firable, fire, made_net


def optimum(net: AcceptingNet, sequence: list[str]) -> tuple[int, int] | None:
    """Give the least (deviations, silent moves) over all alignments; None where there is none."""
    done: set[tuple[int, Marking]] = set()
    heap = [(0, 0, 0, net.initial)]
    while heap:
        cost, silent, position, marking = heappop(heap)
        if (position, marking) in done:
            continue
        done.add((position, marking))
        if position == len(sequence) and marking == net.final:
            return cost, silent
        if position < len(sequence):
            heappush(heap, (cost + 1, silent, position + 1, marking))
        for transition in net.transitions:
            after = fire(marking, transition)
            if after is not None:
                visible = transition.label is not None
                heappush(heap, (cost + visible, silent + (not visible), position, after))
                if position < len(sequence) and transition.label == sequence[position]:
                    heappush(heap, (cost, silent, position + 1, after))
    return None


def check(net: AcceptingNet, sequence: list[str], found: Alignment) -> None:
    """Check that the moves are an alignment, and cost what they should."""
    marking, position, cost = net.initial, 0, 0
    for move, number in found.moves:
        if move in ("sync", "log"):
            position += 1
        if move in ("log", "model"):
            cost += 1
        if number is not None:
            transition = net.transitions[number]
            assert (transition.label is None) == (move == "silent")
            assert move != "sync" or transition.label == sequence[position - 1]
            after = fire(marking, transition)
            assert after is not None
            marking = after
        else:
            assert move == "log"
    assert (marking, position, cost) == (net.final, len(sequence), found.cost)


@settings(max_examples=500)
@given(BOUNDED, st.lists(SEQUENCES, min_size=1, max_size=3))
def test_alignments_are_optimal(net: AcceptingNet, sequences: list[list[str]]) -> None:
    aligner = Aligner(net)
    for sequence in sequences:
        found = aligner.align(sequence)
        expected = optimum(net, sequence)
        assert found.exhausted
        if expected is None:
            assert (found.cost, found.moves) == (None, ())
        else:
            check(net, sequence, found)
            assert (found.cost, sum(move == "silent" for move, _ in found.moves)) == expected


@settings(max_examples=300)
@given(BOUNDED, SEQUENCES)
def test_the_firable_prefix_is_the_longest(net: AcceptingNet, sequence: list[str]) -> None:
    aligner = Aligner(net)
    length, accepted = firable(net, sequence)
    for deviations in (True, False):
        found = aligner.align(sequence, deviations=deviations)
        assert found.firable == length
        assert (found.cost == 0) == accepted


def test_what_competes_with_the_next_activity_is_tried() -> None:
    # `a` can be fired, but takes the token that `b` needs, and only after `b` there is `c`.
    net = made_net(
        4, [({0}, {2}, "a"), ({0}, {3}, "b"), ({3}, {3}, "c"), ({3}, {1}, None), ({2}, {1}, None)]
    )  # fmt: skip
    sequence = ["a", "c", "c", "c"]
    found = Aligner(net).align(sequence)
    check(net, sequence, found)
    assert found.cost == 2


def test_orders_of_what_is_parallel_are_not_followed() -> None:
    # Fifteen branches, each of which may be skipped: 3 ** 15 markings.
    branches = range(2, 32, 2)
    arcs: list[tuple[set[int], set[int], str | None]] = [({0}, set(branches), "start")]
    for place in branches:
        arcs += [({place}, {place + 1}, f"b{place}"), ({place}, {place + 1}, None)]
    arcs.append(({place + 1 for place in branches}, {1}, "end"))
    net = made_net(32, arcs)
    found = Aligner(net).align(["start", "b4", "end"])
    assert (found.cost, len(found.moves)) == (0, 17)
    assert found.states < 50
    twice = Aligner(net).align(["start", "b4", "b8", "b4", "end"])
    assert twice.cost == 1
    assert twice.states < 1000


def test_beyond_the_limit_there_is_no_number() -> None:
    found = Aligner(made_net(3, [({0}, {0, 2}, None), ({2}, {1}, "a")]), limit=100).align(["b"])
    assert (found.cost, found.exhausted, found.states) == (None, False, 101)
