"""Which publications stay readable, and so which snapshots have to stay.

Every publication adds a snapshot to each of its tables, and a table's commits slow down with the number of its
snapshots. So a store keeps them few while it publishes (`ocelake.lake.store`): it drops those that are not retained
from the table's metadata and notes them in the catalog. There whoever is still reading one finds it, until upkeep
removes its files (`ocelake.lake.maintenance`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ocelake.lake.records import PublicationRecord, parse_publication_id
from ocelake.tables import READS, Layer

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

    from ocelake.lake.store import PublicationStore

__all__ = ["Retention", "expired_snapshots", "retained_publications"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_SLACK: Final = 16
"""Snapshots beyond what is retained that may gather before a publication takes them away."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How far back publications can be read.

    Whatever is set here, the newest publication of each log and layer stays readable, and so does what it was computed
    from.

    Attributes
    ----------
    publications : int
        The newest so many of each layer, over all logs.
    age : timedelta
        And of these the ones that are not older.
    grace : timedelta
        The files of a snapshot stay for this time after it was dropped, for those who are reading it.
    """

    publications: int = 100
    age: timedelta = timedelta(days=30)
    grace: timedelta = timedelta(hours=1)

    def overdue(self, metadata: TableMetadata, needed: int = 0) -> bool:
        """Whether a table has so many snapshots that a publication should take some away.

        Parameters
        ----------
        needed : int
            How many were left the last time.
        """
        return len(metadata.snapshots) >= max(self.publications, needed) + _SLACK


def retained_publications(
    store: PublicationStore, layer: Layer, retention: Retention, now: datetime
) -> list[PublicationRecord]:
    """Give the publications of a layer whose snapshots have to stay: the retained ones, and what others read of them.

    A log's newest publication needs no snapshot of its own where the table's current one holds its rows.
    """
    retained = {record.publication_id: record for record in _recent(store, layer, retention, now)}
    logs = store.log_ids()
    newest = {record.publication_id: record for record in _newest(store, logs, layer)}
    if not store.shared_snapshots:
        retained |= newest
    for reader in (reader for reader, read in READS.items() if layer in read):
        for above in (*retained_publications(store, reader, retention, now), *_newest(store, logs, reader)):
            read = above.reads.get(layer, "")
            if read not in retained and read not in newest:
                retained.update((record.publication_id, record) for record in _holders(store, read))
    return list(retained.values())


def expired_snapshots(
    metadata: TableMetadata, identifier: str, retained: Iterable[PublicationRecord], *, since: datetime | None = None
) -> list[int]:
    """Give the snapshots of a table that may go, oldest first.

    Parameters
    ----------
    metadata : TableMetadata
        The table's.
    identifier : str
        The table.
    retained : iterable of PublicationRecord
        What has to stay readable.
    since : datetime, optional
        A snapshot that was current after this time stays as well: somebody may be reading it.
    """
    needed = {record.snapshots.get(identifier) for record in retained}
    needed |= {ref.snapshot_id for ref in metadata.refs.values()} | {metadata.current_snapshot_id}
    ordered = sorted(metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0)
    overtaken = [_made(snapshot) for snapshot in ordered[1:]]
    return [
        snapshot.snapshot_id
        for snapshot, until in zip(ordered, overtaken, strict=False)
        if snapshot.snapshot_id not in needed and (since is None or until < since)
    ]


def _recent(store: PublicationStore, layer: Layer, retention: Retention, now: datetime) -> list[PublicationRecord]:
    newest = store.publications(layer=layer, limit=retention.publications)
    return [record for record in newest if now - record.time <= retention.age]


def _made(snapshot: Snapshot) -> datetime:
    return _EPOCH + timedelta(milliseconds=snapshot.timestamp_ms)


def _holders(store: PublicationStore, publication_id: str) -> list[PublicationRecord]:
    """Give an overtaken publication, and the last one of its layer before it was overtaken.

    While it was its log's newest, its own snapshots may have gone: then those of the other hold its rows.
    """
    parts = parse_publication_id(publication_id)
    if parts is None:
        return []
    log_id, layer, number = parts
    found = store.publications(log_id=log_id, layer=layer, number=number)
    for following in store.publications(log_id=log_id, layer=layer, number=number + 1):
        if store.shared_snapshots:
            found += store.publications(layer=layer, until=following.time - _MICROSECOND, limit=1)
    return found


def _newest(store: PublicationStore, logs: Iterable[str], layer: Layer) -> list[PublicationRecord]:
    return [record for log_id in logs for record in store.publications(log_id=log_id, layer=layer, limit=1)]
