"""Which snapshot of a table holds a log's rows at a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyiceberg.table import Table

from ocelake.errors import NotFound
from ocelake.lake.records import AsOf, Moment, PublicationRecord, parse_publication_id, parse_time
from ocelake.lake.store import PublicationStore
from ocelake.tables import TableSpec

__all__ = ["View", "find_publication", "latest_publication", "moment_of", "table_view"]


@dataclass(frozen=True, slots=True)
class View:
    """One table at one moment: a snapshot for most logs, and the logs that are at another one.

    Attributes
    ----------
    snapshot_id : int or None
        None where those logs have no rows.
    others : mapping of str to (int or None)
        Log to its own snapshot.
    """

    snapshot_id: int | None
    others: Mapping[str, int | None] = field(default_factory=dict)

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
    """Read "as of": a time, or a publication with what it read and everything else as of its time."""
    if as_of is None:
        return Moment()
    if isinstance(as_of, Moment):
        return as_of
    if not (isinstance(as_of, str) and parse_publication_id(as_of)):
        return Moment(parse_time(as_of))
    first = find_publication(store, as_of)
    pinned: dict[tuple[str, str], PublicationRecord] = {}
    waiting = [first]
    while waiting:
        record = waiting.pop(0)
        if (record.log_id, record.layer) not in pinned:
            pinned[record.log_id, record.layer] = record
            waiting += [find_publication(store, read) for read in record.reads.values()]
    return Moment(first.time, pinned)


def latest_publication(store: PublicationStore, log_id: str, layer: str, moment: Moment) -> PublicationRecord | None:
    """Give the newest publication of a log and layer at a moment."""
    if (log_id, layer) in moment.pinned:
        return moment.pinned[log_id, layer]
    found = store.publications(log_id=log_id, layer=layer, until=moment.time, limit=1)
    return found[0] if found else None


def table_view(store: PublicationStore, spec: TableSpec, table: Table, moment: Moment) -> View:
    """Find the snapshots of a table at a moment.

    Raises
    ------
    NotFound
        Where a snapshot that is needed has expired.
    """
    if store.shared_snapshots and moment.time is None:
        return View(table.metadata.current_snapshot_id)
    records = [r for r in store.publications(layer=spec.layer) if spec.identifier in r.rows]
    if not store.shared_snapshots:
        shown = [r for r in records if moment.time is None or r.time <= moment.time]
        return View(
            None,
            {log: _kept(spec, table, records, _at(shown, log, spec, moment)) for log in _logs(shown, moment, spec)},
        )
    shown = [r for r in records if moment.time is not None and r.time <= moment.time]
    pins = {log for log, layer in moment.pinned if layer == spec.layer}
    others = {log: _kept(spec, table, records, _at(shown, log, spec, moment)) for log in pins}
    if not shown:
        return View(None, others)
    newest = shown[0].snapshots.get(spec.identifier)
    if newest is None or table.snapshot_by_id(newest) is not None:
        return View(newest, others)
    # That snapshot has expired, but the logs' slices may live on in later ones.
    rest = {r.log_id for r in shown} - pins
    return View(None, {**others, **{log: _kept(spec, table, records, _at(shown, log, spec, moment)) for log in rest}})


def _logs(shown: list[PublicationRecord], moment: Moment, spec: TableSpec) -> set[str]:
    return {r.log_id for r in shown} | {log for log, layer in moment.pinned if layer == spec.layer}


def _at(shown: list[PublicationRecord], log_id: str, spec: TableSpec, moment: Moment) -> PublicationRecord | None:
    """Give the publication that a log's slice is from; ``shown`` is newest first."""
    pin = moment.pinned.get((log_id, spec.layer))
    return next((r for r in shown if r.log_id == log_id and (pin is None or r.number <= pin.number)), None)


def _kept(
    spec: TableSpec, table: Table, records: list[PublicationRecord], record: PublicationRecord | None
) -> int | None:
    """Give a snapshot, still there, that holds the log's slice as the publication left it."""
    if record is None or spec.identifier not in record.snapshots:
        return None
    following = [r for r in records if r.log_id == record.log_id and r.number > record.number]
    candidates = [record.snapshots[spec.identifier]]
    if not following:
        candidates.append(table.metadata.current_snapshot_id or 0)
    until = following[-1].time if following else None
    candidates += [
        r.snapshots[spec.identifier]
        for r in reversed(records)
        if r.time > record.time and (until is None or r.time < until) and spec.identifier in r.snapshots
    ]
    for snapshot in candidates:
        if table.snapshot_by_id(snapshot) is not None:
            return snapshot
    raise NotFound(
        f"The state of {spec.identifier} at {record.publication_id} has expired.",
        where=record.publication_id,
        fix="Ask for a later moment, or compute it again from bronze.",
    )
