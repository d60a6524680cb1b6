"""How far a log's bronze is behind its topics, asked of the brokers by somebody who does not read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import IsolationLevel, KafkaException
from confluent_kafka import TopicPartition as Asked
from confluent_kafka.admin._listoffsets import OffsetSpec

from ocelake.lake.batches import TopicPartition
from ocelake.stream.client import admin, broker_guard, failure
from ocelake.stream.follow import topic_partitions

if TYPE_CHECKING:
    from ocelake.lake import Lake
    from ocelake.settings import StreamSettings
    from ocelake.stream.settings import KafkaSettings

__all__ = ["Lag", "lag_of"]


@dataclass(frozen=True, slots=True)
class Lag:
    """What one topic partition has beyond bronze.

    Attributes
    ----------
    place : (str, int)
        Topic and partition.
    read : int
        The offset that is read next.
    end : int
        The offset that the next message will get; marks of transactions count.
    """

    place: TopicPartition
    read: int
    end: int

    @property
    def messages(self) -> int:
        """Offsets that were not read yet."""
        return max(0, self.end - self.read)


def lag_of(
    lake: Lake, log_id: str, settings: StreamSettings, kafka: KafkaSettings, *, seconds: float | None = None
) -> list[Lag]:
    """Give the lag of each partition of a log's topics.

    Raises
    ------
    Unreachable
        Where no broker answers in that time.
    StreamError
        Where the brokers refuse.
    NotFound
        Where there is no such topic.
    """
    limit = seconds or kafka.resilience.call_seconds
    guard = broker_guard(kafka, limit)
    places = guard.call(topic_partitions, settings, kafka, seconds=limit)
    committed = lake.offsets(log_id)
    first, end = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]  # it has no types
    starts, ends = (guard.call(_offsets, places, spec, kafka, limit) for spec in (first, end))
    return [Lag(place, committed[place] + 1 if place in committed else starts[place], ends[place]) for place in places]


def _offsets(
    places: Sequence[TopicPartition], spec: OffsetSpec, kafka: KafkaSettings, seconds: float
) -> dict[TopicPartition, int]:
    client = admin(kafka)  # its answers come only as long as it is there
    asked = client.list_offsets(
        {Asked(*place): spec for place in places},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=seconds,
    )
    try:
        return {(item.topic, item.partition): found.result().offset for item, found in asked.items()}
    except KafkaException as error:
        raise failure(error.args[0], kafka, doing="The brokers do not tell their offsets") from error
