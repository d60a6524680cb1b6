"""Merging manifests: fewer, larger ones, so that a plan reads few files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyiceberg.table import Table

from ocelake.lake.snapshots import stage_files
from ocelake.lake.store import Rewrite

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake

__all__ = ["merge_manifests"]


def merge_manifests(lake: Lake, identifier: str, *, least: int = 4) -> bool:
    """Put a table's manifests together; its rows stay as they are.

    Parameters
    ----------
    lake : Lake
        Whose table.
    identifier : str
        The table.
    least : int
        A table with fewer manifests is left alone.

    Returns
    -------
    bool
        Whether they were merged.
    """

    def plan(table: Table) -> Rewrite | None:
        snapshot = table.current_snapshot()
        if snapshot is None or len(snapshot.manifests(table.io)) < max(2, least):
            return None
        return Rewrite(stage_files(table, add=(), merge_at=2, properties={"ocelake.maintenance": "merge_manifests"}))

    return lake.store.rewrite(identifier, plan)
