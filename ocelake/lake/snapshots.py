"""One log's new slice of one table, as an uncommitted Iceberg snapshot.

A slice changes by whole files only: the log is a partition, so no file of another log is ever rewritten and no delete
file is ever written.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from pyiceberg.expressions import BooleanExpression, EqualTo
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, ManifestFile, ManifestWriter
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table, TableProperties, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import TableRequirement, TableUpdate
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles
from pyiceberg.utils.concurrent import ExecutorFactory

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
    if snapshot is None:
        return []
    manifests = snapshot.manifests(table.io)
    read = partial(_files_in, table.io)
    if log_id is None:
        return [file for files in ExecutorFactory.get_or_create().map(read, manifests) for file in files]
    places = {spec.spec_id: [field.name for field in spec.fields].index("log_id") for spec in table.specs().values()}
    placed = [(manifest, places[manifest.partition_spec_id]) for manifest in manifests]
    near = [(manifest, place) for manifest, place in placed if _may_hold(manifest, place, log_id)]
    found = ExecutorFactory.get_or_create().map(read, (manifest for manifest, _ in near))
    return [
        file for (_, place), files in zip(near, found, strict=True) for file in files if file.partition[place] == log_id
    ]


_RECENT: Final[OrderedDict[str, tuple[DataFile, ...]]] = OrderedDict()
"""What small manifests list. They never change, and all but the newest few were read for the commit before."""

_RECENT_LOCK: Final = threading.Lock()
_RECENT_MANIFESTS: Final = 1024
_RECENT_FILES: Final = 64


def _files_in(io: FileIO, manifest: ManifestFile) -> tuple[DataFile, ...]:
    with _RECENT_LOCK:
        if manifest.manifest_path in _RECENT:
            _RECENT.move_to_end(manifest.manifest_path)
            return _RECENT[manifest.manifest_path]
    files = tuple(entry.data_file for entry in manifest.fetch_manifest_entry(io))
    if len(files) <= _RECENT_FILES:
        with _RECENT_LOCK:
            _RECENT[manifest.manifest_path] = files
            while len(_RECENT) > _RECENT_MANIFESTS:
                _RECENT.popitem(last=False)
    return files


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

    def _build_manifest_evaluator(self, spec_id: int) -> Callable[[ManifestFile], bool]:
        # pyiceberg's keeps the bounds of the manifest it looks at, and several threads ask the same one: one of them
        # would then be told of another's manifest, and miss the files to be removed.
        build = super()._build_manifest_evaluator
        return lambda manifest: build(spec_id)(manifest)

    def _existing_manifests(self) -> list[ManifestFile]:
        # A manifest of deleted entries only says what an earlier snapshot took away.
        return [m for m in super()._existing_manifests() if m.has_added_files() or m.has_existing_files()]

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        properties = self._transaction.table_metadata.properties
        merger: _ManifestMergeManager[Any] = _ManifestMergeManager(
            target_size_bytes=TableProperties.MANIFEST_TARGET_SIZE_BYTES_DEFAULT,
            min_count_to_merge=self._merge_at or int(properties[TableProperties.MANIFEST_MIN_MERGE_COUNT]),
            merge_enabled=True,
            snapshot_producer=self,
        )
        return merger.merge_manifests(manifests)
