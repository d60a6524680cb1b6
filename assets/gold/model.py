"""The OCEL 2.0 tables to the log's current model: its object-centric Petri net, sound and replayable."""

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
from ocelake.lake.audits import MODEL_CHECKS, audit_model
from ocelake.lake.build import STEPS
from ocelake.pictures import draw_kinds
from resources import LakeResource

__all__ = ["model"]


@multi_asset(
    name="model",
    specs=layer_specs("model", group="gold", automation=ON_NEW_INPUT_AT_TIMES),
    check_specs=check_specs(MODEL_CHECKS),
    pool="lake_model",
)
def model(context: AssetExecutionContext, config: Rebuild, lake: LakeResource) -> Events:
    """Mine a log's model; only one that is sound, and that the log can be replayed on, becomes the current one."""
    yield from build_layer(context, config, lake.open(), STEPS["model"], audit=audit_model, shown=_pictures)


def _pictures(lake: Lake, record: PublicationRecord, tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    drawn = draw_kinds([Kind.ocpn], lake, record.log_id, as_of=record.publication_id)
    shown = picture(drawn[Kind.ocpn], "Object-centric Petri net")
    return {identifier: {"picture": shown} for identifier in tables if identifier.startswith("ocpn.")}
