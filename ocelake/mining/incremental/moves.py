"""From the traces of one state of a log to those of the next: what moved, what came, what went.

A batch inserts events and objects anywhere in the orders that their codes stand for, so that most codes move. `Moves`
holds where each event, object and step of the old traces is in the new ones, and back. Whatever is computed of the
traces can then be compared by arithmetic on codes: what did not move relative to its neighbours did not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.executions import ragged
from ocelake.mining.traces import Codes, Traces

__all__ = ["LogChange", "Moves", "Places", "first_moves", "move_traces"]

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int32] | npt.NDArray[np.int64]
"""Positions in what is as large as the log; of four bytes where these suffice."""

_EVENT = ["event_id", "activity", "time", "sequence"]
_OBJECT = ["object_type", "object_id"]
_NONE: Final = np.empty(0, dtype=np.int64)


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
    event, object, step : int array, one per old event, object, step
        Its rank, code or position in the new traces; -1 where it went. Ascending but for the -1.
    event_before, object_before, step_before : int array, one per new event, object, step
        The same the other way round; -1 where it is new.
    activity, object_type : int64 array, one per old name
        Its code in the new traces; -1 where it is used no more. Ascending but for the -1.
    touched_events : bool array, one per new event
        Events that are new, or that an object joined or left.
    touched_objects : bool array, one per new object
        Objects that are new, or whose trace has another step than before.
    """

    event: Places
    object: Places
    step: Places
    event_before: Places
    object_before: Places
    step_before: Places
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
    event_ids = _woven_ids(before.event_ids, event_before, came_events["event_id"])
    object_ids = _woven_ids(before.object_ids, object_before, came_objects["object_id"])
    times = came_events["time"].cast(pl.Datetime("us")).to_physical().to_numpy()
    activities, activity, event_activity = _names(
        before.activities, before.event_activity, event, event_before, came_events["activity"]
    )
    object_types, kind, object_type = _names(
        before.object_types, before.object_type, objects, object_before, came_objects["object_type"]
    )

    went = _steps_that_went(before, event, objects, change.relations_went)
    new = np.flatnonzero(event_before < 0), np.flatnonzero(object_before < 0)
    keys = _keys(event_ids, object_ids, change.relations_came, *new)
    place, there = _places_of_steps(before, keys >> 32, keys & 0xFFFFFFFF, object_before, event_before)
    there[there] = ~np.isin(place[there], went)
    keys, place = keys[~there], place[~there]
    new_objects, new_events = keys >> 32, (keys & 0xFFFFFFFF).astype(np.int32)
    step, step_before = _moved(len(before.step_event), went, place)

    lengths = np.zeros(len(object_ids), dtype=np.int64)
    stayed = object_before >= 0
    lengths[stayed] = before.lengths[object_before[stayed]]
    np.add.at(lengths, new_objects, 1)
    left_events, left_objects = event[before.step_event[went]], objects[before.step_object[went]]
    np.subtract.at(lengths, left_objects[left_objects >= 0], 1)
    after = Traces(
        activities=activities,
        object_types=object_types,
        event_ids=event_ids,
        object_ids=object_ids,
        event_activity=event_activity,
        event_time=_woven(before.event_time, event_before, times),
        object_type=object_type,
        step_object=np.repeat(np.arange(len(object_ids), dtype=np.int32), lengths),
        step_event=_woven(_recoded(before.step_event, event), step_before, new_events),
        step_activity=_woven(_recoded(before.step_activity, activity), step_before, event_activity[new_events]),
        offsets=np.concatenate(([0], np.cumsum(lengths))),
    )
    touched_events, touched_objects = event_before < 0, ~stayed
    for touched, left, came in (
        (touched_events, left_events, new_events),
        (touched_objects, left_objects, new_objects),
    ):
        touched[left[left >= 0]] = True
        touched[came] = True
    moves = Moves(
        event, objects, step, event_before, object_before, step_before, activity, kind, touched_events, touched_objects
    )
    return after, _woven(sequence, event_before, came_events["sequence"].to_numpy()), moves


def _moved_events(before: Traces, sequence: Positions, change: LogChange) -> tuple[Positions, Positions, pl.DataFrame]:
    """Give the moves of events and back, and those that came, in order."""
    came = change.events_came.select(_EVENT).sort("time", "sequence", "event_id")
    went = _places(before.event_ids, change.events_went["event_id"], "event")
    time = np.delete(before.event_time, went)
    times = came["time"].cast(pl.Datetime("us")).to_physical().to_numpy()
    place = np.searchsorted(time, times)
    end = np.searchsorted(time, times, side="right")
    if (end > place).any():
        place = _among_ties(before, sequence, went, came, place, end)
    moved, back = _moved(len(before.event_ids), went, _with_gone(went, place))
    return moved, back, came


def _among_ties(
    before: Traces, sequence: Positions, went: Positions, came: pl.DataFrame, start: Positions, end: Positions
) -> Positions:
    """Find where events come in among others of the same time: by sequence, then by id."""
    first = np.unique(start[end > start], return_index=True)[1]
    begins, ends = start[end > start][first], end[end > start][first]
    sizes = ends - begins
    tied = _with_gone(went, ragged(begins, sizes))
    there = pl.DataFrame(
        {
            "start": np.repeat(begins, sizes),
            "time": before.event_time[tied],
            "sequence": sequence[tied],
            "id": before.event_ids.gather(tied),
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
    went = _places(before.object_ids, change.objects_went["object_id"], "object")
    kinds = np.delete(before.object_type, went)
    ids = before.object_ids.gather(_with_gone(went, np.arange(len(kinds)))) if len(went) else before.object_ids
    place = np.empty(len(came), dtype=np.int64)
    for (name,), group in came.with_row_index("row").group_by("object_type"):
        code = int(before.object_types.search_sorted(str(name)))
        first = int(np.searchsorted(kinds, code))
        last = first
        if code < len(before.object_types) and before.object_types[code] == name:
            last = int(np.searchsorted(kinds, code, side="right"))
        within = ids.slice(first, last - first).search_sorted(group["object_id"])
        place[group["row"].to_numpy()] = first + pl.Series(within).to_numpy()
    moved, back = _moved(len(before.object_ids), went, _with_gone(went, place))
    return moved, back, came


def _names(
    names: pl.Series, codes: Codes, moved: Positions, origins: Positions, came: pl.Series
) -> tuple[pl.Series, Positions, Codes]:
    """Give the names that are used after the change, the moves of their codes, and the code of each new position."""
    used = np.bincount(codes, minlength=len(names)) > np.bincount(codes[moved < 0], minlength=len(names))
    left = names.filter(pl.Series(used))
    union = pl.concat([left, came.unique().alias(names.name)]).unique().sort()
    to = np.full(len(names), -1, dtype=np.int64)
    to[used] = union.search_sorted(left).to_numpy()
    return union, to, _woven(_recoded(codes, to), origins, union.search_sorted(came).to_numpy())


def _with_gone(went: Positions, place: Positions) -> Positions:
    """Turn places among those that stay into places among all."""
    stayed_before = np.sort(went) - np.arange(len(went))
    return place + np.searchsorted(stayed_before, place, side="right")


def _moved(size: int, went: Positions, place: Positions) -> tuple[Positions, Positions]:
    """Say where old entries are among the new ones, and back; -1 where they are not.

    Parameters
    ----------
    size : int
        How many old ones there are.
    went : int64 array
        Those that go, in any order.
    place : int64 array
        Before which old one each new one comes; never falls.
    """
    went = np.sort(went)
    came = place + np.arange(len(place)) - np.searchsorted(went, place)
    moved = _shifted(size, went, place)
    back = _shifted(size - len(went) + len(place), came, moved[went])
    moved[went], back[came] = -1, -1
    return moved, back


def _shifted(size: int, left: Positions, entered: Positions) -> Positions:
    """Give each position, less those that left before it, and more those that entered before it or at it."""
    ahead: npt.NDArray[Any] = np.ones(size + 1, dtype=np.int32 if size + len(entered) < 1 << 31 else np.int64)
    ahead[0] = 0
    np.add.at(ahead, entered, 1)
    ahead[left + 1] -= 1
    return np.cumsum(ahead, out=ahead)[:size]


def _recoded(codes: Codes, moved: Positions) -> npt.NDArray[Any]:
    """Give new codes; what most batches do not move is not passed over."""
    return codes if np.array_equal(moved, np.arange(len(moved))) else moved.astype(np.int32)[codes]


def _woven(old: npt.NDArray[Any], origins: Positions, new: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give what is at the origins, and what is new where these are -1."""
    result = np.empty(len(origins), dtype=old.dtype)
    stayed = origins >= 0
    # Entries that stay keep their order: where all do, they are all there is.
    result[stayed] = old if len(old) + len(new) == len(origins) else old[origins[stayed]]
    result[~stayed] = new
    return result


def _woven_ids(old: pl.Series, origins: Positions, new: pl.Series) -> pl.Series:
    if not len(new) and len(origins) == len(old):
        return old
    places = origins.copy()
    places[origins < 0] = len(old) + np.arange(len(new))
    return pl.concat([old, new.alias(old.name)]).gather(places)


def _places(ids: pl.Series, wanted: pl.Series, kind: str, new: Positions = _NONE) -> Positions:
    """Give the position of each wanted id, which may well be one of some new ones."""
    found = new
    rest = wanted.filter(~wanted.is_in(ids.gather(new).implode()))
    if len(rest):
        found = np.append(new, ids.is_in(rest.implode()).arg_true())
    known = pl.DataFrame({"id": ids.gather(found), "place": found})
    places = pl.DataFrame({"id": wanted}).join(known, on="id", how="left", maintain_order="left")["place"]
    if places.null_count():
        raise OcelakeError(
            f"The log's traces have no {kind} {wanted.filter(places.is_null())[0]!r}.",
            fix="Compute them again from the log as it is now.",
        )
    result: Positions = places.to_numpy()
    return result


def _keys(
    event_ids: pl.Series,
    object_ids: pl.Series,
    relations: pl.DataFrame,
    new_events: Positions = _NONE,
    new_objects: Positions = _NONE,
) -> Positions:
    """Give the sorted distinct keys ``object code << 32 | event rank`` of relations."""
    if relations.is_empty():
        return np.empty(0, dtype=np.int64)
    things, events = (relations[name].unique() for name in ("object_id", "event_id"))
    frames = [
        pl.DataFrame({"id": wanted, "place": _places(ids, wanted, kind, new)})
        for ids, wanted, kind, new in (
            (object_ids, things, "object", new_objects),
            (event_ids, events, "event", new_events),
        )
    ]
    found = relations.join(frames[0], left_on="object_id", right_on="id").join(
        frames[1], left_on="event_id", right_on="id", suffix="_event"
    )
    keys: Positions = np.unique(found["place"].to_numpy() << 32 | found["place_event"].to_numpy())
    return keys


def _steps_that_went(before: Traces, event: Positions, objects: Positions, relations: pl.DataFrame) -> Positions:
    """Find the steps of events and objects that went, and of relations that did."""
    things = np.flatnonzero(objects < 0)
    keys = _keys(before.event_ids, before.object_ids, relations)
    of, ranks = keys >> 32, keys & 0xFFFFFFFF
    place, there = _search(before.step_event, before.offsets[of], before.offsets[of + 1], ranks)
    if not there.all():
        raise OcelakeError(
            "A relation that went is not in the log's traces.", fix="Compute them again from the log as it is now."
        )
    gone = event < 0
    steps = np.flatnonzero(gone[before.step_event]) if gone.any() else place
    return np.unique(np.concatenate((steps, ragged(before.offsets[things], before.lengths[things]), place)))


def _places_of_steps(
    before: Traces, objects: Positions, events: Positions, object_before: Positions, event_before: Positions
) -> tuple[Positions, Mask]:
    """Find before which old step each new one comes, by new codes; say whether that is the same step."""
    of, rank = (_origin_or_next(back, codes) for back, codes in ((object_before, objects), (event_before, events)))
    known = object_before[objects] >= 0
    place, there = _search(before.step_event, before.offsets[of], before.offsets[of + known], rank)
    return place, there & (event_before[events] >= 0)


def _origin_or_next(back: Positions, codes: Positions) -> Positions:
    """Give where each was before; where it is new, what came after the last one before it that was there."""
    origin: Positions = back[codes]
    return np.where(origin >= 0, origin, np.maximum.accumulate(back)[codes] + 1)


def _search(values: Codes, low: Positions, high: Positions, wanted: Positions) -> tuple[Positions, Mask]:
    """Bisect ranges of ascending values for one each: the first place that is not less, and whether it is there."""
    place, end = low, high
    while (between := place < end).any():
        middle = (place + end) >> 1
        less = between.copy()
        less[between] = values[middle[between]] < wanted[between]
        place, end = np.where(less, middle + 1, place), np.where(between & ~less, middle, end)
    there = place < high
    there[there] = values[place[there]] == wanted[there]
    return place, there
