"""What is fetched from elsewhere by the clock (UTC)."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Final

from dagster import (
    AssetSelection,
    DefaultScheduleStatus,
    RunRequest,
    ScheduleEvaluationContext,
    SkipReason,
    define_asset_job,
    schedule,
)

from assets.partitions import DAYS

__all__ = ["price_extraction_daily", "price_extraction_job"]

_MOST_SECONDS: Final = 3600

price_extraction_job: Final = define_asset_job(
    "price_extraction_job",
    AssetSelection.keys(["feeds", "commodity_prices"]),
    partitions_def=DAYS,
    # The asset tries again by itself. A run that is ended after an hour is not to be started anew for another one.
    tags={"dagster/max_runtime": str(_MOST_SECONDS), "dagster/max_retries": "0"},
    description="A day's commodity prices from the API into their topic; two more tries, an hour at most.",
)


@schedule(
    name="price_extraction_job_daily",
    job=price_extraction_job,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
def price_extraction_daily(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Fetch the day before, where there is an API to fetch it from."""
    if not os.environ.get("COMMODITY_API_URL"):
        return SkipReason("COMMODITY_API_URL is not set, so there are no prices to fetch.")
    day = context.scheduled_execution_time - timedelta(days=1)
    return RunRequest(partition_key=day.strftime("%Y-%m-%d"))
