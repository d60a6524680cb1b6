"""How DuckDB gets at the lake's files: by field id, and through the lake's own file access where they are remote.

DuckDB's extension for object stores has to be downloaded, so remote files are opened by pyiceberg, with the
credentials and the endpoint that the catalog has, and DuckDB reads the ranges it wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast
from urllib.parse import quote, unquote

from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]  # fsspec has no types
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

if TYPE_CHECKING:
    from pyiceberg.io import FileIO, InputFile

__all__ = ["SCHEME", "WarehouseFiles", "address", "duckdb_type", "local_path", "parquet_query"]

SCHEME: Final = "lake"
"""DuckDB sees a remote file ``s3://bucket/key`` as ``lake://`` and its quoted location."""

_TYPES: Final[dict[type[IcebergType], str]] = {
    BinaryType: "BLOB",
    BooleanType: "BOOLEAN",
    DateType: "DATE",
    DoubleType: "DOUBLE",
    FixedType: "BLOB",
    FloatType: "FLOAT",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    StringType: "VARCHAR",
    TimeType: "TIME",
    TimestampType: "TIMESTAMP",
    TimestamptzType: "TIMESTAMPTZ",
    UUIDType: "UUID",
}


def duckdb_type(kind: IcebergType) -> str:
    """Give DuckDB's name of an Iceberg type.

    Raises
    ------
    TypeError
        For a type that has none.
    """
    if isinstance(kind, ListType):
        return f"{duckdb_type(kind.element_type)}[]"
    if isinstance(kind, StructType):
        return f"STRUCT({', '.join(f'{_name(f.name)} {duckdb_type(f.field_type)}' for f in kind.fields)})"
    if isinstance(kind, MapType):
        return f"MAP({duckdb_type(kind.key_type)}, {duckdb_type(kind.value_type)})"
    if isinstance(kind, DecimalType):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if type(kind) not in _TYPES:
        raise TypeError(f"{kind} has no type in DuckDB")
    return _TYPES[type(kind)]


def parquet_query(fields: Iterable[NestedField], files: Sequence[str]) -> str:
    """Write the query that reads data files as a table.

    Parameters
    ----------
    fields : iterable of NestedField
        The columns; one that a file lacks reads as null, one that it has under another name is found by its id.
    files : sequence of str
        Addresses (`address`); none gives an empty table of the right types.
    """
    if not files:
        columns = (f"NULL::{duckdb_type(f.field_type)} AS {_name(f.name)}" for f in fields)
        return f"SELECT {', '.join(columns)} WHERE false"
    columns = (
        f"{f.field_id}: {{name: {_text(f.name)}, type: {_text(duckdb_type(f.field_type))}, default_value: NULL}}"
        for f in fields
    )
    listed = ", ".join(_text(file) for file in files)
    return f"FROM read_parquet([{listed}], schema = MAP {{{', '.join(columns)}}}, hive_partitioning = false)"


def local_path(location: str) -> str | None:
    """Give the path of a local file or folder; None where it is remote."""
    if location.startswith("file:"):
        return "/" + location.removeprefix("file:").lstrip("/")
    return None if "://" in location else location


def address(location: str, root: str | None) -> str:
    """Give the name under which DuckDB opens a data file.

    Parameters
    ----------
    location : str
        As in Iceberg's metadata.
    root : str or None
        The folder that DuckDB may read by itself; files elsewhere are opened by pyiceberg.
    """
    path = local_path(location)
    if path is not None and root is not None and Path(path).is_relative_to(root):
        return path
    return f"{SCHEME}://{quote(location, safe='/')}"


class WarehouseFiles(AbstractFileSystem):  # type: ignore[misc]  # its base has no types
    """The lake's files, read-only, as DuckDB wants them: those that were planned, and no others."""

    protocol = SCHEME
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self._served: dict[str, tuple[FileIO, frozenset[str]]] = {}
        self._sizes: dict[str, int] = {}

    def serve(self, identifier: str, io: FileIO, addresses: Iterable[str]) -> None:
        """Let a table's files be these from now on, opened through its file access."""
        self._served[identifier] = io, frozenset(addresses)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Give a file's size."""
        file = self._input(path)
        if file.location not in self._sizes:
            self._sizes[file.location] = len(file)
        return {"name": path, "size": self._sizes[file.location], "type": "file"}

    def modified(self, path: str) -> datetime:
        """Give a fixed time: a data file never changes."""
        return datetime(2000, 1, 1, tzinfo=UTC)

    def glob(self, path: str, **_: Any) -> list[str]:
        """Give the path itself: planned files are named one by one."""
        return [path]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        if mode != "rb":
            raise PermissionError(f"{path} is read-only")
        return cast("BinaryIO", self._input(path).open(seekable=True))

    def _input(self, path: str) -> InputFile:
        quoted = path.removeprefix(f"{SCHEME}://")
        for io, addresses in self._served.values():
            if f"{SCHEME}://{quoted}" in addresses:
                return io.new_input(unquote(quoted))
        raise FileNotFoundError(path)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
