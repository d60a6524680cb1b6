"""Price ticks: what the topics of a feed brought to bronze (see `ocelake.stream`), counted."""

from collections.abc import Iterator
from typing import Any

import polars as pl
from dagster import AssetCheckResult, AssetExecutionContext, MaterializeResult, multi_asset

from assets.building import concerns, passed_over
from assets.specs import asset_key, check_spec, materializations, table_specs
from ocelake.lake.build import latest_or_fail
from ocelake.tables.prices import PRICE_TICKS
from resources import LakeResource

__all__ = ["price_ticks"]

_COMPLETE = check_spec(
    "price_ticks_complete",
    PRICE_TICKS.identifier,
    description="There are as many ticks as the batches of the log say.",
    blocking=True,
)


@multi_asset(
    name="price_ticks",
    specs=table_specs([PRICE_TICKS], group="bronze"),
    check_specs=[_COMPLETE],
    pool="lake_bronze",
)
def price_ticks(
    context: AssetExecutionContext, lake: LakeResource
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    """Take note of the ticks that bronze holds, and check that none is lost or doubled."""
    store, log_id = lake.open(), context.partition_key
    if not concerns(store, log_id, "prices"):
        yield from passed_over(context)
        return
    record = latest_or_fail(store, log_id, "bronze")
    moment = store.moment(record.publication_id)
    batches = store.read("bronze.batches", log_id, as_of=moment, columns=["batch_id", "price_ticks"])
    rows = store.scan(PRICE_TICKS.identifier, log_id, as_of=moment).select(pl.len()).collect().item()
    yield from materializations(
        "bronze",
        common={"publication_written": record.publication_id, "batches": batches.height},
        rows={PRICE_TICKS.identifier: rows},
    )
    told = batches["price_ticks"].sum()
    yield AssetCheckResult(
        asset_key=asset_key(PRICE_TICKS.identifier),
        check_name="price_ticks_complete",
        passed=rows == told,
        description=f"The batches brought {told:,} ticks, and {rows:,} are there.",
    )
