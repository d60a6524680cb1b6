"""Which snapshot of a table holds a log's rows at a moment.

It is found by the publications of the table's layer. What a gold publication wrote before the analysis was a layer of
its own is therefore in no log's past: as of a time or a publication these tables are empty until the log's first
analysis. On SQL catalogs their newest rows are still there to read, until that analysis takes their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, islice
from typing import Final

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from ocelake.errors import NotFound
from ocelake.lake.records import AsOf, Moment, PublicationRecord, parse_publication_id, parse_time
from ocelake.lake.store import PublicationStore
from ocelake.tables import TableSpec

__all__ = ["View", "find_publication", "latest_publication", "loaded_moment", "moment_of", "table_view"]

_LISTED: Final = 512
"""Of how many publications an error says which are retained."""

_BEFORE_ALL: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class View:
    """One table at one moment: a snapshot for most logs, and the logs that are at another one.

    Attributes
    ----------
    snapshot_id : int or None
        None where those logs have no rows.
    others : mapping of str to (int or None)
        Log to its own snapshot.
    dropped : mapping of int to Snapshot
        Those of these snapshots that the table's metadata no longer has, by their ids.
    """

    snapshot_id: int | None
    others: Mapping[str, int | None] = field(default_factory=dict)
    dropped: Mapping[int, Snapshot] = field(default_factory=dict)

    def of(self, log_id: str) -> int | None:
        """Give the snapshot of one log."""
        return self.others.get(log_id, self.snapshot_id)


def find_publication(store: PublicationStore, publication_id: str) -> PublicationRecord:
    """Look up one publication.

    Raises
    ------
    NotFound
        Where there is none of that name.
    """
    parts = parse_publication_id(publication_id)
    found = store.publications(log_id=parts[0], layer=parts[1], number=parts[2]) if parts else []
    if not found:
        raise NotFound(
            f"There is no publication {publication_id!r}.", fix="`ocelake sql 'FROM lake.publications'` lists them all."
        )
    return found[0]


def moment_of(store: PublicationStore, as_of: AsOf | Moment) -> Moment:
    """Read "as of": a time, or a publication with what it read and everything else as of its time.

    A time, and now, become the time of the newest publication until then: what is published later does not count.
    """
    if isinstance(as_of, Moment):
        return as_of
    if not (isinstance(as_of, str) and parse_publication_id(as_of)):
        newest = store.publications(until=None if as_of is None else parse_time(as_of), limit=1)
        return Moment(newest[0].time if newest else _BEFORE_ALL)
    first = find_publication(store, as_of)
    pinned: dict[tuple[str, str], PublicationRecord] = {}
    waiting = [first]
    while waiting:
        record = waiting.pop(0)
        if (record.log_id, record.layer) not in pinned:
            pinned[record.log_id, record.layer] = record
            waiting += [find_publication(store, read) for read in record.reads.values()]
    return Moment(first.time, pinned)


def loaded_moment(store: PublicationStore, as_of: AsOf | Moment) -> Moment:
    """Read "as of" for tables that are loaded together: now is then what was loaded, where snapshots are shared."""
    return Moment() if as_of is None and store.shared_snapshots else moment_of(store, as_of)


def latest_publication(store: PublicationStore, log_id: str, layer: str, moment: Moment) -> PublicationRecord | None:
    """Give the newest publication of a log and layer at a moment."""
    if (log_id, layer) in moment.pinned:
        return moment.pinned[log_id, layer]
    found = store.publications(log_id=log_id, layer=layer, until=moment.time, limit=1)
    return found[0] if found else None


def table_view(
    store: PublicationStore, spec: TableSpec, table: Table, moment: Moment, log_id: str | None = None
) -> View:
    """Find the snapshots of a table at a moment.

    Parameters
    ----------
    log_id : str, optional
        The one log that is asked for; what others had then may have expired.

    Raises
    ------
    NotFound
        Where a snapshot that is needed has expired.
    """
    if store.shared_snapshots and moment.time is None:
        return View(table.metadata.current_snapshot_id)
    snapshots = _Snapshots(store, spec.identifier, table)
    view = _view_at(store, spec, snapshots, moment, log_id)
    return View(view.snapshot_id, view.others, snapshots.dropped)


class _Snapshots:
    """The snapshots of a table that can be read: those of its metadata, and those that were dropped a moment ago."""

    def __init__(self, store: PublicationStore, identifier: str, table: Table) -> None:
        self.current = table.metadata.current_snapshot_id
        self.dropped: dict[int, Snapshot] = {}
        self._store, self._identifier = store, identifier
        self._present = {snapshot.snapshot_id for snapshot in table.metadata.snapshots}

    def __contains__(self, snapshot_id: int) -> bool:
        if snapshot_id in self._present or snapshot_id in self.dropped:
            return True
        found = self._store.dropped(self._identifier, snapshot_id)
        if found is not None:
            self.dropped[snapshot_id] = found
        return found is not None


def _view_at(
    store: PublicationStore, spec: TableSpec, snapshots: _Snapshots, moment: Moment, log_id: str | None
) -> View:
    pinned = {log: record for (log, layer), record in moment.pinned.items() if layer == spec.layer}
    if log_id is not None:
        until = pinned[log_id].time if log_id in pinned else moment.time
        record = next(_writers(store, spec, until=until, log_id=log_id), None)
        return View(None, {log_id: _slice(store, spec, snapshots, record)})
    others = {log: _slice(store, spec, snapshots, _writer(store, spec, record)) for log, record in pinned.items()}
    if store.shared_snapshots:
        newest = next(_writers(store, spec, until=moment.time), None)
        snapshot = newest.snapshots.get(spec.identifier) if newest else None
        if snapshot is None or snapshot in snapshots:
            return View(snapshot, others)
    # One by one: no snapshot is right for every log, or that one has expired and the slices may live on in others.
    slices: dict[str, PublicationRecord] = {}
    for writer in _writers(store, spec, until=moment.time):
        slices.setdefault(writer.log_id, writer)
    rest = {log: _slice(store, spec, snapshots, writer) for log, writer in slices.items() if log not in pinned}
    return View(None, {**rest, **others})


def _writers(
    store: PublicationStore, spec: TableSpec, *, until: datetime | None = None, log_id: str | None = None
) -> Iterator[PublicationRecord]:
    """Iterate over the publications that wrote a table, newest first; the first few are all that most ask for."""
    seen = 0
    for limit in (8, 64, 512, None):
        found = store.publications(layer=spec.layer, until=until, log_id=log_id, limit=limit)
        yield from (record for record in found[seen:] if spec.identifier in record.rows)
        seen = len(found)
        if limit and seen < limit:
            return


def _writer(store: PublicationStore, spec: TableSpec, record: PublicationRecord) -> PublicationRecord | None:
    """Give the publication that a log's slice of a table is from, where the log's layer is at ``record``."""
    return next(_writers(store, spec, until=record.time, log_id=record.log_id), None)


def _slice(
    store: PublicationStore, spec: TableSpec, snapshots: _Snapshots, record: PublicationRecord | None
) -> int | None:
    """Give a snapshot, still there, that holds a log's slice as the publication left it.

    Raises
    ------
    NotFound
        Where every such snapshot has expired.
    """
    if record is None or spec.identifier not in record.snapshots:
        return None
    if record.snapshots[spec.identifier] in snapshots:
        return record.snapshots[spec.identifier]
    following = _following(store, spec, record)
    if following is None and store.shared_snapshots:
        return snapshots.current
    if following is not None and store.shared_snapshots:
        for other in _writers(store, spec, until=following.time):
            snapshot = other.snapshots.get(spec.identifier)
            if other.time <= record.time:
                break
            if other.time < following.time and snapshot and snapshot in snapshots:
                return snapshot
    raise NotFound(
        f"The state of {spec.identifier} at {record.publication_id} has expired.",
        where=record.publication_id,
        fix=f"{_retained(store, spec, snapshots, record.log_id)} Earlier results come from computing bronze again.",
    )


def _following(store: PublicationStore, spec: TableSpec, record: PublicationRecord) -> PublicationRecord | None:
    """Give the publication that wrote a log's slice of a table next, if there is one."""
    for number in count(record.number + 1):
        found = store.publications(log_id=record.log_id, layer=record.layer, number=number)
        if not found or spec.identifier in found[0].rows:
            return next(iter(found), None)
    raise AssertionError("numbers do not end")


def _retained(store: PublicationStore, spec: TableSpec, snapshots: _Snapshots, log_id: str) -> str:
    """Say which publications of a log can still be read."""
    writers = list(islice(_writers(store, spec, log_id=log_id), _LISTED))
    kept = [r for r in writers[1:] if (snapshot := r.snapshots.get(spec.identifier)) and snapshot in snapshots]
    # The newest is always there: the table's current snapshot holds it.
    names = [record.publication_id for record in (*reversed(kept), *writers[:1])]
    return f"Retained are {', '.join(names[:1] + ['...'] * (len(names) > 2) + names[-1:] * (len(names) > 1))}."
