"""Readers of OCEL 2.0 XML and OCEL 1.0 XML.

What the elements of these two formats mean. Streaming, safety and recovery are in `ocelake.ocel.xml_stream`; the quick
way through documents of the usual shape in `ocelake.ocel.xml_fast`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

import orjson
import polars as pl

from ocelake.errors import LogRefused
from ocelake.ocel.input import Input
from ocelake.ocel.records import Declarations, ReaderOutput, Records
from ocelake.ocel.values import value_type
from ocelake.ocel.xml_columns import RecordColumns
from ocelake.ocel.xml_fast import take_records
from ocelake.ocel.xml_stream import BLOCK, Grammar, Walker, walk
from ocelake.ocel.xml_typed import TYPED, Typed, TypedWalker

__all__ = ["CHUNK", "read_ocel1_xml", "read_ocel2_xml"]

CHUNK: Final = 50_000
"""Records in a chunk, about."""

_OCEL1_FIELDS: Final = frozenset({"id", "activity", "timestamp", "type"})


def read_ocel2_xml(source: Input, *, block: int = BLOCK) -> ReaderOutput:
    """Read an OCEL 2.0 XML log.

    Sections may come in any order and more than once, in a default namespace or a prefixed one. ``<object object-id>``
    and ``<relobj object-id>``, as drafts of the standard had them, are relations as ``<relationship>`` is. An attribute
    value may tell its own ``type`` where it differs from the declared one. Other elements and XML attributes are
    ignored, and named in the metadata.

    Parameters
    ----------
    source : Input
        The file, plain or gzipped.
    block : int
        Bytes read at once.

    Yields
    ------
    Records or Declarations
        Chunks of records, the declarations last.

    Raises
    ------
    LogRefused
        Where the file is no XML, has no OCEL 2.0 section, or is not safe to read.
    """
    return _read(_Ocel2(source), source, block)


def read_ocel1_xml(source: Input, *, block: int = BLOCK) -> ReaderOutput:
    """Read an OCEL 1.0 XML log.

    Values keep the type of their element (``<date>``, ``<int>``, ...). A nested ``<list>`` whose members have one key
    among them is a list, one with several keys a map; so is a ``<container>``. Both become JSON text.

    Parameters
    ----------
    source : Input
        The file, plain or gzipped.
    block : int
        Bytes read at once.

    Yields
    ------
    Records or Declarations
        Chunks of records, the declarations last.

    Raises
    ------
    LogRefused
        Where the file is no XML, has no OCEL 1.0 section, or is not safe to read.
    """
    return _read(_Ocel1(source), source, block)


def _read(walker: _Ocel, source: Input, block: int) -> ReaderOutput:
    for _ in walk(source, walker, block):
        if walker.waiting() >= CHUNK:
            yield walker.take()
    if not walker.known:
        raise LogRefused(
            f"The XML has none of the sections of an {walker.format} log.",
            where=source.name,
            fix="Give the log itself, not a description of it.",
        )
    if walker.waiting():
        yield walker.take()
    yield walker.declarations()


class _Ocel(Walker):
    """What the two formats share: sections of events and objects, and columns that they fill."""

    format: ClassVar[str]
    sections: ClassVar[Mapping[str, re.Pattern[bytes]]] = {
        "log": re.compile(rb"<(?:\w+:)?events[\s/>]|</(?:\w+:)?log\s*>"),
        "events": re.compile(rb"(?P<past></(?:\w+:)?event\s*>)|<(?:\w+:)?event[\s/>]|</(?:\w+:)?events\s*>"),
        "objects": re.compile(rb"(?P<past></(?:\w+:)?object\s*>)|<(?:\w+:)?object\s+id|</(?:\w+:)?objects\s*>\s*<"),
    }
    records: ClassVar[frozenset[str]] = frozenset({"event", "object"})

    def __init__(self, source: Input) -> None:
        super().__init__(source)
        self.events = RecordColumns("event")
        self.objects = RecordColumns("object")
        self.event_types: dict[str, dict[str, str]] = {}
        self.object_types: dict[str, dict[str, str]] = {}
        self.metadata: dict[str, str] = {}
        self.ignored: dict[str, int] = {}
        self.known = False
        self._columns = self.events
        self._good = False

    def has_records(self) -> bool:
        return self._good

    def defect(self, reason: str, raw: str) -> None:
        (self.objects if self.state == "objects" else self.events).defect(reason, raw)

    def unknown(self, name: str, attributes: dict[str, str]) -> None:
        self._ignore(f"ignored:element:{name}")

    def _ignore(self, name: str) -> None:
        self.ignored[name] = self.ignored.get(name, 0) + 1

    def waiting(self) -> int:
        """Count the records not taken yet."""
        return len(self.events) + len(self.objects)

    def take(self) -> Records:
        """Give the records read so far as a chunk."""
        return Records(self.events.take(), self.objects.take())

    def declarations(self) -> Declarations:
        """Give what the document said about itself."""
        ignored = {name: str(count) for name, count in self.ignored.items()}
        return Declarations(self.event_types, self.object_types, self.metadata | ignored)

    def enter_events(self, name: str, attributes: dict[str, str]) -> None:
        self.known = True
        self._columns = self.events

    def enter_objects(self, name: str, attributes: dict[str, str]) -> None:
        self.known = True
        self._columns = self.objects


_RELATIONS: Final = {"relationship": "relation", "object": "relation", "relobj": "relation"}
_TYPE: Final = frozenset({"name"})
_TYPE_ATTRIBUTE: Final = frozenset({"name", "type"})
_EVENT: Final = frozenset({"id", "type", "time"})
_OBJECT: Final = frozenset({"id", "type"})
_VALUE: Final = frozenset({"name", "time", "type"})
_RELATION: Final = frozenset({"object-id", "qualifier"})


class _Ocel2(_Ocel):
    """OCEL 2.0 XML."""

    format = "OCEL 2.0"
    grammar: ClassVar[Grammar] = {
        "document": {"log": "log", "ocel": "log"},
        "log": {
            "object-types": "object_types",
            "event-types": "event_types",
            "objects": "objects",
            "events": "events",
        },
        "object_types": {"object-type": "type"},
        "event_types": {"event-type": "type"},
        "type": {"attributes": "type_attributes"},
        "type_attributes": {"attribute": "type_attribute"},
        "objects": {"object": "object"},
        "object": {"attributes": "values", "objects": "relations"},
        "events": {"event": "event"},
        "event": {"attributes": "values", "objects": "relations"},
        "values": {"attribute": "value"},
        "relations": _RELATIONS,
    }
    texts = frozenset({"value"})
    rests = re.compile(rb"<(?:events|objects)[^<>]*>|</(?:events|objects|event|object)\s*>")

    def __init__(self, source: Input) -> None:
        super().__init__(source)
        self._frames: dict[str, list[pl.DataFrame]] = {"event": [], "object": []}
        self._types = self.event_types
        self._type: dict[str, str] = {}
        self._record: dict[str, str] = {}
        self._value: dict[str, str] = {}

    def whole_records(self, data: bytes) -> int:
        if self.state == "events":
            limit, end = data.find(b"</events"), b"</event>"
        elif self.state == "objects":
            limit, end = data.find(b"<event"), b"</object>"
        else:
            return -1
        cut = data.rfind(end, 0, len(data) if limit < 0 else limit)
        if cut >= 0:
            return cut + len(end)
        return 0 if limit < 0 else -1

    def shortcut(self, data: bytes) -> bool:
        columns = self._columns
        frame = take_records(data, columns.kind, columns.position + len(columns))
        if frame is None:
            return False
        frames = self._frames[columns.kind]
        if len(columns):
            frames.append(columns.take())
        frames.append(frame)
        columns.position += frame.height
        self._good = True
        return True

    def waiting(self) -> int:
        return super().waiting() + sum(frame.height for frames in self._frames.values() for frame in frames)

    def take(self) -> Records:
        rest = super().take()
        events, objects = (
            pl.concat([*frames, last])
            for frames, last in zip(self._frames.values(), (rest.events, rest.objects), strict=True)
        )
        for frames in self._frames.values():
            frames.clear()
        return Records(events, objects)

    def enter_log(self, name: str, attributes: dict[str, str]) -> None:
        self.metadata |= {key: text for key, text in attributes.items() if not key.startswith("xmlns")}

    def enter_object_types(self, name: str, attributes: dict[str, str]) -> None:
        self.known = True
        self._types = self.object_types

    def enter_event_types(self, name: str, attributes: dict[str, str]) -> None:
        self.known = True
        self._types = self.event_types

    def enter_type(self, name: str, attributes: dict[str, str]) -> None:
        self._check(name, attributes, _TYPE)
        declared = attributes.get("name")
        self._type = {} if declared is None else self._types.setdefault(declared, {})

    def enter_type_attribute(self, name: str, attributes: dict[str, str]) -> None:
        self._check(name, attributes, _TYPE_ATTRIBUTE)
        if "name" in attributes:
            self._type[attributes["name"]] = value_type(attributes.get("type"))

    def enter_event(self, name: str, attributes: dict[str, str]) -> None:
        self._check(name, attributes, _EVENT)
        self._record = attributes

    def enter_object(self, name: str, attributes: dict[str, str]) -> None:
        self._check(name, attributes, _OBJECT)
        self._record = attributes

    def enter_value(self, name: str, attributes: dict[str, str]) -> None:
        self._check(name, attributes, _VALUE)
        self._value = attributes

    def leave_value(self, text: str) -> None:
        given = self._value
        kind = given.get("type")
        self._columns.attribute(given.get("name"), given.get("time"), text, None if kind is None else value_type(kind))

    def enter_relation(self, name: str, attributes: dict[str, str]) -> None:
        self._check(name, attributes, _RELATION)
        self._columns.relation(attributes.get("object-id"), attributes.get("qualifier"))

    def leave_event(self) -> None:
        record = self._record
        self.events.close(record.get("id"), record.get("type"), record.get("time"))
        self._good = True

    def leave_object(self) -> None:
        record = self._record
        self.objects.close(record.get("id"), record.get("type"))
        self._good = True

    def _check(self, element: str, attributes: dict[str, str], known: frozenset[str]) -> None:
        for name in sorted(attributes.keys() - known):
            if not name.startswith("xmlns"):
                self._ignore(f"ignored:attribute:{element}.{name}")


class _Ocel1(_Ocel, TypedWalker):
    """OCEL 1.0 XML."""

    format = "OCEL 1.0"
    grammar: ClassVar[Grammar] = {
        "document": {"log": "log", "ocel": "log"},
        "log": {"global": "global", "events": "events", "objects": "objects"},
        "global": TYPED,
        "events": {"event": "event"},
        "objects": {"object": "object"},
        "event": TYPED,
        "object": TYPED,
        "typed": TYPED,
    }

    def __init__(self, source: Input) -> None:
        super().__init__(source)
        self.open = []
        self._scope = ""
        self._record: dict[str, str | None] = {}

    def defect(self, reason: str, raw: str) -> None:
        self.open.clear()
        super().defect(reason, raw)

    def enter_global(self, name: str, attributes: dict[str, str]) -> None:
        self.known = True
        self._scope = attributes.get("scope", "")

    def enter_event(self, name: str, attributes: dict[str, str]) -> None:
        self._record = {}

    enter_object = enter_event

    def typed(self, one: Typed) -> None:
        key = (one.key or "").removeprefix("ocel:")
        if self.outer == "global":
            self._global(key, one)
        elif key in ("vmap", "ovmap") and one.element in ("list", "container"):
            for value in one.inner:
                self._columns.attribute(value.key, None, value.text(), value.kind())
        elif key == "omap" and one.element in ("list", "container"):
            for related in one.inner:
                self._columns.relation(related.value, None)
        elif key in _OCEL1_FIELDS and key not in self._record:
            self._record[key] = one.value
        else:
            self._columns.attribute(one.key, None, one.text(), one.kind())

    def leave_event(self) -> None:
        record = self._record
        self.events.close(record.get("id"), record.get("activity"), record.get("timestamp"))
        self._good = True

    def leave_object(self) -> None:
        record = self._record
        self.objects.close(record.get("id"), record.get("type"))
        self._good = True

    def _global(self, key: str, one: Typed) -> None:
        if self._scope != "log":
            self.metadata[f"global:{self._scope}:{key}"] = one.text() or ""
        elif key == "object-types":
            for declared in one.inner:
                if declared.value is not None:
                    self.object_types.setdefault(declared.value, {})
        elif key == "attribute-names":
            self.metadata[key] = orjson.dumps([name.value for name in one.inner]).decode()
        else:
            self.metadata[key] = one.text() or ""
