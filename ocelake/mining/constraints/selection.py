"""Which events and objects a rule speaks of: activities, types and attribute conditions, as codes.

A name that the log does not have is an error of the rule, as a misspelt one would be fulfilled by every log.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.constraints.language import Condition, EventSelection, ObjectSelection, Where
from ocelake.mining.traces import Traces

__all__ = [
    "Flags",
    "Log",
    "Places",
    "event_fits",
    "object_links",
    "objects_fit",
    "ragged",
    "select_events",
    "select_objects",
    "steps_of",
    "trace_keys",
    "type_range",
]

Flags: TypeAlias = npt.NDArray[np.bool_]
Places: TypeAlias = npt.NDArray[np.integer[Any]]

_BOUNDS: Final[tuple[tuple[str, Callable[[Any, Any], Any]], ...]] = (
    ("above", operator.gt),
    ("at_least", operator.ge),
    ("below", operator.lt),
    ("at_most", operator.le),
)
_END: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """A log as rules see it.

    Attributes
    ----------
    traces : Traces
        Of all its events and objects.
    tables : mapping of str to DataFrame
        Those of `ocel.event_attributes`, `ocel.object_attributes` (the attributes that the rules name suffice),
        `ocel.object_objects` and `ocel.event_objects` that its rules need.
    """

    traces: Traces
    tables: Mapping[str, pl.DataFrame]


def ragged(starts: Places, lengths: Places) -> tuple[Places, Places]:
    """List the places of many ranges, one after the other.

    Returns
    -------
    owner, place : int64 arrays
        For each place, which range it is of, and itself.

    Examples
    --------
    >>> owner, place = ragged(np.array([5, 0]), np.array([2, 1]))
    >>> owner.tolist(), place.tolist()
    ([0, 0, 1], [5, 6, 0])
    """
    owner = np.repeat(np.arange(len(lengths)), lengths)
    before = np.cumsum(lengths) - lengths
    return owner, np.arange(len(owner)) + (starts - before)[owner]


def trace_keys(objects: Places, events: Places) -> npt.NDArray[np.int64]:
    """Give numbers that sort as (object, event) do, and are equal where both are.

    Examples
    --------
    >>> trace_keys(np.array([0, 1], dtype=np.int32), np.array([7, 0], dtype=np.int32)).tolist()
    [7, 4294967296]
    """
    keys = objects.astype(np.int64)
    keys <<= 32
    keys |= events
    return keys


def type_range(log: Log, name: str) -> tuple[int, int]:
    """Give the codes of the objects of a type, as a half-open range.

    Raises
    ------
    OcelakeError
        Where the log has no such type.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "a", "object_type": "t", "time": datetime(2024, 1, 1)}
    >>> type_range(Log(encode(pl.DataFrame([row | {"sequence": 0}])), {}), "t")
    (0, 1)
    """
    traces = log.traces
    code = _code(name, traces.object_types, "object type")
    first, last = np.searchsorted(traces.object_type, [code, code + 1])
    return int(first), int(last)


def steps_of(log: Log, name: str) -> tuple[Places, Places]:
    """Give the object and event of each step of a type, in trace order.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "a", "object_type": "t", "time": datetime(2024, 1, 1)}
    >>> steps_of(Log(encode(pl.DataFrame([row | {"sequence": 0}])), {}), "t")
    (array([0], dtype=int32), array([0], dtype=int32))
    """
    first, last = log.traces.offsets[list(type_range(log, name))]
    return log.traces.step_object[first:last], log.traces.step_event[first:last]


def select_events(log: Log, selection: EventSelection) -> Flags:
    """Tell for each event whether it is selected.

    Raises
    ------
    OcelakeError
        Where the log has no such activity, object type or attribute.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "a", "object_type": "t", "time": datetime(2024, 1, 1)}
    >>> select_events(Log(encode(pl.DataFrame([row | {"sequence": 0}])), {}), EventSelection(activity="a"))
    array([ True])
    """
    traces = log.traces
    codes = [_code(name, traces.activities, "activity") for name in selection.activity]
    selected = np.isin(traces.event_activity, codes)
    for name, condition in selection.where.items():
        events: Places = np.flatnonzero(selected)
        selected[events] = event_fits(log, events, name, condition)
    for name, where in selection.involving.items():
        objects, events = steps_of(log, name)
        step = np.flatnonzero(selected[events])
        fits = objects_fit(log, name, where, objects[step], _as_of(traces, objects[step], events[step]))
        involved = np.zeros_like(selected)
        involved[events[step[fits]]] = True
        selected &= involved
    return selected


def select_objects(log: Log, selection: ObjectSelection, objects: Places, events: Places | None = None) -> Flags:
    """Tell for each of some objects of the type whether it is selected: as of an event of it, or at the end.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "a", "object_type": "t", "time": datetime(2024, 1, 1)}
    >>> log = Log(encode(pl.DataFrame([row | {"sequence": 0}])), {})
    >>> select_objects(log, ObjectSelection(type="t"), np.array([0], dtype=np.int32))
    array([ True])
    """
    limits = np.full(len(objects), _END) if events is None else _as_of(log.traces, objects, events)
    return objects_fit(log, selection.type, selection.where, objects, limits)


def event_fits(log: Log, events: Places, name: str, condition: Condition) -> Flags:
    """Tell for each of some events (ascending ranks) whether its attribute is as said.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "a", "object_type": "t", "time": datetime(2024, 1, 1)}
    >>> fee = {"event_id": "e", "name": "fee", "value": "5", "value_type": "float", "value_float": 5.0, "ordinal": 0}
    >>> values = pl.DataFrame([fee]).with_columns(value_time=pl.lit(None, pl.Datetime("us", "UTC")))
    >>> log = Log(encode(pl.DataFrame([row | {"sequence": 0}])), {"ocel.event_attributes": values})
    >>> event_fits(log, np.array([0]), "fee", Condition(above=3))
    array([ True])
    """
    ids = pl.DataFrame({"event_id": log.traces.event_ids.gather(events), "place": np.arange(len(events))})
    values = log.tables["ocel.event_attributes"].filter(pl.col("name") == name)
    found = values.join(ids, on="event_id").sort("place", "ordinal").unique("place", keep="last")
    if found.is_empty() and len(events):
        activities = log.traces.activities.gather(np.unique(log.traces.event_activity[events]))
        raise OcelakeError(f"No event of {_listed(activities)} has an attribute {name!r}.")
    _check_comparable(name, condition, found)
    fits = np.full(len(events), condition.known is False)
    fits[found["place"].to_numpy()] = found.select(_fits(condition)).to_series().to_numpy()
    return fits


def objects_fit(log: Log, kind: str, where: Where, objects: Places, limits: Places) -> Flags:
    """Tell for each of some objects of a type whether its attributes at a time (microseconds) are as said.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "a", "object_type": "t", "time": datetime(2024, 1, 1)}
    >>> fee = {"object_id": "o", "name": "fee", "value": "5", "value_type": "float", "value_float": 5.0, "ordinal": 0}
    >>> unknown = pl.lit(None, pl.Datetime("us", "UTC"))
    >>> values = pl.DataFrame([fee]).with_columns(initial=True, time=unknown, value_time=unknown)
    >>> log = Log(encode(pl.DataFrame([row | {"sequence": 0}])), {"ocel.object_attributes": values})
    >>> objects_fit(log, "t", {"fee": Condition(above=3)}, np.array([0]), np.array([0]))
    array([ True])
    """
    fits = np.ones(len(objects), dtype=bool)
    first, last = type_range(log, kind)
    for name, condition in where.items():
        ids = pl.DataFrame(
            {"object_id": log.traces.object_ids[first:last], "object": np.arange(first, last, dtype=np.int64)}
        )
        histories = log.tables["ocel.object_attributes"].filter(pl.col("name") == name).join(ids, on="object_id")
        _check_comparable(name, condition, histories)
        values = histories.select(
            "object",
            pl.when(pl.col("initial") | pl.col("time").is_null())
            .then(pl.lit(np.iinfo(np.int64).min))
            .otherwise(pl.col("time").to_physical())
            .alias("since"),
            "ordinal",
            _fits(condition).alias("fits"),
        ).sort("object", "since", "ordinal")
        if values.is_empty() and last > first:
            raise OcelakeError(f"No object of the type {kind!r} has an attribute {name!r}.")
        place = _last_before(values["object"].to_numpy(), values["since"].to_numpy(), objects, limits)
        fits &= np.where(place >= 0, values["fits"].to_numpy()[place], condition.known is False)
    return fits


def object_links(log: Log, qualifier: str | None) -> tuple[Places, Places]:
    """Give the O2O relations of a qualifier, or all: source and target objects.

    Raises
    ------
    OcelakeError
        Where no relation has the qualifier.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "activity": "a", "object_type": "t", "time": datetime(2024, 1, 1), "sequence": 0}
    >>> traces = encode(pl.DataFrame([row | {"object_id": "o"}, row | {"object_id": "p"}]))
    >>> links = pl.DataFrame({"source_id": ["p"], "target_id": ["o"], "qualifier": ["part of"]})
    >>> object_links(Log(traces, {"ocel.object_objects": links}), "part of")
    (array([1], dtype=int32), array([0], dtype=int32))
    """
    links = log.tables["ocel.object_objects"]
    if qualifier is not None:
        _code(qualifier, links["qualifier"].unique().sort(), "O2O qualifier")
        links = links.filter(pl.col("qualifier") == qualifier)
    codes = pl.DataFrame({"id": log.traces.object_ids, "code": np.arange(len(log.traces.object_ids), dtype=np.int32)})
    for end in ("source", "target"):
        links = links.join(codes.rename({"id": f"{end}_id", "code": end}), on=f"{end}_id", maintain_order="left")
    return links["source"].to_numpy(), links["target"].to_numpy()


def _check_comparable(name: str, condition: Condition, values: pl.DataFrame) -> None:
    """Refuse to compare an attribute without numbers, or times, to such: every value would violate the condition."""
    bounds = [bound for side, _ in _BOUNDS if (bound := getattr(condition, side)) is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in condition.one_of):
        bounds.extend(condition.one_of)
    known = values.drop_nulls("value")
    if not bounds or known.is_empty():
        return
    kind, alike = ("time", "time") if isinstance(bounds[0], datetime) else ("number", "integer or float")
    comparable = pl.col("value_time").is_not_null() if kind == "time" else _is_number()
    if known.filter(comparable).is_empty():
        raise OcelakeError(
            f"No value of {name!r} is a {kind}; there are such as {known['value'][0]!r}, of type "
            f"{known['value_type'][0]}.",
            fix=f"Read the attribute as {alike}, or name the values that are allowed.",
        )


def _fits(condition: Condition) -> pl.Expr:
    """Give the condition on the columns of a value."""
    said = [~_is_one_of(condition.none_of)]
    if condition.one_of:
        said.append(_is_one_of(condition.one_of))
    for name, compare in _BOUNDS:
        bound = getattr(condition, name)
        if isinstance(bound, datetime):
            said.append(compare(pl.col("value_time"), pl.lit(bound)))
        elif bound is not None:
            said.append(_is_number() & compare(pl.col("value_float"), bound))
    if condition.known is False:
        said.append(pl.lit(False))  # a value is there
    return pl.all_horizontal(pl.col("value").is_not_null(), *said).fill_null(False)


def _is_one_of(values: Iterable[bool | int | float | str]) -> pl.Expr:
    alike = [pl.lit(False)]
    for value in values:
        if isinstance(value, bool):
            alike.append((pl.col("value_type") == "boolean") & (pl.col("value") == str(value).lower()))
        elif isinstance(value, str):
            alike.append(pl.col("value") == value)
        else:
            alike.append(_is_number() & (pl.col("value_float") == value))
    return pl.any_horizontal(alike).fill_null(False)


def _is_number() -> pl.Expr:
    return pl.col("value_type").is_in(["integer", "float"])


def _as_of(traces: Traces, objects: Places, events: Places) -> Places:
    """Give the last instant whose values an event sees: its own, or the one before if the object goes on then."""
    if not len(objects):
        return np.zeros(0, dtype=np.int64)
    # Steps have one key in trace order, so that the next step is the next place.
    span = slice(traces.offsets[objects.min()], traces.offsets[objects.max() + 1])
    step_object, step_event = traces.step_object[span], traces.step_event[span]
    following = np.searchsorted(trace_keys(step_object, step_event), trace_keys(objects, events)) + 1
    inside = np.minimum(following, len(step_object) - 1)
    times = traces.event_time[events]
    goes_on = (
        (following < len(step_object))
        & (step_object[inside] == objects)
        & (traces.event_time[step_event[inside]] == times)
    )
    seen: Places = times - goes_on
    return seen


def _last_before(owners: Places, since: Places, objects: Places, limits: Places) -> Places:
    """Find, in rows sorted by owner and time, each object's last row up to a limit; -1 where none is."""
    _, ranks = np.unique(np.concatenate([since, limits]), return_inverse=True)
    row_rank, limit_rank = ranks[: len(since)], ranks[len(since) :]
    keys, wanted = trace_keys(owners, row_rank), trace_keys(objects, limit_rank)
    place: Places = np.searchsorted(keys, wanted, side="right") - 1
    if len(owners):
        place[(place >= 0) & (owners[place] != objects)] = -1
    return place


def _code(name: str, names: pl.Series, kind: str) -> int:
    place = names.search_sorted(name)
    if place < len(names) and names[place] == name:
        return int(place)
    near = difflib.get_close_matches(name, names.to_list(), n=1)
    raise OcelakeError(f"The log has no {kind} {name!r}.", fix=f"Did you mean {near[0]!r}?" if near else None)


def _listed(names: pl.Series) -> str:
    return ", ".join(repr(name) for name in names)
