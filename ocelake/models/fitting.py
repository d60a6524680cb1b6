"""Fitting: which model of a few is taken, how far its answers are to be trusted, and what it goes by.

All fits of one training share their matrix; a choice is made, and calibrated, on rows that the fit has not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.optimize import minimize, minimize_scalar
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from ocelake.models.scorer import Encoder, Scorer
from ocelake.models.tasks import QUANTILES, Task

__all__ = ["Choice", "Data", "calibrate", "choose", "find_classes", "find_importance", "learn_encoder", "usual_values"]

_CLASS: Final = 5
_CATEGORY: Final = 20
_CATEGORIES: Final = 100
_BINS: Final = 127
"""Of a number's values; codes of categories have to fit in as well."""

_ITERATIONS: Final = {"activity": 40, "duration": 100, "outcome": 100}
_STEP: Final = 10
_LEAF: Final = 30
_TIES: Final = 0.5
"""Seconds by which durations are moved down at most, so that no two are the same."""

_PERMUTED: Final = 2_000

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


def find_classes(task: Task, rows: pl.DataFrame) -> list[Any]:
    """Give the classes that are learned, in the order of their probabilities; none of a duration."""
    if task.kind == "duration":
        return []
    if task.kind == "outcome":
        return [False, True]
    counts = rows.group_by("target").len().filter(pl.col("len") >= _CLASS)
    return sorted(counts["target"].to_list())


def learn_encoder(values: pl.DataFrame) -> Encoder:
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


class Data:
    """What all fits of one training share."""

    def __init__(
        self, task: Task, rows: pl.DataFrame, matrix: Any, encoder: Encoder, classes: list[Any], seed: int
    ) -> None:
        self.task, self.matrix, self.encoder, self.classes, self.seed = task, matrix, encoder, classes, seed
        if task.kind == "duration":
            self.target = rows["target"].to_numpy().astype(np.float64)
            self._untied = self.target - _TIES * np.random.default_rng(seed).random(len(self.target))
        else:
            codes = {name: number for number, name in enumerate(classes)}
            self.target = np.array([codes.get(name, -1) for name in rows["target"].to_list()])

    def without(self, names: frozenset[str]) -> Data:
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

    def fitted_one(self, mask: Mask, choice: Choice, iterations: int, quantile: float = 0.5) -> Any:
        """Fit one model on usable rows.

        Of a duration it learns what is a little less, by chance. Boosting starts at the quantile of all durations: if
        more than a tenth are 0, as those after the last event are, the lowest quantile starts at 0, none lies below it,
        all gradients are equal, and no split is ever made.
        """
        target = self._untied if self.task.kind == "duration" else self.target
        learned = np.log1p(target[mask]) if choice.logarithmic else target[mask]
        return self.model(choice, iterations, quantile).fit(self.matrix[mask], learned)

    def fitted(self, mask: Mask, choice: Choice, iterations: tuple[int, ...]) -> list[Any]:
        """Fit a classifier, or three regressors, each with its number of iterations."""
        mask = self.usable(mask)
        quantiles = QUANTILES if self.task.kind == "duration" else (0.5,)
        return [self.fitted_one(mask, choice, *each) for each in zip(iterations, quantiles, strict=True)]

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


def choose(data: Data, optional: frozenset[str], fit: Mask, validation: Mask) -> tuple[Choice, tuple[int, ...], int]:
    """Choose a setting, and the number of iterations of each model, by the loss on the validation rows.

    The setting is that of the median; the outer quantiles take it over, as each more setting would be two more fits.
    """
    fit, validation = data.usable(fit), data.usable(validation)
    kind = data.task.kind
    best: tuple[float, Choice, int] | None = None
    choices = list(_CHOICES[kind])
    for tried, choice in enumerate(choices, start=1):
        part = data.without(optional) if choice.without else data
        model = part.fitted_one(fit, choice, _ITERATIONS[kind])
        for number, loss in _losses(part, model, choice, validation):
            if best is None or loss < best[0]:
                best = loss, choice, number
        if tried == len(_CHOICES[kind]) and best is not None and optional & set(data.encoder.columns):
            choices.append(replace(best[1], without=True))  # the best one so far, without them
    assert best is not None
    _, choice, number = best
    if kind != "duration":
        return choice, (number,), len(choices)
    part = data.without(optional) if choice.without else data
    outer = []
    for quantile in (QUANTILES[0], QUANTILES[2]):
        model = part.fitted_one(fit, choice, _ITERATIONS[kind], quantile)
        losses = [(loss, number) for number, loss in _losses(part, model, choice, validation, quantile)]
        outer.append(min(losses)[1])
    return choice, (outer[0], number, outer[1]), len(choices)


def _losses(
    data: Data, model: Any, choice: Choice, validation: Mask, quantile: float = 0.5
) -> Iterator[tuple[int, float]]:
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
            missed = target - seconds
            yield number, float(np.maximum(quantile * missed, (quantile - 1) * missed).mean())
        else:
            given = np.where(place >= 0, said[np.arange(len(said)), np.maximum(place, 0)], 0.0)
            yield number, float(-np.log(np.clip(given, 1e-9, 1.0)).mean())


def calibrate(data: Data, models: list[Any], choice: Choice, validation: Mask) -> tuple[float, ...]:
    """Learn from the validation rows how far to trust the models."""
    validation = data.usable(validation)
    matrix, target = data.matrix[validation], data.target[validation]
    if data.task.kind == "duration":
        return _widened(models, matrix, np.log1p(target) if choice.logarithmic else target)
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
    """Give what has to be added to intervals below, above, and above what is over, to leave out what they should.

    Where the lower end is 0 already nothing is added, and of what is over by its middle the upper end has a number of
    its own, that never narrows: such rows come out right whatever the others need, and many of them would hide it.

    References
    ----------
    Romano, Patterson, Candes: Conformalized Quantile Regression (NeurIPS 2019), theorem 2.
    """
    low, middle, high = (model.predict(matrix) for model in models)
    over = middle <= 0
    return (
        _conformal((low - target)[low > 0], 1 - QUANTILES[0]),
        _conformal((target - high)[~over], QUANTILES[2]),
        max(0.0, _conformal((target - high)[over], QUANTILES[2])),
    )


def _conformal(outside: Numbers, share: float) -> float:
    """Give what as many as this share of all, and one more, are not above."""
    if not len(outside):
        return 0.0
    return float(np.quantile(outside, min(1.0, share * (1 + 1 / len(outside))), method="inverted_cdf"))


def usual_values(matrix: Any, encoder: Encoder) -> Any:
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


def find_importance(data: Data, scorer: Scorer, validation: Mask, rng: np.random.Generator) -> pl.DataFrame:
    """Give how much worse the loss is where a column is shuffled, the most important one first."""
    validation = data.usable(validation)
    chosen = np.flatnonzero(validation)
    if len(chosen) > _PERMUTED:
        chosen = np.sort(rng.choice(chosen, _PERMUTED, replace=False))
    matrix, target = data.matrix[chosen], data.target[chosen]

    def loss(rows: Any) -> float:
        if data.task.kind == "duration":
            return float(np.abs(scorer.middle_of(rows) - target).mean())
        said = scorer.probabilities_of(rows)
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
