"""Kafka's clients, with the mock cluster and with real brokers: what is there, what is not, and who may."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from ocelake.errors import NotFound, SettingError, StreamError, Unreachable
from ocelake.stream.client import admin, consumer, create_topic, partitions, passes, producer, reach
from ocelake.stream.settings import KafkaSettings
from tests.integration.conftest import free_port
from tests.integration.kafka_fixtures import KafkaCluster


def fetch(client: Consumer, count: int, seconds: float = 20) -> list[bytes | None]:
    """Read so many messages, or what comes in time."""
    values: list[bytes | None] = []
    until = time.monotonic() + seconds
    while len(values) < count and time.monotonic() < until:
        for message in client.consume(count, 0.2):
            assert message.error() is None, message.error()
            values.append(message.value())
    return values


def exchange(settings: KafkaSettings, topic: str, messages: list[bytes], partition: int = 0) -> list[bytes | None]:
    """Send messages, and read them again."""
    sender = producer(settings)
    for message in messages:
        sender.produce(topic, message, partition=partition)
    assert sender.flush(20) == 0
    reader = consumer(settings, f"{topic}-group")
    reader.assign([TopicPartition(topic, partition, 0)])
    values = fetch(reader, len(messages))
    reader.close()
    return values


def test_messages_pass_the_mock_cluster(mock_kafka: KafkaSettings, topic: str) -> None:
    assert exchange(mock_kafka, topic, [b"a", b"b"]) == [b"a", b"b"]
    assert len(reach(mock_kafka).brokers) == 3


@pytest.mark.parametrize(
    "name", ["auto.offset.reset", "enable.auto.commit", "isolation.level", "group.id", "enable.idempotence", "acks"]
)
def test_what_correctness_rests_on_cannot_be_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"OCELAKE_KAFKA__{name.upper().replace('.', '_')}"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv(variable, "all")
    for make in (lambda settings: consumer(settings, "group"), producer, admin):
        with pytest.raises(SettingError, match=rf"{name} cannot be set: .* \[{variable}\]"):
            make(KafkaSettings.load())


@pytest.mark.parametrize(
    ("name", "goes_on"),
    [
        ("_MAX_POLL_EXCEEDED", True),
        ("_TRANSPORT", True),
        ("_ALL_BROKERS_DOWN", True),
        ("NOT_COORDINATOR", True),
        ("TOPIC_AUTHORIZATION_FAILED", False),
        ("_AUTHENTICATION", False),
        ("UNKNOWN_TOPIC_OR_PART", False),
        ("_FATAL", False),
        ("_BAD_MSG", False),
    ],
)
def test_after_which_errors_a_consumer_goes_on(name: str, goes_on: bool) -> None:
    assert passes(KafkaError(getattr(KafkaError, name))) == goes_on


@pytest.mark.kafka
def test_a_topic_is_created_once_with_its_partitions(kafka: KafkaSettings, topic: str) -> None:
    with pytest.raises(NotFound, match=topic):
        partitions(kafka, topic)
    assert create_topic(kafka, topic, 3)
    assert not create_topic(kafka, topic, 5)
    assert partitions(kafka, topic) == 3
    assert exchange(kafka, topic, [b"a", b"b"], partition=2) == [b"a", b"b"]
    with pytest.raises(StreamError, match="cannot be created"):
        create_topic(kafka, "no name", 1)


@pytest.mark.kafka
def test_offsets_that_are_gone_are_an_error(kafka: KafkaSettings, topic: str) -> None:
    create_topic(kafka, topic, 1)
    reader = consumer(kafka, topic)
    reader.assign([TopicPartition(topic, 0, 1000)])
    found = next(message for _ in range(100) if (message := reader.poll(0.2)) is not None)
    assert found.error() is not None
    reader.close()


def test_no_broker_is_unreachable_in_time() -> None:
    nobody = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    begin = time.monotonic()
    with pytest.raises(Unreachable, match=r"Connection refused.*127\.0\.0\.1.*KAFKA_BOOTSTRAP_SERVERS"):
        reach(nobody, seconds=1)
    assert time.monotonic() - begin < 5
    with pytest.raises(Unreachable, match="cannot be created"):
        create_topic(nobody, "topic", 1, seconds=1)


@pytest.mark.kafka
def test_messages_survive_the_death_of_a_broker(kafka_cluster: KafkaCluster, topic: str) -> None:
    create_topic(kafka_cluster.settings, topic, 3)
    messages = [str(number).encode() for number in range(1000)]
    assert exchange(kafka_cluster.settings, topic, messages, 0) == messages
    kafka_cluster.kill(1)
    try:
        for partition in (1, 2):
            assert exchange(kafka_cluster.settings, topic, messages, partition) == messages
    finally:
        kafka_cluster.restart(1)
    assert len(reach(kafka_cluster.settings).brokers) == 3
