"""`ocelake stream`: what it says, what it refuses, and how it ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from dagster import DagsterInstance

from ocelake import metrics
from ocelake.errors import NotFound, OcelakeError, SettingError
from ocelake.lake import Lake, open_lake
from ocelake.live import stream_log
from ocelake.settings import LakeSettings, StreamSettings
from ocelake.stream.client import producer
from ocelake.stream.follow import follow_topics
from ocelake.stream.settings import KafkaSettings
from tests.integration.kafka_fixtures import mock_kafka, topic  # noqa: F401  # fixtures
from tests.integration.stream_processes import wait

EVENT = b'{"id":"e1","type":"pay","time":"2024-01-01T00:00:00Z"}'
OBJECT = b'{"id":"o1","type":"order"}'
TICK = b'{"commodity":"gold","time":"2024-01-01T00:00:00Z","price":1923.40}'
LOG = "shop"
FEED = "feed"
"""A log of one test alone: its metrics are the process'."""


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mock_kafka: KafkaSettings) -> Lake:  # noqa: F811
    (tmp_path / "dagster").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", mock_kafka.bootstrap_servers or "")
    return open_lake(
        settings=LakeSettings(
            home=tmp_path, catalog_uri=f"sqlite:///{tmp_path / 'catalog.db'}", warehouse=str(tmp_path / "warehouse")
        )
    )


def send(kafka: KafkaSettings, name: str, *messages: bytes) -> None:
    client = producer(kafka)
    for message in messages:
        client.produce(name, message, partition=0)
    assert client.flush(30) == 0


def read(lake: Lake, topic: str, **given: object) -> None:  # noqa: F811
    stream_log(lake, LOG, {"topics": (topic,), "max_seconds": 0.2, **given}, until_caught_up=True)


def test_a_blocking_check_that_fails_in_the_last_round_fails_the_command(
    lake: Lake,
    mock_kafka: KafkaSettings,  # noqa: F811
    topic: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "logs").mkdir(exist_ok=True)
    (tmp_path / "logs" / f"{LOG}.yaml").write_text("latest: 2000-01-01T00:00:00Z\n")
    send(mock_kafka, topic, OBJECT, EVENT)
    with pytest.raises(OcelakeError, match="silver was not published: 1 events are outside"):
        read(lake, topic)
    assert lake.read("bronze.event_records", LOG).height == 1, "bronze has it all the same"


def test_each_batch_says_how_many_messages_are_of_no_use(
    lake: Lake,
    mock_kafka: KafkaSettings,  # noqa: F811
    topic: str,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    send(mock_kafka, topic, OBJECT, EVENT, b"?", EVENT.replace(b"id", b"ident"))
    read(lake, topic)
    assert "4 messages in" in (said := capsys.readouterr().out)
    assert ", 2 for the quarantine" in said
    assert "check --format" not in caplog.text
    send(mock_kafka, topic, TICK, TICK)
    read(lake, topic)
    assert ", 2 for the quarantine" in capsys.readouterr().out
    assert "Not one message of this batch can be used as json: check --format" in caplog.text


def test_a_topic_is_read_on_in_the_format_that_it_was_read_in(
    lake: Lake,
    mock_kafka: KafkaSettings,  # noqa: F811
    topic: str,  # noqa: F811
) -> None:
    send(mock_kafka, topic, TICK)
    read(lake, topic, format="prices")
    send(mock_kafka, topic, TICK)
    with pytest.raises(
        SettingError, match=rf"'{topic}' was read as prices so far.*json now\. \[the log {LOG}\] Use --f"
    ):
        read(lake, topic)
    assert lake.read("bronze.batches", LOG)["last_offset"].to_list() == [0]
    read(lake, topic, format="prices")
    assert lake.read("bronze.price_ticks", LOG).height == 2


@pytest.mark.parametrize("given", [{"format": "xml"}, {"max_seconds": -1.0}])
def test_a_wrong_option_says_where_and_what_to_do(
    given: dict[str, object],
    lake: Lake,
    topic: str,  # noqa: F811
) -> None:
    with pytest.raises(SettingError, match=rf"{next(iter(given))}.* \[the log {LOG}\] .*--help"):
        read(lake, topic, **given)


def test_a_topic_that_is_named_twice_is_read_once(
    lake: Lake,
    mock_kafka: KafkaSettings,  # noqa: F811
    topic: str,  # noqa: F811
) -> None:
    send(mock_kafka, topic, OBJECT, EVENT)
    read(lake, topic, topics=(topic, topic))
    assert lake.read("bronze.event_records", LOG).height == 1


def test_a_log_is_not_registered_for_a_topic_that_is_not_there(
    lake: Lake,
    topic: str,  # noqa: F811
) -> None:
    with pytest.raises(NotFound, match=topic):
        read(lake, topic)
    assert DagsterInstance.get().get_dynamic_partitions("log") == []


def told(name: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(f"ocelake_{name}", {"log": FEED})


def test_a_feed_tells_how_far_its_time_has_got_and_what_came_late(
    lake: Lake,
    mock_kafka: KafkaSettings,  # noqa: F811
    topic: str,  # noqa: F811
) -> None:
    stop, settings = Event(), StreamSettings(topics=(topic,), format="prices", max_seconds=0.2)
    send(mock_kafka, topic, TICK)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow_topics, lake, FEED, settings, mock_kafka, stop=stop)
        try:
            wait(lambda: told("watermark_timestamp_seconds") == datetime(2024, 1, 1, tzinfo=UTC).timestamp(), 30)
            send(mock_kafka, topic, TICK.replace(b"2024", b"2025"), TICK.replace(b"2024", b"2023"))
            wait(lambda: told("new_events_total") == 2, 30)
        finally:
            stop.set()
        following.result()
    assert told("late_events_total") == 1
    assert told("watermark_timestamp_seconds") == datetime(2025, 1, 1, tzinfo=UTC).timestamp()
