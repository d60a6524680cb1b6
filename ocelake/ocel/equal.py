"""Whether two logs are the same log."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from ocelake.ocel.model import Ocel
from ocelake.tables import TABLES

__all__ = ["log_differences"]

_ORIGIN: Final = frozenset(("batch_id", "position", "inferred", "time_ambiguous"))
"""Where a row came from and how it was read: not a part of the log that it tells of."""


def log_differences(left: Ocel, right: Ocel, *, ignore: Collection[str] = ()) -> list[str]:
    """Say where two logs differ.

    Parameters
    ----------
    left, right : Ocel
        The logs. What they say about themselves (``log_metadata``), and where each row came from, does not matter.
    ignore : collection of str
        Further columns that do not matter, such as ``sequence``, which no OCEL 2.0 file can hold.

    Returns
    -------
    list of str
        One sentence per table that differs, with an example; empty for equal logs.

    Examples
    --------
    >>> log_differences(Ocel(), Ocel())
    []
    """
    sentences = []
    for (identifier, one), (_, other) in zip(left.frames(), right.frames(), strict=True):
        if identifier == "ocel.log_metadata":
            continue
        columns = [name for name in one.columns if name not in _ORIGIN and name not in ignore]
        order = [name for name in TABLES[identifier].sort if name in columns]
        one, other = one.select(columns).sort(order), other.select(columns).sort(order)
        if not one.equals(other):
            sentences.append(f"{identifier}: {_difference(one, other)}")
    return sentences


def _difference(one: pl.DataFrame, other: pl.DataFrame) -> str:
    only_left = one.join(other, on=one.columns, how="anti", nulls_equal=True)
    only_right = other.join(one, on=one.columns, how="anti", nulls_equal=True)
    examples = [str(frame.row(0, named=True)) for frame in (only_left, only_right) if frame.height]
    counts = f"{only_left.height} rows only on the left, {only_right.height} only on the right"
    return " / ".join([f"{one.height} and {other.height} rows, {counts}", *examples])
