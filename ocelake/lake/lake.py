"""The lake: one object that a notebook, the command line and the assets hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from pydantic import BaseModel
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import RESTError
from pyiceberg.table import Table
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from ocelake.errors import LakeError, NotFound
from ocelake.lake.batches import BATCHES, Ledger, TopicPartition
from ocelake.lake.catalog import PublicationCatalog
from ocelake.lake.evolve import ensure_tables
from ocelake.lake.guards import catalog_guard, warehouse_guard
from ocelake.lake.publication import Publication
from ocelake.lake.records import AsOf, Moment, PublicationRecord, records_frame
from ocelake.lake.rows import difference, read_files
from ocelake.lake.scan import Plan, plan_table, scan_table
from ocelake.lake.store import PublicationStore, SqlStore
from ocelake.lake.timeline import View, latest_publication, loaded_moment, moment_of, table_view
from ocelake.ocel.model import Ocel
from ocelake.settings import LakeSettings, check_log_id
from ocelake.tables import TABLES, TIMESTAMP, Layer, TableSpec

if TYPE_CHECKING:
    from ocelake.lake.increment import Followed
    from ocelake.lake.sql import SqlSession
    from ocelake.mining.traces import Traces

__all__ = ["Lake", "open_lake"]

_CATALOG_NAME = "ocelake"

_PART = 8_000_000
"""Rows of one part, where a table is read part by part."""


def open_lake(home: str | os.PathLike[str] | None = None, *, settings: LakeSettings | None = None) -> Lake:
    """Open a lake; it is created on first use.

    Parameters
    ----------
    home : path, optional
        Folder of all local state; ``OCELAKE_HOME``, else ``.ocelake``.
    settings : LakeSettings, optional
        Instead of reading them from the environment.

    Raises
    ------
    LakeError
        Where the catalog refuses.
    Unreachable
        Where it does not answer.
    """
    if settings is None:
        settings = LakeSettings.load(home)
    return Lake(settings)


class Lake:
    """Event logs in versioned Iceberg tables.

    Parameters
    ----------
    settings : LakeSettings
        Where it is.

    Attributes
    ----------
    settings : LakeSettings
        As given.
    followed : dict of str to Followed
        By log, what its gold is followed from (`ocelake.lake.increment`); it can be dropped at any time.
    """

    def __init__(self, settings: LakeSettings) -> None:
        self.settings: LakeSettings = settings
        self.followed: dict[str, Followed] = {}

    @cached_property
    def store(self) -> PublicationStore:
        """The commit point of publications; its tables are up to date with the registry."""
        return _connect(self.settings)

    @property
    def catalog(self) -> Catalog:
        """The Iceberg catalog."""
        return self.store.catalog

    def ensure_tables(self) -> None:
        """Create the tables of the registry, and add columns that they lack; done by itself on first use."""
        ensure_tables(self.store.catalog, TABLES)

    def table(self, identifier: str) -> Table:
        """Load an Iceberg table as it is now."""
        return self.store.tables([_spec(identifier).identifier])[identifier]

    def publication(
        self,
        log_id: str,
        layer: Layer,
        *,
        reads: Mapping[str, str] | None = None,
        settings: BaseModel | None = None,
        base: int | None = None,
        offsets: Mapping[TopicPartition, int | None] | None = None,
    ) -> Publication:
        """Begin a publication: all tables of one layer for one log, visible together or not at all.

        Parameters
        ----------
        log_id : str
            The log.
        layer : Layer
            The layer.
        reads : mapping of str to str, optional
            Layer to the id of the publication that the content is computed from.
        settings : pydantic.BaseModel, optional
            What the content is computed under; kept with the publication.
        base : int, optional
            The number of the log's newest publication of the layer when the content began to be computed, 0 for none:
            whoever computes first and opens the publication then, notices so what was published in between. The newest
            one at this call without it. Batches that it brings were not there at that publication.
        offsets : mapping of (topic, partition) to (int or None), optional
            For ranges of topics: how far each partition was read at ``base``, None for not at all. The publication is
            refused where another writer has read on in one of them.
        """
        check_log_id(log_id)
        absent = base or 0
        if base is None:
            latest = self.latest(log_id, layer)
            base = latest.number if latest else 0
        tables = self.store.tables(spec.identifier for spec in TABLES.values() if spec.layer == layer)
        return Publication(
            self.store,
            tables,
            log_id,
            layer,
            base=base,
            absent=absent,
            offsets=offsets or {},
            reads=reads or {},
            settings=settings,
        )

    def latest(self, log_id: str, layer: str, as_of: AsOf | Moment = None) -> PublicationRecord | None:
        """Give the newest publication of a log's layer at a moment; None where there is none."""
        return latest_publication(self.store, log_id, layer, loaded_moment(self.store, as_of))

    def offsets(self, log_id: str, since: PublicationRecord | None = None) -> dict[TopicPartition, int]:
        """Give how far a log's topics were read: the last offset of each partition.

        Parameters
        ----------
        since : PublicationRecord, optional
            A bronze publication of the log: only what was published after it. All without it.
        """
        _, table, view = self._view(BATCHES, None, log_id)
        return Ledger(table, log_id, lambda: since, view.of(log_id)).offsets

    def moment(self, as_of: AsOf | Moment) -> Moment:
        """Read "as of" once, to ask for several tables at the same moment; ``None`` is the newest publication now.

        Raises
        ------
        NotFound
            Where there is no such publication.
        SettingError
            Where the text is neither a time nor a publication.
        """
        return moment_of(self.store, as_of)

    def publications(
        self, log_id: str | None = None, layer: str | None = None, *, limit: int | None = None
    ) -> pl.DataFrame:
        """List publications, oldest first: id, log, layer, number, time, and as JSON text what each wrote and read.

        Parameters
        ----------
        log_id, layer : str, optional
            Those of one log, of one layer.
        limit : int, optional
            The newest so many; a log that is streamed into has very many.
        """
        return records_frame(reversed(self.store.publications(log_id=log_id, layer=layer, limit=limit)))

    def logs(self) -> list[str]:
        """Give the logs that have a publication, sorted."""
        return self.store.log_ids()

    def scan(
        self,
        identifier: str,
        log_id: str | None = None,
        *,
        as_of: AsOf | Moment = None,
        columns: Sequence[str] | None = None,
    ) -> pl.LazyFrame:
        """Read a table lazily.

        Parameters
        ----------
        identifier : str
            Such as ``"ocel.events"``.
        log_id : str, optional
            One log, and then without the column ``log_id``; all logs without it.
        as_of : datetime, str or Moment, optional
            A time, its ISO text, or a publication id.
        columns : sequence of str, optional
            These alone, in this order.

        Raises
        ------
        NotFound
            Where there is no such table, column or publication, or its state has expired.
        """
        return scan_table(*self._view(identifier, as_of, log_id), log_id, columns)

    def read(
        self,
        identifier: str,
        log_id: str | None = None,
        *,
        as_of: AsOf | Moment = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Read a table at once; see `scan`."""
        return self.scan(identifier, log_id, as_of=as_of, columns=columns).collect()

    def read_parts(
        self, identifier: str, log_id: str, *, as_of: AsOf | Moment = None, columns: Sequence[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """Read a table of one log part by part, in the order of its files and in bounded memory; see `scan`."""
        rows = self.scan(identifier, log_id, as_of=as_of, columns=columns)
        yield from rows.collect_batches(chunk_size=_PART, lazy=True)

    def changes(
        self, identifier: str, log_id: str, *, since: AsOf | Moment, until: AsOf | Moment = None
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Give what changed in a log's slice of a table between two moments: the rows that went, and those that came.

        Only files that are in one of both states alone are read; a row that is in both (its file was rewritten or
        compacted) did not change.

        Raises
        ------
        NotFound
            Where there is no such table or publication, or its state has expired.
        """
        plans = [self.plan(identifier, log_id=log_id, as_of=moment) for moment in (since, until)]
        spec, (before, after) = _spec(identifier), ({file.file_path: file for file in plan.files} for plan in plans)
        went = [file for path, file in before.items() if path not in after]
        came = [file for path, file in after.items() if path not in before]
        io = plans[1].table.io
        return difference(read_files(io, spec, went), read_files(io, spec, came))

    def plan(self, identifier: str, *, log_id: str | None = None, as_of: AsOf | Moment = None) -> Plan:
        """Plan which data files hold a table's rows at a moment."""
        return plan_table(*self._view(identifier, as_of, log_id), log_id)

    def ocel(self, log_id: str, as_of: AsOf | Moment = None) -> Ocel:
        """Read a log: all its tables at one moment, sorted.

        Raises
        ------
        NotFound
            Where the log has no silver publication at that moment.
        """
        moment = loaded_moment(self.store, as_of)
        self._require(log_id, moment, as_of)
        names = [identifier for identifier, _ in Ocel().frames()]
        tables = self.store.tables(names)
        lazy = []
        for name in names:
            spec = TABLES[name]
            view = table_view(self.store, spec, tables[name], moment, log_id)
            sort = [column for column in spec.sort if column not in spec.partition]
            lazy.append(scan_table(spec, tables[name], view, log_id).sort(sort))
        frames = pl.collect_all(lazy)
        return Ocel(**{name.removeprefix("ocel."): frame for name, frame in zip(names, frames, strict=True)})

    def traces(self, log_id: str, as_of: AsOf | Moment = None) -> Traces:
        """Encode the traces of a log, the relations part by part: what the functions of `ocelake.mining` take.

        Raises
        ------
        NotFound
            Where the log has no silver publication at that moment.
        """
        from ocelake.mining.traces import encode

        moment = loaded_moment(self.store, as_of)
        self._require(log_id, moment, as_of)
        return encode(
            self.read_parts("ocel.event_objects", log_id, as_of=moment, columns=["event_id", "object_id"]),
            self.read("ocel.objects", log_id, as_of=moment, columns=["object_id", "object_type"]),
            self.read("ocel.events", log_id, as_of=moment, columns=["event_id", "activity", "time", "sequence"]),
        )

    def _require(self, log_id: str, moment: Moment, as_of: AsOf | Moment) -> None:
        if latest_publication(self.store, log_id, "silver", moment) is None:
            raise NotFound(
                f"The log {log_id!r} has no OCEL tables" + (" at that moment." if as_of else "."),
                fix=f"The logs are: {', '.join(self.logs()) or 'none yet; ingest one'}.",
            )

    def history(self, identifier: str) -> pl.DataFrame:
        """List the publications that wrote a table, oldest first.

        Returns
        -------
        DataFrame
            publication_id, log_id, number, time, rows, snapshot_id, available (whether the snapshot is still there).
        """
        spec = _spec(identifier)
        table = self.table(identifier)
        kept = {snapshot.snapshot_id for snapshot in table.metadata.snapshots}
        records = [r for r in reversed(self.store.publications(layer=spec.layer)) if identifier in r.rows]
        rows = []
        for r in records:
            snapshot = r.snapshots.get(identifier)
            rows.append((r.publication_id, r.log_id, r.number, r.time, r.rows[identifier], snapshot, snapshot in kept))
        return pl.DataFrame(
            rows,
            schema={
                "publication_id": pl.String,
                "log_id": pl.String,
                "number": pl.Int64,
                "time": TIMESTAMP,
                "rows": pl.Int64,
                "snapshot_id": pl.Int64,
                "available": pl.Boolean,
            },
            orient="row",
        )

    def sql(self, query: str, *, as_of: AsOf = None) -> pl.DataFrame:
        """Run a read-only SQL query over all tables; see `ocelake.lake.sql.SqlSession.query`."""
        return self._sql_session.query(query, as_of=as_of)

    @cached_property
    def _sql_session(self) -> SqlSession:
        from ocelake.lake.sql import SqlSession

        return SqlSession(self)

    def _view(self, identifier: str, as_of: AsOf | Moment, log_id: str | None) -> tuple[TableSpec, Table, View]:
        spec = _spec(identifier)
        moment = loaded_moment(self.store, as_of)
        table = self.store.tables([identifier])[identifier]
        return spec, table, table_view(self.store, spec, table, moment, log_id)


def _spec(identifier: str) -> TableSpec:
    spec = TABLES.get(identifier)
    if spec is None:
        raise NotFound(f"There is no table {identifier!r}.", fix=f"The tables are {', '.join(TABLES)}.")
    return spec


def _connect(settings: LakeSettings) -> PublicationStore:
    if settings.catalog_uri.startswith("sqlite:///"):
        Path(make_url(settings.catalog_uri).database or "").parent.mkdir(parents=True, exist_ok=True)
    properties = {
        "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        **settings.catalog_properties,
        "uri": settings.catalog_uri,
        "warehouse": settings.warehouse,
    }
    if settings.catalog_uri.startswith(("http://", "https://")):
        return _connect_rest(settings, properties)
    guard = catalog_guard(settings)

    @guard
    def opened() -> PublicationCatalog:
        catalog = PublicationCatalog(_CATALOG_NAME, guard=guard, **properties)
        ensure_tables(catalog, TABLES)
        return catalog

    try:
        return SqlStore(opened(), warehouse_guard(settings))
    except SQLAlchemyError as error:
        raise LakeError(
            f"The catalog cannot be opened: {error}",
            where=guard.place,
            fix="Check OCELAKE_CATALOG_URI.",
        ) from error


def _connect_rest(settings: LakeSettings, properties: dict[str, str]) -> PublicationStore:
    from requests import RequestException

    from ocelake.lake.rest import open_rest

    try:
        return open_rest(_CATALOG_NAME, settings, properties, TABLES)
    except (RequestException, RESTError) as error:
        raise LakeError(
            f"The catalog cannot be opened: {error}",
            where=settings.catalog_uri,
            fix="Check OCELAKE_CATALOG_URI, and the catalog's properties.",
        ) from error
