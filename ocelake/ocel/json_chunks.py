"""A chunk of JSON records to frames: in columns where it can be, one by one where it has to be.

Nothing in a chunk is lost: elements that are no objects, and records that are no JSON, become rows with a defect; a
record that swallowed others is cut again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from threading import local
from typing import Final

import numpy as np
import polars as pl

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
)
from ocelake.ocel.json_salvage import Junk, Part, salvage_element, scan_on
from ocelake.ocel.json_scan import Elements, Member, Torn
from ocelake.ocel.records import Records

__all__ = ["OCEL1", "OCEL2", "ChunkReader", "JsonFormat", "as_records"]

_FEW: Final = 256
"""Up to so many records are read one by one: that takes less time than to set up the engine."""

_BETWEEN: Final = b", \t\r\n"
_IS_BETWEEN: Final = np.isin(np.arange(256), np.frombuffer(_BETWEEN, np.uint8))


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The members of a version of OCEL JSON.

    Attributes
    ----------
    in_lists : dict of str to (function of bytes)
        Members that are lists of records, and how one is read.
    in_maps : dict of str to (function of str and bytes)
        Members that are maps of records by id, and how one is read.
    types : dict of str to {"event", "object"}
        Members that declare types.
    about : tuple of str
        Members about the log itself.
    """

    in_lists: dict[str, Callable[[bytes], Row]]
    in_maps: dict[str, Callable[[str, bytes], Row]]
    types: dict[str, str]
    about: tuple[str, ...]

    @property
    def elements(self) -> tuple[str, ...]:
        """Members that hold records."""
        return (*self.in_lists, *self.in_maps)

    @property
    def kept(self) -> tuple[str, ...]:
        """Members that are read as a whole."""
        return (*self.types, *self.about)


OCEL2: Final = JsonFormat(
    in_lists={"events": ocel2_event, "objects": ocel2_object},
    in_maps={},
    types={"eventTypes": "event", "objectTypes": "object"},
    about=("version",),
)
OCEL1: Final = JsonFormat(
    in_lists={"ocel:objectChanges": ocel1_change},
    in_maps={"ocel:events": ocel1_event, "ocel:objects": ocel1_object},
    types={"ocel:eventTypes": "event", "ocel:objectTypes": "object"},
    about=("ocel:global-log", "ocel:global-event", "ocel:global-object"),
)


class ChunkReader:
    """Reads what a document was cut into; may be used by several threads."""

    def __init__(self, form: JsonFormat, name: str) -> None:
        self._form, self._name = form, name
        self._engines = local()

    def read(self, part: Part) -> list[Records | Member]:
        """Read one part; ``position`` counts from 0 within each of the records given."""
        if isinstance(part, Member):
            return [part]
        if isinstance(part, Junk | Torn):
            text = part.text.strip(_BETWEEN)
            return [as_records([defect_row("malformed", text)], part.key)] if text else []
        if part.key in OCEL2.in_lists and len(part.starts) > _FEW and _only_commas(part) and _is_utf8(part.text):
            frame = self._in_columns(part)
            if frame is not None:
                return [Records(events=frame) if _kind(part.key) is EVENT else Records(objects=frame)]
        return list(self._one_by_one(part))

    def _in_columns(self, chunk: Elements) -> pl.DataFrame | None:
        """Read a chunk in columns, and the records that these do not hold one by one; None where one is no JSON."""
        if not hasattr(self._engines, "connection"):
            self._engines.connection = connect()
        kind, careful = _kind(chunk.key), OCEL2.in_lists[chunk.key]
        frame, whole = read_columns(self._engines.connection, chunk, kind)
        if whole.all():
            return frame
        others = np.flatnonzero(~whole)
        ranges = zip(chunk.starts[others].tolist(), chunk.ends[others].tolist(), strict=True)
        rows = [careful(chunk.text[start:end]) for start, end in ranges]
        if any("defect" in row for row in rows):
            return None
        repaired = _frame(rows, kind).with_columns(pl.Series("position", others))
        return pl.concat([frame.filter(pl.Series(whole)), repaired]).sort("position")

    def _one_by_one(self, chunk: Elements) -> Iterator[Records | Member]:
        items = self._named(chunk) if chunk.key in self._form.in_maps else self._listed(chunk)
        rows: list[Row] = []
        for item in items:
            if isinstance(item, dict):
                rows.append(item)
                continue
            if rows:
                yield as_records(rows, chunk.key)
            rows = []
            yield from self.read(item)
        if rows:
            yield as_records(rows, chunk.key)

    def _listed(self, chunk: Elements) -> Iterator[Row | Part]:
        """Read the records of a list, and everything that stands between them."""
        read = self._form.in_lists[chunk.key]
        for between, text in _elements(chunk):
            if odd := between.strip(_BETWEEN):
                yield from _odd_elements(odd)
            if text is not None:
                yield from self._or_salvage(chunk, text, read(text))

    def _named(self, chunk: Elements) -> Iterator[Row | Part]:
        """Read records by name: the name of each is in the text before it, with members that are no records."""
        read = self._form.in_maps[chunk.key]
        for between, text in _elements(chunk):
            odd = between.strip(_BETWEEN)
            try:
                members = decode_members(odd if text is None else odd + b"null")
            except (ValueError, RecursionError):
                yield defect_row("malformed", odd + (text or b""))
                continue
            for name, value in members if text is None else members[:-1]:
                yield defect_row("malformed", f"{json_text(name)}:{json_text(value)}".encode())
            if text is None:
                continue
            name = members[-1][0]
            if name in self._form.elements:
                # A brace is missing before: this is the next member of the document.
                document = BytesIO(b'{"%b":%b}' % (name.encode(), text))
                yield from scan_on(document, name=self._name, elements=self._form.elements, kept=self._form.kept)
            else:
                row = read(name, text)
                whole = json_text(name).encode() + b":" + text
                yield from self._or_salvage(chunk, whole, defect_row("malformed", whole) if "defect" in row else row)

    def _or_salvage(self, chunk: Elements, text: bytes, row: Row) -> Iterator[Row | Part]:
        """Give a record's row; of one that is no record, what can be found in its text."""
        form = self._form
        parts = None
        if "defect" in row:
            parts = salvage_element(chunk, text, name=self._name, elements=form.elements, kept=form.kept)
        yield from [row] if parts is None else parts


def as_records(rows: list[Row], key: str | None, first: int = 0) -> Records:
    """Give rows as the records of a member (events, where none is told)."""
    kind = _kind(key)
    frame = _frame(rows, kind, first)
    return Records(events=frame) if kind is EVENT else Records(objects=frame)


def _kind(key: str | None) -> RecordKind:
    return OBJECT if key in ("objects", "ocel:objects", "ocel:objectChanges") else EVENT


def _frame(rows: list[Row], kind: RecordKind, first: int = 0) -> pl.DataFrame:
    """Build the frame of rows that leave out what is null."""
    defaults = {"attributes": [], "relationships": [], "declared": True}
    complete = [{"position": first + index, **defaults, **row} for index, row in enumerate(rows)]
    return pl.DataFrame(complete, schema=kind.schema)


def _elements(chunk: Elements) -> Iterator[tuple[bytes, bytes | None]]:
    """Give each element with the text before it; last, the text after all, and None."""
    ends = zip(chunk.starts.tolist(), chunk.ends.tolist(), strict=True)
    texts = [*(chunk.text[start:end] for start, end in ends), None]
    yield from zip(chunk.between(), texts, strict=True)


def _odd_elements(text: bytes) -> Iterator[Row]:
    """Give a row for each element that is no object: numbers, texts, nulls, or what is no JSON at all."""
    try:
        elements = [json_text(value).encode() for value in parse(b"[" + text + b"]")]
    except (ValueError, TypeError, RecursionError):
        elements = [text]
    for element in elements:
        yield defect_row("malformed", element)


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
