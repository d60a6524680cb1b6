"""The OCEL 2.0 tables to the process: its object-centric directly-follows graph, variants, executions, performance."""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl
from dagster import AssetExecutionContext, multi_asset

from assets.automation import ON_NEW_INPUT
from assets.building import Events, build_layer
from assets.publishing import Rebuild
from assets.specs import check_specs, layer_specs, picture
from ocelake.kinds import Kind
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import GOLD_CHECKS, audit_gold
from ocelake.lake.build import STEPS
from ocelake.pictures import draw_kinds
from resources import LakeResource

__all__ = ["gold"]

_PICTURES: Final[Mapping[str, tuple[Kind, str]]] = {
    "gold.ocdfg_nodes": (Kind.ocdfg, "OC-DFG"),
    "gold.ocdfg_edges": (Kind.ocdfg, "OC-DFG"),
    "gold.trace_variants": (Kind.variants, "Top trace variants"),
    "gold.object_summaries": (Kind.dotted, "Dotted chart"),
    "gold.log_summary": (Kind.timeline, "Events over time"),
    "gold.execution_variants": (Kind.executions, "Top execution variants"),
    "ocel.process_executions": (Kind.executions, "Top execution variants"),
    "gold.event_performance": (Kind.spectrum, "Performance spectrum"),
}
"""The tables that are worth a look, and the picture that shows them."""


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
    kinds = dict.fromkeys(kind for kind, _ in _PICTURES.values())
    drawn = draw_kinds(kinds.keys() - {Kind.spectrum}, lake, record.log_id, as_of=record.publication_id)
    flow = record.settings.get("execution_types") or None  # the steps of hubs say little about how long things take
    drawn |= draw_kinds([Kind.spectrum], lake, record.log_id, object_types=flow, as_of=record.publication_id)
    return {name: {"picture": picture(drawn[kind], title)} for name, (kind, title) in _PICTURES.items()}
