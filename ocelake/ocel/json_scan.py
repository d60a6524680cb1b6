"""Cut one large JSON object into its members, and its long arrays into elements, without parsing them.

Only quotes, backslashes and brackets are looked at, a block at a time with numpy: that tells for every bracket whether
it is inside of a string and how deep it is, exactly, whatever the layout. What an element means, and whether it is
valid JSON, is for the caller; so memory is bounded by a block and one element.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ocelake.errors import LogRefused

__all__ = ["Cut", "Elements", "Member", "Torn", "scan"]

BLOCK: Final = 16 << 20
LIMIT: Final = 256 << 20
"""No single element, and no text between two, may be larger."""

_PIECE: Final = 1 << 21
_BOM: Final = b"\xef\xbb\xbf"
_QUOTE, _BACKSLASH, _OPEN, _CLOSE = (np.uint8(ord(character)) for character in '"\\{}')
_CASE: Final = np.uint8(0x20)
"""The bit between ``[`` and ``{``, and between ``]`` and ``}``."""

_PAIR: Final = np.uint8(2)
"""From ``[`` to ``]``, and from ``{`` to ``}``."""

_Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Elements:
    """Some consecutive elements of a top-level array or object.

    Attributes
    ----------
    key : str
        The member's name.
    text : bytes
        Begins where the elements of the chunk before ended, and ends with the last element, or, where the container
        is ``closed``, before its closing bracket.
    starts, ends : array of int
        Byte ranges in ``text`` of the elements that are objects or arrays. Everything else (commas, names, and
        elements without brackets) is between them.
    strings : array of int
        How many strings each holds, names included.
    closed : bool
        Whether the container ends here.
    opener : bytes
        The bracket that it opened with.
    """

    key: str
    text: bytes
    starts: _Ints
    ends: _Ints
    strings: _Ints
    closed: bool
    opener: bytes

    def between(self) -> Iterator[bytes]:
        """Iterate over the text before each element, then that after the last."""
        begin = 0
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            yield self.text[begin:start]
            begin = end
        yield self.text[begin:]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the document that is not cut: its JSON text, or None for a container that was not asked for."""

    key: str
    text: bytes | None


@dataclass(frozen=True, slots=True)
class Torn:
    """The rest of a document that cannot be followed any further.

    Attributes
    ----------
    key : str or None
        The member that it is in, or after.
    text : bytes
        From the end of the last element, or member, on.
    complete : bool
        Whether the document is over, and this follows it.
    opener : bytes
        The bracket that the member opened with.
    reason : str
        What is wrong, as the end of a sentence.
    """

    key: str | None
    text: bytes
    complete: bool = False
    opener: bytes = b"["
    reason: str = "ends too early"


Cut: TypeAlias = Elements | Member | Torn


def scan(
    stream: BinaryIO, *, name: str, elements: Collection[str], kept: Collection[str], block: int = BLOCK
) -> Iterator[Cut]:
    """Cut the JSON object in a stream.

    Parameters
    ----------
    stream : binary stream
        One JSON object in UTF-8, with or without a byte order mark.
    name : str
        The source's name, for errors.
    elements : collection of str
        Members that are cut into `Elements`.
    kept : collection of str
        Members whose whole text is given; that of other arrays and objects is skipped.
    block : int
        Bytes read at a time.

    Yields
    ------
    Elements, Member, Torn
        In the order of the text.

    Raises
    ------
    LogRefused
        Where a single element, or what follows a break, is larger than `LIMIT`.
    """
    return _Scanner(name, frozenset(elements), frozenset(kept)).run(stream, block)


class _BrokenError(ValueError):
    """The text between the members is no JSON, or a member ends with a wrong bracket."""


class _Brackets:
    """Finds the brackets outside of strings, block after block."""

    def __init__(self) -> None:
        self._in_string = self._escaped = False
        self._depth = self._quotes = 0

    def find(self, block: bytes) -> tuple[_Ints, NDArray[np.bool_], _Ints, _Ints]:
        """Give, for each bracket: position, whether it opens, depth after it, quotes before it since the start."""
        pieces = [self._piece(block, at) for at in range(0, len(block), _PIECE)]
        position, opens, depth, quotes = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        return position, opens, depth, quotes

    def _piece(self, block: bytes, at: int) -> tuple[_Ints, NDArray[np.bool_], _Ints, _Ints]:
        piece = np.frombuffer(block, np.uint8, min(_PIECE, len(block) - at), at)
        folded = piece | _CASE
        mark = piece == _QUOTE
        mark |= folded == _OPEN
        mark |= folded == _CLOSE
        self._unmark_escaped(piece, mark)
        index = np.flatnonzero(mark)
        found = piece[index]
        is_quote = found == _QUOTE
        inside = np.logical_xor.accumulate(is_quote) if len(index) else is_quote
        if self._in_string:
            inside = ~inside
        outside = ~(is_quote | inside)
        opens = (found[outside] | _CASE) == _OPEN
        depth = np.cumsum(np.where(opens, 1, -1), dtype=np.int64) + self._depth
        quotes = np.cumsum(is_quote, dtype=np.int64)
        result = index[outside] + at, opens, depth, quotes[outside] + self._quotes
        if len(index):
            self._in_string = bool(inside[-1])
            self._quotes += int(quotes[-1])
        if len(depth):
            self._depth = int(depth[-1])
        return result

    def _unmark_escaped(self, piece: NDArray[np.uint8], mark: NDArray[np.bool_]) -> None:
        """Take away the marks on escaped characters: those after an odd number of backslashes."""
        carried = self._escaped
        slashes = np.flatnonzero(piece == _BACKSLASH)
        if carried:
            mark[0] = False
            slashes = slashes[slashes > 0]
        self._escaped = False
        if not len(slashes):
            return
        first = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
        length = np.diff(first, append=len(slashes))
        escaped = slashes[first + length - 1][length % 2 == 1] + 1
        if escaped[-1:].tolist() == [len(piece)]:
            self._escaped = True
            escaped = escaped[:-1]
        mark[escaped] = False


class _Scanner:
    """Follows the members of the document over its blocks."""

    def __init__(self, name: str, elements: frozenset[str], kept: frozenset[str]) -> None:
        self._name, self._elements, self._kept = name, elements, kept
        self._key: str | None = None
        # The container that we are in or, between two, the one before.
        self._last: str | None = None
        self._opener = b"["
        self._done = False
        self._buffer = b""
        # Where in the buffer that begins which is not consumed yet.
        self._mark = 0
        self._read = 0
        # An element that has opened and not closed: where, and the quotes before it.
        self._open: tuple[int, int] | None = None

    def run(self, stream: BinaryIO, size: int) -> Iterator[Cut]:
        brackets = _Brackets()
        while not self._done and (block := stream.read(size)):
            base = len(self._buffer)
            self._buffer = self._buffer + block if base else block
            self._read += len(block)
            position, opens, depth, quotes = brackets.find(block)
            try:
                yield from self._block(position + base, opens, depth, quotes)
            except _BrokenError as broken:
                yield self._break(stream, str(broken))
                return
            self._drop()
        yield from self._end(stream)

    def _block(self, position: _Ints, opens: NDArray[np.bool_], depth: _Ints, quotes: _Ints) -> Iterator[Cut]:
        begins, ends = opens & (depth == 3), ~opens & (depth == 2)
        starts, start_quotes = position[begins], quotes[begins]
        if self._open is not None:
            starts = np.concatenate([[self._open[0]], starts])
            start_quotes = np.concatenate([[self._open[1]], start_quotes])
        stops, stop_quotes = position[ends] + 1, quotes[ends]
        self._open = (int(starts[-1]), int(start_quotes[-1])) if len(starts) > len(stops) else None
        starts, strings = starts[: len(stops)], (stop_quotes - start_quotes[: len(stops)]) // 2
        taken = 0
        for index in np.flatnonzero((opens & (depth <= 2)) | (~opens & (depth <= 1))).tolist():
            at, now = int(position[index]), int(depth[index])
            if opens[index] and now == 1:
                self._start(at)
            elif opens[index]:
                yield from self._enter(at)
            elif now == 1:
                upto = int(np.searchsorted(stops, at, side="right"))
                yield from self._leave(at, starts[taken:upto], stops[taken:upto], strings[taken:upto])
                taken = upto
            else:
                yield from self._members(self._buffer[self._mark : at])
                self._mark, self._done = at + 1, True
                return
        if self._key in self._elements and taken < len(stops):
            yield from self._cut(int(stops[-1]), starts[taken:], stops[taken:], strings[taken:])
        elif self._key is not None and self._key not in self._elements | self._kept:
            self._mark = len(self._buffer)

    def _start(self, at: int) -> None:
        if self._buffer[:at].removeprefix(_BOM).strip():
            raise _BrokenError("begins with something else")
        self._mark = at + 1

    def _enter(self, at: int) -> Iterator[Cut]:
        *members, (key, _) = self._parse(self._buffer[self._mark : at] + b"null")
        yield from self._plain(members)
        self._key = self._last = key
        self._mark, self._opener = at, self._buffer[at : at + 1]
        if key in self._elements:
            self._mark = at + 1
        elif key not in self._kept:
            yield Member(key, None)

    def _leave(self, at: int, starts: _Ints, stops: _Ints, strings: _Ints) -> Iterator[Cut]:
        key = self._key or ""
        closed = bool(self._buffer[at] == self._opener[0] + _PAIR)
        if key in self._elements:
            upto = at if closed else int(stops[-1]) if len(stops) else self._mark
            yield from self._cut(upto, starts, stops, strings, closed=closed)
        elif key in self._kept:
            yield Member(key, self._buffer[self._mark : at + 1])
        if not closed:
            raise _BrokenError("has a wrong bracket")
        self._key, self._mark = None, at + 1

    def _cut(
        self, upto: int, starts: _Ints, stops: _Ints, strings: _Ints, *, closed: bool = False
    ) -> Iterator[Elements]:
        """Give elements up to a place, or to the first whose brackets do not fit."""
        data = np.frombuffer(self._buffer, np.uint8)
        odd = np.flatnonzero(data[starts] + _PAIR != data[stops - 1])
        count = int(odd[0]) if len(odd) else len(starts)
        if len(odd):
            upto, closed = int(stops[count - 1]) if count else self._mark, False
        text = self._buffer[self._mark : upto]
        ranges = starts[:count] - self._mark, stops[:count] - self._mark
        yield Elements(self._key or "", text, *ranges, strings[:count], closed, self._opener)
        self._mark = upto
        if len(odd):
            raise _BrokenError("has a wrong bracket")

    def _members(self, text: bytes) -> Iterator[Cut]:
        yield from self._plain(self._parse(text))

    def _plain(self, members: list[tuple[str, Any]]) -> Iterator[Cut]:
        for key, value in members:
            yield Member(key, json.dumps(value).encode())

    def _parse(self, text: bytes) -> list[tuple[str, Any]]:
        """Parse members without brackets, and the name of the one that follows."""
        body = text.strip().removeprefix(b",").rstrip().removesuffix(b",")
        try:
            members: list[tuple[str, Any]] = json.loads(b"{" + body + b"}", object_pairs_hook=list)
        except (ValueError, RecursionError):
            raise _BrokenError("is broken between two members") from None
        return members

    def _drop(self) -> None:
        """Forget what is consumed."""
        self._buffer = self._buffer[self._mark :]
        if self._open is not None:
            self._open = (self._open[0] - self._mark, self._open[1])
        self._mark = 0
        if len(self._buffer) > LIMIT:
            self._refuse(f"One piece of the JSON is larger than {LIMIT >> 20} MiB.")

    def _break(self, stream: BinaryIO, reason: str) -> Torn:
        """Give everything from a break on."""
        rest = self._buffer[self._mark :]
        at = self._read - len(rest)
        rest += stream.read(LIMIT - len(rest) + 1)
        if len(rest) > LIMIT:
            self._refuse(f"The JSON {reason}, near byte {at:,}, and too much follows.")
        return Torn(self._last, rest, opener=self._opener, reason=f"{reason}, near byte {at:,}")

    def _end(self, stream: BinaryIO) -> Iterator[Cut]:
        rest = self._buffer[self._mark :]
        if not self._done:
            yield Torn(self._key, rest, opener=self._opener)
        elif rest := (rest + stream.read(1 << 20)).strip(b" \t\r\n\0"):
            yield Torn(None, rest, complete=True, reason="holds no records")

    def _refuse(self, what: str) -> NoReturn:
        raise LogRefused(what, where=self._name, fix="Check that the file is complete; export or fetch it again.")
