"""Training one model: split by time, choose, calibrate, fit, judge beside the baseline.

The same rows, seed and settings give the same model to the last bit: histograms are summed in a fixed order, and all
that is drawn is drawn by the seed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.models.baselines import fit_baseline
from ocelake.models.evaluate import (
    Answers,
    Judged,
    answers_of,
    drawn_together,
    judge,
    metric_value,
    one_thread,
    table_of,
)
from ocelake.models.fitting import Data, calibrate, choose, find_classes, find_importance, learn_encoder, usual_values
from ocelake.models.scorer import Scorer
from ocelake.models.split import TimeSplit, split_by_time
from ocelake.models.tasks import MODEL, PRIMARY, QUANTILES, SEQUENCE, Task, TrainingSettings, Untrainable, gain

__all__ = ["Trained", "judge_pair", "score_metric", "train_model"]


_FEWEST: Final = {"train": 50, "test": 20}
_OBJECTS: Final = 10
_CELLS: Final = 400_000
"""Rows times classes that are fitted at most: a tree is grown for each class."""

_REASONED: Final = 15

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A model and how it is judged.

    Attributes
    ----------
    task : Task
    scorer : Scorer
        Fitted on all that is trained on.
    split : TimeSplit
    metrics : DataFrame
        task, metric, unit, model (the model's kind, the baseline's name, sequence model where it is asked for,
        difference), value, low, high, rows, groups.
    better : bool
        Whether the model beats the baseline by the metric that decides, beyond the 95% interval of the difference;
        false where there is no interval.
    by_length : DataFrame
        length (of the prefix, the last class open), rows, model, baseline: the metric that decides.
    importance : DataFrame
        feature, importance: how much worse the loss is where the feature is shuffled.
    calibration : DataFrame
        claimed, seen, rows: probabilities by tenths, or the shares of durations below each quantile.
    parameters : dict
        What was chosen and counted.
    seconds : float
    """

    task: Task
    scorer: Scorer
    split: TimeSplit
    metrics: pl.DataFrame
    better: bool
    by_length: pl.DataFrame
    importance: pl.DataFrame
    calibration: pl.DataFrame
    parameters: dict[str, Any]
    seconds: float

    @property
    def columns(self) -> list[str]:
        """The features that the model reads."""
        return self.scorer.columns


def train_model(
    task: Task,
    rows: pl.DataFrame,
    values: pl.DataFrame,
    *,
    optional: Collection[str] = (),
    seed: int = 0,
    settings: TrainingSettings | None = None,
) -> Trained | Untrainable:
    """Train, calibrate and judge a model.

    Parameters
    ----------
    task : Task
    rows : DataFrame
        object_id, group (the execution), position, time, target (text, seconds or a truth; null where it is not known)
        and known_at (when it became known): a row for each prefix.
    values : DataFrame
        The same rows: features, numbers or texts; ``activity``, ``activity_1`` and ``activity_2`` among them.
    optional : collection of str, optional
        Features that it is tried to do without, such as those that all objects share at one time: in a short log they
        tell the one time from the other, and a model learns the past by heart.
    seed : int
    settings : TrainingSettings, optional

    Returns
    -------
    Trained or Untrainable
        The latter where there is too little to learn from, or nothing to be learned.
    """
    with one_thread():
        return _train_model(task, rows, values, frozenset(optional), seed, settings or TrainingSettings())


def _train_model(
    task: Task,
    rows: pl.DataFrame,
    values: pl.DataFrame,
    optional: frozenset[str],
    seed: int,
    settings: TrainingSettings,
) -> Trained | Untrainable:
    began = time.perf_counter()
    split = split_by_time(rows, task.kind, test_share=settings.test_share, validation_share=settings.validation_share)
    if reason := _too_little(task, rows, split):
        return Untrainable(task, reason)
    classes = find_classes(task, rows.filter(pl.Series(split.fit)))
    if task.kind != "duration" and (reason := _too_rare(rows, split, classes)):
        return Untrainable(task, reason)
    rng = np.random.default_rng(seed)
    most = min(settings.max_rows, _CELLS // len(classes)) if len(classes) > 2 else settings.max_rows
    fit = _drawn(rows, split.fit, most, rng)
    encoder = learn_encoder(values.filter(pl.Series(fit)))
    matrix = encoder.matrix({name: values[name].to_numpy() for name in encoder.columns})
    data = Data(task, rows, matrix, encoder, classes, seed)
    choice, iterations, tried = choose(data, optional, fit, split.validation)
    if choice.without:
        data = data.without(optional)
    early = data.fitted(fit, choice, iterations)
    calibration = calibrate(data, early, choice, split.validation)
    # What was held out for choosing is the newest of what is known: the model is fitted again with it. Its calibration
    # stays that of the first fit, which had not seen it.
    train = _drawn(rows, split.train, most, rng)
    scorer = data.scorer(data.fitted(train, choice, iterations), choice, calibration)
    importance = find_importance(data, data.scorer(early, choice, calibration), split.validation, rng)
    scorer.important = importance["place"].head(_REASONED).to_list()
    scorer.usual = usual_values(data.matrix[train], data.encoder)
    known = pl.Series(split.train)
    baseline = fit_baseline(task.kind, rows.filter(known), values.filter(known), classes)
    test = pl.Series(split.test)
    answers = answers_of(scorer, values.filter(test))
    theirs = Answers(baseline.answer(rows.filter(test), values.filter(test)), classes)
    said = {MODEL: answers, baseline.name: theirs}
    epochs: dict[str, int] = {}
    if settings.sequence:
        from ocelake.models.sequence import sequence_answers  # of an extra

        said[SEQUENCE], epochs["sequence_epochs"] = sequence_answers(
            data,
            rows,
            values,
            fit=_drawn(rows, split.fit, settings.max_rows, rng),  # no tree is grown for each class
            validation=split.validation,
            train=_drawn(rows, split.train, settings.max_rows, rng),
            asked=split.test,
        )
    target, group, position = (rows.filter(test)[name] for name in ("target", "group", "position"))
    together = drawn_together(rows.filter(test))
    judged = {
        name: judge(task.kind, target, together, found, replicates=settings.replicates, seed=seed)
        for name, found in said.items()
    }
    metrics = table_of(judged, len(target), group.n_unique()).with_columns(task=pl.lit(task.name))
    return Trained(
        task=task,
        scorer=scorer,
        split=split,
        metrics=metrics,
        better=_is_better(task, metrics),
        by_length=_by_length(task, target, position, answers, theirs),
        importance=importance.drop("place"),
        calibration=_calibration_table(task, target, answers),
        parameters={
            "learning_rate": choice.learning_rate,
            "max_leaf_nodes": choice.max_leaf_nodes,
            "logarithmic": choice.logarithmic,
            "without_workload": choice.without,
            "iterations": ", ".join(str(number) for number in iterations),
            "settings_tried": tried,
            "rows_fitted": int(train.sum()),
            "rows_validated": int(split.validation.sum()),
            "classes": len(classes),
            "calibration": ", ".join(f"{number:.6g}" for number in calibration),
            "biased_end": split.biased_end,
            **epochs,
        },
        seconds=time.perf_counter() - began,
    )


def _too_little(task: Task, rows: pl.DataFrame, split: TimeSplit) -> str | None:
    if rows["target"].null_count() == rows.height:
        return "Nothing is known of how it came out for any prefix yet."
    for part, mask in (("train", split.train), ("test", split.test)):
        there = rows.filter(pl.Series(mask))
        said = "known in time to be trained on" if part == "train" else "later, to be judged on"
        if there.height < _FEWEST[part]:
            return f"Only {there.height} prefixes are {said}; it takes {_FEWEST[part]}."
        if (objects := there["object_id"].n_unique()) < _OBJECTS:
            return f"Only {objects} objects have prefixes that are {said}; it takes {_OBJECTS}."
    if min(split.fit.sum(), split.validation.sum()) < _FEWEST["test"]:
        return "Too few prefixes are known in time to choose a model by."
    if rows.filter(pl.Series(split.fit))["target"].n_unique() < 2:
        return "It is always the same in what would be trained on."
    return None


def _too_rare(rows: pl.DataFrame, split: TimeSplit, classes: list[Any]) -> str | None:
    if len(classes) < 2:
        return f"{f'Only {classes[0]}' if classes else 'Nothing'} comes often enough to be learned."
    if not rows.filter(pl.Series(split.validation))["target"].is_in(classes).any():
        return "What comes often enough to be learned does not come where a model is chosen."
    return None


def _drawn(rows: pl.DataFrame, among: Mask, most: int, rng: np.random.Generator) -> Mask:
    """Draw whole objects until so many rows are reached; rows of any, where the first object has more."""
    if among.sum() <= most:
        return among
    codes = rows["object_id"].rank("dense").to_numpy().astype(np.int64) - 1
    sizes = np.bincount(codes[among], minlength=codes.max() + 1)
    order = rng.permutation(np.flatnonzero(sizes))
    chosen = np.zeros(len(sizes), dtype=bool)
    chosen[order[np.cumsum(sizes[order]) <= most]] = True
    drawn: Mask = among & chosen[codes]
    if not drawn.any():
        drawn[rng.choice(np.flatnonzero(among), most, replace=False)] = True
    return drawn


def _is_better(task: Task, metrics: pl.DataFrame) -> bool:
    difference = metrics.filter((pl.col("model") == "difference") & (pl.col("metric") == PRIMARY[task.kind]))
    return all(gain(task.kind, difference[end].item()) > 0 for end in ("low", "high"))


def _by_length(task: Task, target: pl.Series, position: pl.Series, ours: Answers, theirs: Answers) -> pl.DataFrame:
    """Give the metric that decides by the length of the prefix, in up to twelve classes."""
    edges = sorted({int(edge) for edge in np.quantile(position.to_numpy(), np.linspace(0, 1, 13)[:-1])})
    place = np.searchsorted(edges, position.to_numpy(), side="right") - 1
    rows = []
    for number, first in enumerate(edges):
        here = place == number
        if here.any():
            parts = [
                metric_value(task.kind, target.filter(pl.Series(here)), Answers(said.numbers[here], said.classes))
                for said in (ours, theirs)
            ]
            rows.append((first, int(here.sum()), *parts))
    return pl.DataFrame(rows, schema=["length", "rows", "model", "baseline"], orient="row")


def _calibration_table(task: Task, target: pl.Series, answers: Answers) -> pl.DataFrame:
    if task.kind == "duration":
        truth = target.to_numpy()
        rows = [
            (quantile, float((truth <= answers.numbers[:, place]).mean()), len(truth))
            for place, quantile in enumerate(QUANTILES)
        ]
    else:
        if task.kind == "outcome":
            claimed, seen = answers.numbers, target.cast(pl.Float64).to_numpy()
        else:
            best = answers.numbers.argmax(axis=1)
            claimed = answers.numbers[np.arange(len(best)), best]
            names = np.array(answers.classes, dtype=object)[best]
            seen = (names == np.array(target.to_list(), dtype=object)).astype(float)
        place = np.minimum((claimed * 10).astype(int), 9)
        rows = [
            (float(claimed[place == tenth].mean()), float(seen[place == tenth].mean()), int((place == tenth).sum()))
            for tenth in range(10)
            if (place == tenth).any()
        ]
    return pl.DataFrame(rows, schema=["claimed", "seen", "rows"], orient="row")


def score_metric(scorer: Any, task: Task, rows: pl.DataFrame, values: pl.DataFrame) -> float:
    """Give the metric that decides, of a scorer on prefixes whose target is known."""
    return metric_value(task.kind, rows["target"], answers_of(scorer, values))


def judge_pair(
    new: Any, old: Any, task: Task, rows: pl.DataFrame, values: pl.DataFrame, *, replicates: int = 500, seed: int = 0
) -> tuple[float, float, float]:
    """Hold two scorers against each other on the same prefixes.

    Returns
    -------
    tuple of float
        The metric that decides, of the new one less that of the old one, and the ends of its 95% interval.
    """
    found: Mapping[int, Judged] = {
        number: judge(
            task.kind,
            rows["target"],
            drawn_together(rows),
            answers_of(scorer, values),
            replicates=replicates,
            seed=seed,
        )[PRIMARY[task.kind]]
        for number, scorer in enumerate((new, old))
    }
    difference = Judged(found[0].value - found[1].value, found[0].draws - found[1].draws)
    return difference.value, *difference.interval
