"""Bronze: records as their sources wrote them."""

from __future__ import annotations

from assets.bronze.landed import bronze
from assets.bronze.price_ticks import price_ticks

__all__ = ["bronze", "price_ticks"]
