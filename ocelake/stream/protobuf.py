"""Messages in Protobuf, by the schema in ``schemas/message.proto`` or one that has its fields.

No compiler is needed: the part of the language that the schema is written in is read here. A schema of others is only
looked at for whether its message has our fields, with our numbers.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

from confluent_kafka.schema_registry import Schema
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from ocelake.ocel.json_records import Row

__all__ = ["FIRST", "reader", "schema_text", "writer"]

FIRST: Final = b"\0"
"""What stands between a schema's number and the content of a message that is the first of its schema."""

_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PACKAGE: Final = re.compile(r"\bpackage\s+([\w.]+)\s*;")
_FIELD: Final = re.compile(r"\b(?:(optional|repeated)\s+)?([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*(?:\[[^\]]*\])?\s*;")
_MESSAGE: Final = re.compile(r"\bmessage\s+(\w+)\s*\{")
_SCALARS: Final = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "int64": FieldDescriptorProto.TYPE_INT64,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def schema_text() -> str:
    """Give the schema of a message."""
    return (files("ocelake.stream.schemas") / "message.proto").read_text("utf-8")


def reader(schema: Schema) -> Callable[[bytes], Row] | None:
    """Give the function that reads what was written by a schema; None where that is another message's.

    The function raises whatever Protobuf raises where the content is not of that schema.
    """
    if schema.schema_type != "PROTOBUF" or schema.references or not _is_ours(schema.schema_str or ""):
        return None
    kind = _message_class()

    def read(content: bytes) -> Row:
        if not content.startswith(FIRST):
            raise DecodeError("it is not the first message of its schema")
        return _row(kind.FromString(content[len(FIRST) :]))

    return read


def writer() -> Callable[[Row], bytes]:
    """Give the function that writes a row of `ocelake.ocel.records.MESSAGE_RECORD`, with times as instants."""
    kind = _message_class()

    def write(row: Row) -> bytes:
        message = kind(kind=row["kind"], id=row["id"], type=row["type"])
        for name in ("sequence", "version"):
            if row[name] is not None:
                setattr(message, name, row[name])
        if row["time"] is not None:
            message.time = _micros(row["time"])
        for item in row["attributes"]:
            time = None if item["time"] is None else _micros(item["time"])
            message.attributes.add(name=item["name"], value=item["value"], type=item["value_type"], time=time)
        for item in row["relationships"]:
            message.relationships.add(**item)
        content: bytes = message.SerializeToString()
        return FIRST + content

    return write


@cache
def _message_class() -> Any:
    pool = DescriptorPool()
    pool.Add(_parse(schema_text()))
    return GetMessageClass(pool.FindMessageTypeByName("ocelake.Message"))


def _row(message: Any) -> Row:
    return {
        "kind": message.kind,
        "id": message.id,
        "type": message.type,
        "time": _text(message),
        "sequence": message.sequence if message.HasField("sequence") else None,
        "version": message.version if message.HasField("version") else None,
        "attributes": [
            {
                "name": item.name,
                "value": item.value,
                "value_type": item.type if item.HasField("type") else None,
                "time": _text(item),
            }
            for item in message.attributes
        ],
        "relationships": [
            {
                "object_id": item.object_id,
                "qualifier": item.qualifier if item.HasField("qualifier") else None,
                "object_type": item.object_type if item.HasField("object_type") else None,
            }
            for item in message.relationships
        ],
    }


def _text(message: Any) -> str | None:
    return (_EPOCH + timedelta(microseconds=message.time)).isoformat() if message.HasField("time") else None


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def _is_ours(text: str) -> bool:
    """Whether a schema's first message has our name, and our fields with our numbers and types."""
    ours = _parse(schema_text())
    try:
        theirs = FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (ValueError, DecodeError):
        theirs = _parse(text)
    if not theirs.message_type or theirs.package != ours.package:
        return False
    if theirs.message_type[0].name != ours.message_type[0].name:
        return False
    messages = {message.name: message for message in theirs.message_type}
    return all(
        message.name in messages and _fields(message) <= _fields(messages[message.name])
        for message in ours.message_type
    )


def _fields(message: DescriptorProto) -> set[tuple[str, int, str, bool]]:
    repeated = FieldDescriptorProto.LABEL_REPEATED
    return {
        (field.name, field.number, field.type_name.rpartition(".")[2] or str(field.type), field.label == repeated)
        for field in message.field
    }


def _parse(text: str) -> FileDescriptorProto:
    """Read a schema: its package, and its messages with the fields that are plain, ``optional`` or ``repeated``."""
    text = _COMMENT.sub("", text)
    package = _PACKAGE.search(text)
    file = FileDescriptorProto(name="ocelake/message.proto", syntax="proto3", package=package[1] if package else "")
    at = 0
    while found := _MESSAGE.search(text, at):
        at = _end(text, found.end())
        message = file.message_type.add(name=found[1])
        for label, kind, name, number in _FIELD.findall(text[found.end() : at]):
            _add_field(message, label, kind.rpartition(".")[2], name, int(number), file.package)
    return file


def _add_field(message: DescriptorProto, label: str, kind: str, name: str, number: int, package: str) -> None:
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{kind}"
    if label == "repeated":
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if label == "optional":
        field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


def _end(text: str, at: int) -> int:
    """Give where the block that begins here ends."""
    depth = 1
    while depth and at < len(text):
        depth += (text[at] == "{") - (text[at] == "}")
        at += 1
    return at
