"""Events followed, preceded or accompanied by others: the arcs of OC-DECLARE as one kernel on the coded steps.

A *situation* is an event and one choice of the objects of its ``each`` types. Its targets lie in a window of event
ranks, and have certain objects. The steps of one object are sorted by event, so that a window is a range of places in
them, a *lane*; a situation's lane is that of its object with the fewest steps in the window. Where nothing else is
asked of a target, the length of the range is the answer. Else the events in it are looked at, nearest first, in blocks
that grow, until the answer is known.

References
----------
Küsters, van der Aalst: OC-DECLARE: Discovering Object-Centric Declarative Patterns with Synchronization (BPM 2025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

import numpy as np
import polars as pl

from ocelake.mining.constraints.language import EventEvents, Linked
from ocelake.mining.constraints.outcome import Members, Outcome, describe_counts, distinct, distinct_members, out_of
from ocelake.mining.constraints.selection import (
    Flags,
    Log,
    Places,
    object_links,
    ragged,
    select_events,
    steps_of,
    trace_keys,
    type_range,
)

__all__ = ["check_event_events"]

_EVENT: Final = 0xFFFFFFFF
"""The part of a key (`trace_keys`) that is the event."""

_BLOCK: Final = 4_000_000
"""Pairs of situation and event that are looked at together: bounds the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class _Grouped:
    """Objects by owner: those of ``o`` are ``objects[starts[o]:starts[o] + lengths[o]]``, ascending."""

    starts: Places
    lengths: Places
    objects: Places

    def of(self, owners: Places) -> _Grouped:
        """Give the groups of other owners, by the number of the owner that each has here."""
        return _Grouped(self.starts[owners], self.lengths[owners], self.objects)

    def flat(self) -> tuple[Places, Places]:
        """Give (owner, object) pairs."""
        owner, place = ragged(self.starts, self.lengths)
        return owner, self.objects[place]


@dataclass(frozen=True, slots=True, eq=False)
class _Situations:
    """An event and one choice of its ``each`` objects, one row each.

    Attributes
    ----------
    source : int64 array
        Number of the event among the sources; never falls.
    chosen : list of int32 array
        By ``each`` type, the object.
    together : list of _Grouped
        By ``all`` type, the objects.
    either : list of _Grouped
        By ``any`` type, the objects.
    everything : int
        Code of an object that all events are as if they had: what is shared where nothing has to be.
    """

    source: Places
    chosen: list[Places]
    together: list[_Grouped]
    either: list[_Grouped]
    everything: int

    @property
    def unlinked(self) -> Flags:
        """Where the event has no object of an ``any`` type: it has no targets."""
        empty = np.zeros(len(self.source), dtype=bool)
        for group in self.either:
            empty |= group.lengths == 0
        return empty

    def required(self) -> _Grouped:
        """Give the objects that a target has to have, one and all."""
        # Any of one object is that object.
        single = [_Grouped(g.starts, np.where(g.lengths == 1, 1, 0), g.objects) for g in self.either]
        pairs = [group.flat() for group in (*self.together, *single)]
        pairs += [(np.arange(len(self.source)), objects) for objects in self.chosen]
        free = np.full(len(self.source), not self.chosen)
        for group in (*self.together, *self.either):
            free &= group.lengths == 0
        pairs.append((np.flatnonzero(free), np.full(free.sum(), self.everything)))
        return _group(np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs]), len(self.source))

    def choices(self) -> list[_Grouped]:
        """Give the objects of which a target has to have one."""
        return [_Grouped(g.starts, np.where(g.lengths > 1, g.lengths, 0), g.objects) for g in self.either]


@dataclass(frozen=True, slots=True, eq=False)
class _Test:
    """Objects by lane, and how many of them a target has to have."""

    objects: _Grouped
    asked: Literal["all", "any", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class _Lanes:
    """Ranges of steps in which to look for targets.

    Attributes
    ----------
    situation : int64 array
    first, last : int64 array
        Half-open ranges of places in the keys.
    tests : list of _Test
        What else a target has to fulfil.
    """

    situation: Places
    first: Places
    last: Places
    tests: list[_Test]

    @property
    def tested(self) -> Flags:
        """Which lanes have tests."""
        asked = np.zeros(len(self.situation), dtype=bool)
        for test in self.tests:
            asked |= test.objects.lengths > 0
        return asked

    def part(self, lanes: Places) -> _Lanes:
        """Give some of the lanes."""
        tests = [_Test(test.objects.of(lanes), test.asked) for test in self.tests]
        return _Lanes(self.situation[lanes], self.first[lanes], self.last[lanes], tests)


def check_event_events(log: Log, rule: EventEvents) -> Outcome:
    """Check a rule of events and other events.

    A candidate is an event that ``when`` selects. It violates the rule where one of its situations does; without an
    object of an ``each`` type it has none. Without one of an ``all`` type nothing of the type is to be shared; without
    one of an ``any`` type there are no targets.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"object_id": "o", "object_type": "orders", "sequence": 0}
    >>> placed = row | {"event_id": "e1", "activity": "place", "time": datetime(2024, 1, 1)}
    >>> paid = row | {"event_id": "e2", "activity": "pay", "time": datetime(2024, 1, 3)}
    >>> log = Log(encode(pl.DataFrame([placed, paid])), {})
    >>> in_time = EventEvents(name="in_time", when="place", then="pay", each="orders", within="1 d")
    >>> check_event_events(log, in_time).details.to_list()
    ['0 found, at least 1 asked for']
    """
    sources = np.flatnonzero(select_events(log, rule.when))
    situations = _situations(log, rule, sources)
    look = _look_next if rule.order.startswith("directly") else _look_all
    seen = look(log, rule, sources, situations)

    wrong = out_of(rule.count, seen.found)
    waiting = wrong & seen.open & (seen.found < rule.count.at_least) & ~situations.unlinked
    waiting &= _has_time(log, rule, sources)[situations.source]
    violated = np.flatnonzero(wrong & ~waiting)
    violators, first, number = np.unique(situations.source[violated], return_index=True, return_inverse=True)
    witness, event = seen.witnesses(violated)
    return Outcome(
        candidates=len(sources),
        pending=len(np.setdiff1d(situations.source[waiting], violators)),
        details=_summarise(
            seen.details(violated[first]),
            np.bincount(number, minlength=len(violators)),
            np.bincount(situations.source, minlength=len(sources))[violators],
        ),
        events=Members(np.arange(len(violators)), sources[violators]).then(
            distinct_members(np.searchsorted(violators, situations.source[witness]), event)
        ),
        objects=_involved_objects(situations, violated, number),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What was found of each situation.

    Attributes
    ----------
    found : int64 array
        Targets; counting ends where there are more than allowed.
    open : bool array
        Whether a later event can still be a target.
    details : function of situations
        What is wrong with each.
    witnesses : function of situations
        Pairs of (situation, event) that show it.
    """

    found: Places
    open: Flags
    details: Callable[[Places], pl.Series]
    witnesses: Callable[[Places], tuple[Places, Places]]


def _look_all(log: Log, rule: EventEvents, sources: Places, situations: _Situations) -> _Seen:
    """Count the targets in a window."""
    keys = _keys(log, rule, select_events(log, rule.then))
    most = rule.count.at_most
    enough = rule.count.at_least if most is None else most + 1
    windows = _windows(log, rule, sources)
    all_lanes = [lanes for window in windows for lanes in _lanes(situations, keys, *window, distinct=enough > 1)]
    backwards = rule.order == "before"
    found = np.zeros(len(situations.source), dtype=np.int64)
    for lanes in all_lanes:
        found += _count(lanes, keys, len(found), enough, backwards=backwards)

    def witnesses(violated: Places) -> tuple[Places, Places]:
        """Give one target more than are allowed."""
        many = np.zeros(len(found), dtype=bool)
        many[violated] = found[violated] > np.inf if most is None else found[violated] > most
        parts: list[tuple[Places, Places]] = [(sources[:0], sources[:0])]
        for lanes in all_lanes:
            part = lanes.part(np.flatnonzero(many[lanes.situation]))
            lane, event = _search(part, keys, part.situation, enough, backwards=backwards)
            parts.append((part.situation[lane], event))
        situation, event = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.lexsort((-event if backwards else event, situation))
        turn = np.arange(len(order)) - np.searchsorted(situation[order], situation[order])
        kept = order[turn < enough]
        return situation[kept], event[kept]

    return _Seen(
        found=found,
        open=np.full(len(found), rule.order != "before"),
        details=lambda violated: describe_counts(rule.count, np.minimum(found[violated], enough), counted_on=False),
        witnesses=witnesses,
    )


def _look_next(log: Log, rule: EventEvents, sources: Places, situations: _Situations) -> _Seen:
    """Find the next event with the objects, and tell whether it is a target in the window."""
    targets = select_events(log, rule.then)
    keys = _keys(log, rule, np.ones_like(targets))
    backwards = rule.order == "directly before"
    low = np.zeros_like(sources) if backwards else sources + 1
    high = sources if backwards else np.full_like(sources, len(targets))
    nearest = np.full(len(situations.source), -1)
    for lanes in _lanes(situations, keys, low, high, distinct=False):
        _keep_nearest(nearest, lanes, keys, backwards=backwards)
    ((low, high),) = _windows(log, rule, sources)
    is_target = (nearest >= low[situations.source]) & (nearest < high[situations.source])
    is_target[is_target] = targets[nearest[is_target]]

    def details(violated: Places) -> pl.Series:
        activity = np.where(nearest[violated] >= 0, log.traces.event_activity[nearest[violated]], -1)
        texts = [f"nothing is {rule.order}", *(f"{name!r} is {rule.order}" for name in log.traces.activities)]
        return pl.Series(texts).gather(activity + 1)

    def witnesses(violated: Places) -> tuple[Places, Places]:
        there = violated[nearest[violated] >= 0]
        return there, nearest[there]

    return _Seen(is_target.astype(np.int64), (nearest < 0) & (not backwards), details, witnesses)


def _involvement(log: Log, item: str | Linked, sources: Places) -> _Grouped:
    """Group the objects of the sources that a type names."""
    number = np.full(len(log.traces.event_ids), -1, dtype=np.int32)
    number[sources] = np.arange(len(sources), dtype=np.int32)
    objects, events = steps_of(log, item if isinstance(item, str) else item.of)
    step: Places = np.flatnonzero(number[events] >= 0)
    owner, objects = number[events[step]], objects[step]
    if isinstance(item, Linked):
        first, last = type_range(log, item.type)
        ends = object_links(log, item.o2o)
        directions = {"forward": (ends,), "backward": (ends[::-1],), None: (ends, ends[::-1])}[item.direction]
        origin, target = (np.concatenate(parts) for parts in zip(*directions, strict=True))
        of_type = (target >= first) & (target < last)
        links = _group(origin[of_type], target[of_type], len(log.traces.object_ids)).of(objects)
        step, objects = links.flat()
        owner = owner[step]
    return _group(owner, objects, len(sources))


def _group(owners: Places, objects: Places, count: int) -> _Grouped:
    """Group pairs by owner; a pair that is there twice counts once."""
    keys = distinct(trace_keys(owners, objects))
    owner = keys >> 32
    lengths = np.bincount(owner, minlength=count)
    return _Grouped(np.cumsum(lengths) - lengths, lengths, (keys & _EVENT).astype(np.int32))


def _situations(log: Log, rule: EventEvents, sources: Places) -> _Situations:
    source = np.arange(len(sources))
    chosen: list[Places] = []
    for item in rule.each:
        group = _involvement(log, item, sources)
        row, place = ragged(group.starts[source], group.lengths[source])
        source, chosen = source[row], [*(objects[row] for objects in chosen), group.objects[place]]
    together, either = (
        [_involvement(log, item, sources).of(source) for item in items] for items in (rule.all, rule.any)
    )
    return _Situations(source, chosen, together, either, everything=len(log.traces.object_ids))


def _keys(log: Log, rule: EventEvents, events: Flags) -> Places:
    """Give the keys of the steps of some events, for the types that targets share; ascending."""
    involved = (*rule.each, *rule.all, *rule.any)
    parts = []
    for first, last in sorted({type_range(log, item if isinstance(item, str) else item.type) for item in involved}):
        steps = slice(*log.traces.offsets[[first, last]])
        event = log.traces.step_event[steps]
        kept = np.flatnonzero(events[event])
        parts.append(trace_keys(log.traces.step_object[steps][kept], event[kept]))
    every = np.flatnonzero(events)
    parts.append(trace_keys(np.full(len(every), len(log.traces.object_ids)), every))
    return np.concatenate(parts)


def _windows(log: Log, rule: EventEvents, sources: Places) -> list[tuple[Places, Places]]:
    """Give the ranks at which targets can be, as half-open ranges: one per source, and two for any order."""
    times = log.traces.event_time
    own = times[sources]

    def first_at(distance: timedelta | None, sign: int, default: Places) -> Places:
        """Give the first rank at so far from the source (after it: beyond that), in the direction of the sign."""
        if distance is None:
            return default
        return np.searchsorted(times, own + sign * _microseconds(distance), side="left" if sign < 0 else "right")

    before = first_at(rule.within, -1, np.zeros_like(sources)), sources
    after = sources + 1, first_at(rule.within, 1, np.full_like(sources, len(times)))
    if rule.not_within is not None:
        gap = _microseconds(rule.not_within)
        before = before[0], np.minimum(sources, np.searchsorted(times, own - gap, side="right"))
        after = np.maximum(sources + 1, np.searchsorted(times, own + gap, side="left")), after[1]
    return {"after": [after], "before": [before], "any": [before, after]}[rule.order.removeprefix("directly ")]


def _has_time(log: Log, rule: EventEvents, sources: Places) -> Flags:
    """Tell which sources are so late that the log ends before their time is over."""
    if rule.within is None:
        return np.zeros(len(sources), dtype=bool)
    times = log.traces.event_time
    late: Flags = times[sources] + _microseconds(rule.within) > times.max(initial=0)
    return late


def _microseconds(duration: timedelta) -> int:
    return int(duration / timedelta(microseconds=1))


def _lanes(situations: _Situations, keys: Places, low: Places, high: Places, *, distinct: bool) -> list[_Lanes]:
    """Find where to look for the targets of each situation, between two ranks for each source.

    Where a target has to have certain objects, that is one lane. Else it needs one of several, which have a lane each;
    where targets are to be ``distinct``, one counts in the lane of the first of its objects only.
    """
    required, choices = situations.required(), situations.choices()

    def places(situation: Places, objects: Places) -> tuple[Places, Places]:
        source = situations.source[situation]
        first = np.searchsorted(keys, trace_keys(objects, low[source]))
        return first, np.maximum(first, np.searchsorted(keys, trace_keys(objects, high[source])))

    lanes = []
    linked = ~situations.unlinked
    rows = np.flatnonzero(linked & (required.lengths > 0))
    if len(rows):
        needed = required.of(rows)
        row, objects = needed.flat()
        first, last = places(rows[row], objects)
        fewest = np.lexsort((last - first, row))[np.searchsorted(row, np.arange(len(rows)))]
        others = _Grouped(needed.starts, np.where(needed.lengths > 1, needed.lengths, 0), needed.objects)
        tests = [_Test(others, "all"), *(_Test(group.of(rows), "any") for group in choices)]
        lanes.append(_Lanes(rows, first[fewest], last[fewest], tests))
    rows = np.flatnonzero(linked & (required.lengths == 0))
    if len(rows):
        link, *others_of = (group.of(rows) for group in choices)
        row, objects = link.flat()
        before = np.arange(len(row)) - np.searchsorted(row, row) if distinct else np.zeros_like(row)
        tests = [_Test(_Grouped(link.starts[row], before, link.objects), "none")]
        tests += [_Test(group.of(row), "any") for group in others_of]
        lanes.append(_Lanes(rows[row], *places(rows[row], objects), tests))
    return lanes


def _count(lanes: _Lanes, keys: Places, situations: int, enough: int, *, backwards: bool) -> Places:
    """Count the targets of each situation; where events have to be looked at, until there are enough."""
    free, tested = np.flatnonzero(~lanes.tested), np.flatnonzero(lanes.tested)
    found = np.zeros(situations, dtype=np.int64)
    np.add.at(found, lanes.situation[free], (lanes.last - lanes.first)[free])
    part = lanes.part(tested)
    lane, _ = _search(part, keys, part.situation, enough, backwards=backwards)
    np.add.at(found, part.situation[lane], 1)
    return found


def _keep_nearest(nearest: Places, lanes: _Lanes, keys: Places, *, backwards: bool) -> None:
    """Put the first (or last) event that lanes have into each situation, where it is nearer; -1 is none."""
    lane, event = _search(lanes, keys, np.arange(len(lanes.situation)), 1, backwards=backwards)
    # Written from the farthest to the nearest, so that the nearest stays.
    order = np.argsort(event if backwards else -event, kind="stable")
    nearest[lanes.situation[lane[order]]] = event[order]


def _search(lanes: _Lanes, keys: Places, groups: Places, enough: int, *, backwards: bool) -> tuple[Places, Places]:
    """Look at the events in lanes, nearest first, until each group of lanes has enough that pass the tests.

    Returns
    -------
    lane, event : int64 arrays
        Those that pass, at least ``enough`` for each group that has so many.
    """
    reach = lanes.last - lanes.first
    looked = np.zeros_like(reach)
    found = np.zeros(groups.max(initial=-1) + 1, dtype=np.int64)
    parts = [(looked[:0], looked[:0])]
    active = np.flatnonzero((reach > 0) & (enough > 0))
    block = 1
    while len(active):
        take = np.minimum(block, reach[active] - looked[active])
        start = lanes.last[active] - looked[active] - take if backwards else lanes.first[active] + looked[active]
        row, place = ragged(start, take)
        lane, event = active[row], keys[place] & _EVENT
        for test in lanes.tests:
            passed = np.flatnonzero(_passes(test, keys, lane, event))
            lane, event = lane[passed], event[passed]
        parts.append((lane, event))
        np.add.at(found, groups[lane], 1)
        looked[active] += take
        active = active[(looked[active] < reach[active]) & (found[groups[active]] < enough)]
        block = max(1, min(4 * block, _BLOCK // max(len(active), 1)))
    lane, event = (np.concatenate(part) for part in zip(*parts, strict=True))
    return lane, event


def _passes(test: _Test, keys: Places, lane: Places, event: Places) -> Flags:
    """Tell which events have the objects that the test of their lane asks for; each does where it asks for none."""
    group = test.objects.of(lane)
    owner, objects = group.flat()
    wanted = trace_keys(objects, event[owner])
    place = np.searchsorted(keys, wanted)
    place[place == len(keys)] = 0
    hits = np.bincount(owner[keys[place] == wanted], minlength=len(lane)) if len(keys) else np.zeros(len(lane))
    passed: Flags = {
        "all": hits == group.lengths,
        "any": (hits > 0) | (group.lengths == 0),
        "none": hits == 0,
    }[test.asked]
    return passed


def _summarise(details: pl.Series, violated: Places, combinations: Places) -> pl.Series:
    """Add for how many of an event's situations it is so, where there are several."""
    frame = pl.DataFrame({"detail": details, "violated": violated, "of": combinations})
    several = pl.format("{}, for {} of {} combinations of objects", "detail", "violated", "of")
    return frame.select(pl.when(pl.col("of") > 1).then(several).otherwise("detail")).to_series()


def _involved_objects(situations: _Situations, violated: Places, number: Places) -> Members:
    """Give the objects that targets had to share, of the situations that are violated."""
    every: Places = np.arange(len(violated))
    parts = [(every[:0], every[:0])]
    parts += [(every, objects[violated]) for objects in situations.chosen]
    parts += [group.of(violated).flat() for group in (*situations.together, *situations.either)]
    row, objects = (np.concatenate(part) for part in zip(*parts, strict=True))
    return distinct_members(number[row], objects)
