"""The one partitioning of the house: a log is one slice of every table."""

from __future__ import annotations

from typing import Final

from dagster import DynamicPartitionsDefinition

__all__ = ["LOGS"]

LOGS: Final = DynamicPartitionsDefinition(name="log")
