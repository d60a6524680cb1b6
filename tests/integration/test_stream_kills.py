"""Three consumers of a group, killed again and again while messages flow: none is lost, none is doubled.

Short by default; ``OCELAKE_TEST_KILLS=100`` and ``OCELAKE_TEST_FAULT_RATE=10000`` make it what is claimed.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from ocelake.lake import open_lake
from ocelake.settings import LakeSettings
from ocelake.stream.client import create_topic
from ocelake.stream.settings import KafkaSettings
from tests.integration.kafka_fixtures import start_kafka
from tests.integration.lake_processes import COMPLETED, start
from tests.integration.stream_processes import PARTITIONS, Flow, assert_ranges_tile, difference, missing, read_on, wait

KILLS = int(os.environ.get("OCELAKE_TEST_KILLS", "6"))
CONSUMERS = 3
MOST_STEPS = 120
RATE = int(os.environ.get("OCELAKE_TEST_FAULT_RATE", "1000"))
RECOVERY = 30.0

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(120 + 20 * KILLS)]


@pytest.fixture
def broker() -> Iterator[KafkaSettings]:
    """A broker that soon gives a dead member's partitions to others."""
    soon = {"session.timeout.ms": "3000", "heartbeat.interval.ms": "500"}
    options = ("group.min.session.timeout.ms=1000", "group.initial.rebalance.delay.ms=0")
    with start_kafka(1, *(part for option in options for part in ("--set", option))) as cluster:
        properties = {name: SecretStr(value) for name, value in soon.items()}
        yield cluster.settings.model_copy(update={"properties": properties})


def end(process: BaseProcess, number: signal.Signals) -> None:
    if process.is_alive():
        os.kill(process.pid or 0, number)
    process.join(60)
    assert process.exitcode in (-signal.SIGKILL, COMPLETED), process.exitcode


def test_killed_at_random_points_in_and_around_the_commit(broker: KafkaSettings, tmp_path: Path) -> None:
    settings = LakeSettings(
        home=tmp_path, catalog_uri=f"sqlite:///{tmp_path / 'catalog.db'}", warehouse=str(tmp_path / "warehouse")
    )
    lake, topic, chance = open_lake(settings=settings), f"t-{uuid4().hex}", random.Random(7)
    lake.ensure_tables()
    create_topic(broker, topic, PARTITIONS)
    flow = Flow(broker.model_copy(update={"properties": {}}), topic, RATE)
    members = [start(read_on, settings, broker, topic) for _ in range(CONSUMERS)]
    try:
        for number in range(KILLS):
            place = number % CONSUMERS
            # Every other one dies by itself at a step of its work, the others whenever the signal reaches them.
            members[place].join(chance.uniform(0.5, 4.0))
            end(members[place], signal.SIGKILL)
            step = chance.randrange(1, MOST_STEPS) if number % 2 else 0
            members[place] = start(read_on, settings, broker, topic, step)
        sent = flow.end()
        assert flow.undelivered == 0
        members += [start(read_on, settings, broker, topic)]  # those left may all have died by themselves
        took = wait(lambda: missing(lake, sent) <= 0, 4 * RECOVERY)
        print(f"\n{KILLS} kills: {len(sent):,} messages at {RATE:,}/s, recovered in {took:.1f} s")
    finally:
        flow.end()
        for member in members:
            end(member, signal.SIGTERM)
    assert difference(lake, sent) == ({}, {})
    assert_ranges_tile(lake)
    assert took < RECOVERY
    assert len(sent) > 1000
