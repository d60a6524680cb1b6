"""The OCEL tables to features and labels of prefixes."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import AssetExecutionContext, MetadataValue, multi_asset

from assets.automation import ON_NEW_INPUT_ONCE_THERE
from assets.building import Events, build_layer
from assets.publishing import Rebuild
from assets.specs import check_specs, layer_specs
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import FEATURE_CHECKS, audit_plainly
from ocelake.lake.build import STEPS
from resources import LakeResource

__all__ = ["features"]


@multi_asset(
    name="features",
    specs=layer_specs("features", group="ml", automation=ON_NEW_INPUT_ONCE_THERE),
    check_specs=check_specs(FEATURE_CHECKS),
    pool="lake_features",
)
def features(context: AssetExecutionContext, config: Rebuild, lake: LakeResource) -> Events:
    """Compute what was known as of every prefix, and what came after; nothing later has a say in the former."""
    yield from build_layer(context, config, lake.open(), STEPS["features"], audit=audit_plainly, shown=_shown)


def _shown(lake: Lake, record: PublicationRecord, tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    columns = tables["features.columns"].select("object_type", "name", "kind", "description")
    lines = [f"| {' | '.join(row)} |" for row in columns.iter_rows()]
    listed = "\n".join(["| object type | feature | kind | what it says |", "| --- | --- | --- | --- |", *lines])
    return {"features.columns": {"features": MetadataValue.md(listed)}}
