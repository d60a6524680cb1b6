"""All traces of a log at once, as arrays of dictionary codes: the primitive that the rest of mining is defined from.

The control-flow relation is DISTINCT (event, object): two qualifiers are one step. The trace of an object is its
events in the order (time, sequence, event id as text). Events are ranked once in that order; the 64-bit key
``object code << 32 | event rank``, sorted and made unique, then is every trace of every object type.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError

__all__ = ["Codes", "Traces", "encode"]

Codes: TypeAlias = npt.NDArray[np.int32]
"""Dictionary codes: positions in the series of names or ids beside them."""

_EVENT: Final = ["event_id", "activity", "time", "sequence"]
_EVENT_ORDER: Final = ("time", "sequence", "event_id")
_OBJECT_ORDER: Final = ("object_type", "object_id")


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """The traces of a set of whole objects.

    Attributes
    ----------
    activities, object_types : polars.Series of str
        Names by code, sorted.
    event_ids : polars.Series of str
        By rank: the order (time, sequence, event id) over all events, those without objects included.
    object_ids : polars.Series of str
        By code: the order (object type, object id), objects without events included.
    event_activity : int32 array, one per event
        Activity code.
    event_time : int64 array, one per event
        Microseconds since 1970 in UTC.
    object_type : int32 array, one per object
        Type code; never falls.
    step_object, step_event, step_activity : int32 arrays, one per step
        Object code, event rank and activity code, in trace order: objects ascending, within one the ranks ascending.
    offsets : int64 array, one more than objects
        The trace of object ``o`` is the steps ``offsets[o]:offsets[o + 1]``.

    See Also
    --------
    encode : make one from frames.
    """

    activities: pl.Series
    object_types: pl.Series
    event_ids: pl.Series
    object_ids: pl.Series
    event_activity: Codes
    event_time: npt.NDArray[np.int64]
    object_type: Codes
    step_object: Codes
    step_event: Codes
    step_activity: Codes
    offsets: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Steps per object; 0 is an empty trace."""
        return np.diff(self.offsets)

    def chosen_types(self, names: Collection[str]) -> npt.NDArray[np.bool_]:
        """Say of each object type whether it is one of some.

        Raises
        ------
        OcelakeError
            Where there are no objects of a type.

        Examples
        --------
        >>> from datetime import datetime
        >>> rows = {"event_id": ["e", "e"], "object_id": ["o", "i"], "activity": ["pay"] * 2, "sequence": [0, 0]}
        >>> frame = pl.DataFrame({**rows, "object_type": ["order", "item"], "time": [datetime(2024, 1, 1)] * 2})
        >>> encode(frame).chosen_types(["item"]).tolist()
        [True, False]
        """
        if unknown := sorted(set(names).difference(self.object_types)):
            raise OcelakeError(
                f"There are no objects of the type {unknown[0]!r}.",
                fix=f"The types with objects are {', '.join(self.object_types)}.",
            )
        return self.object_types.is_in(list(names)).to_numpy()

    def of_types(self, names: Collection[str]) -> Traces:
        """Give the objects of some types, and the events that they take part in.

        Raises
        ------
        OcelakeError
            Where there are no objects of a type.

        Examples
        --------
        >>> from datetime import datetime
        >>> rows = {"event_id": ["e", "e"], "object_id": ["o", "i"], "activity": ["pay"] * 2, "sequence": [0, 0]}
        >>> frame = pl.DataFrame({**rows, "object_type": ["order", "item"], "time": [datetime(2024, 1, 1)] * 2})
        >>> encode(frame).of_types(["item"]).object_ids.to_list()
        ['i']
        """
        chosen = self.chosen_types(names)
        objects = chosen[self.object_type]
        steps = objects[self.step_object]
        events = np.zeros(len(self.event_ids), dtype=bool)
        events[self.step_event[steps]] = True
        return Traces(
            activities=self.activities,
            object_types=self.object_types.filter(pl.Series(chosen)),
            event_ids=self.event_ids.filter(pl.Series(events)),
            object_ids=self.object_ids.filter(pl.Series(objects)),
            event_activity=self.event_activity[events],
            event_time=self.event_time[events],
            object_type=_renumbered(chosen)[self.object_type[objects]],
            step_object=_renumbered(objects)[self.step_object[steps]],
            step_event=_renumbered(events)[self.step_event[steps]],
            step_activity=self.step_activity[steps],
            offsets=np.concatenate(([0], np.cumsum(self.lengths[objects]))),
        )


def encode(
    event_objects: pl.DataFrame | Iterable[pl.DataFrame],
    objects: pl.DataFrame | None = None,
    events: pl.DataFrame | None = None,
) -> Traces:
    """Encode relations into traces.

    Rows may come in any order. Where the relations are in trace order already, as the lake's files are, that is
    noticed and the sort skipped.

    Parameters
    ----------
    event_objects : DataFrame or iterable of DataFrame
        Columns event_id, object_id, activity, object_type, time, sequence (of `ocel.event_objects`); the ids alone
        where objects and events are given. Of an iterable, such as the buckets of a large log, each frame is let go
        as soon as its ids are looked up; objects and events have to be given then.
    objects : DataFrame, optional
        Columns object_id, object_type: every object, those with an empty trace included. Without it, the objects
        are those of the relations.
    events : DataFrame, optional
        Columns event_id, activity, time, sequence: every event, those without objects included. Without it, the
        events are those of the relations.

    Raises
    ------
    OcelakeError
        Where a relation names an event or object that the given frame does not have.

    Examples
    --------
    >>> from datetime import datetime
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e2", "e1"],
    ...         "object_id": ["o1", "o1"],
    ...         "activity": ["pay", "place"],
    ...         "object_type": ["order", "order"],
    ...         "time": [datetime(2024, 1, 2), datetime(2024, 1, 1)],
    ...         "sequence": [0, 0],
    ...     }
    ... )
    >>> traces = encode(relations)
    >>> traces.activities.gather(traces.step_activity).to_list()
    ['place', 'pay']
    """
    if isinstance(event_objects, pl.DataFrame):
        if events is None:
            events = event_objects.select(_EVENT).unique("event_id")
        if objects is None:
            objects = event_objects.select(_OBJECT_ORDER).unique("object_id")
        event_objects = [event_objects]
    elif events is None or objects is None:
        raise OcelakeError(
            "Relations in parts do not tell all events and objects.",
            fix="Pass the log's events and objects as well.",
        )
    events = _in_order(events.select(_EVENT), _EVENT_ORDER)
    objects = _in_order(objects.select(_OBJECT_ORDER), _OBJECT_ORDER)

    object_ids, event_ids = _Ids(objects["object_id"], "object"), _Ids(events["event_id"], "event")
    parts = [_keys(part, object_ids, event_ids) for part in event_objects]
    keys = parts.pop() if len(parts) == 1 else np.concatenate([np.empty(0, dtype=np.int64), *parts])
    del parts, object_ids, event_ids
    if not (keys[1:] >= keys[:-1]).all():
        keys.sort()
    keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))] if len(keys) else keys

    activities, event_activity = _dictionary(events["activity"])
    object_types, object_type = _dictionary(objects["object_type"])
    step_object = (keys >> 32).astype(np.int32)
    step_event = (keys & 0xFFFFFFFF).astype(np.int32)
    return Traces(
        activities=activities,
        object_types=object_types,
        event_ids=events["event_id"],
        object_ids=objects["object_id"],
        event_activity=event_activity,
        event_time=events["time"].cast(pl.Datetime("us")).to_physical().to_numpy(),
        object_type=object_type,
        step_object=step_object,
        step_event=step_event,
        step_activity=event_activity[step_event],
        offsets=np.concatenate(([0], np.cumsum(np.bincount(step_object, minlength=len(objects))))),
    )


def _renumbered(kept: npt.NDArray[np.bool_]) -> Codes:
    """Give each kept position its place among the kept ones."""
    return (np.cumsum(kept) - 1).astype(np.int32)


def _keys(relations: pl.DataFrame, objects: _Ids, events: _Ids) -> npt.NDArray[np.int64]:
    """Give ``object code << 32 | event rank`` of every relation."""
    # Relations of one object mostly stand together, so that an object is looked up once per run, not once per row.
    runs = relations["object_id"].rle().struct.unnest()
    keys = np.repeat(objects.positions(runs["value"]), runs["len"].to_numpy())
    keys <<= 32
    keys |= events.positions(relations["event_id"])
    return keys


def _in_order(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Sort, unless the rows are sorted already (which costs a small part of a sort to see)."""

    def prepend(later: pl.Expr, name: str) -> pl.Expr:
        column, before = pl.col(name), pl.col(name).shift()
        return (column > before) | ((column == before) & later)

    ordered = reduce(prepend, reversed(by), pl.lit(True))
    return frame if frame.select(ordered.slice(1).all()).item() else frame.sort(by)


class _Ids:
    """Unique ids that others are looked up in.

    Parameters
    ----------
    ids : polars.Series of str
        Each at its position.
    kind : str
        What they are ids of, for a person.
    """

    def __init__(self, ids: pl.Series, kind: str) -> None:
        # Numbers join in a third of the time of text. Where no two ids share a hash, and every id looked up is among
        # them, the hash stands for the id exactly.
        words = ids.hash()
        self.hashed = words.n_unique() == len(words)
        self.kind = kind
        self.known = pl.DataFrame({"id": words if self.hashed else ids}).with_row_index("position")

    def positions(self, ids: pl.Series) -> npt.NDArray[np.int64]:
        """Look ids up."""
        asked = pl.DataFrame({"id": ids.hash() if self.hashed else ids})
        found = asked.join(self.known, on="id", how="left", maintain_order="left")["position"]
        if missing := found.null_count():
            example = ids.filter(found.is_null())[0]
            raise OcelakeError(
                f"{missing} relations name {self.kind}s that the log's {self.kind}s do not have, such as {example!r}.",
                fix=f"Pass all {self.kind}s of the relations, or none to take them from the relations.",
            )
        return found.cast(pl.Int64).to_numpy(writable=True)


def _dictionary(names: pl.Series) -> tuple[pl.Series, Codes]:
    """Give the sorted distinct names, and each row's position among them."""
    distinct = names.unique().sort()
    codes = names.cast(pl.Enum(distinct)).to_physical().to_numpy()
    return distinct, codes.astype(np.int32)
