"""A broker inside a process, to try things out without one: librdkafka's mock cluster.

It speaks the protocol to every client on this machine. But it holds everything in memory, about 5 MB a partition and no
more, has no transactions, gives every topic four partitions, and is gone with its process: nothing for data that
matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Producer

from ocelake.stream.settings import KafkaSettings

__all__ = ["embedded_broker"]

_SECONDS: Final = 30.0
_ONLY_CRITICAL: Final = 2
"""Of librdkafka's levels of logging: it warns of every mock cluster that it is one."""


@contextmanager
def embedded_broker(topics: Iterable[str] = (), *, brokers: int = 1) -> Iterator[KafkaSettings]:
    """Have a cluster on loopback.

    Parameters
    ----------
    topics : iterable of str
        To be there at once. It creates none on request (`ocelake.stream.client.create_topic`); further ones come to be
        when something is sent to them.
    brokers : int
        How many.

    Yields
    ------
    KafkaSettings
        Where it is, for clients of this process and of others.
    """
    host = Producer({"bootstrap.servers": "", "test.mock.num.brokers": brokers, "log_level": _ONLY_CRITICAL})
    try:
        for topic in topics:
            host.list_topics(topic, timeout=_SECONDS)  # to ask for it makes it
        found = host.list_topics(timeout=_SECONDS).brokers.values()
        yield KafkaSettings(bootstrap_servers=",".join(f"{broker.host}:{broker.port}" for broker in found))
    finally:
        host.close()
