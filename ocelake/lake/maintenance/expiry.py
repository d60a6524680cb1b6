"""Expiring snapshots: what is no longer retained cannot be asked for, and its files are removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyiceberg.table import Table

from ocelake.lake.maintenance.references import delete_files, referenced_files
from ocelake.lake.retention import Retention, expired_snapshots, retained_publications
from ocelake.lake.store import Rewrite
from ocelake.tables import TABLES, TableSpec

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake

__all__ = ["Expiry", "expire_snapshots"]


@dataclass(frozen=True, slots=True)
class Expiry:
    """What became of one table: the snapshots that are gone and the files removed."""

    identifier: str
    snapshots: int
    files: int


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
    gone: list[int] = []
    before: dict[str, str] = {}

    def plan(table: Table) -> Rewrite | None:
        # Asked anew whenever the table has moved: what a log's newest publication says is in the current snapshot, and
        # if that is another publication by now, the earlier one may have to stay for those who read it.
        retained = retained_publications(lake.store, spec.layer, retention, now)
        gone[:] = expired_snapshots(table.metadata, name, retained, since=now - retention.grace)
        before.clear()
        before.update(referenced_files(table, set(gone)) if gone else {})
        return Rewrite(drop=tuple(gone)) if gone else None

    if not lake.store.rewrite(name, plan):
        return None
    # Read anew: whoever committed meanwhile may refer to files that the expired snapshots had, too.
    table = lake.table(name)
    kept = referenced_files(table)
    unused = [location for path, location in before.items() if path not in kept]
    return Expiry(name, len(gone), delete_files(table.io, unused))
