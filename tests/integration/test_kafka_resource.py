"""Kafka as a Dagster resource: its configuration over the environment's, and clients that work."""

import pytest
from confluent_kafka import TopicPartition
from dagster import asset, materialize

from definitions import build_defs
from ocelake.errors import SettingError
from ocelake.stream.settings import KafkaSettings
from resources import KafkaResource


def test_configuration_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "environment:9092")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "s3cr3t")
    monkeypatch.setenv("OCELAKE_KAFKA__CLIENT_ID", "environment")
    plain = KafkaResource().settings.client_properties()
    assert plain == {"bootstrap.servers": "environment:9092", "sasl.password": "s3cr3t", "client.id": "environment"}
    resource = KafkaResource(
        bootstrap_servers="given:9092", properties={"client.id": "given"}, schema_registry_url="http://registry"
    )
    given = {"bootstrap.servers": "given:9092", "sasl.password": "s3cr3t", "client.id": "given"}
    assert resource.settings.client_properties() == given
    assert resource.settings.registry_client_properties() == {"url": "http://registry"}
    assert "s3cr3t" not in repr(resource) + repr(resource.settings)


def test_without_configuration_it_fails_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    resource = (build_defs(rules=[]).resources or {})["kafka"]
    with pytest.raises(SettingError, match="KAFKA_BOOTSTRAP_SERVERS"):
        resource.producer()


def test_an_asset_sends_and_reads(mock_kafka: KafkaSettings, topic: str) -> None:
    @asset
    def ping(kafka: KafkaResource) -> str:
        sender = kafka.producer()
        sender.produce(topic, b"ping", partition=1)
        assert sender.flush(20) == 0
        assert topic in kafka.admin().list_topics(timeout=10).topics
        reader = kafka.consumer("group")
        reader.assign([TopicPartition(topic, 1, 0)])
        (message,) = reader.consume(1, 20)
        reader.close()
        return (message.value() or b"").decode()

    done = materialize([ping], resources={"kafka": KafkaResource(bootstrap_servers=mock_kafka.bootstrap_servers)})
    assert done.output_for_node("ping") == "ping"
