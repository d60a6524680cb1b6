"""Training one model: split by time, choose, calibrate, fit, judge beside the baseline.

The same rows, seed and settings give the same model to the last bit: histograms are summed in a fixed order, and all
that is drawn is drawn by the seed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.optimize import minimize, minimize_scalar
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from ocelake.models.baselines import fit_baseline
from ocelake.models.evaluate import Answers, Judged, answers_of, judge, metric_value, table_of
from ocelake.models.scorer import Encoder, Scorer
from ocelake.models.split import TimeSplit, split_by_time
from ocelake.models.tasks import PRIMARY, Task, TrainingSettings, Untrainable

__all__ = ["MODEL", "Trained", "judge_pair", "score_metric", "train_model"]

MODEL: Final = "gradient boosting"

_FEWEST: Final = {"train": 50, "test": 20}
_OBJECTS: Final = 10
_CLASS: Final = 5
_CATEGORY: Final = 20
_CATEGORIES: Final = 100
_BINS: Final = 127
"""Of a number's values; codes of categories have to fit in as well."""
_CELLS: Final = 400_000
"""Rows times classes that are fitted at most: a tree is grown for each class."""

_ITERATIONS: Final = {"activity": 40, "duration": 100, "outcome": 100}
_STEP: Final = 10
_LEAF: Final = 30
_QUANTILES: Final = (0.1, 0.5, 0.9)
_INSIDE: Final = _QUANTILES[2] - _QUANTILES[0]
_PERMUTED: Final = 2_000
_REASONED: Final = 15

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting of a model."""

    learning_rate: float
    max_leaf_nodes: int
    logarithmic: bool = False
    without: bool = False
    """Whether it does without the features that can be done without."""


_CHOICES: Final = {
    "activity": (Choice(0.1, 16), Choice(0.1, 6)),
    "outcome": (Choice(0.1, 16), Choice(0.05, 6)),
    "duration": (Choice(0.1, 31), Choice(0.1, 31, True), Choice(0.05, 8), Choice(0.05, 8, True)),
}


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
        task, metric, unit, model (the model's kind, the baseline's name, difference), value, low, high, rows, groups.
    better : bool
        Whether the model beats the baseline by the metric that decides, beyond the 95% interval of the difference.
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
    # One thread: where another process wants a core, two threads that wait for each other at every node of every tree
    # take ten times as long.
    with threadpool_limits(1, user_api="openmp"):
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
    classes = _classes(task, rows.filter(pl.Series(split.fit)))
    if len(classes) == 1:
        return Untrainable(task, f"It is always {classes[0]} in what would be trained on.")
    rng = np.random.default_rng(seed)
    fit = _drawn(rows, split.fit, settings.max_rows, len(classes), rng)
    encoder = _encoder(values.filter(pl.Series(fit)))
    matrix = encoder.matrix({name: values[name].to_numpy() for name in encoder.columns})
    data = _Data(task, rows, matrix, encoder, classes, seed)
    choice, iterations, tried = _choose(data, optional, fit, split.validation)
    if choice.without:
        data = data.without(optional)
    early = data.fitted(fit, choice, iterations)
    calibration = _calibrated(data, early, choice, split.validation)
    # What was held out for choosing is the newest of what is known: the model is fitted again with it. Its calibration
    # stays that of the first fit, which had not seen it.
    train = _drawn(rows, split.train, settings.max_rows, len(classes), rng)
    scorer = data.scorer(data.fitted(train, choice, iterations), choice, calibration)
    importance = _importance(data, data.scorer(early, choice, calibration), split.validation, rng)
    scorer.important = importance["place"].head(_REASONED).to_list()
    scorer.usual = _usual(data.matrix[train], data.encoder)
    known = pl.Series(split.train)
    baseline = fit_baseline(task.kind, rows.filter(known), values.filter(known), classes)
    test = pl.Series(split.test)
    answers = answers_of(scorer, values.filter(test))
    theirs = Answers(baseline.answer(rows.filter(test), values.filter(test)), classes)
    target, group, position = (rows.filter(test)[name] for name in ("target", "group", "position"))
    judged = {
        name: judge(task.kind, target, group, said, replicates=settings.replicates, seed=seed)
        for name, said in ((MODEL, answers), (baseline.name, theirs))
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
            "iterations": iterations,
            "settings_tried": tried,
            "rows_fitted": int(train.sum()),
            "rows_validated": int(split.validation.sum()),
            "classes": len(classes),
            "calibration": ", ".join(f"{number:.6g}" for number in calibration),
            "biased_end": split.biased_end,
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


def _classes(task: Task, rows: pl.DataFrame) -> list[Any]:
    if task.kind == "duration":
        return []
    if task.kind == "outcome":
        return [False, True]
    counts = rows.group_by("target").len().filter(pl.col("len") >= _CLASS)
    return sorted(counts["target"].to_list())


def _drawn(rows: pl.DataFrame, among: Mask, most: int, classes: int, rng: np.random.Generator) -> Mask:
    """Draw whole objects until so many rows are reached."""
    most = min(most, _CELLS // classes) if classes > 2 else most
    if among.sum() <= most:
        return among
    codes = rows["object_id"].rank("dense").to_numpy().astype(np.int64) - 1
    sizes = np.bincount(codes[among], minlength=codes.max() + 1)
    order = rng.permutation(np.flatnonzero(sizes))
    chosen = np.zeros(len(sizes), dtype=bool)
    chosen[order[np.cumsum(sizes[order]) <= most]] = True
    drawn: Mask = among & chosen[codes]
    return drawn


def _encoder(values: pl.DataFrame) -> Encoder:
    """Learn which columns there are, and the codes of categories that are not rare."""
    columns, categories = [], {}
    for name, dtype in values.schema.items():
        known = values[name].drop_nulls()
        if dtype == pl.String:
            counts = known.value_counts(sort=True).sort("count", name, descending=[True, False])
            seen = counts.filter(pl.col("count") >= _CATEGORY).head(_CATEGORIES)[name].to_list()
            if not seen:
                continue
            categories[name] = {text: code for code, text in enumerate(sorted(seen), start=1)}
        elif known.drop_nans().is_empty():
            continue
        columns.append(name)
    return Encoder(columns, categories)


class _Data:
    """What all fits of one training share."""

    def __init__(
        self, task: Task, rows: pl.DataFrame, matrix: Any, encoder: Encoder, classes: list[Any], seed: int
    ) -> None:
        self.task, self.matrix, self.encoder, self.classes, self.seed = task, matrix, encoder, classes, seed
        if task.kind == "duration":
            self.target = rows["target"].to_numpy().astype(np.float64)
        else:
            codes = {name: number for number, name in enumerate(classes)}
            self.target = np.array([codes.get(name, -1) for name in rows["target"].to_list()])

    def without(self, names: frozenset[str]) -> _Data:
        """Give the same without some columns."""
        kept = [place for place, name in enumerate(self.encoder.columns) if name not in names]
        columns = [self.encoder.columns[place] for place in kept]
        coded = {name: codes for name, codes in self.encoder.categories.items() if name in set(columns)}
        found = copy(self)
        found.matrix, found.encoder = self.matrix[:, kept], Encoder(columns, coded)
        return found

    def usable(self, mask: Mask) -> Mask:
        """Leave out what is of no class that is learned."""
        return mask if self.task.kind == "duration" else mask & (self.target >= 0)

    def model(self, choice: Choice, iterations: int, quantile: float = 0.5) -> Any:
        """Make a model that is not fitted."""
        shared = {
            "learning_rate": choice.learning_rate,
            "max_leaf_nodes": choice.max_leaf_nodes,
            "max_iter": iterations,
            "categorical_features": self.encoder.categorical,
            "early_stopping": False,
            "min_samples_leaf": _LEAF,
            "l2_regularization": 1.0,
            "max_bins": _BINS,
            "random_state": self.seed,
        }
        if self.task.kind == "duration":
            return HistGradientBoostingRegressor(loss="quantile", quantile=quantile, **shared)
        return HistGradientBoostingClassifier(**shared)

    def learned(self, choice: Choice) -> Any:
        """Give the target as it is learned."""
        return np.log1p(self.target) if choice.logarithmic else self.target

    def fitted(self, mask: Mask, choice: Choice, iterations: int) -> list[Any]:
        """Fit a classifier, or three regressors."""
        mask = self.usable(mask)
        quantiles = _QUANTILES if self.task.kind == "duration" else (0.5,)
        target = self.learned(choice)[mask]
        return [self.model(choice, iterations, q).fit(self.matrix[mask], target) for q in quantiles]

    def scorer(self, models: list[Any], choice: Choice, calibration: tuple[float, ...]) -> Scorer:
        """Make a scorer of fitted models; a class that the fit has not seen has no probability."""
        classes = self.classes
        if self.task.kind != "duration" and len(models[0].classes_) < len(classes):
            classes = [classes[int(code)] for code in models[0].classes_]
        return Scorer(
            self.task.kind,
            self.encoder,
            models,
            classes,
            calibration=calibration,
            logarithmic=choice.logarithmic,
        )


def _choose(data: _Data, optional: frozenset[str], fit: Mask, validation: Mask) -> tuple[Choice, int, int]:
    """Choose setting and number of iterations by the loss on the validation rows."""
    fit, validation = data.usable(fit), data.usable(validation)
    kind = data.task.kind
    best: tuple[float, Choice, int] | None = None
    choices = list(_CHOICES[kind])
    for tried, choice in enumerate(choices, start=1):
        part = data.without(optional) if choice.without else data
        model = part.model(choice, _ITERATIONS[kind]).fit(part.matrix[fit], part.learned(choice)[fit])
        for number, loss in _losses(part, model, choice, validation):
            if best is None or loss < best[0]:
                best = loss, choice, number
        if tried == len(_CHOICES[kind]) and best is not None and optional & set(data.encoder.columns):
            choices.append(replace(best[1], without=True))  # the best one so far, without them
    assert best is not None
    return best[1], best[2], len(choices)


def _losses(data: _Data, model: Any, choice: Choice, validation: Mask) -> Iterator[tuple[int, float]]:
    matrix, target = data.matrix[validation], data.target[validation]
    staged = model.staged_predict if data.task.kind == "duration" else model.staged_predict_proba
    place = None
    if data.task.kind != "duration":
        place = np.searchsorted(model.classes_, target)
        place = np.where(model.classes_[np.minimum(place, len(model.classes_) - 1)] == target, place, -1)
    for number, said in enumerate(staged(matrix), start=1):
        if number % _STEP:
            continue
        if place is None:
            seconds = np.expm1(np.minimum(said, 30.0)) if choice.logarithmic else said
            yield number, float(np.abs(seconds - target).mean())
        else:
            given = np.where(place >= 0, said[np.arange(len(said)), np.maximum(place, 0)], 0.0)
            yield number, float(-np.log(np.clip(given, 1e-9, 1.0)).mean())


def _calibrated(data: _Data, models: list[Any], choice: Choice, validation: Mask) -> tuple[float, ...]:
    """Learn from the validation rows how far to trust the models."""
    validation = data.usable(validation)
    matrix, target = data.matrix[validation], data.target[validation]
    if data.task.kind == "duration":
        return _widened(models, matrix, data.learned(choice)[validation])
    model = models[0]
    logits = np.log(np.clip(model.predict_proba(matrix), 1e-9, 1.0))
    if data.task.kind == "outcome":
        odds = logits[:, 1] - logits[:, 0]

        def platt(part: Numbers) -> float:
            signed = (part[0] * odds + part[1]) * (2 * target - 1)
            return float(np.logaddexp(0, -signed).mean()) + 1e-3 * float((part[0] - 1) ** 2 + part[1] ** 2)

        slope, offset = minimize(platt, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.05, 5), (-5, 5)]).x
        return float(slope), float(offset)
    place = np.searchsorted(model.classes_, target)
    there = model.classes_[np.minimum(place, len(model.classes_) - 1)] == target
    logits, place = logits[there], place[there]

    def tempered(temperature: float) -> float:
        scaled = logits / temperature
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(place)), place]).mean())

    return float(minimize_scalar(tempered, bounds=(0.2, 5.0), method="bounded").x), 0.0


def _widened(models: list[Any], matrix: Any, target: Numbers) -> tuple[float, ...]:
    """Give what has to be added to both sides of the intervals for them to hold what they should.

    References
    ----------
    Romano, Patterson, Candes: Conformalized Quantile Regression (NeurIPS 2019).
    """
    said = np.sort(np.stack([model.predict(matrix) for model in models], axis=1), axis=1)
    outside = np.maximum(said[:, 0] - target, target - said[:, 2])
    level = min(1.0, _INSIDE * (1 + 1 / len(outside)))
    return (float(np.quantile(outside, level)),)


def _usual(matrix: Any, encoder: Encoder) -> Any:
    """Give the median of each number, and the most frequent code of each category."""
    found = np.zeros(matrix.shape[1], dtype=np.float32)
    for place, is_category in enumerate(encoder.categorical):
        known = matrix[:, place][~np.isnan(matrix[:, place])]
        if not len(known):
            found[place] = np.nan
        elif is_category:
            found[place] = np.bincount(known.astype(int)).argmax()
        else:
            found[place] = np.median(known)
    return found


def _importance(data: _Data, scorer: Scorer, validation: Mask, rng: np.random.Generator) -> pl.DataFrame:
    """Give how much worse the loss is where a column is shuffled, the most important one first."""
    validation = data.usable(validation)
    chosen = np.flatnonzero(validation)
    if len(chosen) > _PERMUTED:
        chosen = np.sort(rng.choice(chosen, _PERMUTED, replace=False))
    matrix, target = data.matrix[chosen], data.target[chosen]

    def loss(rows: Any) -> float:
        if data.task.kind == "duration":
            return float(np.abs(scorer._quantiles(rows)[:, 1] - target).mean())
        said = scorer._probabilities(rows)
        if data.task.kind == "outcome":
            return float(((said - target) ** 2).mean())
        codes = {name: number for number, name in enumerate(scorer.classes)}
        place = np.array([codes.get(data.classes[int(code)], -1) for code in target])
        given = np.where(place >= 0, said[np.arange(len(said)), np.maximum(place, 0)], 0.0)
        return float(-np.log(np.clip(given, 1e-9, 1.0)).mean())

    base, found = loss(matrix), []
    for place in range(matrix.shape[1]):
        shuffled = matrix.copy()
        shuffled[:, place] = rng.permutation(shuffled[:, place])
        found.append(loss(shuffled) - base)
    frame = pl.DataFrame({"feature": data.encoder.columns, "importance": found, "place": range(len(found))})
    return frame.sort("importance", "place", descending=[True, False])


def _is_better(task: Task, metrics: pl.DataFrame) -> bool:
    row = metrics.filter((pl.col("model") == "difference") & (pl.col("metric") == PRIMARY[task.kind])).row(
        0, named=True
    )
    return bool(row["low"] > 0) if task.kind == "activity" else bool(row["high"] < 0)


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
            for place, quantile in enumerate(_QUANTILES)
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
            rows["group"],
            answers_of(scorer, values),
            replicates=replicates,
            seed=seed,
        )[PRIMARY[task.kind]]
        for number, scorer in enumerate((new, old))
    }
    difference = Judged(found[0].value - found[1].value, found[0].draws - found[1].draws)
    return difference.value, *difference.interval
