"""The direct predecessors of every event, over the objects they share: what the times between events are measured from.

An object's trace gives each of its events but the first a predecessor. All (event, object, predecessor) entries are the
transpose of the traces (steps by object, turned to steps by event), which is one linear pass. As objects are sorted by
type, the entries of an event stand together by object type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_array

from ocelake.mining.traces import Codes, Traces

__all__ = ["Predecessors", "find_predecessors"]


@dataclass(frozen=True, slots=True, eq=False)
class Predecessors:
    """The predecessors of all events that have any; ranks are in the order (time, sequence, event id).

    Attributes
    ----------
    event : int32 array
        Rank of each event that has a predecessor, ascending.
    offsets : int64 array, one more than events
        The entries of ``event[i]`` are those at ``offsets[i]:offsets[i + 1]``.
    object : int32 array, one per entry
        Object code, ascending within an event.
    predecessor : int32 array, one per entry
        Rank of the event before, in the object's trace.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> found = find_predecessors(traces)
    >>> found.event.tolist(), found.latest.tolist()
    ([1], [0])
    >>> found.of_types(traces, np.array([False])).event.tolist()
    []
    """

    event: Codes
    offsets: npt.NDArray[np.int64]
    object: Codes
    predecessor: Codes

    @property
    def earliest(self) -> Codes:
        """Rank of each event's first predecessor; its time is min T."""
        return np.minimum.reduceat(self.predecessor, self.offsets[:-1]) if len(self.event) else self.event

    @property
    def latest(self) -> Codes:
        """Rank of each event's last predecessor; its time is max T."""
        return np.maximum.reduceat(self.predecessor, self.offsets[:-1]) if len(self.event) else self.event

    @property
    def owner(self) -> Codes:
        """Position in ``event`` of each entry's event."""
        return np.repeat(np.arange(len(self.event), dtype=np.int32), np.diff(self.offsets))

    def lagging_object(self, latest: Codes) -> Codes:
        """Give each event's object that arrives last: the first by (type, id) whose predecessor is the latest."""
        last = np.flatnonzero(self.predecessor == np.repeat(latest, np.diff(self.offsets)))
        return self.object[last[np.searchsorted(last, self.offsets[:-1])]]

    def by_type(self, traces: Traces) -> tuple[Self, Codes]:
        """Split every event by object type.

        Returns
        -------
        Predecessors
            With one event per (event, object type), and the entries over objects of that type.
        int32 array
            The type code of each of them.
        """
        kind = traces.object_type[self.object]
        first = np.zeros(len(kind), dtype=bool)
        first[self.offsets[:-1]] = True
        first[1:] |= kind[1:] != kind[:-1]
        starts = np.flatnonzero(first)
        split = type(self)(
            event=self.event[self.owner[starts]],
            offsets=np.append(starts, len(kind)),
            object=self.object,
            predecessor=self.predecessor,
        )
        return split, kind[starts]

    def of_types(self, traces: Traces, kept: npt.NDArray[np.bool_]) -> Self:
        """Leave only the entries over objects of some types; events without any are left out.

        Parameters
        ----------
        traces : Traces
        kept : bool array, one per object type
        """
        entries = np.flatnonzero(kept[traces.object_type[self.object]])
        offsets = np.searchsorted(entries, self.offsets)
        having = np.flatnonzero(np.diff(offsets))
        return type(self)(
            event=self.event[having],
            offsets=np.append(offsets[having], len(entries)),
            object=self.object[entries],
            predecessor=self.predecessor[entries],
        )

    def couples(self, traces: Traces) -> tuple[Codes, Codes, Codes]:
        """Give the distinct directly-follows couples of each object type, in no order.

        Returns
        -------
        int32 arrays
            Type code, rank of the first event, rank of the second.
        """
        split, kind = self.by_type(traces)
        key = split.owner.astype(np.int64) << 32 | split.predecessor
        # Objects of a type mostly come from one event together: their couples stand together.
        key = pl.Series(key[np.diff(key, prepend=-1) != 0]).unique().to_numpy()
        position, source = key >> 32, (key & 0xFFFFFFFF).astype(np.int32)
        return kind[position], source, split.event[position]


def find_predecessors(traces: Traces, skipped: npt.NDArray[np.bool_] | None = None) -> Predecessors:
    """Find the direct predecessors of every event.

    Parameters
    ----------
    traces : Traces
    skipped : bool array, one per event, optional
        Events that are nobody's predecessor: in their place stands the last event before that is not skipped. So the
        starts of other work are passed over where only what is complete can be waited for.

    Examples
    --------
    >>> from datetime import datetime
    >>> import polars as pl
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2", "e3", "e3"],
    ...         "object_id": ["order", "item", "order", "item"],
    ...         "activity": ["place", "pick", "send", "send"],
    ...         "object_type": ["orders", "items", "orders", "items"],
    ...         "time": [datetime(2024, 1, day) for day in (1, 2, 4, 4)],
    ...         "sequence": 0,
    ...     }
    ... )
    >>> found = find_predecessors(encode(relations))
    >>> found.event.tolist(), found.predecessor.tolist()
    ([2], [1, 0])
    >>> found.earliest.tolist(), found.latest.tolist()
    ([0], [1])
    """
    if skipped is None:
        follows = np.flatnonzero(traces.step_object[1:] == traces.step_object[:-1])
        before, follows = follows, follows + 1
    else:
        steps = np.arange(len(traces.step_event), dtype=np.int64)
        last = np.maximum.accumulate(np.where(skipped[traces.step_event], -1, steps))
        before = np.concatenate(([-1], last))[: len(steps)]
        follows = np.flatnonzero(before >= traces.offsets[traces.step_object])
        before = before[follows]
    objects, events = len(traces.object_ids), len(traces.event_ids)
    offsets = np.searchsorted(follows, traces.offsets)
    index = np.int32 if len(follows) < 2**31 else np.int64
    steps_by_object = csr_array(
        (traces.step_event[before], traces.step_event[follows].astype(index), offsets.astype(index)),
        shape=(objects, events),
    )
    steps_by_event = steps_by_object.tocsc()
    starts = steps_by_event.indptr.astype(np.int64)
    event = np.flatnonzero(np.diff(starts)).astype(np.int32)
    return Predecessors(
        event=event,
        offsets=np.append(starts[event], starts[-1]),
        object=steps_by_event.indices.astype(np.int32, copy=False),
        predecessor=steps_by_event.data,
    )
