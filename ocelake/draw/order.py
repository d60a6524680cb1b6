"""The order in which a picture puts activities from top to bottom.

References
----------
Eades, Lin, Smyth: A fast and effective heuristic for the feedback arc set problem (1993).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import accumulate

from ocelake.draw.arcs import Arc

__all__ = ["process_order"]


def process_order(arcs: Iterable[Arc]) -> dict[str, int]:
    """Rank the activities so that few objects go against the order.

    Long-lived objects (an employee, a product) go to and fro between activities; what they do both ways cancels out,
    and the objects that live through the process once decide.

    Examples
    --------
    >>> process_order([Arc("order", "place", "pay", 9, None), Arc("order", "pay", "place", 1, None)])
    {'place': 0, 'pay': 1}
    """
    net: dict[tuple[str, str], int] = defaultdict(int)
    activities: set[str] = set()
    for arc in arcs:
        activities |= {name for name in (arc.source, arc.target) if name is not None}
        if arc.source is not None and arc.target is not None and arc.source != arc.target:
            net[arc.source, arc.target] += arc.objects
            net[arc.target, arc.source] -= arc.objects
    return {name: place for place, name in enumerate(_improved(_greedy(sorted(activities), net), net))}


def _greedy(activities: list[str], net: Mapping[tuple[str, str], int]) -> list[str]:
    """Take sinks to the end, and else what has the most to give to the front."""
    out = dict.fromkeys(activities, 0)
    into = dict.fromkeys(activities, 0)
    beside: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for (source, target), objects in net.items():
        if objects > 0:
            out[source] += objects
            into[target] += objects
        beside[source].append((target, objects))
    first: list[str] = []
    last: list[str] = []
    while out:
        sink = next((name for name in out if not out[name] and into[name]), None)
        taken = max(out, key=lambda name: (not into[name], out[name] - into[name])) if sink is None else sink
        (first if sink is None else last).append(taken)
        del out[taken], into[taken]
        for other, objects in beside[taken]:
            if other in out:
                into[other] -= max(objects, 0)
                out[other] -= max(-objects, 0)
    return [*first, *reversed(last)]


def _improved(order: list[str], net: Mapping[tuple[str, str], int]) -> list[str]:
    """Move single activities while fewer objects go against the order for it."""
    moved = True
    while moved:
        moved = False
        for name in list(order):
            others = [other for other in order if other != name]
            # What is gained by standing behind the first n others, instead of before them all.
            gains = [0, *accumulate(net.get((other, name), 0) for other in others)]
            best = max(range(len(gains)), key=gains.__getitem__)
            if gains[best] > gains[order.index(name)]:
                order = [*others[:best], name, *others[best:]]
                moved = True
    return order
