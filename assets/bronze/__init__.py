"""Bronze: records as their sources wrote them."""

from __future__ import annotations

from assets.bronze.landed import bronze

__all__ = ["bronze"]
