"""Compaction: one file per bucket of a log, in the table's sort order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb
import polars as pl
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from ocelake.errors import LakeError
from ocelake.lake.files import SliceWriter, bucket_count
from ocelake.lake.snapshots import slice_files, stage_files
from ocelake.lake.sql_files import WarehouseFiles, address, local_path, parquet_query
from ocelake.tables import TABLES, TableSpec

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake

__all__ = ["Compaction", "compact", "fragmented"]

_BATCH_ROWS: Final = 200_000
_FILE_BYTES: Final = 512 << 20


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
    """Give the logs that have a bucket of more files than its size asks for, sorted."""
    buckets: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for file in slice_files(table):
        buckets[tuple(file.partition[place] for place in range(len(spec.partition)))].append(file.file_size_in_bytes)
    place = spec.partition.index("log_id")
    many = {str(bucket[place]) for bucket, sizes in buckets.items() if len(sizes) > _files_for(sum(sizes))}
    return sorted(many)


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
    spec = TABLES[identifier]
    if not lake.store.shared_snapshots:
        raise LakeError(
            "Tables of a REST catalog cannot be compacted.",
            where=identifier,
            fix="Publish the layer again: that writes one file per bucket.",
        )
    table = lake.catalog.load_table(identifier)
    unknown = [field.name for field in table.schema().fields if field.name not in spec.schema]
    if unknown:
        raise LakeError(
            f"Compaction would lose columns that are not in the registry: {', '.join(unknown)}.",
            where=identifier,
            fix="Declare them in ocelake.tables, or drop them from the table.",
        )
    old = slice_files(table, log_id)
    rows = sum(file.record_count for file in old)
    writer = SliceWriter(table, spec, log_id, bucket_count(rows) if spec.bucket else 1)
    try:
        writer.write(_sorted_rows(lake, table, spec, old))
        new = writer.close()
        if writer.rows != rows:
            raise LakeError(
                f"Its files hold {writer.rows} rows and not the {rows} that their metadata says.",
                where=f"{identifier} of {log_id}",
                fix="Check the warehouse for damaged files.",
            )
        staged = stage_files(table, add=new, remove=old, properties={"ocelake.maintenance": "compact"})
    except BaseException:
        writer.discard()
        raise
    try:
        lake.catalog.commit_table(table, staged.requirements, staged.updates)
    except CommitFailedException:
        staged.discard()
        writer.discard()
        return Compaction(identifier, log_id, rows, len(old), len(old), conflict=True)
    return Compaction(identifier, log_id, rows, len(old), len(new))


def _files_for(size: int) -> int:
    return max(1, -(-size // _FILE_BYTES))


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
