"""Go on after a record that breaks the structure of its document.

A missing brace, an extra one, or a quote that is not escaped makes everything after it seem to belong to that record.
Here the next record is found by its looks (a separator, then the first member of a record), and the text is cut from
there again. What lies between is given as it is, so that one bad record costs itself and not the rest of its file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import BinaryIO, Final, TypeAlias

from ocelake.ocel.json_records import begins_with_record
from ocelake.ocel.json_scan import BLOCK, Cut, Elements, Torn, scan

__all__ = ["Junk", "Part", "salvage_element", "scan_on"]

_TRIES: Final = 100
"""So many breaks are mended in one text: each costs a copy of what follows it."""

_CANDIDATES: Final = 100
_LONGEST: Final = 1 << 20
_IN_LIST: Final = re.compile(rb',\s*(?P<name>)(?=\{\s*"(?:id|type|attributes|relationships|ocel:\w+)"\s*:)')
_IN_MAP: Final = re.compile(rb',\s*(?=(?P<name>"(?:[^"\\]|\\.)*"\s*:)\s*\{\s*"ocel:\w+"\s*:)')


@dataclass(frozen=True, slots=True)
class Junk:
    """Text within a member that is cut into elements, from where it breaks to the next element."""

    key: str
    text: bytes


Part: TypeAlias = Cut | Junk


def scan_on(
    stream: BinaryIO, *, name: str, elements: Collection[str], kept: Collection[str], block: int = BLOCK
) -> Iterator[Part]:
    """Cut a document as `scan` does, and go on after a break wherever a next element is found.

    Yields
    ------
    Elements, Member, Junk, Torn
        In the order of the text; a `Torn` is the last.
    """
    parts = scan(stream, name=name, elements=elements, kept=kept, block=block)
    tries = 0
    while True:
        torn = None
        for part in parts:
            if isinstance(part, Torn):
                torn = part
            else:
                yield part
        if torn is None:
            return
        mendable = tries < _TRIES and not torn.complete and torn.key in elements
        point = _next_element(torn) if mendable else None
        if torn.key is None or point is None:
            yield torn
            return
        yield Junk(torn.key, torn.text[:point])
        parts = scan(_document(torn, point), name=name, elements=elements, kept=kept, block=block)
        tries += 1


def salvage_element(
    chunk: Elements, text: bytes, *, name: str, elements: Collection[str], kept: Collection[str]
) -> Iterator[Part] | None:
    """Cut an element that is no JSON where it seems to hold others, and what follows them; None where it does not.

    Parameters
    ----------
    chunk : Elements
        What it comes from.
    text : bytes
        The element.
    name, elements, kept
        As for `scan`.
    """
    torn = Torn(chunk.key, text, opener=chunk.opener)
    point = _next_element(torn)
    if point is None:
        return None
    rest = scan_on(_document(torn, point), name=name, elements=elements, kept=kept)
    return chain([Junk(chunk.key, text[:point])], rest)


def _document(torn: Torn, point: int) -> BytesIO:
    """Give the text from an element on as a document of its own."""
    return BytesIO(b'{"' + (torn.key or "").encode() + b'":' + torn.opener + torn.text[point:])


def _next_element(torn: Torn) -> int | None:
    """Find where the next element begins that is a record for itself."""
    pattern = _IN_LIST if torn.opener == b"[" else _IN_MAP
    for tried, found in enumerate(pattern.finditer(torn.text)):
        if tried == _CANDIDATES:
            return None
        begin = torn.text.index(b"{", found.end("name"))
        if begins_with_record(torn.text[begin : begin + _LONGEST]):
            return found.end()
    return None
