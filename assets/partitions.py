"""The partitionings of the house: a log is one slice of every table, and a feed is fetched day by day."""

from __future__ import annotations

from typing import Final

from dagster import DailyPartitionsDefinition, DynamicPartitionsDefinition

__all__ = ["DAYS", "LOGS"]

LOGS: Final = DynamicPartitionsDefinition(name="log")

DAYS: Final = DailyPartitionsDefinition(start_date="2020-01-01", timezone="UTC")
