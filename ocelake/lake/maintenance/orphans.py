"""Orphans: files that no metadata refers to, left by killed writers, lost races and dropped snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pyiceberg.table import Table

from ocelake.lake.catalog import PublicationCatalog
from ocelake.lake.maintenance.references import (
    References,
    delete_files,
    metadata_files,
    referenced_files,
    stored_files,
)
from ocelake.tables import TABLES

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake

__all__ = ["Removal", "remove_orphans"]


@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed from one table's folder."""

    identifier: str
    files: int
    size: int


def remove_orphans(lake: Lake, *, age: timedelta = timedelta(days=1)) -> list[Removal]:
    """Delete the files in the tables' folders that nothing refers to, old metadata files among them.

    Parameters
    ----------
    lake : Lake
        Whose tables.
    age : timedelta
        Younger files stay: they may belong to a publication that is being made.

    Returns
    -------
    list of Removal
        One for each table where there were some.
    """
    before = datetime.now(UTC) - age
    done = []
    for identifier in TABLES:
        # First what there is, then what is referred to: a file that is committed in between is then among the latter.
        table = lake.catalog.load_table(identifier)
        old = [file for file in stored_files(table) if file.changed < before]
        if not old:
            continue
        table = lake.catalog.load_table(identifier)
        kept = {*referenced_files(table), *metadata_files(table), *_dropped_files(lake, table, identifier)}
        unused = [file for file in old if file.path not in kept]
        if unused:
            removed = delete_files(table.io, (file.location for file in unused))
            done.append(Removal(identifier, removed, sum(file.size for file in unused)))
    return done


def _dropped_files(lake: Lake, table: Table, identifier: str) -> dict[str, str]:
    """Give the files of snapshots that somebody may still be reading; `expire_snapshots` removes them in time."""
    catalog = lake.catalog
    return References().of(table.io, catalog.dropped(identifier)) if isinstance(catalog, PublicationCatalog) else {}
