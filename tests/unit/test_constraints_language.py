"""The language of rules: its file, its short forms, its errors, and the page that tells it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ocelake.errors import OcelakeError, SettingError
from ocelake.mining import encode
from ocelake.mining.constraints import Rules, attribute_names, rule_tables
from ocelake.mining.constraints.declare import read_arc, write_arc
from ocelake.mining.constraints.language import Condition, EventEvents
from ocelake.ocel.generate import generate

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
PAID = {"name": "paid", "when": "place order", "then": "pay order", "each": "orders"}


def page_rules() -> Rules:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return Rules.model_validate(yaml.safe_load(example))


def test_the_page_s_rules_are_checked_on_the_generated_log(tmp_path: Path) -> None:
    rules = page_rules()
    shapes = {type(rule).__name__ for rule in rules.rules}
    assert len(shapes) == 7, "the page shows every shape"
    ocel = generate(events=2000, seed=1)
    tables = dict(ocel.frames())
    of_events, of_objects = attribute_names(rules)
    for identifier, names in (("ocel.event_attributes", of_events), ("ocel.object_attributes", of_objects)):
        tables[identifier] = tables[identifier].filter(tables[identifier]["name"].is_in(names))
    found = rule_tables(rules, encode(ocel.event_objects, ocel.objects, ocel.events), tables)
    results = found["gold.rule_results"]
    assert results["problem"].null_count() == len(results) == len(rules.rules)
    assert (results["candidates"] > 0).all()
    counted = dict(found["gold.rule_violations"].group_by("rule").len().iter_rows())
    assert {name: counted.get(name, 0) for name in results["rule"]} == dict(results.select("rule", "violations").rows())
    assert results.filter(rule="item_in_one_package")["passed"].item()
    assert results.filter(rule="order_paid_once")["pending"].item() > 0

    rules.save(tmp_path / "log.rules.yaml")
    assert Rules.load(tmp_path / "log.rules.yaml") == rules


def test_a_log_without_a_file_has_no_rules(tmp_path: Path) -> None:
    assert Rules.load(tmp_path / "none.rules.yaml").rules == ()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"within": "soon"}, "rule paid: within: 'soon' is no duration"),
        ({"within": ""}, "rule paid: within: '' is no duration"),
        ({"count": {"at_least": 2, "at_most": 1}}, "rule paid: count: no number is at least 2 and at most 1"),
        ({"count": {}}, "rule paid: count: a count needs at_least or at_most"),
        ({"order": "later"}, "rule paid: order: Input should be 'after'"),
        ({"order": "directly after", "count": 2}, "rule paid: only one event is directly after"),
        ({"within": "1 d", "not_within": "2 d"}, "rule paid: no time is within less than not_within"),
        ({"whithin": "1 d"}, "rule paid: whithin: there is no such name here, perhaps within is meant"),
        ({"objects": "orders"}, "rule paid: objects: this cannot be said here"),
        ({"each": [1]}, "rule paid: each.0: write a text, such as '1' in quotes"),
        ({"within": "99999999999 d"}, "rule paid: within: '99999999999 d' is more time than there is"),
        ({"when": {"activity": "a", "where": {"x": {"above": 5, "below": 5}}}}, "when.where.x: no value is over 5.0"),
        ({"when": {"activity": "a", "where": {"x": {"above": 5, "below": date(2024, 1, 1)}}}}, "a number and a time"),
        ({"when": {"activity": "a", "where": {"x": {"known": False, "above": 5}}}}, "where.x: what is not known"),
        (
            {"when": {"activity": "a", "where": {"x": {"above": float("nan")}}}},
            "where.x.above: Input should be a finite",
        ),
        ({"when": {"activity": "a", "where": {"x": {}}}}, "rule paid: when.where.x: a condition needs a value"),
        ({"name": "Paid!"}, "rule Paid!: name: String should match"),
        ({"then": None, "when": None}, "rule paid: when"),
    ],
)
def test_an_error_names_the_rule_and_the_field(tmp_path: Path, wrong: dict[str, Any], told: str) -> None:
    path = tmp_path / "log.rules.yaml"
    path.write_text(yaml.safe_dump({"rules": [PAID | wrong]}), encoding="utf-8")
    with pytest.raises(SettingError) as error:
        Rules.load(path)
    assert told in str(error.value)
    assert str(path) in str(error.value)


def test_a_condition_may_leave_one_value() -> None:
    assert Condition(at_least=5, at_most=5).at_most == 5


def test_a_file_whose_rules_are_all_commented_out_has_none(tmp_path: Path) -> None:
    path = tmp_path / "log.rules.yaml"
    path.write_text("rules:\n#  - name: paid\n", encoding="utf-8")
    assert Rules.load(path) == Rules()


def test_a_rule_of_no_shape_is_told_the_shapes() -> None:
    with pytest.raises(ValueError, match="rule odd: a rule has `when` with `then`"):
        Rules(rules=[{"name": "odd", "when": "a"}])


def test_two_rules_have_two_names() -> None:
    with pytest.raises(ValueError, match="two rules are called paid"):
        Rules(rules=[PAID, PAID])


@pytest.mark.parametrize(
    ("spelled", "duration"),
    [
        ("30 d", timedelta(days=30)),
        ("2 weeks", timedelta(weeks=2)),
        ("1h 30min", timedelta(minutes=90)),
        ("0.5 s", timedelta(milliseconds=500)),
        ("1 day 2 hours 3 minutes 4 seconds", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_durations_are_spelled_and_read(spelled: str, duration: timedelta) -> None:
    rule = EventEvents.model_validate(PAID | {"within": spelled})
    assert rule.within == duration
    assert EventEvents.model_validate(rule.model_dump(mode="json")) == rule


def test_dates_in_conditions_are_instants_in_utc() -> None:
    assert Condition(above=date(2024, 1, 2)).above == datetime(2024, 1, 2, tzinfo=UTC)
    assert Condition.model_validate(date(2024, 1, 2)).one_of == ("2024-01-02T00:00:00Z",)


def test_an_arc_is_a_rule_and_back() -> None:
    label = {
        "each": [{"type": "Simple", "object_type": "orders"}],
        "all": [{"type": "O2O", "first": "orders", "second": "items", "reversed": True}],
        "any": [],
    }
    arc = {"from": "place order", "to": "pay order", "arc_type": "DP", "counts": [0, 1], "label": label}
    assert write_arc(read_arc(arc, "arc")) == arc
    with pytest.raises(OcelakeError, match="cannot say all"):
        write_arc(EventEvents.model_validate(PAID | {"within": "1 d"}))
    with pytest.raises(OcelakeError, match="begin or end"):
        read_arc(arc | {"from": "<init> orders"}, "arc")
