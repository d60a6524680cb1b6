"""What runs by the clock (UTC)."""

from __future__ import annotations

from typing import Final

from dagster import DefaultScheduleStatus, ScheduleDefinition

from schedules.jobs import light_upkeep_job, maintenance_job, verification_job

__all__ = ["light_upkeep_hourly", "maintenance_nightly", "verification_daily"]

maintenance_nightly: Final = ScheduleDefinition(
    name="maintenance_job_nightly",
    job=maintenance_job,
    cron_schedule="30 1 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
light_upkeep_hourly: Final = ScheduleDefinition(
    name="light_upkeep_job_hourly",
    job=light_upkeep_job,
    cron_schedule="10 * * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
verification_daily: Final = ScheduleDefinition(
    name="verification_job_daily",
    job=verification_job,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
