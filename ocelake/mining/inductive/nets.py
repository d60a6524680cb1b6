"""From a process tree to an accepting net of the same language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from ocelake.mining.inductive.trees import TAU, Operator, ProcessTree
from ocelake.mining.petri_nets import AcceptingNet, Transition, canonical_net

__all__ = ["net_of_tree"]

_SOURCE, _SINK = 0, 1

_Fragment: TypeAlias = tuple[ProcessTree, int, int]
"""A tree to be added, and the places that it stands between."""


def net_of_tree(tree: ProcessTree, object_type: str) -> AcceptingNet:
    """Translate a tree into a net, without the silent transitions that do nothing.

    Parameters
    ----------
    tree : ProcessTree
        Folded, each label at most once.
    object_type : str
        The type whose objects are the net's tokens.

    Returns
    -------
    AcceptingNet
        A sound workflow net from ``source`` to ``sink``. Other places are named ``p1``, ..., silent transitions
        ``tau1``, ..., and visible ones as their labels; all stand in the order of their names.

    Notes
    -----
    Each operator becomes the net fragment of van der Aalst, Process Mining (2016), section 7.5; a silent transition is
    then merged with its neighbour where the place between them connects only those two (Murata, Petri Nets: Properties,
    Analysis and Applications, 1989: fusion of series transitions). Which silent steps follow the source and precede the
    sink is as in pm4py 2.7.23.

    Examples
    --------
    >>> leaves = ProcessTree(label="pay"), ProcessTree(label="ship")
    >>> net = net_of_tree(ProcessTree(Operator.SEQUENCE, leaves), "order")
    >>> [(t.label, *(net.places[place] for place in t.inputs + t.outputs)) for t in net.transitions]
    [('pay', 'source', 'p1'), ('ship', 'p1', 'sink')]
    """
    draft = _Draft()
    begin, end = _SOURCE, _SINK
    if _silent_begin(tree):
        begin = draft.place()
        draft.transition(None, {_SOURCE}, {begin})
    if _silent_end(tree):
        end = draft.place()
        draft.transition(None, {end}, {_SINK})
    draft.add(tree, begin, end)
    draft.reduce()
    return draft.net(object_type)


@dataclass(slots=True, eq=False)
class _Step:
    """A transition while the net is made; places are numbers."""

    label: str | None
    inputs: set[int]
    outputs: set[int]


class _Draft:
    """A net in the making."""

    def __init__(self) -> None:
        self.places = 2
        self.steps: list[_Step] = []

    def place(self) -> int:
        self.places += 1
        return self.places - 1

    def transition(self, label: str | None, inputs: set[int], outputs: set[int]) -> None:
        self.steps.append(_Step(label, inputs, outputs))

    def add(self, tree: ProcessTree, begin: int, end: int) -> None:
        """Add the fragment of a tree between two places."""
        # One generator for each tree from the root down to what is added now, where recursion would hit its limit.
        within = [self.fragments(tree, begin, end)]
        while within:
            part = next(within[-1], None)
            if part is None:
                within.pop()
            else:
                within.append(self.fragments(*part))

    def fragments(self, tree: ProcessTree, begin: int, end: int) -> Iterator[_Fragment]:
        """Add what a tree itself has, and give its children at the moment that each is to be added."""
        if tree.operator is None:
            self.transition(tree.label, {begin}, {end})
        elif tree.operator is Operator.XOR:
            for child in tree.children:
                yield child, begin, end
        elif tree.operator is Operator.SEQUENCE:
            for child in tree.children[:-1]:
                between = self.place()
                yield child, begin, between
                begin = between
            yield tree.children[-1], begin, end
        elif tree.operator is Operator.PARALLEL:
            ends = [(self.place(), self.place()) for _ in tree.children]
            self.transition(None, {begin}, {first for first, _ in ends})
            self.transition(None, {last for _, last in ends}, {end})
            for child, (first, last) in zip(tree.children, ends, strict=True):
                yield child, first, last
        else:
            body, back = tree.children
            head, decision, tail = self.place(), self.place(), self.place()
            self.transition(None, {begin}, {head})
            yield body, head, decision
            yield back, decision, tail
            self.transition(None, {tail}, {head})
            yield TAU, decision, end

    def reduce(self) -> None:
        """Merge silent transitions with their only predecessor or, where there is none, their only successor."""
        while self.merge_up() or self.merge_down():
            pass

    def merge_up(self) -> bool:
        """Merge each silent transition of one input with the only transition before it."""
        before, after = self.around()
        kept = []
        for step in self.steps:
            (place, *others) = step.inputs
            if step.label is not None or others or len(before[place]) != 1 or len(after[place]) != 1:
                kept.append(step)
                continue
            (only,) = before[place]
            only.outputs.remove(place)
            only.outputs |= step.outputs
            for output in step.outputs:
                before[output] = [only if other is step else other for other in before[output]]
        changed = len(kept) < len(self.steps)
        self.steps = kept
        return changed

    def merge_down(self) -> bool:
        """Merge each silent transition of one output with the only transition after it."""
        self.turn()
        changed = self.merge_up()
        self.turn()
        return changed

    def turn(self) -> None:
        """Turn every arc around."""
        for step in self.steps:
            step.inputs, step.outputs = step.outputs, step.inputs

    def around(self) -> tuple[list[list[_Step]], list[list[_Step]]]:
        """Give the transitions before and after each place."""
        before: list[list[_Step]] = [[] for _ in range(self.places)]
        after: list[list[_Step]] = [[] for _ in range(self.places)]
        for step in self.steps:
            for place in step.outputs:
                before[place].append(step)
            for place in step.inputs:
                after[place].append(step)
        return before, after

    def net(self, object_type: str) -> AcceptingNet:
        """Give the net, its places and transitions named and in the order of their names."""
        used = {place for step in self.steps for place in step.inputs | step.outputs} - {_SOURCE, _SINK}
        places = [_SOURCE, _SINK, *sorted(used)]
        position = {place: n for n, place in enumerate(places)}
        # A silent transition is not named as an activity is.
        silent = "tau"
        while any(step.label is not None and step.label.startswith(silent) for step in self.steps):
            silent += "_"
        number = count(1)
        transitions = [
            Transition(
                f"{silent}{next(number)}" if step.label is None else step.label,
                step.label,
                _positions(step.inputs, position),
                _positions(step.outputs, position),
            )
            for step in self.steps
        ]
        return canonical_net(
            AcceptingNet(
                object_type,
                ("source", "sink", *(f"p{n}" for n in range(1, len(used) + 1))),
                tuple(transitions),
                initial=tuple(int(place == _SOURCE) for place in places),
                final=tuple(int(place == _SINK) for place in places),
            )
        )


def _positions(places: set[int], position: dict[int, int]) -> tuple[int, ...]:
    return tuple(sorted(position[place] for place in places))


def _silent_begin(tree: ProcessTree) -> bool:
    """Whether a silent transition follows the source."""
    return (
        tree.operator in (Operator.XOR, Operator.PARALLEL)
        or _loop_along(tree, 0)
        # Not needed for the language: pm4py's converter looks at the last children here too.
        or (len(tree.children) > 0 and _loop_along(tree.children[0], -1))
    )


def _silent_end(tree: ProcessTree) -> bool:
    """Whether a silent transition precedes the sink."""
    return tree.operator in (Operator.XOR, Operator.PARALLEL) or _loop_along(tree, -1)


def _loop_along(tree: ProcessTree, side: int) -> bool:
    """Whether the tree, its first (last) child, that one's, and so on, hold a loop."""
    while tree.children:
        if tree.operator is Operator.LOOP:
            return True
        tree = tree.children[side]
    return False
