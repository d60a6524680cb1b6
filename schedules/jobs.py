"""One job a layer, two for whole ways (from a landed file to gold, from ticks to bars), and two for the lake itself."""

from __future__ import annotations

from typing import Final

from dagster import AssetSelection, define_asset_job

from assets.partitions import LOGS

__all__ = [
    "bronze_job",
    "gold_job",
    "ingest_job",
    "light_upkeep_job",
    "maintenance_job",
    "prediction_job",
    "prices_job",
    "silver_job",
    "training_job",
    "verification_job",
]

_PRICES: Final = AssetSelection.keys(["bronze", "price_ticks"]).downstream()
"""What is made of a feed: other logs have none of it."""

bronze_job: Final = define_asset_job(
    "bronze_job",
    AssetSelection.groups("bronze") - _PRICES,
    partitions_def=LOGS,
    description="Landed files of a log to bronze.",
)
silver_job: Final = define_asset_job(
    "silver_job",
    AssetSelection.groups("silver") - _PRICES,
    partitions_def=LOGS,
    description="A log's bronze to its OCEL tables.",
)
gold_job: Final = define_asset_job(
    "gold_job",
    AssetSelection.groups("gold") - _PRICES,
    partitions_def=LOGS,
    description="A log's OCEL tables to its process.",
)
ingest_job: Final = define_asset_job(
    "ingest_job",
    AssetSelection.groups("bronze", "silver", "gold") - _PRICES,
    partitions_def=LOGS,
    description="Landed files of a log, all the way to gold.",
)
prices_job: Final = define_asset_job(
    "prices_job",
    _PRICES,
    partitions_def=LOGS,
    description="The price ticks of a log, all the way to bars.",
)
training_job: Final = define_asset_job(
    "training_job",
    AssetSelection.groups("ml"),
    partitions_def=LOGS,
    description="A log's features, models, champions, predictions and their monitoring.",
)
prediction_job: Final = define_asset_job(
    "prediction_job",
    AssetSelection.groups("ml")
    - AssetSelection.keys(*(["models", name] for name in ("tasks", "metrics", "champions"))),
    partitions_def=LOGS,
    description="A log's features, and what its champions say of what is running.",
)
maintenance_job: Final = define_asset_job(
    "maintenance_job", AssetSelection.keys(["lake", "maintenance"]), description="Upkeep of all tables."
)
light_upkeep_job: Final = define_asset_job(
    "light_upkeep_job",
    AssetSelection.keys(["lake", "light_upkeep"]),
    description="Upkeep of the tables that have changed, between micro-batches.",
)
verification_job: Final = define_asset_job(
    "verification_job",
    AssetSelection.keys(["lake", "verification"]),
    description="Every log's layers after bronze, computed again and compared.",
)
