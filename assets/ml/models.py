"""Features to models, and the best of them to champions.

A training is recorded in MLflow whatever comes of it. Promotion is an asset of its own, behind the blocking check
``challenger_promotable``: where no model is better than its baseline and no worse than the champion, it does not run.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import AssetExecutionContext, MetadataValue, multi_asset

from assets.building import Events, concerns, passed_over
from assets.ml.publishing import publish_audited
from assets.specs import check_specs, layer_specs
from ocelake.console import results_table
from ocelake.lake.audits import CHAMPION_CHECKS, TRAINING_CHECKS, audit_plainly, audit_training
from ocelake.lake.build import published_tables, sources
from ocelake.lake.features import Prediction
from ocelake.predict import promote, train_log
from resources import LakeResource, MlflowResource

__all__ = ["champions", "models"]


@multi_asset(
    name="models",
    specs=layer_specs("models", group="ml"),
    check_specs=check_specs(TRAINING_CHECKS),
    pool="lake_models",
)
def models(context: AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource) -> Events:
    """Train a model for every task beside its baselines, judge both on what came later, record all in MLflow."""
    opened = lake.open()
    if not concerns(opened, context.partition_key, "features"):
        yield from passed_over(context)
        return
    read = sources(opened, context.partition_key, "models")

    def compute() -> tuple[Mapping[str, pl.DataFrame], Mapping[str, Mapping[str, Any]]]:
        tables = train_log(opened, mlflow.open(), read["features"])
        return tables, {"models.tasks": {"results": MetadataValue.md(results_table(tables["models.tasks"]))}}

    yield from publish_audited(
        context,
        opened,
        "models",
        read,
        compute,
        settings=Prediction.model_validate(read["features"].settings),
        audit=audit_training,
        gates=frozenset({"challenger_promotable"}),
    )


@multi_asset(
    name="champions",
    specs=layer_specs("champions", group="ml"),
    check_specs=check_specs(CHAMPION_CHECKS),
    pool="lake_champions",
)
def champions(context: AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource) -> Events:
    """Let the models that may predict do so."""
    opened = lake.open()
    if not concerns(opened, context.partition_key, "features"):
        yield from passed_over(context)
        return
    read = sources(opened, context.partition_key, "champions")

    def compute() -> tuple[Mapping[str, pl.DataFrame], Mapping[str, Mapping[str, Any]]]:
        tasks = published_tables(opened, read["models"])["models.tasks"]
        return {"models.champions": promote(mlflow.open(), tasks)}, {}

    yield from publish_audited(
        context,
        opened,
        "champions",
        read,
        compute,
        settings=Prediction.model_validate(read["models"].settings),
        audit=audit_plainly,
    )
