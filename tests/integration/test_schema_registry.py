"""Avro and Protobuf messages by a real schema registry: whose schema is read, and what is left as it is."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro
import polars as pl
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from ocelake.errors import SettingError, StreamError, Unreachable
from ocelake.ocel.generate import generate
from ocelake.settings import Resilience
from ocelake.stream import avro, protobuf
from ocelake.stream.decode import decoder
from ocelake.stream.encode import encoder, messages
from ocelake.stream.registry import Registry, framed
from ocelake.stream.settings import KafkaSettings
from tests.integration.conftest import free_port

FORMS = ("avro", "protobuf")
IMPATIENT = Resilience(seconds=0.3, first_wait=0.05, call_seconds=1)
MESSAGE = {"kind": "event", "id": "e1", "type": "pay", "time": 1_700_000_000_000_000}


def written(form: str, topic: str, schema_registry: KafkaSettings, count: int = 20) -> list[bytes]:
    """Messages of a log."""
    batches = messages(generate(count, seed=1), encoder(form, topic, schema_registry))
    return [value for batch in batches for value in batch.values]


def read_between(form: str, topic: str, schema_registry: KafkaSettings, odd: bytes | None) -> pl.DataFrame:
    """Decode a message between others, which must not suffer, and give its rows."""
    good = written(form, topic, schema_registry)
    middle = len(good) // 2
    values = [*good[:middle], odd, *good[middle:]]
    decode = decoder(form, schema_registry)
    records, alone = decode(range(len(values)), values), decode(range(len(good)), good)
    assert records.objects.height + records.events.height == len(values)
    kept = records.events.filter(pl.col("position") != middle).drop("position")
    assert kept.equals(alone.events.drop("position"))
    return records.events.filter(pl.col("position") == middle)


@pytest.mark.kafka
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("odd", ["unknown", "truncated", "longer", "json", "short", "empty", "tombstone", "flipped"])
def test_what_is_not_of_our_schema_costs_only_itself(
    form: str, odd: str, schema_registry: KafkaSettings, topic: str
) -> None:
    event = written(form, topic, schema_registry)[-1]
    message: dict[str, bytes | None] = {
        "unknown": framed(987_654) + event[5:],
        "truncated": event[:-3],
        "longer": event + b"\xff",
        "json": b'{"id":"e1","type":"pay","time":"2024-01-01T00:00:00Z"}',
        "short": event[:4],
        "empty": b"",
        "tombstone": None,
        "flipped": event[:5] + bytes(byte ^ 0xFF for byte in event[5:]),
    }
    row = read_between(form, topic, schema_registry, message[odd]).row(0, named=True)
    assert (row["defect"], row["declared"]) == ("malformed", False)


OTHER_AVRO = json.dumps({"type": "record", "name": "Payment", "fields": [{"name": "id", "type": "string"}]})
OTHER_PROTOBUF = 'syntax = "proto3"; package shop; message Payment { string id = 1; }'
MOVED = protobuf.schema_text().replace("string id = 2", "string id = 3").replace("string type = 3", "string type = 2")


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("form", "kind", "text"),
    [
        ("avro", "AVRO", OTHER_AVRO),
        ("avro", "AVRO", '"string"'),
        ("avro", "PROTOBUF", OTHER_PROTOBUF),
        ("protobuf", "PROTOBUF", OTHER_PROTOBUF),
        ("protobuf", "PROTOBUF", MOVED),
        ("protobuf", "AVRO", OTHER_AVRO),
    ],
)
def test_a_schema_of_something_else_is_not_read(
    form: str, kind: Any, text: str, schema_registry: KafkaSettings, topic: str
) -> None:
    number = Registry(schema_registry).register(f"{topic}-other", text, kind)
    event = written(form, topic, schema_registry)[-1]
    assert read_between(form, topic, schema_registry, framed(number) + event[5:])["defect"].to_list() == ["malformed"]


def changed(name: str, **schema: Any) -> str:
    """Our Avro schema with a field that is another one, or is left out where nothing of it is told."""
    whole = json.loads(avro.schema_text())
    fields = [field for field in whole["fields"] if field["name"] != name]
    return json.dumps({**whole, "fields": [*fields, {"name": name, **schema}] if schema else fields})


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
DEEP = b"\x02" * 20_000 + b"\x00"


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("text", "more", "tail"),
    [
        (changed("type"), {}, b""),
        (changed("id", type="long"), {"id": 1}, b""),
        (changed("more", type=["null", json.loads(avro.schema_text())["name"]]), {"more": None}, b""),
        (changed("more", type=["null", NODE]), {"more": None}, DEEP),
        (changed("more", type={"type": "map", "values": NODE}), {"more": {}}, b"\x02\x02k" + DEEP + b"\x00"),
    ],
    ids=["lacks a field", "another type", "contains itself", "recursive", "recursive in a map"],
)
def test_a_schema_of_our_name_that_cannot_be_read_costs_only_its_messages(
    text: str, more: dict[str, Any], tail: bytes, schema_registry: KafkaSettings, topic: str
) -> None:
    number = Registry(schema_registry).register(f"{topic}-other", text, "AVRO")
    content, row = BytesIO(), {**MESSAGE, "sequence": None, "version": None, "attributes": [], "relationships": []}
    fastavro.schemaless_writer(content, fastavro.parse_schema(json.loads(text)), {**row, **more})
    value = content.getvalue()[: -1 if tail else None] + tail
    found = read_between("avro", topic, schema_registry, framed(number) + value)
    assert found["defect"].to_list() == ["malformed"]


@pytest.mark.kafka
def test_avro_by_another_writer_and_a_later_schema(schema_registry: KafkaSettings, topic: str) -> None:
    schema = json.loads(avro.schema_text())
    schema["fields"] += [{"name": "source", "type": "string"}]
    schema["fields"] = [field for field in schema["fields"] if field["name"] not in ("version", "attributes")]
    client = SchemaRegistryClient(schema_registry.registry_client_properties())
    serializer = AvroSerializer(client, json.dumps(schema))
    message = {**MESSAGE, "sequence": 3, "source": "till", "relationships": [{"objectId": "o1"}]}
    value = serializer(message, SerializationContext(topic, MessageField.VALUE))
    records = decoder("avro", schema_registry)([0], [value])
    row = records.events.row(0, named=True)
    assert (row["event_id"], row["time"], row["sequence"]) == ("e1", "2023-11-14T22:13:20+00:00", 3)
    assert row["relationships"] == [{"object_id": "o1", "qualifier": None, "object_type": None}]
    assert row["defect"] is None


@pytest.mark.kafka
def test_protobuf_by_a_later_schema(schema_registry: KafkaSettings, topic: str) -> None:
    later = protobuf.schema_text().replace("string id = 2;", "string id = 2; string source = 99; // new")
    number = Registry(schema_registry).register(topic, later, "PROTOBUF")
    row = {**MESSAGE, "time": None, "sequence": 3, "version": None, "attributes": [], "relationships": []}
    content = protobuf.writer()(row) + b"\x9a\x06\x04till"
    records = decoder("protobuf", schema_registry)([0], [framed(number) + content])
    assert records.events.select("event_id", "sequence", "defect").rows() == [("e1", 3, None)]


@pytest.mark.kafka
@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_schema_does_not_stop_the_next_one(form: str, schema_registry: KafkaSettings, topic: str) -> None:
    event = written(form, topic, schema_registry)[-1]
    decode = decoder(form, schema_registry)
    assert decode([0], [framed(999_999) + event[5:]]).events["defect"].to_list() == ["malformed"]
    assert decode([0], [event]).events["defect"].to_list() == [None]


@pytest.mark.kafka
def test_a_schema_that_does_not_fit_the_topic_is_refused(schema_registry: KafkaSettings, topic: str) -> None:
    with pytest.raises(StreamError, match=f"schema of '{topic}' cannot be registered"):
        Registry(schema_registry).register(topic, '{"type":"record"}', "AVRO")


@pytest.mark.parametrize("form", FORMS)
def test_a_registry_that_does_not_answer_is_no_matter_of_the_message(form: str) -> None:
    nobody = KafkaSettings(schema_registry_url=f"http://127.0.0.1:{free_port()}", resilience=IMPATIENT)
    with pytest.raises(Unreachable, match="SCHEMA_REGISTRY_URL"):
        decoder(form, nobody)([0], [framed(1) + b"\0"])
    with pytest.raises(Unreachable, match="SCHEMA_REGISTRY_URL"):
        encoder(form, "t", nobody)


def test_a_registry_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCHEMA_REGISTRY_URL", raising=False)
    with pytest.raises(SettingError, match="SCHEMA_REGISTRY_URL"):
        decoder("avro")
    with pytest.raises(SettingError, match="telegraph"):
        decoder("telegraph")
    with pytest.raises(SettingError, match="telegraph"):
        encoder("telegraph", "t")


def test_schemas_are_valid() -> None:
    fastavro.parse_schema(json.loads(avro.schema_text()))
    assert protobuf.writer()(
        {**MESSAGE, "time": None, "sequence": None, "version": None, "attributes": [], "relationships": []}
    )
