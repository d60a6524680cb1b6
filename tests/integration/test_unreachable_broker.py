"""No broker answers when a command begins: it says so, and waits for one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ocelake.lake import open_lake
from ocelake.ocel.generate import write_demo_log
from ocelake.stream.client import reach
from tests.integration.conftest import free_port
from tests.integration.kafka_fixtures import start_kafka


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.json"
    write_demo_log(path, 200, 1)
    return path


def begin(
    servers: str, seconds: float, *arguments: str, stderr: int | IO[str] = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Run a command of ours with so much patience."""
    settings = {"KAFKA_BOOTSTRAP_SERVERS": servers, "OCELAKE_RESILIENCE__SECONDS": str(seconds)}
    return subprocess.Popen(
        [sys.executable, "-m", "ocelake", *arguments],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def test_produce_says_that_no_broker_answers(log: Path) -> None:
    servers = f"127.0.0.1:{free_port()}"
    said, complaint = (command := begin(servers, 15, "produce", str(log), "topic")).communicate(timeout=120)
    assert command.returncode == 1
    assert said == ""
    assert "Traceback" not in complaint
    *tries, last = complaint.strip().splitlines()
    assert any("tried again in" in line and servers in line for line in tries), complaint
    assert "KAFKA_BOOTSTRAP_SERVERS" in complaint
    assert "Connection refused" in complaint
    assert last


@pytest.mark.kafka
@pytest.mark.slow
def test_produce_begins_when_a_broker_is_there(log: Path) -> None:
    with start_kafka() as cluster:
        cluster.kill(1)
        command = begin(cluster.settings.bootstrap_servers or "", 120, "produce", str(log), "topic")
        time.sleep(12)
        assert command.poll() is None
        cluster.restart(1)
        said, complaint = command.communicate(timeout=120)
        assert command.returncode == 0, complaint
        assert "tried again in" in complaint
        assert said.startswith("Sent ")
        assert "topic" in reach(cluster.settings).topics


def scraped(address: str, name: str) -> float:
    """The sum of a metric's values over its labels."""
    with urlopen(address) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)


@pytest.mark.kafka
@pytest.mark.slow
def test_stream_begins_when_a_broker_is_there_and_tells_prometheus(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCELAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    with start_kafka() as cluster, (tmp_path / "complaints").open("w") as told:
        servers = cluster.settings.bootstrap_servers or ""
        said, _ = begin(servers, 60, "produce", str(log), "topic").communicate(timeout=120)
        sent = int(re.match(r"Sent ([\d,]+) messages", said)[1].replace(",", ""))
        cluster.kill(1)
        options = ("--log", "L", "--max-seconds", "0.5", "--metrics-port", "0")
        command = begin(servers, 60, "stream", "topic", *options, stderr=told)
        try:
            address = re.search(r"http://\S+", command.stdout.readline())[0]
            wait(lambda: scraped(address, "ocelake_retries_total") > 1)
            wait(lambda: "Kafka does not answer" in (tmp_path / "complaints").read_text())
            assert command.poll() is None
            cluster.restart(1)
            wait(lambda: scraped(address, "ocelake_consumed_messages_total") >= sent)
            assert scraped(address, "ocelake_consumed_messages_total") == sent
            wait(lambda: scraped(address, "ocelake_advance_seconds_count") >= 2)
            assert scraped(address, "ocelake_lag_messages") == 0
            assert scraped(address, "ocelake_rebalances_total") >= 1
            assert scraped(address, "ocelake_consumed_bytes_total") > 10_000
        finally:
            command.send_signal(signal.SIGTERM)
            command.communicate(timeout=120)
        complaint = (tmp_path / "complaints").read_text()
        assert command.returncode == 0, complaint
        assert "Traceback" not in complaint
    lake = open_lake()
    records = lake.read("bronze.event_records", "L").height + lake.read("bronze.object_records", "L").height
    assert records == sent


def wait(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until, "not within two minutes"
        time.sleep(0.2)
