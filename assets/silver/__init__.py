"""Silver: the OCEL 2.0 tables, and prices."""

from __future__ import annotations

from assets.silver.ocel import silver
from assets.silver.prices import prices

__all__ = ["prices", "silver"]
