"""Which publications stay readable, and so which snapshots have to stay.

Every publication adds a snapshot to each of its tables, and a table's commits slow down with the number of its
snapshots. So a store keeps them few while it publishes (`ocelake.lake.store`), and the nightly upkeep removes the files
that nothing refers to any more (`ocelake.lake.maintenance`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from ocelake.lake.records import PublicationRecord, parse_publication_id
from ocelake.tables import Layer

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

    from ocelake.lake.store import PublicationStore

__all__ = ["Retention", "expired_snapshots", "retained_publications"]

_READ_BY: Final[dict[Layer, Layer]] = {"bronze": "silver", "silver": "gold"}

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
    """

    publications: int = 100
    age: timedelta = timedelta(days=30)

    def overdue(self, snapshots: int) -> bool:
        """Whether a table has so many snapshots that a publication should take some away."""
        return snapshots >= self.publications + _SLACK


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
    if reader := _READ_BY.get(layer):
        for above in (*_recent(store, reader, retention, now), *_newest(store, logs, reader)):
            read = above.reads.get(layer, "")
            parts = parse_publication_id(read)
            if parts and read not in retained and read not in newest:
                found = store.publications(log_id=parts[0], layer=layer, number=parts[2])
                retained.update((record.publication_id, record) for record in found)
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
    overtaken = [snapshot.timestamp_ms for snapshot in ordered[1:]]
    return [
        snapshot.snapshot_id
        for snapshot, until in zip(ordered, overtaken, strict=False)
        if snapshot.snapshot_id not in needed and (since is None or until < since.timestamp() * 1000)
    ]


def _recent(store: PublicationStore, layer: Layer, retention: Retention, now: datetime) -> list[PublicationRecord]:
    newest = store.publications(layer=layer, limit=retention.publications)
    return [record for record in newest if now - record.time <= retention.age]


def _newest(store: PublicationStore, logs: Iterable[str], layer: Layer) -> list[PublicationRecord]:
    return [record for log_id in logs for record in store.publications(log_id=log_id, layer=layer, limit=1)]
