"""Labels of prefixes: what came after, and when it became known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ocelake.errors import SettingError
from ocelake.features import OutcomeSettings, PredictionSettings, label_prefixes, tasks_of
from ocelake.mining.traces import Traces, encode

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = 86_400.0


def log(*rows: tuple[str, str, str, float]) -> Traces:
    """Encode events: id, object, activity, day."""
    return encode(
        pl.DataFrame(
            [(event, thing, act, START + timedelta(days=day)) for event, thing, act, day in rows],
            schema=["event_id", "object_id", "activity", "time"],
            orient="row",
        ).with_columns(object_type=pl.lit("order"), sequence=0)
    )


ORDERS = log(
    ("1", "a", "place", 0),
    ("2", "a", "remind", 3),
    ("3", "a", "pay", 7),
    ("4", "b", "place", 1),
    ("5", "b", "pay", 2),
    ("6", "c", "place", 8),
    ("7", "c", "remind", 9),
)
ACTS = ("place", "remind", "pay")
KEY = ["object_id", "position"]
ENDS = {"order": ("pay",)}


def labels(task: str, settings: PredictionSettings, **more: object) -> list[tuple]:
    found = label_prefixes(ORDERS, "order", settings=settings, **more)
    return found.select("object_id", "position", task, f"known: {task}").rows()


def at(day: float) -> datetime:
    return START + timedelta(days=day)


def test_the_next_activity_is_known_once_it_happens_and_the_end_once_it_is_over() -> None:
    assert labels("next_activity", PredictionSettings(ends=ENDS)) == [
        ("a", 1, "remind", at(3)),
        ("a", 2, "pay", at(7)),
        ("a", 3, "(end)", at(7)),
        ("b", 1, "pay", at(2)),
        ("b", 2, "(end)", at(2)),
        ("c", 1, "remind", at(9)),
        ("c", 2, None, None),
    ]


def test_the_remaining_time_is_that_of_what_is_over() -> None:
    assert labels("remaining_time", PredictionSettings(ends=ENDS)) == [
        ("a", 1, 7 * DAY, at(7)),
        ("a", 2, 4 * DAY, at(7)),
        ("a", 3, 0.0, at(7)),
        ("b", 1, DAY, at(2)),
        ("b", 2, 0.0, at(2)),
        ("c", 1, None, None),
        ("c", 2, None, None),
    ]
    # In a finished log everything is over.
    assert labels("remaining_time", PredictionSettings(ends={"order": ("*",)}))[-2:] == [
        ("c", 1, DAY, at(9)),
        ("c", 2, 0.0, at(9)),
    ]


def test_without_declared_ends_long_silence_ends_an_object_and_is_known_only_then() -> None:
    found = labels("remaining_time", PredictionSettings())
    patience = timedelta(days=found[3][3].timestamp() / DAY - at(2).timestamp() / DAY)
    assert timedelta(days=3.5) < patience < timedelta(days=4)  # the longest gaps are of 3 and 4 days
    assert [row[2] for row in found] == [None, None, None, DAY, 0.0, None, None]


def test_delay_is_known_at_the_due_time_where_ends_are_declared() -> None:
    settings = PredictionSettings(ends=ENDS, targets={"order": "5d"})
    assert labels("delay", settings) == [
        ("a", 1, True, at(5)),
        ("a", 2, True, at(5)),
        ("a", 3, True, at(5)),  # a fact by then
        ("b", 1, False, at(2)),
        ("b", 2, False, at(2)),
        ("c", 1, None, None),
        ("c", 2, None, None),
    ]
    # What is not over goes on, so that it is late though nothing has happened since.
    assert labels("delay", PredictionSettings(ends=ENDS, targets={"order": "12h"}))[-2:] == [
        ("c", 1, True, at(8.5)),
        ("c", 2, True, at(8.5)),
    ]


@pytest.mark.parametrize("ends", [{}, {"order": ("*",)}])
def test_where_no_end_is_declared_an_object_is_late_once_an_event_says_so(ends) -> None:
    found = labels("delay", PredictionSettings(ends=ends, targets={"order": "5d"}))
    assert found[:3] == [("a", n, True, at(7)) for n in (1, 2, 3)]
    early = labels("delay", PredictionSettings(ends=ends, targets={"order": "12h"}))
    assert early[:2] == [("a", 1, True, at(3)), ("a", 2, True, at(3))]
    assert early[-2:] == [("c", 1, True, at(9)), ("c", 2, True, at(9))]
    # Nothing of b came after its due time: it may be over, and is not late for being silent.
    assert {row[2] for row in labels("delay", PredictionSettings(ends=ends, targets={"order": "2d"}))[3:5]} <= {False}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), min_size=2, max_size=25), st.integers(5, 30))
@settings(max_examples=150)
def test_what_is_known_of_a_cut_log_is_still_so_when_it_goes_on(rows, cut) -> None:
    whole = [(str(n), f"o{thing}", ACTS[n % 3], float(day)) for n, (thing, day) in enumerate(rows)]
    asked = PredictionSettings(
        ends={"order": ("pay",)} if cut % 2 else {},
        targets={"order": "4d"},
        outcomes=(OutcomeSettings(name="reminded", object_type="order", activity="remind"),),
    )
    before = [row for row in whole if row[3] <= cut]
    if not before:
        return
    tasks = [name for name, _ in tasks_of("order", asked) if name in ("delay", "outcome_reminded")]
    early, late = (
        label_prefixes(log(*part), "order", settings=asked).rows_by_key(
            ["object_id", "position"], named=True, unique=True
        )
        for part in (before, whole)
    )
    for key, row in early.items():
        for task in tasks:
            if row[task] is True and not asked.ends:
                assert late[key][task] is True
                assert late[key][f"known: {task}"] == row[f"known: {task}"] <= at(cut)


def test_an_outcome_by_activity_is_a_fact_once_it_has_come() -> None:
    settings = PredictionSettings(
        ends=ENDS, outcomes=(OutcomeSettings(name="reminded", object_type="order", activity="remind"),)
    )
    assert tasks_of("order", settings)[-1] == ("outcome_reminded", "outcome")
    assert labels("outcome_reminded", settings) == [
        *[("a", n, True, at(3)) for n in (1, 2, 3)],
        ("b", 1, False, at(2)),
        ("b", 2, False, at(2)),
        *[("c", n, True, at(9)) for n in (1, 2)],
    ]


def test_an_outcome_by_an_attribute_is_true_from_its_time_on() -> None:
    values = pl.DataFrame(
        {
            "object_id": ["a", "a", "b"],
            "name": ["risk", "state", "risk"],
            "time": [at(4), at(1), at(0)],
            "initial": [False, False, False],
            "value": ["9", "refused", "2"],
            "value_float": [9.0, None, 2.0],
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    risky = OutcomeSettings(name="risky", object_type="order", attribute="risk", above=5)
    refused = OutcomeSettings(name="refused", object_type="order", attribute="state", equals="refused")
    settings = PredictionSettings(ends=ENDS, outcomes=(risky, refused))
    assert [row[2:] for row in labels("outcome_risky", settings, object_attributes=values)][:4] == [
        *[(True, at(4))] * 3,
        (False, at(2)),
    ]
    found = labels("outcome_refused", settings, object_attributes=values)
    assert [row[2:] for row in found][:3] == [(True, at(1))] * 3


def test_an_outcome_by_a_rule_is_known_when_it_is_settled_or_at_the_end() -> None:
    settings = PredictionSettings(ends=ENDS, outcomes=(OutcomeSettings(name="bad", object_type="order", rule="r"),))
    found = labels("outcome_bad", settings, violations={"r": {"a": None, "c": None}})
    assert [row[2:] for row in found] == [
        *[(True, at(7))] * 3,
        *[(False, at(2))] * 2,
        *[(None, None)] * 2,
    ]
    settled = {"a": int(at(4).timestamp() * 1e6), "c": int(at(8).timestamp() * 1e6)}
    found = labels("outcome_bad", settings, violations={"r": settled})
    assert [row[2:] for row in found] == [*[(True, at(4))] * 3, *[(False, at(2))] * 2, *[(True, at(8))] * 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("outcomes: [{name: x, object_type: o}]", "say one of activity, attribute or rule"),
        ("outcomes: [{name: x, object_type: o, activity: a, rule: r}]", "say one of activity, attribute or rule"),
        ("outcomes: [{name: x, object_type: o, attribute: a}]", "say one of equals or above"),
        ("targets: {o: soon}", "no length of time"),
        ("object_typs: [o]", "perhaps object_types is meant"),
        (
            "outcomes: [{name: x, object_type: o, activity: a}, {name: x, object_type: o, activity: b}]",
            "have one name",
        ),
    ],
)
def test_a_settings_file_that_is_wrong_is_told_in_its_own_terms(tmp_path, content: str, said: str) -> None:
    path = tmp_path / "x.predict.yaml"
    path.write_text(content)
    with pytest.raises(SettingError, match=said):
        PredictionSettings.load(path)
    with pytest.raises(ValidationError):
        PredictionSettings(test_share=2)
