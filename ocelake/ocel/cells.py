"""The values of wide tables as rows: one per value, in the order of the table's rows and columns.

What a row of an object's table means, a state or a single change, is decided here.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.ocel.relational import Table

__all__ = ["CELL", "RESERVED", "cells"]

CELL: Final = pl.Schema(
    {"row": pl.Int64, "name": pl.String, "time": pl.String, "value": pl.String, "value_type": pl.String}
)
"""Columns of `cells`; ``row`` is the row of the table that the value is from."""

RESERVED: Final = {"event": ("ocel_id", "ocel_time"), "object": ("ocel_id", "ocel_time", "ocel_changed_field")}
"""Columns of a table of values that are none themselves."""

# A block of rows has at most this many cells, so that a hostile table of two thousand columns needs no more memory.
_BLOCK: Final = 1 << 23
_KINDS: Final = pl.Series([None, "string", "integer", "float", "boolean", "time", "list", "map"], dtype=pl.String)
_CODES: Final = {kind: code for code, kind in enumerate(_KINDS)}


def cells(table: Table, kind: str, *, reserved: tuple[str, ...] = ()) -> tuple[pl.DataFrame, int]:
    """Give the values of a table.

    Parameters
    ----------
    table : Table
        Its rows, as text.
    kind : {"event", "object"}
        What its rows are about; a value of an event has no time of its own.
    reserved : tuple of str
        Columns that are no values, beside those in `RESERVED`.

    Returns
    -------
    values : DataFrame
        With the columns of `CELL`.
    contradictions : int
        Values in the rows of a change that neither the change names nor repeat the state before, by the order of rows.
        They are not among the values.

    Notes
    -----
    A row with ``ocel_changed_field`` is a change of this column alone, to null where it is null; other values in it
    repeat the object's state (some tools write them so). Where it names no column, the change is kept as one to null,
    and the values in the row count.
    """
    frame = table.frame
    names = [name for name in frame.columns if name not in (*RESERVED[kind], *reserved)]
    changed = None
    if kind == "object" and "ocel_changed_field" in frame.columns:
        field = frame["ocel_changed_field"]
        changed = frame.select(pl.when(field != "").then(field)).to_series()
        changed = None if changed.null_count() == frame.height else changed
    if not names and changed is None:
        return CELL.to_frame(), 0
    parts, contradictions = [CELL.to_frame()], 0
    step = max(1, _BLOCK // max(1, len(names)))
    for start in range(0, frame.height, step):
        part = frame.slice(start, step)
        mask = np.zeros((part.height, len(names)), dtype=np.bool_)
        for column, name in enumerate(names):
            mask[:, column] = part[name].is_not_null().to_numpy()
        lost = None
        if changed is not None:
            named = changed.slice(start, step)
            contradictions += _keep_changed(part, names, named, mask)
            lost = (named.is_not_null() & ~named.is_in(names)).arg_true().cast(pl.Int64)
        rows, columns = np.nonzero(mask)
        block = pl.DataFrame(
            {
                "row": rows,
                "name": pl.Series(names, dtype=pl.String).gather(columns),
                "value": pl.concat([pl.Series([], dtype=pl.String), *(part[name].rename("") for name in names)]).gather(
                    columns * part.height + rows
                ),
                "value_type": _KINDS.gather(_codes(table, names, start, rows, columns)),
            },
            schema_overrides={"row": pl.Int64},
        )
        if lost is not None:
            null_kind = pl.when(pl.col("value").is_not_null()).then("value_type").alias("value_type")
            block = block.with_columns(null_kind)
        if changed is not None and lost is not None and lost.len():
            unnamed = pl.DataFrame({"row": lost, "name": changed.slice(start, step).gather(lost)})
            block = pl.concat([block, unnamed], how="diagonal").sort("row", maintain_order=True)
        if kind == "object" and "ocel_time" in part.columns:
            block = block.with_columns(part["ocel_time"].gather(block["row"]).alias("time"))
        else:
            block = block.with_columns(pl.lit(None, pl.String).alias("time"))
        parts.append(block.select(pl.col("row") + start, *(name for name in CELL if name != "row")))
    return pl.concat(parts), contradictions


def _codes(
    table: Table, names: list[str], start: int, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> npt.NDArray[np.uint8]:
    """Give the native value type of each value as an index into `_KINDS`."""
    kinds = [table.kinds.get(name) for name in names]
    codes = np.array([_CODES[kind] if isinstance(kind, str) else 0 for kind in kinds], dtype=np.uint8)[columns]
    for column, kind in enumerate(kinds):
        if isinstance(kind, pl.Series):
            at = np.nonzero(columns == column)[0]
            found = kind.gather(rows[at] + start).replace_strict(_CODES, default=0, return_dtype=pl.UInt8)
            codes[at] = found.to_numpy()
    return codes


def _keep_changed(part: pl.DataFrame, names: list[str], named: pl.Series, mask: npt.NDArray[np.bool_]) -> int:
    """Leave only the changed field of a change in the mask; count the other values that contradict the state."""
    codes = {name: column for column, name in enumerate(names)}
    column = named.replace_strict(codes, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
    change = np.nonzero(column >= 0)[0]
    beside = mask[change].copy()
    beside[np.arange(change.size), column[change]] = False
    contradictions = 0
    if beside.any():
        flagged = np.zeros_like(mask)
        flagged[change] = beside
        for at in np.nonzero(beside.any(axis=0))[0]:
            state = part.select("ocel_id", pl.col(names[at]).alias("value"), pl.Series("beside", flagged[:, at]))
            state = state.drop_nulls("value").with_columns(before=pl.col("value").shift().over("ocel_id"))
            contradictions += state.filter("beside", pl.col("value").ne_missing(pl.col("before"))).height
    mask[change] = False
    mask[change, column[change]] = True
    return contradictions
