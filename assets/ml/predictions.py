"""Champions and features to what is to be expected of what is running."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import AssetExecutionContext, multi_asset

from assets.automation import ON_NEW_INPUT_ONCE_THERE
from assets.building import Events, concerns, passed_over
from assets.ml.publishing import publish_audited
from assets.specs import check_specs, layer_specs
from ocelake.lake.audits import PREDICTION_CHECKS, audit_plainly
from ocelake.lake.features import Prediction
from ocelake.predict import prediction_sources, prediction_tables
from resources import LakeResource, MlflowResource

__all__ = ["predictions"]


@multi_asset(
    name="predictions",
    specs=layer_specs("predictions", group="ml", automation=ON_NEW_INPUT_ONCE_THERE),
    check_specs=check_specs(PREDICTION_CHECKS),
    pool="lake_predictions",
)
def predictions(context: AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource) -> Events:
    """Score what is running, warn early, forecast demand, and tell what is unusual."""
    opened = lake.open()
    if not concerns(opened, context.partition_key, "features"):
        yield from passed_over(context)
        return
    read = prediction_sources(opened, context.partition_key)

    def compute() -> tuple[Mapping[str, pl.DataFrame], Mapping[str, Mapping[str, Any]]]:
        scored = prediction_tables(opened, mlflow.open(), read["features"], read["champions"])
        return scored.tables, {"gold.predictions": {"scored_anew": scored.computed}}

    yield from publish_audited(
        context,
        opened,
        "predictions",
        read,
        compute,
        settings=Prediction.model_validate(read["features"].settings),
        audit=audit_plainly,
    )
