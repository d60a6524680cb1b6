"""Gold: the process per period, what changed, and when."""

from __future__ import annotations

from typing import Final

from ocelake.tables.spec import TableSpec

__all__ = ["SPECS"]

SPECS: Final[tuple[TableSpec, ...]] = ()
