"""XML as a stream, safely: what the XML readers share.

A `Walker` says which elements there are, by state; `walk` pushes a file through expat into it, piece by piece. Here is
everything that a hostile or broken file is stopped by: encodings, DOCTYPEs, depth, long tokens, and picking up again
after a record that is not well formed. What the elements mean is the readers' business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, NoReturn
from xml.parsers import expat

from ocelake.errors import LogRefused
from ocelake.ocel.input import Input
from ocelake.ocel.xml_encoding import Utf8Text

__all__ = ["BLOCK", "DEPTH", "RAW", "Grammar", "Walker", "walk"]

Grammar = Mapping[str, Mapping[str, str]]
"""State -> name of a child element (``*``: any other) -> the state inside of it. No entry: no children."""

BLOCK: Final = 1 << 22
"""Bytes read at once."""

DEPTH: Final = 1000
"""Elements may be nested this deep."""

RAW: Final = 1 << 20
"""Bytes kept of the text of a record that cannot be read."""

_TOKEN: Final = 1 << 28
_NEVER: Final = re.compile(rb"(?!)")


class Walker:
    """Follows a document's elements through the states of its grammar; a reader subclasses it.

    For a state ``x``, ``enter_x(name, attributes)`` is called with an element's name and XML attributes, ``leave_x()``
    at its end, or ``leave_x(text)`` where `texts` has the state. An element that the grammar does not have is passed
    over with all that it holds, after a call of `unknown`.

    Attributes
    ----------
    grammar : Grammar
        The states; the first is ``"document"``.
    texts : frozenset of str
        States whose text matters.
    sections : dict of str to pattern
        States in which reading goes on after an error, and what to look for. A match of the pattern's group ``past`` is
        left behind, any other match is where reading goes on.
    records : frozenset of str
        States of a record, whose source text is wanted should it turn out not to be well formed.
    rests : pattern, optional
        For readers with a `shortcut`: where a section may be at rest. None: there is no shortcut.
    """

    grammar: ClassVar[Grammar] = {}
    texts: ClassVar[frozenset[str]] = frozenset()
    sections: ClassVar[Mapping[str, re.Pattern[bytes]]] = {}
    records: ClassVar[frozenset[str]] = frozenset()
    rests: ClassVar[re.Pattern[bytes] | None] = None

    def __init__(self, source: Input) -> None:
        self.source = source
        self.state = "document"
        self.mark: int | None = None
        self._stack: list[tuple[str, str]] = []
        states = {"document", *(inner for children in self.grammar.values() for inner in children.values())}
        self._children = {state: dict(self.grammar.get(state, {})) for state in states}
        self._enter: dict[str, Callable[[str, dict[str, str]], None]] = {
            state: getattr(self, f"enter_{state}") for state in states if hasattr(self, f"enter_{state}")
        }
        self._leave: dict[str, Callable[..., None]] = {
            state: getattr(self, f"leave_{state}") for state in states if hasattr(self, f"leave_{state}")
        }
        self._text: list[str] = []
        self.attach(0)

    # --- what readers say

    def has_records(self) -> bool:
        """Tell whether a record was read so far."""
        raise NotImplementedError

    def defect(self, reason: str, raw: str) -> None:
        """Note that the open record, or what is between two records, cannot be read; `state` is its section's."""
        raise NotImplementedError

    def resume_at(self) -> re.Pattern[bytes]:
        """Give what reading goes on at after an error in the open record, or between two; `state` is its section's."""
        return self.sections[self.state]

    def unknown(self, name: str, attributes: dict[str, str]) -> None:
        """Note an element that the grammar does not have in this `state`."""

    def whole_records(self, data: bytes) -> int:
        """Count the bytes at the start of ``data`` that are whole records; 0: more is needed; -1: no more of them."""
        return -1

    def shortcut(self, data: bytes) -> bool:
        """Take whole records, if they have the usual shape; False leaves them to expat."""
        return False

    def refuse(self, what: str, fix: str = "Export the log again.") -> NoReturn:
        """Refuse the document."""
        raise LogRefused(what, where=self.source.name, fix=fix)

    @property
    def outer(self) -> str:
        """The state around that of the present element."""
        return self._stack[-1][0]

    @property
    def element(self) -> str:
        """The present element's name, as the source writes it."""
        return self._stack[-1][1]

    # --- what `walk` asks

    def attach(self, start: int) -> None:
        """Take a new parser, whose first byte is at ``start`` of the source, inside of the elements open now."""
        prefix = "".join(f"<{name}>" for _, name in self._stack).encode()
        parser = expat.ParserCreate("UTF-8")
        parser.Parse(prefix, False)
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        parser.StartCdataSectionHandler = self._start_literal
        parser.EndCdataSectionHandler = self._end_literal
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        self.parser, self._shift = parser, start - len(prefix)
        self._text.clear()
        self._skipped, self._literal, self.mark = 0, False, None

    def pass_over(self, count: int) -> None:
        """Take note that the parser does not see the next ``count`` bytes of the source."""
        self._shift += count

    def place(self, index: int) -> int:
        """Give the place in the source of a byte index of the parser's."""
        return index + self._shift

    def between_records(self) -> bool:
        """Tell whether the elements that the parser has seen end in a section, with no record open."""
        return self.state in self.sections and not self._literal and not self._skipped

    def unwind(self) -> bool:
        """Go back to the innermost section; False where there is none."""
        while self.state not in self.sections and self._stack:
            self.state = self._stack.pop()[0]
        return self.state in self.sections

    # --- what expat calls

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        children = self._children[self.state]
        inner = children.get(name)
        if inner is None:
            inner = children.get(name.rpartition(":")[2]) or children.get("*")
            if inner is None:
                self._skip(name, attributes)
                return
            children[name] = inner
        self._stack.append((self.state, name))
        if len(self._stack) > DEPTH:
            self._too_deep()
        self.state = inner
        if inner in self.records:
            self.mark = self.place(self.parser.CurrentByteIndex)
        if inner in self.texts:
            self.parser.CharacterDataHandler = self._text.append
        if inner in self._enter:
            self._enter[inner](name, attributes)

    def _end(self, name: str) -> None:
        state = self.state
        if state in self.texts:
            self.parser.CharacterDataHandler = None
            self._leave[state]("".join(self._text))
            self._text.clear()
        elif state in self._leave:
            self._leave[state]()
        if state in self.records:
            self.mark = None
        self.state = self._stack.pop()[0]

    def _skip(self, name: str, attributes: dict[str, str]) -> None:
        self.unknown(name.rpartition(":")[2], attributes)
        self._skipped = 1
        self.parser.StartElementHandler = self._skip_start
        self.parser.EndElementHandler = self._skip_end
        self.parser.CharacterDataHandler = None

    def _skip_start(self, name: str, attributes: dict[str, str]) -> None:
        self._skipped += 1
        if self._skipped > DEPTH:
            self._too_deep()

    def _skip_end(self, name: str) -> None:
        self._skipped -= 1
        if not self._skipped:
            self.parser.StartElementHandler = self._start
            self.parser.EndElementHandler = self._end
            if self.state in self.texts:
                self.parser.CharacterDataHandler = self._text.append

    def _start_literal(self) -> None:
        self._literal = True

    def _end_literal(self) -> None:
        self._literal = False

    def _too_deep(self) -> NoReturn:
        self.refuse(f"The XML nests elements more than {DEPTH:,} deep.", "No log does; check where the file is from.")

    def _doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> None:
        if system or public or internal:
            self.refuse(
                "The XML has a DOCTYPE that declares entities or refers to another file; neither is ever followed.",
                "Remove the DOCTYPE, and write out what its entities stand for.",
            )

    def _entity(self, *_: Any) -> None:
        self.refuse("The XML declares entities; they are never expanded.", "Write out what they stand for.")


def walk(source: Input, walker: Walker, block: int = BLOCK) -> Iterator[None]:
    """Push a document through a walker.

    Yields after each piece, so that the caller can hand on what was read. What is not well formed becomes a `malformed`
    record, from the start of the record it is in (or of the tag, between records) to where its section goes on; where
    the file ends too early, what is left is one `truncated` record.

    Raises
    ------
    LogRefused
        Where there is no XML, or an error and no record; also for DOCTYPEs with declarations, unknown encodings,
        elements nested too deep, and single tags of more than 256 MB.
    """
    with source.stream() as stream:
        yield from _Walk(Utf8Text(stream, source.name, block), walker, block).run()


class _Walk:
    """One pass over a document."""

    def __init__(self, text: Utf8Text, walker: Walker, block: int) -> None:
        self._input, self._walker, self._block = text, walker, block
        self._offset = 0  # place in the source of the first byte not handed on
        self._kept, self._kept_at = b"", 0  # text of the open record so far, and its place
        self._lost: re.Pattern[bytes] | None = None  # what is looked for after an error
        self._raw, self._tail = b"", b""  # text since the error, and the last bytes of it, to be looked at again
        self._fault = ""

    def run(self) -> Iterator[None]:
        pending, ended = b"", False
        while not ended:
            torn = self._torn()
            if torn > _TOKEN:
                self._walker.refuse(f"The XML has a single tag of more than {_TOKEN:,} bytes.")
            # As much again as expat waits with: it scans an unfinished tag anew each time, so this stays linear.
            data = self._input.read(max(self._block, torn))
            pending, ended = pending + data, not data
            while pending:
                size = self._next_piece(pending, ended)
                if size == 0:
                    break
                pending = self._hand_on(pending[:size]) + pending[size:]
                yield
        self._finish()
        yield

    def _torn(self) -> int:
        """Count the bytes of an unfinished tag that expat waits with."""
        return 0 if self._lost else self._offset - self._walker.place(self._walker.parser.CurrentByteIndex)

    def _at_rest(self) -> bool:
        return not self._lost and self._walker.between_records() and self._torn() == 0

    def _next_piece(self, pending: bytes, ended: bool) -> int:
        rests = self._walker.rests
        if rests is None or self._lost:
            return len(pending)
        if self._at_rest():
            size = self._walker.whole_records(pending)
            if size > 0:
                return size
            if size == 0 and not ended and len(pending) < 4 * self._block:
                return 0
        match = rests.search(pending)
        return match.end() if match else len(pending)

    def _hand_on(self, piece: bytes) -> bytes:
        """Hand a piece to the shortcut or to expat; gives what has to be handed on again after an error."""
        walker = self._walker
        if self._lost:
            return self._seek(piece, 0)
        if walker.rests and self._at_rest() and walker.shortcut(piece):
            walker.pass_over(len(piece))
            self._offset += len(piece)
            self._kept = b""
            return b""
        try:
            walker.parser.Parse(piece, False)
        except expat.ExpatError as error:
            return self._recover(piece, error)
        self._keep(piece)
        self._offset += len(piece)
        return b""

    def _keep(self, piece: bytes) -> None:
        """Hold on to the text of the open record, or else of the unfinished tag, as far as RAW."""
        start = self._walker.mark
        if start is None:
            start = self._walker.place(self._walker.parser.CurrentByteIndex)
        if start >= self._offset:
            self._kept, self._kept_at = piece[start - self._offset :][:RAW], start
        else:
            self._kept = (self._kept[start - self._kept_at :] + piece[:RAW])[:RAW]
            self._kept_at = start

    def _recover(self, piece: bytes, error: expat.ExpatError) -> bytes:
        walker = self._walker
        place = walker.place(walker.parser.ErrorByteIndex)
        self._fault = self._fault or f"{expat.ErrorString(error.code)}, at byte {place:,}"
        found = max(place - self._offset, 0)
        start = walker.mark
        if start is None:
            # Between two records: from where the tag at fault begins, or else from the end of the one before.
            tag = max(piece.rfind(b"<", 0, found + 1), piece.rfind(b">", 0, found) + 1, 0)
            start = self._offset + tag
        if start < self._offset:
            self._raw = self._kept[start - self._kept_at :]
            piece_start = 0
        else:
            self._raw = b""
            piece_start = start - self._offset
        in_section = walker.unwind()
        if not in_section and not walker.has_records():
            walker.refuse(f"The file is not well-formed XML: {self._fault}.", "Export the log again, or correct it.")
        self._lost = walker.resume_at() if in_section else _NEVER
        self._offset += piece_start
        return self._seek(piece[piece_start:], found + 1 - piece_start)

    def _seek(self, piece: bytes, start: int) -> bytes:
        """Look for where the section goes on; gives the bytes from there."""
        walker = self._walker
        assert self._lost is not None
        piece = self._tail + piece
        match = self._lost.search(piece, start)
        if match is None:
            # A tag that goes on could be cut by the end of this piece.
            self._tail = piece[max(start, len(piece) - 64) :]
            seen = len(piece) - len(self._tail)
            self._raw = (self._raw + piece[: min(seen, RAW)])[:RAW]
            self._offset += seen
            return b""
        self._tail = b""
        end = match.end() if match.lastgroup == "past" else match.start()
        walker.defect("malformed", _decoded(self._raw + piece[: min(end, RAW)]))
        self._offset += end
        self._lost = None
        walker.attach(self._offset)
        return piece[end:]

    def _finish(self) -> None:
        walker = self._walker
        if self._lost:
            walker.defect("malformed", _decoded(self._raw + self._tail))
        else:
            try:
                walker.parser.Parse(b"", True)
            except expat.ExpatError as error:
                self._fault = self._fault or f"{expat.ErrorString(error.code)}, at byte {self._offset:,}"
                if not walker.has_records():
                    walker.refuse(f"The XML ends too early: {self._fault}.", "Fetch or export the whole file again.")
                walker.unwind()
                walker.defect("truncated", _decoded(self._kept))
        if self._fault and not walker.has_records():
            walker.refuse(f"The file is not well-formed XML: {self._fault}.", "Export the log again, or correct it.")


def _decoded(raw: bytes) -> str:
    """Give the text of what may not be UTF-8; NUL, which no table takes, as its replacement."""
    return raw[:RAW].decode("utf-8", "replace").replace("\x00", "\ufffd")
