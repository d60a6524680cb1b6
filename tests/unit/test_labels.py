"""Labels of prefixes: what came after, and when it became known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
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


def test_delay_is_known_at_the_due_time_or_the_end_and_no_question_after_it() -> None:
    settings = PredictionSettings(ends=ENDS, targets={"order": "5d"})
    assert labels("delay", settings) == [
        ("a", 1, True, at(5)),
        ("a", 2, True, at(5)),
        ("a", 3, None, None),
        ("b", 1, False, at(2)),
        ("b", 2, False, at(2)),
        ("c", 1, None, None),
        ("c", 2, None, None),
    ]
    assert [row[2] for row in labels("delay", PredictionSettings(ends=ENDS, targets={"order": "12h"}))][-2:] == [
        True,
        None,
    ]


def test_an_outcome_by_activity_is_no_question_once_it_has_come() -> None:
    settings = PredictionSettings(
        ends=ENDS, outcomes=(OutcomeSettings(name="reminded", object_type="order", activity="remind"),)
    )
    assert tasks_of("order", settings)[-1] == ("outcome_reminded", "outcome")
    assert labels("outcome_reminded", settings) == [
        ("a", 1, True, at(3)),
        ("a", 2, None, None),
        ("a", 3, None, None),
        ("b", 1, False, at(2)),
        ("b", 2, False, at(2)),
        ("c", 1, True, at(9)),
        ("c", 2, None, None),
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
        (True, at(4)),
        (True, at(4)),
        (None, None),
        (False, at(2)),
    ]
    assert [row[2] for row in labels("outcome_refused", settings, object_attributes=values)][:3] == [True, None, None]


def test_an_outcome_by_a_rule_is_known_at_the_end() -> None:
    settings = PredictionSettings(ends=ENDS, outcomes=(OutcomeSettings(name="bad", object_type="order", rule="r"),))
    found = labels("outcome_bad", settings, violations={"r": frozenset({"a", "c"})})
    assert [row[2:] for row in found] == [
        *[(True, at(7))] * 3,
        *[(False, at(2))] * 2,
        *[(None, None)] * 2,
    ]


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
