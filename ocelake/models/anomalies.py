"""Unusual objects: an isolation forest over what is known of each as of its last event.

References
----------
Liu, Ting, Zhou: Isolation Forest (ICDM 2008); its score is above 0.5 for what is easier to isolate than most.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from sklearn.ensemble import IsolationForest

__all__ = ["unusual_executions"]

_UNUSUAL: Final = 0.65
_FEWEST: Final = 50
"""So many objects it takes for one of them to be unusual."""

_TOLD: Final = 3


def unusual_executions(values: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Score objects by how easily they are told from the others.

    Parameters
    ----------
    values : DataFrame
        A row for each object: its features as of its last event; texts are passed over, what is missing counts as 0.
    seed : int

    Returns
    -------
    DataFrame
        The same rows: score (from 0 to 1), unusual, detail (the features that are farthest from the usual, in units of
        the distance between the quartiles). Of fewer than 50 objects none is unusual.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = pl.DataFrame({"elapsed": [*rng.normal(10, 1, 100), 90.0], "events": [*rng.normal(5, 1, 100), 70.0]})
    >>> unusual_executions(values, seed=0)["unusual"].arg_true().to_list()
    [100]
    """
    numbers = values.select(pl.col(pl.Float32, pl.Float64)).fill_null(0).fill_nan(0)
    if values.height < _FEWEST or not numbers.width:
        return pl.DataFrame(
            {"score": [0.0] * values.height, "unusual": [False] * values.height, "detail": [""] * values.height},
            schema={"score": pl.Float64, "unusual": pl.Boolean, "detail": pl.String},
        )
    matrix = numbers.to_numpy().astype(np.float32)
    forest = IsolationForest(n_estimators=100, random_state=seed).fit(matrix)
    score = -forest.score_samples(matrix)
    unusual = score >= _UNUSUAL
    low, usual, high = np.quantile(matrix, [0.25, 0.5, 0.75], axis=0)
    spread = np.where(high > low, high - low, np.inf)  # what hardly ever differs says nothing of how far it is off
    detail = [""] * values.height
    for row in np.flatnonzero(unusual):
        off = np.abs(matrix[row] - usual) / spread
        first = np.argsort(-off, kind="stable")[:_TOLD]
        told = [f"{numbers.columns[place]} {matrix[row, place]:.6g} (usual {usual[place]:.6g})" for place in first]
        detail[row] = "; ".join(told)
    return pl.DataFrame({"score": score, "unusual": unusual, "detail": detail})
