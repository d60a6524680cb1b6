"""Dagster resources: configuration in, plain domain objects out."""

from __future__ import annotations

from resources.duckdb import duckdb_resource
from resources.kafka import KafkaResource
from resources.lake import LakeResource
from resources.mlflow import MlflowResource
from resources.prices import PriceApiResource

__all__ = ["KafkaResource", "LakeResource", "MlflowResource", "PriceApiResource", "duckdb_resource"]
