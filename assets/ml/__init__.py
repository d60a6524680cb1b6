"""Predictions: features, models and their champions, what they say of what is running, and how they hold."""

from __future__ import annotations

from assets.ml.features import features
from assets.ml.models import champions, models
from assets.ml.monitoring import monitoring
from assets.ml.outlook import outlook
from assets.ml.predictions import predictions

__all__ = ["champions", "features", "models", "monitoring", "outlook", "predictions"]
