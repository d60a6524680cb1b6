"""Every Iceberg table of the lake, declared once.

From this registry come the Iceberg tables with their column documentation, the Dagster assets with their column
schemas, and their blocking checks. A table that is not here does not exist; a column that is added here is added to
the tables on the next start, without a rewrite. What belongs elsewhere: how a table is written (`ocelake.lake`) and how
its rows are computed (`ocelake.ocel`, `ocelake.mining`).

Examples
--------
>>> from ocelake.tables import TABLES
>>> TABLES["ocel.event_objects"].key
('log_id', 'event_id', 'object_id', 'qualifier')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocelake.tables import bronze, change, conformance, cost, models, performance, process, relations, silver
from ocelake.tables.spec import (
    ATTRIBUTE,
    READS,
    RECORD_KINDS,
    RELATIONSHIP,
    TIMESTAMP,
    VALUE_TYPES,
    Column,
    Layer,
    TableSpec,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ATTRIBUTE",
    "READS",
    "RECORD_KINDS",
    "RELATIONSHIP",
    "TABLES",
    "TIMESTAMP",
    "VALUE_TYPES",
    "Column",
    "Layer",
    "TableSpec",
    "layer_tables",
]

_MODULES: Final = (bronze, silver, process, performance, relations, change, models, conformance, cost)

TABLES: Final[Mapping[str, TableSpec]] = {spec.identifier: spec for module in _MODULES for spec in module.SPECS}
"""Every table, by identifier, in the order in which a log fills them."""


def layer_tables(layer: Layer) -> tuple[TableSpec, ...]:
    """Give the tables that one publication of a layer writes, in registry order."""
    return tuple(spec for spec in TABLES.values() if spec.layer == layer)
