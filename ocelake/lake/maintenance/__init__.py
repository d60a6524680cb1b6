"""Upkeep of the lake's tables, as plain functions on a lake.

Publishing keeps the number of snapshots and manifests small by itself (`ocelake.lake.retention`,
`ocelake.lake.snapshots`). What is left for the night: one file per bucket, in trace order; the removal of files that
nothing refers to. Each function may run while others publish and read: a table changes by compare-and-swap, on conflict
the work is given up and reported, and no file is deleted before the commit that takes the last reference to it away.
"""

from ocelake.lake.maintenance.compaction import Compaction, compact, fragmented, merge_small, mergeable
from ocelake.lake.maintenance.expiry import Expiry, expire_snapshots
from ocelake.lake.maintenance.manifests import merge_manifests
from ocelake.lake.maintenance.nightly import MaintenanceConfig, MaintenanceReport, run_maintenance
from ocelake.lake.maintenance.orphans import Removal, remove_orphans
from ocelake.lake.retention import Retention

__all__ = [
    "Compaction",
    "Expiry",
    "MaintenanceConfig",
    "MaintenanceReport",
    "Removal",
    "Retention",
    "compact",
    "expire_snapshots",
    "fragmented",
    "merge_manifests",
    "merge_small",
    "mergeable",
    "remove_orphans",
    "run_maintenance",
]
