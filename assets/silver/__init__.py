"""Silver: the OCEL 2.0 tables."""

from __future__ import annotations

from assets.silver.ocel import silver

__all__ = ["silver"]
