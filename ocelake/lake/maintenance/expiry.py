"""Expiring snapshots: what is no longer retained cannot be asked for, and its files are removed after the grace.

On a SQL catalog a snapshot is dropped from the table's metadata at once, by publications too, and noted in the catalog:
there those who have begun to read it find it. Its files go once it was dropped longer ago than the grace. On a REST
catalog it stays in the metadata for the grace, and goes together with its files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from ocelake.lake.catalog import PublicationCatalog
from ocelake.lake.maintenance.references import References, delete_files
from ocelake.lake.retention import Retention, expired_snapshots, retained_publications
from ocelake.lake.store import Rewrite
from ocelake.tables import TABLES, TableSpec

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake

__all__ = ["Expiry", "expire_snapshots", "expire_table"]


@dataclass(frozen=True, slots=True)
class Expiry:
    """What became of one table: the snapshots that its metadata lost, and the files removed."""

    identifier: str
    snapshots: int
    files: int


def expire_snapshots(lake: Lake, retention: Retention | None = None) -> list[Expiry]:
    """Take away the snapshots that no retained publication needs, and the files that only they referred to.

    Parameters
    ----------
    lake : Lake
        Whose tables.
    retention : Retention, optional
        What stays readable.

    Returns
    -------
    list of Expiry
        One for each table where something was to be done.
    """
    done = (expire_table(lake, spec, retention or Retention(), References()) for spec in TABLES.values())
    return [expiry for expiry in done if expiry]


def expire_table(lake: Lake, spec: TableSpec, retention: Retention, references: References) -> Expiry | None:
    """Do the same for one table; ``references`` spares who does it again the reading of what was read before."""
    now = datetime.now(UTC)
    gone: list[Snapshot] = []

    def plan(table: Table) -> Rewrite | None:
        # Asked anew whenever the table has moved: what a log's newest publication says is in the current snapshot, and
        # if that is another publication by now, the earlier one may have to stay for those who read it.
        retained = retained_publications(lake.store, spec.layer, retention, now)
        since = None if lake.store.shared_snapshots else now - retention.grace
        ids = expired_snapshots(table.metadata, spec.identifier, retained, since=since)
        gone[:] = [snapshot for snapshot in table.metadata.snapshots if snapshot.snapshot_id in ids]
        references.of(table.io, gone)  # read while they are certainly there
        return Rewrite(drop=tuple(ids)) if ids else None

    if not lake.store.rewrite(spec.identifier, plan):
        gone.clear()
    removed = _remove_files(lake, spec.identifier, gone, retention, references)
    return Expiry(spec.identifier, len(gone), removed) if gone or removed else None


def _remove_files(
    lake: Lake, identifier: str, gone: Sequence[Snapshot], retention: Retention, references: References
) -> int:
    """Remove the files that only those snapshots refer to that nobody can be reading any more."""
    # First the table, then what was dropped from it: what is dropped in between is then among both. Whoever commits
    # later refers to files that the table has now, and to new ones.
    table, catalog = lake.table(identifier), lake.catalog
    kept: Sequence[Snapshot] = ()
    if isinstance(catalog, PublicationCatalog):
        gone = catalog.dropped(identifier, until=datetime.now(UTC) - retention.grace)
        over = {snapshot.snapshot_id for snapshot in gone}
        kept = [snapshot for snapshot in catalog.dropped(identifier) if snapshot.snapshot_id not in over]
    if not gone:
        return 0
    held = references.of(table.io, (*table.metadata.snapshots, *kept))
    unused = [place for path, place in references.of(table.io, gone).items() if path not in held]
    # Data files first, then manifests, their lists last: whoever is killed in between can be followed by another.
    lists = {snapshot.manifest_list for snapshot in gone}
    removed = sum(delete_files(table.io, kind) for kind in _in_order(unused, lists))
    references.forget(unused)
    if isinstance(catalog, PublicationCatalog):
        catalog.forget(identifier, [snapshot.snapshot_id for snapshot in gone])
    return removed


def _in_order(locations: Sequence[str], lists: Collection[str]) -> Iterator[list[str]]:
    yield [place for place in locations if not place.endswith(".avro")]
    yield [place for place in locations if place.endswith(".avro") and place not in lists]
    yield [place for place in locations if place in lists]
