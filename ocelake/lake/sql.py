"""SQL by people: read-only DuckDB over the data files that the lake plans.

A query sees the tables of the registry as views in the schemas ``lake``, ``bronze``, ``ocel``, ``silver`` and ``gold``,
all at one moment. DuckDB reads the planned files by Iceberg field id, so a column that was renamed keeps its values and
one that was added reads as null; columns and predicates are pushed down into the files.

What a query may do is decided twice: by its syntax tree (`ocelake.lake.sql_guard`), and by the connection, which
reaches no file, extension or Python variable but the warehouse, and whose configuration is locked.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from ocelake.errors import QueryRefused
from ocelake.lake.records import records_frame
from ocelake.lake.scan import plan_table
from ocelake.lake.schema import iceberg_schema
from ocelake.lake.sql_files import SCHEME, WarehouseFiles, address, local_path, parquet_query
from ocelake.lake.sql_guard import inspect_query
from ocelake.lake.timeline import loaded_moment, moment_of, table_view
from ocelake.tables import TABLES

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.lake.records import AsOf, Moment, PublicationRecord

__all__ = ["PUBLICATIONS", "SqlSession"]

PUBLICATIONS: Final = "lake.publications"
"""What was published when: beside the views, a table of its own."""

_SEARCH_PATH: Final = ("ocel", "gold", "ocpn", "features", "models", "silver", "bronze", "lake")
"""Where a name without a schema is looked for, in this order."""

_NAMES: Final = (PUBLICATIONS, *TABLES)
_HIDDEN: Final = frozenset({"bucket"})


class SqlSession:
    """A DuckDB connection whose views follow a lake; while the lake stands still, nothing is planned again.

    Parameters
    ----------
    lake : Lake
        Whose tables the queries read.
    connection : duckdb.DuckDBPyConnection, optional
        One to use and to lock down, such as that of Dagster's DuckDB resource; else one is opened in memory.

    Examples
    --------
    >>> SqlSession(lake).query("SELECT activity, count(*) AS events FROM ocel.events GROUP BY ALL")  # doctest: +SKIP
    """

    def __init__(self, lake: Lake, connection: duckdb.DuckDBPyConnection | None = None) -> None:
        self._lake = lake
        self._turn = threading.Lock()
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._root = local_path(lake.settings.warehouse)
        self._files = WarehouseFiles()
        self._own = connection is None
        self._connection = duckdb.connect(":memory:") if connection is None else connection
        self._prepare()

    def query(self, sql: str, *, as_of: AsOf | Moment = None) -> pl.DataFrame:
        """Run one query and give all of its rows.

        Parameters
        ----------
        sql : str
            A SELECT, WITH, FROM, VALUES, EXPLAIN, DESCRIBE, SUMMARIZE or SHOW. A table is named with its schema, or
            alone where that is clear.
        as_of : datetime, str or Moment, optional
            The moment that all tables are read at: a time, or a publication id; now without it.

        Raises
        ------
        QueryRefused
            Where the query is not read-only, reaches outside of the lake, or is wrong.
        NotFound
            Where there is no such publication, or what it held has expired.
        """
        with self._turn:
            inspected = inspect_query(self._connection, sql)
            wanted = [name for name in _NAMES if _is_meant(name, inspected.tables)]
            for last in (False, True):
                self._show(wanted, as_of)
                try:
                    return _fetch(self._connection.sql(inspected.sql))
                except duckdb.IOException as error:
                    # Files of an earlier moment may have been removed since they were planned.
                    if last:
                        raise _refusal(error) from error
                    self._shown.clear()
                except duckdb.Error as error:
                    raise _refusal(error) from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connection, where it was opened here."""
        if self._own:
            self._connection.close()

    def _prepare(self) -> None:
        """Make the schemas and empty views, so that listings know every table, then lock the connection."""
        run = self._connection.execute
        run("SET TimeZone = 'UTC'")
        run("SET parquet_metadata_cache = true")
        for namespace in _SEARCH_PATH:
            run(f"CREATE SCHEMA IF NOT EXISTS {namespace}")
        for identifier, spec in TABLES.items():
            self._define(identifier, parquet_query(_shown_fields(iceberg_schema(spec).fields), []))
        self._list([])
        run(f"SET search_path = '{','.join(_SEARCH_PATH)}'")
        self._connection.register_filesystem(self._files)
        if self._own:
            run(f"SET temp_directory = {_quoted(str(self._lake.settings.home / 'tmp'))}")
        for setting in ("autoload_known_extensions", "autoinstall_known_extensions", "python_enable_replacements"):
            run(f"SET {setting} = false")
        folders = [f"{SCHEME}://", *([f"{self._root.rstrip('/')}/"] if self._root else [])]
        run(f"SET allowed_directories = [{', '.join(_quoted(folder) for folder in folders)}]")
        run("SET enable_external_access = false")
        run("SET lock_configuration = true")

    def _show(self, identifiers: Collection[str], as_of: AsOf | Moment) -> None:
        """Let the views of some tables show a moment; those that do already are left alone."""
        tables = [identifier for identifier in identifiers if identifier != PUBLICATIONS]
        store = self._lake.store
        # Before the tables are loaded: they then hold whatever was published until then. They are loaded together, so
        # that they agree among themselves; the list of publications agrees with them by the time alone.
        moment = (moment_of if PUBLICATIONS in identifiers else loaded_moment)(store, as_of)
        loaded = store.tables(tables) if tables else {}
        for identifier in identifiers:
            table = loaded.get(identifier)
            state = moment, table and table.metadata_location
            if self._shown.get(identifier) == state:
                continue
            if table is None:
                self._list(reversed(store.publications(until=moment.time)))
            else:
                spec = TABLES[identifier]
                plan = plan_table(spec, table, table_view(store, spec, table, moment))
                addresses = [address(path, self._root) for path in plan.paths]
                self._files.serve(identifier, table.io, addresses)
                self._define(identifier, parquet_query(_shown_fields(plan.schema.fields), addresses))
            self._shown[identifier] = state

    def _define(self, identifier: str, query: str) -> None:
        self._connection.execute(f"CREATE OR REPLACE VIEW {identifier} AS {query}")

    def _list(self, records: Iterable[PublicationRecord]) -> None:
        self._connection.register("listed", records_frame(records))
        self._connection.execute(f"CREATE OR REPLACE TABLE {PUBLICATIONS} AS FROM listed")
        self._connection.unregister("listed")


def _is_meant(identifier: str, names: Iterable[tuple[str, ...]]) -> bool:
    """Whether a query's names include a table, written with or without its schema."""
    parts = tuple(identifier.split("."))
    return any(name[-2:] == parts or name == parts[1:] for name in names)


def _shown_fields(fields: Iterable[Any]) -> list[Any]:
    return [field for field in fields if field.name not in _HIDDEN]


def _fetch(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Give all rows, with intervals as durations and sums of whole numbers as 64-bit integers where they fit."""
    table = relation.to_arrow_table()
    for place, field in enumerate(table.schema):
        if pa.types.is_interval(field.type):
            table = table.set_column(place, field.name, _durations(table.column(place)))
    table = table.rename_columns(_distinct(table.column_names))
    frame: pl.DataFrame = pl.from_arrow(table)  # type: ignore[assignment]  # a table gives a frame
    wide = [name for name, kind in frame.schema.items() if kind == pl.Decimal(38, 0)]
    narrow = frame.select(pl.col(wide).cast(pl.Int64, strict=False)) if wide else frame
    return frame.with_columns(narrow[name] for name in wide if narrow[name].null_count() == frame[name].null_count())


def _distinct(names: list[str]) -> list[str]:
    """Number the names that a query gives more than once: ``id``, ``id_1``."""
    found: dict[str, None] = {}
    for name in names:
        numbered = chain([name], (f"{name}_{number}" for number in count(1)))
        found[next(new for new in numbered if new not in found)] = None
    return list(found)


def _durations(intervals: pa.ChunkedArray) -> pa.Array:
    """Turn months, days and nanoseconds into microseconds; a month is 30 days, as in DuckDB's ``epoch``."""
    chunk = intervals.combine_chunks()
    parts = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
    values = np.frombuffer(chunk.buffers()[1], dtype=parts, count=len(chunk), offset=chunk.offset * parts.itemsize)
    days = values["months"].astype(np.int64) * 30 + values["days"]
    micros = days * 86_400_000_000 + values["nanoseconds"] // 1_000
    return pa.array(micros, mask=chunk.is_null().to_numpy(zero_copy_only=False)).cast(pa.duration("us"))


def _refusal(error: duckdb.Error) -> QueryRefused:
    """Say what DuckDB found wrong, and what would be right."""
    text = str(error).partition("\n\tCandidate functions")[0].strip()
    what = re.sub(r"^[A-Za-z ]+ Error: ", "", text)
    fix = "Correct the query."
    if isinstance(error, duckdb.PermissionException):
        fix = "Query the lake's tables; nothing else can be read."
    elif isinstance(error, duckdb.BinderException) and "not found in FROM clause" in text:
        fix = "DESCRIBE lists the columns of a table."
    return QueryRefused(what, where="SQL", fix=fix)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
