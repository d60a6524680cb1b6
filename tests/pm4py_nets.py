"""Accepting nets from pm4py's and to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from ocelake.mining.petri_nets import AcceptingNet, Transition


def from_pm4py(object_type: str, found: tuple[Any, Any, Any]) -> AcceptingNet:
    """Take a net of pm4py (net, initial marking, final marking), its places and transitions in order of name."""
    net, initial, final = found
    places = sorted(net.places, key=lambda place: str(place.name))
    number = {place: position for position, place in enumerate(places)}
    transitions = tuple(
        Transition(
            str(transition.name),
            transition.label,
            tuple(sorted(number[arc.source] for arc in transition.in_arcs)),
            tuple(sorted(number[arc.target] for arc in transition.out_arcs)),
        )
        for transition in sorted(net.transitions, key=lambda transition: (str(transition.label), str(transition.name)))
    )
    return AcceptingNet(
        object_type,
        tuple(str(place.name) for place in places),
        transitions,
        tuple(initial[place] for place in places),
        tuple(final[place] for place in places),
    )


def to_pm4py(accepting: AcceptingNet) -> tuple[Any, Any, Any]:
    """Make a net of pm4py."""
    from pm4py.objects.petri_net.obj import Marking, PetriNet
    from pm4py.objects.petri_net.utils.petri_utils import add_arc_from_to

    net = PetriNet(accepting.object_type)
    places = [PetriNet.Place(name) for name in accepting.places]
    net.places.update(places)
    for transition in accepting.transitions:
        made = PetriNet.Transition(transition.name, transition.label)
        net.transitions.add(made)
        for place in transition.inputs:
            add_arc_from_to(places[place], made, net)
        for place in transition.outputs:
            add_arc_from_to(made, places[place], net)
    markings = (
        Marking({place: tokens for place, tokens in zip(places, marking, strict=True) if tokens})
        for marking in (accepting.initial, accepting.final)
    )
    return net, *markings


def case_log(sequences: Iterable[Sequence[str]]) -> pd.DataFrame:
    """Make a flat log of pm4py, a case for each sequence, named by its position."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [
        (f"{case:09d}", activity, start + timedelta(seconds=position))
        for case, sequence in enumerate(sequences)
        for position, activity in enumerate(sequence)
    ]
    return pd.DataFrame(rows, columns=["case:concept:name", "concept:name", "time:timestamp"])


def discover(object_type: str, sequences: Iterable[Sequence[str]], noise: float = 0.0) -> AcceptingNet:
    """Mine a net with pm4py's Inductive Miner."""
    import pm4py

    return from_pm4py(object_type, pm4py.discover_petri_net_inductive(case_log(sequences), noise_threshold=noise))
