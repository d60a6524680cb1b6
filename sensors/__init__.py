"""Sensors: what starts a run by itself."""

from __future__ import annotations

from sensors.automation import table_automation
from sensors.drift import models_drifted
from sensors.landing import landing_file_stable
from sensors.topics import topic_lagging

__all__ = ["landing_file_stable", "models_drifted", "table_automation", "topic_lagging"]
