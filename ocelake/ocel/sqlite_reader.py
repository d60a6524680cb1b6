"""Logs in SQLite databases: OCEL 2.0's tables, and the three tables of OCEL 1.0.

A database is foreign data: it is opened read-only and as it is on disk, only plain tables are read (no view, no
virtual table), in the order of their rows, without an index. Storage classes decide the native type of a value. Large
tables whose columns are each of one class go through connectorx; small, mixed or odd ones through Python's own module,
value by value. Both give the same frames.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import quote

import connectorx as cx
import polars as pl

from ocelake.errors import LogRefused
from ocelake.ocel.input import Input
from ocelake.ocel.nesting import nested_records
from ocelake.ocel.records import ReaderOutput
from ocelake.ocel.relational import RelationalLog, Table, Tables, arrange, empty_table, no_log
from ocelake.ocel.values import value_type

__all__ = ["read_ocel1_sqlite", "read_ocel2_sqlite"]

_OVERRIDES: Final = "ocelake_value_type"
_UNIFORM: Final = ("text", "integer", "real")
_MANY_ROWS: Final = 20_000
_MANY_COLUMNS: Final = 400
_BATCH: Final = 20_000
_JOURNAL: Final = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_LEGACY: Final = {
    "events": {"ocel:eid": "ocel_id", "ocel:activity": "ocel_type", "ocel:timestamp": "ocel_time"},
    "objects": {"ocel:oid": "ocel_id", "ocel:type": "ocel_type"},
    "relations": {
        "ocel:eid": "ocel_event_id",
        "ocel:oid": "ocel_object_id",
        "ocel:qualifier": "ocel_qualifier",
        "ocel:type": "ocel_type",
    },
}


def read_ocel2_sqlite(source: Input) -> ReaderOutput:
    """Read an OCEL 2.0 SQLite database.

    Parameters
    ----------
    source : Input
        The database, plain or gzipped.

    Yields
    ------
    Records or Declarations
        As `ocelake.ocel.nesting.nested_records`. Integers and reals have their native value type, text is read in the
        declared type, a BLOB is its text, or its hex digits where it is none. Our own table ``ocelake_value_type``
        overrides the type of single values.

    Raises
    ------
    LogRefused
        Where it is no database, is broken, has changes beside the file, or holds no log.
    """
    with _opened(source) as database:
        own = [name for name in database.columns if name.lower() == _OVERRIDES]
        overrides = database.load(own[0], None).frame if own else None
        tables = Tables(database.columns, partial(_load_typed, database, overrides), source.name)
        yield from nested_records(arrange(tables, own=own))


def read_ocel1_sqlite(source: Input) -> ReaderOutput:
    """Read an OCEL 1.0 SQLite database: the tables EVENTS, OBJECTS and RELATIONS.

    Parameters
    ----------
    source : Input
        The database, plain or gzipped.

    Yields
    ------
    Records or Declarations
        As `ocelake.ocel.nesting.nested_records`; an attribute is declared for the types that use it.

    Raises
    ------
    LogRefused
        Where it is no database, is broken, has changes beside the file, or holds no log.
    """
    with _opened(source) as database:
        tables = Tables(database.columns, database.load, source.name)
        names = {legacy: tables.find(legacy) for legacy in _LEGACY}
        events = names["events"]
        if events is None or "ocel:eid" not in database.columns[events]:
            raise no_log(tables)

        def load(legacy: str, *, wanted: bool = False) -> Table:
            name, spelling = names[legacy], _LEGACY[legacy]
            if name is None:
                return empty_table(spelling.values())
            columns = [column for column in database.columns[name] if column in spelling or not wanted]
            table = database.load(name, columns).renamed(spelling)
            missing = [column for column in spelling.values() if column not in table.frame.columns]
            frame = table.frame.with_columns(pl.lit(None, pl.String).alias(column) for column in missing)
            return Table(table.name, frame, table.kinds, table.declared)

        ignored = [name for name in database.columns if name not in names.values()]
        yield from nested_records(
            RelationalLog(
                events=partial(load, "events"),
                objects=partial(load, "objects"),
                event_objects=partial(load, "relations", wanted=True),
                object_objects=partial(empty_table, ("ocel_source_id", "ocel_target_id", "ocel_qualifier")),
                metadata={f"ignored:table:{name}": "no table of OCEL 1.0" for name in ignored},
            )
        )


@dataclass(frozen=True, slots=True)
class _Database:
    """An open database.

    Attributes
    ----------
    connection : sqlite3.Connection
        Read-only.
    address : str
        The same for connectorx.
    columns : dict of str to (dict of str to str)
        Plain table to column to declared SQL type.
    utf8 : bool
        Whether its text is UTF-8, as nearly always.
    """

    connection: sqlite3.Connection
    address: str
    columns: Mapping[str, Mapping[str, str]]
    utf8: bool

    def load(self, name: str, wanted: Sequence[str] | None) -> Table:
        """Read a table; the columns that are wanted, or all."""
        columns = list(self.columns[name] if wanted is None else wanted)
        types = {column: _declared(self.columns[name][column]) for column in columns}
        declared = {column: value_type for column, value_type in types.items() if value_type is not None}
        frame, kinds = self.read(name, {column: _quoted(column) for column in columns})
        return Table(name, frame, kinds, declared)

    def read(self, name: str, columns: Mapping[str, str]) -> tuple[pl.DataFrame, dict[str, str | pl.Series]]:
        """Read columns, given as expressions, as text, and tell their native types."""
        # A table's own order, whatever index would cover the columns.
        table = f"{_quoted(name)} NOT INDEXED"
        last = self.connection.execute(f"SELECT 1 FROM {table} LIMIT 1 OFFSET {_MANY_ROWS}")  # noqa: S608  # quoted
        if last.fetchone() is not None and len(columns) <= _MANY_COLUMNS:
            fast = self._read_fast(name, columns)
            if fast is not None:
                return fast
        expressions = ", ".join(columns.values()) or "NULL"
        cursor = self.connection.execute(f"SELECT {expressions} FROM {table}")  # noqa: S608  # quoted
        return _by_value(cursor, list(columns))

    def _read_fast(
        self, name: str, columns: Mapping[str, str]
    ) -> tuple[pl.DataFrame, dict[str, str | pl.Series]] | None:
        """Read a large table by connectorx, or not at all where one of its columns is of several storage classes."""
        table, types = _quoted(name), self.columns[name]
        # A column of TEXT affinity holds text and BLOBs only; a BLOB that is no text makes connectorx refuse.
        unsure = [c for c in columns if not self.utf8 or c not in types or _affinity(types[c]) != "TEXT"]
        classes = dict.fromkeys(columns, "text")
        if unsure:
            counts = [
                f"count({columns[c]}), "
                + ", ".join(f"total(typeof({columns[c]}) = '{uniform}')" for uniform in _UNIFORM)
                for c in unsure
            ]
            found = self.connection.execute(f"SELECT {', '.join(counts)} FROM {table} NOT INDEXED").fetchone()  # noqa: S608  # quoted
            for position, column in enumerate(unsure):
                total, *by_class = found[4 * position : 4 * position + 4]
                if total not in by_class:
                    return None
                classes[column] = _UNIFORM[by_class.index(total)]
        # connectorx takes a column's type from the first row: this one, which is cut off again.
        heads = ", ".join("0.0" if classes[c] == "real" else "''" for c in columns)
        values = ", ".join(e if classes[c] == "real" else f"CAST({e} AS TEXT)" for c, e in columns.items())
        query = f"SELECT {heads} UNION ALL SELECT {values} FROM {table} NOT INDEXED"  # noqa: S608  # quoted
        try:
            # It is one core's work to decode rows, and it holds no lock of Python's.
            with ThreadPoolExecutor() as pool:
                parts = list(pool.map(self._part, [query + part for part in self._parts(name)]))
        except RuntimeError:
            return None
        read = pl.concat(parts, rechunk=False)
        series = [read[str(n)].alias(column) for n, column in enumerate(columns)]
        kinds: dict[str, str | pl.Series] = {
            c: {"integer": "integer", "real": "float"}[classes[c]] for c in columns if classes[c] != "text"
        }
        return pl.DataFrame([s if s.dtype == pl.String else _real_text(s) for s in series]), kinds

    def _parts(self, name: str) -> list[str]:
        """Give conditions that cut a table into parts, one per processor, in the order of its rows."""
        rowid = self.rowid(name)
        if rowid is None:
            return [""]
        found = self.connection.execute(f"SELECT min({rowid}), max({rowid}) FROM {_quoted(name)}").fetchone()  # noqa: S608  # quoted
        first, rows = found[0], found[1] - found[0] + 1
        count = min(os.cpu_count() or 1, 4)
        bounds = [first + rows * part // count for part in range(count + 1)]
        return [f" WHERE {rowid} BETWEEN {low} AND {high - 1}" for low, high in pairwise(bounds)]

    def rowid(self, name: str) -> str | None:
        """Give a name of the row number that no column has; None for a table without row numbers."""
        taken = {column.lower() for column in self.columns[name]}
        rowid = next((alias for alias in ("rowid", "oid", "_rowid_") if alias not in taken), None)
        try:
            self.connection.execute(f"SELECT {rowid} FROM {_quoted(name)} LIMIT 0")  # noqa: S608  # quoted
        except sqlite3.OperationalError:
            return None
        return rowid

    def _part(self, query: str) -> pl.DataFrame:
        """Read the rows of a query but the first."""
        arrow = cx.read_sql(self.address, query, return_type="arrow")
        return pl.DataFrame(pl.from_arrow(arrow.rename_columns([str(n) for n in range(arrow.num_columns)]))).slice(1)


@contextmanager
def _opened(source: Input) -> Iterator[_Database]:
    """Open a database; whatever SQLite then finds wrong with it is a refusal that names its tables."""
    columns: dict[str, dict[str, str]] = {}
    with source.local_file() as path:
        _refuse_pending(source, path)
        uri = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        try:
            connection.text_factory = lambda text: text.decode(errors="backslashreplace")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA cell_size_check = ON")
            # Views and virtual tables have no root page.
            plain = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 ORDER BY rowid"
            for (name,) in connection.execute(plain).fetchall():
                if not name.startswith("sqlite_"):
                    info = connection.execute(f"PRAGMA table_info({_quoted(name)})").fetchall()
                    columns[name] = {column: declared or "" for _, column, declared, *_ in info}
            utf8 = connection.execute("PRAGMA encoding").fetchone()[0] == "UTF-8"
            yield _Database(connection, f"sqlite://{quote(uri, safe='')}", columns, utf8)
        # A broken schema may be no text: then Python cannot read SQLite's own message.
        except (sqlite3.Error, UnicodeDecodeError) as error:
            listed = f" Its tables are: {', '.join(list(columns)[:12])}." if columns else ""
            raise LogRefused(
                f"SQLite cannot read it: {error}.{listed}",
                where=source.name,
                fix="Check that the file is complete; `sqlite3 FILE .recover` may save what is left.",
            ) from error
        finally:
            connection.close()


def _refuse_pending(source: Input, path: Path) -> None:
    """Refuse a database with changes that are in another file: read alone it would be an older, or a broken state."""
    log, journal = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-journal")
    pending = log.exists() and log.stat().st_size > 0
    if not pending and journal.exists():
        with journal.open("rb") as stream:
            pending = stream.read(len(_JOURNAL)) == _JOURNAL
    if pending:
        raise LogRefused(
            "The database has changes that are not in the file yet.",
            where=source.name,
            fix="Close the program that writes to it, or run `sqlite3 FILE 'PRAGMA wal_checkpoint(TRUNCATE)'`.",
        )


def _load_typed(database: _Database, overrides: pl.DataFrame | None, name: str, wanted: Sequence[str] | None) -> Table:
    """Read a table, with the value types that our own exporter noted for single values."""
    table = database.load(name, wanted)
    noted = None if overrides is None else overrides.filter(pl.col("ocel_table") == name)
    if noted is None or not noted.height or table.frame.is_empty():
        return table
    rowid = database.rowid(name)
    if rowid is None:
        return table
    rows, _ = database.read(name, {"ocel_row": rowid})
    key = next(column for column in table.frame.columns if column.lower() == "ocel_id")
    # The id beside the row number: a VACUUM may have numbered the rows anew.
    placed = rows.with_row_index("at").with_columns(table.frame[key].alias("ocel_id"))
    placed = placed.join(noted, on=["ocel_row", "ocel_id"], how="inner")
    kinds = dict(table.kinds)
    for (column,), part in placed.group_by("attribute"):
        if isinstance(column, str) and column in table.frame.columns:
            kind = kinds.get(column)
            if not isinstance(kind, pl.Series):
                kind = pl.repeat(kind, table.frame.height, dtype=pl.String, eager=True)
            kinds[column] = kind.scatter(part["at"], part["value_type"])
    return Table(table.name, table.frame, kinds, table.declared)


def _by_value(cursor: sqlite3.Cursor, names: list[str]) -> tuple[pl.DataFrame, dict[str, str | pl.Series]]:
    """Read what a cursor gives, each value by its own class."""
    texts: list[list[pl.Series]] = [[pl.Series([], dtype=pl.String)] for _ in names]
    kinds: list[list[pl.Series]] = [[pl.Series([], dtype=pl.String)] for _ in names]
    while rows := cursor.fetchmany(_BATCH):
        for position, values in enumerate(zip(*rows, strict=True)):
            text, kind = _text_and_kind(values)
            texts[position].append(text)
            kinds[position].append(kind)
    native: dict[str, str | pl.Series] = {}
    for name, parts in zip(names, kinds, strict=True):
        whole = pl.concat(parts)
        if whole.null_count() < whole.len():
            native[name] = whole
    return pl.DataFrame([pl.concat(parts).alias(name) for name, parts in zip(names, texts, strict=True)]), native


def _text_and_kind(values: Sequence[object]) -> tuple[pl.Series, pl.Series]:
    """Give values of any storage class as text, and their native types."""
    classes = set(map(type, values)) - {type(None)}
    if classes <= {str}:
        return pl.Series(values, dtype=pl.String), pl.repeat(None, len(values), dtype=pl.String, eager=True)
    reals = _real_text(pl.Series([v if isinstance(v, float) else None for v in values], dtype=pl.Float64))
    texts = [real if real is not None else _text(v) for v, real in zip(values, reals, strict=True)]
    kinds = ["integer" if isinstance(v, int) else "float" if isinstance(v, float) else None for v in values]
    return pl.Series(texts, dtype=pl.String), pl.Series(kinds, dtype=pl.String)


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    return None if value is None else str(value)


def _real_text(values: pl.Series) -> pl.Series:
    """Give reals as the shortest text that reads back as the same number (SQLite's own has 15 digits)."""
    return values.cast(pl.String)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _declared(sql_type: str) -> str | None:
    """Give the value type that a declared SQL type means; None where there is none."""
    if not sql_type:
        return None
    named = value_type(sql_type)
    return {"INTEGER": "integer", "REAL": "float"}.get(_affinity(sql_type), named) if named == "string" else named


def _affinity(sql_type: str) -> str:
    """Give a column's affinity, by the rules of SQLite's documentation (section 3.1 of "Datatypes")."""
    upper = sql_type.upper()
    for parts, affinity in (
        (("INT",), "INTEGER"),
        (("CHAR", "CLOB", "TEXT"), "TEXT"),
        (("BLOB",), "BLOB"),
        (("REAL", "FLOA", "DOUB"), "REAL"),
    ):
        if any(part in upper for part in parts):
            return affinity
    return "NUMERIC" if upper else "BLOB"
