"""Topics to bronze: each message once, whoever reads, whoever dies."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from threading import Event, Timer

import polars as pl
import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from ocelake import metrics
from ocelake.errors import MessagesLost, Unreachable
from ocelake.lake import Lake, open_lake
from ocelake.settings import LakeSettings, StreamSettings
from ocelake.stream import follow
from ocelake.stream.client import admin, create_topic, producer, reach
from ocelake.stream.consumer import TopicConsumer
from ocelake.stream.embedded import embedded_broker
from ocelake.stream.lag import lag_of
from ocelake.stream.offsets import CommittedOffsets
from ocelake.stream.settings import KafkaSettings
from tests.integration.conftest import free_port
from tests.integration.kafka_fixtures import *  # noqa: F403  # fixtures
from tests.integration.lake_processes import COMPLETED, start
from tests.integration.stream_processes import (
    LOG,
    PARTITIONS,
    assert_ranges_tile,
    difference,
    places,
    produce,
    read_up,
    read_up_and_die,
    reader,
    wait,
)
from tests.unit.test_lake_offsets import batches

LONG = bool(os.environ.get("OCELAKE_LONG_TESTS"))
MOST_STEPS = 150


@pytest.fixture
def settings(tmp_path: Path) -> LakeSettings:
    return LakeSettings(
        home=tmp_path, catalog_uri=f"sqlite:///{tmp_path / 'catalog.db'}", warehouse=str(tmp_path / "warehouse")
    )


@pytest.fixture
def lake(settings: LakeSettings) -> Lake:
    return open_lake(settings=settings)


def test_each_message_is_read_once_and_every_reader_goes_on_where_bronze_ends(
    lake: Lake, mock_kafka: KafkaSettings, topic: str
) -> None:
    sent = produce(mock_kafka, topic, (f"a{n}" for n in range(1000)))
    assert sum(read_up(lake, mock_kafka, topic)) == 1000
    assert read_up(lake, mock_kafka, topic) == [], "nothing new is nothing to publish"
    sent += produce(mock_kafka, topic, (f"b{n}" for n in range(500)))
    assert sum(read_up(lake, mock_kafka, topic, max_rows=100)) == 500
    assert difference(lake, sent) == ({}, {})
    assert_ranges_tile(lake)
    first = lake.read("bronze.batches", LOG).sort("batch_id").row(0, named=True)
    assert (first["batch_id"], first["source"], first["format"]) == (f"{topic}-0-0-249", topic, "json")
    records = lake.read("bronze.event_records", LOG).sort("position")
    assert records.filter(records["batch_id"] == first["batch_id"])["event_id"][:2].to_list() == ["a0", "a4"]


def test_killed_at_every_step_between_poll_and_commit(
    settings: LakeSettings, mock_kafka: KafkaSettings, topic: str
) -> None:
    sent: list[str] = []
    died_old = died_new = 0
    # Every step in the long form; in the short one every fourth, of a publication's tables and rows all kinds.
    for step in count(1, 1 if LONG else 4):
        new = produce(mock_kafka, topic, (f"{step}-{n}" for n in range(8)))
        process = start(read_up_and_die, settings, mock_kafka, topic, step)
        process.join(60)
        assert process.exitcode in (COMPLETED, -signal.SIGKILL)
        completed = process.exitcode == COMPLETED
        lake = open_lake(settings=settings)
        sent += new
        missing, more = difference(lake, sent)
        assert not more, f"step {step}"
        assert not missing or set(missing) == set(new), f"step {step}: wholly or not at all"
        died_old, died_new = died_old + bool(missing), died_new + (not missing and not completed)
        if missing:
            read_up(lake, mock_kafka, topic)
            assert difference(lake, sent) == ({}, {}), f"again after step {step}"
        if completed:
            break
        assert step < MOST_STEPS
    sent += produce(mock_kafka, topic, (f"last-{n}" for n in range(8)))
    process = start(read_up_and_die, settings, mock_kafka, topic, 1, ((CommittedOffsets, "published"),))
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    lake = open_lake(settings=settings)
    assert difference(lake, sent) == ({}, {}), "it died right after the commit"
    assert_ranges_tile(lake)
    assert died_old > (20 if LONG else 5)
    assert died_new >= LONG, "of the other steps, which are every fourth in the short form"


def test_messages_that_expired_before_they_were_read_are_told_and_not_passed_over(
    lake: Lake, mock_kafka: KafkaSettings, topic: str
) -> None:
    sent = produce(mock_kafka, topic, (f"a{n}" for n in range(8)))
    read_up(lake, mock_kafka, topic)
    produce(mock_kafka, topic, (f"{n}-{secrets.token_hex(30_000)}" for n in range(4 * 150)))  # it keeps 5 MB of each
    with pytest.raises(MessagesLost, match=rf"offsets, 2 to \d+, expired before they were read\. \[{topic}, partition"):
        read_up(lake, mock_kafka, topic)
    assert difference(lake, sent) == ({}, {}), "nothing was passed over"
    assert sum(read_up(lake, mock_kafka, topic, skip_lost=True)) < 600
    batches = lake.read("bronze.batches", LOG).filter(pl.col("partition") == 0).sort("first_offset")
    (_, last), (first, end) = batches.select("first_offset", "last_offset").rows()
    assert last == 1
    assert first > 2, "the gap is one between two batches"
    assert end == 151
    assert read_up(lake, mock_kafka, topic) == []


def test_a_topic_that_was_made_anew_is_not_taken_for_the_old_one(
    lake: Lake, mock_kafka: KafkaSettings, topic: str
) -> None:
    for number in range(PARTITIONS):
        with lake.publication(LOG, "bronze", offsets={(topic, number): None}) as publication:
            publication.append("bronze.batches", batches({(topic, number): (0, 99)}))
            publication.commit()
    produce(mock_kafka, topic, (f"a{n}" for n in range(8)))
    with pytest.raises(MessagesLost, match="ends at offset 1, but was read up to 99: it was made anew or cut"):
        read_up(lake, mock_kafka, topic)


@pytest.mark.kafka
def test_a_topic_that_was_made_anew_and_is_longer_is_not_taken_for_the_old_one(
    lake: Lake, kafka: KafkaSettings, topic: str
) -> None:
    create_topic(kafka, topic, PARTITIONS)
    sent = produce(kafka, topic, (f"a{n}" for n in range(8)))
    read_up(lake, kafka, topic)
    sent += produce(kafka, topic, (f"b{n}" for n in range(8)))
    assert sum(read_up(lake, kafka, topic)) == 8, "it is the same one"
    client = admin(kafka)
    client.delete_topics([topic])[topic].result()
    wait(lambda: topic not in reach(kafka).topics, 20)
    create_topic(kafka, topic, PARTITIONS)
    produce(kafka, topic, (f"c{n}" for n in range(80)))
    with pytest.raises(MessagesLost, match=rf"not the topic that was read under this name.*\[{topic}, partition 0"):
        read_up(lake, kafka, topic)
    assert difference(lake, sent) == ({}, {})


def test_a_topic_of_another_embedded_broker_is_not_taken_for_the_old_one(lake: Lake, topic: str) -> None:
    with embedded_broker() as one, embedded_broker() as other:
        sent = produce(one, topic, (f"a{n}" for n in range(8)))
        read_up(lake, one, topic)
        produce(other, topic, (f"b{n}" for n in range(80)))
        with pytest.raises(MessagesLost, match="made anew, or is on other brokers"):
            read_up(lake, other, topic)
        assert read_up(lake, one, topic) == []
    assert difference(lake, sent) == ({}, {})


def test_a_topic_whose_earlier_batches_tell_no_id_is_read_on(lake: Lake, mock_kafka: KafkaSettings, topic: str) -> None:
    with lake.publication(LOG, "bronze", offsets={(topic, 0): None}) as publication:
        publication.append("bronze.batches", batches({(topic, 0): (0, 0)}))
        publication.commit()
    produce(mock_kafka, topic, (f"a{n}" for n in range(8)))
    assert sum(read_up(lake, mock_kafka, topic)) == 7
    told = lake.read("bronze.batches", LOG).sort("first_offset")["topic_id"]
    assert told.null_count() == 1
    assert told.n_unique() == 2


def test_a_catalog_that_is_locked_for_longer_than_the_group_waits_costs_nothing_but_time(
    lake: Lake, mock_kafka: KafkaSettings, topic: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = {name: SecretStr("6000") for name in ("max.poll.interval.ms", "session.timeout.ms")}
    kafka, stop, made = mock_kafka.model_copy(update={"properties": short}), Event(), list[int]()
    consumer = reader(lake, kafka, topic, stop=stop)
    consumer.join()
    with ThreadPoolExecutor(1) as pool, closing(sqlite3.connect(tmp_path / "catalog.db")) as catalog:
        reading = pool.submit(consumer.run, lambda committed: made.append(committed.messages))
        try:
            sent = produce(mock_kafka, topic, (f"a{n}" for n in range(8)))
            wait(lambda: reading.done() or sum(made) == 8, 30)
            catalog.execute("BEGIN EXCLUSIVE")
            sent += produce(mock_kafka, topic, (f"b{n}" for n in range(8)))
            time.sleep(9)
            catalog.rollback()
            sent += produce(mock_kafka, topic, (f"c{n}" for n in range(8)))
            wait(lambda: reading.done() or sum(made) == 24, 30)
        finally:
            stop.set()
        reading.result()
    consumer.close()
    assert "maximum poll interval" in caplog.text
    assert difference(lake, sent) == ({}, {})
    assert_ranges_tile(lake)


@pytest.mark.parametrize("after", ["topic_partitions", "_begin_at"])
def test_reading_in_one_go_ends_where_the_brokers_go_away(
    after: str, lake: Lake, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as broker:
        kafka = broker.enter_context(embedded_broker())
        produce(kafka, topic, (f"a{n}" for n in range(8)))
        owner = follow if after == "topic_partitions" else TopicConsumer
        step = getattr(owner, after)

        def and_gone(*given: object) -> object:
            found = step(*given)
            broker.close()
            return found

        monkeypatch.setattr(owner, after, and_gone)
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
            follow.read_topics(lake, LOG, StreamSettings(topics=(topic,)), kafka, seconds=2)
        assert time.monotonic() - began < 15


def test_waiting_for_a_broker_ends_soon_after_it_is_stopped() -> None:
    stop, nobody = Event(), KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    stopping = Timer(0.5, stop.set)
    stopping.start()
    began = time.monotonic()
    assert not follow.await_topics(StreamSettings(topics=("t",)), nobody, stop)
    assert time.monotonic() - began < 3
    circuit = {"system": "broker", "place": nobody.bootstrap_servers or ""}
    assert metrics.REGISTRY.get_sample_value("ocelake_failures_total", circuit) == 1


@pytest.mark.kafka
def test_a_partition_that_has_nothing_but_marks_of_transactions_is_read_to_its_end(
    lake: Lake, kafka: KafkaSettings, topic: str
) -> None:
    create_topic(kafka, topic, 1)
    client = Producer({**kafka.client_properties(), "transactional.id": topic})
    client.init_transactions(30)
    client.begin_transaction()
    client.produce(topic, b"never")
    client.flush(30)
    client.abort_transaction(30)
    settings = StreamSettings(topics=(topic,))
    assert [item.messages for item in lag_of(lake, LOG, settings, kafka)] == [2], "a message, and a mark"
    (made,) = follow.read_topics(lake, LOG, settings, kafka)
    assert made.messages == 0
    assert [item.messages for item in lag_of(lake, LOG, settings, kafka)] == [0]
    assert follow.read_topics(lake, LOG, settings, kafka) == []
    produce_one(kafka, topic, b'{"id":"o1","type":"order"}')
    (made,) = follow.read_topics(lake, LOG, settings, kafka)
    assert made.messages == 1
    assert lake.read("bronze.batches", LOG).sort("first_offset").select("first_offset", "last_offset").rows() == [
        (0, 1),
        (2, 2),
    ]


def test_what_waits_is_shown_before_anything_is_published(lake: Lake, mock_kafka: KafkaSettings, topic: str) -> None:
    def lag() -> float:
        places = ({"log": LOG, "topic": topic, "partition": str(number)} for number in range(PARTITIONS))
        return sum(metrics.REGISTRY.get_sample_value("ocelake_lag_messages", place) or 0 for place in places)

    stop = Event()
    slow = reader(lake, mock_kafka, topic, stop=stop, max_seconds=3600)
    sent = produce(mock_kafka, topic, (f"a{n}" for n in range(8)))
    slow.take(places(topic))
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(slow.run, lambda _: None)
        try:
            wait(lambda: lag() == 8, 20)
            assert lake.latest(LOG, "bronze") is None
        finally:
            stop.set()
        reading.result()
    slow.close()
    assert lag() == 0
    assert difference(lake, sent) == ({}, {})


def produce_one(kafka: KafkaSettings, topic: str, value: bytes) -> None:
    client = producer(kafka)
    client.produce(topic, value)
    assert client.flush(30) == 0


def test_a_consumer_that_was_overtaken_drops_what_it_has_and_goes_on_behind(
    lake: Lake, mock_kafka: KafkaSettings, topic: str
) -> None:
    sent = produce(mock_kafka, topic, (f"a{n}" for n in range(40)))
    slow = reader(lake, mock_kafka, topic, max_seconds=3600)
    slow.take(places(topic))
    while not slow.caught_up:
        slow._begin()
        slow._poll()
    read_up(lake, mock_kafka, topic)
    sent += produce(mock_kafka, topic, (f"b{n}" for n in range(20)))
    assert slow.commit() is None, "another one has published all of it"
    made: list[int] = []
    slow.run(lambda committed: made.append(committed.messages), until_caught_up=True)
    slow.close()
    assert made == [20]
    assert difference(lake, sent) == ({}, {})
    assert_ranges_tile(lake)
