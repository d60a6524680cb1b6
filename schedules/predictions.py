"""Predictions by the clock (UTC): of the logs that somebody had trained."""

from __future__ import annotations

from collections.abc import Iterator

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from ocelake.lake import Lake
from ocelake.tables import Layer
from resources import LakeResource
from schedules.jobs import prediction_job, training_job

__all__ = ["predictions_half_hourly", "training_weekly"]


@schedule(
    name="training_job_weekly",
    job=training_job,
    cron_schedule="0 4 * * 0",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
def training_weekly(context: ScheduleEvaluationContext, lake: LakeResource) -> Iterator[RunRequest | SkipReason]:
    """Train the models of every log anew that has been trained."""
    yield from _requests(lake.open(), "models", f"weekly-{context.scheduled_execution_time:%Y-%m-%d}")


@schedule(
    name="prediction_job_half_hourly",
    job=prediction_job,
    cron_schedule="*/30 * * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
def predictions_half_hourly(
    context: ScheduleEvaluationContext, lake: LakeResource
) -> Iterator[RunRequest | SkipReason]:
    """Score, warn, forecast, and look for what is unusual, for every log that was trained and has new events since."""
    opened = lake.open()
    key = f"half-hourly-{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
    yield from _requests(opened, "outlook", key, changed=True)


def _requests(lake: Lake, layer: Layer, key: str, *, changed: bool = False) -> Iterator[RunRequest | SkipReason]:
    found = False
    for log_id in lake.logs():
        if lake.latest(log_id, layer) is None or (changed and not _behind(lake, log_id)):
            continue
        found = True
        yield RunRequest(run_key=f"{key}-{log_id}", partition_key=log_id)
    if not found:
        yield SkipReason("No log has models" + (" and events that were not scored." if changed else "."))


def _behind(lake: Lake, log_id: str) -> bool:
    """Whether silver has been published since the features that the newest outlook read, or these since it did."""
    silver, features = lake.latest(log_id, "silver"), lake.latest(log_id, "features")
    told = [lake.latest(log_id, layer) for layer in ("outlook", "predictions")]
    if silver is None or features is None:
        return silver is not None
    older = any(one.reads["features"] != features.publication_id for one in told if one is not None)
    return features.reads["silver"] != silver.publication_id or older
