"""Rows of single data files: which files hold some rows, and what differs between two states of a slice.

Readers of whole tables plan and scan (`ocelake.lake.scan`). Here is what changes of a slice need: a file that holds a
row to be removed is rewritten without it, and what a publication changed is in the files that came and went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.types import StringType

from ocelake.tables import TableSpec

__all__ = ["difference", "files_holding", "key_of", "read_file", "read_files"]


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
        With the columns of `key_of`.
    """
    keys = rows.select(key_of(spec))
    for file in files:
        possible = _within(table, file, keys)
        if possible.is_empty():
            continue
        there = read_file(table.io, spec, file, keys.columns)
        held = there.join(possible, on=keys.columns, how="semi", nulls_equal=True).height
        if held:
            yield file, held


def _within(table: Table, file: DataFile, keys: pl.DataFrame) -> pl.DataFrame:
    """Leave out the keys that a file cannot hold, by its least and greatest values."""
    kept = keys
    for name in keys.columns:
        field = table.schema().find_field(name)
        bounds = [(found or {}).get(field.field_id) for found in (file.lower_bounds, file.upper_bounds)]
        if None in bounds or keys.schema[name] != pl.String:
            continue
        least, most = (str(from_bytes(StringType(), cast("bytes", bound))) for bound in bounds)
        # The greatest value may be cut, to the next greater text of that length: it is a bound all the same.
        kept = kept.filter(pl.col(name).is_between(pl.lit(least), pl.lit(most)) | pl.col(name).is_null())
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
