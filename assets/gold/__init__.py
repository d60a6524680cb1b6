"""Gold: what the process does, its model, and how it keeps to what people declared."""

from __future__ import annotations

from assets.gold.model import model
from assets.gold.policy import policy_asset
from assets.gold.process import gold

__all__ = ["gold", "model", "policy_asset"]
