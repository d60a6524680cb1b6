"""Upkeep of the tables, by night and between micro-batches, and the daily full check."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    Failure,
    MaterializeResult,
    MetadataValue,
    asset,
)
from dagster_duckdb import DuckDBResource

from assets.specs import OWNERS
from ocelake.lake.build import Verification, log_layers, verify
from ocelake.lake.maintenance import Budget, MaintenanceConfig, Upkeep, run_maintenance
from ocelake.lake.sql import SqlSession
from resources import LakeResource

__all__ = ["light_upkeep", "maintenance", "verification"]

_BUDGET = Budget(seconds=120)
_DANGLING = """
    select 'event of an E2O relation' as relation, count(*) as rows
    from ocel.event_objects as r anti join ocel.events as t on r.log_id = t.log_id and r.event_id = t.event_id
    union all
    select 'object of an E2O relation', count(*)
    from ocel.event_objects as r anti join ocel.objects as t on r.log_id = t.log_id and r.object_id = t.object_id
    union all
    select 'source of an O2O relation', count(*)
    from ocel.object_objects as r anti join ocel.objects as t on r.log_id = t.log_id and r.source_id = t.object_id
    union all
    select 'target of an O2O relation', count(*)
    from ocel.object_objects as r anti join ocel.objects as t on r.log_id = t.log_id and r.target_id = t.object_id
"""


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
    key=["lake", "light_upkeep"],
    group_name="lake",
    pool="lake_maintenance",
    owners=OWNERS,
    kinds={"iceberg"},
)
def light_upkeep(lake: LakeResource) -> MaterializeResult[Any]:
    """Merge small files by tiers and remove those that no snapshot needs; `ocelake stream` does so by itself."""
    report = Upkeep(lake.open(), budget=_BUDGET).run()
    if report.failed:
        raise Failure(f"The upkeep failed for {', '.join(report.failed)}; the run's log says why.")
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
            description="Every layer after bronze of every log is equal to what its inputs give when computed again.",
        ),
        AssetCheckSpec(
            "relations_known",
            asset=["lake", "verification"],
            description="Every published relation leads from and to a published row of its log (SQL over the files).",
        ),
    ],
)
def verification(
    context: AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    """Compute every layer of every log again from the layers before it, and compare with what is published."""
    store = lake.open()
    found: list[Verification] = []
    for log_id in store.logs():
        ends = {"gold", "bars"} & set(log_layers(store, log_id))
        missing = sorted(layer for layer in ends if store.latest(log_id, layer) is None)
        if missing:
            context.log.warning("Log %s has no %s yet; it is not compared.", log_id, ", ".join(missing))
            continue
        found += verify(store, log_id)
        silver = store.latest(log_id, "silver")
        if silver and silver.settings != store.settings.log(log_id).model_dump(mode="json"):
            context.log.warning("The settings of log %s have changed since; materialize its silver anew.", log_id)
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
    with duckdb.get_connection() as connection:
        dangling = SqlSession(store, connection).query(_DANGLING)
    yield AssetCheckResult(
        passed=not dangling["rows"].sum(),
        check_name="relations_known",
        description=f"{dangling['rows'].sum():,} relations lead nowhere.",
        metadata=dict(zip(dangling["relation"], dangling["rows"], strict=True)),
    )
    yield MaterializeResult(metadata={"tables": len(found), "rows": sum(table.published for table in found)})
