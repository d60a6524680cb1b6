"""Messages in Avro, by the schema in ``schemas/message.avsc`` or one that it can be read from."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any

import fastavro
from confluent_kafka.schema_registry import Schema
from fastavro.types import Schema as AvroSchema

from ocelake.ocel.json_records import Row

__all__ = ["reader", "schema_text", "writer"]


def schema_text() -> str:
    """Give the schema of a message."""
    return (files("ocelake.stream.schemas") / "message.avsc").read_text("utf-8")


def reader(schema: Schema) -> Callable[[bytes], Row] | None:
    """Give the function that reads what was written by a schema; None where that is another record's, or recursive.

    The function raises whatever Avro raises where the content is not of that schema.
    """
    if schema.schema_type != "AVRO" or schema.references:
        return None
    try:
        written = fastavro.parse_schema(json.loads(schema.schema_str or ""))
    except (ValueError, TypeError, KeyError, AttributeError, fastavro.schema.SchemaParseException):
        return None
    if not isinstance(written, dict) or written.get("name") != _schema()["name"] or _is_recursive(written):
        return None

    def read(content: bytes) -> Row:
        stream = BytesIO(content)
        record: Any = fastavro.schemaless_reader(stream, written, _schema())
        if stream.tell() < len(content):
            raise ValueError("more follows the record")
        return _row(record)

    return read


def writer() -> Callable[[Row], bytes]:
    """Give the function that writes a row of `ocelake.ocel.records.MESSAGE_RECORD`, with times as instants."""
    schema = _schema()

    def write(row: Row) -> bytes:
        stream = BytesIO()
        attributes = [{**item, "type": item["value_type"]} for item in row["attributes"]]
        relations = [{**item, "objectId": item["object_id"]} for item in row["relationships"]]
        record = {**row, "attributes": attributes, "relationships": relations}
        fastavro.schemaless_writer(stream, schema, record)
        return stream.getvalue()

    return write


def _is_recursive(schema: Any, within: frozenset[str] = frozenset()) -> bool:
    """Whether a type refers to one that it is a part of: nothing bounds how deep its content nests, nor the stack."""
    if isinstance(schema, str):
        return schema in within
    if isinstance(schema, list):
        return any(_is_recursive(part, within) for part in schema)
    if not isinstance(schema, dict):
        return False
    inside = within | {schema["name"]} if "fields" in schema else within
    parts = [schema.get(name) for name in ("type", "items", "values")]
    return _is_recursive([*parts, *(field["type"] for field in schema.get("fields", ()))], inside)


@cache
def _schema() -> Any:
    parsed: AvroSchema = fastavro.parse_schema(json.loads(schema_text()))
    return parsed


def _row(record: dict[str, Any]) -> Row:
    attributes = [
        {"name": item["name"], "value": item["value"], "value_type": item["type"], "time": _text(item["time"])}
        for item in record.pop("attributes")
    ]
    relations = [
        {"object_id": item["objectId"], "qualifier": item["qualifier"], "object_type": item["objectType"]}
        for item in record.pop("relationships")
    ]
    return {**record, "time": _text(record["time"]), "attributes": attributes, "relationships": relations}


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
