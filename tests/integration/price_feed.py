"""A feed of prices for the tests: the bundled server as a process, and consumers that may be stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from pydantic import SecretStr

from ocelake.lake import open_lake
from ocelake.settings import LakeSettings, Resilience, StreamSettings
from ocelake.stream.follow import follow_topics
from ocelake.stream.prices import PriceApi, PriceApiSettings
from ocelake.stream.settings import KafkaSettings
from tests.price_ticks import LOG

SERVER = Path(__file__).parents[2] / "examples" / "price_server.py"
PATIENCE = Resilience(seconds=10, first_wait=0.01, longest_wait=0.05, open_seconds=0.05)


@contextmanager
def price_server(*options: str) -> Iterator[str]:
    """Run the server; give its address."""
    command = [sys.executable, str(SERVER), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def price_api(url: str, patience: Resilience = PATIENCE, key: str = "demo") -> PriceApi:
    """Reach a server."""
    return PriceApi(PriceApiSettings(url=url, key=SecretStr(key)), patience)


def follow_prices(settings: LakeSettings, kafka: KafkaSettings, topic: str) -> None:
    """Read a topic of prices as a member of a group until SIGTERM."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stream = StreamSettings(topics=(topic,), format="prices", max_seconds=0.5)
    follow_topics(open_lake(settings=settings), LOG, stream, kafka, stop=stop)
