"""What Dagster loads: wiring only. Loading reads which rules the logs have, importing nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagster import Definitions, definitions, in_process_executor

import sensors
from assets.bronze import bronze, price_ticks
from assets.feeds import commodity_prices
from assets.gold import analysis, bars, gold, kpis, model, policy_asset
from assets.lake import light_upkeep, maintenance, verification
from assets.ml import champions, features, models, monitoring, outlook, predictions
from assets.silver import prices, silver
from ocelake.lake.policy import declared_rules
from ocelake.mining.constraints import Rule
from ocelake.settings import LakeSettings
from resources import KafkaResource, LakeResource, MlflowResource, PriceApiResource, duckdb_resource
from schedules import (
    bronze_job,
    gold_job,
    ingest_job,
    light_upkeep_hourly,
    light_upkeep_job,
    maintenance_job,
    maintenance_nightly,
    prediction_job,
    predictions_half_hourly,
    price_extraction_daily,
    price_extraction_job,
    prices_job,
    silver_job,
    training_job,
    training_weekly,
    verification_daily,
    verification_job,
)

__all__ = ["build_defs", "defs"]


def build_defs(*, rules: Sequence[Rule] | None = None, **overrides: Any) -> Definitions:
    """Give all definitions.

    Parameters
    ----------
    rules : sequence of Rule, optional
        Those that become checks; by default the rules of all logs under ``OCELAKE_HOME``.
    **overrides
        Resources by name, instead of the default ones (``lake=LakeResource(home=...)``).
    """
    checked = declared_rules(LakeSettings.load()) if rules is None else rules
    return Definitions(
        assets=[
            *(bronze, silver, gold, analysis, model, policy_asset(checked), kpis),
            *(features, models, champions, outlook, predictions, monitoring),
            *(commodity_prices, price_ticks, prices, bars),
            *(light_upkeep, maintenance, verification),
        ],
        jobs=[
            *(ingest_job, bronze_job, silver_job, gold_job),
            *(training_job, prediction_job),
            *(price_extraction_job, prices_job),
            *(light_upkeep_job, maintenance_job, verification_job),
        ],
        schedules=[
            *(light_upkeep_hourly, maintenance_nightly, verification_daily),
            *(price_extraction_daily, training_weekly, predictions_half_hourly),
        ],
        sensors=[sensors.landing_file_stable, sensors.topic_lagging, sensors.models_drifted, sensors.table_automation],
        resources={
            "lake": LakeResource(),
            "mlflow": MlflowResource(),
            "kafka": KafkaResource(),
            "price_api": PriceApiResource(),
            "duckdb": duckdb_resource(),
            **overrides,
        },
        executor=in_process_executor,
    )


@definitions
def defs() -> Definitions:
    """Load the definitions."""
    return build_defs()
