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

__all__ = ["AcceptingNet", "Cardinality", "Marking", "Ocpn", "Transition"]

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
        Whether the arcs between the activity and the type's places are variable; else each event has exactly one.
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
