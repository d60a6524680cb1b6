"""Read a log from a file or folder, whatever its format.

`open_log` gives the records in chunks, for whoever stores them (`ocelake.lake.ingest`); `read_log` gives the finished
log, for whoever looks at one file. The formats themselves are in the modules that `_READERS` names; each is imported
only when a file needs it.
"""

from __future__ import annotations

import csv
import os
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.parsers.expat import ExpatError

import duckdb
import orjson
import polars as pl
import pyarrow as pa

from ocelake.errors import LogRefused
from ocelake.ocel.detect import detect
from ocelake.ocel.input import Input
from ocelake.ocel.model import frame_schema
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD, Declarations, ReaderOutput, Records
from ocelake.settings import LogSettings

if TYPE_CHECKING:
    from ocelake.ocel.conform import Conformed

__all__ = ["LogSource", "batch_frame", "open_log", "read_log"]

_READERS: Final = {
    "ocel2-json": ("ocelake.ocel.json_reader", "read_ocel2_json"),
    "ocel1-json": ("ocelake.ocel.json_reader", "read_ocel1_json"),
    "ocel2-xml": ("ocelake.ocel.xml_reader", "read_ocel2_xml"),
    "ocel1-xml": ("ocelake.ocel.xml_reader", "read_ocel1_xml"),
    "xes": ("ocelake.ocel.xes_reader", "read_xes"),
    "ocel2-sqlite": ("ocelake.ocel.sqlite_reader", "read_ocel2_sqlite"),
    "ocel1-sqlite": ("ocelake.ocel.sqlite_reader", "read_ocel1_sqlite"),
    "ocel1-csv": ("ocelake.ocel.tables_reader", "read_ocel1_csv"),
    "ocel2-csv-tables": ("ocelake.ocel.tables_reader", "read_ocel2_tables"),
    "ocel2-parquet-tables": ("ocelake.ocel.tables_reader", "read_ocel2_tables"),
}


@dataclass(frozen=True, slots=True)
class LogSource:
    """A log that can be read: iterate over it for chunks of `Records` and, last, the `Declarations`.

    Attributes
    ----------
    input : Input
        The file or folder.
    format : str
        As `ocelake.ocel.detect.detect` names it.
    """

    input: Input
    format: str

    @property
    def content_hash(self) -> str:
        """SHA-256 of the source's bytes."""
        return self.input.content_hash

    @property
    def batch_id(self) -> str:
        """The first 16 hex digits of the content hash: the same file is the same batch."""
        return self.content_hash[:16]

    def __iter__(self) -> ReaderOutput:
        module, function = _READERS[self.format]
        read: Callable[[Input], ReaderOutput] = getattr(import_module(module), function)
        with _refusing(self.input):
            yield from read(self.input)


def open_log(path: str | os.PathLike[str]) -> LogSource:
    """Open a log; its format is told from its content.

    Parameters
    ----------
    path : path-like
        A file, plain or gzipped, or a folder of tables.

    Raises
    ------
    LogRefused
        Where it is no log, or not there; iterating raises it where the file is broken as a whole.
    """
    source = Input(Path(path))
    with _refusing(source):
        return LogSource(source, detect(source))


def read_log(path: str | os.PathLike[str], settings: LogSettings | None = None) -> Conformed:
    """Read a whole log: its OCEL tables, what was quarantined, and the account of both.

    Parameters
    ----------
    path : path-like
        A file, plain or gzipped, or a folder of tables.
    settings : LogSettings, optional
        How to read and judge it.

    Raises
    ------
    LogRefused
        Where it is no log or is broken as a whole.
    """
    from ocelake.ocel.conform import conform

    source = open_log(path)
    events, objects = [EVENT_RECORD.to_frame()], [OBJECT_RECORD.to_frame()]
    declarations = Declarations()
    for part in source:
        if isinstance(part, Records):
            events.append(part.events)
            objects.append(part.objects)
        else:
            declarations = part
    batch = pl.lit(source.batch_id).alias("batch_id")
    event_records = pl.concat(events).with_columns(batch)
    object_records = pl.concat(objects).with_columns(batch)
    batches = batch_frame(source, declarations, events=event_records.height, objects=object_records.height)
    return conform(event_records, object_records, batches, settings or LogSettings())


def batch_frame(source: LogSource, declarations: Declarations, *, events: int, objects: int) -> pl.DataFrame:
    """Give the one row of ``bronze.batches`` that a source becomes.

    Parameters
    ----------
    source : LogSource
        What was read.
    declarations : Declarations
        What its reader yielded last.
    events, objects : int
        Rows of event and object records, the undeclared and the defect ones included.
    """
    types = {"event_types": declarations.event_types, "object_types": declarations.object_types}
    row = {
        "batch_id": source.batch_id,
        "source": source.input.name,
        "format": source.format,
        "content_hash": source.content_hash,
        "source_bytes": source.input.size,
        "event_records": events,
        "object_records": objects,
        "declarations": orjson.dumps(types).decode(),
        "metadata": orjson.dumps(declarations.metadata).decode(),
        "received": datetime.now(UTC),
    }
    return pl.DataFrame([row], schema=frame_schema("bronze.batches"))


@contextmanager
def _refusing(source: Input) -> Iterator[None]:
    """Turn what a broken file makes the libraries raise into `LogRefused`, each with its reason."""
    try:
        yield
    except UnicodeError as error:
        _refuse(source, f"The text is not in the encoding that it should be in: {error}.", error)
    except MemoryError as error:
        _refuse(source, "The file needs more memory than there is.", error)
    except RecursionError as error:
        _refuse(source, "The file is nested too deeply.", error)
    except ExpatError as error:
        _refuse(source, f"The XML is broken: {error}.", error)
    except (EOFError, zlib.error) as error:
        _refuse(source, f"The compressed data is broken: {error}.", error)
    except sqlite3.Error as error:
        _refuse(source, f"SQLite cannot read it: {error}.", error)
    except (csv.Error, struct.error, pa.ArrowException, pl.exceptions.PolarsError, duckdb.Error) as error:
        _refuse(source, f"The file is broken: {_first_line(error)}.", error)
    except OSError as error:
        _refuse(source, f"The file cannot be read: {error.strerror or error}.", error)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _refuse(source: Input, what: str, error: BaseException) -> None:
    raise LogRefused(
        what, where=source.name, fix="Check that the file is complete; export or fetch it again."
    ) from error
