"""Sub-logs by process executions, samples, and one function for all that a request may name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ocelake.errors import NotFound, OcelakeError
from ocelake.mining.executions import CONNECTED, Executions, find_executions
from ocelake.mining.explore.filters import filter_activities, filter_object_types, filter_time
from ocelake.mining.explore.induced import Orphans, induced_log
from ocelake.mining.explore.names import check_names
from ocelake.mining.traces import Traces, encode
from ocelake.ocel.model import Ocel

__all__ = ["Unit", "filter_executions", "sample_log", "select_log"]

Unit: TypeAlias = Literal["executions", "objects", "events"]
"""What a sample is drawn from."""


def filter_executions(
    ocel: Ocel,
    *,
    object_ids: Iterable[str] | None = None,
    event_ids: Iterable[str] | None = None,
    object_types: Iterable[str] | None = None,
    activities: Iterable[str] | None = None,
    kind: str = CONNECTED,
) -> Ocel:
    """Keep whole process executions: the events and objects of those that contain what is asked for.

    Parameters
    ----------
    ocel : Ocel
    object_ids, event_ids, object_types, activities : iterable of str, optional
        An execution is kept where it contains at least one of each collection that is given.
    kind : str
        ``connected``, or ``leading:`` and an object type.

    Raises
    ------
    OcelakeError
        Where the log does not declare a type or activity, or its executions of the kind cannot be found.

    See Also
    --------
    ocelake.mining.executions.find_executions : what an execution is.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> log = filter_object_types(generate(1_000, seed=1), ["orders", "items"])
    >>> one = filter_executions(log, object_ids=["order-0001"])
    >>> one.objects.filter(object_type="orders").height
    1
    """
    traces, executions = _executions(ocel, kind)
    wanted = np.ones(len(executions.ids), dtype=bool)
    for ids, names in ((traces.object_ids, object_ids), (traces.event_ids, event_ids)):
        if names is not None:
            marked = ids.is_in(list(names)).to_numpy()
            wanted &= _contain(executions, marked, objects=ids is traces.object_ids)
    if object_types is not None:
        marked = traces.object_types.is_in(check_names(ocel, "object_type", object_types)).to_numpy()
        wanted &= _contain(executions, marked[traces.object_type], objects=True)
    if activities is not None:
        marked = traces.activities.is_in(check_names(ocel, "activity", activities)).to_numpy()
        wanted &= _contain(executions, marked[traces.event_activity], objects=False)
    return _members(ocel, traces, executions, np.flatnonzero(wanted))


def sample_log(ocel: Ocel, size: int, *, unit: Unit = "executions", kind: str = CONNECTED, seed: int = 0) -> Ocel:
    """Draw a sample of a log, without replacement.

    O2O relations between sampled objects, all values of their attributes, and the declared types are kept.

    Parameters
    ----------
    ocel : Ocel
    size : int
        How many to draw; all where the log has fewer.
    unit : {"executions", "objects", "events"}
        Of what. An execution comes with all its events and objects; an object with its events, but not with their other
        objects; an event with its objects.
    kind : str
        Of executions: ``connected``, or ``leading:`` and an object type, for logs that are connected as a whole.
    seed : int
        Equal seeds draw the same from equal logs, whatever the order of rows.

    Raises
    ------
    OcelakeError
        Where the size or the seed is negative, or executions of the kind cannot be found.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(1_000, seed=1)
    >>> sample_log(log, 5, unit="events").events.height
    5
    >>> sample_log(log, 5, kind="leading:orders").objects.filter(object_type="orders").height
    5
    """
    if size < 0 or seed < 0:
        raise OcelakeError(f"A sample of {size} {unit} with seed {seed} cannot be drawn.", fix="Use 0 or more.")
    if unit == "executions":
        traces, executions = _executions(ocel, kind)
        return _members(ocel, traces, executions, _draw(len(executions.ids), size, seed))
    if unit == "objects":
        ids = ocel.objects.select("object_id").sort("object_id")
        objects = ids[_draw(ids.height, size, seed)]
        return induced_log(ocel, objects=objects, events=ocel.event_objects.join(objects, on="object_id", how="semi"))
    ids = ocel.events.sort("time", "sequence", "event_id").select("event_id")
    events = ids[_draw(ids.height, size, seed)]
    return induced_log(ocel, events=events, objects=ocel.event_objects.join(events, on="event_id", how="semi"))


def select_log(
    ocel: Ocel,
    *,
    object_types: Collection[str] | None = None,
    activities: Collection[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    executions_with: Collection[str] | None = None,
    sample: int | None = None,
    unit: Unit = "executions",
    kind: str = CONNECTED,
    seed: int = 0,
    orphans: Orphans = "drop",
) -> Ocel:
    """Select a part of a log by several criteria at once.

    They are applied in the order of the parameters: executions are those of what the filters leave, and a sample is
    drawn from those.

    Parameters
    ----------
    ocel : Ocel
    object_types, activities : collection of str, optional
        As for `filter_object_types` and `filter_activities`.
    start, end : datetime, optional
        As for `filter_time`.
    executions_with : collection of str, optional
        Ids of objects: only the executions with one of them.
    sample : int, optional
        How many to draw, as for `sample_log`.
    unit : {"executions", "objects", "events"}
        Of what.
    kind : str
        Of executions, asked for or sampled: ``connected``, or ``leading:`` and an object type.
    seed : int
        Of the sample.
    orphans : {"drop", "keep"}
        As for `induced_log`; of the filters.

    Raises
    ------
    OcelakeError
        Where the log does not declare a type or activity, or does not have an object; where an instant has no time
        zone, the sample or the seed is negative, or executions of the kind cannot be found.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> part = select_log(generate(1_000, seed=1), object_types=["orders"], activities=["pay order"], sample=3)
    >>> part.events.height, part.objects.height
    (3, 3)
    """
    if object_types is not None:
        ocel = filter_object_types(ocel, object_types, orphans=orphans)
    if activities is not None:
        ocel = filter_activities(ocel, activities, orphans=orphans)
    if start is not None or end is not None:
        ocel = filter_time(ocel, start, end, orphans=orphans)
    if executions_with is not None:
        if missing := sorted(set(executions_with).difference(ocel.objects["object_id"])):
            raise NotFound(
                f"No object {missing[0]!r} is in the log, or in what the other criteria leave of it.",
                fix="Name objects by their ids, as in `ocel.objects`.",
            )
        ocel = filter_executions(ocel, object_ids=executions_with, kind=kind)
    return ocel if sample is None else sample_log(ocel, sample, unit=unit, kind=kind, seed=seed)


def _executions(ocel: Ocel, kind: str) -> tuple[Traces, Executions]:
    traces = encode(ocel.event_objects, ocel.objects, ocel.events)
    return traces, find_executions(traces, kind)


def _contain(executions: Executions, marked: npt.NDArray[np.bool_], *, objects: bool) -> npt.NDArray[np.bool_]:
    """Tell which executions have a marked object (or event)."""
    offsets, members = (
        (executions.object_offsets, executions.objects) if objects else (executions.event_offsets, executions.events)
    )
    before = np.concatenate(([0], np.cumsum(marked[members])))[offsets]
    found: npt.NDArray[np.bool_] = before[1:] > before[:-1]
    return found


def _members(ocel: Ocel, traces: Traces, executions: Executions, chosen: npt.NDArray[np.int64]) -> Ocel:
    """Give the log of all events and objects of some executions."""
    marks = np.zeros(len(executions.ids), dtype=bool)
    marks[chosen] = True
    events = executions.events[np.repeat(marks, np.diff(executions.event_offsets))]
    objects = executions.objects[np.repeat(marks, np.diff(executions.object_offsets))]
    return induced_log(
        ocel,
        events=traces.event_ids.gather(np.unique(events)).to_frame(),
        objects=traces.object_ids.gather(np.unique(objects)).to_frame(),
    )


def _draw(available: int, size: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).choice(available, min(size, available), replace=False)
