"""The OCEL 2.0 log: its model, readers, writers, and what is accepted from records (`conform`)."""

from __future__ import annotations

from ocelake.ocel.model import Ocel
from ocelake.ocel.records import Declarations, Records

__all__ = ["Declarations", "Ocel", "Records"]
