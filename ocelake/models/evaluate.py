"""Judging models: metrics with intervals, and the difference to another model on the same prefixes.

Prefixes of one execution say much the same, so that executions are drawn, not prefixes: intervals are the 2.5% and
97.5% quantiles over draws of as many executions with replacement. Nearly every metric is a sum over prefixes, so that
a draw weighs the sums of executions; ranks are weighed prefix by prefix. Where executions are few, or one holds most of
the prefixes, stretches of objects are drawn in their place; where that cannot be done either, there is no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from ocelake.models.tasks import PRIMARY, Kind

__all__ = ["Answers", "Judged", "answers_of", "drawn_together", "judge", "metric_value", "one_thread", "table_of"]

_DAY: Final = 86_400.0
_BINS: Final = 15
_INTERVAL: Final = (0.025, 0.975)
_FEWEST: Final = 20
"""Of what is drawn: from fewer, the quantiles of a bootstrap are too close together."""

_LARGEST: Final = 0.5
"""The share of the prefixes in one of them: above, draws differ by hardly more than how often it is among them."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a model answers for prefixes.

    Attributes
    ----------
    numbers : float64 array
        Of activities the probability of each class (a column each), of outcomes that of true, of durations low, middle
        and high in seconds.
    classes : list of str
        Of activities.
    """

    numbers: Numbers
    classes: list[str]


@dataclass(frozen=True, slots=True)
class Judged:
    """A metric: its value, over all draws, and its unit."""

    value: float
    draws: Numbers
    unit: str | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval; NaN where it cannot be told."""
        known = self.draws[~np.isnan(self.draws)]
        if not len(known):
            return float("nan"), float("nan")
        low, high = np.quantile(known, _INTERVAL)
        return float(low), float(high)


def one_thread() -> Any:
    """Give a context in which models are fitted and asked by one thread.

    Where another process wants a core, two threads that wait for each other at every node of every tree, or after every
    tree, take up to ten times as long.
    """
    return threadpool_limits(1, user_api="openmp")


def answers_of(scorer: Any, values: pl.DataFrame) -> Answers:
    """Ask a scorer for prefixes."""
    columns = {name: values[name].to_numpy() for name in scorer.columns}
    with one_thread():
        if scorer.kind == "duration":
            said = scorer.predict(columns)
            return Answers(np.stack([said["low"], said["prediction"], said["high"]], axis=1), [])
        return Answers(np.asarray(scorer.probabilities(columns), dtype=np.float64), list(scorer.classes))


def drawn_together(rows: pl.DataFrame) -> pl.Series:
    """Tell which prefixes the bootstrap draws as one: those of an execution, else of a stretch of objects.

    Where there are fewer than 20 executions, or one holds more than half of the prefixes, draws of executions tell
    nothing: of a single one, all are the same. The objects, in the order of their first prefix, are then cut into 20
    stretches, as many objects in each, so that prefixes of one object stay together, and objects of one time too: the
    bootstrap of blocks, for what depends on what came shortly before it.

    Parameters
    ----------
    rows : DataFrame
        object_id, group (the execution), time.

    References
    ----------
    Carlstein: The Use of Subseries Values for Estimating the Variance of a General Statistic from a Stationary Sequence
    (Annals of Statistics 1986); Künsch: The Jackknife and the Bootstrap for General Stationary Observations (1989).
    """
    if _tells(rows["group"]):
        return rows["group"]
    begun = rows.group_by("object_id").agg(pl.col("time").min()).sort("time", "object_id").with_row_index("place")
    stretch = begun.select("object_id", stretch=pl.col("place") * _FEWEST // begun.height)
    return rows.join(stretch, on="object_id", how="left", maintain_order="left")["stretch"]


def _tells(group: pl.Series) -> bool:
    sizes = group.value_counts()["count"]
    return len(sizes) >= _FEWEST and int(sizes.sum()) * _LARGEST >= int(sizes.to_numpy().max())


def judge(
    kind: Kind, target: pl.Series, group: pl.Series, answers: Answers, *, replicates: int, seed: int
) -> dict[str, Judged]:
    """Judge answers by every metric of their kind of task.

    Parameters
    ----------
    kind : {"activity", "duration", "outcome"}
    target, group : Series
        What came to be, and what each prefix is drawn with (`drawn_together`). The same groups, seed and number of
        replicates draw the same, so that draws of two models can be held against each other. Nothing is drawn from
        fewer than 20 groups, from those of which one holds more than half, nor where all came to the same: how the
        others are answered has not been seen. Values have no interval then.
    answers : Answers
    replicates, seed : int
        Of the bootstrap.
    """
    if not _tells(group) or (kind != "duration" and target.n_unique() < 2):
        replicates = 0
    draw = _Draws(group, replicates, seed)
    numbers = answers.numbers
    if kind == "duration":
        return _duration(target.to_numpy().astype(np.float64), numbers, draw)
    if kind == "outcome":
        return _outcome(target.cast(pl.Float64).to_numpy(), numbers, draw)
    return _activity(target.to_list(), answers, draw)


def metric_value(kind: Kind, target: pl.Series, answers: Answers) -> float:
    """Give the metric that decides, without intervals."""
    group = pl.Series(["all"] * len(target))
    return judge(kind, target, group, answers, replicates=0, seed=0)[PRIMARY[kind]].value


class _Draws:
    """Draws of executions, as the weight of each in each draw."""

    def __init__(self, group: pl.Series, replicates: int, seed: int) -> None:
        codes = group.rank("dense").to_numpy().astype(np.int64) - 1
        self.group, self.count = codes, int(codes.max(initial=-1)) + 1
        rng = np.random.default_rng(seed)
        drawn = rng.integers(0, max(self.count, 1), size=(replicates, self.count))
        self.weights = np.zeros((replicates, self.count))
        for number, row in enumerate(drawn):
            self.weights[number] = np.bincount(row, minlength=self.count)

    def sums(self, values: Numbers) -> tuple[Numbers, Numbers]:
        """Give the sum over all rows, and that of each draw; of each column where there are several."""
        wide = values.reshape(len(values), -1)
        by_group = np.stack([np.bincount(self.group, column, minlength=self.count) for column in wide.T], axis=1)
        return wide.sum(axis=0), self.weights @ by_group

    def mean(self, values: Numbers, unit: str | None = None) -> Judged:
        """Give the mean."""
        (total, count), drawn = self.sums(np.stack([values, np.ones(len(values))], axis=1))
        return Judged(float(total / count), drawn[:, 0] / drawn[:, 1], unit)

    def of(self, values: Numbers, combine: Callable[[Numbers], Numbers]) -> Judged:
        """Give what is made of sums: of all rows, and of each draw."""
        whole, drawn = self.sums(values)
        return Judged(float(combine(whole[np.newaxis])[0]), combine(drawn))


def _duration(target: Numbers, answers: Numbers, draw: _Draws) -> dict[str, Judged]:
    low, middle, high = answers.T
    return {
        "mae": draw.mean(np.abs(target - middle) / _DAY, "days"),
        "coverage": draw.mean(((target >= low) & (target <= high)).astype(np.float64)),
        "width": draw.mean((high - low) / _DAY, "days"),
    }


def _outcome(target: Numbers, probability: Numbers, draw: _Draws) -> dict[str, Judged]:
    clipped = np.clip(probability, 1e-9, 1 - 1e-9)
    loss = -(target * np.log(clipped) + (1 - target) * np.log(1 - clipped))
    return {
        "brier": draw.mean((probability - target) ** 2),
        "log_loss": draw.mean(loss),
        "ece": _ece(probability, target, draw),
        "auc": _auc(target, probability, draw),
        "share_true": draw.mean(target),
    }


def _activity(target: list[str], answers: Answers, draw: _Draws) -> dict[str, Judged]:
    numbers = answers.numbers
    codes = {name: number for number, name in enumerate(answers.classes)}
    # What was too rare to be learned is always wrong.
    truth = np.array([codes.get(name, -1) for name in target])
    best = numbers.argmax(axis=1)
    right = (best == truth).astype(np.float64)
    given = np.where(truth >= 0, numbers[np.arange(len(truth)), np.maximum(truth, 0)], 0.0)
    return {
        "accuracy": draw.mean(right),
        "f1_weighted": _f1(truth, best, len(answers.classes), draw),
        "log_loss": draw.mean(-np.log(np.clip(given, 1e-9, 1.0))),
        "ece": _ece(numbers[np.arange(len(best)), best], right, draw),
    }


def _f1(truth: Numbers, best: Numbers, classes: int, draw: _Draws) -> Judged:
    names = np.arange(-1, classes)
    there, said = truth[:, np.newaxis] == names, best[:, np.newaxis] == names
    parts = np.concatenate([there & said, there, said], axis=1).astype(np.float64)

    def combine(sums: Numbers) -> Numbers:
        right, real, claimed = np.split(sums, 3, axis=1)
        found = np.where(real + claimed > 0, 2 * right / np.maximum(real + claimed, 1), 0.0)
        mean: Numbers = (found * real).sum(axis=1) / real.sum(axis=1)
        return mean

    return draw.of(parts, combine)


def _ece(claimed: Numbers, truth: Numbers, draw: _Draws) -> Judged:
    """Give the expected calibration error: how far claimed and seen are apart, over equal bins of what is claimed."""
    place = np.minimum((claimed * _BINS).astype(int), _BINS - 1)
    inside = place[:, np.newaxis] == np.arange(_BINS)
    parts = np.concatenate([inside * (claimed - truth)[:, np.newaxis], np.ones((len(claimed), 1))], axis=1)
    return draw.of(parts, lambda sums: np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1])


def _auc(target: Numbers, probability: Numbers, draw: _Draws) -> Judged:
    order = np.argsort(probability, kind="stable")
    ranked, truth = probability[order], target[order] > 0
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))

    def weighed(weight: Numbers) -> float:
        # A pair of equal probabilities counts half.
        true = np.add.reduceat(np.where(truth, weight, 0.0), starts)
        false = np.add.reduceat(np.where(truth, 0.0, weight), starts)
        pairs = true.sum() * false.sum()
        below = np.cumsum(false) - false / 2
        return float((true * below).sum() / pairs) if pairs else float("nan")

    drawn = [weighed(weights[draw.group[order]]) for weights in draw.weights]
    return Judged(weighed(np.ones(len(order))), np.array(drawn))


def table_of(judged: Mapping[str, Mapping[str, Judged]], rows: int, groups: int) -> pl.DataFrame:
    """Give metrics by model and metric as rows, with the difference between the first two models."""
    found = []
    (first, ours), (_, theirs) = list(judged.items())[:2]
    assert first
    differences = {
        name: Judged(metric.value - theirs[name].value, metric.draws - theirs[name].draws, metric.unit)
        for name, metric in ours.items()
        if name in theirs
    }
    for model, metrics in {**judged, "difference": differences}.items():
        for name, metric in metrics.items():
            low, high = metric.interval
            found.append((model, name, metric.unit, metric.value, low, high, rows, groups))
    return pl.DataFrame(
        found,
        schema={
            "model": pl.String,
            "metric": pl.String,
            "unit": pl.String,
            **dict.fromkeys(("value", "low", "high"), pl.Float64),
            **dict.fromkeys(("rows", "groups"), pl.Int64),
        },
        orient="row",
    )
