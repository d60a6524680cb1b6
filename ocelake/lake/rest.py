"""Publications over a REST catalog, which commits one table at a time.

The commit point is a row of the Iceberg table ``lake.publications``. A publication writes its intent there, commits
each table, and then writes that it is committed. Readers resolve each log through the snapshots of its newest committed
publication, so that they never see a half of one. What an interrupted publication left in a table stays invisible, and
goes when the log's slice is settled next: at the next opening of the lake, or by the log's next publication.

A look that fails is made again (`ocelake.resilience`); a commit whose answer got lost is not, the next look tells what
became of it.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import orjson
import polars as pl
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    RESTError,
    ServerError,
    ServiceUnavailableError,
    TableAlreadyExistsError,
    TooManyRequestsError,
)
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import AssertRefSnapshotId, RemoveSnapshotsUpdate
from pyiceberg.types import IntegerType, NestedField, StringType, TimestamptzType
from requests import ConnectionError as NoConnection
from requests import PreparedRequest, RequestException, Response, Session, Timeout
from requests.adapters import HTTPAdapter

from ocelake.errors import LakeError, OutcomeUnknown, StalePublication, Unreachable
from ocelake.lake.batches import BATCHES, Ledger
from ocelake.lake.evolve import ensure_tables
from ocelake.lake.guards import warehouse_guard
from ocelake.lake.records import PublicationRecord
from ocelake.lake.schema import TABLE_PROPERTIES
from ocelake.lake.snapshots import slice_files, stage_files
from ocelake.lake.store import Change, Draft, Rewrite, check_draft
from ocelake.resilience import Guard
from ocelake.settings import LakeSettings
from ocelake.tables import TableSpec

__all__ = ["RestStore", "open_rest"]

_NAMESPACE: Final = "lake"
_TABLE: Final = "lake.publications"
_LEASE: Final = timedelta(minutes=5)
_ATTEMPTS: Final = 1000
_MOST_FILES: Final = 32
_MAPS: Final = ("snapshots", "reads", "rows", "settings")
_SCHEMA: Final = Schema(
    NestedField(1, "publication_id", StringType(), required=True, doc="Log, layer and number."),
    NestedField(2, "log_id", StringType(), required=True, doc="The log."),
    NestedField(3, "layer", StringType(), required=True, doc="bronze, silver or gold."),
    NestedField(4, "number", IntegerType(), required=True, doc="From 1 per log and layer."),
    NestedField(5, "time", TimestamptzType(), required=True, doc="When this row was written; strictly increasing."),
    NestedField(6, "state", StringType(), required=True, doc="intent, committed or aborted."),
    NestedField(7, "token", StringType(), required=True, doc="One attempt to publish."),
    NestedField(8, "owner", StringType(), required=True, doc="Host and process of the attempt."),
    *(
        NestedField(9 + i, name, StringType(), required=True, doc=f"The publication's {name} (JSON text).")
        for i, name in enumerate(_MAPS)
    ),
)
_NO_ANSWER: Final = (NoConnection, Timeout, ServiceUnavailableError, CommitStateUnknownException)
"""What may follow a commit that was made."""


def open_rest(
    name: str, settings: LakeSettings, properties: dict[str, str], registry: Mapping[str, TableSpec]
) -> RestStore:
    """Connect to a REST catalog, bring it up to the registry, and clear what interrupted publications left.

    Raises
    ------
    Unreachable
        Where it does not answer.
    """
    guard = Guard(
        "catalog",
        settings.catalog_uri,
        _may_recover,
        "Check OCELAKE_CATALOG_URI, the catalog's properties, and that the server is running; then do it again.",
        settings.resilience,
    )

    @guard
    def opened() -> RestStore:
        catalog = _Catalog(name, seconds=settings.resilience.call_seconds, **properties)
        ensure_tables(catalog, registry)
        store = RestStore(catalog, guard, warehouse_guard(settings))
        store.recover()
        return store

    return opened()


class RestStore:
    """Publications over a REST catalog: intent, tables, commit.

    Parameters
    ----------
    catalog : RestCatalog
        The server.
    guard : Guard
        For the looks.
    warehouse : Guard
        For what is written to the warehouse.
    """

    shared_snapshots = False

    def __init__(self, catalog: RestCatalog, guard: Guard, warehouse: Guard) -> None:
        self.catalog = catalog
        self._guard, self._warehouse = guard, warehouse
        self._read_at: tuple[int | None, pl.DataFrame] | None = None

    def tables(self, identifiers: Iterable[str]) -> dict[str, Table]:
        """Load tables; what readers see of them is decided by the publications, not by when they are loaded."""
        return {identifier: self._load(identifier) for identifier in identifiers}

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
        _, rows = self._rows()
        rows = rows.filter(pl.col("state") == "committed")
        for column, value in (("log_id", log_id), ("layer", layer), ("number", number)):
            if value is not None:
                rows = rows.filter(pl.col(column) == value)
        if until is not None:
            rows = rows.filter(pl.col("time") <= until)
        newest = rows.sort("time", descending=True).head(rows.height if limit is None else limit)
        return [_record(row) for row in newest.to_dicts()]

    def log_ids(self) -> list[str]:
        """Give every log that has a publication, sorted."""
        _, rows = self._rows()
        return sorted(rows.filter(pl.col("state") == "committed")["log_id"].unique())

    def publish(self, draft: Draft) -> PublicationRecord:
        """Make a publication: it is there once its row says committed."""
        intent, slices = self._announce(draft)
        try:
            snapshots = {
                identifier: self._warehouse.call(
                    self._settle, identifier, draft.log_id, _snapshot(slices, identifier), change
                )
                for identifier, change in draft.changes.items()
            }
            return self._conclude(draft, intent["token"], {k: v for k, v in snapshots.items() if v is not None})
        except BaseException as error:
            with suppress(LakeError, RequestException, RESTError, Unreachable):
                self._abort(intent)
            if isinstance(error, Unreachable):  # tables may refer to the files, whether or not it was concluded
                raise OutcomeUnknown(error.what, where=error.where, fix=error.fix) from error
            raise

    def dropped(self, identifier: str, snapshot_id: int) -> Snapshot | None:
        """Give nothing: a snapshot stays in the table for as long as somebody may be reading it."""
        return None

    def rewrite(self, identifier: str, plan: Callable[[Table], Rewrite | None]) -> bool:
        """Change one table without publishing, by compare-and-swap."""
        for _ in range(_ATTEMPTS):
            table = self._load(identifier)
            rewrite = plan(table)
            if rewrite is None:
                return False
            updates = rewrite.updates
            if rewrite.drop:
                updates = (*updates, RemoveSnapshotsUpdate.model_validate({"snapshot-ids": rewrite.drop}))
            # Which snapshots may go was judged by the present one.
            present = {"ref": MAIN_BRANCH, "snapshot-id": table.metadata.current_snapshot_id}
            requirements = (*rewrite.requirements, AssertRefSnapshotId.model_validate(present))
            try:
                self.catalog.commit_table(table, requirements, updates)
            except CommitFailedException:
                rewrite.discard()
                continue
            return True
        raise LakeError("Other writers keep changing the table.", where=identifier, fix="Try again later.")

    def recover(self) -> None:
        """Abort publications whose writer is gone, and take what they left out of the tables."""
        for row in _pending(self._rows()[1]):
            if _is_over(row):
                self._abort(row)

    # --- the steps of a publication

    def _announce(self, draft: Draft) -> tuple[dict[str, Any], dict[str, PublicationRecord]]:
        """Write the intent; from then on no other writer touches the log's layer.

        Returns
        -------
        dict, dict of str to PublicationRecord
            The intent's row, and for each table the publication that the log's slice is from.
        """
        token = uuid4().hex
        for _ in range(_ATTEMPTS):
            table, rows = self._rows()
            others = [r for r in _pending(rows) if (r["log_id"], r["layer"]) == (draft.log_id, draft.layer)]
            if others:
                if _is_over(others[0]):
                    self._abort(others[0])
                else:
                    time.sleep(random.uniform(0.05, 0.2))  # noqa: S311  # no secret: two writers shall not keep step
                continue
            written = self.publications(log_id=draft.log_id, layer=draft.layer)
            slices = _slices(written)
            number = check_draft(draft, next(iter(written), None), self._ledger(draft, written, slices))
            row = _row(draft.record(number, _next_time(rows), {}), "intent", token)
            if self._append(table, rows, row):
                return row, slices
        raise _busy(draft)

    def _conclude(self, draft: Draft, token: str, snapshots: dict[str, int]) -> PublicationRecord:
        for _ in range(_ATTEMPTS):
            table, rows = self._rows()
            mine = rows.filter(pl.col("token") == token)
            states = mine["state"].to_list()
            if "committed" in states:  # an earlier try came through, though it was reported as failed
                return _record(mine.filter(pl.col("state") == "committed").to_dicts()[0])
            if states != ["intent"]:
                raise StalePublication(
                    "The publication took too long, and another writer took it for dead.",
                    where=f"{draft.log_id}.{draft.layer}",
                    fix="Compute the layer again from the newest state.",
                )
            record = draft.record(mine["number"][0], _next_time(rows), snapshots)
            if self._append(table, rows, _row(record, "committed", token)):
                return record
        raise _busy(draft)

    def _abort(self, intent: dict[str, Any]) -> None:
        """Mark an attempt as aborted, and give its log's slices back what the newest publication says."""
        for _ in range(_ATTEMPTS):
            table, rows = self._rows()
            if not any(row["token"] == intent["token"] for row in _pending(rows)):
                return
            self._undo(intent)
            aborted = {**intent, "state": "aborted", "time": _next_time(rows)}
            if self._append(table, rows, aborted):
                return

    def _undo(self, intent: dict[str, Any]) -> None:
        slices = _slices(self.publications(log_id=intent["log_id"], layer=intent["layer"]))
        for identifier in orjson.loads(intent["rows"]):
            nothing = Change(replace=False, files=(), rows=0)
            self._settle(identifier, intent["log_id"], _snapshot(slices, identifier), nothing)

    def _settle(self, identifier: str, log_id: str, base: int | None, change: Change) -> int | None:
        """Let a log's slice be what its newest publication left (snapshot ``base``), changed.

        Whatever else is in the slice is of an interrupted publication and goes.

        Returns
        -------
        int or None
            The snapshot that holds the slice; None where the table never had a row.
        """
        for _ in range(_ATTEMPTS):
            table = self._load(identifier)
            kept = [] if change.replace or base is None else slice_files(table, log_id, base)
            gone = {file.file_path for file in change.removed}
            wanted = {file.file_path: file for file in (*kept, *change.files) if file.file_path not in gone}
            present = {file.file_path: file for file in slice_files(table, log_id)}
            remove = [file for path, file in present.items() if path not in wanted]
            add = [file for path, file in wanted.items() if path not in present]
            if not add and not remove:
                return table.metadata.current_snapshot_id
            staged = stage_files(table, add=add, remove=remove, properties={"ocelake.log": log_id})
            try:
                self.catalog.commit_table(table, staged.requirements, staged.updates)
            except CommitFailedException:
                staged.discard()
                continue
            except _NO_ANSWER:
                continue  # the next look at the table tells
            return staged.snapshot_id
        raise LakeError("Other writers keep changing the table.", where=identifier, fix="Try again later.")

    def _ledger(
        self, draft: Draft, written: list[PublicationRecord], slices: dict[str, PublicationRecord]
    ) -> Ledger | None:
        snapshot = _snapshot(slices, BATCHES)
        if snapshot is None or not draft.batches:
            return None
        base = next((record for record in written if record.number == draft.base), None)
        return Ledger(self._load(BATCHES), draft.log_id, lambda: base, snapshot)

    # --- the table of publications

    def _rows(self) -> tuple[Table, pl.DataFrame]:
        """Load the table of publications with all its rows, in the order they were written."""
        table = self._table()
        snapshot = table.metadata.current_snapshot_id
        if self._read_at is None or self._read_at[0] != snapshot:
            rows = pl.DataFrame(table.scan().to_arrow()).sort("time")
            self._read_at = snapshot, rows
        return table, self._read_at[1]

    def _append(self, table: Table, rows: pl.DataFrame, row: dict[str, Any]) -> bool:
        """Write one row if nobody wrote another since ``rows`` were read."""
        added = pl.DataFrame([row], schema=rows.schema)
        schema = table.schema().as_arrow()
        try:
            if len(slice_files(table)) < _MOST_FILES:
                table.append(added.to_arrow().cast(schema))
            else:
                table.overwrite(pl.concat([_worth_keeping(rows), added]).to_arrow().cast(schema))
                _forget_snapshots(table)
        except CommitFailedException:
            time.sleep(random.uniform(0.0, 0.05))  # noqa: S311  # no secret: two writers shall not keep step
            return False
        except _NO_ANSWER:
            return False  # the next look at the table tells
        return True

    def _table(self) -> Table:
        try:
            return self._load(_TABLE)
        except NoSuchTableError:
            with suppress(NamespaceAlreadyExistsError):
                self.catalog.create_namespace(_NAMESPACE)
            with suppress(TableAlreadyExistsError):
                self.catalog.create_table(_TABLE, _SCHEMA, properties=TABLE_PROPERTIES)
            return self._load(_TABLE)

    def _load(self, identifier: str) -> Table:
        table: Table = self._guard.call(self.catalog.load_table, identifier)
        return table


class _Catalog(RestCatalog):
    """A REST catalog whose every request has a time-out; pyiceberg's have none."""

    def __init__(self, name: str, *, seconds: float, **properties: str) -> None:
        self._seconds = seconds
        super().__init__(name, **properties)

    def _create_session(self) -> Session:
        session = super()._create_session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Limited(self._seconds))
        return session


class _Limited(HTTPAdapter):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        super().__init__()

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        return super().send(request, *args, **{**kwargs, "timeout": kwargs.get("timeout") or self._seconds})


def _may_recover(error: BaseException) -> bool:
    return isinstance(error, (NoConnection, Timeout, ServerError, ServiceUnavailableError, TooManyRequestsError))


def _slices(written: list[PublicationRecord]) -> dict[str, PublicationRecord]:
    """Give for each table the publication that the log's slice is from; ``written`` is newest first."""
    return {identifier: record for record in reversed(written) for identifier in record.rows}


def _snapshot(slices: dict[str, PublicationRecord], identifier: str) -> int | None:
    record = slices.get(identifier)
    return record.snapshots.get(identifier) if record else None


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _row(record: PublicationRecord, state: str, token: str) -> dict[str, Any]:
    names = ("publication_id", "log_id", "layer", "number", "time")
    return {
        **{name: getattr(record, name) for name in names},
        "state": state,
        "token": token,
        "owner": _owner(),
        **{name: orjson.dumps(getattr(record, name)).decode() for name in _MAPS},
    }


def _record(row: dict[str, Any]) -> PublicationRecord:
    maps = {name: orjson.loads(row[name]) for name in _MAPS}
    return PublicationRecord(
        row["publication_id"], row["log_id"], row["layer"], row["number"], row["time"].astimezone(UTC), **maps
    )


def _pending(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Give the attempts that are neither committed nor aborted."""
    over = rows.filter(pl.col("state") != "intent")["token"]
    return rows.filter((pl.col("state") == "intent") & ~pl.col("token").is_in(over.implode())).to_dicts()


def _worth_keeping(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out attempts that are over. A writer whose own intent is gone knows that it was taken for dead."""
    open_tokens = [row["token"] for row in _pending(rows)]
    return rows.filter((pl.col("state") == "committed") | pl.col("token").is_in(open_tokens))


def _is_over(intent: dict[str, Any]) -> bool:
    """Whether the writer of an intent is gone: its process is, or its time is up."""
    if datetime.now(UTC) - intent["time"] > _LEASE:
        return True
    host, _, process = intent["owner"].rpartition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _next_time(rows: pl.DataFrame) -> datetime:
    newest: Any = rows["time"].max()
    now = datetime.now(UTC)
    return now if newest is None else max(now, newest + timedelta(microseconds=1))


def _forget_snapshots(table: Table) -> None:
    """Expire all snapshots of the table of publications but the present one; nobody travels in it."""
    present = table.metadata.current_snapshot_id
    old = [s.snapshot_id for s in table.metadata.snapshots if s.snapshot_id != present]
    with suppress(CommitFailedException):
        table.maintenance.expire_snapshots().by_ids(old).commit()


def _busy(draft: Draft) -> LakeError:
    return LakeError(
        "Other writers keep publishing.", where=f"{draft.log_id}.{draft.layer}", fix="Try again when they are done."
    )
