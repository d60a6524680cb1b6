"""A steady flow of messages through a group of `ocelake stream`: none lost, none doubled, none late."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.streaming import backlog, flow
from ocelake.lake import open_lake
from ocelake.stream.settings import KafkaSettings
from tests.integration.kafka_fixtures import *  # noqa: F403  # fixtures

LONG = bool(os.environ.get("OCELAKE_LONG_TESTS"))
MESSAGES, RATE, SECONDS = (100_000, 10_000, 5.0) if LONG else (10_000, 2_000, 30.0)
BACKLOG, BACKLOG_SECONDS = (1_000_000, 60.0) if LONG else (10_000, 60.0)

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_flow_through_three_consumers_arrives_once_and_soon(kafka: KafkaSettings, tmp_path: Path) -> None:
    found = flow(kafka, open_lake(tmp_path), MESSAGES, RATE)
    print(f"\n{found}")
    assert (found.lost, found.doubled) == (0, 0)
    assert found.rate > 0.9 * RATE
    assert found.seconds < SECONDS


def test_a_log_that_waits_in_a_topic_is_soon_in_gold(kafka: KafkaSettings, tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    sent, bronze, gold = backlog(kafka, lake, BACKLOG)
    print(f"\n{sent:,} messages: in bronze after {bronze:.1f} s, in gold after {gold:.1f} s")
    assert gold < BACKLOG_SECONDS
    assert lake.read("gold.log_summary", "backlog")["events"].item() == BACKLOG
