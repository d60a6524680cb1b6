"""OCEL 2.0's relational form, whatever holds it: SQLite, CSV or Parquet.

Here is how the tables of a container are told apart (`arrange`): which hold events, objects and relations, which hold
the values of one type, and which are none of OCEL's. How a container is opened belongs to its reader, how tables become
records to `ocelake.ocel.nesting`.

The parts of the standard that files in the wild leave out are optional here: the maps of type names, the tables of
single types, their ``ocel_time`` and ``ocel_changed_field``. Tables may carry values beside the ids (OCEL 1.0, and the
layout with all types in one table).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ocelake.errors import LogRefused

__all__ = ["RelationalLog", "Table", "Tables", "ValueTable", "arrange", "empty_table", "no_log"]

_CORE: Final = {
    "event": ("ocel_id",),
    "object": ("ocel_id",),
    "event_object": ("ocel_event_id", "ocel_object_id"),
    "object_object": ("ocel_source_id", "ocel_target_id"),
    "event_map_type": ("ocel_type", "ocel_type_map"),
    "object_map_type": ("ocel_type", "ocel_type_map"),
}
_RELATIONS: Final = {
    "event_object": ("ocel_event_id", "ocel_object_id", "ocel_qualifier"),
    "object_object": ("ocel_source_id", "ocel_target_id", "ocel_qualifier"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One table as text.

    Attributes
    ----------
    name : str
        Its name in the container.
    frame : DataFrame
        All columns are String; null is "no value".
    kinds : dict of str to (str or Series)
        The native value type of a column, or of each of its values; a column that is not here is plain text.
    declared : dict of str to str
        The value type that the container declares for a column, where it declares any.
    malformed : tuple of str
        The text of rows that could not be taken apart.
    """

    name: str
    frame: pl.DataFrame
    kinds: Mapping[str, str | pl.Series] = field(default_factory=dict)
    declared: Mapping[str, str] = field(default_factory=dict)
    malformed: tuple[str, ...] = ()

    def renamed(self, names: Mapping[str, str]) -> Table:
        """Give the table with other column names."""
        return Table(
            self.name,
            self.frame.rename(dict(names), strict=False),
            {names.get(name, name): kind for name, kind in self.kinds.items()},
            {names.get(name, name): kind for name, kind in self.declared.items()},
            self.malformed,
        )


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a container: their columns, and how to read one.

    Attributes
    ----------
    columns : dict of str to collection of str
        Table name to column names.
    load : callable
        From a table's name, and the columns that are wanted (all where None), to the table.
    where : str
        The container's name, for messages.
    """

    columns: Mapping[str, Collection[str]]
    load: Callable[[str, Sequence[str] | None], Table]
    where: str

    def find(self, name: str) -> str | None:
        """Give the table's name as the container spells it; case decides only between two."""
        return _find(name, self.columns)


@dataclass(frozen=True, slots=True)
class ValueTable:
    """A table of values: a row per event, or per state or change of an object.

    Attributes
    ----------
    type : str or None
        The one type of its rows, where it has one.
    load : callable
        Reads it; called once.
    """

    type: str | None
    load: Callable[[], Table]


@dataclass(frozen=True, slots=True)
class RelationalLog:
    """The tables of a log, told apart and ready to be read, with the standard's column names.

    Attributes
    ----------
    events, objects : callable
        Read ``(ocel_id, ocel_type, ...)``, a row per event or object; other columns are its time and values.
    event_objects : callable
        Reads ``(ocel_event_id, ocel_object_id, ocel_qualifier)`` and maybe ``ocel_type``, the object's. In place of
        ``ocel_event_id`` there may be ``ocel_row`` (Int64), the row of `events`.
    object_objects : callable
        Reads ``(ocel_source_id, ocel_target_id, ocel_qualifier)``.
    event_values, object_values : tuple of ValueTable
        Tables with the values of events and objects.
    event_types, object_types : dict of str to (dict of str to str)
        Types that the source declares, with the attributes that it declares apart from columns.
    metadata : dict of str to str
        The header, and what was ignored.
    """

    events: Callable[[], Table]
    objects: Callable[[], Table]
    event_objects: Callable[[], Table]
    object_objects: Callable[[], Table]
    event_values: tuple[ValueTable, ...] = ()
    object_values: tuple[ValueTable, ...] = ()
    event_types: dict[str, dict[str, str]] = field(default_factory=dict)
    object_types: dict[str, dict[str, str]] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


def arrange(tables: Tables, *, own: Iterable[str] = ()) -> RelationalLog:
    """Tell the tables of an OCEL 2.0 container apart.

    Parameters
    ----------
    tables : Tables
        What the container has.
    own : iterable of str
        Tables that the reader itself has used; neither read nor named as ignored.

    Returns
    -------
    RelationalLog
        Its metadata name every table and column that is not read (``ignored:table:X``, ``ignored:column:X.Y``).

    Raises
    ------
    LogRefused
        Where there is neither a table of events nor one of objects.
    """
    names: dict[str, str | None] = {}
    for core, needed in _CORE.items():
        name = tables.find(core)
        whole = name is not None and all(_find(column, tables.columns[name]) is not None for column in needed)
        names[core] = name if whole else None
    if names["event"] is None and names["object"] is None:
        raise no_log(tables)
    metadata: dict[str, str] = {}
    used = {name for name in names.values() if name is not None} | set(own)
    event_values, event_types = _value_tables(tables, "event", names["event_map_type"], used)
    object_values, object_types = _value_tables(tables, "object", names["object_map_type"], used)
    for name in tables.columns:
        if name not in used:
            metadata[f"ignored:table:{name}"] = "no table of OCEL 2.0"
    for core, wanted in _RELATIONS.items():
        name = names[core]
        for column in tables.columns[name] if name else ():
            if column.lower() not in wanted:
                metadata[f"ignored:column:{name}.{column}"] = "a relation has a qualifier only"
    return RelationalLog(
        events=lambda: _core(tables, names["event"], ("ocel_id", "ocel_type"), every=True),
        objects=lambda: _core(tables, names["object"], ("ocel_id", "ocel_type"), every=True),
        event_objects=lambda: _core(tables, names["event_object"], _RELATIONS["event_object"]),
        object_objects=lambda: _core(tables, names["object_object"], _RELATIONS["object_object"]),
        event_values=event_values,
        object_values=object_values,
        event_types=event_types,
        object_types=object_types,
        metadata=metadata,
    )


def empty_table(columns: Iterable[str]) -> Table:
    """Give a table that the container does not have."""
    return Table("", pl.DataFrame(schema=dict.fromkeys(columns, pl.String)))


def no_log(tables: Tables) -> LogRefused:
    """Give the refusal of a container without a log: it says which tables there are."""
    names = list(tables.columns)
    listed = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return LogRefused(
        f"There is no event log: no table is OCEL's; the tables are: {listed or 'none'}.",
        where=tables.where,
        fix="Give a log; map tables of another kind to events and objects first.",
    )


def _value_tables(
    tables: Tables, kind: str, map_name: str | None, used: set[str]
) -> tuple[tuple[ValueTable, ...], dict[str, dict[str, str]]]:
    """Find the tables of single types: those that the map names, then others with an id (their type is unknown)."""
    types: dict[str, dict[str, str]] = {}
    spelled = {name.lower(): name for name in tables.columns}
    by_table: dict[str, list[str]] = {}
    if map_name is not None:
        frame = _core(tables, map_name, ("ocel_type", "ocel_type_map")).frame
        for type_name, mapped in frame.select("ocel_type", "ocel_type_map").iter_rows():
            if type_name is None:
                continue
            types[type_name] = {}
            table = f"{kind}_{mapped}"
            found = table if table in tables.columns else spelled.get(table.lower())
            if mapped is not None and found is not None and found.lower() not in _CORE:
                by_table.setdefault(found, []).append(type_name)
    for name, columns in tables.columns.items():
        if name not in used and name.lower().startswith(f"{kind}_") and _find("ocel_id", columns) is not None:
            by_table.setdefault(name, [])
    used.update(by_table)

    def reader(name: str) -> Callable[[], Table]:
        return lambda: _core(tables, name, ("ocel_id",), every=True)

    # Two types that share one table (names that differ in case only) leave the choice to the ids.
    return tuple(ValueTable(of[0] if len(of) == 1 else None, reader(name)) for name, of in by_table.items()), types


def _core(tables: Tables, name: str | None, wanted: Sequence[str], *, every: bool = False) -> Table:
    """Read a table with the standard's spelling of its columns; a missing table is empty, a missing column null."""
    if name is None:
        return empty_table(wanted)
    columns = tables.columns[name]
    known = (*wanted, *(("ocel_time", "ocel_changed_field") if every else ()))
    spelled = {found: column for column in known if (found := _find(column, columns)) is not None}
    table = tables.load(name, None if every else list(spelled)).renamed(spelled)
    missing = [pl.lit(None, pl.String).alias(column) for column in wanted if column not in table.frame.columns]
    return Table(table.name, table.frame.with_columns(missing), table.kinds, table.declared, table.malformed)


def _find(name: str, names: Iterable[str]) -> str | None:
    same = [other for other in names if other.lower() == name.lower()]
    return name if name in same else next(iter(same), None)
