"""The OCEL 2.0 tables to the process: its object-centric directly-follows graph, variants, executions, performance."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import AssetExecutionContext, multi_asset

from assets.automation import ON_NEW_INPUT
from assets.building import Events, build_layer
from assets.publishing import Rebuild
from assets.specs import check_specs, layer_specs, picture
from ocelake.draw import draw_ocdfg, draw_timeline, draw_variants
from ocelake.draw.execution_variants import draw_execution_variants
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import GOLD_CHECKS, audit_gold
from ocelake.lake.build import STEPS
from resources import LakeResource

__all__ = ["gold"]


@multi_asset(
    name="gold",
    specs=layer_specs("gold", automation=ON_NEW_INPUT),
    check_specs=check_specs(GOLD_CHECKS),
    pool="lake_gold",
)
def gold(context: AssetExecutionContext, config: Rebuild, lake: LakeResource) -> Events:
    """Mine a log's OCEL tables, audit the result, publish it together or not at all, and draw it."""
    yield from build_layer(context, config, lake.open(), STEPS["gold"], audit=audit_gold, shown=_pictures)


def _pictures(lake: Lake, record: PublicationRecord, tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    """Draw what is worth a look; each picture goes with the tables that it is drawn from."""
    events = lake.read("ocel.events", record.log_id, as_of=record.publication_id, columns=["activity", "time"])
    ocdfg = picture(draw_ocdfg(tables["gold.ocdfg_nodes"], tables["gold.ocdfg_edges"]), "OC-DFG")
    variants = picture(draw_variants(tables["gold.trace_variants"]), "Top trace variants")
    executions = picture(draw_execution_variants(tables["gold.execution_variants"]), "Top execution variants")
    timeline = picture(draw_timeline(events), "Events over time")
    drawn = {
        "gold.ocdfg_nodes": ocdfg,
        "gold.ocdfg_edges": ocdfg,
        "gold.trace_variants": variants,
        "gold.object_summaries": variants,
        "gold.log_summary": timeline,
        "ocel.process_executions": executions,
        "ocel.execution_events": executions,
        "ocel.execution_objects": executions,
        "gold.execution_variants": executions,
    }
    return {identifier: {"picture": shown} for identifier, shown in drawn.items()}
