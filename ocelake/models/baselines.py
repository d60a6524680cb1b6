"""What a model has to beat: n-grams for activities and outcomes, medians for durations.

References
----------
The n-gram of the last activities, with back-off, is the Markov model of the literature; the median by activity and
prefix length is its counterpart for times.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.models.tasks import Kind

__all__ = ["Baseline", "fit_baseline"]

_GRAMS: Final = (("activity", "activity_1", "activity_2"), ("activity", "activity_1"), ("activity",), ())
_LENGTHS: Final = (("activity", "position"), ("activity",), ())
_LONGEST: Final = 20
_FEWEST: Final = 10
"""A context that was seen less often says too little: a shorter one is asked."""

Numbers = npt.NDArray[np.float64]


class Baseline:
    """Statistics by context, from the longest to the empty one.

    Attributes
    ----------
    name : str
        n-gram or median.
    """

    def __init__(
        self, kind: Kind, contexts: tuple[tuple[str, ...], ...], found: list[pl.DataFrame], classes: list[str]
    ) -> None:
        self.kind, self._contexts, self._found, self.classes = kind, contexts, found, classes
        self.name = "median" if kind == "duration" else "n-gram"

    def answer(self, rows: pl.DataFrame, values: pl.DataFrame) -> Numbers:
        """Answer for prefixes.

        Returns
        -------
        float64 array
            Of activities the probability of each class, of outcomes that of true, of durations low, median and high.
        """
        asked = _contexts(rows, values)
        width = self._found[-1].width
        answer = np.full((rows.height, width), np.nan)
        for context, table in zip(self._contexts, self._found, strict=True):
            missing = np.isnan(answer[:, 0])
            if not missing.any():
                break
            if context:
                joined = asked.select(context).join(
                    table, on=context, how="left", nulls_equal=True, maintain_order="left"
                )
                there = joined.drop(context).to_numpy()
            else:
                there = np.repeat(table.to_numpy(), rows.height, axis=0)
            answer[missing] = there[missing]
        return answer[:, 0] if self.kind == "outcome" else answer


def _contexts(rows: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    return values.select("activity", "activity_1", "activity_2").with_columns(
        position=rows["position"].clip(upper_bound=_LONGEST)
    )


def fit_baseline(kind: Kind, rows: pl.DataFrame, values: pl.DataFrame, classes: list[str]) -> Baseline:
    """Fit the baseline of a task.

    Parameters
    ----------
    kind : {"activity", "duration", "outcome"}
    rows, values : DataFrame
        Prefixes whose target is known.
    classes : list of str
        Of activities.

    Examples
    --------
    >>> rows = pl.DataFrame({"position": [1] * 12, "target": ["pay"] * 9 + ["send"] * 3})
    >>> values = pl.DataFrame({"activity": ["place"] * 12, "activity_1": [None] * 12, "activity_2": [None] * 12})
    >>> fit_baseline("activity", rows, values, ["pay", "send"]).answer(rows[:1], values[:1]).round(2).tolist()
    [[0.73, 0.27]]
    """
    known = _contexts(rows, values).with_columns(target=rows["target"])
    if kind == "duration":
        contexts: tuple[tuple[str, ...], ...] = _LENGTHS
        parts = [pl.col("target").quantile(q, "linear").alias(f"q{q}") for q in (0.1, 0.5, 0.9)]
    elif kind == "outcome":
        contexts = _GRAMS
        parts = [((pl.col("target").sum() + 0.5) / (pl.len() + 1)).alias("true")]
    else:
        contexts = _GRAMS
        smoothed = 1 / len(classes)
        parts = [
            (((pl.col("target") == name).sum() + smoothed) / (pl.len() + 1)).alias(f"class {number}")
            for number, name in enumerate(classes)
        ]
    found = []
    for context in contexts:
        if context:
            table = known.group_by(context).agg(*parts, pl.len().alias("seen"))
            found.append(table.filter(pl.col("seen") >= _FEWEST).drop("seen"))
        else:
            found.append(known.select(parts))
    if kind == "activity":  # smoothing leaves a little over or short
        names = [f"class {number}" for number in range(len(classes))]
        found = [table.with_columns(pl.col(name) / pl.sum_horizontal(names) for name in names) for table in found]
    return Baseline(kind, contexts, found, classes)
