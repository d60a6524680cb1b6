"""Gold: what the process does, how it compares, its model, and how it keeps to what people declared."""

from __future__ import annotations

from assets.gold.analysis import analysis
from assets.gold.model import model
from assets.gold.policy import policy_asset
from assets.gold.process import gold

__all__ = ["analysis", "gold", "model", "policy_asset"]
