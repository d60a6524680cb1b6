"""Unusual objects: an isolation forest over what is known of each as of its last event.

References
----------
Liu, Ting, Zhou: Isolation Forest (ICDM 2008); its score is above 0.5 for what is easier to isolate than most.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import polars as pl
from sklearn.ensemble import IsolationForest

from ocelake.mining.times import spoken

__all__ = ["unusual_executions"]

_UNUSUAL: Final = 0.65
_FEWEST: Final = 50
"""So many objects it takes for one of them to be unusual."""

_TOLD: Final = 3


def unusual_executions(
    values: pl.DataFrame, *, seed: int, running: pl.Series | None = None, durations: Collection[str] = ()
) -> pl.DataFrame:
    """Score objects by how easily they are told from the others that run, or are over, as they do.

    Parameters
    ----------
    values : DataFrame
        A row for each object: its features as of its last event; texts are passed over. Where a number is missing, that
        is a feature of its own.
    seed : int
    running : Series of bool, optional
        Which of the objects are not over; one that has just begun is not unusual beside those that are.
    durations : collection of str
        The features that are seconds.

    Returns
    -------
    DataFrame
        The same rows: score (from 0 to 1), unusual, detail (the features that are farthest from the usual, in units of
        the distance between the quartiles). Of fewer than 50 objects none is unusual.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = pl.DataFrame({"elapsed": [*rng.normal(10, 1, 100), 90.0], "events": [*rng.normal(5, 1, 100), 70.0]})
    >>> found = unusual_executions(values, seed=0, durations=["elapsed"])
    >>> found["unusual"].arg_true().to_list(), found["detail"][100]
    ([100], 'elapsed 1.5 min (usual 10 s); events 70 (usual 4.99)')
    """
    state = pl.repeat(value=False, n=values.height, eager=True) if running is None else running
    rows = values.select(pl.col(pl.Float32, pl.Float64).fill_nan(None)).with_row_index("row")
    none = pl.DataFrame(
        schema={"row": rows.schema["row"], "score": pl.Float64, "unusual": pl.Boolean, "detail": pl.String}
    )
    found = [none, *(_found(rows.filter(part), seed, durations) for part in (state, ~state))]
    return pl.concat(found).sort("row").drop("row")


def _found(rows: pl.DataFrame, seed: int, durations: Collection[str]) -> pl.DataFrame:
    kept = rows.select("row", score=pl.lit(0.0), unusual=pl.lit(False), detail=pl.lit(""))
    numbers = rows.drop("row", *(name for name in rows.columns if rows[name].null_count() == rows.height))
    if rows.height < _FEWEST or not numbers.width:
        return kept
    missing = numbers.select(pl.all().is_null().cast(pl.Float64).name.prefix("no "))
    filled = numbers.select(pl.col(name).fill_null(pl.col(name).median()) for name in numbers.columns)
    matrix = pl.concat([filled, missing], how="horizontal").to_numpy().astype(np.float32)
    forest = IsolationForest(n_estimators=100, random_state=seed).fit(matrix)
    score = -forest.score_samples(matrix)
    unusual = score >= _UNUSUAL
    low, usual, high = np.quantile(matrix, [0.25, 0.5, 0.75], axis=0)
    spread = np.where(high > low, high - low, np.inf)  # what hardly ever differs says nothing of how far it is off
    names = [*numbers.columns, *missing.columns]
    detail = [""] * rows.height
    for row in np.flatnonzero(unusual):
        off = np.abs(matrix[row] - usual) / spread
        first = [place for place in np.argsort(-off, kind="stable")[:_TOLD] if off[place] > 0]
        told = (_told(names[place], matrix[row, place], usual[place], durations) for place in first)
        detail[row] = "; ".join(told)
    return kept.with_columns(pl.Series("score", score), pl.Series("unusual", unusual), pl.Series("detail", detail))


def _told(name: str, value: float, usual: float, durations: Collection[str]) -> str:
    here, there = (spoken(part) if name in durations else f"{part:.3g}" for part in (float(value), float(usual)))
    return f"{name} {here} (usual {there})"
