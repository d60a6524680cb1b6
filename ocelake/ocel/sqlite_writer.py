"""Writing a log as OCEL 2.0 SQLite: the relational schema of ocel-standard.org, with its keys."""

from __future__ import annotations

import itertools
import re
import sqlite3
import string
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import polars as pl

from ocelake.errors import ExportRefused
from ocelake.ocel.layout import INITIAL, appearing, chunks, event_values, object_values, refuse_text
from ocelake.ocel.model import Ocel
from ocelake.ocel.times import format_times

__all__ = ["write_sqlite"]

_COLUMN_TYPES: Final = {
    "string": "TEXT",
    "integer": "INTEGER",
    "float": "REAL",
    "boolean": "BOOLEAN",
    "time": "TIMESTAMP",
    "list": "LIST",
    "map": "MAP",
}
_MOST_ATTRIBUTES: Final = 1_990
_NUMBER: Final = re.compile(r"\s*[+-]?[0-9.]")
_LOWER_CASE: Final = dict(zip(string.ascii_uppercase, string.ascii_lowercase, strict=True))

_Cells: TypeAlias = pl.Series | list[object]

_SCHEMA: Final = """
CREATE TABLE event_map_type (ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT);
CREATE TABLE object_map_type (ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT);
CREATE TABLE event (ocel_id TEXT PRIMARY KEY, ocel_type TEXT REFERENCES event_map_type(ocel_type));
CREATE TABLE object (ocel_id TEXT PRIMARY KEY, ocel_type TEXT REFERENCES object_map_type(ocel_type));
CREATE TABLE event_object (
    ocel_event_id TEXT REFERENCES event(ocel_id),
    ocel_object_id TEXT REFERENCES object(ocel_id),
    ocel_qualifier TEXT,
    PRIMARY KEY (ocel_event_id, ocel_object_id, ocel_qualifier)
) WITHOUT ROWID;
CREATE TABLE object_object (
    ocel_source_id TEXT REFERENCES object(ocel_id),
    ocel_target_id TEXT REFERENCES object(ocel_id),
    ocel_qualifier TEXT,
    PRIMARY KEY (ocel_source_id, ocel_target_id, ocel_qualifier)
) WITHOUT ROWID;
"""

_VALUE_TYPES: Final = """
CREATE TABLE ocelake_value_type (
    ocel_table TEXT, ocel_id TEXT, ocel_time TIMESTAMP, ocel_row INTEGER, attribute TEXT, value_type TEXT
);
"""


def write_sqlite(ocel: Ocel, path: Path) -> None:
    """Write a log as OCEL 2.0 SQLite.

    Initial values are one row per object at 1970-01-01, with ``ocel_changed_field`` NULL; every change, and every
    further initial value of one attribute, is a row of its own that names its field, in order. Values whose type is not
    that of their column are named in an extra table, ``ocelake_value_type``, which other readers ignore; where SQLite
    would take such a value for a number, its text is stored as a blob.

    Parameters
    ----------
    ocel : Ocel
        The log.
    path : Path
        The file; an existing one is replaced when the new one is complete.

    Raises
    ------
    ExportRefused
        Where attribute names of a type differ only in case or are names of the schema's own columns, an event has an
        attribute twice, a type has over 1,990 attributes, text holds NUL, or the file cannot be written.
    """
    refuse_text(ocel, ["\0"], "SQLite cannot hold NUL characters")
    _refuse_names(ocel.event_type_attributes, "activity", ("ocel_id", "ocel_time"))
    _refuse_names(ocel.object_type_attributes, "object_type", ("ocel_id", "ocel_time", "ocel_changed_field"))
    _refuse_repeats(ocel.event_attributes)
    with appearing(path) as part, closing(sqlite3.connect(part, isolation_level=None)) as connection:
        database = _Database(connection)
        try:
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN")
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            _write_rows(database, ocel)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise ExportRefused(
                f"SQLite cannot write the file: {error}.", where=str(path), fix="Check the disk, or export as JSON."
            ) from error


@dataclass(frozen=True)
class _Database:
    connection: sqlite3.Connection
    marks: list[tuple[str, str, str, int, str, str]] = field(default_factory=list)

    def insert(self, table: str, columns: Mapping[str, _Cells]) -> None:
        """Insert rows in bulk, a chunk at a time."""
        names = ", ".join(_name(column) for column in columns)
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {_name(table)} ({names}) VALUES ({places})"  # noqa: S608 - quoted names
        for first, end in chunks(len(next(iter(columns.values())))):
            parts = (column[first:end] for column in columns.values())
            lists = (part.to_list() if isinstance(part, pl.Series) else part for part in parts)
            self.connection.executemany(statement, zip(*lists, strict=True))

    def mark(self, table: str, values: pl.DataFrame) -> None:
        """Remember the values whose type is not that of their column; ``row`` is their rowid in the table."""
        odd = values.filter(pl.col("value_type") != pl.col("declared"))
        named = odd.select(pl.lit(table), "ocel_id", "ocel_time", "row", "name", "value_type")
        self.marks.extend(named.iter_rows())


def _write_rows(database: _Database, ocel: Ocel) -> None:
    event_tables = _map_names(ocel.event_types["activity"])
    object_tables = _map_names(ocel.object_types["object_type"])
    for kind, tables in (("event", event_tables), ("object", object_tables)):
        maps: dict[str, _Cells] = {"ocel_type": list(tables), "ocel_type_map": list(tables.values())}
        database.insert(f"{kind}_map_type", maps)
    database.insert("event", {"ocel_id": ocel.events["event_id"], "ocel_type": ocel.events["activity"]})
    database.insert("object", {"ocel_id": ocel.objects["object_id"], "ocel_type": ocel.objects["object_type"]})
    for table, frame, source, target in (
        ("event_object", ocel.event_objects, "event_id", "object_id"),
        ("object_object", ocel.object_objects, "source_id", "target_id"),
    ):
        # In the order of the key, each row goes to the end of the tree.
        rows = frame.select(source, target, "qualifier").sort(source, target, "qualifier")
        rows.columns = [f"ocel_{source}", f"ocel_{target}", "ocel_qualifier"]
        database.insert(table, rows.to_dict())
    _write_events(database, ocel, event_tables)
    _write_objects(database, ocel, object_tables)
    if database.marks:
        database.connection.execute(_VALUE_TYPES)
        database.connection.executemany("INSERT INTO ocelake_value_type VALUES (?, ?, ?, ?, ?, ?)", database.marks)


def _write_events(database: _Database, ocel: Ocel, tables: Mapping[str, str]) -> None:
    rows = ocel.events.select("activity", ocel_id="event_id", ocel_time=format_times(pl.col("time")))
    rows_of = rows.partition_by("activity", as_dict=True, include_key=False)
    values_of = event_values(ocel).rename({"event_id": "ocel_id"}).partition_by("activity", as_dict=True)
    for activity, map_name in tables.items():
        table = f"event_{map_name}"
        declared = ocel.event_type_attributes.filter(activity=activity)
        fixed = "ocel_id TEXT PRIMARY KEY REFERENCES event(ocel_id), ocel_time TIMESTAMP"
        database.connection.execute(f"CREATE TABLE {_name(table)} ({fixed}{_columns(declared)})")
        if (activity,) in rows_of:
            _insert_states(database, table, rows_of[activity,], values_of.get((activity,)))


def _write_objects(database: _Database, ocel: Ocel, tables: Mapping[str, str]) -> None:
    rows = ocel.objects.select("object_type", ocel_id="object_id", ocel_time=pl.lit(INITIAL))
    rows_of = rows.partition_by("object_type", as_dict=True, include_key=False)
    values_of = object_values(ocel).rename({"object_id": "ocel_id"}).partition_by("object_type", as_dict=True)
    first = pl.col("initial") & (pl.col("ordinal") == 0)
    for object_type, map_name in tables.items():
        table = f"object_{map_name}"
        declared = ocel.object_type_attributes.filter(object_type=object_type)
        fixed = "ocel_id TEXT REFERENCES object(ocel_id), ocel_time TIMESTAMP, ocel_changed_field TEXT"
        database.connection.execute(f"CREATE TABLE {_name(table)} ({fixed}{_columns(declared)})")
        if (object_type,) in rows_of:
            values = values_of.get((object_type,))
            states = rows_of[object_type,]
            _insert_states(database, table, states, None if values is None else values.filter(first))
            if values is not None:
                _insert_changes(database, table, values.filter(~first), states.height)


def _insert_states(database: _Database, table: str, rows: pl.DataFrame, values: pl.DataFrame | None) -> None:
    """Insert one row per event or object, its values side by side."""
    columns: dict[str, _Cells] = dict(rows.to_dict())
    if values is not None:
        numbered = rows.with_columns(row=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
        values = values.drop("time", strict=False).join(numbered, on="ocel_id", how="left", maintain_order="left")
        for (name,), column in values.partition_by("name", as_dict=True).items():
            cells = _cells(column)
            places = column["row"] - 1
            if isinstance(cells, pl.Series):
                empty = pl.repeat(None, rows.height, dtype=cells.dtype, eager=True)
                columns[str(name)] = empty.scatter(places, cells)
            else:
                spread: list[object] = [None] * rows.height
                for place, cell in zip(places, cells, strict=True):
                    spread[place] = cell
                columns[str(name)] = spread
            database.mark(table, column)
    database.insert(table, columns)


def _insert_changes(database: _Database, table: str, values: pl.DataFrame, rows: int) -> None:
    """Insert one row per value, after those that the table has, and in order."""
    time = pl.when("initial").then(pl.lit(INITIAL)).otherwise(format_times(pl.col("time")))
    for (name,), column in values.with_columns(ocel_time=time).partition_by("name", as_dict=True).items():
        database.mark(table, column.with_columns(row=pl.int_range(rows + 1, rows + 1 + pl.len(), dtype=pl.Int64)))
        rows += column.height
        fixed = {"ocel_id": column["ocel_id"], "ocel_time": column["ocel_time"], "ocel_changed_field": column["name"]}
        database.insert(table, {**fixed, str(name): _cells(column)})


def _cells(values: pl.DataFrame) -> _Cells:
    """Give what is stored for the values of one column, all declared alike."""
    declared = values["declared"][0]
    value = pl.col("value")
    read = {"integer": value.cast(pl.Int64, strict=False), "float": value.cast(pl.Float64, strict=False)}
    read["boolean"] = (value == "true").cast(pl.Int64)
    stored = values.select(read.get(declared, value)).to_series()
    # SQLite has no negative zero.
    odd = (pl.col("value_type") != pl.col("declared")) | ((pl.col("value_type") == "float") & (value == "-0.0"))
    places = values.select(odd.arg_true()).to_series()
    if places.is_empty():
        return stored
    cells = stored.to_list()
    for place, text, kind in zip(
        places, values["value"].gather(places), values["value_type"].gather(places), strict=True
    ):
        cells[place] = _odd_cell(text, kind)
    return cells


def _odd_cell(text: str, kind: str) -> int | float | str | bytes:
    """Give what holds a value in a column of another type, so that SQLite does not make another value of it."""
    if kind == "integer":
        return int(text)
    if kind == "float" and not float(text).is_integer():
        return float(text)
    return text.encode() if _NUMBER.match(text) else text


def _columns(declared: pl.DataFrame) -> str:
    pairs = zip(declared["name"], declared["value_type"], strict=True)
    return "".join(f", {_name(name)} {_COLUMN_TYPES[value_type]}" for name, value_type in pairs)


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _map_names(types: pl.Series) -> dict[str, str]:
    """Give each type a short name of its own for its table, such as ``PlaceOrder``.

    Table names do not tell case, and ``event_object`` and ``object_object`` are taken.
    """
    taken, names = {"object"}, {}
    for name in types:
        stem = "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", name))[:80] or "Type"
        candidates = (stem if number == 1 else f"{stem}_{number}" for number in itertools.count(1))
        names[name] = next(each for each in candidates if each.lower() not in taken)
        taken.add(names[name].lower())
    return names


def _refuse_names(attributes: pl.DataFrame, by: str, own: Sequence[str]) -> None:
    # SQLite tells the case of letters outside of ASCII, and only of those.
    lower = pl.concat_str("name").str.replace_many(_LOWER_CASE)
    folded = attributes.with_columns(folded=lower)
    colliding = folded.filter(pl.col("folded").is_in(own) | pl.struct(by, "folded").is_duplicated())
    if colliding.height:
        kind, name = colliding.select(by, "name").row(0)
        raise ExportRefused(
            f"SQLite cannot hold the attribute {name!r}: another column of its table has that name, but for case.",
            where=f"{by} {kind!r}",
            fix="Export as JSON or XML, or rename the attribute.",
        )
    for kind, count in attributes.group_by(by).len().filter(pl.col("len") > _MOST_ATTRIBUTES).iter_rows():
        raise ExportRefused(
            f"SQLite cannot hold the {count} attributes of a type.",
            where=f"{by} {kind!r}",
            fix="Export as JSON or XML.",
        )


def _refuse_repeats(values: pl.DataFrame) -> None:
    repeated = values.filter(pl.col("ordinal") > 0)
    if repeated.height:
        event, name = repeated.select("event_id", "name").row(0)
        raise ExportRefused(
            f"SQLite has one cell for the attribute {name!r} of an event, which has several values of it.",
            where=f"event {event!r}",
            fix="Export as JSON or XML.",
        )
