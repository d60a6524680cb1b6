"""Read OCEL 2.0 and OCEL 1.0 JSON of any size.

Here is what the members of the document mean. Cutting it into records is `json_scan`, one record is `json_records`,
many at once are `json_columns`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import local
from typing import Any, Final

import numpy as np
import polars as pl
from duckdb import DuckDBPyConnection

from ocelake.errors import LogRefused
from ocelake.ocel.input import Input
from ocelake.ocel.json_columns import EVENT, OBJECT, RecordKind, connect, read_columns
from ocelake.ocel.json_records import (
    Row,
    decode_members,
    defect_row,
    json_text,
    ocel1_change,
    ocel1_event,
    ocel1_object,
    ocel2_event,
    ocel2_object,
    parse,
    parse_types,
    text_of,
)
from ocelake.ocel.json_scan import BLOCK, Elements, Member, Torn, scan
from ocelake.ocel.records import Declarations, ReaderOutput, Records
from ocelake.ocel.values import value_type

__all__ = ["read_ocel1_json", "read_ocel2_json"]

_WORKERS: Final = 2
_FEW: Final = 256
"""Up to so many records are read one by one: that takes less time than to set up the engine."""

_BETWEEN: Final = b", \t\r\n"
_IS_BETWEEN: Final = np.isin(np.arange(256), np.frombuffer(_BETWEEN, np.uint8))


@dataclass(slots=True)
class _Header:
    """What is gathered for the `Declarations`."""

    types: dict[str, dict[str, dict[str, str]]] = field(default_factory=lambda: {"event": {}, "object": {}})
    metadata: dict[str, str] = field(default_factory=dict)

    def declare(self, kind: str, key: str, text: bytes) -> None:
        try:
            declared = parse_types(text)
        except (ValueError, RecursionError):
            self.metadata[f"ignored:key:{key}"] = "not readable"
            return
        for name, attributes in declared.items():
            known = self.types[kind].setdefault(name, {})
            known.update({attribute: value_type(declared_type) for attribute, declared_type in attributes.items()})

    def note(self, member: Member) -> None:
        if member.text is None:
            self.metadata[f"ignored:key:{member.key}"] = "not read"
            return
        try:
            self.metadata[member.key] = _plain(parse(member.text))
        except (ValueError, TypeError, RecursionError):
            self.metadata[f"ignored:key:{member.key}"] = "not readable"

    def finish(self) -> Declarations:
        return Declarations(self.types["event"], self.types["object"], self.metadata)


def read_ocel2_json(source: Input, *, block: int = BLOCK) -> ReaderOutput:
    """Read OCEL 2.0 JSON.

    Parameters
    ----------
    source : Input
        One JSON object with ``events``, ``objects``, ``eventTypes`` and ``objectTypes``, in any order.
    block : int
        Bytes read at a time.

    Yields
    ------
    Records, then Declarations
        Records that are no JSON, or of a wrong shape, have the defect ``malformed``; the rest of a torn file is one
        record with the defect ``truncated``.

    Raises
    ------
    LogRefused
        Where the document is broken outside of its records, or ends before its first record.
    """
    engines = local()

    def read(chunk: Elements) -> Records:
        kind, careful = (EVENT, ocel2_event) if chunk.key == "events" else (OBJECT, ocel2_object)
        if len(chunk.starts) <= _FEW or not (_only_commas(chunk) and _is_utf8(chunk.text)):
            return _as_records(kind, _frame(list(_careful(chunk, careful)), kind))
        if not hasattr(engines, "connection"):
            engines.connection = connect()
        return _as_records(kind, _ocel2_columns(engines.connection, chunk, kind, careful))

    header = _Header()
    kinds = {"eventTypes": "event", "objectTypes": "object"}
    for part in _run(source, ("events", "objects"), (*kinds, "version"), read, block):
        if isinstance(part, Records):
            yield part
        elif part.key in kinds and part.text is not None:
            header.declare(kinds[part.key], part.key, part.text)
        else:
            header.note(part)
    yield header.finish()


def read_ocel1_json(source: Input, *, block: int = BLOCK) -> ReaderOutput:
    """Read OCEL 1.0 JSON, with the extensions that pm4py writes (``ocel:typedOmap``, ``ocel:o2o``, changes, types).

    Parameters
    ----------
    source : Input
        One JSON object with ``ocel:events`` and ``ocel:objects``, in any order.
    block : int
        Bytes read at a time.

    Yields
    ------
    Records, then Declarations
        As `read_ocel2_json`. A name that occurs twice gives two records.

    Raises
    ------
    LogRefused
        As `read_ocel2_json`.
    """
    header = _Header()
    cut = ("ocel:events", "ocel:objects", "ocel:objectChanges")
    kinds = {"ocel:eventTypes": "event", "ocel:objectTypes": "object"}
    globals_ = ("ocel:global-log", "ocel:global-event", "ocel:global-object")
    for part in _run(source, cut, (*kinds, *globals_), _ocel1_chunk, block):
        if isinstance(part, Records):
            yield part
        elif part.text is not None and part.key in kinds:
            header.declare(kinds[part.key], part.key, part.text)
        elif part.text is not None and part.key in globals_:
            _ocel1_global(header, part.key, part.text)
        else:
            header.note(part)
    yield header.finish()


def _run(
    source: Input, cut: tuple[str, ...], kept: tuple[str, ...], read: Callable[[Elements], Records], block: int
) -> Iterator[Records | Member]:
    """Cut the document and read its chunks, some at a time, in order; number the records."""
    events = objects = 0
    pending: deque[Future[Records] | Member] = deque()

    def take() -> Records | Member:
        nonlocal events, objects
        part = pending.popleft()
        if isinstance(part, Member):
            return part
        chunk = part.result()
        numbered = Records(
            chunk.events.with_columns(pl.col("position") + events),
            chunk.objects.with_columns(pl.col("position") + objects),
        )
        events += chunk.events.height
        objects += chunk.objects.height
        return numbered

    torn: Torn | None = None
    with source.stream() as stream, ThreadPoolExecutor(_WORKERS) as pool:
        for part in scan(stream, name=source.name, elements=cut, kept=kept, block=block):
            if isinstance(part, Torn):
                torn = part
                continue
            pending.append(pool.submit(read, part) if isinstance(part, Elements) else part)
            while len(pending) > _WORKERS:
                yield take()
        while pending:
            yield take()
    if torn is not None:
        yield _torn(source, torn, events, objects)


def _torn(source: Input, torn: Torn, events: int, objects: int) -> Records:
    """Give the rest of a document that ends too early, or goes on after its end, as one record."""
    if events + objects == 0:
        raise LogRefused(
            "The JSON ends before its first event or object." if not torn.complete else "The JSON holds no records.",
            where=source.name,
            fix="Check that the file is complete; export or fetch it again.",
        )
    row = defect_row("malformed" if torn.complete else "truncated", torn.text.strip(_BETWEEN))
    in_objects = torn.key is not None and torn.key.endswith("objects")
    return _as_records(OBJECT, _frame([row], OBJECT, objects)) if in_objects else Records(_frame([row], EVENT, events))


def _ocel2_columns(
    connection: DuckDBPyConnection, chunk: Elements, kind: RecordKind, careful: Callable[[bytes], Row]
) -> pl.DataFrame:
    """Read a chunk of records in columns, and those that these do not hold one by one."""
    frame, whole = read_columns(connection, chunk, kind)
    if whole.all():
        return frame
    others = np.flatnonzero(~whole)
    ranges = zip(chunk.starts[others].tolist(), chunk.ends[others].tolist(), strict=True)
    rows = [careful(chunk.text[start:end]) for start, end in ranges]
    repaired = _frame(rows, kind).with_columns(pl.Series("position", others))
    return pl.concat([frame.filter(pl.Series(whole)), repaired]).sort("position")


def _careful(chunk: Elements, read: Callable[[bytes], Row]) -> Iterator[Row]:
    """Read a chunk's records one by one, and everything that stands between them."""
    ranges = list(zip(chunk.starts.tolist(), chunk.ends.tolist(), strict=True))
    for index, between in enumerate(chunk.between()):
        odd = between.strip(_BETWEEN)
        if odd:
            yield from _odd_elements(odd)
        if index < len(ranges):
            yield read(chunk.text[slice(*ranges[index])])


def _odd_elements(text: bytes) -> Iterator[Row]:
    """Give a row for each element that is no object: numbers, texts, nulls, or what is no JSON at all."""
    try:
        elements = [json_text(value).encode() for value in parse(b"[" + text + b"]")]
    except (ValueError, TypeError, RecursionError):
        elements = [text]
    for element in elements:
        yield defect_row("malformed", element)


def _ocel1_chunk(chunk: Elements) -> Records:
    if chunk.key == "ocel:objectChanges":
        return _as_records(OBJECT, _frame(list(_careful(chunk, ocel1_change)), OBJECT))
    kind, read = (EVENT, ocel1_event) if chunk.key == "ocel:events" else (OBJECT, ocel1_object)
    return _as_records(kind, _frame(list(_ocel1_rows(chunk, read)), kind))


def _ocel1_rows(chunk: Elements, read: Callable[[str, bytes], Row]) -> Iterator[Row]:
    """Read records by name: the name of each is in the text before it, with members that are no records."""
    ranges = list(zip(chunk.starts.tolist(), chunk.ends.tolist(), strict=True))
    for index, between in enumerate(chunk.between()):
        text = between.strip(_BETWEEN)
        last = index == len(ranges)
        record = b"" if last else chunk.text[slice(*ranges[index])]
        try:
            members = decode_members(text if last else text + b"null")
        except (ValueError, RecursionError):
            yield defect_row("malformed", text + record)
            continue
        for name, value in members if last else members[:-1]:
            yield defect_row("malformed", f"{json_text(name)}:{json_text(value)}".encode())
        if not last:
            yield read(members[-1][0], record)


def _ocel1_global(header: _Header, key: str, text: bytes) -> None:
    try:
        members = decode_members(text.strip()[1:-1])
    except (ValueError, RecursionError):
        header.metadata[f"ignored:key:{key}"] = "not readable"
        return
    for name, value in members:
        if name == "ocel:object-types" and isinstance(value, list):
            for declared in value:
                header.types["object"].setdefault(text_of(declared), {})
        elif key == "ocel:global-log":
            header.metadata[name.removeprefix("ocel:")] = _plain(value)
        else:
            header.metadata[f"{key.removeprefix('ocel:')}:{name}"] = text_of(value)


def _only_commas(chunk: Elements) -> bool:
    """Whether nothing but commas and space stands between the records."""
    begins = np.concatenate([[0], chunk.ends])
    lengths = np.concatenate([chunk.starts, [len(chunk.text)]]) - begins
    total = int(lengths.sum())
    if total > len(chunk.text) // 2:
        return False
    before = np.cumsum(lengths) - lengths
    places = np.arange(total) + np.repeat(begins - before, lengths)
    return bool(_IS_BETWEEN[np.frombuffer(chunk.text, np.uint8)[places]].all())


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _plain(value: Any) -> str:
    """Give a header value as text; some write the version as a list of one."""
    return text_of(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _frame(rows: list[Row], kind: RecordKind, first: int = 0) -> pl.DataFrame:
    """Build the frame of rows that leave out what is null."""
    defaults = {"attributes": [], "relationships": [], "declared": True}
    complete = [{"position": first + index, **defaults, **row} for index, row in enumerate(rows)]
    return pl.DataFrame(complete, schema=kind.schema)


def _as_records(kind: RecordKind, frame: pl.DataFrame) -> Records:
    return Records(events=frame) if kind is EVENT else Records(objects=frame)
