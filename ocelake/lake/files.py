"""Rows to data files: Parquet with field ids, in sort order, in the log's partitions, with statistics.

A file that is written is not part of any table until a publication names it; one that no publication names is an
orphan, and harmless.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
from pyiceberg.table import Table

from ocelake.errors import LakeError, Unreachable
from ocelake.lake.guards import warehouse_may_recover
from ocelake.tables import TableSpec

__all__ = ["BUCKET_ROWS", "FILE_BYTES", "SliceWriter", "bucket_count", "bucket_of", "is_sorted"]

BUCKET_ROWS: Final = 8_000_000
"""Rows of a log up to which a table has one bucket, and about how many each bucket of a larger one gets."""

FILE_BYTES: Final = 512 << 20
"""Size at which a file is closed and another one begun."""

_PART_ROWS: Final = 500_000
_PART_BYTES: Final = 64 << 20
"""So much is gathered before it is sorted and written."""

_ROW_GROUP_ROWS: Final = 65_536
"""At most so many rows share statistics: what looks for few ids reads few of these groups."""


def bucket_count(rows: int) -> int:
    """Give the number of buckets for a log's rows: a power of two, 1 below `BUCKET_ROWS`."""
    return 1 << max(0, -(-rows // BUCKET_ROWS) - 1).bit_length()


def bucket_of(ids: pl.Series, buckets: int) -> pl.Series:
    """Give Iceberg's ``bucket[N]`` transform of text ids, as 32-bit integers."""
    if buckets == 1:
        return pl.repeat(0, len(ids), dtype=pl.Int32, eager=True).alias("bucket")
    from pyiceberg_core import transform  # type: ignore[import-untyped]  # it ships no types

    hashed = transform.bucket(ids.rechunk().to_arrow(), buckets)
    return pl.Series("bucket", hashed, dtype=pl.Int32)


def is_sorted(frame: pl.DataFrame, by: Sequence[str]) -> bool:
    """Whether rows are in order of some columns, nulls first; several times faster than sorting."""
    if frame.height < 2 or not by:
        return True
    falls: pl.Expr = pl.lit(False)
    for name in reversed(by):
        value, before = pl.col(name), pl.col(name).shift(1)
        lower = pl.when(before.is_null()).then(False).when(value.is_null()).then(True).otherwise(value < before)
        falls = lower | (value.eq_missing(before) & falls)
    # The first row has nothing before it: its "before" is null, which nothing is lower than.
    return not frame.lazy().select(falls.slice(1).any()).collect().item()


class SliceWriter:
    """Writes one log's rows of one table to data files as they come, in bounded memory.

    A file whose writing breaks cannot be gone on with, and the rows before are no longer at hand: where the disk is
    full, `write` and `close` raise `Unreachable`, and whoever has the rows writes them anew after `discard`.

    Parameters
    ----------
    table : pyiceberg.table.Table
        The table, for its schema, partitions and location; it is not changed.
    spec : TableSpec
        Its registry entry.
    log_id : str
        The partition.
    buckets : int
        Number of buckets, where the table has them.
    bucket : int, optional
        The one that all rows are of, where they are rewritten within it.
    ordered : bool
        Whether rows come in the order that they shall have, and are not sorted.
    """

    def __init__(
        self,
        table: Table,
        spec: TableSpec,
        log_id: str,
        buckets: int = 1,
        *,
        bucket: int | None = None,
        ordered: bool = False,
    ) -> None:
        self.rows = 0
        self._ordered = ordered
        self._table, self._spec, self._log_id = table, spec, log_id
        self._buckets, self._bucket = buckets, bucket
        self._schema = schema_to_pyarrow(table.schema())
        self._content = [name for name in spec.schema if name not in spec.partition]
        self._sort = [name for name in spec.sort if name not in spec.partition]
        self._waiting: list[pl.DataFrame] = []
        self._open: dict[int, _OpenFile] = {}
        self._files: list[DataFile] = []
        self._beside: list[SliceWriter] = []

    def write(self, frames: Iterable[pl.DataFrame]) -> None:
        """Write frames; each is put in sort order, the caller orders them among each other."""
        for frame in frames:
            self._check(frame)
            if frame.is_empty():
                continue
            self.rows += frame.height
            self._waiting.append(frame.select(self._content))
            if (
                sum(f.height for f in self._waiting) >= _PART_ROWS
                or sum(f.estimated_size() for f in self._waiting) >= _PART_BYTES
            ):
                self._flush()

    def close(self) -> list[DataFile]:
        """Finish the files and give them with their statistics."""
        self.end_file()
        while self._beside:
            other = self._beside.pop()
            self._files += other.close()
            self.rows += other.rows
        return list(self._files)

    def beside(self) -> SliceWriter:
        """Give a writer of rows of the same slice, in their order, to be used at the same time.

        Its files are this one's at its end.
        """
        other = SliceWriter(self._table, self._spec, self._log_id, self._buckets, bucket=self._bucket, ordered=True)
        self._beside.append(other)
        return other

    def end_file(self) -> None:
        """Let what is written from now on be in other files, which are sorted by themselves."""
        self._flush()
        with self._storing():
            for bucket in list(self._open):
                self._files.append(self._open[bucket].close())
                del self._open[bucket]

    def discard(self) -> None:
        """Delete what was written; a file that cannot be deleted stays behind as an orphan."""
        for other in self._beside:
            other.discard()
        self._beside.clear()
        self._waiting.clear()
        paths = [file.file_path for file in self._files]
        for file in self._open.values():
            with suppress(OSError):
                file.abort()
            paths.append(file.path)
        self._open.clear()
        self._files.clear()
        for path in paths:
            with suppress(OSError):
                self._table.io.delete(path)

    def _check(self, frame: pl.DataFrame) -> None:
        where = self._spec.identifier
        expected = {name: self._spec.schema[name] for name in self._content}
        wrong = [
            f"{name} is {frame.schema.get(name, 'missing')}, not {dtype}"
            for name, dtype in expected.items()
            if frame.schema.get(name) != dtype
        ]
        wrong += [f"{name} is no column of it" for name in frame.columns if name not in expected]
        if wrong:
            raise LakeError(
                f"The rows do not fit the table: {'; '.join(wrong)}.", where=where, fix="Correct the frame."
            )
        nulls = [
            column.name
            for column in self._spec.columns
            if column.required and column.name in expected and frame[column.name].null_count()
        ]
        if nulls:
            raise LakeError(
                f"Required columns hold nulls: {', '.join(nulls)}.", where=where, fix="Fill or quarantine these rows."
            )

    def _flush(self) -> None:
        if not self._waiting:
            return
        frame = pl.concat(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting.clear()
        if not (self._ordered or is_sorted(frame, self._sort)):
            frame = frame.sort(self._sort)
        with self._storing():
            for bucket, part in self._split(frame):
                most = self._spec.file_rows
                parts = max(1, -(-part.height // most) if most else part.height // _PART_ROWS)
                for piece in part.iter_slices(max(1, -(-part.height // parts))):
                    self._store(piece, bucket)

    def _store(self, piece: pl.DataFrame, bucket: int) -> None:
        file = self._open.get(bucket)
        if file is None:
            file = self._open[bucket] = _OpenFile(self._table, self._schema, self._partition(bucket))
        file.write(self._arrow(piece, bucket))
        if file.size >= FILE_BYTES or self._spec.file_rows:
            self._files.append(file.close())
            del self._open[bucket]

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not warehouse_may_recover(error):
                raise
            raise Unreachable(
                f"The warehouse could not be written: {error}.",
                where=f"{self._spec.identifier} at {self._table.location()}",
                fix="See that it has room and can be reached, then do it again. Nothing was published.",
            ) from error

    def _split(self, frame: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        if self._bucket is not None or self._spec.bucket is None or self._buckets == 1:
            yield self._bucket or 0, frame
            return
        buckets = bucket_of(frame[self._spec.bucket], self._buckets)
        for bucket in range(self._buckets):
            yield bucket, frame.filter(buckets == bucket)

    def _arrow(self, frame: pl.DataFrame, bucket: int) -> pa.Table:
        constants = {"log_id": pl.lit(self._log_id)}
        if self._spec.bucket:
            constants["bucket"] = pl.lit(bucket, dtype=pl.Int32)
        # A table may still have columns that the registry has given up; new rows hold nulls there.
        absent = {name: pl.lit(None) for name in self._schema.names if name not in self._spec.schema}
        full = frame.with_columns(**constants, **absent).select(self._schema.names)
        return full.to_arrow().cast(self._schema)

    def _partition(self, bucket: int) -> PartitionKey:
        values: dict[str, Any] = {"log_id": self._log_id, "bucket": bucket}
        spec, schema = self._table.spec(), self._table.schema()
        return PartitionKey([PartitionFieldValue(field, values[field.name]) for field in spec.fields], spec, schema)


class _OpenFile:
    """One Parquet file that is being written."""

    def __init__(self, table: Table, schema: pa.Schema, partition: PartitionKey) -> None:
        self._table, self._partition = table, partition
        self.path = table.location_provider().new_data_location(f"{uuid.uuid4()}.parquet", partition)
        self._stream = table.io.new_output(self.path).create(overwrite=True)
        self._writer = pq.ParquetWriter(
            self._stream,
            schema,
            compression="zstd",
            store_schema=False,
            write_batch_size=64 * 1024,
            write_page_index=True,
        )

    @property
    def size(self) -> int:
        """Bytes so far."""
        return int(self._stream.tell())

    def write(self, rows: pa.Table) -> None:
        groups = max(1, -(-rows.num_rows // _ROW_GROUP_ROWS))
        self._writer.write_table(rows, row_group_size=max(1, -(-rows.num_rows // groups)))

    def abort(self) -> None:
        try:
            self._writer.close()
        finally:
            self._stream.close()

    def close(self) -> DataFile:
        self._writer.close()
        size = self.size
        self._stream.close()
        schema, metadata = self._table.schema(), self._table.metadata
        statistics = data_file_statistics_from_parquet_metadata(
            parquet_metadata=self._writer.writer.metadata,
            stats_columns=compute_statistics_plan(schema, metadata.properties),
            parquet_column_mapping=parquet_path_to_id_mapping(schema),
        )
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=self.path,
            file_format=FileFormat.PARQUET,
            partition=self._partition.partition,
            file_size_in_bytes=size,
            sort_order_id=None,
            spec_id=metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )
