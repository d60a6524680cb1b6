"""TLS and SASL with a real broker: who is let in, by configuration alone, and what the others are told."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocelake.errors import StreamError, Unreachable
from ocelake.stream.client import create_topic, reach
from ocelake.stream.settings import KafkaSettings
from tests.integration.conftest import free_port
from tests.integration.kafka_fixtures import start_kafka
from tests.integration.test_kafka_clients import exchange

pytestmark = pytest.mark.kafka
PASSWORD = "pa55-w0rd"
JAAS = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_ocelake="{PASSWORD}";'


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate of this machine that vouches for itself: the file with its key, and without."""
    key, public, both = (folder / f"{name}.{suffix}" for suffix in ("key", "crt", "pem"))
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(public)]
    subprocess.run([*request, *names], check=True, capture_output=True)
    both.write_text(key.read_text() + public.read_text())
    return both, public


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """A broker that wants TLS and a password, and all that it takes."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    both, public = certificate(tmp_path_factory.mktemp("tls"), "broker")
    address = f"127.0.0.1:{free_port()}"
    properties = {
        "listeners+": f"SECURE://{address}",
        "advertised.listeners+": f"SECURE://{address}",
        "listener.security.protocol.map+": "SECURE:SASL_SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(both),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secure.plain.sasl.jaas.config": JAAS,
    }
    options = [text for item in properties.items() for text in ("--set", "=".join(item))]
    with start_kafka(1, *options):
        yield KafkaSettings(
            bootstrap_servers=address,
            properties={
                "security.protocol": "SASL_SSL",
                "ssl.ca.location": str(public),
                "sasl.mechanism": "PLAIN",
                "sasl.username": "ocelake",
                "sasl.password": PASSWORD,
            },
        )


def changed(settings: KafkaSettings, **properties: str) -> KafkaSettings:
    own = {name: value.get_secret_value() for name, value in settings.properties.items()}
    own |= {name.replace("_", "."): value for name, value in properties.items()}
    return KafkaSettings(bootstrap_servers=settings.bootstrap_servers, properties=own)


def test_messages_pass_with_tls_and_a_password(secure: KafkaSettings, topic: str) -> None:
    create_topic(secure, topic, 1)
    assert exchange(secure, topic, [b"a", b"b"]) == [b"a", b"b"]


def test_a_wrong_password_is_told_at_once_and_not_shown(secure: KafkaSettings) -> None:
    begin = time.monotonic()
    with pytest.raises(StreamError, match=r"(?i)authentication.*KAFKA_SASL_") as refusal:
        reach(changed(secure, sasl_password="another-secret"), seconds=60)
    assert "another-secret" not in str(refusal.value)
    assert time.monotonic() - begin < 30


def test_a_broker_that_nobody_vouches_for_is_refused(secure: KafkaSettings, tmp_path: Path) -> None:
    _, stranger = certificate(tmp_path, "stranger")
    with pytest.raises(StreamError, match=r"(?i)certificate.*KAFKA_SSL_"):
        reach(changed(secure, ssl_ca_location=str(stranger)), seconds=60)


def test_plain_text_finds_nobody_and_is_told_what_to_check(secure: KafkaSettings) -> None:
    with pytest.raises(Unreachable, match="KAFKA_SECURITY_PROTOCOL"):
        reach(KafkaSettings(bootstrap_servers=secure.bootstrap_servers), seconds=1)
