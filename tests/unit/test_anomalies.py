"""Unusual objects: held against their like, with what is missing as what it is, and told for a person."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ocelake.models.anomalies import unusual_executions

DAY = 86_400.0
STEPS = 8


def objects(over: int, running: int, seed: int = 0) -> tuple[pl.DataFrame, pl.Series]:
    """Objects of eight steps, a day or two each; those that run have come to any of the steps before the last."""
    rng = np.random.default_rng(seed)
    position = np.concatenate([np.full(over, STEPS), rng.integers(1, STEPS, running)])
    at = np.cumsum(rng.uniform(1, 2, (len(position), STEPS)), axis=1) * DAY
    now = at[np.arange(len(position)), position - 1]
    done = position[:, np.newaxis] > np.arange(STEPS)
    values = pl.DataFrame(
        {
            "position": position.astype(np.float32),
            "elapsed": now - at[:, 0],
            **{f"count: step {n}": done[:, n].astype(np.float32) for n in range(STEPS)},
            **{f"since: step {n}": np.where(done[:, n], now - at[:, n], np.nan) for n in range(STEPS)},
            "own: price": rng.normal(100, 10, len(position)),
        }
    )
    return values.with_columns(pl.all().cast(pl.Float32)), pl.Series([False] * over + [True] * running)


@pytest.mark.parametrize("seed", range(3))
def test_an_object_is_not_unusual_for_being_new(seed: int) -> None:
    values, running = objects(900, 150, seed)
    alike = unusual_executions(values, seed=seed, running=running)["unusual"]
    mixed = unusual_executions(values, seed=seed)["unusual"]
    assert (mixed & running).sum() > 30  # few among all
    assert (alike & running).sum() <= 5


def test_what_is_odd_among_its_like_is_found() -> None:
    values, running = objects(300, 300)
    odd = values.with_row_index().filter((pl.col("position") == 3) & pl.Series(running))["index"][0]
    changed = [pl.when(pl.int_range(pl.len()) == odd).then(pl.col(name) * 9).otherwise(name).alias(name)
               for name in ("elapsed", "since: step 0", "since: step 1", "own: price")]  # fmt: skip
    found = unusual_executions(values.with_columns(changed), seed=0, running=running)
    assert found["unusual"][odd]
    assert found["score"].arg_max() == odd
    assert (found["detail"] != "").to_list() == found["unusual"].to_list()


def test_never_is_not_just_now_and_durations_have_a_unit() -> None:
    values, _ = objects(300, 0)
    odd = pl.int_range(pl.len()) == 0
    reminded = values.with_columns(
        pl.when(odd).then(30 * DAY).otherwise("elapsed").alias("elapsed"),
        pl.when(odd).then(None).otherwise("since: step 4").alias("since: step 4"),
        pl.when(odd).then(0.0).alias("since: payment reminder"),
    )
    found = unusual_executions(reminded, seed=0)
    assert found["score"].arg_max() == 0
    told = found["detail"][0]
    assert "since: payment reminder 0 s (usual none)" in told
    assert "since: step 4 none (usual 4.5 d)" in told
    assert "elapsed 30 d (usual 10.5 d)" in told or "elapsed 30 d (usual 10 d)" in told


def test_of_a_few_none_is_unusual() -> None:
    values, running = objects(200, 49)
    assert unusual_executions(values, seed=0, running=running)["score"].tail(49).to_list() == [0.0] * 49
    assert unusual_executions(values.head(49), seed=0).rows() == [(0.0, False, "")] * 49
    assert unusual_executions(values.select(pl.lit("text").alias("activity")), seed=0)["unusual"].to_list() == [False]
    assert unusual_executions(values.head(0), seed=0).is_empty()


def test_features_that_no_object_has_are_passed_over() -> None:
    values, running = objects(100, 100)
    never = values.with_columns(pl.lit(None, pl.Float32).alias("since: never"))
    for chosen in (None, running):
        without = unusual_executions(values, seed=0, running=chosen)
        assert unusual_executions(never, seed=0, running=chosen)["detail"].str.contains("never").sum() == 0
        assert without["score"].is_between(0, 1).all()
