"""Splitting prefixes by time: what is trained on was known before what is judged on happened.

References
----------
Weytjens, De Weerdt: Creating Unbiased Public Benchmark Datasets with Data Leakage Prevention for Predictive Process
Monitoring (BPM Workshops 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.models.tasks import Kind

__all__ = ["TimeSplit", "split_by_time"]

_LONGEST: Final = 0.95
_LEFT: Final = 0.2

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class TimeSplit:
    """Which rows are for what.

    Attributes
    ----------
    instant : datetime
        What was known before is trained on; prefixes from here on are judged on.
    validation_instant : datetime
        The same within what is trained on.
    fit, validation, train, test : bool arrays
        One entry per row. ``fit`` and ``validation`` are parts of ``train``.
    biased_end : bool
        Whether the test reaches to the end of the data, where long cases are missing that are not over.
    """

    instant: datetime
    validation_instant: datetime
    fit: Mask
    validation: Mask
    train: Mask
    test: Mask
    biased_end: bool

    @property
    def train_rows(self) -> int:
        """Rows that are trained on."""
        return int(self.train.sum())

    @property
    def test_rows(self) -> int:
        """Rows that are judged on."""
        return int(self.test.sum())


def split_by_time(rows: pl.DataFrame, kind: Kind, *, test_share: float, validation_share: float) -> TimeSplit:
    """Split prefixes by time.

    An object that goes on across the instant is cut: its prefixes whose target was known before are trained on, those
    after it are judged on. Of durations and outcomes the end of the data is left out of the test, for as long as 95% of
    what was trained on took to become known: what is not over there is missing, and that is mostly what takes long.
    Where that leaves less than a fifth of the test, all of it is taken, and the split says so.

    Parameters
    ----------
    rows : DataFrame
        object_id, time, target (null where it is not known), known_at.
    kind : {"activity", "duration", "outcome"}
    test_share, validation_share : float
        Shares of the objects by their first prefix, the last ones.
    """
    everything = np.ones(rows.height, dtype=bool)
    instant, train, test, biased = _split(rows, kind, everything, test_share)
    validation_instant, fit, validation, _ = _split(rows, kind, train, validation_share)
    return TimeSplit(_as_time(instant), _as_time(validation_instant), fit, validation & train, train, test, biased)


def _split(rows: pl.DataFrame, kind: Kind, among: Mask, share: float) -> tuple[int, Mask, Mask, bool]:
    time, known_at = (rows[name].cast(pl.Datetime("us")).to_physical() for name in ("time", "known_at"))
    known = rows["target"].is_not_null().to_numpy() & among
    begun = rows.select("object_id", time=time).filter(pl.Series(known)).group_by("object_id").agg(pl.col("time").min())
    if begun.is_empty():
        return 0, np.zeros(rows.height, dtype=bool), np.zeros(rows.height, dtype=bool), False
    instant = int(np.quantile(begun["time"].to_numpy(), 1 - share, method="higher"))
    then, when = time.to_numpy(), known_at.fill_null(np.iinfo(np.int64).max).to_numpy()
    train, test = known & (when < instant), known & (then >= instant)
    if kind == "activity" or not train.any() or not test.any():
        return instant, train, test, False
    until = int(when[known].max()) - int(np.quantile((when - then)[train], _LONGEST))
    whole = test & (then <= until)
    if whole.sum() < _LEFT * test.sum():
        return instant, train, test, True
    return instant, train, whole, False


def _as_time(microseconds: int) -> datetime:
    found = pl.Series([microseconds], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))[0]
    assert isinstance(found, datetime)
    return found
