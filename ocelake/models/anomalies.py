"""Unusual objects: isolation forests over what is known of each as of its last event.

Like is held against like, since else "unusual" mostly says "new": objects that are over have gone the whole way, and
are compared with each other; those that run are compared with those that have come about as far, in events.

References
----------
Liu, Ting, Zhou: Isolation Forest (ICDM 2008); its score is above 0.5 for what is easier to isolate than most.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import IsolationForest

from ocelake.features.prefixes import is_duration
from ocelake.mining.times import spoken

__all__ = ["unusual_executions"]

_UNUSUAL: Final = 0.65
_FEWEST: Final = 50
"""So many objects it takes for one of them to be unusual."""

_TOLD: Final = 3
_QUARTILES: Final = 1.35
"""The distance between the quartiles of a normal distribution, in standard deviations."""

_USUAL: Final = 0.5
"""So great a share of the objects has a value where having one is usual."""

_POSITION: Final = "position"

Numbers = npt.NDArray[np.float64]


def unusual_executions(values: pl.DataFrame, *, seed: int, running: pl.Series | None = None) -> pl.DataFrame:
    """Score objects by how easily they are told from others that have come as far.

    Parameters
    ----------
    values : DataFrame
        A row for each object: its features as of its last event; texts are passed over. What is missing counts as the
        usual value, and its being missing as a feature of its own.
    seed : int
    running : bool Series, optional
        Which objects are not over. Those are compared by their ``position``, in bands of at least 50 objects each; all
        others with each other. Default: all are over.

    Returns
    -------
    DataFrame
        The same rows: score (from 0 to 1), unusual (from 0.65 on), detail (the features that are farthest from the
        usual, in units of the distance between the quartiles). Among fewer than 50 objects none is unusual.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> hours = pl.Series([*rng.normal(10, 1, 100), 90.0])
    >>> values = pl.DataFrame({"elapsed": hours * 3600, "position": [*rng.normal(5, 1, 100).round(), 70.0]})
    >>> found = unusual_executions(values, seed=0)
    >>> found["unusual"].arg_true().to_list()
    [100]
    >>> print(found["detail"][100])
    elapsed 3.8 d (usual 10 h); position 70 (usual 5)
    """
    numbers = values.select(pl.col(pl.Float32, pl.Float64)).fill_nan(None)
    score, unusual, detail = np.zeros(values.height), np.zeros(values.height, dtype=bool), [""] * values.height
    if numbers.width:
        for rows in _alike(numbers, running):
            known = numbers[rows]
            score[rows] = _scores(known, seed)
            unusual[rows] = score[rows] >= _UNUSUAL
            told = np.flatnonzero(unusual[rows])
            for row, text in zip(rows[told], _details(known, told), strict=True):
                detail[row] = text
    return pl.DataFrame(
        {"score": score, "unusual": unusual, "detail": detail},
        schema={"score": pl.Float64, "unusual": pl.Boolean, "detail": pl.String},
    )


def _alike(numbers: pl.DataFrame, running: pl.Series | None) -> Iterator[npt.NDArray[np.int64]]:
    """Give the rows that are compared with each other, where they are enough."""
    runs = np.zeros(numbers.height, dtype=bool) if running is None else running.to_numpy()
    if (~runs).sum() >= _FEWEST:
        yield np.flatnonzero(~runs)
    rows = np.flatnonzero(runs)
    if len(rows) < _FEWEST:
        return
    position = numbers[_POSITION].to_numpy()[rows]
    lengths, counts = np.unique(position, return_counts=True)
    ends: list[float] = []
    size = 0
    for length, count in zip(lengths, counts, strict=True):
        size += count
        if size >= _FEWEST:
            ends.append(length)
            size = 0
    # The longest ones, where they are too few for a band, belong to that before.
    band = np.searchsorted(ends[:-1], position)
    for number in range(len(ends)):
        yield rows[band == number]


def _scores(known: pl.DataFrame, seed: int) -> Numbers:
    """Give the anomaly score of each row."""
    values = known.to_numpy()
    missing = np.isnan(values)
    usual = known.select(pl.all().median()).to_numpy().astype(np.float64)
    some = missing[:, missing.any(axis=0) & ~missing.all(axis=0)]
    # Features that are missing together say so once.
    matrix = np.hstack([np.nan_to_num(np.where(missing, usual, values)), np.unique(some, axis=1)]).astype(np.float32)
    found: Numbers = -IsolationForest(n_estimators=100, random_state=seed).fit(matrix).score_samples(matrix)
    return found


def _details(known: pl.DataFrame, told: npt.NDArray[np.int64]) -> Iterator[str]:
    """Say of some rows which features are farthest from the usual."""
    values = known.to_numpy()[told].astype(np.float64)
    low, usual, high = (
        known.select(pl.all().quantile(share, "linear")).to_numpy()[0].astype(np.float64) for share in (0.25, 0.5, 0.75)
    )
    spread = np.where(high > low, high - low, np.inf)  # what hardly ever differs says nothing of how far it is off
    there = known.select(pl.all().is_not_null().mean()).to_numpy()[0]
    varies = np.where((there > 0) & (there < 1), np.sqrt(there * (1 - there)), np.inf)
    off = np.fmax(np.abs(values - usual) / spread, np.abs(~np.isnan(values) - there) / varies / _QUARTILES)
    for row, first in enumerate(np.argsort(-off, axis=1, kind="stable")[:, :_TOLD]):
        yield "; ".join(
            f"{known.columns[place]} {_told(known.columns[place], values[row, place])} "
            f"(usual {_told(known.columns[place], usual[place] if there[place] >= _USUAL else np.nan)})"
            for place in first
        )


def _told(name: str, value: float) -> str:
    """Say a feature's value; NaN is none.

    Examples
    --------
    >>> _told("since: pay order", 5400.0), _told("hour", 13.25), _told("own: price", float("nan"))
    ('1.5 h', '13.25', 'none')
    """
    if np.isnan(value):
        return "none"
    return spoken(value) if is_duration(name) else f"{value:.6g}"
