"""Silver and gold, or prices and bars, that follow bronze while it is being filled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from threading import Event, Thread
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

from ocelake import metrics
from ocelake.errors import OcelakeError, StalePublication
from ocelake.lake.arrivals import Arrivals, arrivals, watermark
from ocelake.lake.increment import advance

if TYPE_CHECKING:
    from ocelake.lake import Lake, PublicationRecord
    from ocelake.tables import Layer

__all__ = ["Advanced", "Advancer"]

_LOG: Final = logging.getLogger(__name__)

_BACKLOG_SECONDS: Final = 30.0
"""So long what is shown stays as it is at most, once a round is over, while a backlog is read."""

Advanced: TypeAlias = "Callable[[Mapping[Layer, PublicationRecord], float, Arrivals | None], object]"
"""Told of the newest publication of each layer, how many seconds it took to get there, and of the events that came with
silver, or the prices, where this process knows what was there before."""


class Advancer:
    """Brings a log's silver and gold up to its bronze in a thread of its own, one time after the other.

    What is published in bronze while it is at work it takes up together the next time, so it cannot fall behind by more
    than the time that two rounds take. A round that fails is told and ends nothing: the next one does its work as well.
    After the last one, that `finish` makes, there is none, so it fails.

    Parameters
    ----------
    lake : Lake
        Where they are.
    log_id : str
        The log.
    seconds : float
        How often it looks, also for what other processes published.
    leads : callable
        Whether this process is the one to do it, of those that read the log's topics.
    behind : callable
        Whether much of the topics is not read yet: then rounds are made seldom, as each would take long, take from
        reading what it needs, and show what is soon another.
    told : Advanced
        Called after each round that published something.
    """

    def __init__(
        self,
        lake: Lake,
        log_id: str,
        *,
        seconds: float,
        leads: Callable[[], bool],
        behind: Callable[[], bool],
        told: Advanced,
    ) -> None:
        self._lake, self._log_id, self._seconds, self._told = lake, log_id, seconds, told
        self._leads, self._behind, self._last = leads, behind, perf_counter()
        self._wanted, self._over = Event(), False
        self._known: dict[Layer, PublicationRecord] = {}
        self._thread = Thread(target=self._follow, name=f"advance-{log_id}", daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Ask for a round now, or as soon as the one that is being made is over."""
        self._wanted.set()

    def close(self) -> None:
        """Wait for the round that is being made; there is no further one in the thread."""
        self._over = True
        self._wanted.set()
        self._thread.join()

    def finish(self) -> None:
        """Make a last round after `close`, whoever leads.

        Raises
        ------
        OcelakeError
            Where silver or gold cannot be brought up to bronze, such as for a check that failed.
        """
        self._round()

    def _follow(self) -> None:
        while True:
            self._wanted.wait(self._seconds)
            if self._over:
                return
            self._wanted.clear()
            if self._leads() and (not self._behind() or perf_counter() - self._last > _BACKLOG_SECONDS):
                self._try_round()
                self._last = perf_counter()

    def _try_round(self) -> None:
        try:
            self._round()
        except OcelakeError as error:
            _LOG.error("%s", error)
        except Exception:  # noqa: BLE001  # whatever is wrong with gold, bronze goes on
            _LOG.exception("Silver and gold of %s stay as they are for now.", self._log_id)

    def _round(self) -> None:
        began = perf_counter()
        if self._lake.latest(self._log_id, "bronze") is None:
            _LOG.debug("Nothing of %s is in bronze yet.", self._log_id)
            return
        try:
            found = advance(self._lake, self._log_id)
        except StalePublication:
            _LOG.info("Another process brings %s up to date.", self._log_id)
            return
        if found != self._known:
            before, self._known = _timed(self._known), found
            self._told(found, perf_counter() - began, self._arrived(before, _timed(found)))

    def _arrived(self, since: PublicationRecord | None, until: PublicationRecord | None) -> Arrivals | None:
        if until is None:
            return None
        try:
            found = arrivals(self._lake, since=since, until=until) if since else None
            reached = found.watermark if found else watermark(self._lake, until)
        except OcelakeError as error:  # what is known of the log stays right without it
            _LOG.warning("%s", error)
            return None
        if reached is not None:
            metrics.WATERMARK_TIME.labels(self._log_id).set(reached.timestamp())
        if found is not None:
            metrics.NEW_EVENTS.labels(self._log_id).inc(found.events)
            metrics.LATE_EVENTS.labels(self._log_id).inc(found.late)
        return found


def _timed(found: Mapping[Layer, PublicationRecord]) -> PublicationRecord | None:
    """Give the publication of what has times: events, or prices."""
    return found.get("silver") or found.get("prices")
