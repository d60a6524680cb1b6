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

from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl

from ocelake.tables import (
    bronze,
    change,
    conformance,
    cost,
    kpis,
    models,
    performance,
    predictions,
    prices,
    process,
    relations,
    silver,
)
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
    "as_table",
    "frame_schema",
    "layer_tables",
]

_MODULES: Final = (
    *(bronze, silver, process, performance, relations, change, models, conformance, cost, kpis),
    *(predictions, prices),
)

TABLES: Final[Mapping[str, TableSpec]] = {spec.identifier: spec for module in _MODULES for spec in module.SPECS}
"""Every table, by identifier, in the order in which a log fills them."""


@cache
def frame_schema(identifier: str) -> pl.Schema:
    """Give the schema of one table's rows within one log: without ``log_id`` and ``bucket``.

    Parameters
    ----------
    identifier : str
        As in `TABLES`, such as ``"ocel.events"``.
    """
    spec = TABLES[identifier]
    return pl.Schema({name: dtype for name, dtype in spec.schema.items() if name not in spec.partition})


def as_table(identifier: str, frame: pl.DataFrame | None = None) -> pl.DataFrame:
    """Give a frame the columns, types and order of rows that a table declares; without a frame, no rows."""
    schema, spec = frame_schema(identifier), TABLES[identifier]
    if frame is None:
        return schema.to_frame()
    order = [name for name in spec.sort if name not in spec.partition]
    ordered = frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    return ordered.sort(order) if order else ordered


def layer_tables(layer: Layer) -> tuple[TableSpec, ...]:
    """Give the tables that one publication of a layer writes, in registry order."""
    return tuple(spec for spec in TABLES.values() if spec.layer == layer)
