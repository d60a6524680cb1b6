"""Kafka for tests: real brokers by `scripts/kafka`, and librdkafka's mock cluster, which is in this process.

The mock cluster speaks the protocol to any client, but keeps about 5 MB a partition, has no working transactions, and
gives every topic four partitions. A topic's name is for one test alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from ocelake.stream.embedded import embedded_broker
from ocelake.stream.settings import KafkaSettings
from tests.conftest import skip_or_fail

__all__ = [
    "KafkaCluster",
    "kafka",
    "kafka_cluster",
    "mock_kafka",
    "run_kafka",
    "schema_registry",
    "start_kafka",
    "topic",
]

_SCRIPT = Path(__file__).parents[2] / "scripts" / "kafka"


@dataclass(frozen=True)
class KafkaCluster:
    """Brokers of its own, numbered from 1."""

    folder: Path
    settings: KafkaSettings

    def kill(self, broker: int) -> None:
        run_kafka("kill", str(self.folder), str(broker))

    def restart(self, broker: int) -> None:
        run_kafka("restart", str(self.folder), str(broker))


def run_kafka(*arguments: str) -> str:
    """Run `scripts/kafka`, and give what it says."""
    done = subprocess.run([sys.executable, _SCRIPT, *arguments], capture_output=True, text=True, timeout=300)
    if "not installed" in done.stderr:
        skip_or_fail("kafka", "needs Apache Kafka: run scripts/kafka install, or set KAFKA_BOOTSTRAP_SERVERS")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def start_kafka(brokers: int = 1, *options: str) -> Iterator[KafkaCluster]:
    """Start so many brokers, with further options of `scripts/kafka start`; all is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ocelake-kafka-"))
    try:
        bootstrap = run_kafka("start", "--brokers", str(brokers), *options, str(folder))
        yield KafkaCluster(folder, KafkaSettings(bootstrap_servers=bootstrap))
    finally:
        for broker in range(1, brokers + 1):
            run_kafka("kill", str(folder), str(broker))
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaSettings]:
    """A real broker: the one that the environment names, else one of its own."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield KafkaSettings.load()
        return
    with start_kafka() as cluster:
        yield cluster.settings


@pytest.fixture(scope="module")
def kafka_cluster() -> Iterator[KafkaCluster]:
    """Three real brokers that may be killed; every topic is on all of them."""
    with start_kafka(3) as cluster:
        yield cluster


@pytest.fixture
def mock_kafka() -> Iterator[KafkaSettings]:
    """Librdkafka's mock cluster with three brokers; topics come to be when they are first used."""
    with embedded_broker(brokers=3) as settings:
        yield settings


@pytest.fixture(scope="session")
def schema_registry() -> Iterator[KafkaSettings]:
    """A real schema registry, without a broker."""
    folder = Path(tempfile.mkdtemp(prefix="ocelake-registry-"))
    try:
        yield KafkaSettings(schema_registry_url=run_kafka("registry", str(folder)))
    finally:
        run_kafka("end-registry", str(folder))
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def topic() -> str:
    """The name of a topic that nothing else uses."""
    return f"t-{uuid4().hex}"
