"""Small random logs with attributes and O2O, and slow and obvious references for exploring them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import polars as pl
from hypothesis import strategies as st

from ocelake.ocel.audit import audit_log, audit_table
from ocelake.ocel.conform import Conformed
from ocelake.ocel.model import Ocel, frame_schema
from ocelake.settings import LogSettings
from ocelake.tables import TABLES
from tests.unit.reference_mining import Log, instant, logs, table

ACTIVITIES = ("a", "b", "c", "a b", "é", "<x>")
OBJECT_TYPES = ("order", "item", "Item")
ATTRIBUTES = ("x", "y")


@dataclass(frozen=True)
class Rich:
    """A log with more than its control flow.

    Attributes
    ----------
    log : Log
    o2o : list of (source id, target id, qualifier)
    event_values : dict of (event id, name) to value
    object_values : dict of (object id, name, time or None, ordinal) to value
    """

    log: Log
    o2o: list[tuple[str, str, str]]
    event_values: dict[tuple[str, str], str]
    object_values: dict[tuple[str, str, int | None, int], str]

    def ocel(self) -> Ocel:
        """Give the log; every type and attribute is declared, used or not."""
        frames = self.log.tables()
        typed = [(owner, name, "string") for owner, name in product(OBJECT_TYPES, ATTRIBUTES)]
        return Ocel(
            events=frames["ocel.events"],
            objects=frames["ocel.objects"],
            event_objects=frames["ocel.event_objects"],
            object_objects=table("ocel.object_objects", self.o2o),
            event_attributes=table(
                "ocel.event_attributes",
                [(event, name, 0, value, "string", None, None) for (event, name), value in self.event_values.items()],
            ),
            object_attributes=table(
                "ocel.object_attributes", [value_row(*item) for item in self.object_values.items()]
            ),
            event_types=table("ocel.event_types", [(name,) for name in ACTIVITIES]),
            object_types=table("ocel.object_types", [(name,) for name in OBJECT_TYPES]),
            event_type_attributes=table(
                "ocel.event_type_attributes", [(*key, "string") for key in product(ACTIVITIES, ATTRIBUTES)]
            ),
            object_type_attributes=table("ocel.object_type_attributes", typed),
        )


def value_row(key: tuple[str, str, int | None, int], value: str) -> tuple[object, ...]:
    """Give one row of `ocel.object_attributes`."""
    owner, name, time, ordinal = key
    return owner, name, None if time is None else instant(time), time is None, ordinal, value, "string", None, None


@st.composite
def rich_logs(draw: st.DrawFn) -> Rich:
    """Draw small logs whose values change at the times of events, several at one time among them."""
    log = draw(logs())
    values = st.sampled_from(["1", "2", "a & b", ""])
    names = st.sampled_from(ATTRIBUTES)
    events, objects = sorted(log.events), sorted(log.objects)
    event_values = (
        draw(st.dictionaries(st.tuples(st.sampled_from(events), names), values, max_size=6)) if events else {}
    )
    if not objects:
        return Rich(log, [], event_values, {})
    ids = st.sampled_from(objects)
    o2o = draw(st.lists(st.tuples(ids, ids, st.sampled_from(["", "x"])), unique=True, max_size=6))
    times = st.one_of(st.none(), st.integers(0, 8).map(lambda half: half * 750_000 + half // 2))
    given = draw(st.lists(st.tuples(ids, names, times, values), max_size=14))
    places: dict[tuple[str, str, int | None], int] = defaultdict(int)
    object_values = {}
    for name, attribute, time, value in given:
        key = (name, attribute, time)
        object_values[(*key, places[key])] = value
        places[key] += 1
    return Rich(log, o2o, event_values, object_values)


def improper(ocel: Ocel) -> list[str]:
    """Say what keeps a log from being a proper one: schema, keys, order, references, declarations, copied columns."""
    problems = []
    for identifier, frame in ocel.frames():
        spec = TABLES[identifier]
        problems += [found.message for found in audit_table(spec, frame) if not found.passed]
        if not frame.equals(frame.sort(spec.sort)):
            problems.append(f"{identifier} is not sorted")
    empty = {name: frame_schema(f"silver.{name}").to_frame() for name in ("quarantine", "accounting")}
    found = audit_log(Conformed(ocel, **empty), LogSettings())
    problems += [one.message for one in found if one.check.endswith("_known") and not one.passed]
    relations = ocel.event_objects
    copied = relations.drop("activity", "object_type", "time", "sequence")
    joined = copied.join(ocel.events, on="event_id").join(ocel.objects, on="object_id").select(relations.columns)
    if not joined.sort(pl.all()).equals(relations.sort(pl.all())):
        problems.append("the relations do not repeat what their events and objects say")
    for members, values, declared in (
        (ocel.events, ocel.event_attributes, ocel.event_type_attributes),
        (ocel.objects, ocel.object_attributes, ocel.object_type_attributes),
    ):
        key, kind = members.columns[0], declared.columns[0]
        if values.join(members.select(key, kind), on=key).join(declared, on=[kind, "name"], how="anti").height:
            problems.append(f"attributes of {key} are not declared")
    return problems


def value_as_of(rich: Rich, event: str, name: str, attribute: str) -> str | None:
    """Give an object's value as of an event."""
    time, _ = rich.log.events[event][1:]
    trace = rich.log.traces()[name]
    later = trace[trace.index(event) + 1 :]
    tied = any(rich.log.events[other][1] == time for other in later)
    known = [
        ((-1 if at is None else at, ordinal), value)
        for (owner, key, at, ordinal), value in rich.object_values.items()
        if (owner, key) == (name, attribute) and (at is None or at < time or (at == time and not tied))
    ]
    return max(known)[1] if known else None


def members(log: Log) -> dict[str, set[str]]:
    """Give every event's objects, events in order."""
    found: dict[str, set[str]] = {
        event: set() for event in sorted(log.events, key=lambda event: (log.events[event][1:], event))
    }
    for event, name, _ in log.relations:
        found[event].add(name)
    return found


def object_graph(log: Log, kind: str) -> set[tuple[str, str]]:
    """Give one object graph."""
    traces = {name: trace for name, trace in log.traces().items() if trace}
    order = {event: rank for rank, event in enumerate(members(log))}
    edges: set[tuple[str, str]] = set()
    for event, objects in members(log).items():
        for a, b in product(sorted(objects), repeat=2):
            first_a, first_b, last_a, last_b = traces[a][0], traces[b][0], traces[a][-1], traces[b][-1]
            holds = {
                "interaction": a < b,
                "descendants": first_b == event and order[first_a] < order[event],
                "inheritance": a != b and last_a == event == first_b and not first_a == event == last_b,
                "cobirth": a < b and first_a == event == first_b,
                "codeath": a < b and last_a == event == last_b,
            }
            if holds[kind]:
                edges.add((a, b))
    return edges


def totem(rich: Rich, threshold: float) -> dict[tuple[str, str], tuple[str | None, str | None, str]]:
    """Give (source type, target type) to temporal relation, event and log cardinality, by the paper's definitions."""
    log = rich.log
    related: set[tuple[str, str]] = set()
    for objects in members(log).values():
        related |= {(a, b) for a, b in product(objects, repeat=2) if log.objects[a] != log.objects[b]}
    for a, b, _ in rich.o2o:
        related |= {(a, b), (b, a)}
    lives = {name: (log.events[trace[0]][1], log.events[trace[-1]][1]) for name, trace in log.traces().items() if trace}
    found = {}
    for source, target in product(sorted(set(log.objects.values())), repeat=2):
        pairs = [(a, b) for a, b in related if (log.objects[a], log.objects[b]) == (source, target)]
        if source == target or not pairs:
            continue
        per_event = [
            [sum(log.objects[name] == kind for name in objects) for kind in (source, target)]
            for objects in members(log).values()
        ]
        per_object = [
            sum(a == name for a, _ in pairs) for name, object_type in log.objects.items() if object_type == source
        ]
        compared = [(*lives[a], *lives[b]) for a, b in pairs if a in lives and b in lives]
        found[source, target] = (
            temporal(compared, threshold),
            cardinality([others for own, others in per_event if own], threshold),
            cardinality(per_object, threshold) or "",
        )
    return found


def cardinality(counts: list[int], threshold: float) -> str | None:
    """Give the most precise cardinality that enough counts agree with."""
    fits: dict[str, Any] = {
        "0": lambda n: n == 0,
        "1": lambda n: n == 1,
        "0..1": lambda n: n <= 1,
        "1..*": lambda n: n >= 1,
        "0..*": lambda n: True,
    }
    return agreed({name: [fit(n) for n in counts] for name, fit in fits.items()}, threshold)


def temporal(lives: list[tuple[int, int, int, int]], threshold: float) -> str | None:
    """Give the most precise temporal relation that enough pairs of lives agree with."""
    fits: dict[str, Any] = {
        "D": lambda a, z, b, y: b <= a <= z <= y,
        "Di": lambda a, z, b, y: a <= b <= y <= z,
        "I": lambda a, z, b, y: a <= z <= b <= y or a < b <= z < y,
        "Ii": lambda a, z, b, y: b <= y <= a <= z or b < a <= y < z,
        "P": lambda a, z, b, y: True,
    }
    return agreed({name: [fit(*life) for life in lives] for name, fit in fits.items()}, threshold)


def agreed(votes: dict[str, list[bool]], threshold: float) -> str | None:
    """Give the first name with enough votes."""
    return next((name for name, ballots in votes.items() if ballots and sum(ballots) / len(ballots) >= threshold), None)


def type_pairs(log: Log, edges: Iterable[tuple[str, str]], *, undirected: bool) -> dict[tuple[str, str], int]:
    """Count edges by the types of their ends; sorted where they have no direction."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for a, b in edges:
        types = (log.objects[a], log.objects[b])
        counts[(min(types), max(types)) if undirected else types] += 1
    return dict(counts)


def subsets(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Give all subsets of one or two names."""
    ordered = sorted(names)
    return [(name,) for name in ordered] + list(combinations(ordered, 2))
