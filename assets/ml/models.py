"""Features to models, and the best of them to champions.

A training is recorded in MLflow whatever comes of it. Promotion is an asset of its own, behind the blocking check
``challenger_promotable``: where no model is better than its baseline and there is no champion to stay, it does not run.
"""

from collections.abc import Mapping

from dagster import AssetExecutionContext, MetadataValue, multi_asset

from assets.building import Events
from assets.ml.publishing import Made, build_predicted
from assets.specs import check_specs, layer_specs
from ocelake.console import results_table
from ocelake.lake import PublicationRecord
from ocelake.lake.audits import CHAMPION_CHECKS, TRAINING_CHECKS, audit_plainly, audit_training
from ocelake.lake.build import published_tables
from ocelake.tables import Layer
from ocelake.training import promote, train_log
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

    def compute(read: Mapping[Layer, PublicationRecord]) -> Made:
        tables = train_log(lake.open(), mlflow.open(), read["features"])
        return tables, {"models.tasks": {"results": MetadataValue.md(results_table(tables["models.tasks"]))}}

    gates = frozenset({"challenger_promotable"})
    yield from build_predicted(context, lake.open(), "models", compute, audit=audit_training, gates=gates)


@multi_asset(
    name="champions",
    specs=layer_specs("champions", group="ml"),
    check_specs=check_specs(CHAMPION_CHECKS),
    pool="lake_champions",
)
def champions(context: AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource) -> Events:
    """Let the models that may predict do so."""

    def compute(read: Mapping[Layer, PublicationRecord]) -> Made:
        tasks = published_tables(lake.open(), read["models"])["models.tasks"]
        return {"models.champions": promote(mlflow.open(), tasks)}, {}

    yield from build_predicted(context, lake.open(), "champions", compute, audit=audit_plainly)
