"""Upkeep of the lake's tables, as plain functions on a lake.

Publishing keeps the number of snapshots and manifests small by itself (`ocelake.lake.retention`,
`ocelake.lake.snapshots`). What is left: beside a stream, and a little at a time, the merging of small files and the
removal of those that no snapshot needs (`Upkeep`); at night one file per bucket, in trace order, and the removal of
files that nothing refers to. All of it may run while others publish and read: a table changes by compare-and-swap, with
the lock held where others keep being faster; and no file is deleted before the commit that takes the last reference to
it away, nor before those who had begun to read it have had their time.
"""

from ocelake.lake.maintenance.background import Budget, Upkeep, UpkeepReport
from ocelake.lake.maintenance.compaction import Compaction, compact, fragmented, merge_small, mergeable
from ocelake.lake.maintenance.expiry import Expiry, expire_snapshots
from ocelake.lake.maintenance.manifests import merge_manifests
from ocelake.lake.maintenance.nightly import MaintenanceConfig, MaintenanceReport, run_maintenance
from ocelake.lake.maintenance.orphans import Removal, remove_orphans
from ocelake.lake.retention import Retention

__all__ = [
    "Budget",
    "Compaction",
    "Expiry",
    "MaintenanceConfig",
    "MaintenanceReport",
    "Removal",
    "Retention",
    "Upkeep",
    "UpkeepReport",
    "compact",
    "expire_snapshots",
    "fragmented",
    "merge_manifests",
    "merge_small",
    "mergeable",
    "remove_orphans",
    "run_maintenance",
]
