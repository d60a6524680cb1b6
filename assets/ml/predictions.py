"""Champions and features to what is to be expected of what is running."""

from collections.abc import Mapping

from dagster import AssetExecutionContext, multi_asset

from assets.automation import ON_NEW_INPUT_ONCE_THERE
from assets.building import Events
from assets.ml.publishing import Made, build_predicted
from assets.specs import check_specs, layer_specs
from ocelake.lake import PublicationRecord
from ocelake.lake.audits import PREDICTION_CHECKS, audit_plainly
from ocelake.predict import prediction_tables
from ocelake.tables import Layer
from resources import LakeResource, MlflowResource

__all__ = ["predictions"]


@multi_asset(
    name="predictions",
    specs=layer_specs("predictions", group="ml", automation=ON_NEW_INPUT_ONCE_THERE),
    check_specs=check_specs(PREDICTION_CHECKS),
    pool="lake_predictions",
)
def predictions(context: AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource) -> Events:
    """Score what is running, and warn early."""

    def compute(read: Mapping[Layer, PublicationRecord]) -> Made:
        scored = prediction_tables(lake.open(), mlflow.open(), read["features"], read["champions"])
        return scored.tables, {"gold.predictions": {"scored_anew": scored.computed}}

    yield from build_predicted(context, lake.open(), "predictions", compute, audit=audit_plainly)
