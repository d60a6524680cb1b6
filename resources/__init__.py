"""Dagster resources: configuration in, plain domain objects out."""

from __future__ import annotations

from resources.duckdb import duckdb_resource
from resources.kafka import KafkaResource
from resources.lake import LakeResource

__all__ = ["KafkaResource", "LakeResource", "duckdb_resource"]
