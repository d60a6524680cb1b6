"""A quick way through OCEL 2.0 XML of the usual shape: whole slices of a section at once, with numpy.

A slice of ``<event>`` or ``<object>`` elements is taken apart here only if every byte of it is accounted for: each tag
equals one of the usual tags but for what is between its quotes, the tags in their order match a regular expression,
and what is between them is white space, or the text of an attribute. Anything else (comments, CDATA, single quotes,
other elements, character references, errors) gives None, and the slice goes to expat. So this way never decides what a
document means; it is a shorter way to the same rows, and a test holds them equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from ocelake.ocel.values import value_type
from ocelake.ocel.xml_columns import record_frame

__all__ = ["take_records"]

Numbers = np.ndarray[Any, np.dtype[Any]]

_LT, _GT, _QUOTE = b'<>"'
_SPACE: Final = b" \t\r\n"
_ENTITIES: Final = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}
_ENTITY: Final = re.compile(rb"&(?:amp|lt|gt|quot|apos);")
_STRUCTURE: Final = bytes(byte in b'<>"' for byte in range(256))

# One letter per tag: E/X record open/closed at once, A B attributes, O P objects, V W attribute, R Q relation; small
# letters are end tags.
_PLAIN: Final = {
    b"attributes": b"A",
    b"attributes/": b"B",
    b"attributes /": b"B",
    b"/attributes": b"a",
    b"objects": b"O",
    b"objects/": b"P",
    b"objects /": b"P",
    b"/objects": b"o",
    b"/attribute": b"v",
    b"/relationship": b"q",
}
_SHAPE: Final = re.compile(rb"(?:E(?:A(?:Vv|W)*a|B|O(?:R|Qq)*o|P)*e|X)*")


@dataclass(frozen=True, slots=True)
class _Tag:
    """A start tag with XML attributes: its name, their names in order, and its letters when open and closed."""

    name: bytes
    keys: tuple[bytes, ...]
    letters: bytes

    def gaps(self) -> list[bytes]:
        """Give what is before each value, up to its quote."""
        return [self.name + b" " + self.keys[0] + b"=", *(b" " + key + b"=" for key in self.keys[1:])]


_EVENT: Final = [_Tag(b"event", keys, b"EX") for keys in ((b"id", b"type", b"time"), (b"id", b"time", b"type"))]
_OBJECT: Final = [_Tag(b"object", keys, b"EX") for keys in ((b"id", b"type"), (b"type", b"id"))]
_INNER: Final = [
    *(_Tag(b"relationship", keys, b"QR") for keys in ((b"object-id", b"qualifier"), (b"qualifier", b"object-id"))),
    *(
        _Tag(b"attribute", keys, b"VW")
        for keys in (
            (b"name", b"time"),
            (b"name",),
            (b"time", b"name"),
            (b"name", b"time", b"type"),
            (b"name", b"type"),
        )
    ),
]
_TAGS: Final = {"event": _EVENT + _INNER, "object": _OBJECT + _INNER}


def take_records(data: bytes, kind: str, position: int) -> pl.DataFrame | None:
    """Take a slice of whole records apart.

    Parameters
    ----------
    data : bytes
        ``<event>`` or ``<object>`` elements, and white space.
    kind : {"event", "object"}
        Which.
    position : int
        The position of the first record.

    Returns
    -------
    DataFrame or None
        The records; None where the slice is not wholly of the usual shape.
    """
    slice_ = _Slice.cut(data)
    return None if slice_ is None else _Reading(slice_, kind).frame(position)


@dataclass(frozen=True, slots=True)
class _Slice:
    """A slice's bytes, and where its tags and quotes are.

    Attributes
    ----------
    data : bytes
        The slice.
    padded : array of bytes
        The same, with zeros behind, so that words may be loaded at every place.
    words : array
        The eight bytes at every place, as a number.
    marks : array
        Places of all ``<``, ``>`` and ``"``.
    first : array
        For each tag, which of `marks` is its ``<``; the next ones are its quotes, then its ``>``.
    starts, ends : array
        Places of each tag's ``<`` and ``>``.
    quotes : array
        How many quotes each tag has.
    escaped : bool
        Whether there are entities.
    """

    data: bytes
    padded: Numbers
    words: Numbers
    marks: Numbers
    first: Numbers
    starts: Numbers
    ends: Numbers
    quotes: Numbers
    escaped: bool

    @classmethod
    def cut(cls, data: bytes) -> _Slice | None:
        size = len(data)
        ampersands = data.count(b"&")
        if ampersands and len(_ENTITY.findall(data)) != ampersands:
            return None
        if not data.isascii():
            try:
                data.decode("utf-8")
            except UnicodeDecodeError:
                return None
            if b"\xef\xbf\xbe" in data or b"\xef\xbf\xbf" in data:
                return None
        padded = np.zeros((size // 8 + 6) * 8, dtype=np.uint8)
        padded[:size] = np.frombuffer(data, dtype=np.uint8)
        marks = np.flatnonzero(np.frombuffer(data.translate(_STRUCTURE), dtype=np.bool_))
        kinds = padded[marks]
        first, last = np.flatnonzero(kinds == _LT), np.flatnonzero(kinds == _GT)
        if len(first) != len(last) or not len(first) or first[0] != 0:
            return None
        if not (first < last).all() or not (last[:-1] < first[1:]).all() or last[-1] != len(marks) - 1:
            return None
        words = np.ndarray((size + 32,), dtype="<u8", buffer=padded.data, strides=(1,))
        return cls(data, padded, words, marks, first, marks[first], marks[last], last - first - 1, ampersands > 0)

    def equal(self, places: Numbers, text: bytes) -> Numbers:
        """Tell at which places a text stands."""
        same = np.ones(len(places), dtype=np.bool_)
        for offset in range(0, len(text), 8):
            part = text[offset : offset + 8]
            word = self.words[places + offset]
            if len(part) < 8:
                word = word & np.uint64((1 << (8 * len(part))) - 1)
            same &= word == np.uint64(int.from_bytes(part, "little"))
        return same

    def strings(self, starts: Numbers, sizes: Numbers) -> Any:
        """Give an Arrow array of the texts at some places; a size of -1 is null."""
        present = sizes >= 0
        known = bool(present.all())
        if not known:
            starts, sizes = np.where(present, starts, 0), np.where(present, sizes, 0)
        head = self.words[starts]
        views = np.empty((len(starts), 2), dtype=np.uint64)
        size = sizes.astype(np.uint64)
        # A view has the size, then up to 12 bytes of text, or else 4 bytes, the buffer's number and the place in it.
        short = np.minimum(size, np.uint64(4))
        views[:, 0] = size | ((head & _MASKS[short]) << np.uint64(32))
        tail = self.words[starts + 4] & _MASKS[np.clip(sizes - 4, 0, 8)]
        views[:, 1] = np.where(sizes <= 12, tail, starts.astype(np.uint64) << np.uint64(32))
        bitmap = None if known else pa.py_buffer(np.packbits(present, bitorder="little"))
        array = pa.Array.from_buffers(
            pa.string_view(), len(starts), [bitmap, pa.py_buffer(views), pa.py_buffer(self.padded)]
        )
        if not self.escaped:
            return array
        series = pl.Series(pl.from_arrow(array))
        if not series.str.contains("&", literal=True).any():
            return array
        plain = series.str.replace_many(list(_ENTITIES), list(_ENTITIES.values()))
        return plain.to_arrow(compat_level=pl.CompatLevel.newest())


_MASKS: Final = np.array([(1 << (8 * size)) - 1 for size in range(9)], dtype=np.uint64)


class _Reading:
    """The tags of a slice, told apart."""

    def __init__(self, slice_: _Slice, kind: str) -> None:
        self._slice, self._kind = slice_, kind
        self._letters = np.zeros(len(slice_.starts), dtype=np.uint8)
        self._places: dict[bytes, tuple[Numbers, Numbers]] = {}

    def frame(self, position: int) -> pl.DataFrame | None:
        self._name_plain_tags()
        for tag in _TAGS[self._kind]:
            self._name_tags(tag)
        if not self._letters.all() or _SHAPE.fullmatch(self._letters.tobytes()) is None or not self._blank_between():
            return None
        return self._build(position)

    def _name_plain_tags(self) -> None:
        slice_ = self._slice
        plain = np.flatnonzero(slice_.quotes == 0)
        starts = slice_.starts[plain] + 1
        sizes = slice_.ends[plain] - starts
        for text, letter in {**_PLAIN, b"/" + self._kind.encode(): b"e"}.items():
            some = np.flatnonzero(sizes == len(text))
            if len(some):
                some = some[slice_.equal(starts[some], text)]
                self._letters[plain[some]] = letter[0]

    def _name_tags(self, tag: _Tag) -> None:
        slice_ = self._slice
        gaps = tag.gaps()
        left = np.flatnonzero((slice_.quotes == 2 * len(gaps)) & (self._letters == 0))
        if not len(left):
            return
        first = slice_.first[left]
        place = slice_.starts[left] + 1
        same = np.ones(len(left), dtype=np.bool_)
        values = []
        for number, gap in enumerate(gaps):
            opening = slice_.marks[first + 1 + 2 * number]
            same &= opening - place == len(gap)
            same &= slice_.equal(place, gap)
            place = slice_.marks[first + 2 + 2 * number] + 1
            values.append((opening + 1, place - 1))
        rest = slice_.ends[left] - place
        closed = ((rest == 1) & slice_.equal(place, b"/")) | ((rest == 2) & slice_.equal(place, b" /"))
        same &= (rest == 0) | closed
        found = left[same]
        self._letters[found] = np.where(closed[same], tag.letters[1], tag.letters[0])
        for key, (start, end) in zip(tag.keys, values, strict=True):
            starts, sizes = self._field(tag.letters + key)
            starts[found] = start[same]
            sizes[found] = (end - start)[same]

    def _field(self, key: bytes) -> tuple[Numbers, Numbers]:
        """Give where one XML attribute of a kind of tag is, and how long, for each tag; -1: not there."""
        if key not in self._places:
            count = len(self._letters)
            self._places[key] = np.zeros(count, dtype=np.int64), np.full(count, -1, dtype=np.int64)
        return self._places[key]

    def _blank_between(self) -> bool:
        """Check that there is white space alone between tags, and no control character anywhere else."""
        slice_ = self._slice
        starts = np.append(0, slice_.ends + 1)
        ends = np.append(slice_.starts, len(slice_.data))
        texts = np.append(False, self._letters == ord("V"))
        sizes = ends - starts
        usual, controls = self._indentation(starts, sizes)
        odd = np.flatnonzero(~usual & ~texts & (sizes > 0))
        inside = int(controls[usual & ~texts].sum())
        for start, end in zip(starts[odd].tolist(), ends[odd].tolist(), strict=True):
            text = slice_.data[start:end]
            if text.strip(_SPACE):
                return False
            inside += len(text) - text.count(b" ")
        # Those between tags are all there are: none in a value, where expat would change or refuse it.
        return int(np.count_nonzero(slice_.padded[: len(slice_.data)] < 32)) == inside

    def _indentation(self, starts: Numbers, sizes: Numbers) -> tuple[Numbers, Numbers]:
        """Tell which texts are a new line and then nothing but the slice's way to indent; counts control characters."""
        slice_ = self._slice
        line = b"\r\n" if slice_.data.find(b"\r\n", 0, 1 << 12) >= 0 else b"\n"
        step = b"\t" if slice_.data.find(b"\n\t", 0, 1 << 12) >= 0 else b" "
        whole = line + 16 * step
        usual = (sizes >= len(line)) & (sizes <= 16)
        head = int.from_bytes(whole[:8], "little")
        mask = _MASKS[np.clip(sizes, 0, 8)]
        usual &= (slice_.words[starts] & mask) == (np.uint64(head) & mask)
        more = np.flatnonzero(usual & (sizes > 8))
        tail = np.uint64(int.from_bytes(8 * step, "little")) & _MASKS[np.clip(sizes[more] - 8, 0, 8)]
        usual[more] &= (slice_.words[starts[more] + 8] & _MASKS[np.clip(sizes[more] - 8, 0, 8)]) == tail
        return usual, sizes if step == b"\t" else np.full(len(sizes), len(line))

    def _build(self, position: int) -> pl.DataFrame:
        slice_, letters = self._slice, self._letters
        records = np.flatnonzero((letters == ord("E")) | (letters == ord("X")))
        values = np.flatnonzero((letters == ord("V")) | (letters == ord("W")))
        relations = np.flatnonzero((letters == ord("R")) | (letters == ord("Q")))
        columns = {f"{self._kind}_id": self._texts(b"EXid", records)}
        if self._kind == "event":
            columns |= {"activity": self._texts(b"EXtype", records), "time": self._texts(b"EXtime", records)}
        else:
            columns["object_type"] = self._texts(b"EXtype", records)
        after = slice_.ends[values] + 1
        following = np.append(slice_.starts, len(slice_.data))[values + 1]
        sizes = np.where(letters[values] == ord("V"), following - after, 0)
        return record_frame(
            self._kind,
            len(records),
            position,
            columns,
            (
                self._texts(b"VWname", values),
                self._texts(b"VWtime", values),
                slice_.strings(after, sizes),
                self._kinds(values),
            ),
            np.append(np.searchsorted(values, records), len(values)),
            (self._texts(b"QRobject-id", relations), self._texts(b"QRqualifier", relations)),
            np.append(np.searchsorted(relations, records), len(relations)),
        )

    def _texts(self, key: bytes, tags: Numbers) -> Any:
        if key not in self._places:
            return pa.nulls(len(tags), pa.string_view())
        starts, sizes = self._places[key]
        return self._slice.strings(starts[tags], sizes[tags])

    def _kinds(self, values: Numbers) -> Any:
        """Give the value types that attributes tell, as far as they do."""
        told = self._texts(b"VWtype", values)
        if told.null_count == len(told):
            return told
        return pa.array([None if name is None else value_type(name) for name in told.to_pylist()], pa.large_string())
