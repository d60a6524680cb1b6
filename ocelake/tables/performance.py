"""Gold: how long things take, where they wait, and who does them."""

from __future__ import annotations

from typing import Final

from ocelake.tables.spec import TableSpec

__all__ = ["SPECS"]

SPECS: Final[tuple[TableSpec, ...]] = ()
