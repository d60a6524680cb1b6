"""The replay on the glued net against a replay event by event on coloured tokens."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.mining.glued import replay_glued
from ocelake.mining.ocpn import discover_ocpn
from ocelake.mining.petri_nets import AcceptingNet, Cardinality, Marking, Ocpn
from ocelake.mining.soundness import check_soundness
from ocelake.mining.traces import Traces, encode
from ocelake.mining.variants import find_variants
from tests.unit.reference_mining import Log, logs
from tests.unit.reference_nets import fire, made_net, silently

Cause = tuple[str, str, str | None, str | None, str | None, int | None]


def traces_of(log: Log) -> Traces:
    tables = log.tables()
    return encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])


def step(net: AcceptingNet, markings: set[Marking], activity: str) -> set[Marking]:
    """Fire a visible transition, silent ones before it, from every marking an object may be in."""
    found = (fire(m, t) for m in silently(net, markings) for t in net.transitions if t.label == activity)
    return {after for after in found if after is not None}


def by_events(log: Log, ocpn: Ocpn) -> tuple[set[Cause], bool]:
    """Give the causes; and whether the log can be replayed by firing each event for all its objects, or not at all."""
    nets = {net.object_type: net for net in ocpn.nets}
    markings = {name: {nets[kind].initial} for name, kind in log.objects.items() if kind in nets}
    together = dict(markings)
    stopped: set[str] = set()
    causes: set[Cause] = set()
    replayable = True
    steps = log.traces()
    members = defaultdict(list)
    for name, events in steps.items():
        for event in events:
            members[event].append(name)
    for event in sorted(log.events, key=lambda event: (log.events[event][1:], event)):
        activity = log.events[event][0]
        fires = True
        for kind, net in nets.items():
            if activity in {t.label for t in net.transitions}:
                count = sum(log.objects[name] == kind for name in members[event])
                allowed = ocpn.cardinalities[kind, activity]
                least, most = (allowed.minimum, allowed.maximum) if allowed.variable else (1, 1)
                if not least <= count <= most:
                    fires = False
                    causes.add(("too few" if count < least else "too many", kind, activity, event, None, count))
        for name in members[event]:
            kind = log.objects[name]
            if kind not in nets:
                continue
            fires &= bool(step(nets[kind], together[name], activity))
            if activity not in {t.label for t in nets[kind].transitions}:
                causes.add(("unknown", kind, activity, event, name, None))
            elif name not in stopped:
                markings[name] = step(nets[kind], markings[name], activity)
                if not markings[name]:
                    stopped.add(name)
                    causes.add(("disabled", kind, activity, event, name, None))
        replayable &= fires
        if fires:
            for name in members[event]:
                if log.objects[name] in nets:
                    together[name] = step(nets[log.objects[name]], together[name], activity)
    for name, kind in log.objects.items():
        if kind in nets and steps[name]:
            ended = nets[kind].final in silently(nets[kind], markings[name])
            if name not in stopped and not ended:
                causes.add(("unfinished", kind, None, None, name, None))
            replayable &= nets[kind].final in silently(nets[kind], together[name])
    return causes, replayable


@settings(max_examples=200)
@given(logs(), st.sampled_from(["all", "half"]), st.sampled_from(["strict", "pm4py"]), st.booleans())
def test_it_is_what_firing_event_by_event_gives(log: Log, part: str, rule: str, single: bool) -> None:
    traces = traces_of(log)
    mined = traces if part == "all" else traces_of(log.part(sorted(log.objects)[::2]))
    ocpn = discover_ocpn(mined, variable_arcs="strict" if rule == "strict" else "pm4py")
    if single:
        ocpn = Ocpn(ocpn.nets, {key: Cardinality(False, 1, 1) for key in ocpn.cardinalities})
    found = replay_glued(traces, find_variants(traces), ocpn)
    causes, replayable = by_events(log, ocpn)
    assert set(found.causes.iter_rows()) == causes
    assert len(found.causes) == len(causes)
    assert found.replayable is replayable is (not causes)
    assert found.unfired == len({event for *_, event, _, _ in causes} - {None})
    modelled = {net.object_type for net in ocpn.nets}
    assert found.outside == sum(
        len(events) for name, events in log.traces().items() if log.objects[name] not in modelled
    )
    if part == "all" and rule == "strict" and not single:
        assert found.replayable


def test_a_glued_net_may_be_dead_though_each_net_is_sound() -> None:
    # a of the order, b of both, a of the item: with single arcs, `a` needs both at once, and so does not fire.
    log = Log(
        {"e1": ("a", 1, 0), "e2": ("b", 2, 0), "e3": ("a", 3, 0)},
        {"o1": "order", "i1": "item"},
        [("e1", "o1", ""), ("e2", "o1", ""), ("e2", "i1", ""), ("e3", "i1", "")],
    )
    traces = traces_of(log)
    mined = discover_ocpn(traces)
    assert all(check_soundness(net).sound for net in mined.nets)
    assert replay_glued(traces, find_variants(traces), mined).replayable
    single = Ocpn(mined.nets, {key: Cardinality(False, 1, 1) for key in mined.cardinalities})
    found = replay_glued(traces, find_variants(traces), single)
    assert not found.replayable
    assert found.causes.select("reason", "object_type", "event_id").rows() == [
        ("too few", "item", "e1"),
        ("too few", "order", "e3"),
    ]


def test_what_cannot_be_decided_is_told_apart() -> None:
    log = Log({"e1": ("a", 1, 0)}, {"o1": "order"}, [("e1", "o1", "")])
    endless = made_net(3, [({0}, {0, 2}, None), ({2}, {2}, "a"), ({0, 2}, {1}, "b")])
    traces = traces_of(log)
    found = replay_glued(traces, find_variants(traces), Ocpn((endless,), {
        ("order", "a"): Cardinality(False, 1, 1), ("order", "b"): Cardinality(True, 0, 1),
    }), limit=10)  # fmt: skip
    assert found.replayable is None
    assert found.causes["reason"].to_list() == ["undecided"]
    assert isinstance(found.causes, pl.DataFrame)
