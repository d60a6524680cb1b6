"""One JSON event or object at a time: exact about every literal, and about what is wrong.

This is the meaning of a JSON record. The columnar way (`json_columns`) gives the same for well-formed records and
leaves all others to this one: unknown or repeated names, explicit nulls, lists and maps as values, wrong types.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson

from ocelake.tables import VALUE_TYPES

__all__ = [
    "Row",
    "begins_with_record",
    "decode_members",
    "defect_row",
    "json_text",
    "message",
    "ocel1_change",
    "ocel1_event",
    "ocel1_object",
    "ocel2_event",
    "ocel2_object",
    "parse",
    "parse_types",
    "text_of",
]

Row: TypeAlias = dict[str, Any]
"""A row of `EVENT_RECORD` or `OBJECT_RECORD`, without what is null."""

RAW_LIMIT: Final = 1 << 20
_TRAILING_COMMA: Final = re.compile(r'("(?:[^"\\]|\\.)*")|,(\s*[\]}])')


class _MalformedError(ValueError):
    """The text is JSON, but no record."""


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Map:
    """A JSON object with every member that was written, repeated ones included."""

    members: list[tuple[str, Any]]

    def take(self, *names: str) -> tuple[list[Any], bool]:
        """Give the values of some names (None where missing), and whether there are other names."""
        values = dict(self.members)
        if len(values) < len(self.members):
            known = [name for name, _ in self.members if name in names]
            if len(known) > len(set(known)):
                raise _MalformedError("a name is repeated")
        taken = [values.get(name) for name in names]
        return taken, len(values) > sum(name in values for name in names)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Map, parse_int=_Number, parse_float=_Number, parse_constant=_Number
)


def parse(text: bytes) -> Any:
    """Parse JSON text; numbers stay as they were written, a comma before a closing bracket is forgiven.

    Raises
    ------
    ValueError, RecursionError
        Where it is no JSON, or nested too deeply.
    """
    source = text.decode()
    try:
        return _DECODER.decode(source)
    except json.JSONDecodeError:
        return _DECODER.decode(_TRAILING_COMMA.sub(r"\1\2", source))


def begins_with_record(text: bytes) -> bool:
    """Whether a whole event or object stands at the beginning.

    An id and a type are not enough: a relation that is written in a wrong way may have them too.
    """
    try:
        value, _ = _DECODER.raw_decode(text.decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    names = {name for name, _ in value.members} if isinstance(value, _Map) else set()
    more = names & {"time", "attributes", "relationships"}
    return bool({"id", "type"} <= names and more) or bool(names & {"ocel:activity", "ocel:type"})


def json_text(value: Any) -> str:
    """Write a parsed value as compact JSON, with its numbers as they were written."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, _Map):
        return "{" + ",".join(f"{json_text(name)}:{json_text(item)}" for name, item in value.members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return orjson.dumps(value).decode()


def text_of(value: Any) -> str:
    """Give a string or a number as text, anything else as JSON."""
    return str(value) if isinstance(value, str) else json_text(value)


def defect_row(defect: str, text: bytes) -> Row:
    """Give the row of a record that cannot be taken apart, with its text (at most a mebibyte)."""
    raw = text[:RAW_LIMIT].decode(errors="backslashreplace").replace("\0", "\\x00")
    return {"defect": defect, "raw": raw + (f"... ({len(text):,} bytes)" if len(text) > RAW_LIMIT else "")}


def ocel2_event(text: bytes) -> Row:
    """Read an event of OCEL 2.0."""
    return _guarded(text, _ocel2_event)


def ocel2_object(text: bytes) -> Row:
    """Read an object of OCEL 2.0."""
    return _guarded(text, _ocel2_object)


def message(text: bytes) -> Row:
    """Read an event or object of OCEL 2.0 that stands alone: what its ``kind`` says, else an event where it has a time.

    Beyond the standard it may have a ``version`` and a ``sequence``, integers, and a relation an ``objectType``.

    Returns
    -------
    Row
        Of `MESSAGE_RECORD`; ``kind`` is "event" or "object", unless there is a ``defect``.
    """
    return _guarded(text, _message)


def ocel1_event(name: str, text: bytes) -> Row:
    """Read an event of OCEL 1.0; its id is its name in the map of events."""
    return _guarded(text, lambda record: _ocel1_event(name, record))


def ocel1_object(name: str, text: bytes) -> Row:
    """Read an object of OCEL 1.0; its id is its name in the map of objects."""
    return _guarded(text, lambda record: _ocel1_object(name, record))


def ocel1_change(text: bytes) -> Row:
    """Read one attribute change (``ocel:objectChanges``, an extension): values of an object declared elsewhere."""
    return _guarded(text, _ocel1_change)


def decode_members(text: bytes) -> list[tuple[str, Any]]:
    """Parse the members of a JSON object, given without its braces.

    Raises
    ------
    ValueError, RecursionError
        Where it is no JSON.
    """
    members: list[tuple[str, Any]] = parse(b"{" + text + b"}").members
    return members


def parse_types(text: bytes) -> dict[str, dict[str, str]]:
    """Read declared types: OCEL 2.0's list of ``{name, attributes}``, or the map of maps of extended OCEL 1.0.

    Returns
    -------
    dict of str to (dict of str to str)
        Type to attribute to declared type name. Entries without a name are left out.

    Raises
    ------
    ValueError, RecursionError
        Where it is no JSON.
    """
    value = parse(text)
    types: dict[str, dict[str, str]] = {}
    if isinstance(value, _Map):
        for name, attributes in value.members:
            pairs = attributes.members if isinstance(attributes, _Map) else []
            types.setdefault(name, {}).update({attribute: text_of(kind) for attribute, kind in pairs})
        return types
    for entry in _list(value):
        (name, attributes), _ = entry.take("name", "attributes") if isinstance(entry, _Map) else ([entry, None], False)
        if not isinstance(name, str):
            continue
        declared = types.setdefault(str(name), {})
        for attribute in attributes if isinstance(attributes, list) else []:
            (label, kind), _ = attribute.take("name", "type") if isinstance(attribute, _Map) else ([None, None], False)
            if isinstance(label, str):
                declared[str(label)] = text_of(kind)
    return types


def _guarded(text: bytes, read: Callable[[_Map], tuple[Row, bool]]) -> Row:
    """Read a record; keep its text where the columns do not hold all of it, or where it cannot be read."""
    try:
        record = parse(text)
        if not isinstance(record, _Map):
            return defect_row("malformed", text)
        row, more = read(record)
        # Half of a surrogate pair is no Unicode text: no table could hold it.
        orjson.dumps(row)
    except (ValueError, TypeError, RecursionError):
        return defect_row("malformed", text)
    return {**row, "raw": text.decode()} if more else row


def _ocel2_event(record: _Map) -> tuple[Row, bool]:
    names = ("id", "type", "time", "attributes", "relationships")
    (event_id, activity, time, attributes, relationships), more = record.take(*names)
    values, more_values = _attributes(attributes)
    relations, more_relations = _relations(relationships, "objectId", "qualifier")
    row = {"event_id": _text(event_id), "activity": _text(activity), "time": _text(time)}
    return {**row, "attributes": values, "relationships": relations}, more or more_values or more_relations


def _ocel2_object(record: _Map) -> tuple[Row, bool]:
    (object_id, object_type, attributes, relationships), more = record.take("id", "type", "attributes", "relationships")
    values, more_values = _attributes(attributes)
    relations, more_relations = _relations(relationships, "objectId", "qualifier")
    row = {"object_id": _text(object_id), "object_type": _text(object_type)}
    return {**row, "attributes": values, "relationships": relations}, more or more_values or more_relations


def _message(record: _Map) -> tuple[Row, bool]:
    names = ("id", "type", "time", "attributes", "relationships", "version", "sequence", "kind")
    (identity, kind, time, attributes, relationships, version, sequence, which), more = record.take(*names)
    if which not in ("event", "object", None):
        raise _MalformedError("neither an event nor an object")
    values, more_values = _attributes(attributes)
    relations, more_relations = _relations(relationships, "objectId", "qualifier", "objectType")
    which = str(which or ("object" if time is None else "event"))
    more |= which == "object" and (time is not None or sequence is not None)
    row = {"id": _text(identity), "type": _text(kind), "time": _text(time), "kind": which}
    numbers = {"version": _integer(version), "sequence": _integer(sequence)}
    nested = {"attributes": values, "relationships": relations}
    return {**row, **numbers, **nested}, more or more_values or more_relations


def _ocel1_event(name: str, record: _Map) -> tuple[Row, bool]:
    names = ("ocel:activity", "ocel:timestamp", "ocel:omap", "ocel:typedOmap", "ocel:vmap")
    (activity, time, plain, typed, values), more = record.take(*names)
    _hold_no_record(record)
    relations, more_relations = _relations(typed, "ocel:oid", "ocel:qualifier")
    related = {relation["object_id"] for relation in relations}
    ids = [_text(item) for item in _list(plain)]
    relations = [{"object_id": item} for item in ids if item not in related] + relations
    row = {"event_id": name, "activity": _text(activity), "time": _text(time)}
    return {**row, "attributes": _values(values), "relationships": relations}, more or more_relations


def _ocel1_object(name: str, record: _Map) -> tuple[Row, bool]:
    (object_type, values, relations), more = record.take("ocel:type", "ocel:ovmap", "ocel:o2o")
    _hold_no_record(record)
    related, more_relations = _relations(relations, "ocel:oid", "ocel:qualifier")
    row = {"object_id": name, "object_type": _text(object_type)}
    return {**row, "attributes": _values(values), "relationships": related}, more or more_relations


def _ocel1_change(record: _Map) -> tuple[Row, bool]:
    (object_id, _, field, time), _ = record.take("ocel:oid", "ocel:type", "ocel:field", "ocel:timestamp")
    fields = [(name, value) for name, value in record.members if not name.startswith("ocel:")]
    changed = [(name, value) for name, value in fields if field is None or name == field]
    attributes = [{"name": name, "time": _text(time), **_value(value)} for name, value in changed]
    return {"object_id": _text(object_id), "attributes": attributes, "declared": False}, len(fields) > len(changed)


def _hold_no_record(record: _Map) -> None:
    """Refuse a record that swallowed the next ones, for want of a closing brace."""
    for _, value in record.members:
        if isinstance(value, _Map) and any(name in ("ocel:type", "ocel:activity") for name, _ in value.members):
            raise _MalformedError("a record stands within a record")


def _attributes(value: Any) -> tuple[list[Row], bool]:
    attributes, more = [], False
    for item in _list(value):
        (name, time, content, kind), others = _map(item).take("name", "time", "value", "type")
        if name is None and others:
            raise _MalformedError("something else stands where an attribute should")
        marked = isinstance(content, str) and not isinstance(content, _Number) and kind in VALUE_TYPES
        typed = {"value": content, "value_type": kind} if marked else _value(content)
        attributes.append({"name": _text(name), "time": _text(time), **typed})
        more |= others or (kind is not None and not marked)
    return attributes, more


def _relations(value: Any, target: str, role: str, hint: str | None = None) -> tuple[list[Row], bool]:
    """Read relations; a member ``hint`` tells the target's type."""
    relations, more = [], False
    for item in _list(value):
        (object_id, qualifier, *told), others = _map(item).take(target, role, *([] if hint is None else [hint]))
        if object_id is None and others:
            raise _MalformedError("something else stands where a relation should")
        relation = {"object_id": _text(object_id), "qualifier": _text(qualifier)}
        relations.append({**relation, "object_type": _text(told[0])} if told else relation)
        more |= others
    return relations, more


def _values(value: Any) -> list[Row]:
    return [] if value is None else [{"name": name, **_value(item)} for name, item in _map(value).members]


def _value(value: Any) -> Row:
    if isinstance(value, _Number):
        return {"value": str(value), "value_type": "integer" if value.lstrip("-").isdecimal() else "float"}
    if value is None or isinstance(value, str):
        return {"value": value}
    kind = "boolean" if isinstance(value, bool) else "list" if isinstance(value, list) else "map"
    return {"value": json_text(value), "value_type": kind}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    raise _MalformedError("a text or number was expected")


def _integer(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, _Number) and value.lstrip("-").isdecimal() and -(2**63) <= int(value) < 2**63:
        return int(value)
    raise _MalformedError("an integer was expected")


def _list(value: Any) -> list[Any]:
    if value is None or isinstance(value, list):
        return value or []
    raise _MalformedError("a list was expected")


def _map(value: Any) -> _Map:
    if isinstance(value, _Map):
        return value
    raise _MalformedError("a map was expected")
