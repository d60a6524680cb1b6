"""From the traces of one state of a log to those of the next: what moved, what came, what went.

A batch inserts events and objects anywhere in the orders that their codes stand for, so that most codes move. `Moves`
holds where each event, object and step of the old traces is in the new ones, and back. Whatever is computed of the
traces can then be compared by arithmetic on codes: what did not move relative to its neighbours did not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.traces import Codes, Traces

__all__ = ["LogChange", "Moves", "first_moves", "move_traces"]

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_EVENT = ["event_id", "activity", "time", "sequence"]
_OBJECT = ["object_type", "object_id"]


@dataclass(frozen=True, slots=True, eq=False)
class LogChange:
    """What went from a log and what came to it.

    An event or object that changed is in both, and so are all of its relations.

    Attributes
    ----------
    events_went, events_came : DataFrame
        event_id, activity, time, sequence.
    objects_went, objects_came : DataFrame
        object_type, object_id.
    relations_went, relations_came : DataFrame
        event_id, object_id. A relation that is left by one of several qualifiers only did not go.
    """

    events_went: pl.DataFrame
    events_came: pl.DataFrame
    objects_went: pl.DataFrame
    objects_came: pl.DataFrame
    relations_went: pl.DataFrame
    relations_came: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Where the events, objects and steps of old traces are in new ones.

    An event is the same only with the same id, activity, time and sequence, an object with the same id and type, a step
    with the same event and object; else the old one went and a new one came. The order of those that stayed is kept.

    Attributes
    ----------
    event, object, step : int64 array, one per old event, object, step
        Its rank, code or position in the new traces; -1 where it went. Ascending but for the -1.
    event_before, object_before, step_before : int64 array, one per new event, object, step
        The same the other way round; -1 where it is new.
    activity, object_type : int64 array, one per old name
        Its code in the new traces; -1 where it is used no more. Ascending but for the -1.
    touched_events : bool array, one per new event
        Events that are new, or that an object joined or left.
    touched_objects : bool array, one per new object
        Objects that are new, or whose trace has another step than before.
    """

    event: Positions
    object: Positions
    step: Positions
    event_before: Positions
    object_before: Positions
    step_before: Positions
    activity: Positions
    object_type: Positions
    touched_events: Mask
    touched_objects: Mask


def first_moves(traces: Traces) -> Moves:
    """Give the moves from a log without anything in it: everything came.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.tables import TABLES
    >>> first_moves(encode(pl.DataFrame(schema=TABLES["ocel.event_objects"].schema))).event.tolist()
    []
    """
    none = np.empty(0, dtype=np.int64)
    events, objects, steps = (
        np.full(size, -1, dtype=np.int64)
        for size in (len(traces.event_ids), len(traces.object_ids), len(traces.step_event))
    )
    return Moves(none, none, none, events, objects, steps, none, none, events < 0, objects < 0)


def move_traces(before: Traces, sequence: Positions, change: LogChange) -> tuple[Traces, Positions, Moves]:
    """Give the traces of a log after a change: those that `ocelake.mining.traces.encode` gives of the whole.

    Parameters
    ----------
    before : Traces
        Of the whole log, before the change.
    sequence : int64 array, one per event
        The declared order among events of equal time, by rank.
    change : LogChange
        What happened to the log.

    Returns
    -------
    Traces, int64 array, Moves
        The new traces, the sequence of their events, and how they came out of the old ones.

    Raises
    ------
    OcelakeError
        Where the change is not one of this log: what goes is not there, what comes is there, or relates to nothing.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> day = {n: datetime(2024, 1, n) for n in (1, 2)}
    >>> log = pl.DataFrame({"event_id": ["e"], "object_id": ["o"], "activity": ["pay"], "time": [day[2]]})
    >>> traces = encode(log.with_columns(object_type=pl.lit("order"), sequence=0))
    >>> earlier = pl.DataFrame({"event_id": ["d"], "activity": ["place"], "time": [day[1]], "sequence": [0]})
    >>> things = pl.DataFrame(schema={"object_type": pl.String, "object_id": pl.String})
    >>> related = pl.DataFrame({"event_id": ["d"], "object_id": ["o"]})
    >>> change = LogChange(earlier.clear(), earlier, things, things, related.clear(), related)
    >>> after, _, moves = move_traces(traces, np.zeros(1, dtype=np.int64), change)
    >>> after.activities.gather(after.step_activity).to_list(), moves.event.tolist()
    (['place', 'pay'], [1])
    """
    event, event_before, came_events = _moved_events(before, sequence, change)
    objects, object_before, came_objects = _moved_objects(before, change)
    event_ids = _woven(before.event_ids, event_before, came_events["event_id"])
    object_ids = _woven(before.object_ids, object_before, came_objects["object_id"])
    times = came_events["time"].cast(pl.Datetime("us")).to_physical().to_numpy()
    activities, activity, event_activity = _names(
        before.activities, before.event_activity, event_before, came_events["activity"]
    )
    object_types, kind, object_type = _names(
        before.object_types, before.object_type, object_before, came_objects["object_type"]
    )
    keys = objects[before.step_object]
    keys <<= 32
    # What went is -1, and so is any key that is made of it.
    keys |= event[before.step_event]
    kept = keys >= 0
    kept[_positions_of_steps(before, change.relations_went)] = False
    if not kept.all():
        keys = keys[kept]
    added = _keys(event_ids, object_ids, change.relations_came)
    place = np.searchsorted(keys, added)
    fresh = np.ones(len(added), dtype=bool)
    inside = place < len(keys)
    fresh[inside] = keys[place[inside]] != added[inside]
    step_before = _origins(np.flatnonzero(kept), place[fresh], int(fresh.sum()))
    step = _inverse(step_before, len(kept))
    whole = _woven_array(keys, _origins(np.arange(len(keys)), place[fresh], int(fresh.sum())), added[fresh])
    step_object, step_event = (whole >> 32).astype(np.int32), (whole & 0xFFFFFFFF).astype(np.int32)
    after = Traces(
        activities=activities,
        object_types=object_types,
        event_ids=event_ids,
        object_ids=object_ids,
        event_activity=event_activity,
        event_time=_woven_array(before.event_time, event_before, times),
        object_type=object_type,
        step_object=step_object,
        step_event=step_event,
        step_activity=event_activity[step_event],
        offsets=np.concatenate(([0], np.cumsum(np.bincount(step_object, minlength=len(object_ids))))),
    )
    touched_events, touched_objects = event_before < 0, object_before < 0
    came = np.flatnonzero(step_before < 0)
    touched_events[step_event[came]] = True
    touched_objects[step_object[came]] = True
    went = np.flatnonzero(~kept)
    for touched, moved, codes in (
        (touched_events, event, before.step_event),
        (touched_objects, objects, before.step_object),
    ):
        left = moved[codes[went]]
        touched[left[left >= 0]] = True
    moves = Moves(
        event, objects, step, event_before, object_before, step_before, activity, kind, touched_events, touched_objects
    )
    return after, _woven_array(sequence, event_before, came_events["sequence"].to_numpy()), moves


def _moved_events(before: Traces, sequence: Positions, change: LogChange) -> tuple[Positions, Positions, pl.DataFrame]:
    """Give the moves of events and back, and those that came, in order."""
    came = change.events_came.select(_EVENT).sort("time", "sequence", "event_id")
    kept = np.ones(len(before.event_ids), dtype=bool)
    kept[_places(before.event_ids, change.events_went["event_id"], "event")] = False
    old = np.flatnonzero(kept)
    time = before.event_time[old]
    times = came["time"].cast(pl.Datetime("us")).to_physical().to_numpy()
    place = np.searchsorted(time, times)
    end = np.searchsorted(time, times, side="right")
    if (end > place).any():
        place = _among_ties(before, sequence, old, came, place, end)
    origins = _origins(old, place, len(came))
    return _inverse(origins, len(kept)), origins, came


def _among_ties(
    before: Traces, sequence: Positions, old: Positions, came: pl.DataFrame, start: Positions, end: Positions
) -> Positions:
    """Find where events come in among others of the same time: by sequence, then by id."""
    first = np.unique(start[end > start], return_index=True)[1]
    begins, ends = start[end > start][first], end[end > start][first]
    sizes = ends - begins
    tied = np.repeat(begins - (np.cumsum(sizes) - sizes), sizes) + np.arange(int(sizes.sum()))
    there = pl.DataFrame(
        {
            "start": np.repeat(begins, sizes),
            "time": before.event_time[old[tied]],
            "sequence": sequence[old[tied]],
            "id": before.event_ids.gather(old[tied]),
            "row": pl.repeat(None, len(tied), dtype=pl.Int64, eager=True),
        }
    )
    time = came["time"].cast(pl.Datetime("us")).to_physical().alias("time")
    new = pl.DataFrame(
        {
            "start": start,
            "time": time,
            "sequence": came["sequence"],
            "id": came["event_id"],
            "row": np.arange(len(came)),
        }
    )
    both = pl.concat([there, new]).sort("time", "sequence", "id")
    ahead = pl.col("row").is_null().cum_sum().over("time").cast(pl.Int64)
    places = both.with_columns(place=pl.col("start") + ahead).drop_nulls("row").sort("row")
    found: Positions = places["place"].to_numpy()
    return found


def _moved_objects(before: Traces, change: LogChange) -> tuple[Positions, Positions, pl.DataFrame]:
    """Give the moves of objects and back, and those that came, in order."""
    came = change.objects_came.select(_OBJECT).sort(_OBJECT)
    kept = np.ones(len(before.object_ids), dtype=bool)
    kept[_places(before.object_ids, change.objects_went["object_id"], "object")] = False
    old = np.flatnonzero(kept)
    ids = before.object_ids if kept.all() else before.object_ids.gather(old)
    kinds = before.object_type[old]
    place = np.empty(len(came), dtype=np.int64)
    for (name,), group in came.with_row_index("row").group_by("object_type"):
        code = int(before.object_types.search_sorted(str(name)))
        first = int(np.searchsorted(kinds, code))
        last = first
        if code < len(before.object_types) and before.object_types[code] == name:
            last = int(np.searchsorted(kinds, code, side="right"))
        within = ids.slice(first, last - first).search_sorted(group["object_id"])
        place[group["row"].to_numpy()] = first + pl.Series(within).to_numpy()
    origins = _origins(old, place, len(came))
    return _inverse(origins, len(kept)), origins, came


def _names(names: pl.Series, codes: Codes, origins: Positions, came: pl.Series) -> tuple[pl.Series, Positions, Codes]:
    """Give the names that are used after the change, the moves of their codes, and the code of each new position."""
    stayed = origins >= 0
    used = np.bincount(codes[origins[stayed]], minlength=len(names)) > 0
    union = pl.concat([names.filter(pl.Series(used)), came.unique().alias(names.name)]).unique().sort()
    moved = np.full(len(names), -1, dtype=np.int64)
    moved[used] = union.search_sorted(names.filter(pl.Series(used))).to_numpy()
    result = np.empty(len(origins), dtype=np.int32)
    result[stayed] = moved[codes[origins[stayed]]]
    result[~stayed] = union.search_sorted(came).to_numpy()
    return union, moved, result


def _origins(old: Positions, place: Positions, count: int) -> Positions:
    """Weave new entries in among old ones: where each entry of the result comes from; -1 for a new one.

    Parameters
    ----------
    old : int64 array
        What stays.
    place : int64 array
        Before which entry of ``old`` each new one comes; never falls.
    count : int
        How many new ones there are.
    """
    origins = np.full(len(old) + count, -1, dtype=np.int64)
    new = np.zeros(len(origins), dtype=bool)
    new[place + np.arange(count)] = True
    origins[~new] = old
    return origins


def _inverse(origins: Positions, size: int) -> Positions:
    moved = np.full(size, -1, dtype=np.int64)
    stayed = np.flatnonzero(origins >= 0)
    moved[origins[stayed]] = stayed
    return moved


def _woven_array(old: npt.NDArray[Any], origins: Positions, new: npt.NDArray[Any]) -> npt.NDArray[Any]:
    result = np.empty(len(origins), dtype=old.dtype)
    stayed = origins >= 0
    # Entries that stay keep their order: where all do, they are all there is.
    result[stayed] = old if len(old) + len(new) == len(origins) else old[origins[stayed]]
    result[~stayed] = new
    return result


def _woven(old: pl.Series, origins: Positions, new: pl.Series) -> pl.Series:
    """Weave text in among other text."""
    if not len(new) and len(origins) == len(old):
        return old
    places = origins.copy()
    places[origins < 0] = len(old) + np.arange(len(new))
    return pl.concat([old, new.alias(old.name)]).gather(places)


def _places(ids: pl.Series, wanted: pl.Series, kind: str) -> Positions:
    """Give the position of each wanted id."""
    if wanted.is_empty():
        return np.empty(0, dtype=np.int64)
    found = ids.is_in(wanted.implode()).arg_true()
    known = pl.DataFrame({"id": ids.gather(found), "place": found.cast(pl.Int64)})
    places = pl.DataFrame({"id": wanted}).join(known, on="id", how="left", maintain_order="left")["place"]
    if places.null_count():
        raise OcelakeError(
            f"The log's traces have no {kind} {wanted.filter(places.is_null())[0]!r}.",
            fix="Compute them again from the log as it is now.",
        )
    result: Positions = places.to_numpy()
    return result


def _keys(event_ids: pl.Series, object_ids: pl.Series, relations: pl.DataFrame) -> Positions:
    """Give the sorted distinct keys ``object code << 32 | event rank`` of relations."""
    if relations.is_empty():
        return np.empty(0, dtype=np.int64)
    things, events = (relations[name].unique() for name in ("object_id", "event_id"))
    frames = [
        pl.DataFrame({"id": wanted, "place": _places(ids, wanted, kind)})
        for ids, wanted, kind in ((object_ids, things, "object"), (event_ids, events, "event"))
    ]
    found = relations.join(frames[0], left_on="object_id", right_on="id").join(
        frames[1], left_on="event_id", right_on="id", suffix="_event"
    )
    keys: Positions = np.unique(found["place"].to_numpy() << 32 | found["place_event"].to_numpy())
    return keys


def _positions_of_steps(before: Traces, relations: pl.DataFrame) -> Positions:
    """Give the positions of the steps that relations make; a relation that went with its event may make none."""
    wanted = _keys(before.event_ids, before.object_ids, relations)
    if not len(wanted):
        return wanted
    keys = before.step_object.astype(np.int64) << 32 | before.step_event
    place = np.searchsorted(keys, wanted)
    if (place >= len(keys)).any() or (keys[np.minimum(place, len(keys) - 1)] != wanted).any():
        raise OcelakeError(
            "A relation that went is not in the log's traces.", fix="Compute them again from the log as it is now."
        )
    return place
