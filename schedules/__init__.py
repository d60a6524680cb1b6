"""Schedules: jobs and their cadence."""

from __future__ import annotations

from schedules.feeds import price_extraction_daily, price_extraction_job
from schedules.jobs import (
    bronze_job,
    gold_job,
    ingest_job,
    light_upkeep_job,
    maintenance_job,
    prediction_job,
    prices_job,
    silver_job,
    training_job,
    verification_job,
)
from schedules.predictions import predictions_half_hourly, training_weekly
from schedules.upkeep import light_upkeep_hourly, maintenance_nightly, verification_daily

__all__ = [
    "bronze_job",
    "gold_job",
    "ingest_job",
    "light_upkeep_hourly",
    "light_upkeep_job",
    "maintenance_job",
    "maintenance_nightly",
    "prediction_job",
    "predictions_half_hourly",
    "price_extraction_daily",
    "price_extraction_job",
    "prices_job",
    "silver_job",
    "training_job",
    "training_weekly",
    "verification_daily",
    "verification_job",
]
