"""Kafka's clients, and the errors that they meet in the domain's terms.

Making a client connects to nothing: it does so by itself, and again after every break, ever later. `reach` tells
whether there is a broker at all, and why not; `broker_guard` is for whoever cannot begin without one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from threading import Event
from typing import Any, Final, Literal, TypeAlias, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.cimpl import NewTopic

from ocelake import metrics
from ocelake.errors import NotFound, SettingError, StreamError, Unreachable
from ocelake.resilience import Guard
from ocelake.stream.settings import KafkaSettings

__all__ = [
    "admin",
    "broker_guard",
    "consumer",
    "create_topic",
    "ensure_topic",
    "failure",
    "partitions",
    "passes",
    "producer",
    "reach",
    "same_topic",
    "topic_ids",
]

_LOG: Final = logging.getLogger("ocelake.kafka")
_LOG.addHandler(logging.NullHandler())

_SYSTEM: Final = "broker"
_CHECK: Final = "Check KAFKA_BOOTSTRAP_SERVERS and KAFKA_SECURITY_PROTOCOL, and that the brokers are running."

_CLIENT: Final[Mapping[str, object]] = {
    "client.id": "ocelake",
    "socket.connection.setup.timeout.ms": 10_000,
    "reconnect.backoff.max.ms": 2_000,  # a broker that is back shall be found within seconds
}
_PRODUCER: Final[Mapping[str, object]] = {
    "enable.idempotence": True,  # nothing doubled or out of order by a retry; acks=all
    "compression.type": "lz4",
    "partitioner": "murmur2_random",  # where Java's producers put a key
    "linger.ms": 20,
    "batch.num.messages": 50_000,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 262_144,
}
_CONSUMER: Final[Mapping[str, object]] = {
    "enable.auto.commit": False,  # the lake knows the offsets
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # messages that the broker no longer has are not passed over in silence
    "isolation.level": "read_committed",
    "enable.partition.eof": True,  # tells what else was read than messages: the marks of transactions
    # While a batch is being published the next one is fetched: at once where there is room again, and bounded by bytes.
    "queued.max.messages.kbytes": 65_536,
    "queued.min.messages": 1_000_000,
    "fetch.queue.backoff.ms": 5,
    "session.timeout.ms": 10_000,  # so long nobody reads the partitions of a member that died
    "partition.assignment.strategy": "cooperative-sticky",  # who comes or goes does not stop the others
}

_NOT_GIVEN: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset", "isolation.level"),
        "that each message is read exactly once rests on it",
    ),
    "enable.partition.eof": "without it nobody knows when all is read",
    "group.id": "a log's group is named with --group",
    **dict.fromkeys(("enable.idempotence", "acks", "request.required.acks"), "that no message is lost rests on it"),
}
"""Properties that nobody may set, and why."""

_REFUSED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_ABSENT: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
    }
)
_UNKNOWN: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)

_PASSING: Final = _ABSENT | frozenset(
    {
        # the group did without this member, or is being shared out anew: it joins again
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
        # another broker coordinates the group, or leads the partition: it is looked up
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError._NODE_UPDATE,
        # a broker is not ready, or a connection broke
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.FETCH_SESSION_ID_NOT_FOUND,
        KafkaError.INVALID_FETCH_SESSION_EPOCH,
        KafkaError.REBOOTSTRAP_REQUIRED,
        KafkaError.UNKNOWN,
        KafkaError._RETRY,
        KafkaError._FAIL,
        KafkaError._INTR,
    }
)
"""After these a consumer goes on by itself. Any other ends what reads: refusals, topics that are gone, and content that
the client cannot read, which it would pass over in silence. (`KafkaError.retriable` is False for nearly all.)"""

_CLUSTER: Final = "cluster "
"""How an id begins that is not the topic's own."""

_CONTROLLER_SECONDS: Final = 3.0
"""So long brokers are given to choose a controller."""

_PARTITIONS: Final = 3
"""So many a topic has where nothing else is told: as many consumers can share it."""

OnError: TypeAlias = Callable[[KafkaError], object]

_Client = TypeVar("_Client")


def producer(
    settings: KafkaSettings, *, report: Literal["all", "failures"] = "all", on_error: OnError | None = None
) -> Producer:
    """Make a producer: idempotent, in large compressed batches.

    Parameters
    ----------
    settings : KafkaSettings
        Their properties win over the defaults, but for those that correctness rests on, which are refused.
    report : {"all", "failures"}
        Of which messages ``on_delivery`` is told; all of them take as much time again as the sending.
    on_error : function of KafkaError, optional
        Told of breaks that the client mends by itself.

    Raises
    ------
    SettingError
        Where no broker is named or a property is of no use.
    """
    return _make(Producer, settings, {**_PRODUCER, "delivery.report.only.error": report == "failures"}, on_error)


def consumer(settings: KafkaSettings, group: str, *, on_error: OnError | None = None) -> Consumer:
    """Make a consumer that commits nothing, and does not go on where what it asks for is gone.

    Parameters
    ----------
    settings : KafkaSettings
        Their properties win over the defaults, but for those that correctness rests on, which are refused.
    group : str
        Members of one group share a topic's partitions.
    on_error : function of KafkaError, optional
        Told of breaks that the client mends by itself.

    Raises
    ------
    SettingError
        Where no broker is named or a property is of no use.
    """
    return _make(Consumer, settings, {**_CONSUMER, "group.id": group}, on_error)


def admin(settings: KafkaSettings, *, on_error: OnError | None = None) -> AdminClient:
    """Make a client for topics and groups.

    Raises
    ------
    SettingError
        Where no broker is named or a property is of no use.
    """
    return _make(AdminClient, settings, {}, on_error)


def broker_guard(settings: KafkaSettings, seconds: float | None = None) -> Guard:
    """Make the guard of calls that raise `Unreachable` where no broker answers.

    Parameters
    ----------
    seconds : float, optional
        How long such a call is made again, where that is less than `Resilience.seconds`.

    Raises
    ------
    SettingError
        Where no broker is named.
    """
    place = settings.client_properties()["bootstrap.servers"]
    patience = settings.resilience
    if seconds is not None and seconds < patience.seconds:
        patience = patience.model_copy(update={"seconds": seconds})
    return Guard(_SYSTEM, place, lambda error: isinstance(error, Unreachable), _CHECK, patience)


def reach(
    settings: KafkaSettings, *, seconds: float | None = None, stop: Event | None = None, doing: str | None = None
) -> ClusterMetadata:
    """Ask the brokers for what they hold: whether they can be reached, and may be.

    Parameters
    ----------
    seconds : float, optional
        How long to try; `Resilience.call_seconds` without it.
    stop : threading.Event, optional
        Ends that as well.
    doing : str, optional
        What fails where nobody answers, as the beginning of a sentence.

    Raises
    ------
    Unreachable
        Where none answers in that time, or before it was stopped.
    StreamError
        Where a broker refuses.
    SettingError
        Where no broker is named or a property is of no use.
    """
    met: list[KafkaError] = []
    client = admin(settings, on_error=met.append)
    until = time.monotonic() + (seconds or settings.resilience.call_seconds)
    while True:
        try:
            return client.list_topics(timeout=max(0.0, min(0.5, until - time.monotonic())))
        except KafkaException as error:
            client.poll(0)  # where the client tells what it met
            refusals = [item for item in met if item.code() in _REFUSED]
            if refusals or time.monotonic() >= until or (stop is not None and stop.is_set()):
                reasons = [item for item in met if item.code() != KafkaError._ALL_BROKERS_DOWN]
                raise failure((refusals or reasons or error.args)[-1], settings, doing=doing) from error


def partitions(settings: KafkaSettings, topic: str, *, seconds: float | None = None) -> int:
    """Give the number of partitions of a topic.

    Raises
    ------
    NotFound
        Where there is no such topic; else as `reach`.
    """
    found = reach(settings, seconds=seconds).topics.get(topic)
    if found is None:
        raise _no_topic(topic)
    return len(found.partitions)


def topic_ids(
    settings: KafkaSettings, topics: Iterable[str], *, seconds: float | None = None, stop: Event | None = None
) -> dict[str, str | None]:
    """Tell topics from others that had, or will have, their names.

    Returns
    -------
    dict of str to (str or None)
        The id that the brokers gave a topic when it was made; the one of the cluster where they give topics none, as
        before Kafka 2.8 and in an embedded one. None where neither is told.

    Raises
    ------
    Unreachable
        Where no broker answers in that time.
    StreamError
        Where the brokers refuse.
    NotFound
        Where there is no such topic.
    """
    names = list(topics)
    found = reach(settings, seconds=seconds, stop=stop)
    cluster = f"{_CLUSTER}{found.cluster_id}" if found.cluster_id else None
    if not _has_controller(found):
        return dict.fromkeys(names, cluster)
    client = admin(settings)  # its answers come only as long as it is there
    told: dict[str, str | None] = {}
    limit = seconds or settings.resilience.call_seconds
    for name, described in client.describe_topics(TopicCollection(names), request_timeout=limit).items():
        try:
            own = described.result().topic_id
        except KafkaException as error:
            if error.args[0].code() in _UNKNOWN:
                raise _no_topic(name) from error
            raise failure(error.args[0], settings, doing=f"The topic {name!r} is not told") from error
        told[name] = str(own) if own is not None and own.get_most_significant_bits() else cluster
    return told


def _has_controller(found: ClusterMetadata) -> bool:
    """Whether there is somebody to ask about topics: an embedded broker names one that is not there."""
    return found.controller_id in found.brokers


def same_topic(one: str | None, other: str | None) -> bool:
    """Whether two of `topic_ids` may be of one topic: they are equal, or cannot be compared."""
    if one is None or other is None or one.startswith(_CLUSTER) != other.startswith(_CLUSTER):
        return True
    return one == other


def create_topic(settings: KafkaSettings, topic: str, count: int, *, seconds: float | None = None) -> bool:
    """Create a topic with so many partitions, where it is not there; whether it was not.

    Raises
    ------
    Unreachable
        Where no broker answers.
    StreamError
        Where the brokers refuse.
    """
    seconds = seconds or settings.resilience.call_seconds
    until = time.monotonic() + min(seconds, _CONTROLLER_SECONDS)
    doing = f"The topic {topic!r} cannot be created"
    while not _has_controller(reach(settings, seconds=seconds, doing=doing)):
        if time.monotonic() >= until:
            raise StreamError(
                f"{doing}: none of the brokers is the controller, which creates topics.",
                where=settings.bootstrap_servers,
                fix="An embedded broker never is: name the topic where it is started, as in ocelake broker TOPIC.",
            )
        time.sleep(0.2)
    client = admin(settings)
    wanted = NewTopic(topic, num_partitions=count)
    try:
        client.create_topics([wanted], request_timeout=seconds, operation_timeout=seconds)[topic].result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise failure(error.args[0], settings, doing=doing) from error
    return True


def ensure_topic(settings: KafkaSettings, topic: str, count: int | None = None, *, seconds: float | None = None) -> int:
    """Have a topic, with so many partitions where that is told; how many it has.

    Raises
    ------
    SettingError
        Where it has another number of partitions; else as `create_topic`.
    """
    found = reach(settings, seconds=seconds).topics.get(topic)
    if found is None:
        create_topic(settings, topic, count or _PARTITIONS)
        return count or _PARTITIONS
    if count not in (None, len(found.partitions)):
        raise SettingError(
            f"The topic {topic!r} has {len(found.partitions)} partitions, not {count}.", fix="Name another topic."
        )
    return len(found.partitions)


def failure(error: KafkaError, settings: KafkaSettings, *, doing: str | None = None) -> StreamError | Unreachable:
    """Give an error of Kafka as one that says what, where, and what to do.

    Parameters
    ----------
    error : KafkaError
        From an exception (``args[0]``), a message, or what a client was told.
    settings : KafkaSettings
        Whose secrets are not shown.
    doing : str, optional
        What failed, as the beginning of a sentence.
    """
    said = settings.hide(error.str() or error.name()).rstrip(".")
    where = settings.bootstrap_servers
    code = error.code()
    if code in _REFUSED:
        return StreamError(
            f"{doing or 'Kafka refuses the connection'}: {said}.",
            where=where,
            fix="Check KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_..., KAFKA_SSL_..., and the rights of the user.",
        )
    if code in _ABSENT or error.retriable():
        return Unreachable(
            f"{doing or 'Kafka does not answer'}: {said}.",
            where=where,
            fix=_CHECK,
        )
    if code in _UNKNOWN:
        return StreamError(
            f"{doing or 'A topic is gone'}: {said}.", where=where, fix="Check whether it was deleted, or its name."
        )
    return StreamError(f"{doing or 'Kafka fails'}: {said}.", where=where)


def passes(error: KafkaError) -> bool:
    """Whether a consumer goes on by itself after an error that it met."""
    return not error.fatal() and (error.code() in _PASSING or error.retriable())


def _no_topic(topic: str) -> NotFound:
    return NotFound(f"There is no topic {topic!r}.", fix="Create it, or produce into it: `ocelake produce LOG TOPIC`.")


def _make(
    kind: Callable[[dict[str, Any]], _Client],
    settings: KafkaSettings,
    own: Mapping[str, object],
    on_error: OnError | None,
) -> _Client:
    given = settings.client_properties()
    for name in sorted(_NOT_GIVEN.keys() & given):
        raise SettingError(
            f"Kafka's property {name} cannot be set: {_NOT_GIVEN[name]}.",
            where=f"OCELAKE_KAFKA__{name.upper().replace('.', '_')}",
            fix="Leave it out.",
        )
    properties: dict[str, Any] = {**_CLIENT, **own, **given}
    retries = metrics.RETRIES.labels(_SYSTEM, properties["bootstrap.servers"])

    def broken(error: KafkaError) -> None:
        retries.inc()  # the client connects again by itself
        (on_error or _LOG.debug)(error)

    properties |= {"logger": _LOG, "error_cb": broken}
    try:
        return kind(properties)
    except (KafkaException, ValueError, TypeError) as error:
        said = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        raise SettingError(
            f"Kafka's client refuses its configuration: {settings.hide(said)}.",
            fix="Correct KAFKA_... or OCELAKE_KAFKA__... in the environment.",
        ) from error
