"""Object-centric fitness and precision against the definition, followed to the letter in plain Python."""

from __future__ import annotations

import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations, pairwise, product

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelake.errors import OcelakeError
from ocelake.mining import context_quality
from ocelake.mining.context_quality import oc_quality, oc_quality_rows
from ocelake.mining.firing import PackedNet
from ocelake.mining.ocpn import discover_ocpn
from ocelake.mining.petri_nets import AcceptingNet, Cardinality, Marking, Ocpn, Transition
from ocelake.mining.traces import Traces, encode
from ocelake.tables import TABLES
from tests.unit.reference_mining import Log, logs

State = frozenset[tuple[str, Marking]]
"""What each object's tokens are; a state of the glued net."""

ONE = Cardinality(variable=False, minimum=1, maximum=1)


def encoded(log: Log) -> Traces:
    tables = log.tables()
    return encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])


def fired(marking: Marking, transition: Transition) -> Marking | None:
    if not all(marking[place] for place in transition.inputs):
        return None
    return tuple(
        tokens - (place in transition.inputs) + (place in transition.outputs) for place, tokens in enumerate(marking)
    )


class Reference:
    """States of the whole net, bindings of whole events, contexts as multisets: nothing factorised."""

    def __init__(self, log: Log, ocpn: Ocpn) -> None:
        self.log, self.ocpn = log, ocpn
        self.nets = {net.object_type: net for net in ocpn.nets}
        self.traces = log.traces()
        self.graph = nx.DiGraph()
        self.graph.add_nodes_from(log.events)
        for events in self.traces.values():
            self.graph.add_edges_from(pairwise(events))
        self.objects = {
            event: {name for name, events in self.traces.items() if event in events} for event in log.events
        }

    def context(self, event: str, ancestors: set[str]) -> frozenset[tuple[str, tuple[str, ...], int]]:
        names = set().union(*(self.objects[other] for other in {*ancestors, event}))
        found: Counter[tuple[str, tuple[str, ...]]] = Counter()
        for name in names:
            prefix = tuple(self.log.events[other][0] for other in self.traces[name] if other in ancestors)
            found[self.log.objects[name], prefix] += 1
        return frozenset((*key, number) for key, number in found.items())

    def moves(self, state: State, label: str | None, names: set[str]) -> Iterator[State]:
        """Fire a label for some objects at once; each by a transition of its net."""
        tokens = dict(state)
        ways = []
        for name in names:
            net = self.nets.get(self.log.objects[name])
            found = [fired(tokens[name], step) for step in net.transitions if step.label == label] if net else []
            ways.append([(name, marking) for marking in found if marking is not None])
        for chosen in product(*ways):
            yield frozenset({**tokens, **dict(chosen)}.items())

    def closed(self, states: set[State]) -> set[State]:
        open_ = list(states)
        while open_:
            state = open_.pop()
            for name, _ in state:
                for after in self.moves(state, None, {name}):
                    if after not in states:
                        states.add(after)
                        open_.append(after)
        return states

    def binds(self, label: str, names: set[str]) -> bool:
        """Whether a transition may fire for just these objects."""
        if not names:
            return False
        of_type = Counter(self.log.objects[name] for name in names)
        for object_type, net in self.nets.items():
            if any(transition.label == label for transition in net.transitions):
                arc = self.ocpn.cardinalities[object_type, label]
                allowed = range(1 - (arc.minimum == 0), 99) if arc.variable else [1]
                if of_type[object_type] not in allowed:
                    return False
        return True

    def enabled(self, event: str, ancestors: set[str]) -> set[str]:
        names = set().union(*(self.objects[other] for other in {*ancestors, event}))
        start = frozenset(
            (name, net.initial if (net := self.nets.get(self.log.objects[name])) else ()) for name in names
        )
        states = self.closed({start})
        for other in sorted(ancestors, key=lambda event: (self.log.events[event][1:], event)):
            activity = self.log.events[other][0]
            if not self.binds(activity, self.objects[other]):
                return set()
            states = self.closed(
                set(chain.from_iterable(self.moves(state, activity, self.objects[other]) for state in states))
            )
        labels = {step.label for net in self.nets.values() for step in net.transitions if step.label is not None}
        subsets = [set(some) for size in range(1, len(names) + 1) for some in combinations(sorted(names), size)]
        return {
            label
            for label in labels
            for some in subsets
            if self.binds(label, some) and any(True for state in states for _ in self.moves(state, label, some))
        }

    def measure(self) -> tuple[float | None, float | None, int]:
        contexts = {}
        in_log: dict[object, set[str]] = defaultdict(set)
        in_model: dict[object, set[str]] = defaultdict(set)
        for event, (activity, *_) in self.log.events.items():
            ancestors = nx.ancestors(self.graph, event)
            context = contexts[event] = self.context(event, ancestors)
            in_log[context].add(activity)
            in_model[context] |= self.enabled(event, ancestors)
        fitness = [len(in_log[c] & in_model[c]) / len(in_log[c]) for c in contexts.values()]
        precision = [len(in_log[c] & in_model[c]) / len(in_model[c]) for c in contexts.values() if in_model[c]]
        return mean(fitness), mean(precision), len(in_log)


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


@st.composite
def nets(draw: st.DrawFn, object_type: str) -> AcceptingNet:
    """Draw any small net; its silent transitions make no tokens, so that they end."""
    places = st.lists(st.integers(0, 2), unique=True, max_size=2).map(lambda found: tuple(sorted(found)))
    transitions = []
    labels = draw(st.lists(st.sampled_from(["a", "b", "c", "a b", "new", None, None]), max_size=6))
    for position, label in enumerate(labels):
        inputs, outputs = draw(places), draw(places)
        if label is None:
            outputs = outputs[: len(inputs)]
        transitions.append(Transition(f"t{position}", label, inputs, outputs))
    return AcceptingNet(
        object_type, ("p", "q", "r"), tuple(transitions), draw(st.sampled_from([(1, 0, 0), (1, 0, 1)])), (0, 0, 0)
    )


@st.composite
def ocpns(draw: st.DrawFn) -> Ocpn:
    found = tuple(
        draw(nets(kind)) for kind in draw(st.sampled_from([("Item", "item", "order"), ("item", "order"), ()]))
    )
    cards = st.sampled_from([ONE, Cardinality(True, 1, 2), Cardinality(True, 0, 2), Cardinality(False, 0, 3)])
    keys = {(net.object_type, step.label) for net in found for step in net.transitions if step.label is not None}
    return Ocpn(found, {key: draw(cards) for key in sorted(keys)})


@given(logs(), ocpns())
def test_the_measures_are_those_of_the_definition(log: Log, ocpn: Ocpn) -> None:
    quality = oc_quality(encoded(log), ocpn)
    fitness, precision, contexts = Reference(log, ocpn).measure()
    assert quality.fitness == pytest.approx(fitness)
    assert quality.precision == pytest.approx(precision)
    assert (quality.contexts, quality.events, quality.measured) == (contexts, len(log.events), len(log.events))


@given(logs())
def test_the_measures_of_a_discovered_net_are_those_of_the_definition(log: Log) -> None:
    log = log.part(sorted(log.objects)[:3])  # the reference's states multiply by the object
    ocpn = discover_ocpn(encoded(log))
    quality = oc_quality(encoded(log), ocpn)
    fitness, precision, _ = Reference(log, ocpn).measure()
    assert quality.fitness == pytest.approx(fitness)
    assert quality.precision == pytest.approx(precision)


@given(logs(), ocpns(), st.sets(st.sampled_from(["order", "item", "none"])))
def test_a_type_left_out_is_as_if_it_were_not_in_the_log(log: Log, ocpn: Ocpn, kinds: set[str]) -> None:
    related = {event for event, _, _ in log.relations}
    part = log.part(name for name, kind in log.objects.items() if kind in kinds)
    kept = {event for event, _, _ in part.relations} | (log.events.keys() - related)
    part = replace(part, events={event: log.events[event] for event in log.events if event in kept})
    nets = replace(ocpn, nets=tuple(net for net in ocpn.nets if net.object_type in kinds))
    assert oc_quality(encoded(log), ocpn, object_types=kinds) == oc_quality(encoded(part), nets)


@given(logs(), ocpns())
def test_the_outcome_does_not_depend_on_the_hash(log: Log, ocpn: Ocpn) -> None:
    """With words that are all zero, or of one bit, contexts collide: that is noticed, and other words are drawn."""
    with pytest.MonkeyPatch.context() as patch:
        bits = iter([0, 1, 1, 2, 3, 8, *[64] * 9])
        draw = context_quality._words
        patch.setattr(
            context_quality, "_words", lambda seed, nodes: draw(seed, nodes) & np.uint64((1 << next(bits)) - 1)
        )
        weak = oc_quality(encoded(log), ocpn)
    assert weak == oc_quality(encoded(log), ocpn)


@given(logs(), ocpns(), st.integers(0, 6))
def test_an_execution_beyond_the_limit_is_left_out_and_told(log: Log, ocpn: Ocpn, limit: int) -> None:
    quality = oc_quality(encoded(log), ocpn, limit=limit)
    graph = Reference(log, ocpn).graph.to_undirected()
    components = list(nx.connected_components(graph))
    small = {event for component in components if len(component) <= limit for event in component}
    part = Log(
        {event: log.events[event] for event in log.events if event in small},
        log.objects,
        [relation for relation in log.relations if relation[0] in small],
    )
    rest = oc_quality(encoded(part), ocpn)
    assert replace(quality, events=rest.events, largest=rest.largest, limit=rest.limit) == rest
    assert (quality.events, quality.largest) == (len(log.events), max(map(len, components), default=0))
    rows = oc_quality_rows("m", quality)
    spec = TABLES["gold.model_quality"]
    assert dict(rows.schema) == {name: kind for name, kind in spec.schema.items() if name != "log_id"}
    assert (rows["value"].null_count() == 2) or small == set(log.events)
    assert rows["metric"].to_list() == ["oc_fitness", "oc_precision"]


def swept(traces: Traces) -> Iterator[tuple[str, set[str]]]:
    """Give every event's ancestors, as the sweep finds them."""
    graph = context_quality._event_graph(traces)
    names = traces.event_ids.gather(graph.event).to_list()
    for front in context_quality._fronts(graph, 0, len(names)):
        for event, bits in zip(front.events.tolist(), front.ancestors, strict=True):
            _, members = context_quality._members(bits[np.newaxis])
            yield names[event], {names[graph.first[event] + member] for member in members.tolist()}


def test_large_executions_are_swept_in_words_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of events in one execution, beside small ones, in many batches and parts."""
    random = np.random.default_rng(1)
    events = {f"e{n:03d}": (str(random.choice(["a", "b"])), n, 0) for n in range(400)}
    objects = {f"o{n:02d}": str(random.choice(["item", "order"])) for n in range(60)}
    hubs, others = [f"o{n:02d}" for n in range(12)], [f"o{n:02d}" for n in range(12, 60)]
    relations = [
        (event, str(name), "")
        for number, event in enumerate(events)
        for name in (random.choice(hubs, 4, replace=False) if number < 200 else [others[(number - 200) // 4 % 48]])
    ]
    log = Log(events, objects, relations)
    traces = encoded(log)
    ocpn = discover_ocpn(traces)
    whole = oc_quality(traces, ocpn)
    assert whole.largest == 200

    reference = Reference(log, ocpn)
    ancestors = {event: nx.ancestors(reference.graph, event) for event in events}
    contexts = {event: reference.context(event, ancestors[event]) for event in events}
    assert dict(swept(traces)) == ancestors
    assert whole.contexts == len(set(contexts.values()))
    assert whole.fitness == 1
    monkeypatch.setattr(context_quality, "_BATCH", 40)
    monkeypatch.setattr(context_quality, "_ENTRIES", 16)
    monkeypatch.setattr(context_quality, "_WORDS", 8)
    monkeypatch.setattr(context_quality, "_SUMS", 40)
    assert dict(swept(traces)) == ancestors
    assert oc_quality(traces, ocpn) == whole


def test_many_types_and_activities_take_little_memory() -> None:
    """Sixty flowers of sixty activities each: 3,600 pairs of type and label, that as many columns would tell apart."""
    events = {f"e{n:04d}": (f"a{n * 7919 % 60:02d}", n, 0) for n in range(3000)}
    objects = {f"o{n:02d}": f"t{n:02d}" for n in range(60)}
    traces = encoded(Log(events, objects, [(event, f"o{n * 31 // 7 % 60:02d}", "") for n, event in enumerate(events)]))
    free = Cardinality(variable=True, minimum=0, maximum=1)
    labels = traces.activities.to_list()
    petals = tuple(Transition(label, label, (0,), (0,)) for label in labels)
    nets = tuple(AcceptingNet(kind, ("p",), petals, (1,), (1,)) for kind in traces.object_types)
    ocpn = Ocpn(nets, {(net.object_type, label): free for net in nets for label in labels})
    tracemalloc.start()
    quality = oc_quality(traces, ocpn)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert quality.fitness == 1
    assert peak < 40e6


def test_an_event_of_many_objects_does_not_spread_all_their_ancestors_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_quality, "_WORDS", 1 << 16)
    objects = {f"o{n:04d}": "order" for n in range(4000)}
    events = {"e": ("import", 0, 0)} | {f"e{n:04d}": ("pay", 1, 0) for n in range(4000)}
    relations = [("e", name, "") for name in objects] + [(f"e{name[1:]}", name, "") for name in objects]
    traces = encoded(Log(events, objects, relations))
    graph = context_quality._event_graph(traces)
    fronts = [front.ancestors.size for front in context_quality._fronts(graph, 0, len(events))]
    assert len(fronts) > 3
    assert max(fronts) <= 1 << 16


def test_many_activities_that_may_be_skipped_are_replayed_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state has a marking for each of what may be skipped; what a marking enables is not sought in every state."""
    asked = Counter[int]()
    lacking = PackedNet.lacking
    monkeypatch.setattr(
        PackedNet, "lacking", lambda net, marking, step: asked.update([marking]) or lacking(net, marking, step)
    )
    net = AcceptingNet(
        "order",
        tuple(f"p{n:02d}" for n in range(51)),
        tuple(
            Transition(f"{kind}{n:02d}", f"a{n:02d}" if kind else None, (n,), (n + 1,))
            for n in range(50)
            for kind in ("", "a")
        ),
        (1, *[0] * 50),
        (*[0] * 50, 1),
    )
    log = Log(
        {f"e{n:02d}": (f"a{n:02d}", n, 0) for n in range(50)},
        {"o": "order"},
        [(f"e{n:02d}", "o", "") for n in range(50)],
    )
    ocpn = Ocpn((net,), {("order", f"a{n:02d}"): ONE for n in range(50)})
    assert oc_quality(encoded(log), ocpn).fitness == 1
    assert max(asked.values()) <= 60


def test_a_net_with_too_many_markings_is_refused() -> None:
    """A silent transition that only makes tokens never ends."""
    log = Log({"e": ("a", 0, 0)}, {"o": "order"}, [("e", "o", "")])
    make = Transition("t", None, (0,), (0, 1))
    ocpn = Ocpn((AcceptingNet("order", ("p", "q"), (make,), (1, 0), (0, 0)),), {})
    with pytest.raises(OcelakeError, match="'order' lets one object be in more than 20000 markings"):
        oc_quality(encoded(log), ocpn)


def test_a_worked_example() -> None:
    """Two orders are placed; one is cancelled, the other paid, with an item that comes in only then.

    Both are in the context {order: empty} when placed, and the net enables just that. The one that is paid is in the
    context {order: <place>, item: empty}: the net enables pay and cancel, half of which is seen. The other is in the
    context {order: <place>}, where pay would need an item: so all that is enabled is seen.
    """
    steps = [("place", "o1"), ("place", "o2"), ("pay", "o1 i1"), ("cancel", "o2")]
    events = {f"e{n}": (activity, n, 0) for n, (activity, _) in enumerate(steps)}
    relations = [(f"e{n}", name, "") for n, (_, names) in enumerate(steps) for name in names.split()]
    log = Log(events, {"o1": "order", "o2": "order", "i1": "item"}, relations)
    ocpn = discover_ocpn(encoded(log))
    quality = oc_quality(encoded(log), ocpn)
    assert (quality.fitness, quality.precision, quality.contexts) == (1.0, (1 + 1 + 0.5 + 1) / 4, 3)

    # Where payments without an item are possible, the second order could be paid too.
    free = Ocpn(ocpn.nets, {**ocpn.cardinalities, ("item", "pay"): Cardinality(variable=True, minimum=0, maximum=1)})
    assert oc_quality(encoded(log), free).precision == (1 + 1 + 0.5 + 0.5) / 4


@pytest.mark.parametrize(("arc", "enabled"), [(ONE, False), (Cardinality(variable=True, minimum=1, maximum=1), True)])
def test_after_an_event_that_no_binding_allows_nothing_is_enabled(arc: Cardinality, enabled: bool) -> None:
    """Two orders are checked at once, then one again; in the net each may be, any number of times."""
    relations = [("e1", "o1", ""), ("e1", "o2", ""), ("e2", "o1", "")]
    log = Log({"e1": ("check", 1, 0), "e2": ("check", 2, 0)}, {"o1": "order", "o2": "order"}, relations)
    net = AcceptingNet("order", ("p",), (Transition("t", "check", (0,), (0,)),), (1,), (1,))
    quality = oc_quality(encoded(log), Ocpn((net,), {("order", "check"): arc}))
    assert (quality.fitness, quality.precision) == ((1 + enabled) / 2, 1.0)


def test_no_events_give_no_values() -> None:
    empty = Log({}, {}, [])
    quality = oc_quality(encoded(empty), Ocpn((), {}))
    assert (quality.fitness, quality.precision, quality.contexts) == (None, None, 0)
    assert oc_quality_rows("m", quality)["detail"].to_list() == ["There are no events."] * 2
    assert oc_quality_rows("m", quality)["value"].dtype == pl.Float64
