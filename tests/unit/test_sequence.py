"""The sequence model: what it remembers, that it is reproducible and looks at no later row, and how it is asked for."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ocelake.errors import SettingError
from ocelake.features import PredictionSettings
from ocelake.lake import Lake, open_lake
from ocelake.lake.build import STEPS, publish, sources
from ocelake.lake.ingest import ingest
from ocelake.models import SEQUENCE, Scorer, Task, Trained, TrainingSettings, split_by_time, train_model
from ocelake.models.fitting import Data, find_classes
from ocelake.models.tasks import Kind
from ocelake.ocel.generate import generate
from ocelake.ocel.write import write_log
from ocelake.registry import Registry, Training, Version
from ocelake.training import train_log

START = datetime(2024, 1, 1, tzinfo=UTC)
STEPS_OF = ("claim", "read", "ask", "hear", "judge", "tell")
KINDS: tuple[Kind, ...] = ("activity", "duration", "outcome")


def training(kind: Kind, objects: int = 240) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Objects that are all alike but for their first event, which decides how they end; in no order of rows."""
    rng = np.random.default_rng(0)
    length = len(STEPS_OF)
    urgent = np.repeat(rng.random(objects) < 0.5, length)
    number, step = np.repeat(np.arange(objects), length), np.tile(np.arange(length), objects)
    final = step == length - 2
    following = np.array([*STEPS_OF[1:], "(end)"])[step]
    targets = {
        "activity": np.where(final & urgent, "hurry", following),
        "duration": (length - 1 - step) * np.where(urgent, 3_600.0, 86_400.0),
        "outcome": urgent,
    }
    frame = pl.DataFrame(
        {
            "object_id": [f"o{n}" for n in number],
            "group": [f"g{n}" for n in number],
            "position": step + 1,
            "time": [START + timedelta(hours=int(n), minutes=int(s)) for n, s in zip(number, step, strict=True)],
            "target": targets[kind],
            "activity": np.where((step == 0) & urgent, "urgent claim", np.array(STEPS_OF)[step]),
            "elapsed": (60.0 * step).astype(np.float32),
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    ).with_columns(
        known_at=pl.col("time") + timedelta(minutes=30),
        activity_1=pl.col("activity").shift(1).over("object_id"),
        activity_2=pl.col("activity").shift(2).over("object_id"),
    )
    frame = frame.sample(fraction=1, shuffle=True, seed=0)
    values = frame.select("activity", "activity_1", "activity_2", "elapsed")
    return frame.select("object_id", "group", "position", "time", "target", "known_at"), values


def answers(kind: Kind, rows: pl.DataFrame, values: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Give which rows are asked, and what the network answers."""
    pytest.importorskip("autograd")
    from ocelake.models.sequence import sequence_answers

    task = Task("task", kind, "order")
    split = split_by_time(rows, kind, test_share=0.3, validation_share=0.2)
    classes = find_classes(task, rows.filter(pl.Series(split.fit)))
    data = Data(task, rows, None, None, classes, 0)
    parts = {"fit": split.fit, "validation": split.validation, "train": split.train, "asked": split.test}
    return split.test, sequence_answers(data, rows, values, **parts)[0].numbers


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_further_back_than_the_baseline_looks_is_remembered(kind: Kind) -> None:
    pytest.importorskip("autograd")
    rows, values = training(kind)
    settings = TrainingSettings(replicates=100, sequence=True)
    found = train_model(Task("task", kind, "order"), rows, values, settings=settings)
    assert isinstance(found, Trained)
    baseline = "median" if kind == "duration" else "n-gram"
    assert list(found.metrics["model"].unique(maintain_order=True)) == [
        "gradient boosting",
        baseline,
        SEQUENCE,
        "difference",
    ]
    metric = {"activity": "accuracy", "duration": "mae", "outcome": "brier"}[kind]
    ours, theirs = (found.metrics.filter(model=name, metric=metric).row(0, named=True) for name in (SEQUENCE, baseline))
    assert (ours["rows"], ours["groups"], ours["unit"]) == (theirs["rows"], theirs["groups"], theirs["unit"])
    if kind == "activity":  # only one of six prefixes is hard
        assert ours["low"] > 0.99
        assert theirs["high"] < 0.96
    else:
        assert ours["high"] < theirs["low"] / 3
    assert found.parameters["sequence_epochs"] >= 1
    plain = train_model(Task("task", kind, "order"), rows, values, settings=TrainingSettings(replicates=100))
    assert isinstance(plain, Trained)
    assert found.metrics.filter(pl.col("model") != SEQUENCE).equals(plain.metrics)
    assert "sequence_epochs" not in plain.parameters


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_and_seed_give_the_same_bits_and_later_rows_have_no_say(kind: Kind) -> None:
    rows, values = training(kind, objects=120)
    asked, first = answers(kind, rows, values)
    assert np.array_equal(answers(kind, rows, values)[1], first)
    # What is asked is asked of rows after the split; from the fourth event on these become something else.
    changed = asked & (rows["position"] > 3).to_numpy()
    later = values.with_columns(
        activity=pl.when(pl.Series(changed)).then(pl.lit("urgent claim")).otherwise("activity"),
        elapsed=pl.when(pl.Series(changed)).then(pl.lit(1e7, pl.Float32)).otherwise("elapsed"),
    )
    second = answers(kind, rows, later)[1]
    assert np.array_equal(second[~changed[asked]], first[~changed[asked]])
    assert not np.array_equal(second, first)


def test_prefixes_without_a_label_are_steps_all_the_same() -> None:
    rows, values = training("outcome")
    asked, first = answers("outcome", rows, values)
    # Known of an object's last event alone; the network still has to look at its first.
    last = pl.col("position") == len(STEPS_OF)
    sparse = rows.with_columns(pl.when(last).then(name).alias(name) for name in ("target", "known_at"))
    asked, found = answers("outcome", sparse, values)
    truth = rows.filter(pl.Series(asked))["target"].to_numpy()
    assert len(found) < len(first)
    assert ((found > 0.5) == truth).all()


def test_long_objects_are_read_in_blocks_and_what_is_far_back_is_forgotten() -> None:
    pytest.importorskip("autograd")
    from ocelake.models.sequence import _find_windows

    start = np.repeat([0, 65], [65, 5])
    windows = _find_windows(start, np.ones(70, dtype=bool))
    answered = np.concatenate([np.arange(begin, end) for _, begin, end in windows])
    assert answered.tolist() == list(range(70))
    assert ((windows[:, 1] - windows[:, 0] == 20) | (windows[:, 0] == start[windows[:, 0]])).all()
    assert (windows[:, 2] - windows[:, 0] <= 40).all()
    assert (windows[:, 0] >= start[windows[:, 2] - 1]).all()
    assert not len(_find_windows(start, np.zeros(70, dtype=bool)))


def test_the_setting_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.predict.yaml"
    PredictionSettings(sequence=True).save(path)
    assert path.read_text() == "sequence: true\n"
    assert PredictionSettings.load(path).sequence
    assert not PredictionSettings().sequence


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with a log's features, for which a sequence model is asked."""
    home = tmp_path_factory.mktemp("lake")
    PredictionSettings(object_types=("orders",), sequence=True).save(home / "logs" / "shop.predict.yaml")
    write_log(generate(1_500, seed=1), home / "log.json")
    lake = open_lake(home)
    ingest(lake, home / "log.json", "shop")
    for layer in ("silver", "features"):
        step, read = STEPS[layer], sources(lake, "shop", layer)
        settings = step.settings(lake, "shop")
        publish(lake, read, layer, step.compute(lake, read, settings, 1), settings=settings)
    return lake


class Recorder(Registry):
    """A registry that keeps what is recorded, and has no champions."""

    def __init__(self) -> None:
        self.recorded: dict[str, Training] = {}

    def champion(self, name: str) -> Version | None:
        return None

    def record(self, training: Training) -> Version:
        self.recorded[training.name] = training
        return Version(training.name, 1, "run", "models:/")


def test_it_is_in_the_metrics_of_the_lake_and_of_the_run_and_is_not_what_is_recorded(lake: Lake) -> None:
    pytest.importorskip("autograd")
    features, registry = lake.latest("shop", "features"), Recorder()
    assert features is not None
    metrics = train_log(lake, registry, features)["models.metrics"].filter(pl.col("model") == SEQUENCE)
    assert set(metrics["task"]) == {"next_activity", "remaining_time"}
    for task, metric, value in metrics.select("task", "metric", "value").iter_rows():
        assert registry.recorded[f"shop.orders.{task}"].metrics[f"{metric}.sequence_model"] == value
    assert all(isinstance(training.scorer, Scorer) for training in registry.recorded.values())


def test_where_the_extra_is_missing_nothing_is_trained_and_it_is_said_what_to_install(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "autograd", None)
    features, registry = lake.latest("shop", "features"), Recorder()
    assert features is not None
    with pytest.raises(SettingError) as refused:
        train_log(lake, registry, features)
    assert refused.value.where == str(lake.settings.home / "logs" / "shop.predict.yaml")
    assert 'pip install "ocelake[sequence]"' in str(refused.value)
    assert not registry.recorded


def test_the_extra_is_not_imported_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "autograd", None)
    monkeypatch.delitem(sys.modules, "ocelake.models.sequence", raising=False)
    found = train_model(Task("task", "outcome", "order"), *training("outcome"), settings=TrainingSettings(replicates=9))
    assert isinstance(found, Trained)
