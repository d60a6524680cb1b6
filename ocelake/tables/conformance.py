"""Conformance: how well the log fits the model and its rules."""

from __future__ import annotations

from typing import Final

from ocelake.tables.spec import TableSpec

__all__ = ["SPECS"]

SPECS: Final[tuple[TableSpec, ...]] = ()
