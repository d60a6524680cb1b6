"""The firing rule over packed markings, and which transitions matter for a goal.

A marking is one integer: 32 bits of tokens for each place. So firing is one addition, and a marking is hashed and
compared at once. Searches (for a shortest silent path, for an optimal alignment) do not follow every order of what is
parallel: from each marking they follow a stubborn set, which keeps at least one shortest way to the goal.

References
----------
Schmidt: Stubborn Sets for Standard Properties (ICATPN 1999). Valmari: Stubborn Sets for Reduced State Space Generation
(Advances in Petri Nets 1990).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from ocelake.mining.petri_nets import AcceptingNet, Marking

__all__ = ["PackedNet", "StubbornSets"]

_WIDTH = 32
_TOKENS = (1 << _WIDTH) - 1

SILENT_STATES = 20_000
"""Markings that a search for a silent path looks at before it gives up."""


class PackedNet:
    """An accepting net with its markings as integers.

    Parameters
    ----------
    net : AcceptingNet

    Attributes
    ----------
    initial, final : int
        Packed markings.
    inputs, outputs : list of tuple of int
        Places by transition.
    change : list of int
        What firing adds to a packed marking, by transition.
    labelled : dict of str to tuple of int
        Transitions by label.
    silent : tuple of int
        Silent transitions.

    Examples
    --------
    >>> from ocelake.mining.petri_nets import Transition
    >>> transitions = (Transition("skip", None, (0,), (1,)), Transition("pay", "pay", (1,), (2,)))
    >>> packed = PackedNet(AcceptingNet("order", ("p", "q", "r"), transitions, (1, 0, 0), (0, 0, 1)))
    >>> packed.lacking(packed.initial, 1)
    1
    >>> packed.silent_path_to(packed.initial, 1)
    (0,)
    >>> packed.unpack(packed.initial + packed.change[0])
    (0, 1, 0)
    """

    def __init__(self, net: AcceptingNet) -> None:
        self.net = net
        self.inputs = [transition.inputs for transition in net.transitions]
        self.outputs = [transition.outputs for transition in net.transitions]
        self.change = [
            sum(1 << _WIDTH * place for place in after) - sum(1 << _WIDTH * place for place in before)
            for before, after in zip(self.inputs, self.outputs, strict=True)
        ]
        self.initial, self.final = self.pack(net.initial), self.pack(net.final)
        self.silent = tuple(t for t, transition in enumerate(net.transitions) if transition.label is None)
        self.labelled: dict[str, tuple[int, ...]] = {}
        for t, transition in enumerate(net.transitions):
            if transition.label is not None:
                self.labelled[transition.label] = (*self.labelled.get(transition.label, ()), t)
        self._of_place = [_TOKENS << _WIDTH * place for place in range(len(net.places))]
        self._highest = sum(1 << _WIDTH * (place + 1) - 1 for place in range(len(net.places)))
        self._final_places = tuple(place for place, tokens in enumerate(net.final) if tokens)
        self._silently = StubbornSets(self, self.silent)

    def pack(self, marking: Marking) -> int:
        """Give the integer of a marking."""
        return sum(tokens << _WIDTH * place for place, tokens in enumerate(marking))

    def unpack(self, marking: int) -> Marking:
        """Give the tokens by place."""
        return tuple(marking >> _WIDTH * place & _TOKENS for place in range(len(self.net.places)))

    def lacking(self, marking: int, transition: int) -> int | None:
        """Give an input place without a token: the first; None where the transition is enabled."""
        of_place = self._of_place
        for place in self.inputs[transition]:
            if not marking & of_place[place]:
                return place
        return None

    def lacking_to_end(self, marking: int) -> int | None:
        """Give a place with fewer tokens than the final marking has there: the first; None where it is covered."""
        for place in self._final_places:
            if marking >> _WIDTH * place & _TOKENS < self.net.final[place]:
                return place
        return None

    def covers(self, marking: int, other: int) -> bool:
        """Whether a marking has at least the tokens of another, everywhere."""
        # With the highest bit of each place set, a subtraction borrows from that bit and from no other place.
        return (marking | self._highest) - other & self._highest == self._highest

    def missing(self, marking: int, places: Iterable[int]) -> list[int]:
        """Give the places without a token."""
        return [place for place in places if not marking & self._of_place[place]]

    def add(self, marking: int, places: Iterable[int]) -> int:
        """Put one token into each place."""
        return marking + sum(1 << _WIDTH * place for place in places)

    def silent_path_to(self, marking: int, transition: int) -> tuple[int, ...] | None:
        """Give a shortest sequence of silent transitions that enables a transition; None where none was found."""
        return self._silent_path(marking, lambda reached: self.lacking(reached, transition))

    def silent_path_to_end(self, marking: int) -> tuple[int, ...] | None:
        """Give a shortest sequence of silent transitions that covers the final marking; None where none was found."""
        return self._silent_path(marking, self.lacking_to_end)

    def _silent_path(self, marking: int, lacking: Callable[[int], int | None]) -> tuple[int, ...] | None:
        """Search breadth first; ``lacking`` names a place that the goal needs a token in, None at the goal."""
        came: dict[int, tuple[int, int]] = {marking: (marking, -1)}
        queue = deque([marking])
        while queue:
            reached = queue.popleft()
            place = lacking(reached)
            if place is None:
                path = []
                while reached != marking:
                    reached, transition = came[reached]
                    path.append(transition)
                return tuple(reversed(path))
            for transition in self._silently.enabled(reached, self._silently.producers[place]):
                after = reached + self.change[transition]
                if after not in came:
                    came[after] = (reached, transition)
                    queue.append(after)
            if len(came) > SILENT_STATES:
                break
        return None


class StubbornSets:
    """Stubborn sets of a net in which only some transitions may fire.

    A set of transitions is closed where it has, of each disabled member, all that can fill one of its empty input
    places, and of each enabled member, all that compete for its tokens. What is outside can then neither enable nor
    hinder what is inside. If moreover no path to the goal avoids the set, then of a path's transitions the first that
    is in the set can come first: so it is enough to fire the set's enabled members, and no path gets longer.

    Parameters
    ----------
    packed : PackedNet
    allowed : iterable of int
        The transitions that may fire.

    Attributes
    ----------
    producers, consumers : list of tuple of int
        Allowed transitions by output and by input place.
    """

    def __init__(self, packed: PackedNet, allowed: Iterable[int]) -> None:
        self._packed = packed
        places = range(len(packed.net.places))
        allowed = tuple(allowed)
        self.producers = [tuple(t for t in allowed if place in packed.outputs[t]) for place in places]
        self.consumers = [tuple(t for t in allowed if place in packed.inputs[t]) for place in places]
        self._rivals = [{u for place in inputs for u in self.consumers[place]} for inputs in packed.inputs]

    def enabled(self, marking: int, seeds: Iterable[int]) -> list[int]:
        """Close a set of transitions, and give its enabled members, ascending.

        Examples
        --------
        >>> from ocelake.mining.petri_nets import Transition
        >>> transitions = (Transition("t", "a", (0,), (2,)), Transition("u", "b", (1,), (3,)))
        >>> packed = PackedNet(AcceptingNet("order", ("p", "q", "r", "s"), transitions, (1, 1, 0, 0), (0, 0, 1, 1)))
        >>> StubbornSets(packed, (0, 1)).enabled(packed.initial, [0])
        [0]
        """
        found = set(seeds)
        open_ = list(found)
        enabled = []
        while open_:
            transition = open_.pop()
            place = self._packed.lacking(marking, transition)
            if place is None:
                enabled.append(transition)
                more: Iterable[int] = self._rivals[transition]
            else:
                more = self.producers[place]
            for other in more:
                if other not in found:
                    found.add(other)
                    open_.append(other)
        return sorted(enabled)
