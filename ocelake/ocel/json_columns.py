"""Well-formed JSON records to columns, many at once and with no Python object per record.

DuckDB parses each record to nested columns that keep every scalar as JSON text. Whether a record is wholly in those
columns is then decided by counting: each string in its text (names included) has to be accounted for by what was
parsed. An unknown or repeated name or a wrong type leaves one over. Such a record is left to `json_records`, which is
the definition of what a record means.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import duckdb
import numpy as np
import orjson
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ocelake.ocel.json_scan import Elements
from ocelake.ocel.records import EVENT_RECORD, MESSAGE_RECORD, OBJECT_RECORD
from ocelake.tables import ATTRIBUTE, RELATIONSHIP, VALUE_TYPES

__all__ = ["EVENT", "MESSAGE", "OBJECT", "RecordKind", "connect", "read_columns"]

_Bools: TypeAlias = NDArray[np.bool_]
_Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RecordKind:
    """What an event, or an object, looks like in OCEL 2.0 JSON.

    Attributes
    ----------
    schema : Schema
        The columns that it becomes; what is an integer there has to be one.
    header : dict of str to str
        Its plain members, and the columns that they become.
    relation : dict of str to str
        The members of one of its relations, the target first, and the fields that they become.
    typed : bool
        Whether the ``type`` of a value is one of its members, and not left over.
    """

    schema: pl.Schema
    header: dict[str, str]
    relation: dict[str, str] = field(default_factory=lambda: {"objectId": "object_id", "qualifier": "qualifier"})
    typed: bool = False

    @property
    def query(self) -> str:
        """SQL that parses the records of the table ``chunk``; a record that is no JSON gives nulls."""
        plain = ", ".join(f'"{name}": "JSON"' for name in self.header)
        members = ("name", "time", "value", *(("type",) if self.typed else ()))
        nested = '"attributes": [{' + ", ".join(f'"{name}": "JSON"' for name in members) + "}], "
        nested += '"relationships": [{' + ", ".join(f'"{name}": "JSON"' for name in self.relation) + "}]"
        attribute = ", ".join(f'"{name}" VARCHAR' for name in members)
        relation = ", ".join(f'"{name}" VARCHAR' for name in self.relation)
        columns = ", ".join(f"CAST(j.{name} AS VARCHAR) AS {name}" for name in self.header)
        return f"""
            SELECT {columns},
                CAST(j.attributes AS STRUCT({attribute})[]) AS attributes,
                CAST(j.relationships AS STRUCT({relation})[]) AS relationships
            FROM (SELECT TRY(from_json(r, '{{{plain}, {nested}}}')) AS j FROM chunk)
        """  # noqa: S608  # built from the constants below


EVENT: Final = RecordKind(EVENT_RECORD, {"id": "event_id", "type": "activity", "time": "time"})
OBJECT: Final = RecordKind(OBJECT_RECORD, {"id": "object_id", "type": "object_type"})
MESSAGE: Final = RecordKind(
    MESSAGE_RECORD,
    {name: name for name in ("id", "type", "time", "version", "sequence", "kind")},
    {"objectId": "object_id", "qualifier": "qualifier", "objectType": "object_type"},
    typed=True,
)


def connect() -> duckdb.DuckDBPyConnection:
    """Open the engine; one thread each, as chunks are read side by side."""
    return duckdb.connect(config={"threads": 1, "arrow_output_version": "1.4"})


def read_columns(
    connection: duckdb.DuckDBPyConnection, chunk: Elements, kind: RecordKind
) -> tuple[pl.DataFrame, _Bools]:
    """Parse a chunk of records.

    Parameters
    ----------
    connection : duckdb connection
        From `connect`; used by one thread at a time.
    chunk : Elements
        Records, and nothing else between them.
    kind : RecordKind
        `EVENT`, `OBJECT`, or `MESSAGE`.

    Returns
    -------
    frame : DataFrame
        One row per record, ``position`` from 0.
    whole : array of bool
        Which rows hold all of their record; the others have to be read in another way.
    """
    rows = _views(chunk)
    connection.register("chunk", pa.table({"r": rows}))
    table = connection.sql(kind.query).to_arrow_table().combine_chunks()
    connection.unregister("chunk")
    header = {name: _decode(_series(_array(table, name))) for name in kind.header}
    left = chunk.strings.copy()
    whole = _array(table, "id").is_valid().to_numpy(zero_copy_only=False)
    columns: dict[str, Any] = {}
    for member, scalar in header.items():
        column = kind.header[member]
        left -= scalar.strings
        columns[column] = scalar.text
        if kind.schema[column] == pl.Int64:
            columns[column] = scalar.text.cast(pl.Int64, strict=False)
            integer = (scalar.kind == "integer").fill_null(value=False) & columns[column].is_not_null()
            whole &= integer.to_numpy() | (scalar.strings == 0)
        else:
            whole &= scalar.plain
    attributes, attribute_offsets = _lists(_array(table, "attributes"), left)
    relations, relation_offsets = _lists(_array(table, "relationships"), left)
    name, time, value, *told = (_decode(_series(part)) for part in attributes.flatten())
    relation = [_decode(_series(part)) for part in relations.flatten()]
    left -= _sums(np.sum([part.strings for part in (name, time, value, *told)], axis=0), attribute_offsets)
    left -= _sums(np.sum([part.strings for part in relation], axis=0), relation_offsets)
    odd_attribute = ~(name.plain & time.plain & value.value) | (name.strings == 0)
    value_type = value.kind
    for kind_told in told:
        known = kind_told.text.is_in(VALUE_TYPES).fill_null(value=False).to_numpy()
        marked = known & value.kind.is_null().to_numpy() & (value.strings > 0)
        odd_attribute |= (kind_told.strings > 0) & ~marked
        value_type = value_type.zip_with(kind_told.text.is_null(), kind_told.text)
    odd_relation = ~np.all([part.plain for part in relation], axis=0) | (relation[0].strings == 0)
    whole &= (_sums(odd_attribute, attribute_offsets) == 0) & (_sums(odd_relation, relation_offsets) == 0)
    _account_nulls(rows, left, _sums(value.strings == 0, attribute_offsets), whole)
    values = _literals(value, attribute_offsets, rows, whole)
    columns["attributes"] = _nest(
        {"name": name.text, "time": time.text, "value": values, "value_type": value_type}, attribute_offsets, ATTRIBUTE
    )
    related = {column: part.text for column, part in zip(kind.relation.values(), relation, strict=True)}
    columns["relationships"] = _nest(related, relation_offsets, RELATIONSHIP)
    frame = pl.DataFrame(columns).with_columns(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("position"), pl.lit(True).alias("declared")
    )
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in kind.schema.items() if name not in frame.columns]
    return frame.with_columns(missing).select(kind.schema.names()), whole


def _views(chunk: Elements) -> pa.Array:
    """Give the records as an Arrow array of views into the chunk's text: nothing is copied.

    A record of up to 12 bytes would have to stand in the view itself; it becomes the empty text, which is no JSON.
    """
    data = np.frombuffer(chunk.text, np.uint8)
    views = np.zeros((len(chunk.starts), 4), np.int32)
    length = chunk.ends - chunk.starts
    long = length > 12
    starts = chunk.starts[long]
    views[long, 0] = length[long]
    views[long, 1] = np.stack([data[starts + byte] for byte in range(4)], axis=1).view(np.int32)[:, 0]
    views[long, 3] = starts
    buffers = [None, pa.py_buffer(views), pa.py_buffer(chunk.text)]
    return pa.Array.from_buffers(pa.string_view(), len(views), buffers)


@dataclass(frozen=True, slots=True, eq=False)
class _Scalars:
    """Decoded JSON scalars.

    ``strings``: how many strings of the record each accounts for (its name; itself if a string; none if missing).
    ``plain``: missing, a string or an integer. ``value``: that, or any number or boolean. ``kind``: null for strings.
    ``inexact``: a number that may have been written in another way.
    """

    text: pl.Series
    strings: _Ints
    plain: _Bools
    value: _Bools
    kind: pl.Series
    inexact: _Bools


def _decode(json: pl.Series) -> _Scalars:
    column = pl.col("json")
    read = pl.DataFrame({"json": json}).select(
        present=column.is_not_null(),
        string=column.str.starts_with('"').fill_null(value=False),
        text=column.str.strip_prefix('"').str.strip_suffix('"'),
        escaped=(column.str.starts_with('"') & column.str.contains("\\", literal=True)).fill_null(value=False),
    )
    present, string, text = read["present"].to_numpy(), read["string"].to_numpy(), read["text"]
    if read["escaped"].any():
        escaped = read["escaped"].arg_true()
        text = text.scatter(escaped, [orjson.loads(item) for item in json.gather(escaped)])
    kind = pl.Series([None], dtype=pl.String).new_from_index(0, len(json))
    plain = value = np.ones(len(json), np.bool_)
    inexact = np.zeros(len(json), np.bool_)
    if not np.array_equal(present, string):
        other = pl.col("json").is_not_null() & ~pl.col("json").str.starts_with('"')
        found = pl.DataFrame({"json": json}).select(
            kind=pl.when(~other)
            .then(None)
            .when(pl.col("json").str.contains(r"^-?[0-9]+$"))
            .then(pl.lit("integer"))
            .when(pl.col("json").str.contains(r"^-?[0-9]"))
            .then(pl.lit("float"))
            .when(pl.col("json").is_in(["true", "false"]))
            .then(pl.lit("boolean"))
            .otherwise(pl.lit("other")),
            inexact=other & (pl.col("json").str.contains(r"[.eE]") | pl.col("json").is_in(["0", "-0"])),
        )
        kind = found["kind"]
        inexact = found["inexact"].fill_null(value=False).to_numpy()
        plain = ((kind == "integer").fill_null(value=True)).to_numpy() & ~inexact
        value = ((kind != "other").fill_null(value=True)).to_numpy()
    return _Scalars(text, present.astype(np.int64) + string, plain, value, kind, inexact)


def _account_nulls(rows: pa.Array, left: _Ints, missing: _Ints, whole: _Bools) -> None:
    """Decide on strings that are left over: only the names of values that are null may be.

    A null is parsed like a missing value; both mean the same, so the record is whole where exactly its ``missing``
    values are written as nulls.
    """
    concerned = np.flatnonzero(whole & (left == missing) & (left > 0))
    whole &= left == 0
    if len(concerned):
        nulls = _series(rows).gather(concerned).str.count_matches(r'"value"\s*:\s*null').to_numpy()
        whole[concerned] = nulls == left[concerned]


def _literals(value: _Scalars, offsets: _Ints, rows: pa.Array, whole: _Bools) -> pl.Series:
    """Give the values with each number as it was written, which parsing forgets (1.50, 1E5, -0).

    They are looked up in the record's text. It has no other members than those that were parsed, or it is not whole;
    so an equal number of finds are the same numbers, in order. Else ``whole`` becomes False.
    """
    concerned = np.flatnonzero((_sums(value.inexact, offsets) > 0) & whole)
    if not len(concerned):
        return value.text
    number = (value.kind.is_in(["integer", "float"]).fill_null(value=False)).to_numpy()
    owner = np.repeat(np.arange(len(whole)), np.diff(offsets))
    places = np.flatnonzero(number & np.isin(owner, concerned))
    # Inside a string a quote is escaped, so that this pattern fits members only.
    found = _series(rows).gather(concerned).str.extract_all(r'"value"\s*:\s*-?[0-9][-+.eE0-9]*')
    agrees = found.list.len().to_numpy() == _sums(number, offsets)[concerned]
    whole[concerned[~agrees]] = False
    places = places[np.isin(owner[places], concerned[agrees])]
    literals = found.filter(pl.Series(agrees)).explode(empty_as_null=False).str.replace(r'^"value"\s*:\s*', "")
    return value.text.scatter(places, literals)


def _array(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _series(array: pa.Array) -> pl.Series:
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series


def _lists(column: pa.Array, left: _Ints) -> tuple[pa.StructArray, _Ints]:
    """Give all items of a column of lists and where each row's begin; a list that is there accounts for its name."""
    left -= column.is_valid().to_numpy(zero_copy_only=False)
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return column.flatten(), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _sums(values: NDArray[Any], offsets: _Ints) -> _Ints:
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    sums: _Ints = total[offsets[1:]] - total[offsets[:-1]]
    return sums


def _nest(columns: dict[str, pl.Series], offsets: _Ints, dtype: pl.Struct) -> pl.Series:
    """Put flat columns back into one list of structs per row."""
    frame = pl.DataFrame(columns)
    missing = [pl.lit(None, field.dtype).alias(field.name) for field in dtype.fields if field.name not in columns]
    items = frame.with_columns(missing).select(field.name for field in dtype.fields).to_struct("")
    values = items.to_arrow(compat_level=pl.CompatLevel.newest())
    return _series(pa.LargeListArray.from_arrays(pa.array(offsets), values))
