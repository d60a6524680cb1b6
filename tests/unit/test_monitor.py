"""How champions hold: on a process that stays as it is nothing is told, on one that changes something is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ocelake.lake.features import TrainingSet
from ocelake.monitor import since_training
from sensors.drift import Answered, alarming

START = datetime(2024, 1, 1, tzinfo=UTC)
CASES = 6_000
DAYS = 120


class Knows:
    """A scorer that says what is so on average: it cannot err more or less than the process lets it."""

    columns = ("kind",)
    classes = (False, True)
    kind = "outcome"

    def predict(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        share = self.probabilities(values)
        return {"prediction": share >= 0.5, "probability": share}

    def probabilities(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.where(np.asarray(values["kind"]) == 1, 0.3, 0.1)


def process(until: float, refused: float = 0.2, changed: float | None = None) -> TrainingSet:
    """Cases that are refused within days, or closed after about forty; what is known of them by some day."""
    rng = np.random.default_rng(1)
    begun = np.sort(rng.uniform(0, DAYS, CASES))
    kind = rng.integers(0, 2, CASES)
    share = np.where(kind == 1, 0.3, 0.1) * refused / 0.2
    if changed is not None:
        share = np.where(begun >= changed, 0.9 - share, share)
    true = rng.random(CASES) < share
    taken = np.where(true, rng.uniform(0.5, 4, CASES), rng.normal(40, 4, CASES))
    there = begun <= until
    known = there & (begun + taken <= until)
    at = [START + timedelta(days=float(day)) for day in begun]
    told = [START + timedelta(days=float(day)) for day in begun + taken]
    rows = pl.DataFrame(
        {
            "object_id": [f"o{number}" for number in range(CASES)],
            "position": 1,
            "time": at,
            "target": [bool(one) if seen else None for one, seen in zip(true, known, strict=True)],
            "known_at": [when if seen else None for when, seen in zip(told, known, strict=True)],
        },
        schema_overrides={"time": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC")},
    ).with_columns(group="object_id")
    values = pl.DataFrame({"kind": kind.astype(np.float32)})
    mask = pl.Series(there)
    return TrainingSet("outcome_refused", "outcome", "case", rows.filter(mask), values.filter(mask))


def error(part: TrainingSet, trained: float) -> dict | None:
    champion = {"seen_until": START + timedelta(days=trained), "value": 0.15}  # 0.3 * 0.7 / 2 + 0.1 * 0.9 / 2
    rows = [row for row in since_training(part, Knows(), champion) if row["measure"] == "error"]
    return rows[0] if rows else None


@pytest.mark.parametrize("later", [14, 30, 50, 58])
def test_a_process_that_stays_as_it_is_raises_no_alarm(later: float) -> None:
    found = error(process(60 + later), 60)
    if found is not None:
        assert not found["alarm"]
        if found["rows"] > 300:
            assert abs(found["value"] - 0.15) < 0.04


def test_a_process_that_changes_does() -> None:
    found = error(process(118, changed=60), 60)
    assert found is not None
    assert found["alarm"]


NOW = datetime(2024, 6, 1, tzinfo=UTC)


def test_an_alarm_is_answered_once_a_day_and_a_new_one_at_once() -> None:
    first, asked = Answered().after("m1", frozenset({"a"}), NOW)
    assert asked
    again, asked = first.after("m2", frozenset({"a"}), NOW + timedelta(hours=3))
    assert not asked
    assert again.seen == "m2"
    assert not again.after("m3", frozenset(), NOW + timedelta(days=9))[1]
    assert again.after("m3", frozenset({"a", "b"}), NOW + timedelta(hours=4))[1]
    assert again.after("m3", frozenset({"a"}), NOW + timedelta(days=1))[1]
    assert Answered.read("m1").seen == "m1"


def test_what_is_alarming_is_named_by_champion() -> None:
    def rows(task: str, measure: str, alarms: list[bool]) -> pl.DataFrame:
        return pl.DataFrame(
            {"task": task, "object_type": "orders", "model_version": 2, "measure": measure, "alarm": alarms}
        )

    few, many = [True] + [False] * 9, [True] * 3 + [False] * 7
    found = pl.concat(
        [
            rows("delay", "feature_drift", few),
            rows("next_activity", "feature_drift", many),
            rows("remaining_time", "error", [True]),
            rows("remaining_time", "feature_drift", few),
            rows("delay", "prediction_drift", [False]),
        ]
    )
    assert alarming(found) == {"orders next_activity 2", "orders remaining_time 2"}
    assert alarming(found.clear()) == frozenset()
