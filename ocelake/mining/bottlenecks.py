"""Bottlenecks: the activities, and the causes, that account for most of a process's delay, with a reason to read.

The time of an event since its first predecessor (its flow) is split without overlap: `synchronization` until its last
predecessor, then `waiting` until work on it starts and `working`, or `sojourn` where the log does not tell these two
apart. Each part is put down to the edge over which the last object arrived (its type, the activity it came from), so
that couples shared by several objects, and objects that were there earlier, count once. A part's delay is what it takes
beyond the fastest quarter of its kind on its edge: what the process can do, as it has shown, is the yardstick.

An object of a permanent type (a customer, a product, a machine) is used by one case after the other: the time since its
last event is no delay. Such types are left out: those that a person says executions are not made of, else those that
`permanent_types` finds.

References
----------
Park, Adams, van der Aalst: OPerA: Object-Centric Performance Analysis (ER 2022): the parts.
Denisov, Fahland, van der Aalst: Unbiased, Fine-Grained Description of Processes Performance from Event Data (BPM 2018):
the quartiles of a segment as classes of its performance.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.lifecycle import Work
from ocelake.mining.predecessors import Predecessors
from ocelake.mining.times import spoken, to_seconds
from ocelake.mining.traces import Traces

__all__ = ["bottlenecks", "permanent_types"]

_FASTEST: Final = 0.25
_LONG: Final = 0.25
_MOST: Final = 0.5

_REASONS: Final = {
    "synchronization": "'{activity}' waits on average {mean} for the last of its objects, of type '{object_type}' from "
    "'{source}' ({typical} or less in the fastest quarter)",
    "waiting": "Work on '{activity}' starts on average {mean} after '{source}' of '{object_type}' "
    "({typical} or less in the fastest quarter)",
    "working": "'{activity}' after '{source}' of '{object_type}' is worked on for {mean} on average "
    "({typical} or less in the fastest quarter)",
    "sojourn": "'{activity}' comes on average {mean} after '{source}' of '{object_type}' "
    "({typical} or less in the fastest quarter)",
    "activity": "'{activity}' comes on average {mean} after the first of its objects is ready, {late} of it delay",
}
_CODES: Final = ("object_type", "source", "activity")


def permanent_types(traces: Traces) -> npt.NDArray[np.bool_]:
    """Tell the object types whose objects are not made by the process and do not end with it, such as customers.

    That is a type most of whose steps belong to objects that start over (their first activity comes again, after
    another one), and whose objects live, on average over the steps, through more than a quarter of the log's time. Both
    are needed: rework starts over too, and in a short log orders live long. Where that leaves no type with a
    predecessor, no type is permanent.

    Returns
    -------
    bool array, one per object type

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(2_000, seed=1)
    >>> traces = encode(log.event_objects, log.objects, log.events)
    >>> traces.object_types.filter(pl.Series(permanent_types(traces))).to_list()
    ['customers', 'employees', 'products']
    """
    types = len(traces.object_types)
    occupied = np.flatnonzero(traces.lengths)
    if not len(occupied):
        return np.zeros(types, dtype=bool)
    first, last = traces.offsets[occupied], traces.offsets[occupied + 1] - 1
    time = traces.event_time
    life = (time[traces.step_event[last]] - time[traces.step_event[first]]).astype(np.float64)
    span = time[traces.step_event].max() - time[traces.step_event].min()
    steps = traces.lengths[occupied]
    again = traces.step_activity == np.repeat(traces.step_activity[first], steps)
    again[1:] &= traces.step_activity[1:] != traces.step_activity[:-1]
    again[first] = False
    restarted = np.logical_or.reduceat(again, first)

    kind = traces.object_type[occupied]
    total = np.maximum(np.bincount(kind, steps, types), 1)
    permanent: npt.NDArray[np.bool_] = (np.bincount(kind, steps * restarted, types) / total > _MOST) & (
        np.bincount(kind, steps * life, types) / total > _LONG * span
    )
    flowing = np.bincount(kind, steps > 1, types) > 0
    return permanent if (flowing & ~permanent).any() else np.zeros(types, dtype=bool)


def bottlenecks(
    traces: Traces, predecessors: Predecessors, work: Work, *, flowing: Collection[str] = ()
) -> pl.DataFrame:
    """Rank activities, and the causes of their delay, by the delay they add up to, as `gold.bottlenecks`.

    Only those with any delay are given. Equal delays are ranked by kind and names.

    Parameters
    ----------
    traces : Traces
    predecessors : Predecessors
        Of all events.
    work : Work
        What is known about starts; nothing is fine.
    flowing : collection of str
        The object types that cases are made of; all others are permanent. Default: `permanent_types` tells them apart.

    Raises
    ------
    OcelakeError
        Where the log has events, but no object of a flowing type.

    Notes
    -----
    Where several objects have the same last predecessor, it counts for the first type by name.

    Examples
    --------
    >>> from datetime import datetime, timedelta
    >>> from ocelake.mining.lifecycle import find_work
    >>> from ocelake.mining.predecessors import find_predecessors
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.tables import TABLES
    >>> hours = {"place": (0, 0, 0, 0, 0), "pay": (1, 1, 1, 1, 9)}
    >>> relations = pl.DataFrame(
    ...     [
    ...         (f"{activity}{order}", f"o{order}", activity, "orders", datetime(2024, 1, 1) + timedelta(hours=hour), 0)
    ...         for activity, of_orders in hours.items()
    ...         for order, hour in enumerate(of_orders)
    ...     ],
    ...     schema=["event_id", "object_id", "activity", "object_type", "time", "sequence"],
    ...     orient="row",
    ... )
    >>> traces = encode(relations)
    >>> work = find_work(traces, pl.DataFrame(schema=TABLES["ocel.event_attributes"].schema))
    >>> print(bottlenecks(traces, find_predecessors(traces), work)["reason"][1])
    'pay' comes on average 2.6 h after 'place' of 'orders' (1 h or less in the fastest quarter); 100% of all delay.
    """
    predecessors = predecessors.of_types(traces, _flowing(traces, flowing))
    parts = _parts(traces, predecessors, work)
    key = ("kind", *_CODES)
    yardstick = pl.col("duration").quantile(_FASTEST, "linear")
    causes = parts.group_by(key).agg(
        pl.len().cast(pl.Int64).alias("occurrences"),
        yardstick.alias("typical"),
        # Through the sum of whole numbers, which is the same in any order.
        (pl.col("duration").cast(pl.Int128).sum().cast(pl.Float64) / pl.len()).alias("mean"),
        (pl.col("duration") - yardstick).clip(lower_bound=0).sort().sum().alias("delay"),
    )
    activities = (
        causes.group_by("activity")
        .agg(pl.col("delay").sort().sum())
        .join(_flows(traces, predecessors), on="activity")
        .with_columns(
            pl.lit("activity").alias("kind"),
            pl.lit(None, pl.Int32).alias("object_type"),
            pl.lit(None, pl.Int32).alias("source"),
            pl.lit(None, pl.Float64).alias("typical"),
        )
    )
    found = pl.concat([_ranked(activities), _ranked(causes)], how="diagonal")
    named = found.select(
        "kind",
        "rank",
        traces.object_types.gather(found["object_type"]).alias("object_type"),
        traces.activities.gather(found["source"]).alias("source"),
        traces.activities.gather(found["activity"]).alias("activity"),
        "occurrences",
        *(to_seconds(found[name]) for name in ("mean", "typical", "delay")),
        "share",
    )
    reasons = pl.Series("reason", [_reason(row) for row in named.iter_rows(named=True)], pl.String)
    return named.with_columns(reasons).sort("rank", "kind", "activity")


def _flowing(traces: Traces, names: Collection[str]) -> npt.NDArray[np.bool_]:
    """Tell the types whose objects wait: those that are named, else those that are not permanent."""
    if not names:
        return ~permanent_types(traces)
    if len(traces.event_ids) and (unknown := sorted(set(names).difference(traces.object_types))):
        raise OcelakeError(
            f"There are no objects of the type {unknown[0]!r}.",
            fix=f"The types with objects are {', '.join(traces.object_types)}.",
        )
    return traces.object_types.is_in(list(names)).to_numpy()


def _parts(traces: Traces, predecessors: Predecessors, work: Work) -> pl.DataFrame:
    """Split the flow of every event: kind, codes of the edge over which its last object arrived, duration (float)."""
    event, latest = predecessors.event, predecessors.latest
    time = traces.event_time
    sojourn = time[event] - time[latest]

    # Work that began before the last object arrived counts from there.
    worked = np.full(len(time), -1)
    worked[work.instances["event"].to_numpy()] = work.instances["working"].to_numpy()
    known = worked[event] >= 0
    working = np.where(known, np.minimum(worked[event], sojourn), 0)
    started = np.zeros(len(time), dtype=bool)
    started[work.instances["start_event"].drop_nulls().to_numpy()] = True

    frame = pl.DataFrame(
        {
            "object_type": traces.object_type[predecessors.lagging_object(latest)],
            "source": traces.event_activity[latest],
            "activity": traces.event_activity[event],
            "synchronization": time[latest] - time[predecessors.earliest],
            "waiting": sojourn - working,
            "working": working,
        }
    )
    parts = {
        "synchronization": (frame, "synchronization"),
        "waiting": (frame.filter(known | started[event]), "waiting"),
        "working": (frame.filter(known), "working"),
        "sojourn": (frame.filter(~(known | started[event])), "waiting"),
    }
    return pl.concat(
        part.select(pl.lit(kind).alias("kind"), *_CODES, pl.col(name).cast(pl.Float64).alias("duration"))
        for kind, (part, name) in parts.items()
    )


def _flows(traces: Traces, predecessors: Predecessors) -> pl.DataFrame:
    """Count, by activity code, the events with predecessors, and their mean flow."""
    time = traces.event_time
    flow = (time[predecessors.event] - time[predecessors.earliest]).astype(np.float64)
    return (
        pl.DataFrame({"activity": traces.event_activity[predecessors.event], "flow": flow})
        .group_by("activity")
        .agg(pl.len().cast(pl.Int64).alias("occurrences"), pl.col("flow").sort().mean().alias("mean"))
    )


def _ranked(found: pl.DataFrame) -> pl.DataFrame:
    """Give those with a delay a rank and their share of the sum."""
    ordered = found.filter(pl.col("delay") > 0).sort("delay", "kind", *_CODES, descending=[True, *[False] * 4])
    return ordered.with_columns(
        (pl.col("delay") / pl.col("delay").sum()).alias("share"),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("rank"),
    )


def _reason(row: dict[str, str | float]) -> str:
    """Say in a sentence what a row shows."""
    words = {name: spoken(float(row[name])) for name in ("mean", "typical") if row[name] is not None}
    words["late"] = spoken(float(row["delay"]) / float(row["occurrences"]))
    names = {name: row[name] for name in ("activity", "object_type", "source")}
    return f"{_REASONS[str(row['kind'])].format(**names, **words)}; {float(row['share']):.0%} of all delay."
