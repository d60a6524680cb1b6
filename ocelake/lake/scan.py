"""Reading: planned files of a table at a moment, and lazy frames over them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRef, SnapshotRefType

from ocelake.errors import NotFound
from ocelake.lake.snapshots import slice_files
from ocelake.lake.timeline import View
from ocelake.tables import TableSpec

__all__ = ["Plan", "plan_table", "scan_table"]

_STORAGE: Final = ("s3.", "gcs.", "adls.", "hf.", "client.")
"""Properties of the catalog that say how to reach the data files."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The data files that hold a table's rows at a moment.

    Attributes
    ----------
    identifier : str
        The table.
    schema : pyiceberg.schema.Schema
        The table's current schema; match the files' columns by field id, a column that a file lacks is null.
    files : tuple of DataFile
        Whole: a file holds rows of one log only, and no file has deleted rows.
    table : pyiceberg.table.Table
        For its ``io`` and metadata.
    """

    identifier: str
    schema: Schema
    files: tuple[DataFile, ...]
    table: Table

    @property
    def paths(self) -> list[str]:
        """Where the files are."""
        return [file.file_path for file in self.files]

    @property
    def rows(self) -> int:
        """How many rows they hold."""
        return sum(file.record_count for file in self.files)


def plan_table(spec: TableSpec, table: Table, view: View, log_id: str | None = None) -> Plan:
    """Plan the files of one log, or of all."""
    files: list[DataFile] = []
    if log_id is not None:
        if (snapshot := view.of(log_id)) is not None:
            files = slice_files(_table_at(table, snapshot, view), log_id)
    else:
        place = spec.partition.index("log_id")
        if view.snapshot_id is not None:
            shared = slice_files(_table_at(table, view.snapshot_id, view))
            files = [file for file in shared if file.partition[place] not in view.others]
        for log, snapshot in sorted(view.others.items()):
            if snapshot is not None:
                files += slice_files(_table_at(table, snapshot, view), log)
    return Plan(spec.identifier, table.schema(), tuple(files), table)


def scan_table(
    spec: TableSpec, table: Table, view: View, log_id: str | None = None, columns: Sequence[str] | None = None
) -> pl.LazyFrame:
    """Give the rows of one log (without ``log_id`` and ``bucket``), or of all logs (with ``log_id``), lazily.

    Columns are matched by field id; rows written before a column was added hold null there.
    """
    hidden = {"bucket"} if log_id is None else {"bucket", "log_id"}
    known = [name for name in spec.schema if name not in hidden]
    if columns is not None:
        for name in columns:
            if name not in known:
                raise NotFound(f"{spec.identifier} has no column {name!r}.", fix=f"Its columns are {', '.join(known)}.")
        known = list(columns)
    if log_id is not None:
        plan = plan_table(spec, table, view, log_id)
        if _is_plain(plan):
            return _files(spec, plan, known)
        parts = [_snapshot(table, view, view.of(log_id), pl.col("log_id") == log_id)]
    else:
        rest = ~pl.col("log_id").is_in(sorted(view.others)) if view.others else None
        parts = [_snapshot(table, view, view.snapshot_id, rest)]
        others = sorted(view.others.items())
        parts += [_snapshot(table, view, snapshot, pl.col("log_id") == log) for log, snapshot in others]
    frames = [part.select(known) for part in parts if part is not None]
    if not frames:
        return spec.schema.to_frame().lazy().select(known)
    return frames[0] if len(frames) == 1 else pl.concat(frames)


def _is_plain(plan: Plan) -> bool:
    """Whether the files can be read by the names of their columns: they are near, and a name always meant one column.

    Polars reads an Iceberg table by field ids, for which it plans each scan anew; that takes ten times as long as
    reading a small file.
    """
    if any("://" in path and not path.startswith("file:///") for path in plan.paths):
        return False
    fields = {field.name: (field.field_id, field.field_type) for field in plan.schema.fields}
    ids = {field.field_id for field in plan.schema.fields}
    return all(
        fields[field.name] == (field.field_id, field.field_type) if field.name in fields else field.field_id not in ids
        for schema in plan.table.metadata.schemas
        for field in schema.fields
    )


def _files(spec: TableSpec, plan: Plan, columns: Sequence[str]) -> pl.LazyFrame:
    """Scan files by the names of their columns; a column that a file lacks is null."""
    schema = {field.name: spec.schema[field.name] for field in plan.schema.fields if field.name in columns}
    if not plan.files:
        return pl.LazyFrame(schema=schema).select(columns)
    rows = pl.scan_parquet(
        [path.removeprefix("file://") for path in plan.paths],
        schema=schema,
        missing_columns="insert",
        extra_columns="ignore",
        hive_partitioning=False,
        glob=False,
    )
    return rows.select(columns)


def _snapshot(table: Table, view: View, snapshot_id: int | None, rows: pl.Expr | None) -> pl.LazyFrame | None:
    if snapshot_id is None:
        return None
    # Polars would else warn at each scan that an optional planner is missing, or use it where it is installed; that one
    # reads the metadata file, and does not see the snapshot that `_table_at` chose.
    os.environ.setdefault("POLARS_ICEBERG_PLANNER", "pyiceberg")
    storage = {name: str(value) for name, value in table.io.properties.items() if name.startswith(_STORAGE)}
    frame = pl.scan_iceberg(_table_at(table, snapshot_id, view), storage_options=storage or None)
    return frame if rows is None else frame.filter(rows)


def _table_at(table: Table, snapshot_id: int, view: View) -> Table:
    """Give the table with an earlier snapshot as its current one.

    Asking for a snapshot by id would read it with its own, old schema; here it is read with the table's present one.
    """
    if snapshot_id == table.metadata.current_snapshot_id:
        return table
    main = SnapshotRef.model_validate({"snapshot-id": snapshot_id, "type": SnapshotRefType.BRANCH})
    snapshots = [*table.metadata.snapshots, *view.dropped.values()]
    metadata = table.metadata.model_copy(
        update={"current_snapshot_id": snapshot_id, "refs": {MAIN_BRANCH: main}, "snapshots": snapshots}
    )
    # No metadata file says this, so none is named.
    return Table(table.name(), metadata, "", table.io, table.catalog)
