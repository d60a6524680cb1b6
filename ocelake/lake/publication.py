"""A publication in the making: rows to files, files to a draft, the draft to the store."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

import polars as pl
from pydantic import BaseModel
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from ocelake import metrics
from ocelake.errors import LakeError, NotFound, OutcomeUnknown, StalePublication, Unreachable
from ocelake.lake.batches import BATCHES, TopicPartition
from ocelake.lake.files import SliceWriter, bucket_count
from ocelake.lake.records import PublicationRecord
from ocelake.lake.rows import files_holding, key_of, read_file
from ocelake.lake.snapshots import slice_files
from ocelake.lake.store import AlreadyPublished, Change, Draft, FilesReplaced, PublicationStore
from ocelake.tables import TABLES, Layer, TableSpec

__all__ = ["Publication", "PublicationRecord"]

_WRITERS: Final = 2
_REPEATS: Final = 3
_SMALL: Final = 8_192
"""What is left of files with fewer rows is written into one, together with what comes."""


class Publication:
    """All tables of one layer for one log, visible together or not at all; made by `Lake.publication`.

    Files are written as rows come; nothing is visible before `commit`. Leaving the ``with`` block without it discards
    everything.

    Attributes
    ----------
    discarded : bool
        Whether `commit` found all its batches published already, and changed nothing.

    Examples
    --------
    >>> with lake.publication("orders", "silver", reads={"bronze": "orders.bronze.1"}) as pub:  # doctest: +SKIP
    ...     pub.replace("ocel.events", events)
    ...     record = pub.commit()
    """

    def __init__(
        self,
        store: PublicationStore,
        tables: Mapping[str, Table],
        log_id: str,
        layer: Layer,
        *,
        base: int,
        absent: int,
        offsets: Mapping[TopicPartition, int | None],
        reads: Mapping[str, str],
        settings: BaseModel | None,
    ) -> None:
        self.log_id, self.layer = log_id, layer
        self.discarded = False
        self._store, self._tables, self._base = store, tables, base
        self._absent, self._offsets = absent, dict(offsets)
        self._reads = dict(reads)
        self._settings = settings.model_dump(mode="json") if settings else {}
        self._writers: dict[str, tuple[bool, SliceWriter]] = {}
        self._amendments: dict[str, tuple[pl.DataFrame | None, pl.DataFrame | None]] = {}
        self._amended: dict[str, tuple[tuple[DataFile, ...], int]] = {}
        self._batches: set[str] = set()
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="ocelake-write")
        self._running: list[Future[None]] = []
        self._done = False

    def replace(self, identifier: str, frames: pl.DataFrame | Iterable[pl.DataFrame]) -> None:
        """Let the log's slice of a table become these rows.

        Parameters
        ----------
        identifier : str
            A table of the layer.
        frames : DataFrame or iterable of DataFrame
            The table's columns without ``log_id`` and ``bucket``. A frame is put in the table's sort order, and is
            split into buckets where it is large. An iterable is written as it comes, in bounded memory and into one
            bucket; each of its frames is sorted, but not across frames.

        Raises
        ------
        LakeError
            Where the rows do not fit the table, or the table has rows in this publication already.
        """
        self._check_open()
        spec = self._spec(identifier)
        if identifier in self._writers:
            raise LakeError("The table has its rows already.", where=identifier, fix="Replace a table once.")
        if isinstance(frames, pl.DataFrame):
            buckets = bucket_count(frames.height) if spec.bucket else 1
            writer = self._writer(spec, replace=True, buckets=buckets)
            # In the background: the next frame is computed while this one is being written.
            self._running.append(self._pool.submit(_write_all, writer, [frames]))
        else:
            self._writer(spec, replace=True, buckets=1).write(frames)

    def append(self, identifier: str, frames: pl.DataFrame | Iterable[pl.DataFrame]) -> None:
        """Add rows to the log's slice of a table; may be called again and again.

        Parameters
        ----------
        identifier : str
            A table of the layer.
        frames : DataFrame or iterable of DataFrame
            The table's columns without ``log_id`` and ``bucket``; written as they come, in bounded memory. Each frame
            is sorted, the caller orders them among each other. They go into the buckets that the slice has.
        """
        self._check_open()
        spec = self._spec(identifier)
        if identifier not in self._writers:
            self._writer(spec, replace=False, buckets=self._present_buckets(spec))
        _, writer = self._writers[identifier]
        for frame in [frames] if isinstance(frames, pl.DataFrame) else frames:
            writer.write([frame])
            if identifier == BATCHES:
                self._check_ranges(frame)
                self._batches.update(frame["batch_id"])

    def amend(self, identifier: str, *, add: pl.DataFrame | None = None, remove: pl.DataFrame | None = None) -> None:
        """Take some rows out of the log's slice of a table, and add others.

        Files that hold a row to be removed are written again without it; the others stay as they are. So the cost is
        that of the touched files, and every file holds whole rows: no reader has to know of deletions.

        Parameters
        ----------
        identifier : str
            A table of the layer.
        add, remove : DataFrame, optional
            Rows to add (the table's columns without ``log_id`` and ``bucket``), and rows to remove, by their key; see
            `ocelake.lake.rows.files_holding` for what else says where they are.

        Raises
        ------
        LakeError
            Where the rows do not fit the table, or the table has rows in this publication already.
        StalePublication
            At `commit`, where a row to be removed is not there: the slice is another one than the rows were computed
            for.
        """
        self._check_open()
        spec, table = self._spec(identifier), self._tables[identifier]
        if identifier in self._writers:
            raise LakeError("The table has its rows already.", where=identifier, fix="Amend a table once.")
        writer = self._writer(spec, replace=False, buckets=self._present_buckets(spec))
        self._amendments[identifier] = add, remove
        # In the background, as with `replace`.
        self._running.append(self._pool.submit(self._amend, spec, table, writer, add, remove))

    def _amend(
        self, spec: TableSpec, table: Table, writer: SliceWriter, add: pl.DataFrame | None, remove: pl.DataFrame | None
    ) -> None:
        files = slice_files(table, self.log_id)
        touched: list[DataFile] = []
        small = [] if add is None else [add]
        if remove is not None and remove.height:
            found = list(files_holding(table, spec, files, remove))
            if sum(held for _, held in found) != remove.height:
                raise StalePublication(
                    f"Of {remove.height} rows to be removed {sum(held for _, held in found)} are there.",
                    where=f"{spec.identifier} of {self.log_id}",
                    fix="Compute the layer again from the newest state.",
                )
            touched = [file for file, _ in found]

            def left_of(file: DataFile) -> pl.DataFrame:
                rows = read_file(table.io, spec, file)
                return rows.join(remove, on=key_of(spec), how="anti", nulls_equal=True, maintain_order="left")

            def rewrite(file: DataFile) -> None:
                # What was in order stays so, and what changed today is not mixed with what lies there for long.
                _write_all(writer.beside(), [left_of(file)])

            small += [left_of(file) for file in touched if file.record_count < _SMALL]
            with ThreadPoolExecutor(_WRITERS, thread_name_prefix="ocelake-amend") as pool:
                list(pool.map(rewrite, (file for file in touched if file.record_count >= _SMALL)))
        _write_all(writer, [pl.concat(small)] if small else [])
        rows_left = sum(file.record_count for file in files) - sum(file.record_count for file in touched)
        self._amended[spec.identifier] = tuple(touched), rows_left

    def commit(self) -> PublicationRecord:
        """Publish.

        Returns
        -------
        PublicationRecord
            The new publication; where all its batches were published before, the newest one of the log and layer, and
            ``discarded`` is true.

        Raises
        ------
        StalePublication
            Where another writer published this layer of the log since the block was entered, or from a newer state.
            Batches are the exception: they are added to whatever is there; those of topics where no other writer read
            on in one of the partitions.
        Unreachable
            Where the catalog or the warehouse failed for too long; nothing was published.
        OutcomeUnknown
            Where the catalog failed as it committed, and has not answered since.
        """
        self._check_open()
        began = time.perf_counter()
        for future in self._running:
            future.result()
        self._running.clear()
        changes = {}
        for identifier, (replace, writer) in self._writers.items():
            removed, kept = self._amended.get(identifier, ((), 0))
            changes[identifier] = Change(replace, tuple(writer.close()), writer.rows + kept, removed)
        draft = Draft(
            self.log_id,
            self.layer,
            self._base,
            self._reads,
            self._settings,
            changes,
            frozenset(self._batches),
            self._absent,
            self._offsets,
        )
        # From here on the lake may refer to the files, also where an error says otherwise: the answer to a commit can
        # get lost. They are deleted only where it is certain that nothing was published; else they stay, as orphans at
        # worst.
        writers = {identifier: writer for identifier, (_, writer) in self._writers.items()}
        self._finish()
        try:
            record = self._publish(draft, writers)
        except OutcomeUnknown:
            raise
        except (AlreadyPublished, StalePublication, Unreachable) as refused:
            for writer in writers.values():
                writer.discard()
            if not isinstance(refused, AlreadyPublished):
                raise
        else:
            _tell(record, time.perf_counter() - began)
            return record
        self.discarded = True
        return self._store.publications(log_id=self.log_id, layer=self.layer, limit=1)[0]

    def _publish(self, draft: Draft, writers: dict[str, SliceWriter]) -> PublicationRecord:
        for _ in range(_REPEATS):
            try:
                return self._store.publish(draft)
            except FilesReplaced:  # by compaction, which changes no row: the same rows are in other files
                draft = self._amend_again(draft, writers)
        return self._store.publish(draft)

    def _amend_again(self, draft: Draft, writers: dict[str, SliceWriter]) -> Draft:
        """Take the rows to be removed out of the files that they are in now."""
        self._tables = {**self._tables, **self._store.tables(self._amendments)}
        changes = dict(draft.changes)
        for identifier, (add, remove) in self._amendments.items():
            spec, table = TABLES[identifier], self._tables[identifier]
            writers[identifier].discard()
            writer = writers[identifier] = SliceWriter(table, spec, self.log_id, self._present_buckets(spec))
            self._amend(spec, table, writer, add, remove)
            removed, kept = self._amended[identifier]
            changes[identifier] = Change(False, tuple(writer.close()), writer.rows + kept, removed)
        return dataclasses.replace(draft, changes=changes)

    def discard(self) -> None:
        """Delete the files that were written; nothing was visible."""
        for future in self._running:
            future.cancel()
        self._pool.shutdown()
        for _, writer in self._writers.values():
            writer.discard()
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._done:
            self.discard()

    def _finish(self) -> None:
        self._done = True
        self._pool.shutdown()
        self._writers.clear()

    def _check_open(self) -> None:
        if self._done:
            raise LakeError(
                "The publication is over.",
                where=f"{self.log_id}.{self.layer}",
                fix="Begin a new one with Lake.publication.",
            )

    def _check_ranges(self, batches: pl.DataFrame) -> None:
        """Refuse ranges of topics that do not follow on the offsets that the publication was begun with."""
        ranges = batches.drop_nulls("topic").select("batch_id", "topic", "partition", "first_offset")
        for batch, topic, partition, first in ranges.iter_rows():
            last = self._offsets.get((topic, partition), first)
            if last is not None and first <= last:
                raise LakeError(
                    f"The range {batch} does not begin after what was read of its partition.",
                    where=f"{self.log_id}.{self.layer}",
                    fix="Begin the publication with the offsets in bronze.batches, and the range after them.",
                )

    def _spec(self, identifier: str) -> TableSpec:
        spec = TABLES.get(identifier)
        if spec is None:
            raise NotFound(f"There is no table {identifier!r}.", fix=f"The tables are {', '.join(TABLES)}.")
        if spec.layer != self.layer:
            raise LakeError(
                f"{identifier} belongs to the layer {spec.layer}.",
                where=f"{self.log_id}.{self.layer}",
                fix=f"Write it in a publication of {spec.layer}.",
            )
        return spec

    def _writer(self, spec: TableSpec, *, replace: bool, buckets: int) -> SliceWriter:
        writer = SliceWriter(self._tables[spec.identifier], spec, self.log_id, buckets)
        self._writers[spec.identifier] = replace, writer
        return writer

    def _present_buckets(self, spec: TableSpec) -> int:
        if spec.bucket is None:
            return 1
        place = spec.partition.index("bucket")
        files = slice_files(self._tables[spec.identifier], self.log_id)
        # A log that was split has rows in its highest bucket: each got millions.
        return 1 << max((file.partition[place] for file in files), default=0).bit_length()


def _write_all(writer: SliceWriter, frames: Iterable[pl.DataFrame]) -> None:
    writer.write(frames)
    writer.end_file()


def _tell(record: PublicationRecord, seconds: float) -> None:
    labels = record.log_id, record.layer
    metrics.COMMIT_SECONDS.labels(*labels).observe(seconds)
    metrics.ROWS_COMMITTED.labels(*labels).inc(sum(record.rows.values()))
    metrics.PUBLICATION_NUMBER.labels(*labels).set(record.number)
    metrics.PUBLICATION_TIME.labels(*labels).set(record.time.timestamp())
