"""Where publications become real: the commit point, over one kind of catalog.

`PublicationStore` is what the rest of the lake knows of it. Here is the one over a SQL catalog, where a publication is
one SQL transaction.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import StagedTable, Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import TableRequirement, TableUpdate
from sqlalchemy import Connection

from ocelake.errors import LakeError, OutcomeUnknown, StalePublication, Unreachable
from ocelake.lake.batches import Ledger, TopicPartition
from ocelake.lake.catalog import PointerMoved, PublicationCatalog, Swap
from ocelake.lake.records import PublicationRecord, parse_publication_id
from ocelake.lake.retention import Retention, expired_snapshots, retained_publications
from ocelake.lake.snapshots import StagedSnapshot, slice_files, stage_files
from ocelake.resilience import Guard
from ocelake.tables import Layer

__all__ = [
    "AlreadyPublished",
    "Change",
    "Draft",
    "FilesReplaced",
    "PublicationStore",
    "Rewrite",
    "SqlStore",
    "check_draft",
    "still_there",
]

_CACHED_TABLES: Final = 256
_REWRITES: Final = 3
_STAGING_THREADS: Final = 4


class FilesReplaced(StalePublication):
    """Files that a draft removes are no longer there, and the rows that they held are in others."""


class AlreadyPublished(Exception):  # a signal: every batch of the draft is there, nothing is to be done
    """All batches of a draft are in the lake."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one table: new files, in place of the log's slice or of some of its files, or beside it.

    Attributes
    ----------
    replace : bool
        Whether the files take the place of the whole slice.
    files : tuple of DataFile
        The new files.
    rows : int
        Rows that were written; of an amended slice, all that it has now.
    removed : tuple of DataFile
        Files of the slice that the new ones take the place of: they hold what is left of these. Where one of them is no
        longer in the slice, `FilesReplaced` is raised: compaction, which is no publication, has put its rows into
        another file. The same rows are then looked for again (`Publication.commit`).
    """

    replace: bool
    files: tuple[DataFile, ...]
    rows: int
    removed: tuple[DataFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A publication that is ready to be made.

    Attributes
    ----------
    base : int
        The number of the newest publication of the log and layer when the work began; 0 for none.
    batches : frozenset of str
        The batches it brings to `bronze.batches`.
    absent : int
        The number of a publication at which none of the batches was there; 0 where nobody looked.
    offsets : mapping of (topic, partition) to (int or None)
        How far the partitions were read when the draft began, of which it brings the next ranges; None for not at all.
        The draft holds only where that is still so.
    """

    log_id: str
    layer: Layer
    base: int
    reads: Mapping[str, str]
    settings: Mapping[str, Any]
    changes: Mapping[str, Change]
    batches: frozenset[str] = frozenset()
    absent: int = 0
    offsets: Mapping[TopicPartition, int | None] = field(default_factory=dict)

    @property
    def rebases(self) -> bool:
        """Whether it holds whatever was published meanwhile: it only adds batches."""
        return bool(self.batches) and not any(change.replace for change in self.changes.values())

    def record(self, number: int, time: datetime, snapshots: Mapping[str, int]) -> PublicationRecord:
        """Give the publication's record once its number, time and snapshots are known."""
        return PublicationRecord(
            publication_id=f"{self.log_id}.{self.layer}.{number}",
            log_id=self.log_id,
            layer=self.layer,
            number=number,
            time=time,
            snapshots=dict(snapshots),
            reads=dict(self.reads),
            rows={identifier: change.rows for identifier, change in self.changes.items()},
            settings=dict(self.settings),
        )


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A change of one table that is no publication: upkeep, after which the table has the same rows.

    Attributes
    ----------
    staged : StagedSnapshot or None
        The table's new snapshot; None where only earlier ones go.
    drop : tuple of int
        Snapshots that go.
    """

    staged: StagedSnapshot | None = None
    drop: tuple[int, ...] = ()

    @property
    def updates(self) -> tuple[TableUpdate, ...]:
        """What a commit hands to the catalog, but for the snapshots that go."""
        return self.staged.updates if self.staged else ()

    @property
    def requirements(self) -> tuple[TableRequirement, ...]:
        """What a commit asks the catalog to check."""
        return self.staged.requirements if self.staged else ()

    def discard(self) -> None:
        """Delete the manifests, where it did not come to a commit."""
        if self.staged:
            self.staged.discard()


class PublicationStore(Protocol):
    """The commit point of publications."""

    @property
    def catalog(self) -> Catalog:
        """The Iceberg catalog beneath."""

    @property
    def shared_snapshots(self) -> bool:
        """Whether a snapshot of a publication is right for every log, not only for the publication's own."""

    def tables(self, identifiers: Iterable[str]) -> dict[str, Table]:
        """Load tables, all as of one instant."""

    def publications(
        self,
        *,
        log_id: str | None = None,
        layer: str | None = None,
        until: datetime | None = None,
        number: int | None = None,
        limit: int | None = None,
    ) -> list[PublicationRecord]:
        """Read publications, newest first."""

    def log_ids(self) -> list[str]:
        """Give every log that has a publication, sorted."""

    def publish(self, draft: Draft) -> PublicationRecord:
        """Make a publication, wholly or not at all.

        Raises
        ------
        StalePublication
            Where another writer was first.
        AlreadyPublished
            Where there is nothing to do.
        Unreachable
            Where the catalog or the warehouse failed for too long, and it is certain that nothing was published.
        OutcomeUnknown
            Where that is not certain.
        """

    def dropped(self, identifier: str, snapshot_id: int) -> Snapshot | None:
        """Give a snapshot that a table no longer has, and whose files are still there for those who read it."""

    def rewrite(self, identifier: str, plan: Callable[[Table], Rewrite | None]) -> bool:
        """Change one table without publishing, while others publish: neither makes the other fail.

        Parameters
        ----------
        identifier : str
            The table.
        plan : callable
            Gives what is to be done to the table as it is now, or None for nothing; asked again where somebody else
            changed the table meanwhile.

        Returns
        -------
        bool
            Whether something was done.
        """


def check_draft(draft: Draft, latest: PublicationRecord | None, ledger: Ledger | None = None) -> int:
    """Give the number of the publication to be made, or say why it must not be.

    Parameters
    ----------
    latest : PublicationRecord or None
        The newest publication of the draft's log and layer.
    ledger : Ledger, optional
        What bronze holds in the state that the draft is staged against, for a draft that brings batches. It is asked
        only where another publication came between: else what the draft's writer saw is what there is.
    """
    number = latest.number if latest else 0
    if ledger is not None and draft.offsets and number != draft.base:
        _check_offsets(draft, ledger.offsets)
    elif ledger is not None and not draft.offsets and number != draft.absent:
        _check_batches(draft, ledger.batches)
    if number != draft.base and not draft.rebases:
        raise StalePublication(
            f"Another writer published {draft.log_id}.{draft.layer}.{number} meanwhile.",
            where=f"{draft.log_id}.{draft.layer}",
            fix="Compute the layer again from the newest state.",
        )
    for layer, read in draft.reads.items():
        ours, theirs = parse_publication_id(read), parse_publication_id(latest.reads.get(layer, "") if latest else "")
        if ours and theirs and ours[:2] == theirs[:2] and ours[2] < theirs[2]:
            raise StalePublication(
                f"The newest publication was computed from {layer} {theirs[2]}, this one from {ours[2]}.",
                where=f"{draft.log_id}.{draft.layer}",
                fix="Compute the layer again from the newest state.",
            )
    return number + 1


def _check_batches(draft: Draft, there: frozenset[str]) -> None:
    present = there & draft.batches
    if present == draft.batches:
        raise AlreadyPublished
    if present:
        raise StalePublication(
            f"Some of the batches are published already: {', '.join(sorted(present))}.",
            where=f"{draft.log_id}.{draft.layer}",
            fix="Ingest the others again.",
        )


def _check_offsets(draft: Draft, since: Mapping[TopicPartition, int]) -> None:
    """Refuse a draft one of whose partitions another writer read on."""
    moved = {
        place: since[place]
        for place, offset in draft.offsets.items()
        if place in since and (offset is None or since[place] > offset)  # less where files were rewritten
    }
    if moved:
        told = ", ".join(f"{topic}-{partition} up to {offset}" for (topic, partition), offset in sorted(moved.items()))
        raise StalePublication(
            f"Another writer read on: {told}.",
            where=f"{draft.log_id}.{draft.layer}",
            fix="Continue from the offsets in bronze.batches.",
        )


def _stage_change(table: Table, draft: Draft, change: Change) -> StagedSnapshot | None:
    """Stage a draft's change of one table; None where the slice stays as it is: empty."""
    remove = slice_files(table, draft.log_id) if change.replace else still_there(table, draft, change)
    if not remove and not change.files:
        return None
    properties = {"ocelake.log": draft.log_id, "ocelake.layer": draft.layer}
    return stage_files(table, add=change.files, remove=remove, properties=properties)


def still_there(table: Table, draft: Draft, change: Change, snapshot_id: int | None = None) -> list[DataFile]:
    """Give the removed files of a change, as the table has them now.

    Raises
    ------
    FilesReplaced
        Where one of them is gone.
    """
    if not change.removed:
        return []
    gone = {file.file_path for file in change.removed}
    present = [file for file in slice_files(table, draft.log_id, snapshot_id) if file.file_path in gone]
    if len(present) < len(gone):
        raise FilesReplaced(
            "Files that hold rows to be removed were compacted meanwhile.",
            where=f"{'.'.join(table.name())} of {draft.log_id}",
            fix="Compute the layer again from the newest state.",
        )
    return present


def _swap(identifier: str, before: Table, after: Table) -> Swap:
    kept = {snapshot.snapshot_id for snapshot in after.metadata.snapshots}
    dropped = tuple(snapshot for snapshot in before.metadata.snapshots if snapshot.snapshot_id not in kept)
    return Swap(identifier, before.metadata_location, after.metadata_location, dropped)


class SqlStore:
    """Publications over a SQL catalog: one SQL transaction each.

    Parameters
    ----------
    catalog : PublicationCatalog
        Where the transactions are.
    warehouse : Guard
        For what is written beside them.
    retention : Retention, optional
        Which snapshots are kept; the default without it.
    """

    shared_snapshots = True

    def __init__(self, catalog: PublicationCatalog, warehouse: Guard, retention: Retention | None = None) -> None:
        self.catalog = catalog
        self._warehouse = warehouse
        self.retention = retention or Retention()
        self._cache: OrderedDict[str, Table] = OrderedDict()
        self._cache_lock = threading.Lock()
        self._needed: dict[str, int] = {}
        self.publications = catalog.publications
        self.log_ids = catalog.log_ids

    def tables(self, identifiers: Iterable[str], connection: Connection | None = None) -> dict[str, Table]:
        """Load tables, all as of one instant."""
        wanted = list(identifiers)
        # A reader that is overtaken by many commits may find a metadata file deleted: it then starts anew.
        for _ in range(5):
            pointers = self.catalog.pointers(wanted, connection)
            with suppress(FileNotFoundError):
                return {identifier: self._table(identifier, place) for identifier, place in pointers.items()}
        raise LakeError(
            "A table's metadata file is missing.",
            where=", ".join(wanted),
            fix="Restore the warehouse folder from a backup, or open the lake that belongs to this catalog.",
        )

    def publish(self, draft: Draft) -> PublicationRecord:
        """Make a publication, wholly or not at all.

        The tables are staged without a lock first. Where another publication moves one of them meanwhile, they are
        staged again with the lock held, so that the second attempt cannot fail for that reason.
        """
        staged = _Staged(self.catalog)
        try:
            record = self._warehouse.call(self._attempt, draft, staged)
        except OutcomeUnknown:  # the lake may refer to what was staged
            raise
        except (StalePublication, AlreadyPublished, Unreachable):
            staged.discard()
            raise
        # The publication is made, whatever becomes of the tidying; what it leaves is an orphan.
        with suppress(Exception):
            staged.finish()
        for table in staged.written():
            self._remember(table)
        return record

    def _attempt(self, draft: Draft, staged: _Staged) -> PublicationRecord:
        staged.discard()  # what an attempt left that the warehouse had no room for
        self._stage(draft, staged, None)
        try:
            return self._commit(draft, staged, locked=False)
        except PointerMoved:
            return self._commit(draft, staged, locked=True)

    def _commit(self, draft: Draft, staged: _Staged, *, locked: bool) -> PublicationRecord:
        """Swap the pointers in one transaction, again where the database failed.

        A transaction whose end is not known was made wholly or not at all. Whoever holds the lock knows that it is
        over: the publication's row is then there, or will never be.

        Parameters
        ----------
        locked : bool
            Whether to stage anew with the lock held.
        """
        unknown: PublicationRecord | None = None

        def swap() -> PublicationRecord:
            nonlocal unknown
            with self.catalog.exclusive() as connection:
                if unknown is not None and self._is_made(unknown, connection):
                    return unknown
                unknown = None
                if locked:
                    staged.discard()
                    self._stage(draft, staged, connection)
                record = self._swap(connection, draft, staged)
                unknown = record
            return record

        try:
            return self.catalog.guard.call(swap)
        except Unreachable as error:
            if unknown is None:
                raise
            raise OutcomeUnknown(
                f"Whether {unknown.publication_id} was published is not known: {error.what}",
                where=error.where,
                fix="Do it again once the catalog is back: what is published already is noticed.",
            ) from error

    def _is_made(self, record: PublicationRecord, connection: Connection) -> bool:
        found = self.catalog.publications(
            log_id=record.log_id, layer=record.layer, number=record.number, connection=connection
        )
        return found == [record]  # another writer's of the same number has another time, or other snapshots

    def dropped(self, identifier: str, snapshot_id: int) -> Snapshot | None:
        """Give a snapshot that a table no longer has, and whose files are still there for those who read it."""
        return next(iter(self.catalog.dropped(identifier, snapshot_id=snapshot_id)), None)

    def rewrite(self, identifier: str, plan: Callable[[Table], Rewrite | None]) -> bool:
        """Change one table without publishing: by compare-and-swap, the last time with the lock held."""
        for attempt in range(1, _REWRITES + 1):
            with self.catalog.exclusive() if attempt == _REWRITES else nullcontext() as lock:
                table = self.tables([identifier], lock)[identifier]
                rewrite = plan(table)
                if rewrite is None:
                    return False
                staged = self.catalog.stage(table, rewrite.updates, rewrite.requirements, rewrite.drop)
                try:
                    with nullcontext(lock) if lock else self.catalog.exclusive() as connection:
                        self.catalog.swap(connection, [_swap(identifier, table, staged)])
                except PointerMoved:
                    rewrite.discard()
                    with suppress(OSError):
                        staged.io.delete(staged.metadata_location)
                    continue
            with suppress(Exception):
                self.catalog.remove_old_metadata(table, staged)
            self._remember(staged)
            return True
        raise AssertionError("nobody moves a table while the lock is held")

    def _stage(self, draft: Draft, staged: _Staged, connection: Connection | None) -> None:
        tables = self.tables(draft.changes, connection)
        latest = self._latest(draft, connection)
        if draft.batches:
            staged.ledger = Ledger(tables["bronze.batches"], draft.log_id, partial(self._base, draft, connection))
        check_draft(draft, latest, staged.ledger)
        drop: dict[str, list[int]] = {}
        if any(self.retention.overdue(table.metadata, self._needed.get(name, 0)) for name, table in tables.items()):
            retained = retained_publications(self, draft.layer, self.retention, datetime.now(UTC))
            for name, table in tables.items():
                drop[name] = expired_snapshots(table.metadata, name, retained)
                self._needed[name] = len(table.metadata.snapshots) - len(drop[name])
        staged.stage(draft, tables, drop)

    def _latest(self, draft: Draft, connection: Connection | None) -> PublicationRecord | None:
        found = self.catalog.publications(log_id=draft.log_id, layer=draft.layer, limit=1, connection=connection)
        return found[0] if found else None

    def _base(self, draft: Draft, connection: Connection | None) -> PublicationRecord | None:
        numbered = partial(self.catalog.publications, log_id=draft.log_id, layer=draft.layer, number=draft.base)
        return next(iter(numbered(connection=connection)), None)

    def _swap(self, connection: Connection, draft: Draft, staged: _Staged) -> PublicationRecord:
        number = check_draft(draft, self._latest(draft, connection), staged.ledger)
        self.catalog.swap(connection, staged.swaps())
        record = draft.record(number, self.catalog.next_time(connection), staged.snapshots())
        self.catalog.insert_publication(connection, record)
        return record

    def _table(self, identifier: str, place: str) -> Table:
        # Metadata files never change, so a location is a key that never goes stale.
        with self._cache_lock:
            if place in self._cache:
                self._cache.move_to_end(place)
                return self._cache[place]
        table = self.catalog.table_at(identifier, place)
        self._remember(table)
        return table

    def _remember(self, table: Table) -> None:
        """Keep a table as read or as written: whoever commits again and again need not read what it wrote itself."""
        if isinstance(table, StagedTable):
            table = Table(table.name(), table.metadata, table.metadata_location, table.io, table.catalog)
        with self._cache_lock:
            self._cache[table.metadata_location] = table
            while len(self._cache) > _CACHED_TABLES:
                self._cache.popitem(last=False)


class _Staged:
    """The staged tables of one publication."""

    def __init__(self, catalog: PublicationCatalog) -> None:
        self.tables: dict[str, Table] = {}
        self.ledger: Ledger | None = None
        self._catalog = catalog
        self._parts: dict[str, tuple[StagedSnapshot, StagedTable] | None] = {}

    def stage(self, draft: Draft, tables: dict[str, Table], drop: Mapping[str, Collection[int]]) -> None:
        """Write manifests and metadata of every table, without the snapshots of ``drop``."""
        self.tables = tables

        def one(identifier: str) -> None:
            snapshot = _stage_change(tables[identifier], draft, draft.changes[identifier])
            if snapshot is None:
                self._parts[identifier] = None
                return
            # The files of dropped snapshots stay, for whoever reads them: `ocelake.lake.maintenance` removes them.
            gone = drop.get(identifier, ())
            try:
                table = self._catalog.stage(snapshot.table, snapshot.updates, snapshot.requirements, gone)
            except OSError:
                snapshot.discard()
                raise
            self._parts[identifier] = snapshot, table

        with ThreadPoolExecutor(_STAGING_THREADS, thread_name_prefix="ocelake-stage") as pool:
            for done in [pool.submit(one, identifier) for identifier in draft.changes]:
                done.result()

    def swaps(self) -> list[Swap]:
        """Give every pointer's move; a table that stays as it is has to be where it was, too."""
        return [
            _swap(identifier, self.tables[identifier], part[1] if part else self.tables[identifier])
            for identifier, part in sorted(self._parts.items())
        ]

    def snapshots(self) -> dict[str, int]:
        """Give each table's snapshot after the publication."""
        found = {
            identifier: part[0].snapshot_id if part else self.tables[identifier].metadata.current_snapshot_id
            for identifier, part in self._parts.items()
        }
        return {identifier: snapshot for identifier, snapshot in found.items() if snapshot is not None}

    def written(self) -> list[StagedTable]:
        """Give the tables with their new metadata."""
        return [part[1] for part in self._parts.values() if part]

    def finish(self) -> None:
        """After the commit: delete metadata files that are too old."""
        for part in self._parts.values():
            if part:
                self._catalog.remove_old_metadata(part[0].table, part[1])

    def discard(self) -> None:
        """Delete what was staged; the data files stay."""
        for part in self._parts.values():
            if part:
                part[0].discard()
                with suppress(OSError):
                    part[1].io.delete(part[1].metadata_location)
        self._parts = {}
