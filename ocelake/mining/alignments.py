"""Optimal alignments of trace variants with the net of their type.

An alignment is a firing sequence from the initial to the final marking beside a trace: a step of both (a synchronous
move), of the trace alone (a log move), of the net alone (a model move, or a silent one). Log moves and model moves cost
one, the others nothing; of the optimal alignments one with the fewest silent moves is given.

The search goes over pairs of a position in the trace and a marking, cheapest first. From each pair it follows a
stubborn set of moves (see `firing`) that is sought for the next activity: a move that neither leads to this activity
nor competes with one that does can wait. The orders of what is parallel, which make alignments slow, so are not
followed. What can be done in a marking for an activity is worked out once for all variants of a type.

References
----------
Adriansyah, van Dongen, van der Aalst: Conformance Checking Using Cost-Based Fitness Analysis (EDOC 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, Literal, TypeAlias

from ocelake.mining.firing import PackedNet, StubbornSets
from ocelake.mining.petri_nets import AcceptingNet

__all__ = ["STATES", "Aligner", "Alignment", "Move"]

STATES: Final = 100_000
"""Pairs of position and marking that the search for one alignment looks at before it gives up."""

Move: TypeAlias = tuple[Literal["sync", "log", "model", "silent"], int | None]
"""What is done, and the net's transition that does it; None for a log move."""

_DEVIATION: Final = 1 << 32
"""A log move or a visible model move costs more than all silent moves of an alignment together."""

_LOG: Final = -1


@dataclass(frozen=True, slots=True)
class Alignment:
    """What the search for an optimal alignment found.

    Attributes
    ----------
    cost : int or None
        Log moves and visible model moves; None where no alignment was found.
    moves : tuple of Move
        One optimal alignment.
    firable : int
        The longest prefix of the trace that can be fired without a deviation.
    states : int
        Pairs of position and marking that were looked at.
    exhausted : bool
        Whether the search ended by itself, not at its limit. If not, ``cost`` is unknown and ``firable`` a lower bound.
    """

    cost: int | None
    moves: tuple[Move, ...]
    firable: int
    states: int
    exhausted: bool


class Aligner:
    """Aligns sequences of activities with one net.

    Parameters
    ----------
    net : AcceptingNet
    limit : int
        States that one search looks at, at most.

    Examples
    --------
    >>> from ocelake.mining.petri_nets import Transition
    >>> pay = Transition("t1", "pay", inputs=(0,), outputs=(1,))
    >>> net = AcceptingNet("order", ("source", "sink"), (pay,), initial=(1, 0), final=(0, 1))
    >>> aligner = Aligner(net)
    >>> aligner.align(["pay", "ship"]).moves
    (('sync', 0), ('log', None))
    >>> aligner.align([]).cost
    1
    """

    def __init__(self, net: AcceptingNet, limit: int = STATES) -> None:
        self._net = PackedNet(net)
        self._limit = limit
        self._visible = [transition.label is not None for transition in net.transitions]
        self._sets = StubbornSets(self._net, range(len(net.transitions)))
        self._markings = [self._net.initial]
        self._numbers = {self._net.initial: 0}
        self._known: dict[tuple[int, str | None], list[tuple[int, int, int, int]]] = {}

    def align(self, sequence: Sequence[str], deviations: bool = True) -> Alignment:
        """Give an optimal alignment.

        Parameters
        ----------
        sequence : sequence of str
            Activities.
        deviations : bool
            Whether to go on where the sequence does not fit. If not, ``cost`` is 0 or None.

        Returns
        -------
        Alignment
        """
        length = len(sequence)
        wide = length + 1
        came: dict[int, tuple[int, int]] = {}
        waiting: dict[int, list[tuple[int, int, int]]] = {0: [(0, -1, _LOG)]}
        costs = [0]
        firable = 0
        while costs:
            cost = costs[0]
            stack = waiting[cost]
            if not stack:
                heappop(costs)
                del waiting[cost]
                continue
            # Last in, first out: of equal costs, what has come farther.
            state, before, how = stack.pop()
            if state in came:
                continue
            came[state] = (before, how)
            number, position = divmod(state, wide)
            if cost < _DEVIATION:
                firable = max(firable, position)
            if position == length and self._markings[number] == self._net.final:
                return Alignment(cost // _DEVIATION, self._moves(came, state, wide), firable, len(came), True)
            if len(came) > self._limit:
                return Alignment(None, (), firable, len(came), False)
            for transition, extra, consumed, after in self._next(
                number, sequence[position] if position < length else None
            ):
                if extra < _DEVIATION or deviations:
                    following = after * wide + position + consumed
                    if following not in came:
                        total = cost + extra
                        if total not in waiting:
                            waiting[total] = []
                            heappush(costs, total)
                        waiting[total].append((following, state, transition))
        return Alignment(None, (), firable, len(came), True)

    def _next(self, number: int, activity: str | None) -> list[tuple[int, int, int, int]]:
        """Give the moves from a marking for the next activity (None: the end): transition, cost, events, marking."""
        key = (number, activity)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._worked_out(number, activity)
        return known

    def _worked_out(self, number: int, activity: str | None) -> list[tuple[int, int, int, int]]:
        net, marking = self._net, self._markings[number]
        own = net.labelled.get(activity, ()) if activity is not None else ()
        seeds = own if activity is not None else self._toward_end(marking)
        moves = []
        for transition in self._sets.enabled(marking, seeds):
            after = self._number(marking + net.change[transition])
            moves.append((transition, _DEVIATION if self._visible[transition] else 1, 0, after))
        if activity is not None:
            moves.append((_LOG, _DEVIATION, 1, number))
        for transition in own:
            if net.lacking(marking, transition) is None:
                moves.append((transition, 0, 1, self._number(marking + net.change[transition])))
        return moves

    def _toward_end(self, marking: int) -> Sequence[int]:
        """Give transitions of which every path to the final marking has one."""
        place = self._net.lacking_to_end(marking)
        if place is not None:
            return self._sets.producers[place]
        tokens = zip(self._net.unpack(marking), self._net.net.final, strict=True)
        surplus = next((place for place, (have, need) in enumerate(tokens) if have > need), None)
        return self._sets.consumers[surplus] if surplus is not None else ()

    def _number(self, marking: int) -> int:
        number = self._numbers.setdefault(marking, len(self._markings))
        if number == len(self._markings):
            self._markings.append(marking)
        return number

    def _moves(self, came: dict[int, tuple[int, int]], state: int, wide: int) -> tuple[Move, ...]:
        moves: list[Move] = []
        while True:
            before, transition = came[state]
            if before < 0:
                return tuple(reversed(moves))
            if transition == _LOG:
                moves.append(("log", None))
            elif state % wide > before % wide:
                moves.append(("sync", transition))
            else:
                moves.append(("model" if self._visible[transition] else "silent", transition))
            state = before
