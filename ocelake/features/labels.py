"""Labels of prefixes: what came after, and when that became known.

A label that is not known is null. What had come to be true by the prefix's last event is known as of then: a fact, and
no question any more. An object is over where one of the activities that end its type was its last; where no ends are
declared, once nothing has happened to it for its type's patience: longer than after 99% of its events. Only then its
remaining time is known, and what it never came to. Whatever depends on that became known when the object was over, not
at its last event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.features.settings import ANY_END, OutcomeSettings, PredictionSettings
from ocelake.mining.executions import connected_executions
from ocelake.mining.times import instants
from ocelake.mining.traces import Traces

__all__ = ["END", "Ended", "Kind", "ended_objects", "label_prefixes", "tasks_of"]

Kind: TypeAlias = Literal["activity", "duration", "outcome"]
"""What a label is: one of several activities, seconds, or a truth."""

END: Final = "(end)"
"""As the next activity: nothing comes any more."""

_PATIENT: Final = 0.99
_MICROSECONDS: Final = 1e6

Instants = npt.NDArray[np.int64]
Violations: TypeAlias = Mapping[str, Mapping[str, int | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    """Which objects of a type are over, and when that became known.

    Attributes
    ----------
    over : bool array, one per step of the type's objects
        Whether the step's object is over.
    known : int64 array, one per step
        When that became known, in microseconds.
    last : int64 array, one per step
        The time of the object's last event.
    declared : bool
        Whether some activities are declared to end objects, so that one that is not over goes on for certain.
    """

    over: npt.NDArray[np.bool_]
    known: Instants
    last: Instants
    declared: bool = False


def tasks_of(object_type: str, settings: PredictionSettings) -> tuple[tuple[str, Kind], ...]:
    """Give the tasks of an object type: name and kind.

    Examples
    --------
    >>> tasks_of("orders", PredictionSettings(targets={"orders": "5d"}))
    (('next_activity', 'activity'), ('remaining_time', 'duration'), ('delay', 'outcome'))
    """
    delay: tuple[tuple[str, Kind], ...] = (("delay", "outcome"),) if settings.target(object_type) is not None else ()
    named: tuple[tuple[str, Kind], ...] = tuple(
        (f"outcome_{outcome.name}", "outcome") for outcome in settings.outcomes if outcome.object_type == object_type
    )
    return (("next_activity", "activity"), ("remaining_time", "duration"), *delay, *named)


def ended_objects(traces: Traces, object_type: str, settings: PredictionSettings) -> Ended:
    """Tell which objects of a type are over, as of the log's last event."""
    steps, last_step = _steps(traces, object_type)
    last = traces.event_time[traces.step_event[last_step]]
    ends = settings.ends.get(object_type, ())
    if ANY_END in ends:
        return Ended(np.ones(len(last), dtype=bool), last, last)
    if ends:
        final = traces.activities.is_in(list(ends)).to_numpy()
        return Ended(final[traces.step_activity[last_step]], last, last, declared=True)
    time = traces.event_time[traces.step_event[steps]]
    same = traces.step_object[steps][1:] == traces.step_object[steps][:-1]
    gaps = np.diff(time)[same]
    patience = int(np.quantile(gaps, _PATIENT)) if len(gaps) else 0
    return Ended(last + patience < traces.event_time.max(initial=0), last + patience, last)


def label_prefixes(
    traces: Traces,
    object_type: str,
    *,
    settings: PredictionSettings,
    execution_types: tuple[str, ...] = (),
    object_attributes: pl.DataFrame | None = None,
    violations: Violations | None = None,
) -> pl.DataFrame:
    """Label every prefix of the objects of a type, for every task.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    object_type : str
        The objects in question.
    settings : PredictionSettings
    execution_types : tuple of str, optional
        The types that executions are made of; all without it.
    object_attributes : DataFrame, optional
        Rows of `ocel.object_attributes`, for outcomes by attribute.
    violations : mapping of str to mapping, optional
        By rule, the objects that violate it, with the time from which on that was settled, in microseconds since 1970;
        None: when the object was over.

    Returns
    -------
    DataFrame
        A row for each prefix, in their order: object_id, group (the object's execution), position, time, over (whether
        the object is), and for each of `tasks_of` two columns: its name (the label: text, seconds or a truth), and
        ``known: `` and its name (when it became known).
    """
    steps, last_step = _steps(traces, object_type)
    owner, event = traces.step_object[steps].astype(np.int64), traces.step_event[steps]
    time = traces.event_time[event]
    ended = ended_objects(traces, object_type, settings)
    first = time[traces.offsets[owner] - steps.start]
    frame = {
        "object_id": traces.object_ids.gather(owner),
        "group": _executions(traces, execution_types).gather(owner),
        "position": pl.Series(np.arange(steps.start, steps.stop) - traces.offsets[owner] + 1),
        "time": instants(time),
        "over": pl.Series(ended.over),
    }
    is_last = np.arange(steps.start, steps.stop) == last_step
    following = np.minimum(np.arange(steps.start, steps.stop) + 1, len(traces.step_event) - 1)
    next_name = traces.activities.gather(traces.step_activity[following])
    labels: dict[str, tuple[pl.Series, Instants]] = {}
    whole = pl.DataFrame({"next": next_name, "last": is_last, "over": ended.over}).select(
        pl.when(~pl.col("last")).then("next").when("over").then(pl.lit(END))
    )
    after = np.where(is_last, ended.known, traces.event_time[traces.step_event[following]])
    labels["next_activity"] = whole.to_series(), after
    remaining = np.where(ended.over, (ended.last - time) / _MICROSECONDS, np.nan)
    labels["remaining_time"] = pl.Series(remaining, nan_to_null=True), ended.known
    if (target := settings.target(object_type)) is not None:
        allowed = int(target.total_seconds() * _MICROSECONDS)
        labels["delay"] = _delay(first, time, owner, ended, allowed, int(traces.event_time.max(initial=0)))
    for outcome in settings.outcomes:
        if outcome.object_type == object_type:
            decided = _decided(traces, outcome, object_attributes, violations or {})
            labels[f"outcome_{outcome.name}"] = _outcome(decided[owner], ended)
    for name, (label, known) in labels.items():
        frame[name] = label
        frame[f"known: {name}"] = instants(known).zip_with(label.is_not_null(), pl.Series([None], dtype=pl.Null))
    return pl.DataFrame(frame)


def _steps(traces: Traces, object_type: str) -> tuple[slice, npt.NDArray[np.int64]]:
    """Give the steps of a type's objects, and for each the last step of its object."""
    members = np.flatnonzero(traces.object_type == traces.object_types.index_of(object_type))
    steps = slice(int(traces.offsets[members[0]]), int(traces.offsets[members[-1] + 1]))
    return steps, traces.offsets[traces.step_object[steps] + 1] - 1


def _executions(traces: Traces, execution_types: tuple[str, ...]) -> pl.Series:
    """Give each object's execution; an object of another type is its own."""
    part = traces.of_types(execution_types) if execution_types else traces
    executions = connected_executions(part)
    of_object = np.repeat(np.arange(len(executions.ids)), np.diff(executions.object_offsets))
    names = pl.DataFrame(
        {"object_id": part.object_ids.gather(executions.objects), "group": executions.ids.gather(of_object)}
    )
    asked = pl.DataFrame({"object_id": traces.object_ids})
    found = asked.join(names, on="object_id", how="left", maintain_order="left")
    return found.select(pl.coalesce("group", "object_id")).to_series()


def _delay(
    first: Instants, time: Instants, owner: Instants, ended: Ended, allowed: int, now: int
) -> tuple[pl.Series, Instants]:
    """Say whether an object takes longer than it may, and when that was known.

    It is late where an event comes after the due time, and known to be with the first of them. Where an object is over
    only after declared activities, one that is not is known to be late at the due time.
    """
    due = first + allowed
    late = ended.last > due
    after = np.flatnonzero(time > due)[::-1]
    when = np.full(int(owner.max(initial=0)) + 1, _NEVER, dtype=np.int64)
    when[owner[after]] = time[after]  # the first one is written last
    known = when[owner]
    if ended.declared:
        late |= ~ended.over & (now > due)
        known = np.where(late, due, known)
    truth = pl.Series(late).zip_with(pl.Series(late | ended.over), pl.Series([None], dtype=pl.Boolean))
    return truth, np.where(late, known, ended.known)


_NEVER: Final = np.iinfo(np.int64).max


def _decided(
    traces: Traces,
    outcome: OutcomeSettings,
    attributes: pl.DataFrame | None,
    violations: Violations,
) -> Instants:
    """Give when the outcome became true of each object; -1 where it is true, but known at its end only."""
    decided = np.full(len(traces.object_ids), _NEVER, dtype=np.int64)
    if outcome.activity is not None:
        code = traces.activities.index_of(outcome.activity)
        at = np.flatnonzero(traces.step_activity == (-1 if code is None else code))[::-1]
        decided[traces.step_object[at]] = traces.event_time[traces.step_event[at]]
        return decided
    if outcome.rule is not None:
        violated = violations.get(outcome.rule, {})
        settled = {thing: -1 if at is None else at for thing, at in violated.items()}
        return traces.object_ids.replace_strict(settled, default=_NEVER, return_dtype=pl.Int64).to_numpy()
    if attributes is None:
        return decided
    rows = attributes.filter(pl.col("name") == outcome.attribute)
    met = pl.col("value") == outcome.equals if outcome.above is None else pl.col("value_float") > outcome.above
    # An initial value is known from the start: then there is nothing to predict.
    when = rows.filter(met).select(
        "object_id", at=pl.when("initial").then(pl.lit(0)).otherwise(pl.col("time").dt.timestamp())
    )
    asked = pl.DataFrame({"object_id": traces.object_ids})
    found = asked.join(
        when.group_by("object_id").agg(pl.col("at").min()), on="object_id", how="left", maintain_order="left"
    )["at"]
    return found.fill_null(_NEVER).to_numpy()


def _outcome(decided: Instants, ended: Ended) -> tuple[pl.Series, Instants]:
    """Say whether the outcome comes to be true, and when that was known."""
    true, at_end = decided != _NEVER, decided == -1
    known = np.where(at_end, ended.over, true | ended.over)
    truth = pl.Series(true).zip_with(pl.Series(known), pl.Series([None], dtype=pl.Boolean))
    return truth, np.where(true & ~at_end, decided, ended.known)
