"""Compaction: fewer files in a log's slice of a table, each in the table's sort order.

`merge_small` takes what `ocelake.lake.maintenance.tiers` says is worth it, again and again while a log is published to;
`compact` leaves one file per bucket. Neither changes a row, nor is it a publication: what is published meanwhile stays,
and where that took one of the files away, the work is given up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from ocelake.errors import LakeError
from ocelake.lake.files import FILE_BYTES, SliceWriter, bucket_count
from ocelake.lake.maintenance.tiers import due
from ocelake.lake.snapshots import slice_files, stage_files
from ocelake.lake.sql_files import WarehouseFiles, address, local_path, parquet_query
from ocelake.lake.store import Rewrite
from ocelake.tables import TABLES, TableSpec

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake

__all__ = ["Compaction", "compact", "fragmented", "merge_small", "mergeable"]

_BATCH_ROWS: Final = 200_000
_LEAST_SHARE: Final = 8
"""A bucket is rewritten wholly where its other files have at least this part of the rows of its largest one."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What became of a log's slice of a table; after a conflict it is as it was."""

    identifier: str
    log_id: str
    rows: int
    files_before: int
    files_after: int
    conflict: bool = False


def fragmented(table: Table, spec: TableSpec) -> list[str]:
    """Give the logs that are worth being compacted, sorted.

    They have a bucket of more files than its size asks for, and what lies beside the largest of them is an eighth of it
    at least: a large file is not rewritten for the sake of a few rows.
    """
    place = spec.partition.index("log_id")
    buckets = _buckets(spec, slice_files(table))
    return sorted({str(bucket[place]) for bucket, files in buckets.items() if _is_fragmented(spec, files)})


def mergeable(table: Table, spec: TableSpec) -> list[str]:
    """Give the logs whose slices `merge_small` would change, sorted."""
    place = spec.partition.index("log_id")
    buckets = _buckets(spec, slice_files(table))
    return sorted({str(bucket[place]) for bucket, files in buckets.items() if due(files, spec.file_rows)})


def compact(lake: Lake, identifier: str, log_id: str) -> Compaction:
    """Rewrite a log's slice of a table: one file per bucket, in sort order, in bounded memory.

    The rows stay the same. The files they were in are still there for earlier snapshots, until those expire.

    Parameters
    ----------
    lake : Lake
        The lake.
    identifier : str
        The table.
    log_id : str
        The log.

    Raises
    ------
    LakeError
        Where the table has columns that the registry does not know: they would be lost. Or where the catalog is a REST
        one: there a log is read at the snapshot of its publication, and would not see what compaction makes.
    """
    spec, table = _compactable(lake, identifier)
    old = slice_files(table, log_id)
    buckets = bucket_count(sum(file.record_count for file in old)) if spec.bucket else 1
    return _rewrite(lake, table, spec, log_id, old, SliceWriter(table, spec, log_id, buckets))


def merge_small(lake: Lake, identifier: str, log_id: str, *, most_bytes: int | None = None) -> list[Compaction]:
    """Merge the small files of a log's slice of a table where enough of a size have gathered.

    A row is rewritten a logarithmic number of times over its life, and the number of files stays logarithmic as well;
    see `ocelake.lake.maintenance.tiers`.

    Parameters
    ----------
    lake : Lake
        The lake.
    identifier : str
        The table.
    log_id : str
        The log.
    most_bytes : int, optional
        A merge of more bytes is left for later.

    Returns
    -------
    list of Compaction
        One for each bucket where something was to be done; empty where the slice is in good order.

    Raises
    ------
    LakeError
        As `compact`.
    """
    spec, table = _compactable(lake, identifier)
    done = []
    for key, files in _buckets(spec, slice_files(table, log_id)).items():
        old = due(files, spec.file_rows)
        if old and (most_bytes is None or sum(file.file_size_in_bytes for file in old) <= most_bytes):
            bucket = key[spec.partition.index("bucket")] if spec.bucket else 0
            done.append(_rewrite(lake, table, spec, log_id, old, SliceWriter(table, spec, log_id, bucket=bucket)))
    return done


def _buckets(spec: TableSpec, files: Collection[DataFile]) -> dict[tuple[Any, ...], list[DataFile]]:
    """Group files by their partition: the log, and the bucket where the table has one."""
    found: defaultdict[tuple[Any, ...], list[DataFile]] = defaultdict(list)
    for file in files:
        found[tuple(file.partition[place] for place in range(len(spec.partition)))].append(file)
    return found


def _is_fragmented(spec: TableSpec, files: Collection[DataFile]) -> bool:
    size = sum(file.file_size_in_bytes for file in files)
    rows = sorted(file.record_count for file in files)
    needed = max(1, -(-size // FILE_BYTES), -(-sum(rows) // spec.file_rows) if spec.file_rows else 0)
    return len(rows) > needed and sum(rows[:-1]) * _LEAST_SHARE >= rows[-1]


def _compactable(lake: Lake, identifier: str) -> tuple[TableSpec, Table]:
    spec = TABLES[identifier]
    if not lake.store.shared_snapshots:
        raise LakeError(
            "Tables of a REST catalog cannot be compacted.",
            where=identifier,
            fix="Publish the layer again: that writes one file per bucket.",
        )
    table = lake.table(identifier)
    unknown = [field.name for field in table.schema().fields if field.name not in spec.schema]
    if unknown:
        raise LakeError(
            f"Compaction would lose columns that are not in the registry: {', '.join(unknown)}.",
            where=identifier,
            fix="Declare them in ocelake.tables, or drop them from the table.",
        )
    return spec, table


def _rewrite(
    lake: Lake, table: Table, spec: TableSpec, log_id: str, old: Sequence[DataFile], writer: SliceWriter
) -> Compaction:
    """Put the rows of some files of a slice into new ones, and let the table have these in their place."""
    rows = sum(file.record_count for file in old)
    try:
        writer.write(_sorted_rows(lake, table, spec, old))
        new = writer.close()
        if writer.rows != rows:
            raise LakeError(
                f"Its files hold {writer.rows} rows and not the {rows} that their metadata says.",
                where=f"{spec.identifier} of {log_id}",
                fix="Check the warehouse for damaged files.",
            )
    except BaseException:
        writer.discard()
        raise
    paths = {file.file_path for file in old}

    def plan(present: Table) -> Rewrite | None:
        remove = [file for file in slice_files(present, log_id) if file.file_path in paths]
        if len(remove) < len(paths):
            return None  # a publication has replaced some of them
        return Rewrite(stage_files(present, add=new, remove=remove, properties={"ocelake.maintenance": "compact"}))

    # An error here may be that of a commit whose answer got lost: then the table has the new files, and they stay.
    if not lake.store.rewrite(spec.identifier, plan):
        writer.discard()
        return Compaction(spec.identifier, log_id, rows, len(old), len(old), conflict=True)
    return Compaction(spec.identifier, log_id, rows, len(old), len(new))


def _sorted_rows(lake: Lake, table: Table, spec: TableSpec, files: Sequence[DataFile]) -> Iterator[pl.DataFrame]:
    """Read files as one sorted stream: DuckDB sorts on disk where the memory does not suffice."""
    root = local_path(lake.settings.warehouse)
    addresses = [address(file.file_path, root) for file in files]
    remote = WarehouseFiles()
    remote.serve(spec.identifier, table.io, addresses)
    fields = [field for field in table.schema().fields if field.name not in spec.partition]
    source = parquet_query(fields, addresses)
    order = ", ".join(f'"{name}" ASC NULLS FIRST' for name in spec.sort if name not in spec.partition)
    with duckdb.connect(":memory:") as connection:
        connection.register_filesystem(remote)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET temp_directory = $1", [str(lake.settings.home / "tmp")])
        reader = connection.sql(f"{source} ORDER BY {order}" if order else source).to_arrow_reader(_BATCH_ROWS)
        for batch in reader:
            yield pl.DataFrame(batch)
