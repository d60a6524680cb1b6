"""Gold: what the process does, how it compares, its model, how it keeps to what people declared; and price bars."""

from __future__ import annotations

from assets.gold.analysis import analysis
from assets.gold.kpis import kpis
from assets.gold.model import model
from assets.gold.policy import policy_asset
from assets.gold.prices import bars
from assets.gold.process import gold

__all__ = ["analysis", "bars", "gold", "kpis", "model", "policy_asset"]
