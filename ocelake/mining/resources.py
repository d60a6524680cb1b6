"""Who does the events: workload, utilization, and handover of work.

A resource is named by an event attribute, or is an object of a declared type. An event may have several.

References
----------
van der Aalst, Reijers, Song: Discovering Social Networks from Event Logs (CSCW 14, 2005): handover of work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.lifecycle import Work, event_values
from ocelake.mining.predecessors import Predecessors
from ocelake.mining.times import instants, to_seconds
from ocelake.mining.traces import Codes, Traces
from ocelake.settings import MiningSettings

__all__ = ["EventResources", "event_resources", "handovers", "resource_attributes", "resources"]

_DEFAULT: Final = ("org:resource", "resource")


@dataclass(frozen=True, slots=True, eq=False)
class EventResources:
    """Which resources do which events.

    Attributes
    ----------
    names : polars.Series of str
        Resources by code, sorted.
    resource : int32 array, one per (event, resource)
        Resource code, ascending within an event.
    offsets : int64 array, one more than events
        The resources of the event with rank ``e`` are those at ``offsets[e]:offsets[e + 1]``.
    object_type : str or None
        The type whose objects are the resources, if they are objects.
    """

    names: pl.Series
    resource: Codes
    offsets: npt.NDArray[np.int64]
    object_type: str | None


def resource_attributes(settings: MiningSettings) -> tuple[str, ...]:
    """Give the event attributes that may name the resource; the first that the log has counts.

    Examples
    --------
    >>> resource_attributes(MiningSettings())
    ('org:resource', 'resource')
    """
    if settings.resource_type is not None:
        return ()
    return _DEFAULT if settings.resource is None else (settings.resource,)


def event_resources(traces: Traces, attributes: pl.DataFrame, settings: MiningSettings) -> EventResources:
    """Find the resources of every event.

    Parameters
    ----------
    traces : Traces
    attributes : DataFrame
        Rows of `ocel.event_attributes`, those of `resource_attributes` at least.
    settings : MiningSettings
        ``resource_type`` or ``resource``.

    Raises
    ------
    OcelakeError
        Where the log has events, but not the resource attribute or type that the settings name.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e1"],
    ...         "object_id": ["o1", "Ann"],
    ...         "activity": ["pay", "pay"],
    ...         "object_type": ["orders", "clerks"],
    ...         "time": [datetime(2024, 1, 1), datetime(2024, 1, 1)],
    ...         "sequence": 0,
    ...     }
    ... )
    >>> found = event_resources(encode(relations), pl.DataFrame(), MiningSettings(resource_type="clerks"))
    >>> found.names.gather(found.resource).to_list()
    ['Ann']
    """
    if settings.resource_type is not None:
        done = _objects(traces, settings.resource_type)
    else:
        done = pl.DataFrame(schema={"event": pl.Int32, "name": pl.String})
        for attribute in resource_attributes(settings):
            values = event_values(traces, attributes, attribute).drop_nulls("value")
            if not values.is_empty():
                done = values.select("event", pl.col("value").alias("name")).unique()
                break
    named = settings.resource_type or settings.resource
    if named is not None and done.is_empty() and len(traces.event_ids):
        kind = "attribute" if settings.resource_type is None else "object type"
        raise OcelakeError(
            f"No event has the {kind} {named!r}, which is to tell who did it.",
            fix="Correct or remove it in the log's mining settings.",
        )
    names = done["name"].unique().sort()
    codes = done["name"].cast(pl.Enum(names)).to_physical().cast(pl.Int32)
    done = done.select("event", codes.alias("resource")).sort("event", "resource")
    counts = np.bincount(done["event"].to_numpy(), minlength=len(traces.event_ids))
    return EventResources(
        names=names,
        resource=done["resource"].to_numpy(),
        offsets=np.concatenate(([0], np.cumsum(counts))),
        object_type=settings.resource_type,
    )


def resources(traces: Traces, done_by: EventResources, work: Work) -> pl.DataFrame:
    """Describe every resource, as `gold.resources`.

    The workload share is a resource's events of all events that have a resource. Utilization is the time in which a
    resource works on anything, of the calendar time from the log's first event (or start of work) to its last; where
    no start of work is known, it is null, as completion times alone do not tell how long anybody worked.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.lifecycle import find_work
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.tables import TABLES
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e1"],
    ...         "object_id": ["o1", "Ann"],
    ...         "activity": ["pay", "pay"],
    ...         "object_type": ["orders", "clerks"],
    ...         "time": [datetime(2024, 1, 1), datetime(2024, 1, 1)],
    ...         "sequence": 0,
    ...     }
    ... )
    >>> traces = encode(relations)
    >>> attributes = pl.DataFrame(schema=TABLES["ocel.event_attributes"].schema)
    >>> found = event_resources(traces, attributes, MiningSettings(resource_type="clerks"))
    >>> described = resources(traces, found, find_work(traces, attributes))
    >>> described.select("resource", "events", "workload_share", "busy").row(0)
    ('Ann', 1, 1.0, None)
    """
    counts = np.diff(done_by.offsets)
    event = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    # Ranks are in the order of time: the first and last event of a resource are the least and greatest rank.
    described = (
        pl.DataFrame(
            {"resource": done_by.resource, "event": event, "activity": traces.event_activity[event]},
            schema={"resource": pl.Int32, "event": pl.Int32, "activity": pl.Int32},
        )
        .group_by("resource")
        .agg(
            pl.len().cast(pl.Int64).alias("events"),
            pl.col("activity").n_unique().cast(pl.Int64).alias("activities"),
            pl.col("event").min().alias("first"),
            pl.col("event").max().alias("last"),
        )
        .join(_busy(traces, done_by, work), on="resource", how="left")
        .sort("resource")
    )
    time, starts = traces.event_time, work.instances["start"]
    begin = min([*time[:1].tolist(), *starts.sort().head(1).to_list()], default=0)
    span = (int(time[-1]) - begin if len(time) else 0) / 1_000_000
    busy = to_seconds(described["busy"])
    return described.select(
        done_by.names.gather(described["resource"]).alias("resource"),
        "events",
        "activities",
        instants(time[described["first"].to_numpy()]).alias("first_time"),
        instants(time[described["last"].to_numpy()]).alias("last_time"),
        pl.Series("workload_share", described["events"].to_numpy() / max((counts > 0).sum(), 1)),
        pl.col("instances").fill_null(0),
        busy,
        pl.Series("utilization", busy.to_numpy() / (span or np.nan), nan_to_null=True),
    )


def handovers(traces: Traces, predecessors: Predecessors, done_by: EventResources) -> pl.DataFrame:
    """Count the handovers of work between different resources, as `gold.handovers`.

    Per object type, over distinct couples of directly following events; with several resources, each of the first
    event's hands over to each of the second's. Where resources are objects, their own traces are no flow of work.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.predecessors import find_predecessors
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e1", "e2", "e2"],
    ...         "object_id": ["o1", "Ann", "o1", "Bob"],
    ...         "activity": ["place", "place", "pay", "pay"],
    ...         "object_type": ["orders", "clerks", "orders", "clerks"],
    ...         "time": [datetime(2024, 1, day) for day in (1, 1, 2, 2)],
    ...         "sequence": 0,
    ...     }
    ... )
    >>> traces = encode(relations)
    >>> found = event_resources(traces, pl.DataFrame(), MiningSettings(resource_type="clerks"))
    >>> handovers(traces, find_predecessors(traces), found).row(0)
    ('orders', 'Ann', 'Bob', 1, 86400.0)
    """
    counts = np.diff(done_by.offsets)
    if done_by.object_type is not None:
        predecessors = predecessors.of_types(traces, (traces.object_types != done_by.object_type).to_numpy())
    kind, source, target = predecessors.couples(traces)
    handed = (counts[source] > 0) & (counts[target] > 0)
    kind, source, target = kind[handed], source[handed], target[handed]
    pairs = counts[source] * counts[target]
    couple = np.repeat(np.arange(len(pairs)), pairs)
    turn = np.arange(len(couple)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    giver, taker = np.divmod(turn, counts[target][couple])
    giver = done_by.resource[done_by.offsets[source][couple] + giver]
    taker = done_by.resource[done_by.offsets[target][couple] + taker]
    names = max(len(done_by.names), 1)
    # One number as the key, as grouping by three takes longer.
    key = (kind[couple].astype(np.int64) * names + giver) * names + taker
    duration = (traces.event_time[target] - traces.event_time[source])[couple]
    found = (
        pl.DataFrame({"key": key, "duration": duration})
        .filter(pl.Series(giver != taker))
        .group_by("key")
        .agg(pl.len().cast(pl.Int64).alias("event_couples"), pl.col("duration").cast(pl.Int128).sum())
        .sort("key")  # names are sorted, so that this is their order
    )
    pair, taker = np.divmod(found["key"].to_numpy(), names)
    kind, giver = np.divmod(pair, names)
    return found.select(
        traces.object_types.gather(kind).alias("object_type"),
        done_by.names.gather(giver).alias("source"),
        done_by.names.gather(taker).alias("target"),
        "event_couples",
        (to_seconds(found["duration"].cast(pl.Float64)) / found["event_couples"]).alias("duration_mean"),
    )


def _objects(traces: Traces, object_type: str) -> pl.DataFrame:
    """Give the steps of a type's objects: event, and the object's id as name."""
    of_type = (traces.object_types == object_type).to_numpy()
    steps = np.flatnonzero(of_type[traces.object_type[traces.step_object]])
    return pl.DataFrame(
        {"event": traces.step_event[steps], "name": traces.object_ids.gather(traces.step_object[steps])},
        schema={"event": pl.Int32, "name": pl.String},
    )


def _busy(traces: Traces, done_by: EventResources, work: Work) -> pl.DataFrame:
    """Give resource, instances, and busy: the microseconds that the union of its working intervals covers."""
    event = work.instances["event"].to_numpy()
    counts = np.diff(done_by.offsets)[event]
    instance = np.repeat(np.arange(len(event)), counts)
    turn = np.arange(len(instance)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = work.instances["start"].to_numpy()[instance]
    intervals = pl.DataFrame(
        {
            "resource": done_by.resource[done_by.offsets[event[instance]] + turn],
            "start": start,
            "end": traces.event_time[event[instance]],
        },
        schema={"resource": pl.Int32, "start": pl.Int64, "end": pl.Int64},
    ).sort("resource", "start", "end")
    covered = pl.col("end").cum_max().shift().over("resource")
    fresh = pl.col("end") - pl.max_horizontal("start", covered)
    return (
        intervals.with_columns(fresh=fresh.clip(lower_bound=0))
        .group_by("resource")
        .agg(pl.len().cast(pl.Int64).alias("instances"), pl.col("fresh").sum().alias("busy"))
    )
