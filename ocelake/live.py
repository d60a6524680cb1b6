"""What runs as a process of its own until a signal comes: `ocelake stream` and `ocelake broker`.

The stream writes a line for each batch, and tells Dagster.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import typer
from pydantic import ValidationError

from ocelake.errors import SettingError
from ocelake.settings import StreamSettings, complaints

if TYPE_CHECKING:
    from ocelake.lake import Lake, PublicationRecord
    from ocelake.lake.arrivals import Arrivals
    from ocelake.stream.consumer import Committed
    from ocelake.tables import Layer

__all__ = ["serve_broker", "stream_log"]

_LOG: Final = logging.getLogger(__name__)


def serve_broker(topics: Sequence[str]) -> None:
    """Be a broker with these topics until a signal comes, and write where it is; see `ocelake.stream.embedded`."""
    from ocelake.stream.embedded import embedded_broker

    with _stopped_by_signals() as stop, embedded_broker(topics) as kafka:
        typer.echo(kafka.bootstrap_servers)
        stop.wait()


def stream_log(
    lake: Lake,
    log_id: str | None,
    given: Mapping[str, object],
    *,
    group: str | None = None,
    until_caught_up: bool = False,
    skip_lost: bool = False,
) -> None:
    """Read topics into a log until a signal comes; see `ocelake.stream.follow.follow_topics`.

    Parameters
    ----------
    log_id : str, optional
        The log; made from the first topic's name without it.
    given : mapping of str to object
        Stands in for the log's own `StreamSettings`.
    """
    from ocelake.pictures import live_pictures
    from ocelake.run import LiveReport
    from ocelake.stream.follow import await_topics, follow_topics
    from ocelake.stream.settings import KafkaSettings

    log_id, settings = _settings(lake, log_id, given)
    kafka = KafkaSettings.load()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    # Kafka's client has a line for each of its many attempts to connect; what matters of them is told in our words.
    logging.getLogger("ocelake.kafka").setLevel(logging.CRITICAL)

    with _stopped_by_signals() as stop, ExitStack() as ends:
        typer.echo(f"Reading {', '.join(settings.topics)} into the log {log_id}")
        if not await_topics(settings, kafka, stop):
            return
        report = ends.enter_context(LiveReport(log_id, partial(live_pictures, lake)))  # it registers the log

        def committed(done: Committed) -> None:
            rate = done.messages / max(done.seconds, 1e-3)
            told = {
                "messages": done.messages,
                "messages_per_second": round(rate),
                "quarantined": done.unusable,
                "lag_messages": done.lag,
                "lag_seconds": round(done.lag_seconds, 3),
            }
            report.published(done.publication, told)
            bad = f", {done.unusable:,} for the quarantine" if done.unusable else ""
            typer.echo(
                f"{done.publication.publication_id}: {done.messages:,} messages in {done.seconds:.1f} s{bad}, "
                f"{done.lag:,} behind"
            )
            if done.unusable and done.unusable == done.messages:
                _LOG.warning("Not one message of this batch can be used as %s: check --format.", settings.format)

        def advanced(found: Mapping[Layer, PublicationRecord], seconds: float, came: Arrivals | None) -> None:
            told: dict[str, object] = {"seconds": round(seconds, 3)}
            if came is not None:
                told |= {
                    "watermark": str(came.watermark),
                    "new_events": came.events,
                    "late_share": round(came.late_share, 4),
                }
            for record in found.values():
                report.published(record, told)
            newest = ", ".join(record.publication_id for record in found.values())
            typer.echo(f"{newest}: {seconds:.1f} s")

        follow_topics(
            lake,
            log_id,
            settings,
            kafka,
            stop=stop,
            group=group,
            until_caught_up=until_caught_up,
            skip_lost=skip_lost,
            committed=committed,
            advanced=advanced,
        )


def _settings(lake: Lake, log_id: str | None, given: Mapping[str, Any]) -> tuple[str, StreamSettings]:
    from pathlib import Path

    from ocelake.landing import log_id_for

    topics = given.get("topics", ())
    if log_id is None:
        if not topics:
            raise SettingError("Neither a topic nor a log is named.", fix="ocelake stream TOPIC, or --log LOG")
        log_id = log_id_for(Path(topics[0].replace(".", "-")))
    own = lake.settings.stream(log_id)
    try:
        return log_id, StreamSettings.model_validate({**own.model_dump(), **given})
    except ValidationError as error:
        raise SettingError(
            f"The stream cannot be read like this: {complaints(error, StreamSettings)}.",
            where=f"the log {log_id}",
            fix="Correct the option; ocelake stream --help tells what it may be.",
        ) from error


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """Give an event that SIGTERM and Ctrl-C set; a second one of them ends the process as it always does."""
    stop = Event()
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, kept[signal.Signals(number)])

    for number in kept:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
