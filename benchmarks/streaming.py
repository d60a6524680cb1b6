"""Topics to bronze: messages a second, and what a steady flow through a group of consumers loses, doubles and lags.

    python -m benchmarks.streaming [--messages N] [--rate N] [--flow N] [--consumers N] [--backlog N]

It starts a broker of its own (`scripts/kafka`), unless ``KAFKA_BOOTSTRAP_SERVERS`` names one. Producer, broker and
consumers share the machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from uuid import uuid4

import polars as pl

from ocelake.lake import Lake, open_lake
from ocelake.ocel.generate import generate
from ocelake.settings import StreamSettings
from ocelake.stream.client import consumer, create_topic, producer
from ocelake.stream.consumer import TopicConsumer
from ocelake.stream.decode import decoder
from ocelake.stream.encode import encoder, messages
from ocelake.stream.produce import produce
from ocelake.stream.settings import KafkaSettings

__all__ = ["Flow", "backlog", "flow", "message", "throughput"]

PARTITIONS = 3
_SCRIPT = Path(__file__).parents[1] / "scripts" / "kafka"
_START_SECONDS = 180
_END_SECONDS = 120


@dataclass(frozen=True)
class Flow:
    """What a flow came to.

    Attributes
    ----------
    lost, doubled : int
        Messages that bronze lacks, and that it has more than once.
    behind : int
        How many were not in bronze five seconds after the last was sent.
    seconds : float
        After the last was sent, until all were there.
    """

    sent: int
    rate: float
    lost: int
    doubled: int
    behind: int
    seconds: float


def message(number: int) -> bytes:
    """Give an event of 200 bytes as its producer writes it."""
    return (
        b'{"id":"event-%014d","type":"place order","time":"2024-01-%02dT%02d:%02d:%02d.%06dZ",'
        b'"attributes":[{"name":"price","value":1%03d.5}],"relationships":[{"objectId":"order-%08d","qualifier":"order"}]}'
    ) % (
        number,
        number // 86400 % 28 + 1,
        number // 3600 % 24,
        number // 60 % 60,
        number % 60,
        number % 1_000_000,
        number % 1000,
        number // 4,
    )


def send(kafka: KafkaSettings, topic: str, count: int, rate: float | None = None) -> float:
    """Send messages, and give how many a second that was."""
    client, began = producer(kafka), time.perf_counter()
    for number in range(count):
        while True:
            try:
                client.produce(topic, message(number))
                break
            except BufferError:
                client.poll(0.1)
        if number % 200 == 0:
            client.poll(0)
            if rate:
                time.sleep(max(0.0, number / rate - (time.perf_counter() - began)))
    client.flush()
    return count / (time.perf_counter() - began)


def throughput(kafka: KafkaSettings, lake: Lake, messages: int) -> tuple[float, float]:
    """Give messages a second that were sent, and that one consumer then read and published in bronze."""
    topic, log_id = f"bench-{uuid4().hex}", "throughput"
    create_topic(kafka, topic, PARTITIONS)
    lake.ensure_tables()
    sent = send(kafka, topic, messages)
    settings = StreamSettings(topics=(topic,))
    reader = TopicConsumer(lake, log_id, consumer(kafka, topic), decoder("json"), settings, kafka, stop=Event())
    began = time.perf_counter()
    reader.take((topic, partition) for partition in range(PARTITIONS))
    reader.run(lambda _: None, until_caught_up=True)
    read = messages / (time.perf_counter() - began)
    reader.close()
    if lake.read("bronze.batches", log_id)["event_records"].sum() != messages:
        raise AssertionError("bronze does not hold what was sent")
    return sent, read


def flow(kafka: KafkaSettings, lake: Lake, messages: int, rate: float, consumers: int = 3) -> Flow:
    """Send messages at a steady rate while several `ocelake stream` read them."""
    topic, log_id = f"bench-{uuid4().hex}", "flow"
    create_topic(kafka, topic, PARTITIONS)
    lake.ensure_tables()
    with _streaming(kafka, lake, topic, log_id, consumers):
        if _wait(lake, log_id, send_first(kafka, topic), _START_SECONDS):
            raise TimeoutError("the consumers did not begin")
        achieved = send(kafka, topic, messages, rate)
        began = time.perf_counter()
        missing = _wait(lake, log_id, messages + PARTITIONS, 5)
        _wait(lake, log_id, messages + PARTITIONS, _END_SECONDS)
        seconds = time.perf_counter() - began
    ids = lake.read("bronze.event_records", log_id)["event_id"]
    found = ids.filter(ids.str.starts_with("event-"))
    return Flow(messages, achieved, messages - found.n_unique(), found.len() - found.n_unique(), missing, seconds)


def backlog(kafka: KafkaSettings, lake: Lake, events: int) -> tuple[int, float, float]:
    """Let `ocelake stream` read a whole log; give its messages, and seconds until bronze and gold have all of them."""
    topic, log_id = f"bench-{uuid4().hex}", "backlog"
    create_topic(kafka, topic, PARTITIONS)
    sent = produce(kafka, topic, messages(generate(events, seed=1), encoder("json", topic, kafka))).messages
    lake.ensure_tables()
    began, seconds = time.perf_counter(), 0.0
    with _streaming(kafka, lake, topic, log_id, 1):
        missing = _wait(lake, log_id, events, _START_SECONDS)
        if missing:
            raise TimeoutError(f"{missing} events did not come")
        seconds = time.perf_counter() - began
        while not _is_fresh(lake, log_id):
            time.sleep(0.2)
        return sent, seconds, time.perf_counter() - began


def _is_fresh(lake: Lake, log_id: str) -> bool:
    """Whether gold has seen the newest bronze."""
    gold = lake.latest(log_id, "gold")
    silver = gold and lake.latest(log_id, "silver")
    bronze = lake.latest(log_id, "bronze")
    return bool(
        gold
        and silver
        and bronze
        and gold.reads["silver"] == silver.publication_id
        and silver.reads["bronze"] == bronze.publication_id
    )


def send_first(kafka: KafkaSettings, topic: str) -> int:
    """Send one message to each partition, which tell that the consumers have begun."""
    client = producer(kafka)
    for partition in range(PARTITIONS):
        client.produce(topic, message(partition).replace(b"event-", b"first-"), partition=partition)
    client.flush()
    return PARTITIONS


@contextmanager
def _streaming(kafka: KafkaSettings, lake: Lake, topic: str, log_id: str, consumers: int) -> Iterator[None]:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers or "",
        "OCELAKE_HOME": str(lake.settings.home),
    }
    environment.pop("DAGSTER_HOME", None)
    command = [sys.executable, "-m", "ocelake", "stream", topic, "--log", log_id, "--max-seconds", "1"]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(consumers)]
    try:
        yield
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(_END_SECONDS)


def _wait(lake: Lake, log_id: str, messages: int, seconds: float) -> int:
    """Wait until so many messages are in bronze, for so long at most; give how many are not."""
    until = time.perf_counter() + seconds
    while True:
        missing = messages - int(lake.read("bronze.batches", log_id)["event_records"].sum())
        if missing <= 0 or time.perf_counter() > until:
            return missing
        time.sleep(0.2)


@contextmanager
def _broker() -> Iterator[KafkaSettings]:
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield KafkaSettings.load()
        return
    with tempfile.TemporaryDirectory(prefix="ocelake-kafka-") as folder:
        start = [sys.executable, str(_SCRIPT), "start", folder]
        try:
            done = subprocess.run(start, check=True, capture_output=True, text=True)
            yield KafkaSettings(bootstrap_servers=done.stdout.strip())
        finally:
            subprocess.run([sys.executable, str(_SCRIPT), "stop", folder], check=False)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--flow", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=10_000)
    parser.add_argument("--consumers", type=int, default=3)
    parser.add_argument("--backlog", type=int, default=1_000_000, help="events of a log that waits in a topic")
    given = parser.parse_args()
    rows = []
    with _broker() as kafka, tempfile.TemporaryDirectory(prefix="ocelake-stream-") as home:
        lake = open_lake(home)
        if given.messages:
            sent, read = throughput(kafka, lake, given.messages)
            rows += [("sent, messages/s", f"{sent:,.0f}"), ("read and published, messages/s", f"{read:,.0f}")]
        if given.flow:
            found = flow(kafka, lake, given.flow, given.rate, given.consumers)
            rows += [
                (f"flow of {found.sent:,} at", f"{found.rate:,.0f}/s through {given.consumers} consumers"),
                ("lost", str(found.lost)),
                ("doubled", str(found.doubled)),
                ("behind 5 s after the end", str(found.behind)),
                ("all there after, s", f"{found.seconds:.1f}"),
            ]
        if given.backlog:
            sent, bronze, gold = backlog(kafka, lake, given.backlog)
            rows += [
                (f"backlog of {given.backlog:,} events, messages", f"{sent:,}"),
                ("all in bronze after, s", f"{bronze:.1f}"),
                ("gold fresh after, s", f"{gold:.1f}"),
            ]
    with pl.Config(tbl_rows=-1, fmt_str_lengths=60, tbl_hide_dataframe_shape=True):
        print(pl.DataFrame(rows, schema=["figure", "value"], orient="row"))


if __name__ == "__main__":
    main()
