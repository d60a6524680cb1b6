"""How champions hold since their training: drift of what they read and say, and their errors once outcomes arrive."""

from collections.abc import Mapping

from dagster import AssetExecutionContext, multi_asset

from assets.automation import ON_NEW_INPUT_ONCE_THERE
from assets.building import Events
from assets.ml.publishing import Made, build_predicted
from assets.specs import check_specs, layer_specs
from ocelake.lake import PublicationRecord
from ocelake.lake.audits import MONITORING_CHECKS, audit_monitoring
from ocelake.monitor import monitoring_table
from ocelake.tables import Layer
from resources import LakeResource, MlflowResource

__all__ = ["monitoring"]


@multi_asset(
    name="monitoring",
    specs=layer_specs("monitoring", group="ml", automation=ON_NEW_INPUT_ONCE_THERE),
    check_specs=check_specs(MONITORING_CHECKS),
    pool="lake_monitoring",
)
def monitoring(context: AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource) -> Events:
    """Hold what came since a champion was trained against what it was trained and tested on."""

    def compute(read: Mapping[Layer, PublicationRecord]) -> Made:
        found = monitoring_table(lake.open(), mlflow.open(), read["features"], read["champions"])
        return {"models.monitoring": found}, {}

    yield from build_predicted(context, lake.open(), "monitoring", compute, audit=audit_monitoring)
