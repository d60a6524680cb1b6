"""Upkeep beside a stream: a little at a time, while others commit every few seconds and read.

What the night does for all tables, this does for those that have changed, within a budget: small files are merged by
tiers, and the files of snapshots that nobody reads any more are removed. Manifests need no care of their own: every
commit merges them once there are twenty.

Several processes may have one each: a lease in the catalog lets one at a time work. It only saves work: upkeep commits
by compare-and-swap, so that two at once do no harm. On a REST catalog slices cannot be compacted; there only the night
does its part.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pyiceberg.table import Table

from ocelake.lake.catalog import PublicationCatalog
from ocelake.lake.maintenance.compaction import Compaction, merge_small, mergeable
from ocelake.lake.maintenance.expiry import Expiry, expire_table
from ocelake.lake.maintenance.references import References
from ocelake.lake.maintenance.tiers import FANOUT
from ocelake.lake.retention import Retention
from ocelake.tables import TABLES

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake

__all__ = ["Budget", "Upkeep", "UpkeepReport"]

_LOG: Final = logging.getLogger(__name__)
_LEASE: Final = "upkeep"
_LEASE_TIME: Final = timedelta(minutes=2)
_GROWTH: Final = FANOUT // 2
"""A table is looked at once it has so many more files than the last look left."""
_DROPPED: Final = 64
"""The files of dropped snapshots are removed once there are so many of a table: each removal reads what is kept."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one round of upkeep may take.

    Attributes
    ----------
    seconds : float
        No more work is begun after this time.
    most_bytes : int
        A merge of more than this is left to the night.
    """

    seconds: float = 5.0
    most_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class UpkeepReport:
    """What one round did.

    Attributes
    ----------
    compacted, expired : tuple
        What became of slices and tables.
    failed : tuple of str
        Tables whose upkeep failed; it is tried again in a later round.
    seconds : float
        How long it took.
    """

    compacted: tuple[Compaction, ...] = ()
    expired: tuple[Expiry, ...] = ()
    failed: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(slots=True)
class _Look:
    """What the last look at a table found: its metadata file, and how many files it was left with."""

    location: str = ""
    files: int = 0
    references: References = field(default_factory=References)


class Upkeep:
    """Keeps the tables of a lake in good order while they are published to.

    Parameters
    ----------
    lake : Lake
        The lake.
    retention : Retention, optional
        What stays readable.
    budget : Budget, optional
        How much one round may take.

    Attributes
    ----------
    last : UpkeepReport or None
        What the last round in the background did.

    Examples
    --------
    >>> with Upkeep(lake) as upkeep:  # doctest: +SKIP
    ...     for batch in batches:
    ...         commit(batch)
    ...         upkeep.nudge()
    """

    def __init__(self, lake: Lake, *, retention: Retention | None = None, budget: Budget | None = None) -> None:
        self.lake = lake
        self.retention, self.budget = retention or Retention(), budget or Budget()
        self.last: UpkeepReport | None = None
        self._looks: dict[str, _Look] = {identifier: _Look() for identifier in TABLES}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def nudge(self) -> None:
        """Begin a round in the background, if none is on its way; returns at once."""
        if self._closing.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._round, name="ocelake-upkeep", daemon=True)
        self._thread.start()

    def run(self) -> UpkeepReport:
        """Do one round here and now; nothing, where another process is at it.

        A table whose upkeep fails is named in the report, and tried again in a later round.
        """
        start = time.monotonic()
        compacted: list[Compaction] = []
        expired: list[Expiry] = []
        failed: list[str] = []
        with self._turn() as mine:
            for identifier, look, table in self._waiting() if mine else ():
                if self._closing.is_set() or time.monotonic() - start > self.budget.seconds:
                    break
                try:
                    if table is not None:
                        compacted += self._merge(identifier, look, table, start)
                    else:
                        done = expire_table(self.lake, TABLES[identifier], self.retention, look.references)
                        expired += [done] if done else []
                except Exception:  # noqa: BLE001  # a stream goes on, whatever becomes of the tidying beside it
                    _LOG.exception("The upkeep of %s failed; it is tried again.", identifier)
                    look.location = ""
                    failed.append(identifier)
        return UpkeepReport(tuple(compacted), tuple(expired), tuple(failed), round(time.monotonic() - start, 3))

    def close(self) -> None:
        """Wait for the round that is on its way; it begins no more work."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Upkeep:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _round(self) -> None:
        try:
            report = self.run()
        except Exception:  # noqa: BLE001  # the catalog cannot be reached: the stream finds out by itself
            _LOG.exception("A round of upkeep failed; the next one tries again.")
            return
        self.last = report

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        catalog = self.lake.catalog
        if not isinstance(catalog, PublicationCatalog):
            yield False
            return
        with catalog.lease(_LEASE, max(_LEASE_TIME, 4 * timedelta(seconds=self.budget.seconds))) as mine:
            yield mine

    def _waiting(self) -> Iterator[tuple[str, _Look, Table | None]]:
        """Give what waits for care, the neediest first: tables to be merged in, and names of others to expire."""
        catalog = self.lake.catalog
        if not isinstance(catalog, PublicationCatalog):
            return
        pointers = catalog.pointers(TABLES)
        grown: list[tuple[int, str, Table]] = []
        for identifier in [name for name, look in self._looks.items() if look.location != pointers[name]]:
            table, look = self.lake.table(identifier), self._looks[identifier]
            growth = _file_count(table) - look.files
            if growth >= _GROWTH:
                grown.append((growth, identifier, table))
            elif growth < 0:
                look.files += growth
            look.location = table.metadata_location
        for _, identifier, table in sorted(grown, key=lambda item: -item[0]):
            yield identifier, self._looks[identifier], table
        counts = catalog.dropped_counts(datetime.now(UTC) - self.retention.grace)
        for identifier, snapshots in sorted(counts.items(), key=lambda item: -item[1]):
            if snapshots >= _DROPPED and identifier in self._looks:
                yield identifier, self._looks[identifier], None

    def _merge(self, identifier: str, look: _Look, table: Table, start: float) -> list[Compaction]:
        done: list[Compaction] = []
        for log_id in mergeable(table, TABLES[identifier]):
            if self._closing.is_set() or time.monotonic() - start > self.budget.seconds:
                look.location = ""  # the rest is for the next round
                return done
            done += merge_small(self.lake, identifier, log_id, most_bytes=self.budget.most_bytes)
        look.files = _file_count(table) - sum(one.files_before - one.files_after for one in done)
        return done


def _file_count(table: Table) -> int:
    snapshot = table.current_snapshot()
    return int(snapshot.summary["total-data-files"] or 0) if snapshot and snapshot.summary else 0
