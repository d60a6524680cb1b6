"""Kafka's configuration: what the environment says, and that secrets stay hidden."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from ocelake.errors import SettingError, StreamError, Unreachable
from ocelake.stream.client import admin, consumer, failure, producer
from ocelake.stream.settings import KafkaSettings

SECRET = "s3cr3t-hunter2"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL"):
        monkeypatch.delenv(name, raising=False)


def test_the_environment_becomes_properties(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "KAFKA_BOOTSTRAP_SERVERS": "one:9092,two:9092",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "me",
        "KAFKA_SASL_PASSWORD": SECRET,
        "KAFKA_SSL_CA_LOCATION": "/etc/ca.pem",
        "KAFKA_SSL_KEY_PASSWORD": "",
        "KAFKA_HOME": "/opt/kafka",
        "OCELAKE_KAFKA__SOCKET_TIMEOUT_MS": "5000",
        "SCHEMA_REGISTRY_URL": "https://registry",
        "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": f"me:{SECRET}",
        "SCHEMA_REGISTRY_SSL_CA_LOCATION": "/etc/ca.pem",
        "SCHEMA_REGISTRY_HOST_NAME": "registry",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = KafkaSettings.load()
    assert settings.client_properties() == {
        "bootstrap.servers": "one:9092,two:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": SECRET,
        "ssl.ca.location": "/etc/ca.pem",
        "socket.timeout.ms": "5000",
    }
    assert settings.registry_client_properties() == {
        "url": "https://registry",
        "basic.auth.user.info": f"me:{SECRET}",
        "ssl.ca.location": "/etc/ca.pem",
    }
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in text


def test_what_is_not_set_is_told_by_its_name() -> None:
    settings = KafkaSettings.load()
    with pytest.raises(SettingError, match="KAFKA_BOOTSTRAP_SERVERS"):
        producer(settings)
    with pytest.raises(SettingError, match="SCHEMA_REGISTRY_URL"):
        settings.registry_client_properties()


@pytest.mark.parametrize("url", [f"https://me:{SECRET}@registry", "registry:8081"])
def test_a_registry_address_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", url)
    with pytest.raises(SettingError, match="schema_registry_url") as refusal:
        KafkaSettings.load()
    assert SECRET not in str(refusal.value)
    assert SECRET not in repr(refusal.value.__cause__)


@pytest.mark.parametrize("make", [producer, admin, lambda settings: consumer(settings, "group")])
@pytest.mark.parametrize(
    ("name", "value"), [("no.such", "1"), ("security.protocol", "TELEGRAPH"), ("ssl.key.location", "/no/such")]
)
def test_a_wrong_property_is_a_setting_error(make: object, name: str, value: str) -> None:
    properties = {"security.protocol": "SSL", "sasl.password": SECRET, name: value}
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1", properties=properties)
    with pytest.raises(SettingError, match=r"KAFKA_") as refusal:
        make(settings)  # type: ignore[operator]
    assert name in str(refusal.value)
    assert SECRET not in str(refusal.value)


def test_settings_win_over_the_clients_defaults() -> None:
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1", properties={"compression.type": "telegraph"})
    with pytest.raises(SettingError, match="telegraph"):
        producer(settings)


def test_failures_say_what_where_and_what_to_do_but_no_secret() -> None:
    settings = KafkaSettings(
        bootstrap_servers="kafka:9092",
        properties={"sasl.password": SECRET, "security.protocol": "SSL"},
        registry_properties={"basic.auth.user.info": "me:pw"},
    )
    refused = failure(KafkaError(KafkaError._AUTHENTICATION, f"SSL: bad {SECRET} of me:pw, pw"), settings)
    assert type(refused) is StreamError
    assert "kafka:9092" in str(refused)
    assert "KAFKA_SASL_" in str(refused)
    assert "SSL: bad ********** of **********, **********" in str(refused)
    absent = failure(KafkaError(KafkaError._ALL_BROKERS_DOWN), settings, doing="No message was read")
    assert isinstance(absent, Unreachable)
    assert str(absent).startswith("No message was read: ")
    assert "KAFKA_BOOTSTRAP_SERVERS" in str(absent)
