"""Object-centric Petri nets: an accepting net per object type, glued where their visible labels are equal.

A net is kept per type, as everything about one object (its replay, its reachable states) factorises over the types;
what ties the types together is that a visible transition fires for all objects of an event at once.

References
----------
van der Aalst, Berti: Discovering Object-Centric Petri Nets (Fundamenta Informaticae 175, 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["AcceptingNet", "Cardinality", "Marking", "Ocpn", "Transition", "canonical", "canonical_net"]

Marking: TypeAlias = tuple[int, ...]
"""Tokens by place, in the order of `AcceptingNet.places`."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition of one type's net; all arcs have weight one.

    Attributes
    ----------
    name : str
        Unique within its net.
    label : str or None
        The activity; None for a silent transition.
    inputs, outputs : tuple of int
        Positions in the net's places, ascending, each at most once.
    """

    name: str
    label: str | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AcceptingNet:
    """A labelled Petri net with an initial and a final marking.

    Attributes
    ----------
    object_type : str
        The type whose objects are its tokens.
    places : tuple of str
        Names, unique within the net.
    transitions : tuple of Transition
    initial, final : Marking
        Tokens of one object by place, before its first event and after its last.

    Examples
    --------
    >>> pay = Transition("t1", "pay", inputs=(0,), outputs=(1,))
    >>> net = AcceptingNet("order", ("source", "sink"), (pay,), initial=(1, 0), final=(0, 1))
    >>> net.arcs
    2
    """

    object_type: str
    places: tuple[str, ...]
    transitions: tuple[Transition, ...]
    initial: Marking
    final: Marking

    @property
    def arcs(self) -> int:
        """Number of arcs."""
        return sum(len(transition.inputs) + len(transition.outputs) for transition in self.transitions)


@dataclass(frozen=True, slots=True)
class Cardinality:
    """How many objects of a type one event of an activity has.

    Attributes
    ----------
    variable : bool
        Whether the arcs between the activity and the type's places are variable; else one firing takes exactly one (by
        the strict rule of `ocelake.mining.ocpn.discover_ocpn`, each event then has exactly one).
    minimum, maximum : int
        Fewest and most, as seen.
    """

    variable: bool
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Ocpn:
    """An object-centric Petri net.

    Transitions of different nets with equal visible labels are one transition of the glued net.

    Attributes
    ----------
    nets : tuple of AcceptingNet
        One for each type that has a net, sorted by type.
    cardinalities : mapping of (object type, activity) to Cardinality
        For every visible label of every net.
    """

    nets: tuple[AcceptingNet, ...]
    cardinalities: Mapping[tuple[str, str], Cardinality]


def canonical_net(net: AcceptingNet) -> AcceptingNet:
    """Put places and transitions into the order of their names.

    Examples
    --------
    >>> pay = Transition("t1", "pay", inputs=(0,), outputs=(1,))
    >>> canonical_net(AcceptingNet("order", ("source", "sink"), (pay,), initial=(1, 0), final=(0, 1))).places
    ('sink', 'source')
    """
    order = sorted(range(len(net.places)), key=net.places.__getitem__)
    position = {place: n for n, place in enumerate(order)}

    def moved(places: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(position[place] for place in places))

    return AcceptingNet(
        net.object_type,
        tuple(net.places[place] for place in order),
        tuple(
            Transition(transition.name, transition.label, moved(transition.inputs), moved(transition.outputs))
            for transition in sorted(net.transitions, key=lambda transition: transition.name)
        ),
        initial=tuple(net.initial[place] for place in order),
        final=tuple(net.final[place] for place in order),
    )


def canonical(ocpn: Ocpn) -> Ocpn:
    """Put nets into the order of their types, their places and transitions and the cardinalities into that of names.

    Examples
    --------
    >>> ocpn = Ocpn((), {("order", "pay"): Cardinality(False, 1, 1), ("item", "pay"): Cardinality(True, 1, 3)})
    >>> [object_type for object_type, _ in canonical(ocpn).cardinalities]
    ['item', 'order']
    """
    nets = sorted(map(canonical_net, ocpn.nets), key=lambda net: net.object_type)
    return Ocpn(tuple(nets), dict(sorted(ocpn.cardinalities.items())))
