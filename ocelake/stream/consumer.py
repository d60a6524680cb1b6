"""Topics to one log's bronze, exactly once: the loop of the long-running consumer and of a micro-batch.

What was polled waits in memory, in bounded amount, and is published with its offsets every few seconds: all partitions
that are held, in one publication. It holds only where nobody else has read on in one of them (`ocelake.lake.store`), so
a consumer that was taken for dead, or for the owner of a partition, harms nothing. Where a partition is begun or begun
again, its offset comes from bronze; the consumer group does nothing but share out partitions. While a batch is being
published nothing is polled: what the brokers send meanwhile waits in the client's queue, which is bounded as well.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from threading import Event
from typing import TYPE_CHECKING, Any, Final, TypeVar

import polars as pl
from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
)
from confluent_kafka import TopicPartition as Assigned
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_when_event_set

from ocelake import metrics
from ocelake.errors import MessagesLost, StalePublication, Unreachable
from ocelake.lake.batches import BATCHES, TopicPartition
from ocelake.lake.guards import database_may_recover, warehouse_may_recover
from ocelake.stream.client import failure, passes, same_topic, topic_ids
from ocelake.stream.decode import Decoded, Decoder
from ocelake.stream.offsets import CommittedOffsets
from ocelake.stream.ranges import Range, batch_rows, range_records, unusable

if TYPE_CHECKING:
    from ocelake.lake import Lake, PublicationRecord
    from ocelake.settings import StreamSettings
    from ocelake.stream.settings import KafkaSettings

__all__ = ["Committed", "TopicConsumer"]

_LOG: Final = logging.getLogger(__name__)
_LOOK_MESSAGES: Final = 20_000
_LOOK_SECONDS: Final = 0.1
_MOST_BYTES: Final = 128 << 20
_SHOW_SECONDS: Final = 2.0
_LONGEST_WAIT: Final = 5.0
_OTHER_MESSAGES: Final = (
    "Read it into a new log: these messages are others than those that were read under the offsets."
)
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Committed:
    """One publication that a consumer made.

    Attributes
    ----------
    publication : PublicationRecord
        In bronze.
    messages, size : int
        That it read, and bytes of their values.
    unusable : int
        Messages among them that are for the quarantine as a whole (`ocelake.stream.ranges.unusable`).
    seconds : float
        From the batch's first message to its publication.
    lag : int
        Messages of the consumer's partitions that the brokers have beyond it.
    lag_seconds : float
        Age of the newest message that was read, where there are some beyond it: the greatest of the partitions'.
    """

    publication: PublicationRecord
    messages: int
    size: int
    unusable: int
    seconds: float
    lag: int
    lag_seconds: float


class TopicConsumer:
    """Reads topics into the bronze of one log.

    Parameters
    ----------
    lake : Lake
        Where to.
    log_id : str
        The log.
    client : confluent_kafka.Consumer
        As `ocelake.stream.client.consumer` makes it; closed by `close`.
    decode : Decoder
        From messages to records.
    settings : StreamSettings
        Topics and limits of a batch.
    kafka : KafkaSettings
        Where the brokers are.
    stop : threading.Event
        Ends `run`, and every wait for a system that does not answer.
    skip_lost : bool
        Go on after messages that the topic no longer has, instead of failing.

    Attributes
    ----------
    caught_up : bool
        Whether every partition that is held was read to its end once since it was begun.
    unread : int
        `lag` as it was a moment ago, for other threads.
    """

    def __init__(
        self,
        lake: Lake,
        log_id: str,
        client: Consumer,
        decode: Decoder,
        settings: StreamSettings,
        kafka: KafkaSettings,
        *,
        stop: Event,
        skip_lost: bool = False,
    ) -> None:
        self._lake, self._log_id, self._client, self._decode = lake, log_id, client, decode
        self._settings, self._kafka, self._stop, self._skip_lost = settings, kafka, stop, skip_lost
        self._committed = CommittedOffsets(lake, log_id)
        self._held: dict[TopicPartition, Range] = {}
        self._ended: set[TopicPartition] = set()
        self._given: list[TopicPartition] = []
        self._shared_out = False
        self._topic_ids: dict[str, str | None] = {}
        self._since: float | None = None
        self._unusable, self._shown, self.unread = 0, time.monotonic(), 0
        self._times: dict[TopicPartition, float] = {}

    # --- which partitions

    def join(self) -> None:
        """Share the topics' partitions with the other members of the group."""
        self._client.subscribe(
            list(self._settings.topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def take(self, places: Iterable[TopicPartition]) -> None:
        """Read these partitions, whoever else does."""
        self._given += places
        self._shared_out = True

    def _assigned(self, client: Consumer, partitions: list[Assigned]) -> None:
        metrics.REBALANCES.labels(self._log_id).inc()
        # They are begun once the look is over that this is a part of, so that nothing which it brings of a partition
        # that was given back and comes again is taken for what follows on its new beginning.
        client.incremental_assign([])
        self.take((item.topic, item.partition) for item in partitions)

    def _revoked(self, client: Consumer, partitions: list[Assigned]) -> None:
        gone = {(item.topic, item.partition) for item in partitions}
        held = [Assigned(*place) for place in gone if self._held.pop(place, None)]
        for place in gone:  # whoever has them now tells how far behind they are
            for metric in (metrics.LAG_MESSAGES, metrics.LAG_SECONDS):
                metric.remove(*self._labels(place))
        self._ended -= gone
        self._given = [place for place in self._given if place not in gone]
        client.incremental_unassign(held)

    def _begin(self) -> None:
        """Read the partitions that were given from where bronze ends."""
        if self._given:
            self._patiently(self._committed.refresh)
            self._patiently(self._identify)
            for place, last in self._committed.of(self._given).items():
                self._begin_at(place, None if last is None else last + 1)
            self._given.clear()

    def _identify(self) -> None:
        """Find out which topics they are whose partitions were given; refuse one that took another's name."""
        self._topic_ids |= topic_ids(self._kafka, {topic for topic, _ in self._given}, stop=self._stop)
        for (topic, partition), read in self._committed.topic_ids(self._given).items():
            if not same_topic(read, self._topic_ids[topic]):
                raise MessagesLost(
                    f"It is not the topic that was read under this name: that was {read}, this is "
                    f"{self._topic_ids[topic]}. It was deleted and made anew, or is on other brokers.",
                    where=f"{topic}, partition {partition}",
                    fix=_OTHER_MESSAGES,
                )

    def _begin_at(self, place: TopicPartition, first: int | None) -> None:
        self._held[place] = Range(place, first)
        self._client.incremental_assign([Assigned(*place, OFFSET_BEGINNING if first is None else first)])

    def _begin_again(self, place: TopicPartition, first: int) -> None:
        # Not `seek`, which is refused while the client is still about to begin.
        self._client.incremental_unassign([Assigned(*place)])
        self._ended.discard(place)
        self._begin_at(place, first)

    # --- the loop

    def run(
        self,
        told: Callable[[Committed], object],
        *,
        until_caught_up: bool = False,
    ) -> None:
        """Read and publish until ``stop`` is set, and then publish what was read.

        Parameters
        ----------
        told : callable
            Called after each publication.
        until_caught_up : bool
            End as soon as every partition was read to its end once.

        Raises
        ------
        MessagesLost
            Where messages are gone that were not read yet.
        StreamError
            Where Kafka refuses.
        """
        while not self._stop.is_set() and not (until_caught_up and self.caught_up):
            self._begin()
            self._poll()
            if self._is_due():
                self._commit_and_tell(told)
            if time.monotonic() - self._shown >= _SHOW_SECONDS:
                self._show_lag()
        self._commit_and_tell(told, empty=True)

    def close(self) -> None:
        """Leave the group; what was not published is read again by whoever holds the partitions next."""
        self._client.close()

    @property
    def caught_up(self) -> bool:  # noqa: D102  # an attribute of the class
        return self._shared_out and not self._given and self._ended.issuperset(self._held)

    @property
    def leads(self) -> bool:
        """Whether it holds the first partition of the first topic, which one member of a group does."""
        return (self._settings.topics[0], 0) in self._held

    @property
    def lag(self) -> int:
        """Messages of the held partitions that the brokers have beyond what was read, as far as the client knows."""
        return sum(map(self._behind, self._held.values()))

    def _behind(self, held: Range) -> int:
        low, high = self._client.get_watermark_offsets(Assigned(*held.place), cached=True)
        return max(0, high - (max(0, low) if held.end is None else held.end))  # negative: not known yet

    def _poll(self) -> None:
        """Take what the client has got, for a moment."""
        messages: list[Any] = self._client.consume(_LOOK_MESSAGES, _LOOK_SECONDS)
        # Of each message no more is done in Python than cannot be avoided.
        failed = (error is not None for error in map(Message.error, messages))
        kinds: Iterable[Any] = zip(map(Message.topic, messages), map(Message.partition, messages), failed, strict=True)
        for (topic, partition, is_error), run in groupby(zip(kinds, messages, strict=True), key=itemgetter(0)):
            held, found = self._held.get((topic, partition)), [message for _, message in run]
            if is_error:
                for message in found:
                    self._meet(message.error(), held, message.offset())
            elif held is not None:  # else it is of a partition that was taken away
                held.add([message.offset() for message in found], [message.value() for message in found])
                kind, stamp = found[-1].timestamp()
                if kind != TIMESTAMP_NOT_AVAILABLE:
                    self._times[held.place] = stamp / 1000
                self._since = self._since or time.monotonic()

    def _is_due(self) -> bool:
        if self._since is None:
            return False
        return (
            time.monotonic() - self._since >= self._settings.max_seconds
            or sum(len(held.values) for held in self._held.values()) >= self._settings.max_rows
            or sum(held.size for held in self._held.values()) >= _MOST_BYTES
        )

    def _meet(self, error: KafkaError, held: Range | None, offset: int) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            if held is not None:
                low = self._patiently(lambda: self._bounds(held)[0]) if held.first is None and offset > 0 else 0
                held.read_to(offset, low)
                self._ended.add(held.place)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            if held is not None:
                self._find_out_of_range(held)
        elif passes(error):
            _LOG.warning("%s", failure(error, self._kafka))
        else:
            raise failure(error, self._kafka)

    # --- publishing

    def commit(self, *, empty: bool = False) -> PublicationRecord | None:
        """Publish what was read, wholly or not at all; None where there was nothing.

        Parameters
        ----------
        empty : bool
            Also ranges in which there was no message.
        """
        record = self._patiently(lambda: self._publish(empty))
        self._since = None
        return record

    def _commit_and_tell(self, told: Callable[[Committed], object], *, empty: bool = False) -> None:
        since = self._since or time.monotonic()
        messages = sum(len(held.values) for held in self._held.values())
        size = sum(held.size for held in self._held.values())
        record = self.commit(empty=empty)
        if record is not None:
            seconds, age = time.monotonic() - since, max(map(self._age, self._held.values()), default=0.0)
            told(Committed(record, messages, size, self._unusable, seconds, self.lag, age))

    def _publish(self, empty: bool) -> PublicationRecord | None:
        # Also before a second attempt: an answer that got lost does not mean that nothing was published.
        self._catch_up()
        ranges = sorted(
            (held for held in self._held.values() if held.values or (empty and held.is_open)),
            key=lambda held: held.batch_id,
        )
        if not ranges:
            return None
        decoded = [(held, range_records(held, self._decode)) for held in ranges]
        with self._lake.publication(
            self._log_id,
            "bronze",
            settings=self._lake.settings.log(self._log_id),
            base=self._committed.number,
            offsets=self._committed.of(self._held),
        ) as publication:
            for held, records in decoded:
                batch = pl.lit(held.batch_id).alias("batch_id")
                for identifier, rows in records.tables().items():
                    publication.append(identifier, rows.with_columns(batch))
            publication.append(BATCHES, batch_rows(decoded, self._settings.format, self._topic_ids))
            record = publication.commit()
        self._committed.published(record, {held.place: held.last for held in ranges})
        self._unusable = sum(self._count(held, records) for held, records in decoded)
        self._held |= {held.place: Range(held.place, held.end) for held in ranges}
        self._show_lag()
        return record

    def _labels(self, place: TopicPartition) -> tuple[str, str, str]:
        return self._log_id, place[0], str(place[1])

    def _count(self, held: Range, records: Decoded) -> int:
        """Count what a range brought; give how much of it is unusable."""
        labels = self._labels(held.place)
        metrics.CONSUMED_MESSAGES.labels(*labels).inc(len(held.values))
        metrics.CONSUMED_BYTES.labels(*labels).inc(held.size)
        lost = unusable(records)
        metrics.QUARANTINED_RECORDS.labels(*labels).inc(lost)
        return lost

    def _show_lag(self) -> None:
        """Tell how far publications are behind each partition, whether or not it was read on."""
        self._shown, self.unread = time.monotonic(), self.lag
        for place, held in self._held.items():
            metrics.LAG_MESSAGES.labels(*self._labels(place)).set(len(held.values) + self._behind(held))
            metrics.LAG_SECONDS.labels(*self._labels(place)).set(self._age(held))

    def _age(self, held: Range) -> float:
        """Give the age of the newest message that was read of a partition; 0 where all of it is published."""
        if not held.values and not self._behind(held):
            return 0.0
        return max(0.0, time.time() - self._times.get(held.place, time.time()))

    def _catch_up(self) -> None:
        """Begin those partitions again in which another writer has read on."""
        self._committed.refresh()
        for place, last in self._committed.of(self._held).items():
            held = self._held[place]
            if last is not None and (held.first is None or held.first <= last):
                self._begin_again(place, last + 1)

    def _patiently(self, function: Callable[[], _R]) -> _R:
        """Call again, ever later, while the catalog or the warehouse does not answer."""
        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=wait_random_exponential(0.1, _LONGEST_WAIT),
            stop=stop_when_event_set(self._stop),
            sleep=sleep_using_event(self._stop),
            before_sleep=self._tell_of_wait,
            reraise=True,
        )
        return retrying(function)

    def _tell_of_wait(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        _LOG.warning("Not published yet, again in %.1f s: %s", wait, str(error).partition("\n")[0])
        self._show_lag()

    # --- offsets that the brokers do not have

    def _bounds(self, held: Range) -> tuple[int, int]:
        """Ask for the first offset that a partition has, and the one after its last."""
        try:
            low, high = self._client.get_watermark_offsets(
                Assigned(*held.place), timeout=self._kafka.resilience.call_seconds
            )
        except KafkaException as error:
            raise failure(error.args[0], self._kafka, doing="The brokers do not tell their offsets") from error
        return low, high

    def _find_out_of_range(self, held: Range) -> None:
        topic, partition = held.place
        low, high = self._patiently(lambda: self._bounds(held))
        if held.end is not None and held.end > high:
            raise MessagesLost(
                f"The topic ends at offset {high - 1}, but was read up to {held.end - 1}: it was made anew or cut.",
                where=f"{topic}, partition {partition}",
                fix=_OTHER_MESSAGES,
            )
        if held.end is not None and held.end < low:
            lost = f"{low - held.end} offsets, {held.end} to {low - 1}, expired before they were read."
            if not self._skip_lost:
                raise MessagesLost(
                    lost,
                    where=f"{topic}, partition {partition}",
                    fix="Restore them to the topic, or go on without them: ocelake stream --skip-lost",
                )
            _LOG.warning("%s, partition %s: %s", topic, partition, lost)
            self.commit()  # so that the gap is one between two batches
        self._begin_again(held.place, low)


def _may_pass(error: BaseException) -> bool:
    """Whether another attempt, from the newest offsets, need not fail as well."""
    return (
        isinstance(error, StalePublication | Unreachable) or database_may_recover(error) or warehouse_may_recover(error)
    )
