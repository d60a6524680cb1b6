"""Prices to bars, and to what is unusual in them."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import AssetExecutionContext, multi_asset

from assets.automation import ON_NEW_INPUT
from assets.building import Events, build_layer
from assets.publishing import Rebuild
from assets.specs import check_specs, layer_specs, picture
from ocelake.draw import draw_price_bars
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import BAR_CHECKS, audit_bars
from ocelake.lake.build import STEPS
from resources import LakeResource

__all__ = ["bars"]


@multi_asset(
    name="bars",
    specs=layer_specs("bars", group="gold", automation=ON_NEW_INPUT),
    check_specs=check_specs(BAR_CHECKS),
    pool="lake_bars",
)
def bars(context: AssetExecutionContext, config: Rebuild, lake: LakeResource) -> Events:
    """Make the bars of a log's prices, audit them, publish them together or not at all, and draw them."""
    yield from build_layer(context, config, lake.open(), STEPS["bars"], audit=audit_bars, shown=_picture)


def _picture(lake: Lake, record: PublicationRecord, tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    svg = draw_price_bars(tables["gold.price_bars"], tables["gold.price_anomalies"])
    return {"gold.price_bars": {"picture": picture(svg, "Price bars")}}
