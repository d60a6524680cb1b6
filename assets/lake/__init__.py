"""The lake's own assets: its upkeep, and the daily proof that what is published can be computed again."""

from __future__ import annotations

from assets.lake.upkeep import light_upkeep, maintenance, verification

__all__ = ["light_upkeep", "maintenance", "verification"]
