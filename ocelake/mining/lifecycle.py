"""Waiting against working time, where a log tells when work started: as an attribute, or by an event of its own.

An activity instance is the execution of an activity from start to completion. Where its completion is an event and its
start another (XES' lifecycle extension), they are paired over their shared objects, first in, first out. An event
without a known start has no working time: none is made up.

References
----------
IEEE 1849-2023 (XES): lifecycle extension (`lifecycle:transition`), concept extension (`concept:instance`).
Park, Adams, van der Aalst: OPerA: Object-Centric Performance Analysis (ER 2022): waiting and service time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.predecessors import Predecessors, find_predecessors
from ocelake.mining.times import in_order, instants, to_seconds
from ocelake.mining.traces import Traces

__all__ = ["INSTANCE", "Work", "edge_work", "event_values", "find_work", "work_times"]

INSTANCE: Final = "concept:instance"
"""The XES attribute that tells the instances of one activity apart."""

_SCHEMA: Final = pl.Schema(
    {"event": pl.Int32, "start_event": pl.Int32, "start": pl.Int64, "waiting": pl.Int64, "working": pl.Int64}
)
_NEVER: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What a log tells about when work started.

    Attributes
    ----------
    starts : bool array, one per event
        Events that only start work (lifecycle transition ``start``): what comes later does not wait for them.
    instances : DataFrame
        One row per activity instance whose start is known, times in microseconds: event (rank of the completing event,
        ascending), start_event (rank of the event that started it, or null), start (since 1970), waiting (from max T of
        the completed predecessors to the start, 0 where negative, null without predecessors), working (from the start
        to the completion).
    """

    starts: npt.NDArray[np.bool_]
    instances: pl.DataFrame


def event_values(traces: Traces, attributes: pl.DataFrame, name: str) -> pl.DataFrame:
    """Give the values of one event attribute, by event rank.

    Parameters
    ----------
    traces : Traces
    attributes : DataFrame
        Columns event_id, name, ordinal, value, value_time (of `ocel.event_attributes`).
    name : str
        The attribute.

    Returns
    -------
    DataFrame
        event (int32: rank), ordinal, value, value_time; sorted by event and ordinal.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1"],
    ...         "object_id": ["o1"],
    ...         "activity": ["pay"],
    ...         "object_type": ["order"],
    ...         "time": [datetime(2024, 1, 1)],
    ...         "sequence": [0],
    ...     }
    ... )
    >>> values = {"event_id": ["e1"], "name": ["resource"], "ordinal": [0], "value": ["Ann"], "value_time": [None]}
    >>> event_values(encode(relations), pl.DataFrame(values), "resource").row(0)
    (0, 0, 'Ann', None)
    """
    named = attributes.filter(pl.col("name") == name)
    if named.is_empty():
        ranks = pl.DataFrame(schema={"event_id": pl.String, "event": pl.Int32})
    else:
        ranks = pl.DataFrame({"event_id": traces.event_ids, "event": np.arange(len(traces.event_ids), dtype=np.int32)})
    return named.join(ranks, on="event_id").select("event", "ordinal", "value", "value_time").sort("event", "ordinal")


def find_work(
    traces: Traces,
    attributes: pl.DataFrame,
    *,
    start: str | None = None,
    lifecycle: str = "lifecycle:transition",
) -> Work:
    """Find the activity instances whose start and completion are known.

    Parameters
    ----------
    traces : Traces
    attributes : DataFrame
        Rows of `ocel.event_attributes`, those of the attributes named below and `INSTANCE` at least.
    start : str, optional
        Event attribute with the time at which the work of the event began. An event that has it needs no start event.
        A start after the event itself is not believed: that event's working time stays unknown.
    lifecycle : str
        Event attribute with the lifecycle transition; ``start`` and ``complete`` are read, in any case.

    Raises
    ------
    OcelakeError
        Where the log has events, but no event has a time as its attribute ``start``.

    Notes
    -----
    Per object, activity and (where given) instance id, each completion takes the earliest start that is still open, as
    pm4py's `to_interval` does per case; a completion that finds none has no instance. Where the objects of a completion
    disagree, the start with most shared objects counts, of these the earliest. Several completions may share a start
    (a batch is started as one). Suspensions count as work.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2"],
    ...         "object_id": ["o1", "o1"],
    ...         "activity": ["repair", "repair"],
    ...         "object_type": ["phone", "phone"],
    ...         "time": [datetime(2024, 1, 1, 9), datetime(2024, 1, 1, 10)],
    ...         "sequence": 0,
    ...     }
    ... )
    >>> transitions = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2"],
    ...         "name": ["lifecycle:transition", "lifecycle:transition"],
    ...         "ordinal": 0,
    ...         "value": ["start", "complete"],
    ...         "value_time": [None, None],
    ...     }
    ... )
    >>> find_work(encode(relations), transitions).instances.select("event", "start_event", "working").row(0)
    (1, 0, 3600000000)
    """
    events = len(traces.event_ids)
    transition = event_values(traces, attributes, lifecycle).unique("event", keep="first")
    kind = transition["value"].str.to_lowercase()
    starts, completes = np.zeros(events, dtype=bool), np.zeros(events, dtype=bool)
    starts[transition["event"].filter(kind == "start").to_numpy()] = True
    completes[transition["event"].filter(kind == "complete").to_numpy()] = True

    timed = (
        _start_times(traces, event_values(traces, attributes, start), start) if start else pl.DataFrame(schema=_SCHEMA)
    )
    completes[timed["event"].to_numpy()] = False
    paired = _pair(traces, starts, completes, event_values(traces, attributes, INSTANCE))
    begun = traces.event_time[paired["start_event"].to_numpy()]
    found = pl.concat(
        [timed.select("event", pl.lit(None, pl.Int32).alias("start_event"), "start"), paired.with_columns(start=begun)]
    ).sort("event")
    working = traces.event_time[found["event"].to_numpy()] - found["start"].to_numpy()
    found = found.with_columns(pl.Series("working", working, pl.Int64)).filter(pl.col("working") >= 0)
    if found.is_empty():
        return Work(starts, pl.DataFrame(schema=_SCHEMA))
    ready = _completed_before(find_predecessors(traces, starts), traces)
    begun = found["start_event"].fill_null(found["event"]).to_numpy()
    since = found["start"].to_numpy() - ready[begun].clip(max=found["start"].to_numpy())
    waiting = pl.Series("waiting", np.where(ready[begun] == _NEVER, _NEVER, since)).replace(_NEVER, None)
    return Work(starts, found.with_columns(waiting).select(_SCHEMA.names()))


def work_times(traces: Traces, work: Work) -> pl.DataFrame:
    """Give every activity instance whose start is known, as `gold.work_times`.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.tables import TABLES
    >>> silver = ("ocel.event_objects", "ocel.event_attributes")
    >>> relations, attributes = (pl.DataFrame(schema=TABLES[name].schema) for name in silver)
    >>> traces = encode(relations)
    >>> work_times(traces, find_work(traces, attributes)).height
    0
    """
    found = work.instances
    event = found["event"].to_numpy()
    return in_order(
        pl.DataFrame(
            {
                "event_id": traces.event_ids.gather(found["event"]),
                "activity": traces.activities.gather(traces.event_activity[event]),
                "start_event_id": traces.event_ids.gather(found["start_event"]),
                "start_time": instants(found["start"].to_numpy()),
                "time": instants(traces.event_time[event]),
                "waiting": to_seconds(found["waiting"]),
                "working": to_seconds(found["working"]),
            }
        )
    )


def edge_work(traces: Traces, work: Work) -> pl.DataFrame:
    """Split the time of each directly-follows edge into waiting and working, as `gold.edge_performance`.

    An edge leads from one completed activity to the next of the same object; it is measured on its distinct event
    couples. The working time of a couple is the part of the second event's that lies after the first event, the waiting
    time is the rest.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.tables import TABLES
    >>> silver = ("ocel.event_objects", "ocel.event_attributes")
    >>> relations, attributes = (pl.DataFrame(schema=TABLES[name].schema) for name in silver)
    >>> traces = encode(relations)
    >>> edge_work(traces, find_work(traces, attributes)).height
    0
    """
    worked = np.full(len(traces.event_ids), -1)
    worked[work.instances["event"].to_numpy()] = work.instances["working"].to_numpy()
    if work.instances.is_empty():
        kind = source = target = np.empty(0, dtype=np.int32)
    else:
        kind, source, target = find_predecessors(traces, work.starts).couples(traces)
    known = worked[target] >= 0
    kind, source, target = kind[known], source[known], target[known]
    duration = traces.event_time[target] - traces.event_time[source]
    working = np.minimum(worked[target], duration)
    edges = (
        pl.DataFrame(
            {
                "kind": kind,
                "source": traces.event_activity[source],
                "target": traces.event_activity[target],
                "waiting": duration - working,
                "working": working,
            }
        )
        .group_by("kind", "source", "target")
        .agg(pl.len().cast(pl.Int64).alias("event_couples"), pl.col("waiting", "working").cast(pl.Int128).sum())
    )
    sums = {name: to_seconds(edges[name].cast(pl.Float64)) for name in ("waiting", "working")}
    return edges.select(
        traces.object_types.gather(edges["kind"]).alias("object_type"),
        traces.activities.gather(edges["source"]).alias("source"),
        traces.activities.gather(edges["target"]).alias("target"),
        "event_couples",
        *(
            column
            for name, total in sums.items()
            for column in (total.alias(f"{name}_sum"), (total / edges["event_couples"]).alias(f"{name}_mean"))
        ),
    ).sort("object_type", "source", "target")


def _completed_before(predecessors: Predecessors, traces: Traces) -> npt.NDArray[np.int64]:
    """Give every event its max T, or `_NEVER`."""
    ready = np.full(len(traces.event_ids), _NEVER)
    ready[predecessors.event] = traces.event_time[predecessors.latest]
    return ready


def _start_times(traces: Traces, values: pl.DataFrame, name: str) -> pl.DataFrame:
    """Give the events that have a start time, and that time in microseconds."""
    times = values.filter(pl.col("value_time").is_not_null()).unique("event", keep="first")
    if times.is_empty() and len(traces.event_ids):
        seen = (
            f"of its {len(values)} values none is, such as {values['value'][0]!r}" if len(values) else "no event has it"
        )
        raise OcelakeError(
            f"The attribute {name!r} is to tell when work started, as a time, but {seen}.",
            fix="Name an attribute of times as `start` in the log's mining settings, or none.",
        )
    return times.select("event", pl.col("value_time").cast(pl.Datetime("us")).to_physical().alias("start"))


def _pair(
    traces: Traces, starts: npt.NDArray[np.bool_], completes: npt.NDArray[np.bool_], instances: pl.DataFrame
) -> pl.DataFrame:
    """Pair completing events with starting ones: columns event, start_event."""
    relevant = starts | completes
    steps = np.flatnonzero(relevant[traces.step_event])
    instance = np.full(len(relevant), -1, dtype=np.int32)
    named = instances.unique("event", keep="first")
    instance[named["event"].to_numpy()] = named["value"].rank("dense").cast(pl.Int32).to_numpy()
    event = traces.step_event[steps]
    queue = ("object", "activity", "instance")
    step = pl.DataFrame(
        {
            "object": traces.step_object[steps],
            "activity": traces.step_activity[steps],
            "instance": instance[event],
            "event": event,
            "start": starts[event],
        }
    )
    # The number of open starts is the walk of +1 (start) and -1 (completion) above its lowest point so far, or above 0:
    # a completion that makes a new low finds no start, so it leaves the queue as it was.
    walk = pl.when("start").then(1).otherwise(-1).cast(pl.Int32).cum_sum().over(queue)
    step = step.with_columns(low=walk.cum_min().over(queue).clip(upper_bound=0))
    low_before = pl.col("low").shift(fill_value=0).over(queue)
    paired = step.filter(pl.col("start") | (pl.col("low") == low_before)).with_columns(
        turn=pl.int_range(pl.len(), dtype=pl.Int32).over(*queue, "start")
    )
    place = [*queue, "turn"]
    begun = paired.filter("start").select(*place, pl.col("event").alias("start_event"))
    candidates = (
        paired.filter(~pl.col("start")).join(begun, on=place).select("event", "start_event").unique(maintain_order=True)
    )
    objects = step.select("object", "event")
    shared = (
        candidates.join(objects, on="event")
        .join(objects.rename({"event": "start_event"}), on=["start_event", "object"])
        .group_by("event", "start_event")
        .agg(shared=pl.len())
    )
    best = shared.sort("event", -pl.col("shared").cast(pl.Int64), "start_event")
    return best.unique("event", keep="first", maintain_order=True).select("event", "start_event")
