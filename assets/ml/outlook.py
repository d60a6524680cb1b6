"""Features and OCEL tables to what is to be expected, and what was unusual, without a model."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import AssetExecutionContext, MetadataValue, multi_asset

from assets.automation import ON_NEW_INPUT_ONCE_THERE
from assets.building import Events, build_layer
from assets.publishing import Rebuild
from assets.specs import check_specs, layer_specs
from ocelake.console import queues_table
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import OUTLOOK_CHECKS, audit_plainly
from ocelake.lake.build import STEPS
from resources import LakeResource

__all__ = ["outlook"]


@multi_asset(
    name="outlook",
    specs=layer_specs("outlook", group="ml", automation=ON_NEW_INPUT_ONCE_THERE),
    check_specs=check_specs(OUTLOOK_CHECKS),
    pool="lake_outlook",
)
def outlook(context: AssetExecutionContext, config: Rebuild, lake: LakeResource) -> Events:
    """Forecast demand and queues, and tell what is unusual."""
    yield from build_layer(context, config, lake.open(), STEPS["outlook"], audit=audit_plainly, shown=_shown)


def _shown(lake: Lake, record: PublicationRecord, tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    return {
        "gold.bottleneck_forecast": {"week_ahead": MetadataValue.md(queues_table(tables["gold.bottleneck_forecast"]))}
    }
