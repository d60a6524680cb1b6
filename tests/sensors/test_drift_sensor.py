"""The sensor of drift: which champions no longer hold, and when that asks for a training."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from sensors.drift import Champion, Training, alarmed, unanswered

START = datetime(2024, 1, 1, tzinfo=UTC)
OLD: Champion = ("delay", "orders", 3)
NEW: Champion = ("delay", "orders", 4)


def rows(champion: Champion, measure: str, alarms: list[bool]) -> list[tuple]:
    return [(*champion, measure, alarm) for alarm in alarms]


def table(*parts: list[tuple]) -> pl.DataFrame:
    schema = {
        "task": pl.String,
        "object_type": pl.String,
        "model_version": pl.Int64,
        "measure": pl.String,
        "alarm": pl.Boolean,
    }
    return pl.DataFrame([row for part in parts for row in part], schema=schema, orient="row")


def test_a_champion_no_longer_holds_by_its_error_what_it_says_or_many_features() -> None:
    other: Champion = ("remaining_time", "orders", 1)
    few, many = [True] + [False] * 9, [True] * 3 + [False] * 7
    steady = rows(other, "feature_drift", few)
    assert alarmed(table()) == frozenset()
    assert alarmed(table(steady, rows(OLD, "feature_drift", few))) == frozenset()
    assert alarmed(table(steady, rows(OLD, "feature_drift", many))) == {OLD}
    for measure in ("error", "prediction_drift"):
        assert alarmed(table(steady, rows(OLD, measure, [True]))) == {OLD}
        assert alarmed(table(steady, rows(OLD, measure, [False]))) == frozenset()


def test_an_alarm_asks_once_and_again_for_new_features_a_day_later() -> None:
    answered = {OLD: Training("shop.features.1", START)}

    def told(champion: Champion, number: int, hours: int) -> tuple[frozenset[Champion], frozenset[Champion]]:
        now = START + timedelta(hours=hours)
        return unanswered([champion], answered, features=f"shop.features.{number}", now=now)

    assert told(OLD, 1, 1) == told(OLD, 1, 1_000) == (frozenset(), frozenset())
    assert told(OLD, 2, 23) == (frozenset(), {OLD})
    assert told(OLD, 2, 24) == ({OLD}, frozenset())
    assert told(NEW, 1, 1) == ({NEW}, frozenset())
    assert unanswered([], answered, features="shop.features.2", now=START) == (frozenset(), frozenset())


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=40))
def test_an_alarm_that_lasts_is_trained_for_no_more_often_than_data_and_days_go_by(ticks) -> None:
    """However often monitoring is published: at most once for each state of the features, and once a day."""
    now, number, answered, asked = START, 0, {}, []
    for hours, new in ticks:
        now, number = now + timedelta(hours=hours), number + new
        features = f"shop.features.{number}"
        if unanswered([OLD], answered, features=features, now=now)[0]:
            answered = {OLD: Training(features, now)}
            asked.append((features, now))
    assert len({features for features, _ in asked}) == len(asked)
    assert all(later - sooner >= timedelta(days=1) for (_, sooner), (_, later) in pairwise(asked))
