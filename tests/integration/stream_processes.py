"""Streams for the tests: messages that say which they are, and consumers that can be watched and killed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Event

import polars as pl
from confluent_kafka import Producer

from ocelake.lake import Lake
from ocelake.ocel.records import EVENT_RECORD, Records
from ocelake.settings import StreamSettings
from ocelake.stream.client import consumer, producer
from ocelake.stream.consumer import TopicConsumer
from ocelake.stream.settings import KafkaSettings

LOG = "S"


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


def produce(kafka: KafkaSettings, topic: str, ids: Iterable[str], partitions: int = 4) -> None:
    """Send ids to a topic, one partition after the other."""
    client: Producer = producer(kafka)
    for number, name in enumerate(ids):
        client.produce(topic, name.encode(), partition=number % partitions)
        client.poll(0)
    assert client.flush(30) == 0


def reader(
    lake: Lake, kafka: KafkaSettings, topic: str, *, group: str = "g", stop: Event | None = None, **limits: float
) -> TopicConsumer:
    """A consumer of one topic that joins nothing yet."""
    settings = StreamSettings(topics=(topic,), **{"max_seconds": 0.2, **limits})
    return TopicConsumer(lake, LOG, consumer(kafka, group), decode, settings, kafka, stop=stop or Event())
