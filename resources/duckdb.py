"""DuckDB, for SQL over the lake."""

from __future__ import annotations

from dagster_duckdb import DuckDBResource

__all__ = ["duckdb_resource"]


def duckdb_resource() -> DuckDBResource:
    """Give an in-memory DuckDB; the lake's tables become its views when a query is run (`ocelake.lake.sql`)."""
    return DuckDBResource(database=":memory:")
