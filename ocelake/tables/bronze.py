"""Bronze: records as they were written."""

from __future__ import annotations

from typing import Final

from ocelake.tables.spec import BATCH, LOG, POSITION, RECORD, TableSpec, count, instant, text

__all__ = ["SPECS"]

SPECS: Final = (
    TableSpec(
        "bronze",
        "event_records",
        "bronze",
        "One event as its source wrote it.",
        (
            LOG,
            BATCH,
            POSITION,
            text("event_id", "The event's id as written."),
            text("activity", "The event's type as written."),
            text("time", "The event's time as written."),
            count("sequence", "A declared order among events of equal time."),
            *RECORD,
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
            LOG,
            BATCH,
            POSITION,
            text("object_id", "The object's id as written."),
            text("object_type", "The object's type as written."),
            *RECORD,
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
            LOG,
            text("batch_id", "First 16 hex digits of the content hash, or topic-partition-offsets.", required=True),
            text("source", "File name, topic or query.", required=True),
            text("format", "The format told from the content.", required=True),
            text("content_hash", "SHA-256 of the source's bytes, or of all messages'.", required=True),
            text("topic", "The topic, where it is a range of one."),
            text("topic_id", "What tells the topic from others of its name: its id, or its cluster's; null if untold."),
            count("partition", "The topic's partition."),
            count("first_offset", "First offset of a topic range: the one after the range before."),
            count("last_offset", "Last offset of a topic range: all messages up to here were read."),
            count("source_bytes", "Size of the source, in bytes."),
            count("event_records", "Rows in `bronze.event_records`.", required=True),
            count("object_records", "Rows in `bronze.object_records`.", required=True),
            count("price_ticks", "Rows in `bronze.price_ticks`; null for a source of events and objects."),
            text("declarations", "Types and their attributes as declared (JSON text).", required=True),
            text("metadata", "What the source says about itself, and what was ignored (JSON text).", required=True),
            instant("received", "When the batch was read.", required=True),
        ),
        key=("log_id", "batch_id"),
        sort=("batch_id",),
    ),
)
