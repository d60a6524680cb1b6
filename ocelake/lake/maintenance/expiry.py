"""Expiring snapshots: what is no longer retained cannot be asked for, and its files are removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.update import AssertRefSnapshotId, RemoveSnapshotsUpdate

from ocelake.lake.maintenance.references import delete_files, referenced_files
from ocelake.lake.retention import Retention, expired_snapshots, retained_publications
from ocelake.tables import TABLES, TableSpec

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake

__all__ = ["Expiry", "expire_snapshots"]

_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Expiry:
    """What became of one table: the snapshots that are gone and the files removed, or that others kept changing it."""

    identifier: str
    snapshots: int
    files: int
    conflict: bool = False


def expire_snapshots(lake: Lake, retention: Retention | None = None) -> list[Expiry]:
    """Take away the snapshots that no retained publication needs, then the files that only they referred to.

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
    now = datetime.now(UTC)
    done = (_expire(lake, spec, retention or Retention(), now) for spec in TABLES.values())
    return [expiry for expiry in done if expiry]


def _expire(lake: Lake, spec: TableSpec, retention: Retention, now: datetime) -> Expiry | None:
    name = spec.identifier
    for _ in range(_ATTEMPTS):
        table = lake.catalog.load_table(name)
        retained = retained_publications(lake.store, spec.layer, retention, now)
        gone = expired_snapshots(table.metadata, name, retained, since=now - retention.grace)
        if not gone:
            return None
        before = referenced_files(table, set(gone))
        # What a log's newest publication says is in the current snapshot; if that is another one by now, the earlier
        # one may have to stay for those who read it, and what is retained has to be asked again.
        unmoved = AssertRefSnapshotId.model_validate(
            {"ref": MAIN_BRANCH, "snapshot-id": table.metadata.current_snapshot_id}
        )
        removal = RemoveSnapshotsUpdate.model_validate({"snapshot-ids": gone})
        try:
            lake.catalog.commit_table(table, (unmoved,), (removal,))
        except CommitFailedException:
            continue
        except ValueError:
            # Another upkeep took some of them away in between; else the reason lies elsewhere.
            present = {snapshot.snapshot_id for snapshot in lake.catalog.load_table(name).metadata.snapshots}
            if present.issuperset(gone):
                raise
            continue
        # Read anew: whoever committed meanwhile may refer to files that the expired snapshots had, too.
        kept = referenced_files(lake.catalog.load_table(name))
        unused = [location for path, location in before.items() if path not in kept]
        return Expiry(name, len(gone), delete_files(table.io, unused))
    return Expiry(name, 0, 0, conflict=True)
