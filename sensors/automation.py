"""Carries new bronze records to gold, by the automation conditions of the assets."""

from __future__ import annotations

from dagster import AssetSelection, AutomationConditionSensorDefinition, DefaultSensorStatus

__all__ = ["table_automation"]

table_automation = AutomationConditionSensorDefinition(
    name="tables_changed",
    target=AssetSelection.groups("silver", "gold", "ml"),
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
    description="Builds silver, gold and predictions of a log when what they read has changed and its checks passed.",
)
