"""Object-centric fitness and precision against ocpa, on the model that ocpa discovers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocelake.mining.context_quality import oc_quality
from ocelake.mining.ocpn import discover_ocpn
from ocelake.mining.petri_nets import Cardinality, Ocpn
from ocelake.mining.traces import Traces, encode
from ocelake.ocel import Ocel
from ocelake.ocel.read import read_log
from tests.integration.test_mining_oracles import as_pm4py
from tests.pm4py_nets import from_pm4py
from tests.unit.reference_mining import Log


def model_of_pm4py(ocel: Ocel) -> Ocpn:
    """Give pm4py's model, which is ocpa's: its Inductive Miner by type, and arcs that are variable where most are."""
    import pm4py

    found = pm4py.discover_oc_petri_net(as_pm4py(ocel))
    nets = tuple(from_pm4py(object_type, net) for object_type, net in sorted(found["petri_nets"].items()))
    variable = found["double_arcs_on_activity"]
    return Ocpn(
        nets,
        {
            # Every event of this log has an object of each type that its activity has.
            (net.object_type, step.label): Cardinality(variable[net.object_type][step.label], 1, 99)
            for net in nets
            for step in net.transitions
            if step.label is not None
        },
    )


def encoded(ocel: Ocel) -> Traces:
    return encode(ocel.event_objects, ocel.objects, ocel.events)


@pytest.mark.data
def test_fitness_and_precision_are_those_of_ocpa(data: Path) -> None:
    """ocpa 1.3.4 finds 1.0, 0.8518518518518521 and 65 contexts, where the keys of its contexts are sorted.

    Without that its figure changes between runs, from 0.81 to 0.84: it hashes the contexts' types in the order of a
    set of (type, object), so that equal contexts come apart.
    """
    ocel = read_log(data / "ocel1/p2p-normal.jsonocel").ocel
    traces = encoded(ocel)
    for ocpn in (model_of_pm4py(ocel), discover_ocpn(traces), discover_ocpn(traces, variable_arcs="pm4py")):
        quality = oc_quality(traces, ocpn)
        assert quality.fitness == 1.0
        assert quality.precision == pytest.approx(0.8518518518518521)
        assert (quality.contexts, quality.measured) == (65, 720)


def test_states_differ_by_which_object_is_where() -> None:
    """Two items are placed; the first is packed without a check, the second is checked, then packed; both are sent.

    ocpa 1.3.4 finds 1.0 and 0.9 in some runs, 0.8 and 0.875 in others. It merges states with equal numbers of tokens by
    place: one where the first item has skipped the check, and one where the second has, which then cannot be checked.
    With the objects in its states, it always finds the former.
    """
    steps = [("place", "i1 i2"), ("pack", "i1"), ("check", "i2"), ("pack", "i2"), ("send", "i1 i2")]
    events = {f"e{n}": (activity, n, 0) for n, (activity, _) in enumerate(steps)}
    relations = [(f"e{n}", name, "") for n, (_, names) in enumerate(steps) for name in names.split()]
    tables = Log(events, {"i1": "item", "i2": "item"}, relations).tables()
    traces = encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])
    quality = oc_quality(traces, discover_ocpn(traces))
    assert (quality.fitness, quality.contexts) == (1.0, 4)
    assert quality.precision == pytest.approx(0.9)


@pytest.mark.data
@pytest.mark.parametrize("name", ["ocel1/first10ep.jsonocel", "ocel1/order_process.jsonocel", "ocel2/logistics.sqlite"])
def test_a_discovered_model_fits_its_own_log(data: Path, name: str) -> None:
    """The Inductive Miner's nets replay all traces, and strict cardinalities allow all events."""
    traces = encoded(read_log(data / name).ocel)
    quality = oc_quality(traces, discover_ocpn(traces))
    with_objects = len(set(traces.step_event.tolist())) / len(traces.event_ids)
    assert quality.fitness == pytest.approx(1.0) or with_objects < 1
    assert quality.precision is not None
    assert 0 < quality.precision <= 1
