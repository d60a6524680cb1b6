"""One job a layer, one for the way from a landed file to gold, and two for the lake itself."""

from __future__ import annotations

from typing import Final

from dagster import AssetSelection, define_asset_job

from assets.partitions import LOGS

__all__ = ["bronze_job", "gold_job", "ingest_job", "maintenance_job", "silver_job", "verification_job"]

bronze_job: Final = define_asset_job(
    "bronze_job", AssetSelection.groups("bronze"), partitions_def=LOGS, description="Landed files of a log to bronze."
)
silver_job: Final = define_asset_job(
    "silver_job", AssetSelection.groups("silver"), partitions_def=LOGS, description="A log's bronze to its OCEL tables."
)
gold_job: Final = define_asset_job(
    "gold_job", AssetSelection.groups("gold"), partitions_def=LOGS, description="A log's OCEL tables to its process."
)
ingest_job: Final = define_asset_job(
    "ingest_job",
    AssetSelection.groups("bronze", "silver", "gold"),
    partitions_def=LOGS,
    description="Landed files of a log, all the way to gold.",
)
maintenance_job: Final = define_asset_job(
    "maintenance_job", AssetSelection.keys(["lake", "maintenance"]), description="Upkeep of all tables."
)
verification_job: Final = define_asset_job(
    "verification_job",
    AssetSelection.keys(["lake", "verification"]),
    description="Every log's layers after bronze, computed again and compared.",
)
