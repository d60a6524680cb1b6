"""Process executions: the connected components of the bipartite event-object graph.

References
----------
Adams, Schuster, Schmitz, Schuh, van der Aalst: Defining Cases and Variants for Object-Centric Event Data (ICPM 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ocelake.mining.traces import Traces

__all__ = ["Executions", "connected_executions"]


@dataclass(frozen=True, slots=True, eq=False)
class Executions:
    """Process executions as tables.

    Attributes
    ----------
    executions, events, objects : DataFrame
        As `ocel.process_executions`, `ocel.execution_events` and `ocel.execution_objects`, sorted.
    """

    executions: pl.DataFrame
    events: pl.DataFrame
    objects: pl.DataFrame


def connected_executions(traces: Traces) -> Executions:
    """Find the connected executions; an isolated object or event is one of its own.

    An execution is named after its least object id, so that the name does not depend on the order of rows. One without
    objects is an isolated event; it is named ``event:`` and the event's id (the prefix repeated as often as it takes
    for no object id to start with it).

    Notes
    -----
    Components are no sum over objects: sets of objects with events in common unite. Over several sets, connect the
    components of each by the events they share; after a removal, find those components again.
    """
    events, objects = len(traces.event_ids), len(traces.object_ids)
    ends = (traces.step_event, traces.step_object + np.int32(events))
    graph = coo_array((np.ones(len(traces.step_event), dtype=np.int8), ends), shape=(events + objects,) * 2)
    count, component = connected_components(graph, directed=False)
    of_event, of_object = component[:events], component[events:]

    # Written from the greatest id to the least, so that the least stays.
    least = np.full(count, -1, dtype=np.int64)
    descending = traces.object_ids.arg_sort(descending=True).to_numpy()
    least[of_object[descending]] = descending
    alone = np.flatnonzero(least[of_event] < 0)
    prefix = "event:"
    while len(alone) and traces.object_ids.str.starts_with(prefix).any():
        prefix += "event:"
    names = _gather(traces.object_ids, least)
    if len(alone):
        own = prefix + traces.event_ids.gather(alone)
        names = names.scatter(of_event[alone], own)

    # The first and last event of a component: events are ranked by time.
    first, last = np.full((2, count), -1, dtype=np.int64)
    ranks = np.arange(events)
    last[of_event] = ranks
    first[of_event[::-1]] = ranks[::-1]
    times = pl.Series(traces.event_time).cast(pl.Datetime("us", "UTC"))
    executions = pl.DataFrame(
        {
            "execution_id": names,
            "kind": pl.repeat("connected", count, eager=True, dtype=pl.String),
            "events": np.bincount(of_event, minlength=count),
            "objects": np.bincount(of_object, minlength=count),
            "first_time": _gather(times, first),
            "last_time": _gather(times, last),
        }
    )
    return Executions(
        executions.sort("execution_id"),
        pl.DataFrame({"execution_id": names.gather(of_event), "event_id": traces.event_ids}).sort(pl.all()),
        pl.DataFrame(
            {
                "execution_id": names.gather(of_object),
                "object_id": traces.object_ids,
                "object_type": traces.object_types.gather(traces.object_type),
            }
        ).sort("execution_id", "object_id"),
    )


def _gather(values: pl.Series, positions: npt.NDArray[np.int64]) -> pl.Series:
    """Give the values at the positions; null at -1."""
    return values.gather(pl.Series(positions).replace(-1, None))
