"""Rules of events and other events, against a reference that looks at every pair of events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.mining import encode
from ocelake.mining.constraints.check import rule_tables
from ocelake.mining.constraints.language import Count, EventEvents, Linked, Rules
from tests.unit.reference_mining import Log, logs, table

STEP = 1_500_001
TYPES = ("order", "item", "Item")


def check(log: Log, *rules: Any, links: list[tuple[str, str, str]] | None = None) -> dict[str, pl.DataFrame]:
    tables = log.tables() | {"ocel.object_objects": table("ocel.object_objects", links or [])}
    traces = encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])
    return rule_tables(Rules(rules=rules), traces, tables)


def position(log: Log, event: str) -> tuple[int, int, str]:
    _, time, sequence = log.events[event]
    return time, sequence, event


class Reference:
    """OC-DECLARE's definition, pair by pair."""

    def __init__(self, log: Log, rule: EventEvents, links: list[tuple[str, str, str]]) -> None:
        self.log, self.rule, self.links = log, rule, links
        self.order = sorted(log.events, key=lambda event: position(log, event))
        self.rank = {event: rank for rank, event in enumerate(self.order)}
        self.last = max((time for _, time, _ in log.events.values()), default=0)

    def objects(self, event: str) -> set[str]:
        return {name for of, name, _ in self.log.relations if of == event}

    def of_type(self, event: str, item: str | Linked) -> list[str]:
        kinds = self.log.objects
        if isinstance(item, str):
            return sorted(name for name in self.objects(event) if kinds[name] == item)
        found = set()
        for source, target, qualifier in self.links:
            if item.o2o in (None, qualifier):
                pairs = {"forward": [(source, target)], "backward": [(target, source)]}
                for a, b in pairs.get(str(item.direction), [(source, target), (target, source)]):
                    if a in self.objects(event) and kinds[a] == item.of and kinds[b] == item.type:
                        found.add(b)
        return sorted(found)

    def bindings(self, event: str) -> Iterator[tuple[str, ...]]:
        yield from product(*(self.of_type(event, item) for item in self.rule.each))

    def in_window(self, event: str, other: str) -> bool:
        forward = self.rank[other] > self.rank[event]
        order = self.rule.order.removeprefix("directly ")
        distance = timedelta(microseconds=abs(self.log.events[other][1] - self.log.events[event][1]))
        return (
            other != event
            and (order == "any" or forward == (order == "after"))
            and (self.rule.within is None or distance <= self.rule.within)
            and (self.rule.not_within is None or distance >= self.rule.not_within)
        )

    def shares(self, event: str, other: str, chosen: tuple[str, ...]) -> bool:
        objects = self.objects(other)
        together = [self.of_type(event, item) for item in self.rule.all]
        either = [self.of_type(event, item) for item in self.rule.any]
        return (
            objects >= set(chosen)
            and all(objects >= set(group) for group in together)
            and all(objects & set(group) for group in either)
        )

    def state(self, event: str, chosen: tuple[str, ...]) -> str:
        rule, log = self.rule, self.log
        if rule.order.startswith("directly"):
            forward = rule.order == "directly after"
            others = self.order[self.rank[event] + 1 :] if forward else self.order[: self.rank[event]][::-1]
            nearest = [other for other in others if self.shares(event, other, chosen)][:1]
            hits = [o for o in nearest if log.events[o][0] in rule.then.activity and self.in_window(event, o)]
            is_open = forward and not nearest
        else:
            hits = [
                other
                for other in self.order
                if log.events[other][0] in rule.then.activity
                and self.in_window(event, other)
                and self.shares(event, other, chosen)
            ]
            is_open = rule.order != "before"
        if rule.count.at_most is not None and len(hits) > rule.count.at_most:
            return "violated"
        if len(hits) >= rule.count.at_least:
            return "fulfilled"
        linked = all(self.of_type(event, item) for item in rule.any)
        deadline = None if rule.within is None else log.events[event][1] + rule.within / timedelta(microseconds=1)
        return "pending" if is_open and linked and deadline is not None and deadline > self.last else "violated"

    def result(self) -> tuple[int, list[str], int]:
        candidates = [event for event in self.order if self.log.events[event][0] in self.rule.when.activity]
        states = {event: {self.state(event, chosen) for chosen in self.bindings(event)} for event in candidates}
        violated = [event for event in candidates if "violated" in states[event]]
        pending = [event for event in candidates if "pending" in states[event] and event not in violated]
        return len(candidates), violated, len(pending)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Log, EventEvents, list[tuple[str, str, str]]]:
    log = draw(logs().filter(lambda found: bool(found.events) and bool(found.objects)))
    activities = st.sampled_from(sorted({activity for activity, _, _ in log.events.values()}))
    kinds = sorted(set(log.objects.values()))
    names = sorted(log.objects)
    link = st.tuples(st.sampled_from(names), st.sampled_from(names), st.sampled_from(["has", "is"]))
    links = draw(st.lists(link, unique=True, max_size=5))
    linked = st.builds(
        Linked,
        type=st.sampled_from(kinds),
        of=st.sampled_from(kinds),
        o2o=st.sampled_from([None, *sorted({q for _, _, q in links})]),
        direction=st.sampled_from([None, "forward", "backward"]),
    )
    involved = st.lists(st.one_of(st.sampled_from(kinds), linked), max_size=2).map(tuple)
    order = draw(st.sampled_from(["after", "before", "any", "directly after", "directly before"]))
    least = draw(st.integers(0, 1 if order.startswith("d") else 2))
    most = draw(st.one_of(st.none(), st.integers(least, 1 if order.startswith("d") else 3)))
    times = st.one_of(st.none(), st.integers(0, 4).map(lambda steps: timedelta(microseconds=steps * STEP)))
    within, gap = draw(times), None if order == "any" else draw(times)
    if within is not None and gap is not None and within < gap:
        within, gap = gap, within
    rule = EventEvents(
        name="rule",
        when=draw(st.lists(activities, min_size=1, max_size=2)),
        then=draw(st.lists(activities, min_size=1, max_size=2)),
        order=order,
        each=draw(involved),
        all=draw(involved),
        any=draw(involved),
        count=Count(at_least=least, at_most=most) if least or most is not None else 1,
        within=within,
        not_within=gap,
    )
    return log, rule, links


@settings(max_examples=150)
@given(cases())
def test_every_rule_is_kept_and_violated_as_its_definition_says(
    case: tuple[Log, EventEvents, list[tuple[str, str, str]]],
) -> None:
    log, rule, links = case
    candidates, violated, pending = Reference(log, rule, links).result()
    found = check(log, rule, links=links)
    (result,) = found["gold.rule_results"].rows(named=True)
    assert result["problem"] is None
    assert (result["candidates"], result["violations"], result["pending"]) == (candidates, len(violated), pending)
    listed = found["gold.rule_violations"]
    assert [events[0] for events in listed["event_ids"]] == violated
    assert listed["violation"].to_list() == list(range(1, len(violated) + 1))


@settings(max_examples=30)
@given(cases(), st.randoms())
def test_the_order_of_rows_does_not_matter(
    case: tuple[Log, EventEvents, list[tuple[str, str, str]]], random: Any
) -> None:
    log, rule, links = case
    relations = list(log.relations)
    random.shuffle(relations)
    shuffled = Log(log.events, log.objects, relations)
    for identifier, frame in check(log, rule, links=links).items():
        assert frame.equals(check(shuffled, rule, links=links)[identifier])


DAY = 86_400_000_000
PAIR = Log(
    {"e1": ("a", 0, 0), "e2": ("b", DAY, 0), "e3": ("b", DAY, 1), "e4": ("c", 9 * DAY, 0)},
    {"o1": "order", "o2": "order"},
    [(event, name, "") for event in ("e1", "e2", "e3") for name in ("o1", "o2")],
)


@pytest.mark.parametrize(
    ("rule", "violated"),
    [
        ({"when": "a", "then": "b", "any": "order", "count": 2}, False),  # each b counts once, not once per object
        ({"when": "a", "then": "b", "any": "order", "count": {"at_least": 3}}, True),
        ({"when": "a", "then": "b", "each": "order", "count": 2, "within": "1 d"}, False),
        ({"when": "a", "then": "b", "each": "order", "within": "23 h"}, True),
        ({"when": "a", "then": "b", "each": "order", "count": 2, "not_within": "1 d"}, False),
        ({"when": "a", "then": "b", "each": "order", "not_within": "25 h"}, True),
        ({"when": "b", "then": "a", "order": "before", "all": "order", "within": "1 d"}, False),
        ({"when": "b", "then": "a", "order": "before", "all": "order", "within": "23 h"}, True),
        ({"when": "b", "then": "a", "order": "before", "all": "order", "not_within": "1 d"}, False),
        ({"when": "b", "then": "a", "order": "before", "all": "order", "not_within": "25 h"}, True),
        ({"when": "a", "then": "b", "order": "any", "within": "1 d", "count": 2}, False),
        ({"when": "b", "then": "b", "order": "any", "each": "order", "count": 1}, False),  # never its own target
        ({"when": "c", "then": "b", "order": "before", "all": "order", "count": 2}, False),  # no orders to be shared
        ({"when": "c", "then": "b", "order": "before", "any": "order"}, True),
    ],
)
def test_bounds_are_inclusive_and_events_count_once(rule: dict[str, Any], violated: bool) -> None:
    (result,) = check(PAIR, {"name": "rule"} | rule)["gold.rule_results"].rows(named=True)
    assert (result["violations"] > 0) is violated
