"""How champions hold since their training: drift of what they read and say, and their errors once outcomes arrive."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import AssetExecutionContext, multi_asset

from assets.automation import ON_NEW_INPUT_ONCE_THERE
from assets.building import Events, concerns, passed_over
from assets.ml.publishing import publish_audited
from assets.specs import check_specs, layer_specs
from ocelake.lake.audits import MONITORING_CHECKS, audit_monitoring
from ocelake.lake.features import Prediction
from ocelake.monitor import monitoring_sources, monitoring_table
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
    opened = lake.open()
    if not concerns(opened, context.partition_key, "features"):
        yield from passed_over(context)
        return
    read = monitoring_sources(opened, context.partition_key)

    def compute() -> tuple[Mapping[str, pl.DataFrame], Mapping[str, Mapping[str, Any]]]:
        return {"models.monitoring": monitoring_table(opened, mlflow.open(), read)}, {}

    yield from publish_audited(
        context,
        opened,
        "monitoring",
        read,
        compute,
        settings=Prediction.model_validate(read["features"].settings),
        audit=audit_monitoring,
    )
