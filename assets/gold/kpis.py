"""The OCEL 2.0 tables to live figures by windows of time."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import AssetExecutionContext, MetadataValue, multi_asset

from assets.automation import ON_NEW_INPUT_AT_TIMES
from assets.building import Events, build_layer
from assets.publishing import Rebuild
from assets.specs import check_specs, layer_specs
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import KPI_CHECKS, audit_kpis
from ocelake.lake.build import STEPS
from resources import LakeResource

__all__ = ["kpis"]


@multi_asset(
    name="kpis",
    specs=layer_specs("kpis", group="gold", automation=ON_NEW_INPUT_AT_TIMES),
    check_specs=check_specs(KPI_CHECKS),
    pool="lake_kpis",
)
def kpis(context: AssetExecutionContext, config: Rebuild, lake: LakeResource) -> Events:
    """Count and measure a log's events by the windows that are declared, audit them, publish them or not at all."""
    yield from build_layer(context, config, lake.open(), STEPS["kpis"], audit=audit_kpis, shown=_rows)


def _rows(lake: Lake, record: PublicationRecord, tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    counts = tables["gold.event_windows"].group_by("name").len().sort("name")
    lines = [f"| {name} | {rows:,} |" for name, rows in counts.iter_rows()]
    said = MetadataValue.md("\n".join(["| windows | rows |", "| --- | ---: |", *lines]))
    return {"gold.event_windows": {"by_name": said}}
