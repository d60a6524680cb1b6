"""Upkeep of the tables, and the daily full check."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    MaterializeResult,
    MetadataValue,
    asset,
)

from assets.specs import OWNERS
from ocelake.lake.build import Verification, verify
from ocelake.lake.maintenance import MaintenanceConfig, run_maintenance
from resources import LakeResource

__all__ = ["maintenance", "verification"]


@asset(
    key=["lake", "maintenance"],
    group_name="lake",
    pool="lake_maintenance",
    owners=OWNERS,
    kinds={"iceberg"},
)
def maintenance(context: AssetExecutionContext, lake: LakeResource) -> MaterializeResult[Any]:
    """Compact to trace order, expire snapshots, remove orphans and old metadata, merge manifests."""
    report = run_maintenance(lake.open(), MaintenanceConfig())
    context.log.info("%s", report)
    return MaterializeResult(metadata={"report": MetadataValue.json(asdict(report))})


@asset(
    key=["lake", "verification"],
    group_name="lake",
    pool="lake_maintenance",
    owners=OWNERS,
    kinds={"polars"},
    check_specs=[
        AssetCheckSpec(
            "tables_recomputable",
            asset=["lake", "verification"],
            description="Silver and gold of every log are equal to what their inputs give when computed again.",
        )
    ],
)
def verification(
    context: AssetExecutionContext, lake: LakeResource
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    """Compute every log's silver and gold again from bronze, and compare with what is published."""
    store = lake.open()
    found: list[Verification] = []
    for log_id in store.logs():
        if store.latest(log_id, "gold") is None:
            context.log.warning("Log %s has no gold yet; it is not compared.", log_id)
            continue
        found += verify(store, log_id, store.settings.log(log_id))
    wrong = [table for table in found if not table.equal]
    yield AssetCheckResult(
        passed=not wrong,
        check_name="tables_recomputable",
        description=f"{len(found) - len(wrong)} of {len(found)} tables are equal to their recomputation.",
        metadata={
            f"{table.publication_id}:{table.identifier}": f"{table.missing} rows missing, {table.extra} too many"
            for table in wrong
        },
    )
    yield MaterializeResult(metadata={"tables": len(found), "rows": sum(table.published for table in found)})
