"""Logs as tables in files: OCEL 2.0 as a folder of CSV or Parquet files, OCEL 1.0 as one CSV file.

A folder is the relational form with a file per table; a Parquet folder may also hold all types in one table (``event``
with its time and values, ``object_change``), with a ``manifest.json`` that says which values belong to which type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet

from ocelake.errors import LogRefused
from ocelake.ocel.csv_text import csv_header, read_csv
from ocelake.ocel.input import Input
from ocelake.ocel.nesting import nested_records
from ocelake.ocel.records import ReaderOutput
from ocelake.ocel.relational import RelationalLog, Table, Tables, arrange, empty_table
from ocelake.ocel.values import value_type

__all__ = ["read_ocel1_csv", "read_ocel2_tables"]

_TABLE: Final = re.compile(r"(.+)\.(csv|tsv|parquet)(\.gz)?", re.IGNORECASE)
_TYPE: Final = "ocel:type:"
_MANIFEST: Final = "manifest.json"
_O2O: Final = ("ocel_source_id", "ocel_target_id", "ocel_qualifier")
_QUOTED: Final = r"'[^'\\]*'" + r'|"[^"\\]*"'
_PLAIN_LIST: Final = rf"^\s*[\[{{(]\s*({_QUOTED})(\s*,\s*({_QUOTED}))*\s*,?\s*[\]}})]\s*$"
_ITEM: Final = re.compile(
    r"\s*(?:'((?:[^'\\]|\\.)*)'|" + r'"((?:[^"\\]|\\.)*)"' + r"|([^,'\"\[\](){}]+))\s*(?:,|$)", re.DOTALL
)
_NOTHING: Final = {"", "nan", "none", "null", "set()"}
_BRACKETS: Final = {"[": "]", "{": "}", "(": ")"}


def read_ocel2_tables(source: Input) -> ReaderOutput:
    """Read an OCEL 2.0 log from a folder with a CSV or Parquet file per table.

    Parameters
    ----------
    source : Input
        The folder.

    Yields
    ------
    Records or Declarations
        As `ocelake.ocel.nesting.nested_records`. CSV is text throughout, and declares no types but those of its columns
        without values (string); Parquet's types are the values' native and declared ones, its times are ISO text.

    Raises
    ------
    LogRefused
        Where a file cannot be read as a whole, or none is a table of OCEL 2.0.
    """
    files: dict[str, Path] = {}
    metadata: dict[str, str] = {}
    for path in sorted(source.path.iterdir()):
        match = _TABLE.fullmatch(path.name)
        if match is not None and match[1] not in files and path.is_file():
            files[match[1]] = path
        elif path.name != _MANIFEST:
            metadata[f"ignored:file:{path.name}"] = "no table of OCEL 2.0"
    columns = {name: _columns(path) for name, path in files.items()}
    for name, named in columns.items():
        if "" in named:
            metadata[f"ignored:column:{name}."] = "the column has no name"
    tables = Tables(
        {name: [column for column in named if column] for name, named in columns.items()},
        lambda name, wanted: _load(name, files[name], wanted),
        source.name,
    )
    log = arrange(tables)
    metadata.update(log.metadata)
    event_types, object_types = log.event_types, log.object_types
    if (source.path / _MANIFEST).is_file():
        declared = _manifest(source.path / _MANIFEST, metadata)
        event_types = {**event_types, **declared.get("event", {})}
        object_types = {**object_types, **declared.get("object", {}), **declared.get("object_change", {})}
    yield from nested_records(replace(log, event_types=event_types, object_types=object_types, metadata=metadata))


def read_ocel1_csv(source: Input) -> ReaderOutput:
    """Read an OCEL 1.0 CSV file: a row per event, a column of object ids per object type.

    Parameters
    ----------
    source : Input
        The file, plain or gzipped, with the columns ``ocel:eid``, ``ocel:activity``, ``ocel:timestamp`` and
        ``ocel:type:X``; all others are the events' values.

    Yields
    ------
    Records or Declarations
        An object is declared by being named; objects come in the order in which rows, then columns, name them. A row
        with a cell that is no list of ids is a `malformed` event.

    Raises
    ------
    LogRefused
        Where it cannot be read as a whole, or has no column ``ocel:eid``.
    """
    frame, malformed = read_csv(source)
    if "ocel:eid" not in frame.columns:
        raise LogRefused(
            f"The CSV has no column 'ocel:eid'; its columns are: {', '.join(frame.columns[:12])}.",
            where=source.name,
            fix="Give a CSV in the layout of OCEL 1.0; map other event tables first.",
        )
    frame = frame.with_row_index("ocel_row")
    cells, broken = [], pl.Series([False]).new_from_index(0, frame.height)
    for order, column in enumerate(name for name in frame.columns if name.startswith(_TYPE)):
        lists = _id_lists(frame[column])
        broken |= lists.is_null()
        rows = pl.DataFrame({"ocel_row": frame["ocel_row"], "ocel_object_id": lists}).explode(
            "ocel_object_id", empty_as_null=False, keep_nulls=False
        )
        named = pl.lit(column.removeprefix(_TYPE)).alias("ocel_type")
        cells.append(rows.with_columns(named, pl.lit(order).alias("order")))
    lines = frame.filter(broken).drop("ocel_row")
    malformed += tuple(orjson.dumps(row).decode() for row in lines.iter_rows(named=True))
    related = pl.concat([_E2O_BY_ROW.to_frame(), *cells]).sort("ocel_row", "order", maintain_order=True)
    kept = frame.filter(~broken).with_row_index("at").select("ocel_row", pl.col("at").cast(pl.Int64))
    related = related.join(kept, on="ocel_row", maintain_order="left")
    spelling = {"ocel:eid": "ocel_id", "ocel:activity": "ocel_type", "ocel:timestamp": "ocel_time"}
    missing = [pl.lit(None, pl.String).alias(new) for old, new in spelling.items() if old not in frame.columns]
    values = [name for name in frame.columns if name != "ocel_row" and not name.startswith(_TYPE)]
    events = frame.filter(~broken).select(values).rename(spelling, strict=False).with_columns(missing)
    edges = related.select(
        pl.col("at").alias("ocel_row"), "ocel_object_id", pl.lit(None, pl.String).alias("ocel_qualifier"), "ocel_type"
    )
    objects = related.select(pl.col("ocel_object_id").alias("ocel_id"), "ocel_type").unique(maintain_order=True)
    yield from nested_records(
        RelationalLog(
            events=lambda: Table("events", events, malformed=malformed),
            objects=lambda: Table("objects", objects),
            event_objects=lambda: Table("relations", edges),
            object_objects=partial(empty_table, _O2O),
            object_types={name.removeprefix(_TYPE): {} for name in frame.columns if name.startswith(_TYPE)},
        )
    )


_E2O_BY_ROW: Final = pl.Schema(
    {"ocel_row": pl.get_index_type(), "ocel_object_id": pl.String, "ocel_type": pl.String, "order": pl.Int32}
)


def _id_lists(cells: pl.Series) -> pl.Series:
    """Give the ids in each cell (a Python or JSON list, a set, one plain id); null where it is none of these."""
    ids = pl.List(pl.String)
    texts = pl.DataFrame({"cell": cells.unique()}).with_columns(
        plain=pl.col("cell").str.contains(_PLAIN_LIST).fill_null(value=False)
    )
    quoted = (
        pl.col("cell").str.extract_all(_QUOTED).list.eval(pl.element().str.slice(1, pl.element().str.len_chars() - 2))
    )
    plain = texts.filter("plain").select("cell", quoted.cast(ids).alias("ids"))
    other = texts.filter(~pl.col("plain"))["cell"]
    read = pl.DataFrame({"cell": other, "ids": pl.Series([_ids(cell) for cell in other], dtype=ids)})
    found = pl.DataFrame({"cell": cells}).join(
        pl.concat([plain, read]), on="cell", how="left", nulls_equal=True, maintain_order="left"
    )
    return found["ids"]


def _ids(cell: str | None) -> list[str] | None:
    text = (cell or "").strip()
    if text.lower() in _NOTHING:
        return []
    if text[0] not in _BRACKETS:
        return [text]
    if not text.endswith(_BRACKETS[text[0]]):
        return None
    inner, at, ids = text[1:-1].strip(), 0, list[str]()
    while at < len(inner):
        match = _ITEM.match(inner, at)
        if match is None:
            return None
        single, double, bare = match.groups()
        ids.append(bare.strip() if bare is not None else re.sub(r"\\(.)", r"\1", single if double is None else double))
        at = match.end()
    return ids


def _columns(path: Path) -> Sequence[str]:
    if _is_parquet(path):
        with _refusing(path):
            return list(pa.parquet.read_schema(path).names)
    return csv_header(Input(path))


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise LogRefused(
            f"The Parquet file cannot be read: {str(error).splitlines()[0]}",
            where=f"{path.parent.name}/{path.name}",
            fix="Check that the file is complete; export or fetch it again.",
        ) from error


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _load(name: str, path: Path, wanted: Sequence[str] | None) -> Table:
    """Read one file as a table of text."""
    if not _is_parquet(path):
        frame, malformed = read_csv(Input(path))
        return Table(name, frame if wanted is None else frame.select(wanted), malformed=malformed)
    with _refusing(path):
        native = pl.DataFrame(pl.from_arrow(pa.parquet.read_table(path, columns=wanted)))
    kinds = {column: kind for column, dtype in native.schema.items() if (kind := _kind(dtype)) is not None}
    return Table(
        name,
        native.select(_as_text(native[column]) for column in native.columns),
        {column: kind for column, kind in kinds.items() if kind != "string"},
        kinds,
    )


def _kind(dtype: pl.DataType) -> str | None:
    """Give the value type of a Parquet column; None where it says nothing."""
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "float"
    if isinstance(dtype, pl.Datetime | pl.Date):
        return "time"
    if isinstance(dtype, pl.List | pl.Array):
        return "list"
    names = {pl.Boolean: "boolean", pl.Struct: "map", pl.Null: None}
    return names.get(dtype.base_type(), "string")


def _as_text(column: pl.Series) -> pl.Series:
    """Give a Parquet column as text: times as ISO 8601, lists and maps as JSON, bytes as text or hex digits."""
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        zone = "" if dtype.time_zone is None else "Z"
        utc = column if dtype.time_zone is None else column.dt.convert_time_zone("UTC")
        return utc.dt.strftime(f"%Y-%m-%dT%H:%M:%S%.f{zone}")
    if isinstance(dtype, pl.List | pl.Array | pl.Struct):
        texts = [None if value is None else orjson.dumps(_plain(value), default=str).decode() for value in column]
        return pl.Series(column.name, texts, dtype=pl.String)
    if dtype == pl.Binary:
        return pl.Series(column.name, [_bytes_text(value) for value in column], dtype=pl.String)
    if isinstance(dtype, pl.Duration):
        return column.dt.to_string("iso")
    return column.cast(pl.String)


def _plain(value: object) -> object:
    return value.to_list() if isinstance(value, pl.Series) else value


def _bytes_text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value.hex() if value is not None else None


def _manifest(path: Path, metadata: dict[str, str]) -> dict[str, dict[str, dict[str, str]]]:
    """Read a manifest: table to type to attribute to value type; its header goes to the metadata."""
    try:
        content: Any = orjson.loads(path.read_bytes())
        tables = content.pop("tables", {})
        declared = {
            str(table): {
                str(of): {str(name): value_type(spec.get("custom_columns", {}).get(name)) for name in names}
                for of, names in spec.get("type_attributes", {}).items()
            }
            for table, spec in tables.items()
        }
    except (orjson.JSONDecodeError, AttributeError, TypeError) as error:
        metadata[f"ignored:file:{path.name}"] = f"it cannot be read: {error}"
        return {}
    metadata.update({f"manifest:{key}": str(value) for key, value in content.items() if isinstance(value, str | int)})
    return declared
