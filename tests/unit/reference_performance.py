"""A slow and obvious reference for performance, in plain Python, on the logs of `reference_mining`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import polars as pl
from hypothesis import strategies as st

from ocelake.mining.traces import Traces, encode
from tests.unit.reference_mining import Log, instant, table

Measures = dict[str, float | None]


def encoded(log: Log) -> Traces:
    """Encode a log with all of its events and objects."""
    tables = log.tables()
    return encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])


def attributes(values: Sequence[tuple[str, str, object]]) -> pl.DataFrame:
    """Make `ocel.event_attributes` of (event, name, value); an integer is a time in microseconds."""
    rows = [
        (event, name, 0, None, "time", None, instant(value))
        if isinstance(value, int)
        else (event, name, 0, value, "string", None, None)
        for event, name, value in values
    ]
    return table("ocel.event_attributes", rows)


@st.composite
def busy_logs(draw: st.DrawFn) -> Log:
    """Draw logs with few activities and many events: several events on an edge, some of which take longer."""
    number = draw(st.integers(12, 40))
    activity, objects = (
        st.sampled_from("ab"),
        {f"{kind}{turn}": kind for kind in ("item", "order") for turn in range(4)},
    )
    time, members = st.integers(0, 60), st.sets(st.sampled_from(sorted(objects)), min_size=1, max_size=3)
    events = {f"{turn:02d}": (draw(activity), draw(time) * 1_500_001, 0) for turn in range(number)}
    return Log(events, objects, [(event, name, "") for event in events for name in sorted(draw(members))])


def predecessors(log: Log) -> dict[str, list[tuple[str, str, str]]]:
    """Give every event's (object type, object, event before), those without any included."""
    found: dict[str, list[tuple[str, str, str]]] = {event: [] for event in log.events}
    for name, events in log.traces().items():
        for first, second in pairwise(events):
            found[second].append((log.objects[name], name, first))
    return found


def rank(log: Log, event: str) -> tuple[int, int, str]:
    """Give an event's place in the order of all events."""
    return (*log.events[event][1:], event)


def event_measures(log: Log) -> dict[str, Measures]:
    """Give the measures over all types of every event, in seconds."""
    found: dict[str, Measures] = {}
    for event, before in predecessors(log).items():
        own, times = log.events[event][1], [log.events[first][1] for _, _, first in before]
        found[event] = {
            "sojourn": (own - max(times)) / 1e6 if times else None,
            "synchronization": (max(times) - min(times)) / 1e6 if times else None,
            "flow": (own - min(times)) / 1e6 if times else None,
        }
    return found


def lagging(log: Log) -> dict[str, tuple[str, str] | None]:
    """Give the (type, object) that kept each event waiting; None where nothing did."""
    found: dict[str, tuple[str, str] | None] = {}
    for event, before in predecessors(log).items():
        times = [log.events[first][1] for _, _, first in before]
        last = max((rank(log, first) for _, _, first in before), default=None)
        waited = times and max(times) > min(times)
        found[event] = min((kind, name) for kind, name, first in before if rank(log, first) == last) if waited else None
    return found


def type_measures(log: Log) -> dict[tuple[str, str], Measures]:
    """Give the measures of every (event, object type) with predecessors, in seconds."""
    found: dict[tuple[str, str], Measures] = {}
    for event, before in predecessors(log).items():
        times: dict[str, list[int]] = defaultdict(list)
        for kind, _, first in before:
            times[kind].append(log.events[first][1])
        for kind, own in times.items():
            others = [time for other, of_other in times.items() if other != kind for time in of_other]
            found[event, kind] = {
                "pooling": (max(own) - min(own)) / 1e6,
                "lagging": max(max(own) - min(others), 0) / 1e6 if others else None,
                "readiness": (min(own) - min(own + others)) / 1e6,
            }
    return found
