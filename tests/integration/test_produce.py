"""A log that is replayed into a topic is the same log when it is read from there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from confluent_kafka import KafkaError, Message, TopicPartition
from confluent_kafka.cimpl import NewTopic
from hypothesis import example, given, settings
from pydantic import SecretStr
from typer.testing import CliRunner

from ocelake.cli import app
from ocelake.errors import NotFound, SettingError, StreamError
from ocelake.ocel import Ocel
from ocelake.ocel.conform import conform
from ocelake.ocel.equal import log_differences
from ocelake.ocel.generate import generate
from ocelake.ocel.model import frame_schema
from ocelake.ocel.read import read_log
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD, Records
from ocelake.ocel.write import write_log
from ocelake.stream.client import admin, consumer, ensure_topic, partitions
from ocelake.stream.decode import decoder
from ocelake.stream.encode import Batch, encoder, messages
from ocelake.stream.produce import at_rate, at_speed, produce
from ocelake.stream.settings import KafkaSettings
from tests.integration.test_roundtrip import REAL_LOGS, logs


def declarations(log: Ocel) -> dict[str, Any]:
    """What a log declares, as a batch has it."""
    declared: dict[str, Any] = {}
    for kind, key in (("event", "activity"), ("object", "object_type")):
        types: dict[str, dict[str, str]] = {name: {} for name in getattr(log, f"{kind}_types")[key]}
        for name, attribute, value_type in getattr(log, f"{kind}_type_attributes").iter_rows():
            types[name][attribute] = value_type
        declared[f"{kind}_types"] = types
    return declared


def as_log(parts: Iterable[Records], declared: dict[str, Any]) -> Ocel:
    """Conform records; nothing may be left in quarantine."""
    events, objects = EVENT_RECORD.to_frame(), OBJECT_RECORD.to_frame()
    for part in parts:
        events, objects = pl.concat([events, part.events]), pl.concat([objects, part.objects])
    batch = pl.lit("t-0-0-9").alias("batch_id")
    row = dict.fromkeys(("batch_id", "source", "format", "content_hash"), "t-0-0-9")
    row |= {"event_records": events.height, "object_records": objects.height, "received": datetime.now(UTC)}
    row |= {"declarations": json.dumps(declared), "metadata": "{}"}
    batches = pl.DataFrame([row], schema=frame_schema("bronze.batches"))
    place = pl.int_range(pl.len(), dtype=pl.Int64).alias("position")
    conformed = conform(events.with_columns(batch, place), objects.with_columns(batch, place), batches)
    assert conformed.quarantine.is_empty(), conformed.quarantine.row(0, named=True)
    return conformed.ocel


def travelled(
    log: Ocel, form: str, declared: dict[str, Any] | None = None, registry: KafkaSettings | None = None
) -> Ocel:
    """Write a log as messages, and read them."""
    decode = decoder(form, registry)
    batches = messages(log, encoder(form, "t", registry))
    parts = [decode(range(len(batch.values)), batch.values) for batch in batches]
    return as_log(parts, declared or {"event_types": {}, "object_types": {}})


@settings(max_examples=25)
@given(logs())
@example(Ocel())
def test_any_log_travels_as_messages(log: Ocel) -> None:
    assert log_differences(log, travelled(log, "json", declarations(log))) == []


def test_a_generated_log_needs_no_declarations() -> None:
    log = generate(2_000, seed=5)
    assert log_differences(log, travelled(log, "json")) == []


@pytest.mark.kafka
@pytest.mark.parametrize("form", ["avro", "protobuf"])
def test_a_log_travels_with_its_schema(form: str, schema_registry: KafkaSettings) -> None:
    log = generate(2_000, seed=5)
    assert log_differences(log, travelled(log, form, registry=schema_registry)) == []


@pytest.mark.kafka
@settings(max_examples=15)
@given(logs())
def test_any_log_travels_with_its_schema(schema_registry: KafkaSettings, log: Ocel) -> None:
    for form in ("avro", "protobuf"):
        assert log_differences(log, travelled(log, form, declarations(log), schema_registry)) == []


@pytest.mark.data
@pytest.mark.parametrize("name", [*REAL_LOGS, "xes/running-example.xes"])
def test_a_real_log_travels_as_messages(data: Path, name: str) -> None:
    log = read_log(data / name).ocel
    differences = log_differences(log, travelled(log, "json"))
    told = set(log.objects["object_type"]), set(log.events["activity"])
    if told == (set(log.object_types["object_type"]), set(log.event_types["activity"])):
        assert differences == []
    else:  # types that nothing has are not told
        assert [line.split(":")[0].removesuffix("_types") for line in differences] in (["ocel.event"], ["ocel.object"])


def test_objects_come_just_before_their_first_events() -> None:
    log = generate(300, seed=2)
    seen: set[str] = set()
    order: list[str] = []
    times: list[int] = []
    targets = log.event_objects.group_by("event_id").agg("object_id")
    needs = dict(targets.iter_rows())
    for batch in messages(log, encoder("json", "t")):
        times += batch.times.tolist()
        for key, value in zip(batch.keys, batch.values, strict=True):
            message = json.loads(value)
            assert message["id"] == key
            if "time" in message:
                assert seen >= set(needs.get(key, ()))
                order.append(key)
            else:
                seen.add(key)
    assert order == log.events["event_id"].to_list()
    assert seen == set(log.objects["object_id"])
    assert times == sorted(times)


def told(messages: list[Message]) -> list[Message]:
    """Leave out the news that a partition was read to its end."""
    return [m for m in messages if (error := m.error()) is None or error.code() != KafkaError._PARTITION_EOF]


def consumed(settings: KafkaSettings, topic: str, count: int, seconds: float = 60) -> list[tuple[int, bytes, bytes]]:
    """Read so many messages from all partitions: partition, key, value."""
    reader = consumer(settings, f"{topic}-reader")
    reader.assign([TopicPartition(topic, number, 0) for number in range(partitions(settings, topic))])
    found: list[tuple[int, bytes, bytes]] = []
    until = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < until:
        for message in told(reader.consume(10_000, 0.2)):
            assert message.error() is None, message.error()
            found.append((message.partition(), message.key(), message.value()))  # type: ignore[arg-type]
    found += [(m.partition(), m.key(), m.value()) for m in told(reader.consume(10, 0.5))]  # type: ignore[misc]
    reader.close()
    return found


@pytest.mark.kafka
def test_a_log_travels_through_a_topic(
    kafka: KafkaSettings, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.json"
    log = generate(3_000, seed=3)
    write_log(log, path)
    for name, value in kafka.client_properties().items():
        monkeypatch.setenv(f"OCELAKE_KAFKA__{name.upper().replace('.', '_')}", value)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers or "")
    done = CliRunner().invoke(app, ["produce", str(path), topic, "--partitions", "5"], catch_exceptions=False)
    count = log.events.height + log.objects.height
    assert f"Sent {count:,} messages" in done.output
    found = consumed(kafka, topic, count)
    assert len(found) == count
    assert len({partition for partition, _, _ in found}) == 5
    assert all(json.loads(value)["id"].encode() == key for _, key, value in found)
    decode = decoder("json")
    parts = [decode(range(len(found)), [value for _, _, value in found])]
    assert log_differences(log, as_log(parts, {"event_types": {}, "object_types": {}})) == []
    with pytest.raises(SettingError, match="5 partitions, not 4"):
        ensure_topic(kafka, topic, 4)


def numbered(count: int, size: int = 100) -> Iterable[Batch]:
    """Messages a tenth of a second apart."""
    for first in range(0, count, size):
        numbers = range(first, min(first + size, count))
        keys = [str(number) for number in numbers]
        yield Batch(keys, [key.encode() for key in keys], 100_000 * np.array(numbers))


@pytest.mark.parametrize(("pace", "seconds"), [(at_rate(2_000), 1.0), (at_speed(200), 1.0)])
def test_a_pace_is_kept(mock_kafka: KafkaSettings, topic: str, pace: Any, seconds: float) -> None:
    sent = produce(mock_kafka, topic, numbered(2_000), pace=pace)
    assert sent.messages == 2_000
    assert seconds * 0.95 < sent.seconds < seconds * 3


@pytest.mark.kafka
def test_what_the_brokers_refuse_is_counted(kafka: KafkaSettings, topic: str) -> None:
    client = admin(kafka)
    wanted = NewTopic(topic, num_partitions=1, config={"max.message.bytes": "1000"})
    client.create_topics([wanted])[topic].result(30)
    # A batch is refused as a whole.
    one_by_one = kafka.model_copy(update={"properties": {**kafka.properties, "batch.num.messages": SecretStr("1")}})
    large = Random(0).randbytes(5_000)
    batch = Batch(["a", "b", "c", "d"], [b"small", large, b"small", large], np.zeros(4, np.int64))
    with pytest.raises(StreamError, match=r"Of 4 messages to .* the brokers have 2, not the others: .*large"):
        produce(one_by_one, topic, [batch])
    assert [value for _, _, value in consumed(kafka, topic, 2)] == [b"small", b"small"]


def test_what_the_client_refuses_in_the_midst_of_a_slice_is_counted_right(
    mock_kafka: KafkaSettings, topic: str
) -> None:
    values = [b"small"] * 400 + [b"x" * 2_000_000] + [b"small"] * 10
    batch = Batch(["k"] * len(values), values, np.zeros(len(values), np.int64))
    with pytest.raises(StreamError, match=r"Of 400 messages to .* the brokers have \d+, not the others"):
        produce(mock_kafka, topic, [batch])


def test_a_mistyped_log_is_told_before_a_topic_is_made_and_an_embedded_broker_makes_none(
    mock_kafka: KafkaSettings, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCELAKE_HOME", str(tmp_path))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", mock_kafka.bootstrap_servers or "")
    refused = CliRunner().invoke(app, ["produce", "nosuch", topic])
    assert isinstance(refused.exception, NotFound)
    assert "nosuch" in str(refused.exception)
    write_log(generate(5, seed=1), tmp_path / "log.json")
    began = time.monotonic()
    refused = CliRunner().invoke(app, ["produce", str(tmp_path / "log.json"), topic])
    assert isinstance(refused.exception, StreamError)
    assert "ocelake broker TOPIC" in str(refused.exception)
    assert time.monotonic() - began < 15
