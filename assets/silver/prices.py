"""Price ticks to prices: typed, validated, one a commodity and time; the rest in quarantine with its reason."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import polars as pl
from dagster import AssetExecutionContext, MetadataValue, multi_asset

from assets.automation import ON_NEW_INPUT
from assets.building import Events, build_layer
from assets.publishing import Rebuild
from assets.specs import check_specs, layer_specs
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import PRICE_CHECKS, audit_prices
from ocelake.lake.build import STEPS
from resources import LakeResource

__all__ = ["prices"]


@multi_asset(
    name="prices",
    specs=layer_specs("prices", group="silver", automation=ON_NEW_INPUT),
    check_specs=check_specs(PRICE_CHECKS),
    pool="lake_prices",
)
def prices(context: AssetExecutionContext, config: Rebuild, lake: LakeResource) -> Events:
    """Build the prices of a log from all its ticks, audit them, and publish them together or not at all."""
    store, log_id = lake.open(), context.partition_key
    audit = partial(audit_prices, settings=store.settings.log(log_id))
    yield from build_layer(context, config, store, STEPS["prices"], audit=audit, shown=_shown)


def _shown(lake: Lake, record: PublicationRecord, tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    counts = tables["silver.price_quarantine"].group_by("reason").len().sort("len", "reason", descending=True)
    lines = [f"| {reason} | {rows:,} |" for reason, rows in counts.iter_rows()]
    said = MetadataValue.md("\n".join(["| reason | ticks |", "| --- | ---: |", *lines]))
    return {"silver.price_quarantine": {"by_reason": said}}
