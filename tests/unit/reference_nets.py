"""Small random nets and sequences, and the firing rule in plain Python, to compare on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from ocelake.mining.petri_nets import AcceptingNet, Marking, Transition


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


def reachable(net: AcceptingNet, most: int) -> dict[Marking, dict[str, Marking]]:
    """Give each reachable marking and what follows it by transition; stops after so many markings."""
    following: dict[Marking, dict[str, Marking]] = {}
    open_ = [net.initial]
    while open_ and len(following) <= most:
        marking = open_.pop()
        if marking not in following:
            following[marking] = {t.name: after for t in net.transitions if (after := fire(marking, t)) is not None}
            open_.extend(following[marking].values())
    return following


def silent_steps(net: AcceptingNet, marking: Marking) -> Iterator[Marking]:
    """Give the markings after one silent transition."""
    for transition in net.transitions:
        after = fire(marking, transition)
        if transition.label is None and after is not None:
            yield after


def silently(net: AcceptingNet, markings: set[Marking]) -> set[Marking]:
    """Add the markings that silent transitions lead to."""
    found = set(markings)
    open_ = list(markings)
    while open_:
        for after in silent_steps(net, open_.pop()):
            if after not in found:
                found.add(after)
                open_.append(after)
    return found


def firable(net: AcceptingNet, sequence: Sequence[str]) -> tuple[int, bool]:
    """Give the length of the longest prefix that can be fired, and whether the whole sequence is accepted."""
    markings = silently(net, {net.initial})
    for position, activity in enumerate(sequence):
        steps = (fire(m, t) for m in markings for t in net.transitions if t.label == activity)
        markings = silently(net, {after for after in steps if after is not None})
        if not markings:
            return position, False
    return len(sequence), net.final in markings


def made_net(places: int, arcs: Sequence[tuple[set[int], set[int], str | None]]) -> AcceptingNet:
    """Make a net from place 0 to place 1."""
    transitions = tuple(
        Transition(f"t{n}", label, tuple(sorted(before)), tuple(sorted(after)))
        for n, (before, after, label) in enumerate(arcs)
    )
    initial, final = (tuple(int(p == end) for p in range(places)) for end in (0, 1))
    return AcceptingNet("order", tuple(f"p{n}" for n in range(places)), transitions, initial, final)


LABELS = st.sampled_from(["a", "b", "c", "d", None, None])


@st.composite
def wild_nets(draw: st.DrawFn) -> AcceptingNet:
    """Draw small nets from place 0 to place 1, many of them no workflow nets, most of them unsound."""
    places = draw(st.integers(2, 6))
    before = st.sets(st.integers(0, places - 1).filter(lambda p: p != 1), min_size=1, max_size=2)
    after = st.sets(st.integers(1, places - 1), min_size=1, max_size=2)
    return made_net(places, draw(st.lists(st.tuples(before, after, LABELS), min_size=1, max_size=7)))


@st.composite
def refined_nets(draw: st.DrawFn, spoilt: int = 2) -> AcceptingNet:
    """Draw nets by refining one transition, then change up to so many arcs: about half of them are sound."""
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
    for _ in range(draw(st.integers(0, spoilt))):
        ins, outs = arcs[draw(st.integers(0, len(arcs) - 1))]
        place = draw(st.integers(0, places - 1))
        if draw(st.booleans()) and place != 1:
            ins ^= {place} if ins != {place} else set()
        elif place != 0:
            outs ^= {place} if outs != {place} else set()
    return made_net(places, [(ins, outs, draw(LABELS)) for ins, outs in arcs])


NETS = st.one_of(wild_nets(), refined_nets(), refined_nets(spoilt=0))
BOUNDED = NETS.filter(lambda net: len(reachable(net, 300)) <= 300)
SEQUENCES = st.lists(st.sampled_from(["a", "b", "c", "d", "x"]), max_size=6)
