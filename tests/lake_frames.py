"""Small frames for tests of the lake: rows whose content says which publication they are from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl

from ocelake.lake import Lake, PublicationRecord
from ocelake.ocel.model import frame_schema
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD, Declarations, Records
from ocelake.tables import layer_tables

START = datetime(2024, 1, 1, tzinfo=UTC)


def events(count: int, mark: str = "a") -> pl.DataFrame:
    """Rows of ``ocel.events``, in sort order."""
    return pl.DataFrame(
        {
            "event_id": [f"e{i:07}" for i in range(count)],
            "activity": [mark] * count,
            "time": [START + timedelta(seconds=i) for i in range(count)],
            "sequence": [0] * count,
            "time_ambiguous": [False] * count,
            "batch_id": ["b"] * count,
            "position": list(range(count)),
        },
        schema=frame_schema("ocel.events"),
    )


def event_types(count: int, mark: str = "a") -> pl.DataFrame:
    """Rows of ``ocel.event_types``, in sort order."""
    return pl.DataFrame({"activity": [f"{mark}{i:03}" for i in range(count)]}, schema=frame_schema("ocel.event_types"))


def silver(count: int, mark: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """All tables of a silver publication; those with rows have ``count`` of them."""
    made = {"ocel.events": events(count, mark), "ocel.event_types": event_types(count, mark)}
    for spec in layer_tables("silver"):
        yield spec.identifier, made.get(spec.identifier, frame_schema(spec.identifier).to_frame())


def publish_silver(lake: Lake, log_id: str, count: int, mark: str, **reads: str) -> PublicationRecord:
    """Publish ``count`` marked rows as a log's silver layer."""
    with lake.publication(log_id, "silver", reads=reads) as publication:
        for identifier, frame in silver(count, mark):
            publication.replace(identifier, frame)
        return publication.commit()


def state(lake: Lake, log_id: str) -> tuple[int, set[str], int]:
    """Rows and marks of a log's silver layer, to see that its tables are of one publication."""
    shown = lake.read("ocel.events", log_id)
    types = lake.read("ocel.event_types", log_id)
    return shown.height, set(shown["activity"]) | {name[:-3] for name in types["activity"]}, types.height


def records(count: int, mark: str = "r") -> list[Records | Declarations]:
    """What a reader yields for a log of ``count`` events and objects, in chunks of 10."""
    parts: list[Records | Declarations] = []
    for first in range(0, count, 10):
        rows = range(first, min(first + 10, count))
        relation = {"object_id": "o0", "qualifier": "has", "object_type": None}
        value = {"name": "price", "time": None, "value": "1", "value_type": "integer"}
        common = {"version": None, "declared": True, "defect": None, "raw": None}
        parts.append(
            Records(
                pl.DataFrame(
                    [
                        {
                            "position": i,
                            "event_id": f"{mark}{i}",
                            "activity": "pay",
                            "time": "2024-01-01T00:00:00Z",
                            "attributes": [value] if i % 2 else [],
                            "relationships": [relation],
                            **common,
                        }
                        for i in rows
                    ],
                    schema=EVENT_RECORD,
                ),
                pl.DataFrame(
                    [
                        {
                            "position": i,
                            "object_id": f"o{i}",
                            "object_type": "order",
                            "attributes": [],
                            "relationships": [],
                        }
                        | common
                        for i in rows
                    ],
                    schema=OBJECT_RECORD,
                ),
            )
        )
    return [*parts, Declarations({"pay": {"price": "integer"}}, {"order": {}}, {"version": "2.0"})]
