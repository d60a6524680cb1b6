"""Soundness, size and density of the nets of a model, type by type.

A net is sound where from every reachable marking the final one can be reached, no marking has more than the final one
has without being it, and no transition is dead. Most mined nets are block-structured, and are shown to be sound without
a look at their markings: rules that keep liveness and boundedness reduce the workflow net, closed by a transition from
its sink to its source, to a single place with a single transition, which is live and bounded. For other nets the
reachable markings are looked at, up to a limit; beyond it soundness is not known.

That each net is sound does not make the glued net so: see `glued`.

References
----------
van der Aalst: The Application of Petri Nets to Workflow Management (Journal of Circuits, Systems and Computers, 1998).
Murata: Petri Nets: Properties, Analysis and Applications (Proceedings of the IEEE 77, 1989).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl

from ocelake.mining.firing import PackedNet
from ocelake.mining.petri_nets import AcceptingNet, Ocpn

__all__ = ["MARKINGS", "Soundness", "check_soundness", "model_soundness"]

MARKINGS: Final = 100_000
"""Reachable markings of one net that are looked at, at most."""


@dataclass(frozen=True, slots=True)
class Soundness:
    """Whether a net is sound.

    Attributes
    ----------
    sound : bool or None
        None where it is not known.
    reason : str
        How it is known, or what is wrong.
    states : int
        Markings looked at; 0 where it is so by construction.
    """

    sound: bool | None
    reason: str
    states: int


def check_soundness(net: AcceptingNet, limit: int = MARKINGS) -> Soundness:
    """Check whether a net is sound.

    Parameters
    ----------
    net : AcceptingNet
    limit : int
        Markings to look at, at most, where the net does not reduce.

    Examples
    --------
    >>> from ocelake.mining.petri_nets import Transition
    >>> pay = Transition("t1", "pay", inputs=(0,), outputs=(1,))
    >>> wait = Transition("t2", "wait", inputs=(2,), outputs=(1,))
    >>> check_soundness(AcceptingNet("order", ("p", "q"), (pay,), initial=(1, 0), final=(0, 1)))
    Soundness(sound=True, reason='by construction: it reduces to one place and one transition', states=0)
    >>> check_soundness(AcceptingNet("order", ("p", "q", "r"), (pay, wait), initial=(1, 0, 0), final=(0, 1, 0)))
    Soundness(sound=False, reason='dead: wait', states=2)
    """
    if _reduces(net):
        return Soundness(True, "by construction: it reduces to one place and one transition", 0)
    return _explore(net, limit)


def model_soundness(ocpn: Ocpn, limit: int = MARKINGS) -> pl.DataFrame:
    """Give soundness, size and density of each type's net.

    Parameters
    ----------
    ocpn : Ocpn
    limit : int
        Markings to look at, at most, in each net that does not reduce.

    Returns
    -------
    DataFrame
        The columns of `gold.model_soundness` without ``model_id``, sorted by object type. Density is arcs over
        2 * places * transitions; null without places or transitions.

    Examples
    --------
    >>> from ocelake.mining.petri_nets import Transition
    >>> pay = Transition("t1", "pay", inputs=(0,), outputs=(1,))
    >>> net = AcceptingNet("order", ("source", "sink"), (pay,), initial=(1, 0), final=(0, 1))
    >>> model_soundness(Ocpn((net,), {})).select("sound", "places", "transitions", "arcs", "density").row(0)
    (True, 2, 1, 2, 0.5)
    """
    rows = []
    for net in sorted(ocpn.nets, key=lambda net: net.object_type):
        found = check_soundness(net, limit)
        places, transitions = len(net.places), len(net.transitions)
        silent = sum(transition.label is None for transition in net.transitions)
        density = net.arcs / (2 * places * transitions) if places and transitions else None
        rows.append(
            (net.object_type, found.sound, found.reason, found.states, places, transitions, silent, net.arcs, density)
        )
    schema = {
        "object_type": pl.String,
        "sound": pl.Boolean,
        "reason": pl.String,
        **dict.fromkeys(("states", "places", "transitions", "silent", "arcs"), pl.Int64),
        "density": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _reduces(net: AcceptingNet) -> bool:
    """Whether the closed workflow net reduces to one marked place whose transitions all loop on it."""
    ends = [[place for place, tokens in enumerate(marking) if tokens] for marking in (net.initial, net.final)]
    if [len(places) for places in ends] != [1, 1] or sum(net.initial) + sum(net.final) != 2 or ends[0] == ends[1]:
        return False
    (source,), (sink,) = ends
    if any(source in t.outputs or sink in t.inputs for t in net.transitions):
        return False
    closed = _Closed(net, source, sink)
    while closed.reduce():
        pass
    return closed.trivial()


class _Closed:
    """A workflow net closed by a transition from sink to source, made smaller by rules.

    Each rule keeps whether the net is live and whether it is bounded (Murata 1989, figure 21).
    """

    def __init__(self, net: AcceptingNet, source: int, sink: int) -> None:
        transitions = [(t.inputs, t.outputs) for t in net.transitions] + [((sink,), (source,))]
        self.inputs = {t: set(before) for t, (before, _) in enumerate(transitions)}
        self.outputs = {t: set(after) for t, (_, after) in enumerate(transitions)}
        self.tokens = dict(enumerate(net.initial))
        self.producers: dict[int, set[int]] = {place: set() for place in self.tokens}
        self.consumers: dict[int, set[int]] = {place: set() for place in self.tokens}
        for t in self.inputs:
            self._connect(t)

    def trivial(self) -> bool:
        """Whether one marked place is left, with transitions that only loop on it."""
        places = set(self.tokens)
        return (
            list(self.tokens.values()) == [1]
            and bool(self.inputs)
            and all(self.inputs[t] == self.outputs[t] == places for t in self.inputs)
        )

    def reduce(self) -> bool:
        """Apply each rule wherever it applies; tell whether any did."""
        rules = (self._series_places, self._series_transitions, self._same_places, self._same_transitions, self._loops)
        return sum(rule() for rule in rules) > 0

    def _series_places(self) -> bool:
        """A transition moves the tokens of a place that have no other way out: the places are one."""
        found = False
        for t in list(self.inputs):
            if len(self.inputs[t]) == len(self.outputs[t]) == 1:
                (place,), (following,) = self.inputs[t], self.outputs[t]
                before = self.producers[place]
                twice = any(following in self.outputs[u] for u in before)
                if place != following and self.consumers[place] == {t} and before and not twice:
                    self._remove(t)
                    for u in list(before):
                        self._connect(u, self.inputs[u], self.outputs[u] - {place} | {following})
                    self.tokens[following] += self.tokens[place]
                    self._drop(place)
                    found = True
        return found

    def _series_transitions(self) -> bool:
        """An empty place lies between two transitions alone, and the second needs nothing else: they are one."""
        found = False
        for place in list(self.tokens):
            if self.tokens[place] == 0 and len(self.producers[place]) == len(self.consumers[place]) == 1:
                (first,), (second,) = self.producers[place], self.consumers[place]
                ends = self.outputs[first] - {place}
                if first != second and self.inputs[second] == {place} and not ends & self.outputs[second]:
                    ends |= self.outputs[second]
                    self._remove(second)
                    self._connect(first, self.inputs[first], ends)
                    self._drop(place)
                    found = True
        return found

    def _same_places(self) -> bool:
        """Of places with the same transitions before and after, one with the fewest tokens decides."""
        found = False
        kept: dict[tuple[frozenset[int], frozenset[int]], int] = {}
        for place in sorted(self.tokens, key=lambda place: self.tokens[place]):
            key = frozenset(self.producers[place]), frozenset(self.consumers[place])
            if kept.setdefault(key, place) != place or (
                self.tokens[place] and key[0] == key[1] and len(self.tokens) > 1
            ):
                for t in self.producers[place] | self.consumers[place]:
                    self._connect(t, self.inputs[t] - {place}, self.outputs[t] - {place})
                self._drop(place)
                found = True
        return found

    def _same_transitions(self) -> bool:
        """Of transitions with the same places before and after, one is enough."""
        found = False
        kept: dict[tuple[frozenset[int], frozenset[int]], int] = {}
        for t in list(self.inputs):
            if kept.setdefault((frozenset(self.inputs[t]), frozenset(self.outputs[t])), t) != t:
                self._remove(t)
                found = True
        return found

    def _loops(self) -> bool:
        """A transition that loops on a place which others use too changes nothing."""
        found = False
        for t in list(self.inputs):
            if len(self.inputs[t]) == 1 and self.inputs[t] == self.outputs[t]:
                (place,) = self.inputs[t]
                if len(self.consumers[place]) > 1:
                    self._remove(t)
                    found = True
        return found

    def _connect(self, t: int, inputs: Iterable[int] | None = None, outputs: Iterable[int] | None = None) -> None:
        if inputs is not None and outputs is not None:
            if t in self.inputs:
                self._remove(t)
            self.inputs[t], self.outputs[t] = set(inputs), set(outputs)
        for place in self.inputs[t]:
            self.consumers[place].add(t)
        for place in self.outputs[t]:
            self.producers[place].add(t)

    def _remove(self, t: int) -> None:
        for place in self.inputs.pop(t):
            self.consumers[place].discard(t)
        for place in self.outputs.pop(t):
            self.producers[place].discard(t)

    def _drop(self, place: int) -> None:
        del self.tokens[place], self.producers[place], self.consumers[place]


def _explore(net: AcceptingNet, limit: int) -> Soundness:
    """Look at the reachable markings, breadth first."""
    packed = PackedNet(net)
    came = {packed.initial: -1}
    before: dict[int, list[int]] = {packed.initial: []}
    fired = set()
    queue = deque([packed.initial])
    while queue:
        marking = queue.popleft()
        for t, change in enumerate(packed.change):
            if packed.lacking(marking, t) is None:
                fired.add(t)
                after = marking + change
                before.setdefault(after, []).append(marking)
                if after not in came:
                    came[after] = marking
                    queue.append(after)
                    if grown := _grown(packed, came, after):
                        return Soundness(False, f"unbounded: {grown}", len(came))
                    if len(came) > limit:
                        return Soundness(None, f"not known: it has more than {limit} reachable markings", len(came))

    more = next((m for m in came if m != packed.final and packed.covers(m, packed.final)), None)
    if more is not None:
        return Soundness(False, f"tokens are left beside the final marking: {_shown(packed, more)}", len(came))
    completing = _reaching(packed.final, before)
    stuck = next((marking for marking in reversed(came) if marking not in completing), None)
    if stuck is not None:
        return Soundness(False, f"the final marking cannot be reached from {_shown(packed, stuck)}", len(came))
    dead = [t.label or t.name for position, t in enumerate(net.transitions) if position not in fired]
    if dead:
        return Soundness(False, f"dead: {', '.join(dead)}", len(came))
    return Soundness(True, f"all {len(came)} reachable markings can be completed", len(came))


def _grown(packed: PackedNet, came: dict[int, int], marking: int) -> str | None:
    """Tell where a marking has all the tokens of one on its way, and more: they can be added without end."""
    earlier = came[marking]
    while earlier >= 0:
        if packed.covers(marking, earlier):
            return f"{_shown(packed, marking)} can follow {_shown(packed, earlier)}"
        earlier = came[earlier]
    return None


def _reaching(final: int, before: dict[int, list[int]]) -> set[int]:
    """Give the markings from which the final one can be reached."""
    found = {final} & before.keys()
    queue = deque(found)
    while queue:
        for marking in before[queue.popleft()]:
            if marking not in found:
                found.add(marking)
                queue.append(marking)
    return found


def _shown(packed: PackedNet, marking: int) -> str:
    tokens = zip(packed.net.places, packed.unpack(marking), strict=True)
    return "[" + ", ".join(name if count == 1 else f"{count} x {name}" for name, count in tokens if count) + "]"
