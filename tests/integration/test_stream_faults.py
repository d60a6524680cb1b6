"""Brokers, network, catalog and disk fail while messages flow through three consumers: none is lost, none is doubled.

Short by default; ``OCELAKE_TEST_FAULT_SECONDS=20`` makes the faults as long as is claimed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest

from ocelake.lake import Lake, open_lake
from ocelake.settings import LakeSettings
from ocelake.stream.client import create_topic
from ocelake.stream.settings import KafkaSettings
from tests.integration.conftest import PostgresServer
from tests.integration.faults import Network, fill, network, small_disk
from tests.integration.kafka_fixtures import KafkaCluster, start_kafka
from tests.integration.lake_processes import COMPLETED, start
from tests.integration.stream_processes import (
    LOG,
    PARTITIONS,
    Flow,
    assert_ranges_tile,
    difference,
    missing,
    reader,
    wait,
)

SECONDS = float(os.environ.get("OCELAKE_TEST_FAULT_SECONDS", "5"))
RATE = int(os.environ.get("OCELAKE_TEST_FAULT_RATE", "500"))
CONSUMERS = 3
RECOVERY = 30.0
LEFT = 5
SETTLED = 1.5

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240 + 3 * int(SECONDS))]


def read_on(settings: LakeSettings, kafka: KafkaSettings, topic: str, space: str | None = None) -> None:
    """Read as a member of a group until SIGTERM, in a network namespace where one is named."""
    if space is not None:
        with Path("/run/netns", space).open("rb") as file:
            assert ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    consumer = reader(open_lake(settings=settings), kafka, topic, stop=stop, max_seconds=0.5)
    consumer.join()
    consumer.run(lambda _: None)
    consumer.close()


@contextmanager
def flowing(
    settings: LakeSettings, kafka: KafkaSettings, topic: str, space: str | None = None
) -> Iterator[tuple[Lake, Flow]]:
    """Let messages flow through three consumers; all of them are there when the block begins."""
    lake = open_lake(settings=settings)
    lake.ensure_tables()
    create_topic(kafka, topic, PARTITIONS)
    members = [start(read_on, settings, kafka, topic, space) for _ in range(CONSUMERS)]
    flow = Flow(kafka, topic, RATE)
    try:
        wait(lambda: readers(lake) == PARTITIONS, 60)
        yield lake, flow
        assert [member.exitcode for member in members] == [None] * CONSUMERS  # no fault made one of them end
    finally:
        flow.end()
        for member in members:
            if member.is_alive():
                os.kill(member.pid or 0, signal.SIGTERM)
        for member in members:
            member.join(90)
            member.kill()
    assert [member.exitcode for member in members] == [COMPLETED] * CONSUMERS


def readers(lake: Lake) -> int:
    """How many partitions something was read of."""
    return lake.read("bronze.batches", LOG)["partition"].n_unique()


def check(lake: Lake, flow: Flow, what: str) -> None:
    """End the flow with the fault: soon all that was sent is in bronze, once."""
    ended = time.monotonic()
    sent = flow.end()
    assert flow.undelivered == 0
    wait(lambda: missing(lake, sent) < LEFT, RECOVERY)
    took = time.monotonic() - ended
    wait(lambda: missing(lake, sent) <= 0, 10)
    print(f"\n{what} for {SECONDS:g} s: {len(sent):,} messages at {RATE:,}/s, recovered in {took:.1f} s")
    assert took < RECOVERY
    assert difference(lake, sent) == ({}, {})
    assert_ranges_tile(lake)


def newest(lake: Lake) -> int:
    record = lake.latest(LOG, "bronze")
    return record.number if record else 0


def stand_still(lake: Lake) -> None:
    """Wait until what had been read before the fault is published, then for as long as a fault takes: nothing comes."""
    began, changed, number = time.monotonic(), time.monotonic(), newest(lake)
    while time.monotonic() - changed < SETTLED:
        time.sleep(0.1)
        if newest(lake) != number:
            changed, number = time.monotonic(), newest(lake)
            assert changed - began < RECOVERY, "it still comes through"
    time.sleep(max(0.0, SECONDS - SETTLED))
    assert newest(lake) == number


@pytest.fixture
def settings(tmp_path: Path) -> LakeSettings:
    return LakeSettings(
        home=tmp_path, catalog_uri=f"sqlite:///{tmp_path / 'catalog.db'}", warehouse=str(tmp_path / "warehouse")
    )


@pytest.fixture
def topic() -> str:
    return f"t-{uuid4().hex}"


@pytest.mark.parametrize("broker", [1, 2, 3])
def test_a_broker_of_three_is_killed(
    kafka_cluster: KafkaCluster, settings: LakeSettings, topic: str, broker: int
) -> None:
    if broker > 1 and SECONDS < 20:
        pytest.skip("the short form kills one broker: set OCELAKE_TEST_FAULT_SECONDS=20 for each of them")
    with flowing(settings, kafka_cluster.settings, topic) as (lake, flow):
        kafka_cluster.kill(broker)
        try:
            time.sleep(SECONDS)
            check(lake, flow, f"broker {broker} killed")  # it is still gone: the others have all that was acknowledged
        finally:
            kafka_cluster.restart(broker)


@pytest.fixture
def cut_off() -> Iterator[tuple[Network, KafkaSettings]]:
    """A broker, and a network namespace that reaches it over one link."""
    with network() as net, start_kafka(1, "--host", net.address) as cluster:
        yield net, cluster.settings


def test_the_network_to_the_broker_is_cut(
    cut_off: tuple[Network, KafkaSettings], settings: LakeSettings, topic: str
) -> None:
    net, kafka = cut_off
    with flowing(settings, kafka, topic, net.space) as (lake, flow):
        net.cut()
        stand_still(lake)
        net.mend()
        check(lake, flow, "network cut")


@pytest.mark.postgres
def test_the_catalogs_database_is_stopped(
    kafka: KafkaSettings, postgres_server: PostgresServer, settings: LakeSettings, topic: str
) -> None:
    there = settings.model_copy(update={"catalog_uri": postgres_server.new_database()})
    with flowing(there, kafka, topic) as (lake, flow):
        postgres_server.stop()
        time.sleep(SECONDS)
        postgres_server.start()
        check(lake, flow, "catalog stopped")


def test_the_disk_is_full_for_a_while(kafka: KafkaSettings, settings: LakeSettings, topic: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "disk", 256))
        there = settings.model_copy(update={"warehouse": str(disk / "warehouse")})
        lake, flow = stack.enter_context(flowing(there, kafka, topic))
        ballast = fill(disk)
        stand_still(lake)
        ballast.unlink()
        check(lake, flow, "disk full")
        known = {Path(path).name for path in lake.plan("bronze.event_records").paths}
        assert {path.name for path in (disk / "warehouse" / "bronze" / "event_records").rglob("*.parquet")} == known
