"""What Dagster loads: wiring only, and no I/O at import."""

from __future__ import annotations

from typing import Any

from dagster import Definitions, in_process_executor

import sensors
from assets.bronze import bronze
from assets.gold import gold
from assets.lake import maintenance, verification
from assets.silver import silver
from resources import LakeResource, duckdb_resource
from schedules import (
    bronze_job,
    gold_job,
    ingest_job,
    maintenance_job,
    maintenance_nightly,
    silver_job,
    verification_daily,
    verification_job,
)

__all__ = ["build_defs", "defs"]


def build_defs(**overrides: Any) -> Definitions:
    """Give all definitions; ``overrides`` replace resources by name (``lake=LakeResource(home=...)``)."""
    return Definitions(
        assets=[bronze, silver, gold, maintenance, verification],
        jobs=[ingest_job, bronze_job, silver_job, gold_job, maintenance_job, verification_job],
        schedules=[maintenance_nightly, verification_daily],
        sensors=[sensors.landing_file_stable, sensors.table_automation],
        resources={"lake": LakeResource(), "duckdb": duckdb_resource(), **overrides},
        executor=in_process_executor,
    )


defs = build_defs()
