"""The SQL catalog, with publications: many table pointers and one row, swapped in a single transaction.

pyiceberg commits one table at a time. Here the pointers of all tables of a publication, and the publication's row,
change in one SQL transaction, each pointer only if it still is what the writer staged against (compare-and-swap). It
works with SQLite (write-ahead log; writers wait for each other) and PostgreSQL (an advisory lock orders publications).

A look that fails is made again (`ocelake.resilience`). A transaction is not: whoever opened it knows what to look for
where its end is not known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import StagedTable, Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import RemoveSnapshotsUpdate, TableRequirement, TableUpdate
from pyiceberg.typedef import Identifier
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    UniqueConstraint,
    delete,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import Table as SqlTable
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.schema import CreateIndex

from ocelake.lake.records import PublicationRecord
from ocelake.resilience import Guard

__all__ = ["PointerMoved", "PublicationCatalog", "Swap"]

_BUSY_SECONDS: Final = 120
_IDLE_SECONDS: Final = 20
_LOCK: Final = 0x0CE1A4E
_METADATA: Final = MetaData()

_PUBLICATIONS: Final = SqlTable(
    "lake_publications",
    _METADATA,
    Column("publication_id", String(160), primary_key=True),
    Column("log_id", String(100), nullable=False),
    Column("layer", String(10), nullable=False),
    Column("number", Integer, nullable=False),
    Column("time", BigInteger, nullable=False, unique=True, comment="UTC, in microseconds since 1970."),
    Column("snapshots", JSON, nullable=False),
    Column("reads", JSON, nullable=False),
    Column("rows", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    UniqueConstraint("log_id", "layer", "number"),
    Index("lake_publications_layer_time", "layer", "time"),
    Index("lake_publications_log_layer_time", "log_id", "layer", "time"),
)

_DROPPED: Final = SqlTable(
    "lake_dropped_snapshots",
    _METADATA,
    Column("identifier", String(100), primary_key=True),
    Column("snapshot_id", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False, comment="When it was dropped: UTC, in microseconds since 1970."),
    Column("snapshot", JSON, nullable=False, comment="As it was in the table's metadata."),
    Index("lake_dropped_snapshots_time", "identifier", "time"),
)

_LEASES: Final = SqlTable(
    "lake_leases",
    _METADATA,
    Column("name", String(100), primary_key=True),
    Column("owner", String(32), nullable=False),
    Column("until", BigInteger, nullable=False, comment="UTC, in microseconds since 1970."),
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class PointerMoved(Exception):  # a signal between two functions, not an error that a user sees
    """Another writer moved a table since it was staged."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One table pointer: from the metadata it was staged against to the new one (the same for an unchanged table).

    Attributes
    ----------
    dropped : tuple of Snapshot
        Snapshots that the new metadata no longer has. They stay known, so that whoever has begun to read one of them
        can go on; `ocelake.lake.maintenance` removes their files later.
    """

    identifier: str
    before: str
    after: str
    dropped: tuple[Snapshot, ...] = ()


class PublicationCatalog(SqlCatalog):
    """A SQL catalog that publishes many tables at once.

    Parameters
    ----------
    name : str
        As pyiceberg's.
    guard : Guard
        For the looks; also says for how long a call to the database may take.
    properties
        As pyiceberg's.
    """

    def __init__(self, name: str, *, guard: Guard, **properties: str) -> None:
        self.guard = guard
        super().__init__(name, **properties)

    def _init_catalog(self) -> None:
        if self.engine.dialect.name == "sqlite":
            _prepare_sqlite(self.engine)
        else:
            _prepare_postgresql(self.engine, self.guard.settings.call_seconds)
        # Two processes that open a new lake at once may both create the tables; the second one then finds them.
        for last in (False, True):
            try:
                super()._init_catalog()
                _METADATA.create_all(self.engine)
                with self.engine.begin() as connection:
                    for index in _PUBLICATIONS.indexes:  # a lake may be older than an index
                        connection.execute(CreateIndex(index, if_not_exists=True))
                return
            except (OperationalError, ProgrammingError):
                if last:
                    raise

    @contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """Open the transaction that publishes: one at a time, over all processes."""
        if self.engine.dialect.name == "sqlite":
            with self.engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection, connection.begin():
                yield connection
            return
        with self.engine.begin() as connection:
            # A writer that is cut off keeps the lock until the server gives it up, which by default it never does.
            connection.execute(
                text(
                    "SELECT set_config('lock_timeout', :busy, true),"
                    " set_config('idle_in_transaction_session_timeout', :idle, true)"
                ),
                {"busy": f"{_BUSY_SECONDS}s", "idle": f"{_IDLE_SECONDS}s"},
            )
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection

    def pointers(self, identifiers: Iterable[str], connection: Connection | None = None) -> dict[str, str]:
        """Give the metadata location of tables, all as of one instant.

        Inside of `exclusive`, the rows are locked until its end.
        """
        query = select(IcebergTables.table_namespace, IcebergTables.table_name, IcebergTables.metadata_location).where(
            IcebergTables.catalog_name == self.name
        )
        if connection is not None and self.engine.dialect.name != "sqlite":
            query = query.with_for_update()
        rows = self._rows(query, connection)
        found = {f"{row.table_namespace}.{row.table_name}": row.metadata_location or "" for row in rows}
        wanted = list(identifiers)
        for identifier in wanted:
            if not found.get(identifier):
                raise NoSuchTableError(f"Table does not exist: {identifier}")
        return {identifier: found[identifier] for identifier in wanted}

    def table_at(self, identifier: str, metadata_location: str) -> Table:
        """Load a table as it is at one metadata location."""
        io = self._load_file_io(self.properties, metadata_location)
        metadata = FromInputFile.table_metadata(io.new_input(metadata_location))
        return Table(
            identifier=Catalog.identifier_to_tuple(identifier),
            metadata=metadata,
            metadata_location=metadata_location,
            io=self._load_file_io(metadata.properties, metadata_location),
            catalog=self,
        )

    def stage(
        self,
        table: Table,
        updates: tuple[TableUpdate, ...],
        requirements: tuple[TableRequirement, ...],
        drop: Collection[int] = (),
    ) -> StagedTable:
        """Write the metadata that a commit would point to, and do not point to it.

        Parameters
        ----------
        table : pyiceberg.table.Table
            What it is staged against.
        updates, requirements : tuple
            As for a commit.
        drop : collection of int
            Earlier snapshots that the new metadata no longer has.
        """
        # pyiceberg copies all snapshots, deeply, to add or remove one; so it gets to see only those that go.
        gone = [old for old in table.metadata.snapshots if old.snapshot_id in drop]
        light = table.metadata.model_copy(update={"snapshots": gone, "snapshot_log": []})
        if gone:
            removal = RemoveSnapshotsUpdate.model_validate({"snapshot-ids": [old.snapshot_id for old in gone]})
            updates = (*updates, removal)
        identifier: Identifier = table.name()
        bare = Table(identifier, light, table.metadata_location, table.io, self)
        staged = self._update_and_stage_table(bare, identifier, requirements, updates)
        kept = [
            old.model_copy(update={"parent_snapshot_id": None}) if old.parent_snapshot_id in drop else old
            for old in table.metadata.snapshots
            if old.snapshot_id not in drop
        ]
        log = [entry for entry in table.metadata.snapshot_log if entry.snapshot_id not in drop]
        metadata = staged.metadata.model_copy(
            update={
                "snapshots": [*kept, *staged.metadata.snapshots],
                "snapshot_log": [*log, *staged.metadata.snapshot_log],
            }
        )
        try:
            self._write_metadata(metadata, staged.io, staged.metadata_location)
        except OSError:
            with suppress(OSError):
                staged.io.delete(staged.metadata_location)
            raise
        return StagedTable(identifier, metadata, staged.metadata_location, staged.io, self)

    def swap(self, connection: Connection, swaps: Iterable[Swap]) -> None:
        """Move table pointers within a transaction.

        Raises
        ------
        PointerMoved
            Where one of them is no longer what it was staged against; the transaction has to be rolled back.
        """
        for item in swaps:
            *namespace, name = Catalog.identifier_to_tuple(item.identifier)
            moved = connection.execute(
                update(IcebergTables)
                .where(
                    IcebergTables.catalog_name == self.name,
                    IcebergTables.table_namespace == ".".join(namespace),
                    IcebergTables.table_name == name,
                    IcebergTables.metadata_location == item.before,
                )
                .values(
                    metadata_location=item.after,
                    **({} if item.after == item.before else {"previous_metadata_location": item.before}),
                )
            )
            if moved.rowcount != 1:
                raise PointerMoved(item.identifier)
            if item.dropped:
                now = (datetime.now(UTC) - _EPOCH) // _MICROSECOND
                rows = [
                    {
                        "identifier": item.identifier,
                        "snapshot_id": snapshot.snapshot_id,
                        "time": now,
                        "snapshot": snapshot.model_dump(mode="json", by_alias=True),
                    }
                    for snapshot in item.dropped
                ]
                connection.execute(insert(_DROPPED), rows)

    def remove_old_metadata(self, base: Table, new: StagedTable) -> None:
        """Delete metadata files that the table's log no longer lists, as a pyiceberg commit does."""
        self._delete_old_metadata(new.io, base.metadata, new.metadata)

    def next_time(self, connection: Connection) -> datetime:
        """Give the time of a publication that is being made: now, and later than every other."""
        newest: int | None = connection.execute(select(func.max(_PUBLICATIONS.c.time))).scalar()
        now = (datetime.now(UTC) - _EPOCH) // _MICROSECOND
        return _EPOCH + max(now, (newest or 0) + 1) * _MICROSECOND

    def insert_publication(self, connection: Connection, record: PublicationRecord) -> None:
        """Write a publication's row."""
        connection.execute(
            insert(_PUBLICATIONS).values(
                publication_id=record.publication_id,
                log_id=record.log_id,
                layer=record.layer,
                number=record.number,
                time=(record.time - _EPOCH) // _MICROSECOND,
                snapshots=record.snapshots,
                reads=record.reads,
                rows=record.rows,
                settings=record.settings,
            )
        )

    def publications(
        self,
        *,
        log_id: str | None = None,
        layer: str | None = None,
        until: datetime | None = None,
        number: int | None = None,
        limit: int | None = None,
        connection: Connection | None = None,
    ) -> list[PublicationRecord]:
        """Read publications, newest first."""
        query = select(_PUBLICATIONS).order_by(_PUBLICATIONS.c.time.desc())
        for column, value in (("log_id", log_id), ("layer", layer), ("number", number)):
            if value is not None:
                query = query.where(_PUBLICATIONS.c[column] == value)
        if until is not None:
            query = query.where(_PUBLICATIONS.c.time <= (until - _EPOCH) // _MICROSECOND)
        if limit is not None:
            query = query.limit(limit)
        return [_record(row._asdict()) for row in self._rows(query, connection)]

    def dropped(
        self, identifier: str, *, snapshot_id: int | None = None, until: datetime | None = None
    ) -> list[Snapshot]:
        """Give the snapshots of a table that were dropped and whose files are still there, oldest first.

        Parameters
        ----------
        identifier : str
            The table.
        snapshot_id : int, optional
            This one alone.
        until : datetime, optional
            Those that were dropped before.
        """
        query = select(_DROPPED.c.snapshot).where(_DROPPED.c.identifier == identifier).order_by(_DROPPED.c.time)
        if snapshot_id is not None:
            query = query.where(_DROPPED.c.snapshot_id == snapshot_id)
        if until is not None:
            query = query.where(_DROPPED.c.time < (until - _EPOCH) // _MICROSECOND)
        return [Snapshot.model_validate(row.snapshot) for row in self._rows(query, None)]

    def forget(self, identifier: str, snapshot_ids: Collection[int]) -> None:
        """Take dropped snapshots off the list, once their files are gone."""
        with self.exclusive() as connection:
            connection.execute(
                delete(_DROPPED).where(
                    _DROPPED.c.identifier == identifier, _DROPPED.c.snapshot_id.in_(list(snapshot_ids))
                )
            )

    def dropped_counts(self, until: datetime) -> dict[str, int]:
        """Give for each table how many of its snapshots were dropped before a time and still have their files."""
        query = (
            select(_DROPPED.c.identifier, func.count().label("snapshots"))
            .where(_DROPPED.c.time < (until - _EPOCH) // _MICROSECOND)
            .group_by(_DROPPED.c.identifier)
        )
        return {row.identifier: row.snapshots for row in self._rows(query, None)}

    @contextmanager
    def lease(self, name: str, duration: timedelta) -> Iterator[bool]:
        """Hold a lease, over all processes: within the block whoever else asks for it is told that it is taken.

        Parameters
        ----------
        name : str
            What it is for.
        duration : timedelta
            When it ends by itself, should the holder be killed.

        Yields
        ------
        bool
            Whether it was free.
        """
        owner = uuid4().hex
        now = (datetime.now(UTC) - _EPOCH) // _MICROSECOND
        with self.exclusive() as connection:
            connection.execute(delete(_LEASES).where(_LEASES.c.name == name, _LEASES.c.until < now))
            free = connection.execute(select(_LEASES.c.owner).where(_LEASES.c.name == name)).first() is None
            if free:
                until = now + duration // _MICROSECOND
                connection.execute(insert(_LEASES).values(name=name, owner=owner, until=until))
        try:
            yield free
        finally:
            if free:
                with self.exclusive() as connection:
                    connection.execute(delete(_LEASES).where(_LEASES.c.name == name, _LEASES.c.owner == owner))

    def log_ids(self) -> list[str]:
        """Give every log that has a publication, sorted."""
        # Leaps from log to log in the index; a plain DISTINCT would go over every publication.
        table = _PUBLICATIONS.alias()
        logs = select(func.min(table.c.log_id).label("log_id")).cte("logs", recursive=True)
        following = select(func.min(table.c.log_id)).where(table.c.log_id > logs.c.log_id).scalar_subquery()
        logs = logs.union_all(select(following).where(logs.c.log_id.is_not(None)))
        query = select(logs.c.log_id).where(logs.c.log_id.is_not(None)).order_by(logs.c.log_id)
        return [str(row.log_id) for row in self._rows(query, None)]

    def _rows(self, query: Select[*tuple[Any, ...]], connection: Connection | None) -> Sequence[Row[Any]]:
        if connection is not None:
            return connection.execute(query).all()
        return self.guard.call(self._look, query)

    def _look(self, query: Select[*tuple[Any, ...]]) -> Sequence[Row[Any]]:
        with self.engine.connect() as reader:
            return reader.execute(query).all()


def _record(row: dict[str, Any]) -> PublicationRecord:
    return PublicationRecord(**{**row, "time": _EPOCH + row["time"] * _MICROSECOND})


def _prepare_sqlite(engine: Engine) -> None:
    """Let writers wait for each other, readers wait for nobody, and transactions begin as they are told to."""

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # the driver would else begin transactions on its own, and never IMMEDIATE
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        kind = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")


def _prepare_postgresql(engine: Engine, seconds: float) -> None:
    """Let a server that is cut off be noticed within about ``seconds``, as it connects and in the middle of a query."""

    @event.listens_for(engine, "do_connect")
    def configure(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        whole = max(1, round(seconds))
        limits = {
            "connect_timeout": max(2, whole),  # libpq knows no shorter one
            "keepalives_idle": whole,
            "keepalives_interval": max(1, whole // 5),
            "keepalives_count": 3,
            "tcp_user_timeout": whole * 1000,
        }
        for name, value in limits.items():  # what the address says goes first
            parameters.setdefault(name, value)
