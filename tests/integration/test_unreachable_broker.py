"""No broker answers when a command begins: it says so, and waits for one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ocelake.ocel.generate import write_demo_log
from ocelake.stream.client import reach
from tests.integration.conftest import free_port
from tests.integration.kafka_fixtures import start_kafka


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.json"
    write_demo_log(path, 200, 1)
    return path


def begin(servers: str, seconds: float, *arguments: str) -> subprocess.Popen[str]:
    """Run a command of ours with so much patience."""
    settings = {"KAFKA_BOOTSTRAP_SERVERS": servers, "OCELAKE_RESILIENCE__SECONDS": str(seconds)}
    return subprocess.Popen(
        [sys.executable, "-m", "ocelake", *arguments],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
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
