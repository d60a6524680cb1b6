"""Reader of XES event logs (IEEE 1849-2016, and what was in use before it).

What traces and events of a case log become in an object-centric one. The header is in `ocelake.ocel.xes_header`,
streaming, safety and recovery in `ocelake.ocel.xml_stream`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final
from xml.sax.saxutils import escape, quoteattr

from ocelake.errors import LogRefused
from ocelake.ocel.input import Input
from ocelake.ocel.records import Declarations, ReaderOutput, Records
from ocelake.ocel.xes_header import XesHeader
from ocelake.ocel.xml_columns import RecordColumns
from ocelake.ocel.xml_reader import CHUNK
from ocelake.ocel.xml_stream import BLOCK, Grammar, walk
from ocelake.ocel.xml_typed import TYPED, Typed, TypedWalker

__all__ = ["CASE", "read_xes"]

CASE: Final = "case"
"""The object type of a trace."""

_NAME: Final = "concept:name"
_TIME: Final = "time:timestamp"
_EVENT_END: Final = rb"(?P<past></(?:\w+:)?event\s*>)|<(?:\w+:)?event[\s/>]|</(?:\w+:)?"


def read_xes(source: Input, *, block: int = BLOCK) -> ReaderOutput:
    """Read an XES log: each trace is an object of the type ``case``, each of its events one related to it alone.

    - The case's id is the trace's ``concept:name``. Of several traces with one name, the first keeps it and the others
      are ``name#2``, ``name#3``, ... in the order of the file; a trace without a name is ``trace-N``, with its position
      in the log from 0. These ids, and the names of all cases, are held in memory. The other trace attributes (and the
      name, where it is not the id) are initial values of the object.
    - An event's id is ``case/N`` with its position in the trace from 0, which is its sequence too. Its activity is its
      ``concept:name``, else the values that the first event classifier names, joined by ``+``, else missing. Events
      outside of a trace, which the standard allows, are ``/N`` and have no object.
    - Values keep the type of their element; lists, containers and values with attributes of their own are JSON text.
    - What XES does not have in a trace, an event or an attribute (a ``<text>``, an event in an event, an XML attribute
      of ``<event>``) becomes a `malformed` record of its own; the record around it is read.
    - Extensions, globals, classifiers and log attributes are metadata.

    Parameters
    ----------
    source : Input
        The file, plain or gzipped.
    block : int
        Bytes read at once.

    Yields
    ------
    Records or Declarations
        Chunks of records, the declarations last. A trace is held as a whole only where its name follows its events.

    Raises
    ------
    LogRefused
        Where the file is no XML, no XES log, not safe to read, or has neither an event nor an attribute of a trace and
        is not in order either.
    """
    walker = _Xes(source)
    for _ in walk(source, walker, block):
        if walker.waiting() >= CHUNK and walker.resolved():
            yield walker.take()
    walker.finish()
    if walker.waiting():
        yield walker.take()
    yield walker.declarations()


class _Xes(TypedWalker):
    grammar: ClassVar[Grammar] = {
        "document": {"log": "log"},
        "log": {
            "extension": "extension",
            "global": "global",
            "classifier": "classifier",
            "trace": "trace",
            "event": "event",
            **TYPED,
        },
        "global": TYPED,
        "trace": {"event": "event", **TYPED, "*": "strange"},
        "event": {**TYPED, "*": "strange"},
        "typed": {"values": "typed", **TYPED, "*": "strange"},
        "strange": {"*": "strange"},
    }
    texts = frozenset({"strange"})
    sections: ClassVar[Mapping[str, re.Pattern[bytes]]] = {
        "log": re.compile(rb"(?P<past></(?:\w+:)?trace\s*>)|<(?:\w+:)?trace[\s/>]|</(?:\w+:)?log\s*>"),
        "trace": re.compile(_EVENT_END + rb"trace\s*>"),
    }
    records = frozenset({"trace", "event"})
    _lone_event: ClassVar[re.Pattern[bytes]] = re.compile(_EVENT_END + rb"log\s*>")

    def __init__(self, source: Input) -> None:
        super().__init__(source)
        self.open = []
        self.header = XesHeader()
        self._events = RecordColumns("event")
        self._objects = RecordColumns("object")
        self._known = False
        self._content = False
        self._activities: dict[str, None] = {}
        self._seen: dict[str, dict[str, str]] = {"trace": {}, "event": {}}
        self._ignored: dict[str, int] = {}
        self._strange: list[str] = []
        self._strange_text: list[str] = []
        self._cases: dict[str, int] = {}
        self._traces = 0
        self._lone_events = 0
        self._in_trace = self._in_event = False
        self._name: str | None = None
        self._case: str | None = None
        self._count = 0  # events in the open trace
        self._first = 0  # row of the first event of the open trace that waits for the case's id
        self._activity: str | None = None
        self._time: str | None = None

    # --- for the reader

    def waiting(self) -> int:
        """Count the records not taken yet."""
        return max(len(self._events), len(self._objects))

    def resolved(self) -> bool:
        """Tell whether every event's case is known."""
        return not self._in_trace or self._case is not None or not self._count

    def take(self) -> Records:
        """Give the records read so far; the open trace follows with a later chunk."""
        self._first = 0
        return Records(self._events.take(), self._objects.take())

    def finish(self) -> None:
        """End what the file did not; refuse a log in which there is nothing."""
        if self._in_trace:
            self.leave_trace()
        if not self._known:
            self.refuse("The XML is no XES log.", "Give the log itself, not a description of it.")
        if self.header.faults and not self._content:
            raise LogRefused(
                f"The XES log has no event, and its header is not in order: {'; '.join(self.header.faults)}.",
                where=self.source.name,
                fix="Export the log again.",
            )

    def declarations(self) -> Declarations:
        """Give what the log said about its attributes and itself."""
        types = {
            scope: {
                name: kind
                for name, kind in {**declared, **self._seen[scope]}.items()
                if kind not in ("mixed", "list", "map") and name not in (_NAME, _TIME)
            }
            for scope, declared in self.header.globals.items()
        }
        return Declarations(
            {activity: dict(types["event"]) for activity in self._activities},
            {CASE: types["trace"]},
            self.header.metadata | {name: str(count) for name, count in self._ignored.items()},
        )

    # --- for `walk`

    def has_records(self) -> bool:
        return self._content

    def resume_at(self) -> re.Pattern[bytes]:
        return self._lone_event if self._in_event and self.state == "log" else super().resume_at()

    def defect(self, reason: str, raw: str) -> None:
        self.open.clear()
        self._strange_text.clear()
        if self.state == "trace" and not self._in_event and not self._count and reason == "truncated":
            self._in_trace = False
            self._traces += 1
            self._objects.defect(reason, raw)
        elif self._in_event or self.state == "trace":
            self._in_event = False
            self._events.defect(reason, raw)
            self._next_event()
        else:
            self._objects.defect(reason, raw)

    def unknown(self, name: str, attributes: dict[str, str]) -> None:
        self._ignore(f"ignored:element:{name}")
        self.header.fault(f"<{name}> is no element of a {self.state}")

    def _ignore(self, name: str) -> None:
        self._ignored[name] = self._ignored.get(name, 0) + 1

    # --- the header

    def enter_log(self, name: str, attributes: dict[str, str]) -> None:
        self._known = "xes.version" in attributes
        self.header.log(attributes)

    def enter_extension(self, name: str, attributes: dict[str, str]) -> None:
        self._known = True
        self.header.extension(attributes)

    def enter_global(self, name: str, attributes: dict[str, str]) -> None:
        self._known = True
        self.header.begin_global(attributes)

    def leave_global(self) -> None:
        self.header.end_global()

    def enter_classifier(self, name: str, attributes: dict[str, str]) -> None:
        self._known = True
        self.header.add_classifier(attributes)

    # --- traces and events

    def enter_trace(self, name: str, attributes: dict[str, str]) -> None:
        self._known = self._in_trace = True
        self.header.place("trace")
        self._name = self._case = None
        self._count = 0
        self._first = len(self._events)
        self._tag(name, attributes)

    def leave_trace(self) -> None:
        if not self._in_trace:
            return
        if self._case is None:
            self._identify()
        assert self._case is not None
        if self._name is not None and self._name != self._case:
            self._objects.attribute(_NAME, None, self._name, "string")
        self._objects.close(self._case, CASE)
        for raw in self._strange:
            self._objects.defect("malformed", raw)
        self._content = self._content or bool(self._strange)
        self._strange.clear()
        self._in_trace = False
        self._traces += 1

    def enter_event(self, name: str, attributes: dict[str, str]) -> None:
        self._known = self._in_event = True
        if not self._in_trace:
            self.header.place("event")
        elif self._case is None and self._name is not None and not self._count:
            self._identify()
        self._activity = self._time = None
        self._outside, self._strange = self._strange, []
        self._tag(name, attributes)

    def leave_event(self) -> None:
        events = self._events
        if self._activity is None and self.header.classifier:
            first = events.value_ends[-1]
            given = dict(zip(events.names[first:], events.values[first:], strict=True))
            parts = [given.get(key) for key in self.header.classifier]
            if any(part is not None for part in parts):
                self._activity = "+".join(part or "" for part in parts)
        if self._activity is not None:
            self._activities[self._activity] = None
        if self._in_trace:
            case = self._case
            events.relation(case, "")
            events.close(None if case is None else f"{case}/{self._count}", self._activity, self._time, self._count)
        else:
            events.close(f"/{self._lone_events}", self._activity, self._time)
        self._in_event, self._content = False, True
        self._next_event()
        for raw in self._strange:
            events.defect("malformed", raw)
        self._strange = self._outside

    def _next_event(self) -> None:
        if self._in_trace:
            self._count += 1
        else:
            self._lone_events += 1

    def _identify(self) -> None:
        """Give the open trace its id, and tell it to the events that wait for it."""
        wanted = self._name or f"trace-{self._traces}"
        number = self._cases.get(wanted, 0) + 1
        case = wanted if number == 1 else f"{wanted}#{number}"
        while case in self._cases:
            number += 1
            case = f"{wanted}#{number}"
        self._cases[wanted] = number
        self._cases.setdefault(case, 1)
        self._case = case
        events = self._events
        for row in range(self._first, len(events)):
            if row not in events.defects:
                events.ids[row] = f"{case}/{events.sequences[row]}"
                events.related[events.relation_ends[row]] = case

    # --- attributes

    def enter_typed(self, name: str, attributes: dict[str, str]) -> None:
        if not self.open and self.outer == "log":
            self._known = True
            self.header.place("attribute")
        if len(attributes) > 2 or attributes.keys() - {"key", "value"}:
            for extra in sorted(attributes.keys() - {"key", "value"}):
                if not extra.startswith("xmlns"):
                    self._ignore(f"ignored:attribute:{name}.{extra}")
                    self.header.fault(f"<{name}> has an attribute {extra!r}, which XES does not know")
        super().enter_typed(name, attributes)

    def typed(self, one: Typed) -> None:
        outer = self.outer
        if outer == "log":
            self.header.log_attribute(one)
        elif outer == "global":
            self.header.global_attribute(one)
        elif one.key is None:
            self._strange.append(_start_tag(one.element, {} if one.value is None else {"value": one.value}, "/"))
        elif outer == "event":
            self._event_attribute(one.key, one)
        else:
            self._trace_attribute(one.key, one)

    def _event_attribute(self, key: str, one: Typed) -> None:
        if key == _NAME and self._activity is None:
            self._activity = one.value
        elif key == _TIME and self._time is None:
            self._time = one.value
        else:
            self._add(self._events, "event", key, one)
            return
        if one.inner:
            self._add(self._events, "event", key, one)

    def _trace_attribute(self, key: str, one: Typed) -> None:
        self._content = True
        if key == _NAME and self._name is None and not one.inner:
            self._name = one.value
        else:
            self._add(self._objects, "trace", key, one)

    def _add(self, columns: RecordColumns, scope: str, key: str, one: Typed) -> None:
        kind = one.kind()
        columns.attribute(key, None, one.text(), kind)
        seen = self._seen[scope]
        if scope == "trace" or key in self.header.globals[scope]:
            known = seen.setdefault(key, self.header.globals[scope].get(key, kind))
            if known != kind:
                seen[key] = "mixed"

    # --- what XES does not have

    def _tag(self, name: str, attributes: dict[str, str]) -> None:
        given = {key: value for key, value in attributes.items() if not key.startswith("xmlns")}
        if given:
            self._strange.append(_start_tag(name, given))

    def enter_strange(self, name: str, attributes: dict[str, str]) -> None:
        self._strange_text.append(_start_tag(name, attributes))

    def leave_strange(self, text: str) -> None:
        self._strange_text.append(f"{escape(text)}</{self.element}>")
        if self.outer != "strange":
            self._strange.append("".join(self._strange_text))
            self._strange_text.clear()


def _start_tag(name: str, attributes: dict[str, str], end: str = "") -> str:
    return f"<{name}{''.join(f' {key}={quoteattr(value)}' for key, value in attributes.items())}{end}>"
