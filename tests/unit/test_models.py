"""Models of prefixes: split by time, reproducible, calibrated, judged beside a baseline."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cloudpickle
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score
from threadpoolctl import threadpool_info

from ocelake.models import (
    Answers,
    Task,
    Trained,
    TrainingSettings,
    Untrainable,
    answers_of,
    judge,
    judge_pair,
    plot_training,
    scorer,
    split_by_time,
    train_model,
)
from ocelake.models.baselines import fit_baseline
from ocelake.models.evaluate import drawn_together

START = datetime(2024, 1, 1, tzinfo=UTC)
QUICK = TrainingSettings(max_rows=2_000, replicates=100)
TASKS = {
    "activity": Task("next_activity", "activity", "order"),
    "duration": Task("remaining_time", "duration", "order"),
    "outcome": Task("delay", "outcome", "order"),
}


def prefixes(objects: int = 300, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, pl.Series]]:
    """Prefixes of two events each, and targets that depend on ``size`` alone, with some chance."""
    rng = np.random.default_rng(seed)
    size = np.repeat(rng.normal(size=objects), 2).astype(np.float32)
    begin = np.repeat(np.arange(objects), 2)
    step = np.tile([0, 1], objects)
    rows = pl.DataFrame(
        {
            "object_id": [f"o{n}" for n in begin],
            "group": [f"g{n // 2}" for n in begin],
            "position": step + 1,
            "time": [START + timedelta(days=int(n), hours=int(s)) for n, s in zip(begin, step, strict=True)],
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    values = pl.DataFrame(
        {
            "activity": pl.Series(["place", "pick"] * objects),
            "activity_1": pl.Series([None, "place"] * objects),
            "activity_2": pl.Series([None, None] * objects, dtype=pl.String),
            "size": size,
            "colour": pl.Series(rng.choice(["red", "blue"], 2 * objects)),
            "noise": pl.Series(rng.normal(size=2 * objects).astype(np.float32)),
        }
    )
    chance = rng.random(2 * objects)
    targets = {
        "activity": pl.Series(np.where(size + 0.3 * chance > 0.5, "send", np.where(chance < 0.9, "pay", "cancel"))),
        "duration": pl.Series(3600.0 * np.exp(size) * (0.5 + chance)),
        "outcome": pl.Series(chance < 1 / (1 + np.exp(-2 * size))),
    }
    return rows, values, targets


def training(kind: str, objects: int = 300, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows, values, targets = prefixes(objects, seed)
    known = rows["time"] + timedelta(hours=6)
    return rows.with_columns(target=targets[kind], known_at=known), values


@pytest.fixture(scope="module")
def trained() -> dict[str, Trained]:
    found = {kind: train_model(task, *training(kind), settings=QUICK) for kind, task in TASKS.items()}
    assert all(isinstance(model, Trained) for model in found.values())
    return found


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60), st.integers(0, 30), st.booleans()), min_size=5))
def test_what_is_trained_on_was_known_before_what_is_judged_on(drawn) -> None:
    rows = pl.DataFrame(
        [
            (f"o{thing}", START + timedelta(days=day), START + timedelta(days=day + after) if known else None)
            for thing, day, after, known in drawn
        ],
        schema={"object_id": pl.String, "time": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC")},
        orient="row",
    ).with_columns(target=pl.when(pl.col("known_at").is_not_null()).then(1.0))
    for kind in TASKS:
        split = split_by_time(rows, kind, test_share=0.3, validation_share=0.2)
        train, test = rows.filter(pl.Series(split.train)), rows.filter(pl.Series(split.test))
        assert (train["known_at"] < split.instant).all()
        assert (test["time"] >= split.instant).all()
        assert not (split.fit & split.validation).any()
        assert not ((split.fit | split.validation) & ~split.train).any()
        assert (rows.filter(pl.Series(split.fit))["known_at"] < split.validation_instant).all()


def test_the_end_of_the_data_is_left_out_where_long_cases_are_missing() -> None:
    rows, _ = training("duration")
    split = split_by_time(rows, "duration", test_share=0.3, validation_share=0.2)
    until = rows["known_at"].max() - timedelta(hours=6)
    assert rows.filter(pl.Series(split.test))["time"].max() <= until
    whole = split_by_time(rows, "activity", test_share=0.3, validation_share=0.2)
    assert whole.test_rows == rows.filter(pl.col("time") >= whole.instant).height
    # Where cases are short or very long, that would leave hardly anything.
    short = pl.col("object_id").str.slice(1).cast(pl.Int64) % 2 == 0
    after = pl.when(short).then(pl.duration(days=1)).otherwise(pl.duration(days=130))
    mixed = rows.with_columns(known_at=pl.col("time") + after)
    known = pl.col("known_at") <= pl.col("time").max()
    mixed = mixed.with_columns(pl.when(known).then(name).alias(name) for name in ("target", "known_at"))
    assert split_by_time(mixed, "duration", test_share=0.3, validation_share=0.2).biased_end


@pytest.mark.parametrize("kind", TASKS)
def test_what_is_to_be_learned_is_learned_and_the_baseline_beaten(trained: dict[str, Trained], kind: str) -> None:
    found = trained[kind]
    assert found.better
    assert found.importance["feature"][0] == "size"
    baseline = "median" if kind == "duration" else "n-gram"
    assert set(found.metrics["model"]) == {"gradient boosting", baseline, "difference"}
    models = found.metrics.filter((pl.col("metric") != "ece") & (pl.col("model") != "difference"))
    assert (models["low"] <= models["value"] + 1e-9).all()
    assert (models["value"] <= models["high"] + 1e-9).all()


def test_where_there_is_nothing_to_learn_the_model_is_not_called_better() -> None:
    rows, values = training("outcome")
    chance = pl.Series(np.random.default_rng(1).random(rows.height) < 0.5)
    found = train_model(TASKS["outcome"], rows.with_columns(target=chance), values, settings=QUICK)
    assert isinstance(found, Trained)
    assert not found.better


@pytest.mark.parametrize("kind", TASKS)
def test_the_same_training_gives_the_same_bits(trained: dict[str, Trained], kind: str) -> None:
    rows, values = training(kind)
    again = train_model(TASKS[kind], rows, values, settings=QUICK)
    assert isinstance(again, Trained)
    assert np.array_equal(answers_of(again.scorer, values).numbers, answers_of(trained[kind].scorer, values).numbers)
    assert again.metrics.equals(trained[kind].metrics)


@pytest.mark.parametrize("kind", TASKS)
def test_what_comes_after_the_split_changes_nothing_in_the_model(trained: dict[str, Trained], kind: str) -> None:
    rows, values = training(kind)
    late = rows["known_at"] >= trained[kind].split.instant
    other, _ = training(kind, seed=5)
    changed = rows.with_columns(target=rows["target"].zip_with(~late, other["target"]))
    moved = values.with_columns(size=pl.when(late).then(pl.col("size") * -1).otherwise("size"))
    again = train_model(TASKS[kind], changed, moved, settings=QUICK)
    assert isinstance(again, Trained)
    assert np.array_equal(answers_of(again.scorer, values).numbers, answers_of(trained[kind].scorer, values).numbers)


def test_quantiles_are_in_order_and_each_leaves_out_about_what_it_claims() -> None:
    found = train_model(TASKS["duration"], *training("duration", objects=1_200), settings=QUICK)
    assert isinstance(found, Trained)
    rows, values = training("duration", objects=1_200, seed=3)
    low, middle, high = answers_of(found.scorer, values).numbers.T
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert (low >= 0).all()
    target = rows["target"].to_numpy()
    assert 0.05 < (target < low).mean() < 0.15
    assert 0.05 < (target > high).mean() < 0.15


def ending(objects: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Prefixes of which one in three is the last, so that nothing remains after it."""
    rows, values = training("duration", objects, seed)
    last = pl.Series(np.arange(rows.height) % 3 == 2)
    activity = values["activity"].zip_with(~last, pl.Series(["end"] * rows.height))
    return rows.with_columns(target=rows["target"].zip_with(~last, pl.zeros(rows.height, eager=True))), (
        values.with_columns(activity=activity)
    )


def test_each_end_of_the_interval_holds_where_many_prefixes_are_the_last() -> None:
    found = train_model(TASKS["duration"], *ending(900, 0), settings=QUICK)
    assert isinstance(found, Trained)
    rows, values = ending(900, 1)
    low, middle, high = answers_of(found.scorer, values).numbers.T
    target = rows["target"].to_numpy()
    over = target == 0
    assert len(np.unique(low)) > 100
    assert not low[over].any()
    assert middle[over].max() < 60
    assert 0.05 < (target < low)[~over].mean() < 0.15
    assert 0.05 < (target > high)[~over].mean() < 0.15
    # Most is over: the middle is learned in the same way.
    most = pl.Series(np.arange(rows.height) % 6 != 0)
    ended = values["activity"].zip_with(~most, pl.Series(["end"] * rows.height))
    begun = values["activity"].zip_with(most, pl.Series(["begin"] * rows.height))
    rows = rows.with_columns(target=pl.lit(7_200.0) + pl.col("target")).with_columns(
        target=pl.when(most).then(0.0).otherwise("target")
    )
    values = values.with_columns(activity=pl.when(most).then(ended).otherwise(begun))
    found = train_model(TASKS["duration"], rows, values, settings=QUICK)
    assert isinstance(found, Trained)
    middle = answers_of(found.scorer, values).numbers[:, 1]
    assert middle[~most.to_numpy()].min() > 3_600
    assert middle[most.to_numpy()].max() < 60


class Constant:
    def __init__(self, said: float) -> None:
        self.said = said

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return np.full(len(matrix), self.said)


@pytest.mark.parametrize(
    ("said", "calibration", "expected"),
    [
        ((90, 100, 200), (10, 20, 7), (80, 100, 220)),
        ((90, 100, 200), (-30, -30, 7), (100, 100, 170)),
        ((90, 100, 200), (-5, -300, 7), (95, 100, 100)),
        ((0, 100, 200), (-30, 0, 7), (0, 100, 200)),  # nothing was learned of what is not above 0
        ((20, 100, 200), (30, 0, 7), (0, 100, 200)),
        ((120, 100, 90), (0, 0, 7), (100, 100, 100)),
        ((-1, 0, 50), (10, 20, 7), (0, 0, 57)),
    ],
)
def test_the_ends_are_moved_each_by_its_own_and_never_the_middle(said, calibration, expected) -> None:
    models = [Constant(number) for number in said]
    made = scorer.Scorer("duration", scorer.Encoder(["size"], {}), models, [], calibration=calibration)
    assert made.predict({"size": [1.0, 2.0]}) == {
        name: pytest.approx([number] * 2) for name, number in zip(("low", "prediction", "high"), expected, strict=True)
    }


def test_metrics_are_those_of_others() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.random(400) < 0.4, rng.random(400).round(1)
    found = judge("outcome", pl.Series(truth), pl.Series(range(400)), Answers(said, []), replicates=0, seed=0)
    assert found["auc"].value == pytest.approx(roc_auc_score(truth, said))
    assert found["brier"].value == pytest.approx(((said - truth) ** 2).mean())
    names = np.array(["a", "b", "c"])
    there, numbers = names[rng.integers(0, 3, 400)], rng.dirichlet([1, 1, 1], 400)
    answers = Answers(numbers, list(names))
    found = judge("activity", pl.Series(there), pl.Series(range(400)), answers, replicates=0, seed=0)
    best = names[numbers.argmax(axis=1)]
    assert found["accuracy"].value == pytest.approx((best == there).mean())
    assert found["f1_weighted"].value == pytest.approx(f1_score(there, best, average="weighted"))


def test_intervals_are_those_of_the_bootstrap_over_executions() -> None:
    rng = np.random.default_rng(0)
    error = rng.exponential(size=300)
    answers = Answers(np.stack([error * 0, error * 86_400, error * 0], axis=1), [])
    zero = pl.Series(np.zeros(300))
    low, high = judge("duration", zero, pl.Series(range(300)), answers, replicates=2_000, seed=0)["mae"].interval
    theirs = stats.bootstrap((error,), np.mean, n_resamples=2_000, method="percentile", rng=1).confidence_interval
    assert low == pytest.approx(theirs.low, rel=0.03)
    assert high == pytest.approx(theirs.high, rel=0.03)
    # Ten prefixes that say the same are one observation.
    wide = judge("duration", zero, pl.Series(np.arange(300) // 10), answers, replicates=2_000, seed=0)["mae"]
    same = judge(
        "duration",
        pl.Series(np.zeros(3_000)),
        pl.Series(np.repeat(np.arange(300), 10)),
        Answers(np.repeat(answers.numbers, 10, axis=0), []),
        replicates=2_000,
        seed=0,
    )["mae"]
    assert same.interval == pytest.approx((low, high), rel=0.03)
    assert wide.value == pytest.approx(error.mean())


def test_where_executions_are_few_or_one_is_most_of_the_log_stretches_of_objects_are_drawn() -> None:
    rows, _ = training("duration", objects=120)
    assert drawn_together(rows).equals(rows["group"])
    one = rows.with_columns(group=pl.lit("all"))
    # Half of it is not more than half.
    half = rows.with_columns(group=pl.when(pl.int_range(pl.len()) < 120).then(pl.lit("g")).otherwise("group"))
    assert drawn_together(half).equals(half["group"])
    most = rows.with_columns(group=pl.when(pl.int_range(pl.len()) < 122).then(pl.lit("g")).otherwise("group"))
    few = rows.with_columns(group=pl.col("object_id").str.slice(1).cast(pl.Int64) % 19)
    for odd in (one, most, few):
        assert drawn_together(odd).to_list() == [place // 12 for place in range(240)]
    # The mean of independent errors: about as wide as it is for independent executions.
    rng = np.random.default_rng(0)
    errors = np.repeat(rng.exponential(size=2_000), 2)
    many, _ = training("duration", objects=2_000)
    answers = Answers(np.stack([errors * 0, errors * 86_400, errors * 0], axis=1), [])
    together = drawn_together(many.with_columns(group=pl.lit("all")))
    metric = judge("duration", pl.zeros(4_000, eager=True), together, answers, replicates=2_000, seed=0)["mae"]
    low, high = metric.interval
    assert 0.6 < (high - low) / (2 * 1.96 / np.sqrt(2_000)) < 1.4
    assert low < 1 < high


def test_where_nothing_can_be_drawn_there_is_no_interval_and_nothing_is_better() -> None:
    rng = np.random.default_rng(0)
    truth, said = pl.Series(rng.random(400) < 0.4), Answers(rng.random(400), [])
    for target, group in (
        (truth, pl.Series(["all"] * 400)),
        (truth, pl.Series(np.arange(400) % 19)),
        (truth, pl.Series(np.maximum(np.arange(400) - 201, 0))),
        (pl.Series([False] * 400), pl.Series(range(400))),
    ):
        assert np.isnan(judge("outcome", target, group, said, replicates=50, seed=0)["brier"].interval).all()
    rows, values = training("outcome")
    never = rows.with_columns(target=pl.col("target") & (pl.col("time") < START + timedelta(days=200)))
    found = train_model(TASKS["outcome"], never, values, settings=QUICK)
    assert isinstance(found, Trained)
    assert not found.better


@pytest.mark.parametrize("seed", range(6))
def test_what_is_chance_alone_is_not_better_in_a_log_of_one_execution(seed: int) -> None:
    rows, values = training("outcome")
    chance = pl.Series(np.random.default_rng(seed).random(rows.height) < 0.5)
    found = train_model(TASKS["outcome"], rows.with_columns(target=chance, group=pl.lit("all")), values, settings=QUICK)
    assert isinstance(found, Trained)
    assert not found.better
    low, high = (
        found.metrics.filter((pl.col("model") == "difference") & (pl.col("metric") == "brier"))
        .select("low", "high")
        .row(0)
    )
    assert low < high


def test_what_can_be_learned_is_better_in_a_log_of_one_execution_too() -> None:
    rows, values = training("outcome")
    found = train_model(TASKS["outcome"], rows.with_columns(group=pl.lit("all")), values, settings=QUICK)
    assert isinstance(found, Trained)
    assert found.better


def test_the_baseline_backs_off_to_shorter_contexts() -> None:
    values = pl.DataFrame(
        {
            "activity": ["b"] * 22,
            "activity_1": ["a"] * 10 + ["x"] * 12,
            "activity_2": ["a"] * 3 + ["b"] * 7 + ["x"] * 12,
        }
    )
    rows = pl.DataFrame({"position": [3] * 22, "target": [1.0] * 10 + [3.0] * 12})
    found = fit_baseline("duration", rows, values, [])
    asked = pl.DataFrame({"activity": ["b", "new"], "activity_1": ["a", "a"], "activity_2": ["a", "a"]})
    assert found.answer(rows[:2], asked).tolist() == [[1.0, 3.0, 3.0], [1.0, 3.0, 3.0]]
    truths = rows.with_columns(target=pl.col("target") > 1)
    said = fit_baseline("outcome", truths, values, []).answer(truths[:2], asked)
    # (a, b) was seen ten times and was never true; what is new is as often true as anything.
    assert said == pytest.approx([0.5 / 11, 12.5 / 23])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (pl.lit(None, pl.Float64), "Nothing is known"),
        (pl.lit(5.0), "always the same"),
        (pl.when(pl.col("object_id") == "o3").then("target"), "Only"),
    ],
)
def test_small_and_odd_logs_are_not_trained_and_it_is_said_why(change: pl.Expr, reason: str) -> None:
    rows, values = training("duration")
    odd = rows.with_columns(target=change)
    odd = odd.with_columns(known_at=pl.when(pl.col("target").is_not_null()).then("known_at"))
    found = train_model(TASKS["duration"], odd, values, settings=QUICK)
    assert isinstance(found, Untrainable)
    assert reason in found.reason


def test_one_class_and_one_object_are_not_trained() -> None:
    rows, values = training("activity")
    one = train_model(TASKS["activity"], rows.with_columns(target=pl.lit("pay")), values, settings=QUICK)
    assert isinstance(one, Untrainable)
    few = train_model(TASKS["activity"], rows[:2], values[:2], settings=QUICK)
    assert isinstance(few, Untrainable)
    none = train_model(TASKS["activity"], rows[:0], values[:0], settings=QUICK)
    assert isinstance(none, Untrainable)


def test_activities_that_hardly_ever_come_again_are_not_trained_and_it_is_said_why() -> None:
    rows, values = training("activity")
    unique = pl.Series([f"visit {number}" for number in range(rows.height)])
    every = pl.Series(np.arange(rows.height) % 3 == 0)
    late = rows["time"] >= START + timedelta(days=150)
    for target, reason in (
        (unique, "Nothing comes often enough"),
        (unique.zip_with(~every, pl.Series(["pay"] * rows.height)), "Only pay comes often enough"),
        (rows["target"].zip_with(~late, unique), "does not come where a model is chosen"),
    ):
        found = train_model(TASKS["activity"], rows.with_columns(target=target), values, settings=QUICK)
        assert isinstance(found, Untrainable)
        assert reason in found.reason


def test_objects_longer_than_what_may_be_fitted_are_cut() -> None:
    rows, values = training("activity")
    rows = rows.with_columns(object_id=pl.format("o{}", pl.int_range(pl.len()) // 15))
    found = train_model(TASKS["activity"], rows, values, settings=replace(QUICK, max_rows=14))
    assert isinstance(found, Trained)
    assert found.parameters["rows_fitted"] == 14


def test_a_model_is_as_good_as_itself(trained: dict[str, Trained]) -> None:
    rows, values = training("outcome")
    mine = trained["outcome"].scorer
    assert judge_pair(mine, mine, TASKS["outcome"], rows, values) == (0.0, 0.0, 0.0)


def test_reasons_name_what_moved_a_prediction(trained: dict[str, Trained]) -> None:
    _, values = training("outcome")
    columns = {name: values[name].to_numpy() for name in values.columns}
    names, effects = trained["outcome"].scorer.reasons(columns, 2)
    far = np.argsort(-np.abs(values["size"].to_numpy()))[:20]
    assert [names[row][0] for row in far] == ["size"] * 20
    assert all(np.sign(effects[row][0]) == np.sign(values["size"][int(row)]) for row in far)


@pytest.mark.parametrize("kind", TASKS)
def test_reasons_are_what_changes_where_the_usual_value_stands_and_rows_that_have_it_are_not_asked(
    trained: dict[str, Trained], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trained[kind].scorer
    _, values = training(kind, objects=50, seed=4)
    values = values.with_columns(colour=pl.lit("red"), size=pl.when(pl.int_range(pl.len()) % 5 > 0).then("size"))
    columns = {name: values[name].to_numpy() for name in values.columns}
    matrix = found.encoder.matrix(columns)

    def said(rows: np.ndarray) -> np.ndarray:
        if kind == "duration":
            return found.quantiles_of(rows)[:, 1]
        numbers = found.probabilities_of(rows)
        return numbers if kind == "outcome" else numbers[np.arange(len(rows)), top]

    top = found.probabilities_of(matrix).argmax(axis=1) if kind == "activity" else None
    effects = {}
    for place in found.important:
        other = matrix.copy()
        other[:, place] = found.usual[place]
        effects[found.columns[place]] = said(matrix) - said(other)
    asked: list[int] = []
    name = "middle_of" if kind == "duration" else "probabilities_of"
    ask = getattr(found, name)
    monkeypatch.setattr(found, name, lambda rows: (asked.append(len(rows)), ask(rows))[1], raising=False)
    names, moved = found.reasons(columns, len(found.important))
    for row, (of_row, by) in enumerate(zip(names, moved, strict=True)):
        assert by == pytest.approx([effects[column][row] for column in of_row])
        assert np.abs(by).tolist() == sorted(np.abs(by), reverse=True)
    assert sum(asked) < 100 * (len(found.important) + 1)
    assert found.reasons({name: column[:0] for name, column in columns.items()}) == ([], [])


def test_a_scorer_is_asked_by_one_thread(trained: dict[str, Trained], monkeypatch: pytest.MonkeyPatch) -> None:
    _, values = training("duration")
    found, threads = trained["duration"].scorer, []
    predict = found.predict

    def watched(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        threads.extend(part["num_threads"] for part in threadpool_info() if part["user_api"] == "openmp")
        return predict(columns)

    monkeypatch.setattr(found, "predict", watched, raising=False)
    answers_of(found, values)
    assert set(threads) == {1}


def test_plots_of_names_without_end_are_drawn_without_a_warning(trained: dict[str, Trained], tmp_path: Path) -> None:
    found = trained["duration"]
    name = "pay $x_ and ^$ " * 60
    long = replace(
        found,
        task=replace(found.task, name=f"outcome_{name}", object_type=name),
        importance=found.importance.with_columns(feature=pl.format("{} {}", pl.lit(name), "feature")),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind, figure in plot_training(long).items():
            figure.savefig(tmp_path / f"{kind}.png")


def test_plots_are_drawn(trained: dict[str, Trained], tmp_path: Path) -> None:
    for kind, found in trained.items():
        for name, figure in plot_training(found).items():
            figure.savefig(tmp_path / f"{kind}_{name}.png")
            assert (tmp_path / f"{kind}_{name}.png").stat().st_size > 5_000


def test_a_scorer_needs_nothing_of_ocelake(trained: dict[str, Trained], tmp_path: Path) -> None:
    _, values = training("duration")
    cloudpickle.register_pickle_by_value(scorer)
    try:
        for kind, found in trained.items():
            (tmp_path / f"{kind}.pkl").write_bytes(cloudpickle.dumps(found.scorer))
    finally:
        cloudpickle.unregister_pickle_by_value(scorer)
    (tmp_path / "values.pkl").write_bytes(pickle.dumps({name: values[name].to_numpy() for name in values.columns}))
    code = """
import pickle, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ocelake", "polars", "dagster", "mlflow"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
values = pickle.load(open("values.pkl", "rb"))
for kind in ("activity", "duration", "outcome"):
    said = pickle.load(open(kind + ".pkl", "rb")).predict(values)["prediction"]
    print(len(said) if kind == "activity" else float(sum(said)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    columns = {name: values[name].to_numpy() for name in values.columns}
    assert int(said[0]) == values.height
    assert float(said[1]) == float(sum(trained["duration"].scorer.predict(columns)["prediction"]))


def test_missing_columns_are_named(trained: dict[str, Trained]) -> None:
    _, values = training("outcome")
    columns = {name: values[name].to_numpy() for name in values.columns if name != "size"}
    with pytest.raises(KeyError, match="size"):
        trained["outcome"].scorer.predict(columns)


def test_a_model_does_without_features_that_tell_the_time_alone() -> None:
    rows, values = training("duration", objects=120)
    # Known to be the same for all at one time, and of no use later.
    day = (rows["time"] - rows["time"].min()).dt.total_days()
    clocks = {f"clock {step}": (day * step % 101).cast(pl.Float32) for step in range(1, 30)}
    found = train_model(TASKS["duration"], rows, values.with_columns(**clocks), optional=clocks, settings=QUICK)
    assert isinstance(found, Trained)
    assert found.parameters["without_workload"]
    assert not {name for name in found.columns if name.startswith("clock")}
    assert found.parameters["settings_tried"] == 5
    plain = train_model(TASKS["duration"], rows, values, settings=QUICK)
    assert isinstance(plain, Trained)
    assert plain.parameters["settings_tried"] == 4


def test_what_is_missing_is_not_the_same_as_what_is_unknown_and_data_frames_say_it_in_their_own_way() -> None:
    encoder = scorer.Encoder(["colour", "size"], {"colour": {"red": 1, "blue": 2}})
    texts = np.array(["red", None, "green", float("nan"), "blue"], dtype=object)
    matrix = encoder.matrix({"colour": texts, "size": np.arange(5)})
    assert matrix[:, 0].tolist()[0::2] == [1, 0, 2]
    assert np.isnan(matrix[[1, 3], 0]).all()
    assert encoder.matrix({"colour": np.array([], dtype=object), "size": np.array([])}).shape == (0, 2)
