"""Features of every prefix of the objects of a type, as of its last event.

"As of an event" means: events count up to it in the log's order (time, sequence, event id), of all objects alike; the
execution is the component of the events up to it; values of attributes are those of
`ocelake.mining.explore.values_as_of_events`; a relation between objects counts once both have had an event.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.features.columns import FeatureColumn
from ocelake.features.known import Ranks, active, counted_by, events_within, rolling_mean
from ocelake.features.neighbourhood import neighbourhoods
from ocelake.features.settings import PredictionSettings
from ocelake.features.so_far import SoFar, executions_so_far
from ocelake.mining.bottlenecks import permanent_types
from ocelake.mining.executions import ragged
from ocelake.mining.explore.as_of import values_as_of_events
from ocelake.mining.performance import event_times
from ocelake.mining.predecessors import Predecessors, find_predecessors
from ocelake.mining.times import instants
from ocelake.mining.traces import Traces

__all__ = [
    "SHARED",
    "Context",
    "Prefixes",
    "default_types",
    "find_context",
    "flowing_types",
    "is_duration",
    "prefix_features",
]

_HOUR: Final = 3_600_000_000
_WINDOWS: Final = {"hour": _HOUR, "day": 24 * _HOUR, "week": 168 * _HOUR}
_RECENT: Final = 50
"""Steps that recent durations are a mean of."""

SHARED: Final = (
    *(f"events in a {name}" for name in _WINDOWS),
    *("active in a week", "same activity in a day", "in progress", "recent gap", "month day"),
)
"""Features that all objects share at one time, or nearly: in a short log they tell the time, not the workload."""

_SINCE: Final = "since: "
_DURATIONS: Final = frozenset(
    ("elapsed", "since previous", "mean gap", "sojourn", "synchronization", "recent gap", "execution age")
)

_MICROSECONDS: Final = 1e6
_GRAM: Final = 3

Numbers = npt.NDArray[np.float64] | npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Prefixes:
    """The prefixes of all objects of a type, and what is known of each.

    Attributes
    ----------
    object_type : str
        Of the objects.
    keys : DataFrame
        object_id, event_id (the prefix's last event), position (its length), time (of that event); in the order of
        object, then position.
    values : DataFrame
        The same rows: a Float32 or String column for each feature.
    columns : tuple of FeatureColumn
        What each means, in their order.
    """

    object_type: str
    keys: pl.DataFrame
    values: pl.DataFrame
    columns: tuple[FeatureColumn, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What is computed once for the events of a log, whatever the type of the objects in question.

    Attributes
    ----------
    flowing : bool array, one per object type
        Those that executions are made of.
    so_far : SoFar
        Of executions over these types.
    predecessors : Predecessors
        Over these types.
    sojourn, synchronization : float64 arrays, one per event
        In seconds; NaN for an event without predecessors.
    neighbourhood : uint64 array, one per event
        See `neighbourhoods`.
    within : dict of str to int64 array
        Events in the hour, day and week that end with each event.
    """

    flowing: npt.NDArray[np.bool_]
    so_far: SoFar
    predecessors: Predecessors
    sojourn: npt.NDArray[np.float64]
    synchronization: npt.NDArray[np.float64]
    neighbourhood: npt.NDArray[np.uint64]
    within: Mapping[str, Ranks]


def is_duration(name: str) -> bool:
    """Tell whether a feature is a duration, in seconds.

    Examples
    --------
    >>> is_duration("since: pay order"), is_duration("count: pay order")
    (True, False)
    """
    return name in _DURATIONS or name.startswith(_SINCE)


def flowing_types(traces: Traces, execution_types: Collection[str] = ()) -> tuple[str, ...]:
    """Give the types that executions are made of: those that are set, else all that do not live as long as the log.

    Types that the log does not have are left out.

    Notes
    -----
    Which types live as long as the log is read from the whole log, and the features of executions and of objects that
    were met are about the types that are given here. So, where no types are set, what happens later has this one say in
    the features of earlier prefixes: it may change which types they are about. Set them where that matters.
    """
    if execution_types:
        return tuple(name for name in traces.object_types if name in set(execution_types))
    return tuple(traces.object_types.filter(~pl.Series(permanent_types(traces), dtype=pl.Boolean)))


def default_types(traces: Traces, settings: PredictionSettings, flowing: Collection[str]) -> tuple[str, ...]:
    """Give the object types that predictions are about: those that are set, else the one in most events.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    settings : PredictionSettings
    flowing : collection of str
        The types that executions are made of (`flowing_types`); one of them is taken.

    Returns
    -------
    tuple of str
        Without those that the log has no steps of; empty for a log without steps.
    """
    kind = traces.object_type[traces.step_object]
    steps = np.bincount(kind, minlength=len(traces.object_types))
    if settings.object_types:
        known = set(traces.object_types.filter(pl.Series(steps > 0)))
        return tuple(name for name in settings.object_types if name in known)
    candidates = np.flatnonzero(traces.object_types.is_in(list(flowing)).to_numpy() & (steps > 0))
    if not len(candidates):
        return ()
    # Of types in equally many events the one with fewer objects: an order is in all events of its items.
    objects = np.bincount(traces.object_type, minlength=len(steps))
    events = {code: len(np.unique(traces.step_event[kind == code])) for code in candidates}
    best = max(candidates, key=lambda code: (events[code], -objects[code], -code))
    return (str(traces.object_types[int(best)]),)


def find_context(traces: Traces, execution_types: Collection[str] | None = None) -> Context:
    """Compute what the features of all object types share.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    execution_types : collection of str, optional
        The types that executions are made of (`flowing_types`); all without it.
    """
    flowing = np.ones(len(traces.object_types), dtype=bool)
    if execution_types is not None:
        flowing = traces.object_types.is_in(list(execution_types)).to_numpy()
    predecessors = find_predecessors(traces).of_types(traces, flowing)
    times = event_times(traces, predecessors)
    sojourn, synchronization = (np.full(len(traces.event_ids), np.nan) for _ in range(2))
    sojourn[times["event"]] = times["sojourn"].to_numpy() / _MICROSECONDS
    synchronization[times["event"]] = times["synchronization"].to_numpy() / _MICROSECONDS
    return Context(
        flowing=flowing,
        so_far=_so_far(traces, flowing),
        predecessors=predecessors,
        sojourn=sojourn,
        synchronization=synchronization,
        neighbourhood=neighbourhoods(traces, predecessors, 2),
        within={name: events_within(traces, window) for name, window in _WINDOWS.items()},
    )


def _so_far(traces: Traces, flowing: npt.NDArray[np.bool_]) -> SoFar:
    if flowing.all():
        return executions_so_far(traces)
    part = traces.of_types(traces.object_types.filter(pl.Series(flowing)).to_list())
    found = executions_so_far(part)
    # Events of other types alone have no execution of these.
    events = np.zeros(len(traces.event_ids), dtype=np.int64)
    began = traces.event_time.copy()
    objects = np.zeros((len(part.object_types), len(events)), dtype=np.int64)
    there = np.zeros(len(events), dtype=bool)
    there[traces.step_event[flowing[traces.object_type[traces.step_object]]]] = True
    events[there], began[there], objects[:, there] = found.events, found.began, found.objects
    return SoFar(events, began, objects)


class _Columns:
    """Features in the making."""

    def __init__(self) -> None:
        self.series: list[pl.Series] = []
        self.columns: list[FeatureColumn] = []

    def number(self, name: str, values: npt.NDArray[np.generic] | pl.Series, doc: str) -> None:
        """Add a number; NaN is none."""
        found = values if isinstance(values, pl.Series) else pl.Series(values.astype(np.float32))
        self.series.append(found.cast(pl.Float32).fill_nan(None).alias(name))
        self.columns.append(FeatureColumn(name, "number", doc))

    def category(self, name: str, values: pl.Series, doc: str) -> None:
        """Add a category."""
        self.series.append(values.cast(pl.String).alias(name))
        self.columns.append(FeatureColumn(name, "category", doc))


def prefix_features(
    traces: Traces,
    object_type: str,
    tables: Mapping[str, pl.DataFrame],
    *,
    settings: PredictionSettings,
    time_zone: str = "UTC",
    context: Context | None = None,
) -> Prefixes:
    """Compute the features of all prefixes of the objects of a type.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    object_type : str
        The objects in question.
    tables : mapping of str to DataFrame
        Of silver: ``ocel.event_attributes``, ``ocel.object_attributes``, ``ocel.object_objects``; what is missing has
        no features.
    settings : PredictionSettings
        Which activities end objects, and whether initial values count.
    time_zone : str
        Of hours and weekdays.
    context : Context, optional
        From `find_context`, where several types are asked; over all types without it.

    Returns
    -------
    Prefixes

    Raises
    ------
    OcelakeError
        Where the log has no objects of the type.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(2_000, seed=1)
    >>> traces = encode(log.event_objects, log.objects, log.events)
    >>> found = prefix_features(traces, "orders", {}, settings=PredictionSettings())
    >>> found.values.height == found.keys.height == log.event_objects.filter(object_type="orders").height
    True
    >>> found.values["count: place order"].min()
    1.0
    """
    code = traces.object_types.index_of(object_type)
    if code is None:
        raise OcelakeError(
            f"The log has no objects of type {object_type!r} to predict for.",
            fix=f"Use one of its object types: {', '.join(traces.object_types.to_list()) or 'it has none'}.",
        )
    context = context or find_context(traces)
    members = np.flatnonzero(traces.object_type == code)
    steps = slice(int(traces.offsets[members[0]]), int(traces.offsets[members[-1] + 1]))
    part = _Part(traces, steps)
    columns = _Columns()
    _control_flow(columns, part, context)
    _times(columns, part, context)
    _objects(columns, part, context, settings)
    _workload(columns, part, context, settings.ends.get(object_type, ()))
    _calendar(columns, part, time_zone)
    _relations(columns, part, tables)
    _attributes(columns, part, tables, initial=settings.initial_values)
    keys = pl.DataFrame(
        {
            "object_id": traces.object_ids.gather(part.owner),
            "event_id": traces.event_ids.gather(part.event),
            "position": part.position,
            "time": instants(part.time),
        }
    )
    return Prefixes(object_type, keys, pl.DataFrame(columns.series), tuple(columns.columns))


class _Part:
    """The steps of a type's objects: one for each prefix."""

    def __init__(self, traces: Traces, steps: slice) -> None:
        self.traces, self.steps = traces, steps
        self.owner = traces.step_object[steps]
        self.event = traces.step_event[steps]
        self.activity = traces.step_activity[steps]
        self.time = traces.event_time[self.event]
        self.first = traces.offsets[self.owner] - steps.start
        """Where each step's object begins."""
        self.position = np.arange(len(self.owner)) - self.first + 1

    def before(self, back: int) -> tuple[Ranks, npt.NDArray[np.bool_]]:
        """Give the place of the step so far back, and whether the object has one."""
        place = np.arange(len(self.owner)) - back
        return np.maximum(place, 0), place >= self.first

    @property
    def gap(self) -> npt.NDArray[np.float64]:
        """Seconds since the object's event before; NaN at its first."""
        place, there = self.before(1)
        return np.where(there, (self.time - self.time[place]) / _MICROSECONDS, np.nan)


def _control_flow(columns: _Columns, part: _Part, context: Context) -> None:
    names = part.traces.activities
    for back in range(_GRAM):
        place, there = part.before(back)
        found = names.gather(part.activity[place])
        name = "activity" if back == 0 else f"activity_{back}"
        doc = "Activity of the prefix's last event." if back == 0 else f"Activity {back} before the last one."
        columns.category(name, pl.select(pl.when(pl.lit(pl.Series(there))).then(found)).to_series(), doc)
    labels = pl.Series(context.neighbourhood[part.event] >> np.uint64(16))  # 48 bits are plenty, and short to store
    columns.category(
        "neighbourhood",
        labels.cast(pl.String),
        "The last event with what led to it: its activity, and the activities of its predecessors and theirs, by the "
        "type of object between them (a Weisfeiler-Leman label of depth 2, hashed).",
    )
    columns.number("position", part.position, "Events of the object so far.")
    steps = np.arange(len(part.owner))
    for code in np.unique(part.activity):
        here = part.activity == code
        total = np.cumsum(here)
        before = total - here
        columns.number(f"count: {names[int(code)]}", total - before[part.first], "Times of this activity so far.")
        last = np.maximum.accumulate(np.where(here, steps, -1))
        since = np.where(last >= part.first, (part.time - part.time[last]) / _MICROSECONDS, np.nan)
        columns.number(f"{_SINCE}{names[int(code)]}", since, "Seconds since this activity last happened to the object.")


def _times(columns: _Columns, part: _Part, context: Context) -> None:
    elapsed = (part.time - part.time[part.first]) / _MICROSECONDS
    gap = part.gap
    columns.number("elapsed", elapsed, "Seconds since the object's first event.")
    columns.number("since previous", gap, "Seconds since the object's event before; none at its first.")
    with np.errstate(invalid="ignore", divide="ignore"):
        columns.number("mean gap", elapsed / (part.position - 1), "Mean seconds between the object's events so far.")
    columns.number("sojourn", context.sojourn[part.event], "Seconds from the last of the event's predecessors to it.")
    columns.number(
        "synchronization",
        context.synchronization[part.event],
        "Seconds between the first and the last of the event's predecessors.",
    )
    order = np.argsort(part.event, kind="stable")
    columns.number(
        "recent gap",
        rolling_mean(gap, part.activity, order, _RECENT),
        f"Mean seconds that the last {_RECENT} objects took to this activity from their event before.",
    )


def _objects(columns: _Columns, part: _Part, context: Context, settings: PredictionSettings) -> None:
    traces = part.traces
    so_far = context.so_far
    columns.number("execution events", so_far.events[part.event], "Events of the execution so far.")
    age = (part.time - so_far.began[part.event]) / _MICROSECONDS
    columns.number("execution age", age, "Seconds since the execution's first event.")
    kind = traces.object_type[traces.step_object]
    for place, name in enumerate(traces.object_types.filter(pl.Series(context.flowing))):
        found = so_far.objects[place][part.event]
        columns.number(f"execution objects: {name}", found, "Objects of this type in the execution so far.")
    for code, name in enumerate(traces.object_types):
        here = np.bincount(traces.step_event[kind == code], minlength=len(traces.event_ids))
        columns.number(f"objects: {name}", here[part.event], "Objects of this type at the last event.")
        if not context.flowing[code]:
            continue
        owner, other, rank = _meetings(part, code)
        met = counted_by(owner, rank, part.owner, part.event)
        columns.number(f"met: {name}", met, "Other objects of this type that it has shared an event with so far.")
        if ends := settings.ends.get(name):
            ended = np.maximum(_ended(traces, code, ends)[other], rank)
            over = ended < len(traces.event_ids)
            gone = counted_by(owner[over], ended[over], part.owner, part.event)
            columns.number(f"open: {name}", met - gone, "Those of them that are not over.")


def _meetings(part: _Part, code: int) -> tuple[Ranks, Ranks, Ranks]:
    """Give each object's others of a type that share an event with it, and the rank of the first such event."""
    traces = part.traces
    of_type = np.flatnonzero(traces.object_type[traces.step_object] == code)
    by_event = of_type[np.argsort(traces.step_event[of_type], kind="stable")]
    event = traces.step_event[by_event]
    low, high = (np.searchsorted(event, part.event, side=side) for side in ("left", "right"))
    sizes = high - low
    other = traces.step_object[by_event[ragged(low, sizes)]].astype(np.int64)
    owner = np.repeat(part.owner, sizes).astype(np.int64)
    rank = np.repeat(part.event, sizes).astype(np.int64)
    apart = owner != other
    keys = pl.DataFrame({"owner": owner[apart], "other": other[apart], "rank": rank[apart]})
    first = keys.group_by("owner", "other").agg(pl.col("rank").min())
    return first["owner"].to_numpy(), first["other"].to_numpy(), first["rank"].to_numpy()


def _ended(traces: Traces, code: int, ends: Collection[str]) -> Ranks:
    """Give the rank of each object's first event that ends it; the number of events where none does."""
    final = traces.activities.is_in(list(ends)).to_numpy()
    found = np.full(len(traces.object_ids), len(traces.event_ids), dtype=np.int64)
    at = np.flatnonzero(final[traces.step_activity] & (traces.object_type[traces.step_object] == code))[::-1]
    found[traces.step_object[at]] = traces.step_event[at]
    return found


def _workload(columns: _Columns, part: _Part, context: Context, ends: Collection[str]) -> None:
    traces = part.traces
    for name, counts in context.within.items():
        columns.number(f"events in a {name}", counts[part.event], f"Events of the whole log in the {name} up to it.")
    busy = active(traces, part.steps, _WINDOWS["week"])
    columns.number("active in a week", busy[part.event], "Objects of its type with an event in the week up to it.")
    same = np.zeros(len(traces.event_ids), dtype=np.int64)
    for code in np.unique(traces.event_activity):
        events = np.flatnonzero(traces.event_activity == code)
        time = traces.event_time[events]
        same[events] = np.arange(len(events)) - np.searchsorted(time, time - _WINDOWS["day"], side="right") + 1
    columns.number("same activity in a day", same[part.event], "Events of its activity in the day up to it.")
    if ends:
        begun = np.bincount(part.event[part.position == 1], minlength=len(traces.event_ids)).cumsum()
        (code,) = set(traces.object_type[part.owner].tolist()) or {0}
        ended = _ended(traces, code, ends)
        over = np.bincount(ended[ended < len(traces.event_ids)], minlength=len(traces.event_ids)).cumsum()
        columns.number("in progress", (begun - over)[part.event], "Objects of its type that have begun and not ended.")


def _calendar(columns: _Columns, part: _Part, time_zone: str) -> None:
    local = instants(part.time).dt.convert_time_zone(time_zone)
    columns.number("hour", local.dt.hour().cast(pl.Float32) + local.dt.minute() / 60, f"Hour of the day ({time_zone}).")
    columns.number("weekday", local.dt.weekday(), f"Day of the week, 1 for Monday ({time_zone}).")
    columns.number("month day", local.dt.day(), f"Day of the month ({time_zone}).")


def _relations(columns: _Columns, part: _Part, tables: Mapping[str, pl.DataFrame]) -> None:
    relations = tables.get("ocel.object_objects")
    if relations is None or relations.is_empty():
        return
    traces = part.traces
    numbered = pl.DataFrame({"object_id": traces.object_ids}).with_row_index("code")
    ends = [
        relations.select(pl.col(name).alias("object_id"))
        .join(numbered, on="object_id", how="left", maintain_order="left")["code"]
        .cast(pl.Int64)
        for name in ("source_id", "target_id")
    ]
    pairs = pl.DataFrame(ends, schema=["source", "target"]).drop_nulls()
    both = pl.concat([pairs, pairs.select(source="target", target="source")]).unique()
    source, target = both["source"].to_numpy(), both["target"].to_numpy()
    first = np.full(len(traces.object_ids), len(traces.event_ids), dtype=np.int64)
    having = np.flatnonzero(traces.lengths)
    first[having] = traces.step_event[traces.offsets[having]]
    known = np.maximum(first[source], first[target])
    own = np.isin(source, part.owner) & (known < len(traces.event_ids)) & (source != target)
    source, target, known = source[own], target[own], known[own]
    for code in np.unique(traces.object_type[target]):
        of_type = traces.object_type[target] == code
        found = counted_by(source[of_type], known[of_type], part.owner, part.event)
        name = f"related: {traces.object_types[int(code)]}"
        columns.number(name, found, "Objects of this type that it is related to, once both have had an event.")


def _attributes(columns: _Columns, part: _Part, tables: Mapping[str, pl.DataFrame], *, initial: bool) -> None:
    traces = part.traces
    event_ids = traces.event_ids.gather(part.event)
    of_events = tables.get("ocel.event_attributes")
    if of_events is not None:
        # One value of a name; of a list the first.
        values = of_events.filter(pl.col("ordinal") == 0).select("event_id", "name", "value", "value_type")
        values = values.filter(pl.col("event_id").is_in(event_ids.unique().implode()))
        asked = pl.DataFrame({"event_id": event_ids})
        for (name,), rows in values.partition_by("name", as_dict=True).items():
            found = asked.join(rows.drop("name"), on="event_id", how="left", maintain_order="left")
            _value(columns, f"event: {name}", found, "of the last event")
    of_objects = tables.get("ocel.object_attributes")
    if of_objects is None:
        return
    own = traces.object_ids.gather(np.unique(part.owner))
    values = of_objects.filter(pl.col("object_id").is_in(own.implode()) & (pl.col("ordinal") == 0))
    if not initial:
        values = values.filter(~pl.col("initial"))
    steps = pl.DataFrame(
        {
            "event_id": event_ids,
            "object_id": traces.object_ids.gather(part.owner),
            "time": instants(part.time),
            # Events are numbered by their order, so that this alone tells which of one time comes first.
            "sequence": part.event.astype(np.int64),
        }
    )
    for (name,), rows in values.partition_by("name", as_dict=True).items():
        found = values_as_of_events(steps, rows.with_columns(value=pl.col("value_type") + ":" + pl.col("value")))
        known = steps.join(found, on=["event_id", "object_id"], how="left", maintain_order="left")
        parts = known["value"].str.splitn(":", 2).struct.rename_fields(["value_type", "value"]).struct.unnest()
        _value(columns, f"own: {name}", parts, "of the object as of the last event")


_NUMERIC: Final = ("integer", "float", "boolean")
_TEXT: Final = " (text)"
_NUMBER: Final = " (number)"


def _value(columns: _Columns, name: str, found: pl.DataFrame, place: str) -> None:
    """Add an attribute: its numbers as a number, its texts as a category; both where it has both.

    What later values are must not change what earlier ones count as, nor what other attributes are called what this one
    is: so texts have a mark of their own after the name, and numbers have one where the name ends with a mark itself.
    """
    numeric, textual = pl.col("value_type").is_in(_NUMERIC), pl.col("value_type") == "string"
    truth = pl.col("value").replace({"true": "1", "false": "0"})
    number = found.select(pl.when(numeric).then(truth).cast(pl.Float32, strict=False)).to_series()
    if number.null_count() < len(number):
        marked = name.endswith((_TEXT, _NUMBER))
        columns.number(f"{name}{_NUMBER}" if marked else name, number, f"Value {place}.")
    text = found.select(pl.when(textual).then("value")).to_series()
    if text.null_count() < len(text):
        columns.category(f"{name}{_TEXT}", text, f"Text {place}.")
