"""Rules that count objects and events or look at attributes, against plain Python; and values as of an event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.mining import encode
from ocelake.mining.constraints import Rules, rule_tables
from tests.unit.reference_mining import Log, instant, logs, table

LINKS = [("o1", "i1", "has"), ("i2", "o1", "has"), ("o1", "o1", "has"), ("o2", "i1", "is")]
SHOP = Log(
    {"e1": ("place", 0, 0), "e2": ("pick", 5, 0), "e3": ("pay", 5, 1), "e4": ("pay", 9, 0)},
    {"i1": "item", "i2": "item", "o1": "order", "o2": "order", "o3": "order"},
    [("e1", "o1", "new"), ("e1", "o1", "of"), ("e1", "i1", ""), ("e1", "i2", ""), ("e2", "i1", ""), ("e3", "o1", ""),
     ("e3", "o2", "of"), ("e4", "o2", "")],
)  # fmt: skip


def check(log: Log, rule: dict[str, Any], **tables: list[tuple[Any, ...]]) -> tuple[dict[str, Any], pl.DataFrame]:
    frames = log.tables()
    frames |= {f"ocel.{name}": table(f"ocel.{name}", rows) for name, rows in tables.items()}
    traces = encode(frames["ocel.event_objects"], frames["ocel.objects"], frames["ocel.events"])
    found = rule_tables(Rules(rules=[{"name": "rule"} | rule]), traces, frames)
    return found["gold.rule_results"].row(0, named=True), found["gold.rule_violations"]


def violations(log: Log, rule: dict[str, Any], **tables: list[tuple[Any, ...]]) -> list[tuple[list[str], list[str]]]:
    result, found = check(log, rule, **tables)
    assert result["problem"] is None
    assert result["violations"] == len(found)
    return list(found.select("event_ids", "object_ids").iter_rows())


def value(kind: str, text: str) -> tuple[int, str, str, float | None, Any]:
    return 0, text, kind, float(text) if kind == "float" else None, None


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"when": "place", "objects": "item", "count": 1}, [(["e1"], ["i1", "i2"])]),
        ({"when": "place", "objects": "order", "count": 1}, []),
        ({"when": "pay", "objects": "order", "qualifier": "of"}, [(["e4"], [])]),
        ({"when": ["pay", "pick"], "objects": "item"}, [(["e3"], []), (["e4"], [])]),
        ({"for_each": "order", "events": "pay"}, [([], ["o3"])]),
        ({"for_each": "order", "events": "pay", "count": {"at_most": 1}}, [(["e3", "e4"], ["o2"])]),
        ({"for_each": "order", "starts_with": "place"}, [(["e3"], ["o2"])]),
        ({"for_each": "item", "starts_with": "place", "ends_with": "place"}, [(["e2"], ["i1"])]),
        ({"for_each": "order", "objects": "item", "o2o": "has", "count": 2}, [([], ["o2"]), ([], ["o3"])]),
        ({"for_each": "item", "objects": "order", "o2o": "is", "count": 0}, [([], ["i1", "o2"])]),
        ({"for_each": "order", "objects": "item", "sharing": "place", "count": {"at_most": 1}},
         [(["e1"], ["o1", "i1", "i2"])]),
        ({"for_each": "order", "objects": "order", "sharing": "pay", "count": 0},
         [(["e3"], ["o1", "o2"]), (["e3"], ["o2", "o1"])]),
    ],
)  # fmt: skip
def test_counts_and_ends(rule: dict[str, Any], expected: list[tuple[list[str], list[str]]]) -> None:
    assert violations(SHOP, rule, object_objects=LINKS) == expected


def test_conditions_on_events() -> None:
    values = [
        ("e3", "amount", *value("float", "5.0")), ("e4", "amount", *value("float", "10.0")),
        ("e3", "fast", *value("boolean", "true")), ("e4", "day", 0, "x", "time", None, instant(3)),
    ]  # fmt: skip

    def kept(**conditions: Any) -> list[str]:
        found = violations(SHOP, {"when": "pay", "holds": conditions}, event_attributes=values)
        return [event for event in ("e3", "e4") if ([event], []) not in found]

    assert kept(amount={"above": 5}) == ["e4"]
    assert kept(amount={"at_least": 5, "below": 10}) == ["e3"]
    assert kept(amount=[5, 7]) == ["e3"]
    assert kept(amount={"none_of": [5]}) == ["e4"]
    assert kept(amount=True) == []
    assert kept(fast=True) == ["e3"]
    assert kept(fast={"none_of": [False]}) == ["e3"]
    assert kept(fast={"known": False}) == ["e4"]
    assert kept(day={"above": instant(2)}) == ["e4"]
    assert kept(day={"at_most": instant(2)}) == []
    assert kept(amount=10, day={"known": True}) == ["e4"]


def test_an_event_sees_the_values_before_it_and_its_own_if_it_is_the_object_s_last_then() -> None:
    log = Log(
        {"e1": ("a", 5, 0), "e2": ("a", 5, 1), "e3": ("a", 9, 0)},
        {"o": "order"},
        [(e, "o", "") for e in ("e1", "e2", "e3")],
    )
    values = [
        ("o", "state", None, True, *value("string", "new")),
        ("o", "state", instant(5), False, *value("string", "old")),
    ]
    values += [("o", "state", instant(10), False, *value("string", "gone"))]

    def selected(state: str) -> list[str]:
        when = {"activity": "a", "involving": {"order": {"state": state}}}
        found = violations(log, {"when": when, "objects": "order", "count": 0}, object_attributes=values)
        return [events[0] for events, _ in found]

    assert selected("new") == ["e1"]
    assert selected("old") == ["e2", "e3"]
    assert selected("gone") == []
    last = {"for_each": "order", "holds": {"state": "gone"}}
    assert violations(log, last, object_attributes=values) == []


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"when": "plaec", "objects": "order"}, "The log has no activity 'plaec'. Did you mean 'place'?"),
        ({"for_each": "orders", "events": "pay"}, "The log has no object type 'orders'. Did you mean 'order'?"),
        ({"when": "pay", "holds": {"amount": 1}}, "No event of 'pay' has an attribute 'amount'."),
        ({"for_each": "item", "holds": {"price": 1}}, "No object of the type 'item' has an attribute 'price'."),
        ({"for_each": "item", "objects": "order", "o2o": "hat"}, "The log has no O2O qualifier 'hat'."),
        ({"when": "pay", "objects": "order", "qualifier": "by"}, "No object of the type 'order' has the qualifier"),
    ],
)
def test_what_the_log_does_not_have_is_a_problem_of_the_rule(rule: dict[str, Any], problem: str) -> None:
    result, found = check(SHOP, rule, object_objects=LINKS)
    assert result["problem"].startswith(problem)
    assert (result["candidates"], result["passed"], len(found)) == (None, None, 0)


@pytest.mark.parametrize(
    ("condition", "kind"),
    [({"above": 0}, "number"), ([1, 2], "number"), ({"below": datetime(2024, 1, 1, tzinfo=UTC)}, "time")],
)
def test_texts_are_not_compared_to_numbers_or_times(condition: object, kind: str) -> None:
    # As of a CSV whose columns are all text: "12" is above 0 to a person, and would violate the rule without a word.
    rule = {"when": "pay", "holds": {"amount": condition}}
    texts = [(event, "amount", *value("string", "12")) for event in ("e3", "e4")]
    result, found = check(SHOP, rule, event_attributes=texts)
    assert result["problem"].startswith(f"No value of 'amount' is a {kind}; there are such as '12', of type string.")
    assert found.is_empty()
    prices = [("i1", "amount", instant(0), False, *value("string", "12"))]
    result, _ = check(SHOP, {"for_each": "item", "holds": {"amount": condition}}, object_attributes=prices)
    assert result["problem"].startswith(f"No value of 'amount' is a {kind}")


def test_tolerance_and_no_candidates() -> None:
    rule = {"for_each": "order", "events": "pay"}
    assert check(SHOP, rule)[0]["passed"] is False
    assert check(SHOP, rule | {"tolerance": 0.34})[0]["passed"] is True
    none = {"for_each": {"type": "order", "where": {"price": 3}}, "events": "pay"}
    prices = [("o1", "price", None, True, *value("float", "2.0"))]
    result, _ = check(SHOP, none, object_attributes=prices)
    assert (result["candidates"], result["share"], result["passed"]) == (0, None, True)


@settings(max_examples=60)
@given(logs().filter(lambda log: bool(log.events) and bool(log.objects)), st.data())
def test_random_logs_are_counted_as_plain_python_counts(log: Log, data: st.DataObject) -> None:
    activity = data.draw(st.sampled_from(sorted({name for name, _, _ in log.events.values()})))
    one, other = (data.draw(st.sampled_from(sorted(set(log.objects.values())))) for _ in range(2))
    most = data.draw(st.integers(0, 2))
    count = {"at_most": most}
    traces = log.traces()

    def objects(event: str) -> set[str]:
        return {name for of, name, _ in log.relations if of == event and log.objects[name] == other}

    events = [event for event, (name, _, _) in log.events.items() if name == activity]
    found = violations(log, {"when": activity, "objects": other, "count": count})
    assert {tuple(ids) for ids, _ in found} == {(event,) for event in events if len(objects(event)) > most}
    assert all(set(names) == objects(ids[0]) for ids, names in found)

    of_type = [name for name, kind in log.objects.items() if kind == one]
    hits = {name: [event for event in traces[name] if log.events[event][0] == activity] for name in of_type}
    found = violations(log, {"for_each": one, "events": activity, "count": count})
    assert found == [(hits[name], [name]) for name in sorted(of_type) if len(hits[name]) > most]

    related = {name: {o for event in hits[name] for o in objects(event)} - {name} for name in of_type}
    found = violations(log, {"for_each": one, "objects": other, "sharing": activity, "count": count})
    assert [(ids[0], set(ids[1:])) for _, ids in found] == [
        (name, related[name]) for name in sorted(of_type) if len(related[name]) > most
    ]
