"""What a table is, and the columns that many tables share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

__all__ = [
    "ACTIVITY",
    "ATTRIBUTE",
    "BATCH",
    "BUCKET",
    "DURATIONS",
    "EVENT",
    "LOG",
    "OBJECT",
    "OBJECT_TYPE",
    "POSITION",
    "QUALIFIER",
    "READS",
    "RECORD",
    "RECORD_KINDS",
    "RELATIONSHIP",
    "SEQUENCE",
    "TIMESTAMP",
    "VALUE",
    "VALUE_TYPES",
    "Column",
    "Layer",
    "TableSpec",
    "count",
    "instant",
    "number",
    "seconds",
    "text",
]

Layer = Literal[
    "bronze",
    "silver",
    "gold",
    "analysis",
    "model",
    "policy",
    "kpis",
    "features",
    "models",
    "champions",
    "outlook",
    "predictions",
    "monitoring",
    "prices",
    "bars",
]
"""What one publication writes: a layer's tables of one log, together or not at all.

Gold is what can follow new records one by one; the analysis is what is compared over the whole log, and is computed
again as a whole.
"""

READS: Final[Mapping[Layer, tuple[Layer, ...]]] = {
    "bronze": (),
    "silver": ("bronze",),
    "gold": ("silver",),
    "analysis": ("silver",),
    "model": ("silver",),
    "policy": ("silver", "gold"),
    "kpis": ("silver",),
    "features": ("silver",),
    "models": ("features",),
    "champions": ("models",),
    "outlook": ("features",),
    "predictions": ("features", "champions"),
    "monitoring": ("features", "champions"),
    "prices": ("bronze",),
    "bars": ("prices",),
}
"""The layers that a layer is computed from."""

TIMESTAMP: Final = pl.Datetime("us", "UTC")
"""Every instant is UTC microseconds (an Iceberg ``timestamptz``)."""

VALUE_TYPES: Final = ("string", "integer", "float", "boolean", "time", "list", "map")
"""OCEL 2.0's five value types, and the two that only JSON and XES sources have; those travel as JSON text."""

RECORD_KINDS: Final = ("event", "object", "e2o", "o2o", "event_attribute", "object_attribute")
"""What is accounted for: each thing read is one of these, and is either accepted or quarantined."""

ATTRIBUTE: Final = pl.Struct({"name": pl.String, "time": pl.String, "value": pl.String, "value_type": pl.String})
"""One attribute value as its source wrote it. ``time`` is null for events and for initial values without a time.
``value_type`` is the source's own type where it has one (a JSON number, an XES ``<int>``), null for plain text, which
is read in the declared type."""

RELATIONSHIP: Final = pl.Struct({"object_id": pl.String, "qualifier": pl.String, "object_type": pl.String})
"""One relation as its source wrote it. ``object_type`` only where the source tells the type beside the relation."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, Polars type, meaning, and whether it is never null."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    doc: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One Iceberg table.

    Attributes
    ----------
    namespace, name : str
        ``namespace.name`` is the table's identifier, and its Dagster asset key.
    layer : Layer
        The publication that writes it.
    doc : str
        What one row is.
    columns : tuple of Column
        In the order of the schema. The first is always ``log_id``, the partition.
    key : tuple of str
        Columns that identify a row within the table; unique, checked before each publication.
    sort : tuple of str
        The order of rows within a file.
    bucket : str or None
        The id column whose hash splits a large log into buckets; the table then has a ``bucket`` column.
    provenance : tuple of str
        Columns that say when a row was computed, and not what: equal results may differ in them.
    file_rows : int, optional
        Most rows of a file, where rows change again and again: a change rewrites the files that hold its rows. Sorted
        by when they change, most are in few of them; and where some kinds change for long, these are sorted apart.
    """

    namespace: str
    name: str
    layer: Layer
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    bucket: str | None = None
    provenance: tuple[str, ...] = ()
    file_rows: int | None = None

    @property
    def identifier(self) -> str:
        """The table's name with its namespace, as in SQL."""
        return f"{self.namespace}.{self.name}"

    @property
    def schema(self) -> pl.Schema:
        """The Polars schema of the table, ``log_id`` (and ``bucket``) included."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @property
    def partition(self) -> tuple[str, ...]:
        """The identity partition columns: the log, and the bucket where the table has one."""
        return ("log_id", "bucket") if self.bucket else ("log_id",)


def text(name: str, doc: str, *, required: bool = False) -> Column:
    """Give a column of text."""
    return Column(name, pl.String, doc, required)


def count(name: str, doc: str, *, required: bool = False) -> Column:
    """Give a column of whole numbers."""
    return Column(name, pl.Int64, doc, required)


def instant(name: str, doc: str, *, required: bool = False) -> Column:
    """Give a column of instants."""
    return Column(name, TIMESTAMP, doc, required)


def seconds(name: str, doc: str) -> Column:
    """Give a column of durations."""
    return Column(name, pl.Float64, f"{doc}, in seconds.")


def number(name: str, doc: str, *, required: bool = False) -> Column:
    """Give a column of floating-point numbers."""
    return Column(name, pl.Float64, doc, required)


LOG = text("log_id", "The log this row belongs to.", required=True)
BUCKET = Column("bucket", pl.Int32, "Bucket of the id column within a large log; 0 in a small one.", True)
EVENT = text("event_id", "The event's id, as text.", required=True)
OBJECT = text("object_id", "The object's id, as text.", required=True)
ACTIVITY = text("activity", "The event's type.", required=True)
OBJECT_TYPE = text("object_type", "The object's type.", required=True)
QUALIFIER = text("qualifier", "The role of the relation; empty where the source has none.", required=True)
BATCH = text("batch_id", "The batch (`bronze.batches`) that the record came with.", required=True)
POSITION = count("position", "The record's position in its batch, from 0.", required=True)
SEQUENCE = count("sequence", "Order among events of equal time, from the data alone; else 0.", required=True)

PLACE = (
    count("partition", "Of a message: the topic's partition that it is in."),
    count("offset", "Of a message: its offset there."),
)

RECORD = (
    count("version", "What the source declares: an updated-at time, a message's offset; the greatest wins."),
    Column("attributes", pl.List(ATTRIBUTE), "Attribute values as written."),
    Column("relationships", pl.List(RELATIONSHIP), "Relations as written."),
    Column(
        "declared",
        pl.Boolean,
        "False where the source relates to, or describes, an id that it does not declare.",
        required=True,
    ),
    text("defect", "Why the record cannot be read at all (a reason code); null for a readable one."),
    text("raw", "The record's source text, where the columns do not hold all of it."),
)

VALUE = (
    count("ordinal", "Order among values of one name (and time), from 0.", required=True),
    text("value", "The value as text, in the canonical form of its type."),
    text("value_type", "string, integer, float, boolean, time, list or map.", required=True),
    Column("value_float", pl.Float64, "The value as a number, for integers, floats and booleans."),
    instant("value_time", "The value as an instant, for times."),
)

DURATIONS = (
    seconds("duration_sum", "Sum of durations over triples"),
    seconds("duration_mean", "Mean duration over triples"),
    seconds("duration_min", "Least duration over triples"),
    seconds("duration_median", "Median duration over triples"),
    seconds("duration_p90", "90% quantile of durations over triples"),
    seconds("duration_p95", "95% quantile of durations over triples"),
    seconds("duration_max", "Greatest duration over triples"),
)
