"""Rows of single data files: which files hold some rows, and what differs between two states of a slice.

Readers of whole tables plan and scan (`ocelake.lake.scan`). Here is what changes of a slice need: a file that holds a
row to be removed is rewritten without it, and what a publication changed is in the files that came and went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any, Final, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.types import StringType, TimestamptzType

from ocelake.tables import TableSpec

__all__ = ["among", "difference", "files_holding", "key_of", "read_file", "read_files"]


_FEW: Final = 8


def among(column: str, ids: pl.Series) -> pl.Expr:
    """Whether a column has one of some ids, said so that a scan leaves out row groups by their statistics.

    Polars does that for comparisons, but not for ``is_in``.
    """
    if ids.is_empty():
        return pl.lit(False)
    if len(ids) <= _FEW:
        return reduce(or_, (pl.col(column) == pl.lit(one) for one in ids))
    return pl.col(column).is_between(pl.lit(ids.min()), pl.lit(ids.max())) & pl.col(column).is_in(ids.implode())


def key_of(spec: TableSpec) -> list[str]:
    """Give the columns that identify a row within a log's slice of a table."""
    return [name for name in spec.key if name != "log_id"]


def read_file(io: FileIO, spec: TableSpec, file: DataFile, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read one data file: the table's columns without ``log_id`` and ``bucket``, or some of them.

    A column that is newer than the file is null.
    """
    wanted = [name for name in columns or spec.schema if columns or name not in spec.partition]
    # What pyiceberg opens is a file to pyarrow, though its type does not say so.
    with pq.ParquetFile(cast("Any", io.new_input(file.file_path).open())) as source:
        present = set(source.schema_arrow.names)
        rows = source.read(columns=[name for name in wanted if name in present])
    frame = cast("pl.DataFrame", pl.from_arrow(cast("pa.Table", rows)))
    absent = [pl.lit(None, spec.schema[name]).alias(name) for name in wanted if name not in present]
    return frame.with_columns(absent).select(pl.col(name).cast(spec.schema[name]) for name in wanted)


def read_files(io: FileIO, spec: TableSpec, files: Iterable[DataFile]) -> pl.DataFrame:
    """Read data files one after the other, as `read_file`."""
    empty = pl.DataFrame(schema={name: dtype for name, dtype in spec.schema.items() if name not in spec.partition})
    return pl.concat([empty, *(read_file(io, spec, file) for file in files)])


def files_holding(
    table: Table, spec: TableSpec, files: Iterable[DataFile], rows: pl.DataFrame
) -> Iterator[tuple[DataFile, int]]:
    """Find the files that hold some rows, and how many of them.

    Parameters
    ----------
    table : pyiceberg.table.Table
        For its schema and file access.
    spec : TableSpec
    files : iterable of DataFile
        Where to look.
    rows : DataFrame
        With the columns of `key_of`. Of a table with `file_rows` perhaps also columns that its rows are sorted by, as
        they are published: these say as well where a row can be.
    """
    key = key_of(spec)
    places = [name for name in spec.sort if name in rows.columns and name not in key] if spec.file_rows else []
    telling = rows.select(*key, *places)
    for file in files:
        possible = _within(table, file, telling)
        if possible.is_empty():
            continue
        there = read_file(table.io, spec, file, key)
        held = there.join(possible, on=key, how="semi", nulls_equal=True).height
        if held:
            yield file, held


def _within(table: Table, file: DataFile, rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out the rows that a file cannot hold, by its least and greatest values."""
    kept = rows
    for name, dtype in rows.schema.items():
        field = table.schema().find_field(name)
        bounds = [(found or {}).get(field.field_id) for found in (file.lower_bounds, file.upper_bounds)]
        if None in bounds or not isinstance(field.field_type, StringType | TimestamptzType):
            continue
        # The greatest text may be cut, to the next greater one of that length: it is a bound all the same.
        least, most = (pl.lit(from_bytes(field.field_type, cast("bytes", bound))).cast(dtype) for bound in bounds)
        kept = kept.filter(pl.col(name).is_between(least, most) | pl.col(name).is_null())
    return kept


def difference(before: pl.DataFrame, after: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the rows that went and those that came; rows are unique in each frame, and their order does not matter."""
    columns = before.columns
    if before.is_empty() or after.is_empty():
        return before, after.select(columns)
    after = after.select(columns)
    return (
        before.join(after, on=columns, how="anti", nulls_equal=True),
        after.join(before, on=columns, how="anti", nulls_equal=True),
    )
