"""The OCEL 2.0 tables to what is compared over the whole log: who does the work, relations of types, change."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import AssetExecutionContext, multi_asset

from assets.automation import ON_NEW_INPUT_AT_TIMES
from assets.building import Events, build_layer
from assets.publishing import Rebuild
from assets.specs import check_specs, layer_specs, picture
from ocelake.kinds import Kind
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import ANALYSIS_CHECKS, audit_analysis
from ocelake.lake.build import STEPS
from ocelake.pictures import draw_kinds
from resources import LakeResource

__all__ = ["analysis"]


@multi_asset(
    name="analysis",
    specs=layer_specs("analysis", group="gold", automation=ON_NEW_INPUT_AT_TIMES),
    check_specs=check_specs(ANALYSIS_CHECKS),
    pool="lake_analysis",
)
def analysis(context: AssetExecutionContext, config: Rebuild, lake: LakeResource) -> Events:
    """Compare over a log's OCEL tables as a whole, audit the result, publish it together or not at all."""
    yield from build_layer(context, config, lake.open(), STEPS["analysis"], audit=audit_analysis, shown=_pictures)


def _pictures(lake: Lake, record: PublicationRecord, tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    # A product waits for its next buyer: of the waiting of hubs there is much, and nothing to be done about it.
    flow = record.settings.get("execution_types") or None
    drawn = draw_kinds([Kind.waiting], lake, record.log_id, object_types=flow, as_of=record.publication_id)
    return {"gold.bottlenecks": {"picture": picture(drawn[Kind.waiting], "Waiting by time of the week")}}
