"""Price ticks from the topics of a feed to bronze; or, where `ocelake stream` reads them, what it brought."""

from collections.abc import Iterator
from typing import Any

import polars as pl
from dagster import AssetCheckResult, AssetExecutionContext, Config, MaterializeResult, multi_asset
from pydantic import Field

from assets.bronze.topics import read_named
from assets.building import concerns, passed_over
from assets.specs import asset_key, check_spec, materializations, table_specs
from ocelake.lake.build import latest_or_fail
from ocelake.tables.prices import PRICE_TICKS
from resources import LakeResource

__all__ = ["FeedTopics", "price_ticks"]

_COMPLETE = check_spec(
    "price_ticks_complete",
    PRICE_TICKS.identifier,
    description="There are as many ticks as the batches of the log say.",
)


class FeedTopics(Config):
    """Which topics to read."""

    topics: list[str] = Field(
        default_factory=list,
        description="Kafka topics to read, up to what they have now; the rest as in logs/<log>.stream.yaml.",
    )


@multi_asset(
    name="price_ticks",
    specs=table_specs([PRICE_TICKS], group="bronze"),
    check_specs=[_COMPLETE],
    pool="lake_bronze",
)
def price_ticks(
    context: AssetExecutionContext, config: FeedTopics, lake: LakeResource
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    """Read the topics that are named, and check that of all ticks that bronze holds none is lost or doubled."""
    store, log_id = lake.open(), context.partition_key
    told = {"messages": 0.0}
    if config.topics:
        _, told = read_named(store, log_id, config.topics, format="prices")
    if not concerns(store, log_id, "prices"):
        yield from passed_over(context)
        return
    record = latest_or_fail(store, log_id, "bronze")
    moment = store.moment(record.publication_id)
    batches = store.read("bronze.batches", log_id, as_of=moment, columns=["batch_id", "price_ticks"])
    rows = store.scan(PRICE_TICKS.identifier, log_id, as_of=moment).select(pl.len()).collect().item()
    yield from materializations(
        "bronze",
        common={
            "publication_written": record.publication_id,
            "batches": batches.height,
            **told,
        },
        rows={PRICE_TICKS.identifier: rows},
    )
    brought = batches["price_ticks"].sum()
    yield AssetCheckResult(
        asset_key=asset_key(PRICE_TICKS.identifier),
        check_name="price_ticks_complete",
        passed=rows == brought,
        description=f"The batches brought {brought:,} ticks, and {rows:,} are there.",
    )
