"""Prefixes as graphs: what a model that learns from graphs takes, instead of a row of features.

As events are ranked, the graph of a prefix is that of the whole log cut at a rank, and of it the component of the
prefix's object. So nothing is stored for a prefix: it is cut out when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ocelake.errors import NotFound
from ocelake.mining.traces import Codes, Traces

__all__ = ["PrefixGraph", "prefix_graph"]


@dataclass(frozen=True, slots=True, eq=False)
class PrefixGraph:
    """The execution around an object as known at one of its events.

    Attributes
    ----------
    events : int32 array
        Event nodes: their ranks, ascending. Their activities and times are those of the traces.
    objects : int32 array
        Object nodes: their codes, ascending.
    relations : int64 array, 2 by E2O pairs
        Positions in ``events`` and in ``objects``.
    follows : int64 array, 3 by edges
        Directly-follows edges: positions in ``events`` of the earlier and the later event, and in ``objects`` of the
        object between them.
    """

    events: Codes
    objects: Codes
    relations: npt.NDArray[np.int64]
    follows: npt.NDArray[np.int64]


def prefix_graph(traces: Traces, object_id: str, event_id: str) -> PrefixGraph:
    """Cut out the graph of a prefix.

    Parameters
    ----------
    traces : Traces
        Of the object types that executions are made of.
    object_id, event_id : str
        The object, and the prefix's last event.

    Raises
    ------
    NotFound
        Where the object has no such event.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from ocelake.mining.traces import encode
    >>> rows = [("e1", "o1", 1), ("e2", "o2", 2), ("e3", "o1", 3), ("e3", "o2", 3), ("e4", "o2", 4)]
    >>> relations = pl.DataFrame(rows, schema=["event_id", "object_id", "day"], orient="row").with_columns(
    ...     activity=pl.lit("a"), object_type=pl.lit("o"), sequence=0, time=pl.datetime(2024, 1, pl.col("day"))
    ... )
    >>> traces = encode(relations)
    >>> prefix_graph(traces, "o2", "e2").events.tolist(), prefix_graph(traces, "o2", "e3").events.tolist()
    ([1], [0, 1, 2])
    """
    code, rank = traces.object_ids.index_of(object_id), traces.event_ids.index_of(event_id)
    if code is None or rank is None or rank not in traces.step_event[traces.offsets[code] : traces.offsets[code + 1]]:
        raise NotFound(f"The object {object_id!r} has no event {event_id!r}.", fix="Give one of its own events.")
    past = traces.step_event <= rank
    step_event, step_object = traces.step_event[past], traces.step_object[past]
    events, objects = np.zeros(rank + 1, dtype=bool), np.zeros(len(traces.object_ids), dtype=bool)
    objects[code] = True
    size = 0
    # Breadth first, by whole levels.
    while size < (size := int(objects.sum())):
        events[step_event[objects[step_object]]] = True
        objects[step_object[events[step_event]]] = True
    inside = objects[step_object]
    step_event, step_object = step_event[inside], step_object[inside]
    event_place, object_place = np.cumsum(events) - 1, np.cumsum(objects) - 1
    goes_on = np.flatnonzero(step_object[1:] == step_object[:-1])
    return PrefixGraph(
        events=np.flatnonzero(events).astype(np.int32),
        objects=np.flatnonzero(objects).astype(np.int32),
        relations=np.stack([event_place[step_event], object_place[step_object]]),
        follows=np.stack(
            [event_place[step_event[goes_on]], event_place[step_event[goes_on + 1]], object_place[step_object[goes_on]]]
        ),
    )
