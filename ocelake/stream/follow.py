"""Reading topics into a log: on and on, as a member of a group, or what there is, in one go."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Timer
from typing import TYPE_CHECKING, Final

import polars as pl

from ocelake.errors import SettingError, Unreachable
from ocelake.lake.batches import BATCHES
from ocelake.lake.maintenance import Upkeep
from ocelake.stream.advancer import Advanced, Advancer
from ocelake.stream.client import broker_guard, consumer, partitions, reach
from ocelake.stream.consumer import Committed, TopicConsumer
from ocelake.stream.decode import decoder

if TYPE_CHECKING:
    from ocelake.lake import Lake
    from ocelake.lake.batches import TopicPartition
    from ocelake.settings import StreamSettings
    from ocelake.stream.settings import KafkaSettings

__all__ = ["await_topics", "follow_topics", "group_of", "read_topics", "topic_partitions"]

_LOG: Final = logging.getLogger(__name__)
_ONE_TRY: Final = 1e-3
"""A patience that is over after one: what waits has to see that it is stopped."""


def group_of(log_id: str) -> str:
    """Give the consumer group whose members share a log's topics."""
    return f"ocelake-{log_id}"


def follow_topics(
    lake: Lake,
    log_id: str,
    settings: StreamSettings,
    kafka: KafkaSettings,
    *,
    stop: Event,
    group: str | None = None,
    until_caught_up: bool = False,
    skip_lost: bool = False,
    committed: Callable[[Committed], object] = lambda _: None,
    advanced: Advanced = lambda *_: None,
) -> None:
    """Read topics into a log as a member of a group, and bring silver and gold after it, until told to stop.

    Of a group's members one brings silver and gold after bronze: the one with the first partition. Each keeps the
    lake's tables in good order meanwhile, in turns (`ocelake.lake.maintenance.Upkeep`). A broker that does not answer
    is waited for.

    Parameters
    ----------
    lake : Lake
        Where to.
    log_id : str
        The log.
    settings : StreamSettings
        Topics, format, and limits of a batch.
    kafka : KafkaSettings
        Where the brokers are.
    stop : threading.Event
        Ends it: what was read is published, and the group is left.
    group : str, optional
        Whose partitions to share; one for each log without it.
    until_caught_up : bool
        End as soon as every partition was read to its end once.
    skip_lost : bool
        Go on after messages that the topic no longer has.
    committed, advanced : callable
        Told of each publication in bronze, and of those that followed it.

    Raises
    ------
    MessagesLost
        Where messages are gone that were not read yet.
    StreamError
        Where Kafka refuses.
    NotFound
        Where there is no such topic.
    SettingError
        Where the topics were read in another format before.
    OcelakeError
        With ``until_caught_up``, where silver or gold cannot follow.
    """
    if not await_topics(settings, kafka, stop):
        return
    _check_format(lake, log_id, settings)
    client = consumer(kafka, group or group_of(log_id), on_error=lambda error: _LOG.debug("%s", error))
    reader = TopicConsumer(
        lake, log_id, client, decoder(settings.format, kafka), settings, kafka, stop=stop, skip_lost=skip_lost
    )
    advancer = Advancer(
        lake,
        log_id,
        seconds=settings.max_seconds,
        leads=lambda: reader.leads,
        behind=lambda: reader.unread > settings.max_rows,
        told=advanced,
    )
    upkeep = Upkeep(lake)

    def tell(done: Committed) -> None:
        committed(done)
        advancer.request()
        upkeep.nudge()

    try:
        reader.join()
        reader.run(tell, until_caught_up=until_caught_up)
    finally:
        reader.close()
        advancer.close()
        upkeep.close()
    if until_caught_up:
        advancer.finish()


def read_topics(
    lake: Lake, log_id: str, settings: StreamSettings, kafka: KafkaSettings, *, seconds: float = 60.0
) -> list[Committed]:
    """Read into bronze what topics have beyond it, in one go and without a group.

    Parameters
    ----------
    seconds : float
        No longer than this, and what is being asked or published then; what is left is for the next time.

    Returns
    -------
    list of Committed
        What was published; several where it was much.

    Raises
    ------
    Unreachable
        Where no broker answers, or nothing came in that time although not all was read; else as `follow_topics`.
    """
    _check_format(lake, log_id, settings)
    stop, made = Event(), list[Committed]()
    places = broker_guard(kafka, seconds).call(topic_partitions, settings, kafka)
    client = consumer(kafka, group_of(log_id))
    reader = TopicConsumer(lake, log_id, client, decoder(settings.format, kafka), settings, kafka, stop=stop)
    deadline = Timer(seconds, stop.set)
    deadline.daemon = True
    deadline.start()
    try:
        reader.take(places)
        reader.run(made.append, until_caught_up=True)
        if not made and not reader.caught_up:
            raise Unreachable(
                f"Nothing came of {', '.join(settings.topics)} in {seconds:g} s.",
                where=kafka.bootstrap_servers,
                fix="Check that all brokers are running.",
            )
    finally:
        deadline.cancel()
        reader.close()
    return made


def topic_partitions(
    settings: StreamSettings, kafka: KafkaSettings, *, seconds: float | None = None
) -> list[TopicPartition]:
    """Give all partitions of a log's topics.

    Raises
    ------
    SettingError
        Where no topic is named.
    Unreachable
        Where no broker answers in that time.
    NotFound
        Where there is no such topic.
    """
    if not settings.topics:
        raise SettingError(
            "No topic is named.", fix="Name one: ocelake stream TOPIC, or topics in the log's .stream.yaml."
        )
    return [(topic, number) for topic in settings.topics for number in range(partitions(kafka, topic, seconds=seconds))]


def await_topics(settings: StreamSettings, kafka: KafkaSettings, stop: Event) -> bool:
    """Wait until a broker answers and has the topics; whether that was before it was stopped.

    Raises
    ------
    StreamError
        Where Kafka refuses.
    NotFound
        Where there is no such topic.
    """
    guard = broker_guard(kafka, _ONE_TRY)
    while not stop.is_set():
        try:
            guard.call(reach, kafka, stop=stop)
            guard.call(topic_partitions, settings, kafka)
        except Unreachable as error:
            _LOG.warning("%s", error)
            stop.wait(kafka.resilience.longest_wait)
        else:
            return True
    return False


def _check_format(lake: Lake, log_id: str, settings: StreamSettings) -> None:
    """Refuse a format other than the one that a topic was last read in: its messages would be none, for good."""
    if lake.latest(log_id, "bronze") is None:
        return
    batches = lake.scan(BATCHES, log_id, columns=["topic", "format", "received"])
    newest = (
        batches.filter(pl.col("topic").is_in(settings.topics))
        .group_by("topic")
        .agg(pl.all().sort_by("received").last())
    )
    for topic, form in newest.select("topic", "format").collect().iter_rows():
        if form != settings.format:
            raise SettingError(
                f"The topic {topic!r} was read as {form} so far, and is to be read as {settings.format} now.",
                where=f"the log {log_id}",
                fix=f"Use --format {form}. Into a new log (--log) it is read from its beginning, in any format.",
            )
