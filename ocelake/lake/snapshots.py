"""One log's new slice of one table, as an uncommitted Iceberg snapshot.

A slice changes by whole files only: the log is a partition, so no file of another log is ever rewritten and no delete
file is ever written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.expressions import BooleanExpression, EqualTo
from pyiceberg.manifest import DataFile, ManifestEntry, ManifestEntryStatus, ManifestFile, ManifestWriter
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table, TableProperties, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import TableRequirement, TableUpdate
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles
from pyiceberg.utils.concurrent import ExecutorFactory

from ocelake.lake.manifests import entries_of, log_places, manifests_of

__all__ = ["StagedSnapshot", "of_log", "slice_files", "stage_files"]


@dataclass(frozen=True, slots=True)
class StagedSnapshot:
    """A snapshot whose manifests are written and that no table has yet.

    Attributes
    ----------
    table : Table
        What it was staged against.
    snapshot_id : int
        Its id once it is committed.
    updates, requirements : tuple
        What a commit hands to the catalog.
    discard : callable
        Deletes the manifests.
    """

    table: Table
    snapshot_id: int
    updates: tuple[TableUpdate, ...]
    requirements: tuple[TableRequirement, ...]
    discard: Callable[[], None] = field(repr=False)


def of_log(log_id: str) -> BooleanExpression:
    """Give the row filter that selects one log's partition."""
    return EqualTo("log_id", log_id)  # type: ignore  # pydantic's field names hide the positional signature


def slice_files(table: Table, log_id: str | None = None, snapshot_id: int | None = None) -> list[DataFile]:
    """Give the data files of a log (of all logs without one) in a snapshot, the current one by default."""
    snapshot = table.current_snapshot() if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    manifests = manifests_of(table.io, snapshot)

    def read(manifest: ManifestFile) -> list[DataFile]:
        return [entry.data_file for entry in entries_of(table.io, manifest)]

    if log_id is None:
        return [file for files in ExecutorFactory.get_or_create().map(read, manifests) for file in files]
    places = log_places(table)
    placed = [(manifest, places[manifest.partition_spec_id]) for manifest in manifests]
    near = [(manifest, place) for manifest, place in placed if _may_hold(manifest, place, log_id)]
    found = ExecutorFactory.get_or_create().map(read, (manifest for manifest, _ in near))
    return [
        file for (_, place), files in zip(near, found, strict=True) for file in files if file.partition[place] == log_id
    ]


def _may_hold(manifest: ManifestFile, place: int, log_id: str) -> bool:
    """Whether a log is within the bounds of a manifest."""
    if not manifest.partitions:
        return True
    bounds, name = manifest.partitions[place], log_id.encode()
    above = bounds.lower_bound is None or name >= bounds.lower_bound
    return above and (bounds.upper_bound is None or name <= bounds.upper_bound)


def stage_files(
    table: Table,
    *,
    add: Sequence[DataFile],
    remove: Sequence[DataFile] = (),
    properties: dict[str, str] | None = None,
    merge_at: int | None = None,
) -> StagedSnapshot:
    """Stage one snapshot that takes files away and adds others.

    Parameters
    ----------
    table : pyiceberg.table.Table
        As loaded; not changed.
    add : sequence of DataFile
        Written files (`ocelake.lake.files`).
    remove : sequence of DataFile
        Files of the table's current snapshot.
    properties : dict of str to str, optional
        For the snapshot's summary.
    merge_at : int, optional
        From how many manifests on they are merged; as the table's properties say without it.
    """
    transaction = _Staging(table)
    producer = _SliceFiles(transaction, bool(remove), properties or {}, merge_at)
    for file in remove:
        producer.delete_data_file(file)
    for file in add:
        producer.append_data_file(file)
    try:
        producer.commit()
    except OSError:
        producer.clean()
        raise
    return StagedSnapshot(
        table, producer.snapshot_id, transaction._updates, transaction._requirements, producer._clean_all_uncommitted
    )


class _Staging(Transaction):
    """A transaction that is never committed by itself.

    pyiceberg computes ``table_metadata`` anew, with a deep copy of every snapshot, at each of some thirty accesses in
    a commit; that is what makes commits slow down with the number of snapshots.
    """

    _computed: tuple[int, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata with the updates so far."""
        if not self._updates:
            return self._table.metadata
        if self._computed is None or self._computed[0] != len(self._updates):
            self._computed = (len(self._updates), super().table_metadata)
        return self._computed[1]


class _SliceFiles(_OverwriteFiles):
    """An overwrite that leaves empty manifests behind and merges small ones, so that their number stays bounded."""

    def __init__(
        self, transaction: Transaction, removes: bool, properties: dict[str, str], merge_at: int | None
    ) -> None:
        operation = Operation.OVERWRITE if removes else Operation.APPEND
        super().__init__(operation, transaction, transaction._table.io, snapshot_properties=properties)
        self._merge_at = merge_at
        self._writing = threading.Lock()
        self._broken: OSError | None = None

    @contextmanager
    def new_manifest_writer(self, spec: PartitionSpec) -> Iterator[ManifestWriter]:  # type: ignore[override]  # for `with`
        """Write one manifest at a time, and none after one that could not be written."""
        # pyiceberg writes them side by side: where one breaks, another would come to be after the tidying.
        with self._writing:
            if self._broken is not None:
                raise self._broken
            try:
                with super().new_manifest_writer(spec) as writer:
                    yield writer
            except OSError as error:
                self._broken = error
                raise

    def clean(self) -> None:
        """Delete what was written, where the rest could not be."""
        with self._writing:
            for path in (*self._written_manifests, *self._written_manifest_lists):
                with suppress(OSError):
                    self._io.delete(path)

    def _build_delete_files_partition_predicate(self) -> None:
        """Do without: which manifests hold the files to be removed is looked up, and not told from their bounds."""

    def _deleted_entries(self) -> list[ManifestEntry]:
        found = [
            ManifestEntry.from_args(
                status=ManifestEntryStatus.DELETED,
                snapshot_id=self.snapshot_id,
                sequence_number=entry.sequence_number,
                file_sequence_number=entry.file_sequence_number,
                data_file=entry.data_file,
            )
            for manifest, touched in self._parent_manifests()
            if touched
            for entry in entries_of(self._io, manifest)
            if entry.data_file in self._deleted_data_files
        ]
        self._validate_required_deletes(found)
        return found

    def _existing_manifests(self) -> list[ManifestFile]:
        kept: list[ManifestFile] = []
        for manifest, touched in self._parent_manifests():
            alive = entries_of(self._io, manifest) if touched else ()
            left = [entry for entry in alive if entry.data_file not in self._deleted_data_files]
            if len(left) == len(alive):
                kept.append(manifest)
            elif left:
                with self.new_manifest_writer(self.spec(manifest.partition_spec_id)) as writer:
                    for entry in left:
                        writer.existing(entry)
                kept.append(writer.to_manifest_file())
        return kept

    def fetch_manifest_entry(self, manifest: ManifestFile, discard_deleted: bool = True) -> list[ManifestEntry]:
        """Read a manifest to be merged; what earlier snapshots took away is not asked for."""
        if manifest.manifest_path in self._written_manifests:
            return super().fetch_manifest_entry(manifest, discard_deleted)
        return list(entries_of(self._io, manifest))

    def _parent_manifests(self) -> Iterator[tuple[ManifestFile, bool]]:
        """Give the manifests with something alive, and whether a file to be removed may be in it."""
        places = log_places(self._transaction._table)
        logs = {file.partition[places[file.spec_id]] for file in self._deleted_data_files}
        parent = self._transaction.table_metadata.snapshot_by_name(self._target_branch)
        for manifest in manifests_of(self._io, parent):
            # One of deleted entries only says what an earlier snapshot took away.
            if manifest.has_added_files() or manifest.has_existing_files():
                place = places[manifest.partition_spec_id]
                yield manifest, any(_may_hold(manifest, place, log) for log in logs)

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        properties = self._transaction.table_metadata.properties
        merger: _ManifestMergeManager[Any] = _ManifestMergeManager(
            target_size_bytes=TableProperties.MANIFEST_TARGET_SIZE_BYTES_DEFAULT,
            min_count_to_merge=self._merge_at or int(properties[TableProperties.MANIFEST_MIN_MERGE_COUNT]),
            merge_enabled=True,
            snapshot_producer=self,
        )
        return merger.merge_manifests(manifests)
