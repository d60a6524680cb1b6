"""Replay a log into a topic: in time order, as fast as is asked for, and with an account of every message."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from numpy.typing import NDArray

from ocelake.errors import OcelakeError
from ocelake.stream.client import failure, producer
from ocelake.stream.encode import Batch
from ocelake.stream.settings import KafkaSettings

__all__ = ["Pace", "Produced", "at_once", "at_rate", "at_speed", "produce"]

_SLICE: Final = 1_000
"""So many messages are sent at most between two looks at the clock and at what failed."""

_TICK: Final = 0.01
"""To so many seconds a pace is kept: what is due within them goes together."""

_BY_KEY: Final = -1
"""No partition of its own."""

Pace: TypeAlias = Callable[[int, NDArray[np.int64]], NDArray[np.float64]]
"""Gives when messages are due, in seconds from the start and not falling: from how many were before them, and from
their times in microseconds since the first message's."""


@dataclass(frozen=True, slots=True)
class Produced:
    """What was sent, and is with the brokers.

    Attributes
    ----------
    messages : int
        How many.
    size : int
        Their bytes, without the keys.
    seconds : float
        From the first until the brokers had the last.
    """

    messages: int
    size: int
    seconds: float


def at_once(before: int, times: NDArray[np.int64]) -> NDArray[np.float64]:
    """Send every message as soon as it can be sent."""
    return np.zeros(len(times))


def at_rate(rate: float) -> Pace:
    """Send so many messages a second, evenly."""
    return lambda before, times: (before + np.arange(len(times))) / rate


def at_speed(speed: float) -> Pace:
    """Let so many seconds of the log pass in one second."""
    return lambda before, times: times / (speed * 1e6)


def produce(settings: KafkaSettings, topic: str, batches: Iterable[Batch], *, pace: Pace = at_once) -> Produced:
    """Send messages to a topic, and wait until the brokers have all of them.

    Parameters
    ----------
    settings : KafkaSettings
        Where to.
    topic : str
        It has to be there.
    batches : iterable of Batch
        The messages, in their order.
    pace : function
        `at_once`, `at_rate` or `at_speed`.

    Raises
    ------
    StreamError or Unreachable
        Where the brokers have not all of them: it says how many they have, and why not the others. Before that the
        client sent each again and again for five minutes (``message.timeout.ms``).
    """
    run = _Run(producer(settings, report="failures"), topic)
    try:
        for batch in batches:
            run.send(batch, pace)
        run.finish()
    except KafkaException as error:  # the client cannot go on
        raise run.failed(error.args[0], settings) from error
    if run.failures:
        raise run.failed(run.failures[0], settings)
    return Produced(run.sent, run.size, time.monotonic() - run.start)


class _Run:
    """One replay: what was handed over, and what of it failed."""

    def __init__(self, client: Producer, topic: str) -> None:
        self.client, self.topic = client, topic
        self.failures: list[KafkaError] = []
        self.sent = self.size = 0
        self.start = time.monotonic()
        self._origin: int | None = None

    def send(self, batch: Batch, pace: Pace) -> None:
        if self._origin is None and len(batch.times):
            self._origin = int(batch.times[0])
        due = pace(self.sent, batch.times - (self._origin or 0))
        begin = 0
        while begin < len(due):
            self._wait(float(due[begin]))
            now = time.monotonic() - self.start + _TICK
            end = min(begin + _SLICE, max(begin + 1, int(np.searchsorted(due, now, side="right"))))
            self._hand_over(batch.keys[begin:end], batch.values[begin:end])
            begin = end

    def finish(self) -> None:
        """Wait for the brokers' word on all that was handed over; the client gives up on each in time."""
        while self.client.flush(1):
            pass

    def failed(self, error: KafkaError, settings: KafkaSettings) -> OcelakeError:
        """Say how much the brokers have, and why not the rest."""
        waiting = len(self.client)
        self.client.purge()
        had = self.sent - len(self.failures) - waiting
        return failure(
            error,
            settings,
            doing=f"Of {self.sent:,} messages to {self.topic!r} the brokers have {had:,}, not the others",
        )

    def _wait(self, due: float) -> None:
        while (left := self.start + due - time.monotonic()) > 0:
            self.client.poll(min(left, 1))

    def _hand_over(self, keys: list[str], values: list[bytes]) -> None:
        give, topic, told = self.client.produce, self.topic, self._told
        handed = 0
        try:
            for handed, (key, value) in enumerate(zip(keys, values, strict=True)):  # noqa: B007  # those before this one
                try:
                    give(topic, value, key, _BY_KEY, told)  # names would take as long as all the rest
                except BufferError:
                    self._hand_over_late(key, value)
            handed = len(keys)
        finally:
            self.sent += handed
        self.size += sum(map(len, values))
        self.client.poll(0)

    def _hand_over_late(self, key: str, value: bytes) -> None:
        """Wait until the client, which holds as much as it may, has room."""
        while True:
            self.client.poll(0.1)
            try:
                self.client.produce(self.topic, value, key, _BY_KEY, self._told)
            except BufferError:
                continue
            return

    def _told(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failures.append(error)
