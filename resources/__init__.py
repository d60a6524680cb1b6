"""Dagster resources: configuration in, plain domain objects out."""

from __future__ import annotations

from resources.duckdb import duckdb_resource
from resources.lake import LakeResource

__all__ = ["LakeResource", "duckdb_resource"]
