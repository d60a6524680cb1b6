"""The execution around an event as known so far: the component of the events up to it.

Which component an event ends up in is known only later. So events are taken in their order, and components are united
as they come: a forest of objects, in which each root knows what its component has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ocelake.mining.traces import Traces

__all__ = ["SoFar", "executions_so_far"]

_BITS = 32


@dataclass(frozen=True, slots=True, eq=False)
class SoFar:
    """What each event's component has as of the event; the event itself included.

    Attributes
    ----------
    events : int64 array, one per event
        Events of the component; 0 for an event without objects.
    began : int64 array, one per event
        Time of its first event, in microseconds.
    objects : int64 array, object types by events
        Its objects that have had an event.
    """

    events: npt.NDArray[np.int64]
    began: npt.NDArray[np.int64]
    objects: npt.NDArray[np.int64]


def executions_so_far(traces: Traces) -> SoFar:
    """Unite the objects of each event, event by event.

    Parameters
    ----------
    traces : Traces
        Of the object types that executions are made of.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from ocelake.mining.traces import encode
    >>> rows = [("e1", "o1", 1), ("e2", "o2", 2), ("e3", "o1", 3), ("e3", "o2", 3)]
    >>> relations = pl.DataFrame(rows, schema=["event_id", "object_id", "day"], orient="row").with_columns(
    ...     activity=pl.lit("a"), object_type=pl.lit("o"), sequence=0, time=pl.datetime(2024, 1, pl.col("day"))
    ... )
    >>> found = executions_so_far(encode(relations))
    >>> found.events.tolist(), found.objects.tolist()
    ([1, 1, 3], [[1, 1, 2]])
    """
    count, types = len(traces.event_ids), len(traces.object_types)
    by_event = np.argsort(traces.step_event, kind="stable")
    objects = traces.step_object[by_event].tolist()
    bounds = np.concatenate(([0], np.cumsum(np.bincount(traces.step_event, minlength=count)))).tolist()
    time = traces.event_time.tolist()
    parent = list(range(len(traces.object_ids)))
    # The counts of all types are one number, so that two components' counts are added at once.
    having = [1 << (_BITS * kind) for kind in traces.object_type.tolist()]
    events, began = [0] * len(parent), [0] * len(parent)
    has, size, since = [0] * count, [0] * count, list(time)
    first = 0
    for event in range(count):
        last = bounds[event + 1]
        if first == last:
            continue
        root = objects[first]
        while parent[root] != root:
            parent[root] = root = parent[parent[root]]
        for position in range(first + 1, last):
            other = objects[position]
            while parent[other] != other:
                parent[other] = other = parent[parent[other]]
            if other != root:
                if events[other] > events[root]:
                    root, other = other, root
                parent[other] = root
                having[root] += having[other]
                if events[other]:
                    began[root] = min(began[root], began[other])
                    events[root] += events[other]
        if not events[root]:
            began[root] = time[event]
        events[root] += 1
        has[event], size[event], since[event] = having[root], events[root], began[root]
        first = last
    mask = (1 << _BITS) - 1
    found = np.array([[(number >> (_BITS * kind)) & mask for number in has] for kind in range(types)], dtype=np.int64)
    return SoFar(np.array(size, dtype=np.int64), np.array(since, dtype=np.int64), found.reshape(types, count))
