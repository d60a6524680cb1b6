"""Small logs that change, for tests of what follows the changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import strategies as st

from ocelake.mining.incremental import LogChange
from ocelake.mining.traces import Traces, encode

START = datetime(2024, 1, 1, tzinfo=UTC)
EVENT = {"event_id": pl.String, "activity": pl.String, "time": pl.Datetime("us", "UTC"), "sequence": pl.Int64}
OBJECT = {"object_type": pl.String, "object_id": pl.String}
RELATION = {"event_id": pl.String, "object_id": pl.String}


@dataclass
class Log:
    """A log as sets: events and objects by id, and the pairs that are related."""

    events: dict[str, tuple[str, datetime, int]] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)
    relations: set[tuple[str, str]] = field(default_factory=set)

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Give events, objects and relations."""
        return (
            pl.DataFrame([(name, *event) for name, event in self.events.items()], schema=EVENT, orient="row"),
            pl.DataFrame([(kind, name) for name, kind in self.objects.items()], schema=OBJECT, orient="row"),
            pl.DataFrame(sorted(self.relations), schema=RELATION, orient="row"),
        )

    def traces(self) -> Traces:
        """Encode the whole log."""
        events, objects, relations = self.frames()
        return encode(relations, objects, events)


def change(before: Log, after: Log) -> LogChange:
    """Give what went and what came between two logs."""
    gone_events = {name for name, event in before.events.items() if after.events.get(name) != event}
    new_events = {name for name, event in after.events.items() if before.events.get(name) != event}
    gone_objects = {name for name, kind in before.objects.items() if after.objects.get(name) != kind}
    new_objects = {name for name, kind in after.objects.items() if before.objects.get(name) != kind}
    went = {r for r in before.relations if r not in after.relations or r[0] in gone_events or r[1] in gone_objects}
    came = {r for r in after.relations if r not in before.relations or r[0] in new_events or r[1] in new_objects}
    parts = [
        Log({e: log.events[e] for e in events}, {o: log.objects[o] for o in objects}, relations).frames()
        for log, events, objects, relations in (
            (before, gone_events, gone_objects, went),
            (after, new_events, new_objects, came),
        )
    ]
    return LogChange(*(frame for pair in zip(*parts, strict=True) for frame in pair))


@st.composite
def batches(draw: st.DrawFn, log: Log, most: int = 6) -> Log:
    """Draw what a log is after a batch: events and objects that came, went or are others now."""
    events, objects, relations = dict(log.events), dict(log.objects), set(log.relations)
    for _ in range(draw(st.integers(1, most))):
        event, thing = f"e{draw(st.integers(0, 9))}", f"o{draw(st.integers(0, 7))}"
        match draw(st.sampled_from(["event"] * 4 + ["object"] * 2 + ["relate"] * 5 + ["lose", "leave", "drop"])):
            case "event":
                time = START + timedelta(days=draw(st.integers(0, 4)))
                events[event] = draw(st.sampled_from("abc")), time, draw(st.sampled_from([0, 0, 1]))
            case "object":
                objects[thing] = draw(st.sampled_from(["item", "order", "order"]))
            case "relate":
                relations.add((event, thing))
            case "lose":
                events.pop(event, None)
            case "leave":
                relations.discard((event, thing))
            case "drop":
                objects.pop(thing, None)
    return Log(events, objects, {(e, o) for e, o in relations if e in events and o in objects})


@st.composite
def histories(draw: st.DrawFn, most: int = 5) -> list[Log]:
    """Draw a log and what it becomes, batch by batch."""
    logs = [draw(batches(Log(), 30))]
    for _ in range(draw(st.integers(1, most))):
        logs.append(draw(batches(logs[-1])))
    return logs
