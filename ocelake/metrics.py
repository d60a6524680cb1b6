"""What a running process tells Prometheus: every metric that there is, in one place.

Whoever does the work sets them; nothing is computed here. They live in a registry of their own, so that a program that
uses ocelake as a library keeps its own metrics apart. Names begin with ``ocelake_`` and end with their unit.
"""

from __future__ import annotations

from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, start_http_server

from ocelake.errors import SettingError

__all__ = [
    "ADVANCE_SECONDS",
    "CIRCUIT_STATE",
    "COMMIT_SECONDS",
    "CONSUMED_BYTES",
    "CONSUMED_MESSAGES",
    "FAILURES",
    "LAG_MESSAGES",
    "LAG_SECONDS",
    "LATE_EVENTS",
    "NEW_EVENTS",
    "PUBLICATION_NUMBER",
    "PUBLICATION_TIME",
    "QUARANTINED_RECORDS",
    "REBALANCES",
    "REGISTRY",
    "RETRIES",
    "ROWS_COMMITTED",
    "WATERMARK_TIME",
    "serve",
]

_PARTITION: Final = ("log", "topic", "partition")
_LAYER: Final = ("log", "layer")
_SYSTEM: Final = ("system", "place")
_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)

REGISTRY: Final = CollectorRegistry()
"""All metrics below, and no others."""

CONSUMED_MESSAGES: Final = Counter(
    "ocelake_consumed_messages", "Messages that are published in bronze.", _PARTITION, registry=REGISTRY
)
CONSUMED_BYTES: Final = Counter(
    "ocelake_consumed_bytes", "Bytes of the values of these messages.", _PARTITION, registry=REGISTRY
)
LAG_MESSAGES: Final = Gauge(
    "ocelake_lag_messages", "Messages of a partition that are not published yet.", _PARTITION, registry=REGISTRY
)
LAG_SECONDS: Final = Gauge(
    "ocelake_lag_seconds",
    "Age of the newest message that was read, while some of the partition are not published yet.",
    _PARTITION,
    registry=REGISTRY,
)
REBALANCES: Final = Counter(
    "ocelake_rebalances", "How often this consumer was given or lost partitions.", ("log",), registry=REGISTRY
)
NEW_EVENTS: Final = Counter(
    "ocelake_new_events", "Events, or prices, that came to the log.", ("log",), registry=REGISTRY
)
LATE_EVENTS: Final = Counter(
    "ocelake_late_events",
    "Events that came with a time before the watermark: another event had a greater one.",
    ("log",),
    registry=REGISTRY,
)
WATERMARK_TIME: Final = Gauge(
    "ocelake_watermark_timestamp_seconds",
    "The greatest time of an event, or a price, of the log so far.",
    ("log",),
    registry=REGISTRY,
)
QUARANTINED_RECORDS: Final = Counter(
    "ocelake_quarantined_records",
    "Messages that could not be decoded, or lack what each has to tell.",
    _PARTITION,
    registry=REGISTRY,
)
ROWS_COMMITTED: Final = Counter("ocelake_committed_rows", "Rows of publications.", _LAYER, registry=REGISTRY)
COMMIT_SECONDS: Final = Histogram(
    "ocelake_commit_seconds",
    "From the last row of a publication to its being visible.",
    _LAYER,
    buckets=_SECONDS,
    registry=REGISTRY,
)
ADVANCE_SECONDS: Final = Histogram(
    "ocelake_advance_seconds",
    "How long bringing a layer up to the newest bronze takes.",
    _LAYER,
    buckets=_SECONDS,
    registry=REGISTRY,
)
PUBLICATION_NUMBER: Final = Gauge(
    "ocelake_publication_number", "Number of the newest publication of this process.", _LAYER, registry=REGISTRY
)
PUBLICATION_TIME: Final = Gauge(
    "ocelake_publication_timestamp_seconds",
    "When that publication was made, in seconds since 1970.",
    _LAYER,
    registry=REGISTRY,
)

RETRIES: Final = Counter(
    "ocelake_retries", "Calls to a system outside that were made again.", _SYSTEM, registry=REGISTRY
)
FAILURES: Final = Counter(
    "ocelake_failures", "Calls to a system outside that were given up.", _SYSTEM, registry=REGISTRY
)
CIRCUIT_STATE: Final = Enum(
    "ocelake_circuit_state",
    "Whether a system outside is asked (closed), is left alone (opened), or is being tried (half-opened).",
    _SYSTEM,
    states=["closed", "opened", "half-opened"],
    registry=REGISTRY,
)


def serve(port: int, address: str = "127.0.0.1") -> WSGIServer:
    """Answer Prometheus' scrapes in a background thread.

    Parameters
    ----------
    port : int
        0 for any free one.
    address : str
        Of the interface to listen on; ``0.0.0.0`` for all of them.

    Returns
    -------
    WSGIServer
        ``server_port`` tells the port; ``shutdown()`` and ``server_close()`` end it, as does the process' end.

    Raises
    ------
    SettingError
        Where the port cannot be listened on.
    """
    try:
        server, _ = start_http_server(port, address, REGISTRY)
    except (OSError, OverflowError) as error:
        raise SettingError(
            f"The metrics cannot be served: {error}.", where=f"{address}:{port}", fix="Choose another port or address."
        ) from error
    return server
