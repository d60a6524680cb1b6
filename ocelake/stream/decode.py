"""From messages to bronze records: each message is one OCEL 2.0 event or object, or stays what it is.

A decoder never fails on a message, and no message has a say in how another is read: what cannot be decoded becomes a
record with the defect ``malformed`` and its bytes, which `ocelake.ocel.conform` puts into quarantine.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeAlias

import duckdb
import numpy as np
import polars as pl
from confluent_kafka.schema_registry import Schema
from numpy.typing import NDArray

from ocelake.errors import SettingError
from ocelake.ocel.json_columns import MESSAGE, connect, read_columns
from ocelake.ocel.json_records import Row, message
from ocelake.ocel.json_scan import Elements
from ocelake.ocel.records import EVENT_RECORD, MESSAGE_RECORD, OBJECT_RECORD, Records
from ocelake.stream import avro, protobuf
from ocelake.stream.registry import Registry, schema_number
from ocelake.stream.settings import KafkaSettings

__all__ = [
    "TOMBSTONE",
    "Decoded",
    "Decoder",
    "JsonDecoder",
    "RegistryDecoder",
    "as_records",
    "decoder",
    "raw_text",
    "undecodable",
]


class Decoded(Protocol):
    """What messages become: `Records`, or rows of another table of bronze."""

    def tables(self) -> dict[str, pl.DataFrame]:
        """Give the rows by their table in bronze, without their batch, each with its position and defect."""


Decoder: TypeAlias = Callable[[Sequence[int], Sequence[bytes | None]], Decoded]
"""Positions and messages to rows with these positions, in their order; a message that has no value is None."""

TOMBSTONE: Final = "(a message without a value)"
"""What stands for the bytes of a message that has none."""

_MANY: Final = 1 << 23
"""So many bytes are parsed at a time, in several threads."""

_BASE64: Final = "base64:"
_Ints: TypeAlias = NDArray[np.int64]
_Read: TypeAlias = Callable[[bytes], Row]

_READERS: Final[dict[str, Callable[[Schema], _Read | None]]] = {"avro": avro.reader, "protobuf": protobuf.reader}

_DEFAULTS: Final = {"attributes": [], "relationships": [], "declared": True}


def decoder(form: str, settings: KafkaSettings | None = None) -> Decoder:
    """Give the decoder of a message format, for one thread at a time.

    Parameters
    ----------
    form : {"json", "avro", "protobuf", "prices"}
        What the messages are: events and objects, written in one of three ways, or price ticks in JSON.
    settings : KafkaSettings, optional
        Where the schemas of Avro and Protobuf are; by default what the environment says.

    Raises
    ------
    SettingError
        Where there is no such format, or no registry is named.
    """
    if form == "json":
        return JsonDecoder()
    if form == "prices":
        from ocelake.stream.ticks import decode_ticks

        return decode_ticks
    if form not in _READERS:
        raise SettingError(f"{form!r} is no format of messages.", fix=f"Use json, {', '.join(_READERS)} or prices.")
    return RegistryDecoder(_READERS[form], Registry(settings or KafkaSettings.load()))


class JsonDecoder:
    """Decodes JSON messages (`ocelake.ocel.json_records.message`); for one thread at a time.

    Parameters
    ----------
    few : int
        Up to so many messages are read one by one: that takes less time than to set up the engine.
    """

    def __init__(self, few: int = 512) -> None:
        self._few = few
        self._engines = threading.local()
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="ocelake-decode")

    def __call__(self, positions: Sequence[int], values: Sequence[bytes | None]) -> Records:
        """Decode messages: many at once in columns, one by one what these do not wholly hold."""
        if len(values) <= self._few:
            return as_records([_alone(position, value) for position, value in zip(positions, values, strict=True)])
        texts = [value or b"" for value in values] if None in values else values
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))  # type: ignore[arg-type]  # no None is left

        def read(part: slice) -> Records:
            return self._many(positions[part], values[part], lengths[part])

        return _united(list(self._pool.map(read, _parts(lengths))))

    def _many(self, positions: Sequence[int], values: Sequence[bytes | None], lengths: _Ints) -> Records:
        engine: duckdb.DuckDBPyConnection | None = getattr(self._engines, "own", None)
        if engine is None:
            engine = self._engines.own = connect()
        frame, whole = read_columns(engine, _chunk(values, lengths), MESSAGE)
        kind = pl.col("kind")
        event = pl.when(kind.is_null()).then(pl.col("time").is_not_null()).otherwise(kind == "event")
        known = kind.is_in(["event", "object"]) | kind.is_null()
        frame = frame.with_columns(
            pl.Series("position", positions, pl.Int64),
            event=event,
            # An object has no place for a time or a sequence of its own; the careful way keeps its text.
            whole=pl.Series(whole) & known & (event | (pl.col("time").is_null() & pl.col("sequence").is_null())),
        )
        others = frame.select((~pl.col("whole")).arg_true()).to_series().to_list()
        taken = frame.filter("whole")
        events, objects = taken.filter("event"), taken.filter(~pl.col("event"))
        records = Records(_shaped(events, EVENT_RECORD), _shaped(objects, OBJECT_RECORD))
        if not others:
            return records
        careful = as_records([_alone(positions[index], values[index]) for index in others])
        united = _united([records, careful])
        return Records(united.events.sort("position"), united.objects.sort("position"))


class RegistryDecoder:
    """Decodes messages that begin with the number of their schema in a registry; for one thread at a time.

    Parameters
    ----------
    reader : function of Schema
        Gives the function that reads a message's content to a row; None where the schema is of something else.
    registry : Registry
    """

    def __init__(self, reader: Callable[[Schema], _Read | None], registry: Registry) -> None:
        self._reader, self._registry = reader, registry
        self._readers: dict[int, _Read] = {}

    def __call__(self, positions: Sequence[int], values: Sequence[bytes | None]) -> Records:
        """Decode messages one by one.

        Raises
        ------
        Unreachable
            Where the registry does not answer: nothing is known of the messages then.
        StreamError
            Where it refuses.
        """
        unknown: set[int] = set()  # for this once: a schema may come to be
        rows = [self._row(position, value, unknown) for position, value in zip(positions, values, strict=True)]
        return as_records(rows)

    def _row(self, position: int, value: bytes | None, unknown: set[int]) -> Row:
        found = schema_number(value) if value is not None else None
        if value is None or found is None:
            return undecodable(position, value)
        number, begin = found
        read = self._readers.get(number)
        if read is None and number not in unknown:
            read = self._look_up(number, unknown)
        if read is None:
            return undecodable(position, value)
        try:
            row = read(value[begin:])
        except Exception:  # noqa: BLE001  # of whatever kind it is, it is about this message's content
            return undecodable(position, value)
        return {**row, "position": position} if row["kind"] in ("event", "object") else undecodable(position, value)

    def _look_up(self, number: int, unknown: set[int]) -> _Read | None:
        schema = self._registry.schema(number)
        try:
            read = None if schema is None else self._reader(schema)
        except Exception:  # noqa: BLE001  # a schema of which no reader can be made
            read = None
        if read is None:
            unknown.add(number)
        else:
            self._readers[number] = read
        return read


def as_records(rows: Sequence[Row]) -> Records:
    """Give rows of messages (of `MESSAGE_RECORD`, without what is null) as records, in their order."""
    frame = pl.DataFrame([{**_DEFAULTS, **row} for row in rows], schema=MESSAGE_RECORD)
    event = pl.col("kind") == "event"
    return Records(_shaped(frame.filter(event), EVENT_RECORD), _shaped(frame.filter(~event), OBJECT_RECORD))


def undecodable(position: int, value: bytes | None) -> Row:
    """Give the row of a message that cannot be decoded: a record of events that declares none, with all its bytes."""
    return {"position": position, "kind": "event", "declared": False, "defect": "malformed", "raw": raw_text(value)}


def raw_text(value: bytes | None) -> str:
    """Give a message's bytes as text: as they are where they are UTF-8, else in base64, after ``base64:``."""
    if value is None:
        return TOMBSTONE
    if b"\0" not in value and not value.startswith(_BASE64.encode()):
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    return _BASE64 + base64.b64encode(value).decode()


def _alone(position: int, value: bytes | None) -> Row:
    """Read one message."""
    row: Row = {"defect": "malformed"} if value is None else message(value)
    return undecodable(position, value) if "defect" in row else {"position": position, **row}


def _parts(lengths: _Ints) -> Iterator[slice]:
    """Cut messages into runs of bounded size."""
    run = np.cumsum(lengths) // _MANY
    edges = [0, *(np.flatnonzero(np.diff(run)) + 1).tolist(), len(lengths)]
    yield from map(slice, edges[:-1], edges[1:])


def _chunk(values: Sequence[bytes | None], lengths: _Ints) -> Elements:
    """Put messages into one text, as records are in a file; what is no text leaves its place empty.

    Each is parsed by itself, so that nothing in one can reach another.
    """
    text = _joined(values)
    if text is None:
        texts = [value if value is not None and _is_utf8(value) else b"" for value in values]
        text, lengths = b",".join(texts), np.fromiter(map(len, texts), np.int64, len(texts))
    ends = np.cumsum(lengths + 1) - 1
    starts = ends - lengths
    quotes = np.flatnonzero(np.frombuffer(_unescaped(text), np.uint8) == ord('"'))
    before: _Ints = np.searchsorted(quotes, np.append(starts, len(text)))
    return Elements("messages", text, starts, ends, np.diff(before) // 2, True, b"[")


def _joined(values: Sequence[bytes | None]) -> bytes | None:
    """Join messages that are all UTF-8; None where one is not, or is no message."""
    try:
        text = b",".join(values)  # type: ignore[arg-type]  # what is None is told by the error
    except TypeError:
        return None
    return text if text.isascii() or _is_utf8(text) else None


def _unescaped(text: bytes) -> bytes:
    """Give a text of the same length without escaped quotes."""
    return text.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in text else text


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shaped(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Give messages that are all events, or all objects, as records."""
    own = ("event_id", "activity") if "event_id" in schema else ("object_id", "object_type")
    return frame.rename(dict(zip(("id", "type"), own, strict=True))).select(schema.names())


def _united(parts: Sequence[Records]) -> Records:
    if len(parts) == 1:
        return parts[0]
    return Records(pl.concat([part.events for part in parts]), pl.concat([part.objects for part in parts]))
