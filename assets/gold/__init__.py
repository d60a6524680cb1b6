"""Gold: what the process does."""

from __future__ import annotations

from assets.gold.process import gold

__all__ = ["gold"]
