"""What `bronze.batches` says of a log: which batches it has, and how far its topics were read.

A stream asks after every few seconds, for years. So what is asked for can be limited to what was published since: the
entries of manifests tell in which commit a file came, so that neither older files nor older manifests are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import polars as pl
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table

from ocelake.lake.manifests import entries_of, log_places, manifests_of
from ocelake.lake.records import PublicationRecord
from ocelake.lake.snapshots import of_log

__all__ = ["BATCHES", "Ledger", "TopicPartition", "offsets_in", "sequence_of"]

BATCHES: Final = "bronze.batches"

TopicPartition: TypeAlias = tuple[str, int]
"""A topic, and the number of one of its partitions."""


@dataclass(frozen=True)
class Ledger:
    """What `bronze.batches` holds of one log in one state; read where it is asked, once.

    Attributes
    ----------
    table : pyiceberg.table.Table
        As loaded.
    log_id : str
        The log.
    base : callable
        Gives the publication that a writer began from, if there was one.
    snapshot_id : int, optional
        The state; the table's current one without it.
    """

    table: Table
    log_id: str
    base: Callable[[], PublicationRecord | None]
    snapshot_id: int | None = None

    @cached_property
    def batches(self) -> frozenset[str]:
        """All batches of the log."""
        if self.table.metadata.current_snapshot_id is None:
            return frozenset()
        rows = self.table.scan(of_log(self.log_id), ("batch_id",), snapshot_id=self.snapshot_id).to_arrow()
        return frozenset(rows["batch_id"].to_pylist())

    @cached_property
    def offsets(self) -> dict[TopicPartition, int]:
        """How far topic partitions were read by publications after the base."""
        base = self.base()
        after = sequence_of(self.table, base.snapshots.get(BATCHES)) if base else 0
        return offsets_in(self.table, self.log_id, self.snapshot_id, after=after)


def offsets_in(
    table: Table, log_id: str, snapshot_id: int | None = None, *, after: int = 0
) -> dict[TopicPartition, int]:
    """Give how far a log's topics were read, in a snapshot of `bronze.batches`.

    Parameters
    ----------
    table : pyiceberg.table.Table
        As loaded.
    snapshot_id : int, optional
        The current one without it.
    after : int
        Only what came with later commits than the one of this sequence number; all without it.
    """
    tasks = [FileScanTask(file) for file in _files_after(table, log_id, snapshot_id, after)]
    if not tasks:
        return {}
    columns = table.schema().select("topic", "partition", "last_offset")
    scan = ArrowScan(table.metadata, table.io, columns, AlwaysTrue())
    rows = pl.DataFrame(scan.to_table(tasks))
    ends = rows.drop_nulls("topic").group_by("topic", "partition").agg(pl.col("last_offset").max())
    return {(topic, partition): last for topic, partition, last in ends.iter_rows()}


def sequence_of(table: Table, snapshot_id: int | None) -> int:
    """Give the sequence number of a snapshot, for ``after``; 0 where it has expired, which means all."""
    snapshot = None if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    return (snapshot.sequence_number or 0) if snapshot else 0


def _files_after(table: Table, log_id: str, snapshot_id: int | None, after: int) -> Iterator[DataFile]:
    snapshot = table.current_snapshot() if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    places = log_places(table)
    for manifest in manifests_of(table.io, snapshot):
        if (manifest.sequence_number or 0) <= after:
            continue
        for entry in entries_of(table.io, manifest):
            place = places[manifest.partition_spec_id]
            if (entry.sequence_number or 0) > after and entry.data_file.partition[place] == log_id:
                yield entry.data_file
