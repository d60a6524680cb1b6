"""A slow and obvious reference for mining, in plain Python, and small random logs to compare on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import networkx as nx
import polars as pl
from hypothesis import strategies as st

from ocelake.tables import TABLES

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Log:
    """A log as plain values.

    Attributes
    ----------
    events : dict of event id to (activity, time in microseconds, sequence)
    objects : dict of object id to object type
    relations : list of (event id, object id, qualifier)
    """

    events: dict[str, tuple[str, int, int]]
    objects: dict[str, str]
    relations: list[tuple[str, str, str]]

    def tables(self) -> dict[str, pl.DataFrame]:
        """Give the silver tables, sorted as the registry says."""
        events = [
            (event, activity, instant(time), sequence, False, "b", position)
            for position, (event, (activity, time, sequence)) in enumerate(self.events.items())
        ]
        objects = [(name, kind, False, "b", position) for position, (name, kind) in enumerate(self.objects.items())]
        relations = [
            (event, name, qualifier, activity, self.objects[name], instant(time), sequence)
            for event, name, qualifier in self.relations
            for activity, time, sequence in [self.events[event]]
        ]
        frames = {
            "ocel.events": events,
            "ocel.objects": objects,
            "ocel.event_objects": relations,
            "ocel.event_types": [(name,) for name in {activity for activity, _, _ in self.events.values()}],
            "ocel.object_types": [(name,) for name in set(self.objects.values())],
            "ocel.object_objects": [],
            "ocel.event_attributes": [],
            "ocel.object_attributes": [],
        }
        return {identifier: table(identifier, rows) for identifier, rows in frames.items()}

    def part(self, objects: Iterable[str]) -> Log:
        """Give the log of some whole objects."""
        names = set(objects)
        kept = {name: kind for name, kind in self.objects.items() if name in names}
        return Log(self.events, kept, [relation for relation in self.relations if relation[1] in kept])

    def traces(self) -> dict[str, list[str]]:
        """Give every object's events, in order."""
        steps: dict[str, set[str]] = {name: set() for name in self.objects}
        for event, name, _ in self.relations:
            steps[name].add(event)
        return {
            name: sorted(events, key=lambda event: (self.events[event][1:], event)) for name, events in steps.items()
        }


def instant(time: int) -> datetime:
    """Give the instant of an event's time."""
    return EPOCH + timedelta(microseconds=time)


def table(identifier: str, rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """Make one table of a log, without the partition columns, in the registry's order."""
    spec = TABLES[identifier]
    schema = {name: dtype for name, dtype in spec.schema.items() if name not in spec.partition}
    return pl.DataFrame(rows, schema=schema, orient="row").sort(spec.sort)


def nodes(log: Log) -> dict[tuple[str | None, str], tuple[int | None, ...]]:
    """Give (type, activity) to the seven counts of `gold.ocdfg_nodes`."""
    found: dict[tuple[str, str], list[list[object]]] = defaultdict(lambda: [[] for _ in range(4)])
    for name, events in log.traces().items():
        for position, event in enumerate(events):
            lists = found[log.objects[name], log.events[event][0]]
            lists[0].append(event)
            lists[1].append(name)
            if position == 0:
                lists[2].append(event)
            if position == len(events) - 1:
                lists[3].append(event)
    counts: dict[tuple[str | None, str], tuple[int | None, ...]] = {
        key: (len(set(e)), len(set(o)), len(o), len(set(s)), len(s), len(set(t)), len(t))
        for key, (e, o, s, t) in found.items()
    }
    for activity, events_of in Counter(activity for activity, _, _ in log.events.values()).items():
        counts[None, activity] = (events_of, *(None,) * 6)
    return counts


def edges(log: Log) -> dict[tuple[str, str, str], tuple[int, int, int, list[float]]]:
    """Give (type, source, target) to couples, objects, triples and the sorted durations in seconds."""
    triples: dict[tuple[str, str, str], list[tuple[str, str, str]]] = defaultdict(list)
    for name, events in log.traces().items():
        for first, second in pairwise(events):
            triples[log.objects[name], log.events[first][0], log.events[second][0]].append((first, second, name))
    return {
        edge: (
            len({(a, b) for a, b, _ in found}),
            len({name for _, _, name in found}),
            len(found),
            sorted((log.events[b][1] - log.events[a][1]) / 1e6 for a, b, _ in found),
        )
        for edge, found in triples.items()
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """Interpolate linearly between the two values around a share."""
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def variants(log: Log) -> Counter[tuple[str, tuple[str, ...]]]:
    """Count the objects of each (type, sequence of activities)."""
    return Counter(
        (log.objects[name], tuple(log.events[event][0] for event in events)) for name, events in log.traces().items()
    )


def executions(log: Log) -> set[tuple[frozenset[str], frozenset[str]]]:
    """Give the (events, objects) of each connected component."""
    graph = nx.Graph()
    graph.add_nodes_from(("event", event) for event in log.events)
    graph.add_nodes_from(("object", name) for name in log.objects)
    graph.add_edges_from((("event", event), ("object", name)) for event, name, _ in log.relations)
    return {
        (
            frozenset(key for kind, key in component if kind == "event"),
            frozenset(key for kind, key in component if kind == "object"),
        )
        for component in nx.connected_components(graph)
    }


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Draw small logs: many ties, several qualifiers, empty traces, self-loops, events without objects, odd names."""
    names = st.sampled_from(["a", "b", "c", "a b", "é", "<x>"])
    ids = st.text("eo1é: ", min_size=1, max_size=3)
    events = draw(
        st.dictionaries(ids, st.tuples(names, st.integers(0, 4), st.integers(0, 1)), max_size=9).map(
            lambda found: {event: (activity, time * 1_500_001, seq) for event, (activity, time, seq) in found.items()}
        )
    )
    objects = draw(st.dictionaries(ids, st.sampled_from(["order", "item", "Item"]), max_size=6))
    if not events or not objects:
        return Log(events, objects, [])
    relation = st.tuples(st.sampled_from(sorted(events)), st.sampled_from(sorted(objects)), st.sampled_from(["", "x"]))
    return Log(events, objects, draw(st.lists(relation, unique=True, max_size=25)))
