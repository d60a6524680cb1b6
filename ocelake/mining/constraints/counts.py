"""Counting the objects of events, and the events and related objects of objects; and looking at their attributes."""

from __future__ import annotations

import numpy as np
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.constraints.language import (
    EventObjects,
    EventValues,
    ObjectEnds,
    ObjectEvents,
    ObjectObjects,
    ObjectSelection,
    ObjectValues,
)
from ocelake.mining.constraints.outcome import Members, Outcome, describe_counts, distinct_members, out_of
from ocelake.mining.constraints.selection import (
    Flags,
    Log,
    Places,
    event_fits,
    object_links,
    ragged,
    select_events,
    select_objects,
    steps_of,
    type_range,
)

__all__ = [
    "check_event_objects",
    "check_event_values",
    "check_object_ends",
    "check_object_events",
    "check_object_objects",
    "check_object_values",
]

_NONE = Members(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


def check_event_objects(log: Log, rule: EventObjects) -> Outcome:
    """Count the distinct objects of a type that each event has.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "pay", "object_type": "order", "sequence": 0}
    >>> log = Log(encode(pl.DataFrame([row | {"time": datetime(2024, 1, 1)}])), {})
    >>> check_event_objects(log, EventObjects(name="two", when="pay", objects="order", count=2)).details.to_list()
    ['1 found, at least 2 asked for']
    """
    candidates = np.flatnonzero(select_events(log, rule.when))
    objects, events = steps_of(log, rule.objects.type)
    number = np.full(len(log.traces.event_ids), -1, dtype=np.int32)
    number[candidates] = np.arange(len(candidates), dtype=np.int32)
    step: Places = np.flatnonzero(number[events] >= 0)
    step = step[select_objects(log, rule.objects, objects[step], events[step])]
    if rule.qualifier is not None:
        step = step[_in_role(log, rule, objects[step], events[step])]
    found = np.bincount(number[events[step]], minlength=len(candidates))
    wrong = np.flatnonzero(out_of(rule.count, found))
    return Outcome(
        candidates=len(candidates),
        pending=0,
        details=describe_counts(rule.count, found[wrong]),
        events=Members(np.arange(len(wrong)), candidates[wrong]),
        objects=_members_of(wrong, number[events[step]], objects[step]),
    )


def check_object_events(log: Log, rule: ObjectEvents) -> Outcome:
    """Count the events that each object has.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "pay", "object_type": "order", "sequence": 0}
    >>> log = Log(encode(pl.DataFrame([row | {"time": datetime(2024, 1, 1)}])), {})
    >>> twice = ObjectEvents(name="twice", for_each="order", events="pay", count=2)
    >>> check_object_events(log, twice).candidates
    1
    """
    candidates = _candidates(log, rule.for_each)
    objects, events = steps_of(log, rule.for_each.type)
    step: Places = np.flatnonzero(select_events(log, rule.events)[events])
    found, number, step = _count_by(candidates, objects, step)
    wrong = np.flatnonzero(out_of(rule.count, found))
    return Outcome(
        candidates=len(candidates),
        pending=0,
        details=describe_counts(rule.count, found[wrong]),
        events=_members_of(wrong, number, events[step]),
        objects=Members(np.arange(len(wrong)), candidates[wrong]),
    )


def check_object_objects(log: Log, rule: ObjectObjects) -> Outcome:
    """Count the distinct objects that each object is related to, by events or by O2O relations.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "pay", "object_type": "order", "sequence": 0}
    >>> log = Log(encode(pl.DataFrame([row | {"time": datetime(2024, 1, 1)}])), {})
    >>> rule = ObjectObjects(name="alone", for_each="order", objects="order", sharing="pay", count=0)
    >>> check_object_objects(log, rule).details.to_list()
    []
    """
    candidates = _candidates(log, rule.for_each)
    if rule.sharing is None:
        one, other = object_links(log, rule.o2o)
        one, other = np.concatenate([one, other]), np.concatenate([other, one])
        event = None
    else:
        one, other, event = _meetings(log, rule)
    first, last = type_range(log, rule.objects.type)
    related: Places = np.flatnonzero((other >= first) & (other < last) & (one != other))
    if rule.objects.where:
        members = np.arange(first, last, dtype=np.int32)
        related = related[select_objects(log, rule.objects, members)[other[related] - first]]
    _, number, related = _count_by(candidates, one, related)
    partners = distinct_members(number, other[related])
    found = np.bincount(partners.violation, minlength=len(candidates))
    wrong = np.flatnonzero(out_of(rule.count, found))
    own = Members(np.arange(len(wrong)), candidates[wrong])
    return Outcome(
        candidates=len(candidates),
        pending=0,
        details=describe_counts(rule.count, found[wrong]),
        events=_NONE if event is None else _members_of(wrong, number, event[related]),
        objects=own.then(_members_of(wrong, partners.violation, partners.code)),
    )


def check_object_ends(log: Log, rule: ObjectEnds) -> Outcome:
    """Look at the first and last event of each object that has events.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "pay", "object_type": "order", "sequence": 0}
    >>> log = Log(encode(pl.DataFrame([row | {"time": datetime(2024, 1, 1)}])), {})
    >>> check_object_ends(log, ObjectEnds(name="ends", for_each="order", ends_with="pay")).details.to_list()
    []
    """
    traces = log.traces
    candidates = _candidates(log, rule.for_each)
    candidates = candidates[traces.lengths[candidates] > 0]
    wrong = np.zeros(len(candidates), dtype=bool)
    said: list[pl.Series] = []
    seen: list[tuple[Places, Places]] = []
    for verb, selection, place in (
        ("starts", rule.starts_with, traces.offsets[candidates]),
        ("ends", rule.ends_with, traces.offsets[candidates + 1] - 1),
    ):
        if selection is None:
            continue
        event = traces.step_event[place]
        other = ~select_events(log, selection)[event]
        wrong |= other
        texts = pl.Series([f"{verb} with {name!r}" for name in traces.activities], dtype=pl.String)
        said.append(texts.gather(traces.event_activity[event]).set(pl.Series(~other), None))
        seen.append((np.flatnonzero(other), event[other]))
    violators = np.flatnonzero(wrong)
    number, event = (np.concatenate(part) for part in zip(*seen, strict=True))
    details = pl.DataFrame(said).select(pl.concat_str(pl.all(), separator=", ", ignore_nulls=True)).to_series()
    return Outcome(
        candidates=len(candidates),
        pending=0,
        details=details.gather(violators),
        events=_members_of(violators, number, event),
        objects=Members(np.arange(len(violators)), candidates[violators]),
    )


def check_event_values(log: Log, rule: EventValues) -> Outcome:
    """Look at the attributes of each event.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "pay", "object_type": "order", "sequence": 0}
    >>> log = Log(encode(pl.DataFrame([row | {"time": datetime(2024, 1, 1)}])), {})
    >>> values = {"event_id": "e", "name": "amount", "ordinal": 0, "value": "5.0", "value_type": "float"}
    >>> values |= {"value_float": 5.0, "value_time": None}
    >>> log = Log(log.traces, {"ocel.event_attributes": pl.DataFrame([values])})
    >>> check_event_values(log, EventValues(name="v", when="pay", holds={"amount": {"above": 9}})).details[0]
    'amount is not as said'
    """
    candidates = np.flatnonzero(select_events(log, rule.when))
    fits = {name: event_fits(log, candidates, name, condition) for name, condition in rule.holds.items()}
    wrong, details = _unlike(fits)
    return Outcome(len(candidates), 0, details, Members(np.arange(len(wrong)), candidates[wrong]), _NONE)


def check_object_values(log: Log, rule: ObjectValues) -> Outcome:
    """Look at the attributes of each object, as they are at the end.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "pay", "object_type": "order", "sequence": 0}
    >>> log = Log(encode(pl.DataFrame([row | {"time": datetime(2024, 1, 1)}])), {})
    >>> values = {"object_id": "o", "name": "price", "time": None, "initial": True, "ordinal": 0, "value": "5.0"}
    >>> values |= {"value_type": "float", "value_float": 5.0, "value_time": None}
    >>> log = Log(log.traces, {"ocel.object_attributes": pl.DataFrame([values])})
    >>> rule = ObjectValues(name="v", for_each="order", holds={"price": {"known": True}})
    >>> check_object_values(log, rule).details.to_list()
    []
    """
    candidates = _candidates(log, rule.for_each)
    fits = {}
    for name, condition in rule.holds.items():
        part = ObjectSelection(type=rule.for_each.type, where={name: condition})
        fits[name] = select_objects(log, part, candidates)
    wrong, details = _unlike(fits)
    return Outcome(len(candidates), 0, details, _NONE, Members(np.arange(len(wrong)), candidates[wrong]))


def _candidates(log: Log, selection: ObjectSelection) -> Places:
    """Give the objects that a rule is about, ascending."""
    objects = np.arange(*type_range(log, selection.type), dtype=np.int32)
    return objects[select_objects(log, selection, objects)]


def _count_by(candidates: Places, objects: Places, rows: Places) -> tuple[Places, Places, Places]:
    """Keep the rows whose object is a candidate: rows per candidate, and for each row kept its candidate and itself."""
    place = np.searchsorted(candidates, objects[rows])
    known = place < len(candidates)
    known[known] = candidates[place[known]] == objects[rows][known]
    return np.bincount(place[known], minlength=len(candidates)), place[known], rows[known]


def _meetings(log: Log, rule: ObjectObjects) -> tuple[Places, Places, Places]:
    """Give (object, object, event) where objects of two types share an event."""
    assert rule.sharing is not None
    selected = select_events(log, rule.sharing)
    one, event = steps_of(log, rule.for_each.type)
    kept = selected[event]
    one, event = one[kept], event[kept]
    other, other_event = steps_of(log, rule.objects.type)
    kept = selected[other_event]
    order = np.argsort(other_event[kept], kind="stable")
    other, other_event = other[kept][order], other_event[kept][order]
    start = np.searchsorted(other_event, event, side="left")
    row, place = ragged(start, np.searchsorted(other_event, event, side="right") - start)
    return one[row], other[place], event[row]


def _in_role(log: Log, rule: EventObjects, objects: Places, events: Places) -> Flags:
    """Tell which (event, object) pairs have the qualifier."""
    relations = log.tables["ocel.event_objects"].filter(
        pl.col("qualifier") == rule.qualifier,
        pl.col("activity").is_in(rule.when.activity),
        pl.col("object_type") == rule.objects.type,
    )
    if relations.is_empty() and len(objects):
        raise OcelakeError(f"No object of the type {rule.objects.type!r} has the qualifier {rule.qualifier!r} there.")
    pairs = pl.DataFrame(
        {"event_id": log.traces.event_ids.gather(events), "object_id": log.traces.object_ids.gather(objects)}
    ).with_row_index("place")
    found = pairs.join(relations, on=["event_id", "object_id"], how="semi")["place"].to_numpy()
    flags = np.zeros(len(objects), dtype=bool)
    flags[found] = True
    return flags


def _members_of(wrong: Places, number: Places, code: Places) -> Members:
    """Give the members of those candidates that are wrong, from (candidate, member) pairs."""
    violation = np.searchsorted(wrong, number)
    known = violation < len(wrong)
    known[known] = wrong[violation[known]] == number[known]
    return distinct_members(violation[known], code[known])


def _unlike(fits: dict[str, Flags]) -> tuple[Places, pl.Series]:
    """Give which candidates have an attribute that is not as said, and which attributes those are."""
    wrong = np.flatnonzero(~np.all(list(fits.values()), axis=0))
    names = (
        pl.DataFrame(fits).gather(wrong).select(pl.when(~pl.col(name)).then(pl.lit(name)).alias(name) for name in fits)
    )
    return wrong, names.select(
        pl.format("{} is not as said", pl.concat_str(pl.all(), separator=", ", ignore_nulls=True))
    ).to_series()
