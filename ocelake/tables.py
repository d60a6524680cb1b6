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

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ATTRIBUTE",
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

Layer = Literal["bronze", "silver", "gold"]

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
    layer : {"bronze", "silver", "gold"}
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
    """

    namespace: str
    name: str
    layer: Layer
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    bucket: str | None = None

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


def _text(name: str, doc: str, *, required: bool = False) -> Column:
    return Column(name, pl.String, doc, required)


def _count(name: str, doc: str, *, required: bool = False) -> Column:
    return Column(name, pl.Int64, doc, required)


def _time(name: str, doc: str, *, required: bool = False) -> Column:
    return Column(name, TIMESTAMP, doc, required)


def _seconds(name: str, doc: str) -> Column:
    return Column(name, pl.Float64, f"{doc}, in seconds.")


_LOG = _text("log_id", "The log this row belongs to.", required=True)
_BUCKET = Column("bucket", pl.Int32, "Bucket of the id column within a large log; 0 in a small one.", True)
_EVENT = _text("event_id", "The event's id, as text.", required=True)
_OBJECT = _text("object_id", "The object's id, as text.", required=True)
_ACTIVITY = _text("activity", "The event's type.", required=True)
_TYPE = _text("object_type", "The object's type.", required=True)
_QUALIFIER = _text("qualifier", "The role of the relation; empty where the source has none.", required=True)
_BATCH = _text("batch_id", "The batch (`bronze.batches`) that the record came with.", required=True)
_POSITION = _count("position", "The record's position in its batch, from 0.", required=True)
_SEQUENCE = _count("sequence", "Order among events of equal time, from the data alone; else 0.", required=True)

_RECORD = (
    _count("version", "What the source declares: an updated-at time, a message's offset; the greatest wins."),
    Column("attributes", pl.List(ATTRIBUTE), "Attribute values as written."),
    Column("relationships", pl.List(RELATIONSHIP), "Relations as written."),
    Column(
        "declared",
        pl.Boolean,
        "False where the source relates to, or describes, an id that it does not declare.",
        required=True,
    ),
    _text("defect", "Why the record cannot be read at all (a reason code); null for a readable one."),
    _text("raw", "The record's source text, where the columns do not hold all of it."),
)

_VALUE = (
    _count("ordinal", "Order among values of one name (and time), from 0.", required=True),
    _text("value", "The value as text, in the canonical form of its type."),
    _text("value_type", "string, integer, float, boolean, time, list or map.", required=True),
    Column("value_float", pl.Float64, "The value as a number, for integers, floats and booleans."),
    _time("value_time", "The value as an instant, for times."),
)

_DURATIONS = (
    _seconds("duration_sum", "Sum of durations over triples"),
    _seconds("duration_mean", "Mean duration over triples"),
    _seconds("duration_min", "Least duration over triples"),
    _seconds("duration_median", "Median duration over triples"),
    _seconds("duration_p90", "90% quantile of durations over triples"),
    _seconds("duration_p95", "95% quantile of durations over triples"),
    _seconds("duration_max", "Greatest duration over triples"),
)

_SPECS: Final = (
    # --- bronze: records as they were written
    TableSpec(
        "bronze",
        "event_records",
        "bronze",
        "One event as its source wrote it.",
        (
            _LOG,
            _BATCH,
            _POSITION,
            _text("event_id", "The event's id as written."),
            _text("activity", "The event's type as written."),
            _text("time", "The event's time as written."),
            _count("sequence", "A declared order among events of equal time."),
            *_RECORD,
        ),
        key=("log_id", "batch_id", "position"),
        sort=("batch_id", "position"),
    ),
    TableSpec(
        "bronze",
        "object_records",
        "bronze",
        "One object as its source wrote it.",
        (
            _LOG,
            _BATCH,
            _POSITION,
            _text("object_id", "The object's id as written."),
            _text("object_type", "The object's type as written."),
            *_RECORD,
        ),
        key=("log_id", "batch_id", "position"),
        sort=("batch_id", "position"),
    ),
    TableSpec(
        "bronze",
        "batches",
        "bronze",
        "One file, topic range or query that was read: what makes ingestion exactly-once.",
        (
            _LOG,
            _text("batch_id", "First 16 hex digits of the content hash, or topic-partition-offsets.", required=True),
            _text("source", "File name, topic or query.", required=True),
            _text("format", "The format told from the content.", required=True),
            _text("content_hash", "SHA-256 of the source's bytes.", required=True),
            _count("first_offset", "First offset of a topic range."),
            _count("last_offset", "Last offset of a topic range."),
            _count("source_bytes", "Size of the source, in bytes."),
            _count("event_records", "Rows in `bronze.event_records`.", required=True),
            _count("object_records", "Rows in `bronze.object_records`.", required=True),
            _text("declarations", "Types and their attributes as declared (JSON text).", required=True),
            _text("metadata", "What the source says about itself, and what was ignored (JSON text).", required=True),
            _time("received", "When the batch was read.", required=True),
        ),
        key=("log_id", "batch_id"),
        sort=("batch_id",),
    ),
    # --- silver: the OCEL 2.0 log
    TableSpec(
        "ocel",
        "events",
        "silver",
        "One event of the log.",
        (
            _LOG,
            _BUCKET,
            _EVENT,
            _ACTIVITY,
            _time("time", "When it happened.", required=True),
            _SEQUENCE,
            Column("time_ambiguous", pl.Boolean, "The local time occurred twice; the first is taken.", True),
            _BATCH,
            _POSITION,
        ),
        key=("log_id", "event_id"),
        sort=("time", "sequence", "event_id"),
        bucket="event_id",
    ),
    TableSpec(
        "ocel",
        "objects",
        "silver",
        "One object of the log.",
        (
            _LOG,
            _OBJECT,
            _TYPE,
            Column("inferred", pl.Boolean, "Never declared; created from a relation (`infer`).", True),
            _BATCH,
            _POSITION,
        ),
        key=("log_id", "object_id"),
        sort=("object_type", "object_id"),
    ),
    TableSpec(
        "ocel",
        "event_objects",
        "silver",
        "One qualified event-to-object relation (E2O), with what discovery needs beside the ids.",
        (
            _LOG,
            _BUCKET,
            _EVENT,
            _OBJECT,
            _QUALIFIER,
            _ACTIVITY,
            _TYPE,
            _time("time", "When the event happened.", required=True),
            _SEQUENCE,
        ),
        key=("log_id", "event_id", "object_id", "qualifier"),
        sort=("object_type", "object_id", "time", "sequence", "event_id", "qualifier"),
        bucket="object_id",
    ),
    TableSpec(
        "ocel",
        "object_objects",
        "silver",
        "One qualified object-to-object relation (O2O).",
        (
            _LOG,
            _text("source_id", "The object that the relation starts from.", required=True),
            _text("target_id", "The object that it leads to.", required=True),
            _QUALIFIER,
        ),
        key=("log_id", "source_id", "target_id", "qualifier"),
        sort=("source_id", "target_id", "qualifier"),
    ),
    TableSpec(
        "ocel",
        "event_attributes",
        "silver",
        "One attribute value of an event.",
        (_LOG, _EVENT, _text("name", "The attribute's name.", required=True), *_VALUE),
        key=("log_id", "event_id", "name", "ordinal"),
        sort=("event_id", "name", "ordinal"),
    ),
    TableSpec(
        "ocel",
        "object_attributes",
        "silver",
        "One value of an object's attribute, from a time on.",
        (
            _LOG,
            _BUCKET,
            _OBJECT,
            _text("name", "The attribute's name.", required=True),
            _time("time", "From when on it holds; null for an initial value."),
            Column("initial", pl.Boolean, "It holds from the start, before every time.", True),
            *_VALUE,
        ),
        key=("log_id", "object_id", "name", "time", "ordinal"),
        sort=("object_id", "name", "time", "ordinal"),
        bucket="object_id",
    ),
    TableSpec(
        "ocel",
        "event_types",
        "silver",
        "One event type.",
        (_LOG, _ACTIVITY),
        key=("log_id", "activity"),
        sort=("activity",),
    ),
    TableSpec(
        "ocel",
        "object_types",
        "silver",
        "One object type.",
        (_LOG, _TYPE),
        key=("log_id", "object_type"),
        sort=("object_type",),
    ),
    TableSpec(
        "ocel",
        "event_type_attributes",
        "silver",
        "One attribute of an event type, declared or seen.",
        (
            _LOG,
            _ACTIVITY,
            _text("name", "The attribute's name.", required=True),
            _text("value_type", "The declared type, else the narrowest that fits all values.", required=True),
        ),
        key=("log_id", "activity", "name"),
        sort=("activity", "name"),
    ),
    TableSpec(
        "ocel",
        "object_type_attributes",
        "silver",
        "One attribute of an object type, declared or seen.",
        (
            _LOG,
            _TYPE,
            _text("name", "The attribute's name.", required=True),
            _text("value_type", "The declared type, else the narrowest that fits all values.", required=True),
        ),
        key=("log_id", "object_type", "name"),
        sort=("object_type", "name"),
    ),
    TableSpec(
        "ocel",
        "log_metadata",
        "silver",
        "One thing that a source says about itself, or that was ignored in it.",
        (
            _LOG,
            _BATCH,
            _text("name", "What it is about.", required=True),
            _text("value", "What it says."),
        ),
        key=("log_id", "batch_id", "name"),
        sort=("batch_id", "name"),
    ),
    TableSpec(
        "silver",
        "quarantine",
        "silver",
        "One thing that was read and not accepted, with the one reason.",
        (
            _LOG,
            _BATCH,
            _text("record_kind", "event, object, e2o, o2o, event_attribute or object_attribute.", required=True),
            _text("reason", "Reason code.", required=True),
            _text("source", "File name, topic or query.", required=True),
            _count("position", "The position in its batch of the record that holds it, from 0.", required=True),
            _count("part", "Which relation or attribute of the record, from 0; null for the record itself."),
            _text("raw", "The source's text."),
            _text("detail", "What is wrong, for a person."),
        ),
        key=("log_id", "batch_id", "record_kind", "position", "part"),
        sort=("record_kind", "reason", "batch_id", "position", "part"),
    ),
    TableSpec(
        "silver",
        "accounting",
        "silver",
        "Things read, accepted and quarantined, by batch and kind: read = accepted + quarantined.",
        (
            _LOG,
            _BATCH,
            _text("record_kind", "event, object, e2o, o2o, event_attribute or object_attribute.", required=True),
            _count("read", "Things in `bronze`.", required=True),
            _count("accepted", "Things in the OCEL tables.", required=True),
            _count("quarantined", "Rows in `silver.quarantine`.", required=True),
        ),
        key=("log_id", "batch_id", "record_kind"),
        sort=("batch_id", "record_kind"),
    ),
    # --- gold: what the process does
    TableSpec(
        "gold",
        "ocdfg_nodes",
        "gold",
        "One activity of the object-centric directly-follows graph, for one object type.",
        (
            _LOG,
            _text("object_type", "The object type; null for the activity over all events.", required=False),
            _ACTIVITY,
            _count("events", "Distinct events.", required=True),
            _count("unique_objects", "Distinct objects."),
            _count("total_objects", "Distinct (event, object) pairs."),
            _count("start_events", "Distinct events that start a trace."),
            _count("start_objects", "Objects whose trace starts here."),
            _count("end_events", "Distinct events that end a trace."),
            _count("end_objects", "Objects whose trace ends here."),
        ),
        key=("log_id", "object_type", "activity"),
        sort=("object_type", "activity"),
    ),
    TableSpec(
        "gold",
        "ocdfg_edges",
        "gold",
        "One edge of the object-centric directly-follows graph, for one object type.",
        (
            _LOG,
            _TYPE,
            _text("source", "The activity that comes first.", required=True),
            _text("target", "The activity that directly follows.", required=True),
            _count("event_couples", "Distinct (event, event) pairs.", required=True),
            _count("unique_objects", "Distinct objects.", required=True),
            _count("total_objects", "Distinct (event, event, object) triples.", required=True),
            *_DURATIONS,
        ),
        key=("log_id", "object_type", "source", "target"),
        sort=("object_type", "source", "target"),
    ),
    TableSpec(
        "gold",
        "trace_variants",
        "gold",
        "One sequence of activities that objects of a type go through; the empty one included.",
        (
            _LOG,
            _TYPE,
            _text("variant_id", "Stable hash of the sequence, 16 hex digits.", required=True),
            Column("activities", pl.List(pl.String), "The sequence.", True),
            _count("objects", "Objects with this trace.", required=True),
            Column("share", pl.Float64, "Of the type's objects.", True),
            _seconds("duration_sum", "Sum over objects of last minus first event"),
            _seconds("duration_mean", "Mean over objects of last minus first event"),
        ),
        key=("log_id", "object_type", "variant_id"),
        sort=("object_type", "objects", "variant_id"),
    ),
    TableSpec(
        "gold",
        "object_summaries",
        "gold",
        "One object's trace in short: the state of incremental discovery.",
        (
            _LOG,
            _TYPE,
            _OBJECT,
            _text("variant_id", "The trace variant.", required=True),
            _time("first_time", "Its first event; null for an empty trace."),
            _time("last_time", "Its last event; null for an empty trace."),
            _count("events", "Distinct events.", required=True),
            _text("publication_id", "The silver publication that the summary was computed from.", required=True),
        ),
        key=("log_id", "object_id"),
        sort=("object_type", "object_id"),
    ),
    TableSpec(
        "gold",
        "log_summary",
        "gold",
        "One log in numbers.",
        (
            _LOG,
            _count("events", "Events.", required=True),
            _count("objects", "Objects.", required=True),
            _count("event_types", "Event types.", required=True),
            _count("object_types", "Object types.", required=True),
            _count("event_objects", "Qualified E2O relations.", required=True),
            _count("object_objects", "Qualified O2O relations.", required=True),
            _count("event_attributes", "Event attribute values.", required=True),
            _count("object_attributes", "Object attribute values.", required=True),
            _count("events_without_objects", "Events that no accepted relation leads from.", required=True),
            _count("objects_without_events", "Objects that no accepted relation leads to.", required=True),
            _count("quarantined", "Rows in `silver.quarantine`.", required=True),
            _count("executions", "Connected process executions.", required=True),
            _time("first_time", "The first event."),
            _time("last_time", "The last event."),
            Column("tied_share", pl.Float64, "Share of object steps at the same time as the one before; null if none."),
        ),
        key=("log_id",),
        sort=("log_id",),
    ),
    TableSpec(
        "ocel",
        "process_executions",
        "gold",
        "One process execution.",
        (
            _LOG,
            _text(
                "execution_id", "The least object id in it; `event:` and the event id where it has none.", required=True
            ),
            _text("kind", "connected, or leading:TYPE.", required=True),
            _count("events", "Events in it.", required=True),
            _count("objects", "Objects in it.", required=True),
            _time("first_time", "Its first event; null without events."),
            _time("last_time", "Its last event; null without events."),
        ),
        key=("log_id", "kind", "execution_id"),
        sort=("kind", "execution_id"),
    ),
    TableSpec(
        "ocel",
        "execution_events",
        "gold",
        "One event of a process execution.",
        (_LOG, _text("execution_id", "The execution.", required=True), _EVENT),
        key=("log_id", "execution_id", "event_id"),
        sort=("execution_id", "event_id"),
    ),
    TableSpec(
        "ocel",
        "execution_objects",
        "gold",
        "One object of a process execution.",
        (_LOG, _text("execution_id", "The execution.", required=True), _OBJECT, _TYPE),
        key=("log_id", "execution_id", "object_id"),
        sort=("execution_id", "object_id"),
    ),
)

TABLES: Final[Mapping[str, TableSpec]] = {spec.identifier: spec for spec in _SPECS}
"""Every table, by identifier, in the order in which a log fills them."""


def layer_tables(layer: Layer) -> tuple[TableSpec, ...]:
    """Give the tables that one publication of a layer writes, in registry order."""
    return tuple(spec for spec in _SPECS if spec.layer == layer)
