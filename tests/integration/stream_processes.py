"""Streams for the tests: messages that say which they are, and consumers that can be watched and killed."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from threading import Event, Thread
from typing import Any

import polars as pl
from confluent_kafka import Producer

from ocelake.lake import Lake, open_lake
from ocelake.ocel.records import EVENT_RECORD, Records
from ocelake.settings import LakeSettings, StreamSettings
from ocelake.stream.client import consumer, producer
from ocelake.stream.consumer import TopicConsumer
from ocelake.stream.offsets import CommittedOffsets
from ocelake.stream.settings import KafkaSettings
from tests.integration.lake_processes import STEPS, die_at

LOG = "S"
PARTITIONS = 4
BETWEEN = (
    (TopicConsumer, "_begin"),
    (TopicConsumer, "_poll"),
    (TopicConsumer, "_publish"),
    (TopicConsumer, "_catch_up"),
    (CommittedOffsets, "published"),
    (TopicConsumer, "close"),
)
"""Steps of a consumer that are none of a publication."""


def decode(positions: Sequence[int], values: Sequence[bytes | None]) -> Records:
    """A decoder of messages that are nothing but an event's id."""
    rows = pl.DataFrame(
        {"position": positions, "event_id": [(value or b"").decode() for value in values]},
        schema_overrides={"position": pl.Int64, "event_id": pl.String},
    )
    filled = {
        "activity": pl.lit("a"),
        "attributes": pl.lit([], EVENT_RECORD["attributes"]),
        "relationships": pl.lit([], EVENT_RECORD["relationships"]),
        "declared": pl.lit(True),
    }
    columns = [
        pl.col(name) if name in rows.columns else filled.get(name, pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in EVENT_RECORD.items()
    ]
    return Records(events=rows.select(columns))


def produce(kafka: KafkaSettings, topic: str, ids: Iterable[str]) -> list[str]:
    """Send ids to a topic, one partition after the other, and give them."""
    client: Producer = producer(kafka)
    sent = list(ids)
    for number, name in enumerate(sent):
        client.produce(topic, name.encode(), partition=number % PARTITIONS)
        client.poll(0)
    assert client.flush(30) == 0
    return sent


def reader(lake: Lake, kafka: KafkaSettings, topic: str, *, stop: Event | None = None, **options: Any) -> TopicConsumer:
    """A consumer of one topic that reads no partition yet."""
    skip_lost = options.pop("skip_lost", False)
    settings = StreamSettings(**{"topics": (topic,), "max_seconds": 0.2, **options})
    client = consumer(kafka, f"group-of-{topic}")
    return TopicConsumer(lake, LOG, client, decode, settings, kafka, stop=stop or Event(), skip_lost=skip_lost)


def places(topic: str) -> list[tuple[str, int]]:
    """All partitions of a topic."""
    return [(topic, partition) for partition in range(PARTITIONS)]


def read_up(lake: Lake, kafka: KafkaSettings, topic: str, **options: Any) -> list[int]:
    """Read all partitions to their ends, and give how many messages each publication brought."""
    consumer = reader(lake, kafka, topic, **options)
    consumer.take(places(topic))
    made: list[int] = []
    try:
        consumer.run(lambda committed: made.append(committed.messages), until_caught_up=True)
    finally:
        consumer.close()
    return made


def read_up_and_die(
    settings: LakeSettings,
    kafka: KafkaSettings,
    topic: str,
    step: int,
    steps: tuple[tuple[Any, str], ...] = (*STEPS, *BETWEEN),
) -> None:
    """Read all partitions to their ends, and die on the way."""
    lake = open_lake(settings=settings)
    lake.ensure_tables()
    die_at(step, steps)
    read_up(lake, kafka, topic)


def read_on(settings: LakeSettings, kafka: KafkaSettings, topic: str, step: int = 0) -> None:
    """Read as a member of a group until SIGTERM; or die at a step, where one is given."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    lake = open_lake(settings=settings)
    lake.ensure_tables()
    if step:
        die_at(step, (*STEPS, *BETWEEN))
    consumer = reader(lake, kafka, topic, stop=stop)
    consumer.join()
    consumer.run(lambda _: None)
    consumer.close()


class Flow:
    """Ids that are sent at a steady rate until it is ended; each is delivered, however long that takes."""

    def __init__(self, kafka: KafkaSettings, topic: str, rate: int) -> None:
        self.sent: list[str] = []
        self.undelivered = 0
        self._client, self._topic, self._rate, self._over = producer(kafka), topic, rate, Event()
        self._thread = Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        began = time.monotonic()
        while not self._over.is_set():
            while len(self.sent) < (time.monotonic() - began) * self._rate:
                name = f"m{len(self.sent)}"
                self._client.produce(self._topic, name.encode(), partition=len(self.sent) % PARTITIONS)
                self.sent.append(name)
            self._client.poll(0.02)

    def end(self) -> list[str]:
        """Stop sending, wait until everything is delivered, and give what was sent."""
        self._over.set()
        self._thread.join()
        self.undelivered = self._client.flush(120)
        return self.sent


def wait(holds: Callable[[], bool], seconds: float) -> float:
    """Wait until something holds; give how long that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - began


def missing(lake: Lake, sent: Sequence[str]) -> int:
    """How many messages are not in bronze yet."""
    return len(sent) - int(lake.read("bronze.batches", LOG)["event_records"].sum())


def difference(lake: Lake, sent: Sequence[str]) -> tuple[Counter[str], Counter[str]]:
    """What bronze lacks of the ids that were sent, and what it has beyond them."""
    found = Counter(lake.read("bronze.event_records", LOG, columns=["event_id"])["event_id"].to_list())
    return Counter(sent) - found, found - Counter(sent)


def assert_ranges_tile(lake: Lake) -> None:
    """Each partition's ranges follow on each other, from 0 without a gap, and name the records that they brought."""
    batches = lake.read("bronze.batches", LOG).sort("topic", "partition", "first_offset")
    for _, ranges in batches.group_by("topic", "partition"):
        assert ranges["first_offset"].to_list() == [0, *(ranges["last_offset"][:-1] + 1)]
    counted = lake.read("bronze.event_records", LOG).group_by("batch_id").len()
    assert dict(counted.iter_rows()) == dict(
        batches.filter(pl.col("event_records") > 0).select("batch_id", "event_records").iter_rows()
    )
