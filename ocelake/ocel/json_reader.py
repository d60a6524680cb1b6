"""Read OCEL 2.0 and OCEL 1.0 JSON of any size.

Here is the way of a document, and what its header means. Cutting it is `json_scan` (and, after a break,
`json_salvage`), a chunk of records is `json_chunks`, many at once are `json_columns`, one record is `json_records`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from ocelake.errors import LogRefused
from ocelake.ocel.input import Input
from ocelake.ocel.json_chunks import OCEL1, OCEL2, ChunkReader, JsonFormat, as_records
from ocelake.ocel.json_records import decode_members, defect_row, parse, parse_types, text_of
from ocelake.ocel.json_salvage import scan_on
from ocelake.ocel.json_scan import BLOCK, Member, Torn
from ocelake.ocel.records import Declarations, ReaderOutput, Records
from ocelake.ocel.values import value_type

__all__ = ["read_ocel1_json", "read_ocel2_json"]

_WORKERS: Final = 2
_UNREADABLE: Final = (ValueError, TypeError, RecursionError)


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
        Where the document breaks or ends before its first record.
    """
    return _read(source, OCEL2, block)


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
    return _read(source, OCEL1, block)


def _read(source: Input, form: JsonFormat, block: int) -> ReaderOutput:
    header = _Header(form)
    numbers = _Numbers()
    torn: Torn | None = None
    with source.stream() as stream:
        parts = scan_on(stream, name=source.name, elements=form.elements, kept=form.kept, block=block)
        for part in _in_order(ChunkReader(form, source.name), parts):
            if isinstance(part, Records):
                yield numbers.number(part)
            elif isinstance(part, Torn):
                torn = part
            else:
                header.note(part)
    if torn is not None:
        yield numbers.number(_torn(source, torn, empty=numbers.empty))
    yield header.finish()


def _in_order(reader: ChunkReader, parts: Iterator[Any]) -> Iterator[Records | Member | Torn]:
    """Read parts some at a time, and give what they hold in their order."""
    pending: deque[Future[list[Records | Member]] | Torn] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for part in parts:
            pending.append(part if isinstance(part, Torn) else pool.submit(reader.read, part))
            while len(pending) > _WORKERS:
                yield from _result(pending.popleft())
        while pending:
            yield from _result(pending.popleft())


def _result(part: Future[list[Records | Member]] | Torn) -> list[Records | Member] | list[Torn]:
    return [part] if isinstance(part, Torn) else part.result()


def _torn(source: Input, torn: Torn, *, empty: bool) -> Records:
    """Give the rest of a document that ends too early, or goes on after its end, as one record."""
    if empty:
        raise LogRefused(
            f"The JSON {torn.reason}; no event or object was found before.",
            where=source.name,
            fix="Check that the file is complete; export or fetch it again.",
        )
    row = defect_row("malformed" if torn.complete else "truncated", torn.text.strip(b", \t\r\n"))
    return as_records([row], torn.key)


@dataclass(slots=True)
class _Numbers:
    """Numbers records over the whole source, events and objects apart."""

    events: int = 0
    objects: int = 0

    @property
    def empty(self) -> bool:
        return self.events + self.objects == 0

    def number(self, records: Records) -> Records:
        events = records.events.with_columns(pl.col("position") + self.events)
        objects = records.objects.with_columns(pl.col("position") + self.objects)
        self.events += events.height
        self.objects += objects.height
        return Records(events, objects)


@dataclass(slots=True)
class _Header:
    """Gathers the `Declarations`."""

    form: JsonFormat
    types: dict[str, dict[str, dict[str, str]]] = field(default_factory=lambda: {"event": {}, "object": {}})
    metadata: dict[str, str] = field(default_factory=dict)

    def note(self, member: Member) -> None:
        """Take what a member says; what says nothing that is known is named as ignored."""
        if member.text is None:
            self.metadata[f"ignored:key:{member.key}"] = "not read"
            return
        try:
            if member.key in self.form.types:
                self._declare(self.form.types[member.key], member.text)
            elif member.key.startswith("ocel:global-"):
                self._global(member.key, member.text)
            else:
                self.metadata[member.key] = _plain(parse(member.text))
        except _UNREADABLE:
            self.metadata[f"ignored:key:{member.key}"] = "not readable"

    def finish(self) -> Declarations:
        return Declarations(self.types["event"], self.types["object"], self.metadata)

    def _declare(self, kind: str, text: bytes) -> None:
        for name, attributes in parse_types(text).items():
            known = self.types[kind].setdefault(name, {})
            known.update({attribute: value_type(declared) for attribute, declared in attributes.items()})

    def _global(self, key: str, text: bytes) -> None:
        for name, value in decode_members(text.strip()[1:-1]):
            if name == "ocel:object-types" and isinstance(value, list):
                for declared in value:
                    self.types["object"].setdefault(text_of(declared), {})
            elif key == "ocel:global-log":
                self.metadata[name.removeprefix("ocel:")] = _plain(value)
            else:
                self.metadata[f"{key.removeprefix('ocel:')}:{name}"] = text_of(value)


def _plain(value: Any) -> str:
    """Give a header value as text; some write the version as a list of one."""
    return text_of(value[0] if isinstance(value, list) and len(value) == 1 else value)
