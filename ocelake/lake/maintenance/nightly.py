"""All upkeep in one go, as the nightly asset runs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from ocelake.lake.maintenance.compaction import Compaction, compact, fragmented, merge_small, mergeable
from ocelake.lake.maintenance.expiry import Expiry, expire_snapshots
from ocelake.lake.maintenance.manifests import merge_manifests
from ocelake.lake.maintenance.orphans import Removal, remove_orphans
from ocelake.lake.retention import Retention
from ocelake.tables import TABLES

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake

__all__ = ["MaintenanceConfig", "MaintenanceReport", "run_maintenance"]


@dataclass(frozen=True, slots=True)
class MaintenanceConfig:
    """How upkeep is done.

    Attributes
    ----------
    retention : Retention
        What stays readable.
    orphan_age : timedelta
        Files that nothing refers to stay until they are this old.
    manifests : int
        From how many manifests on a table's are merged.
    """

    retention: Retention = field(default_factory=Retention)
    orphan_age: timedelta = timedelta(days=1)
    manifests: int = 8


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """What was done, table by table; a table that is not named was left as it was."""

    compacted: tuple[Compaction, ...]
    merged: tuple[str, ...]
    expired: tuple[Expiry, ...]
    orphans: tuple[Removal, ...]
    seconds: float


def run_maintenance(lake: Lake, config: MaintenanceConfig | None = None) -> MaintenanceReport:
    """Compact, merge manifests, expire snapshots, remove orphans: in this order, so that each tidies after the last.

    Parameters
    ----------
    lake : Lake
        The lake; others may publish and read meanwhile.
    config : MaintenanceConfig, optional
        The defaults suit a lake that is published to now and then.
    """
    config = config or MaintenanceConfig()
    start = time.monotonic()
    compacted = list(_compact_all(lake)) if lake.store.shared_snapshots else []
    merged = [identifier for identifier in TABLES if merge_manifests(lake, identifier, least=config.manifests)]
    expired = expire_snapshots(lake, config.retention)
    orphans = remove_orphans(lake, age=config.orphan_age)
    seconds = round(time.monotonic() - start, 3)
    return MaintenanceReport(tuple(compacted), tuple(merged), tuple(expired), tuple(orphans), seconds)


def _compact_all(lake: Lake) -> Iterator[Compaction]:
    """Leave one file per bucket; but only merge the small files of a slice whose large one is to stay as it is."""
    for identifier, spec in TABLES.items():
        for log_id in fragmented(lake.table(identifier), spec):
            yield compact(lake, identifier, log_id)
        for log_id in mergeable(lake.table(identifier), spec):
            yield from merge_small(lake, identifier, log_id)
