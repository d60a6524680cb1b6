"""Bronze records made by hand, for the tests of what follows from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import polars as pl

from ocelake.ocel.conform import Conformed, conform
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD
from ocelake.settings import LogSettings

Record = dict[str, Any]
NOON = "2024-05-01T12:00:00Z"
DECLARATIONS: dict[str, Any] = {"event_types": {}, "object_types": {}}


def _common(
    relations: Iterable[Sequence[str | None]], attributes: Iterable[Sequence[str | None]], extra: Record
) -> Record:
    return {
        "version": None,
        "relationships": [
            dict(zip(("object_id", "qualifier", "object_type"), (*given, None, None), strict=False))
            for given in relations
        ],
        "attributes": [
            dict(zip(("name", "value", "value_type", "time"), (*given, None, None), strict=False))
            for given in attributes
        ],
        "declared": True,
        "defect": None,
        "raw": None,
        **extra,
    }


def event(
    event_id: str | None,
    relations: Iterable[Sequence[str | None]] = (),
    attributes: Iterable[Sequence[str | None]] = (),
    *,
    activity: str | None = "pay",
    time: str | None = NOON,
    sequence: int | None = None,
    **extra: Any,
) -> Record:
    """Give one event record; a relation is (object, qualifier, type), an attribute (name, value, type)."""
    head = {"event_id": event_id, "activity": activity, "time": time, "sequence": sequence}
    return {**head, **_common(relations, attributes, extra)}


def thing(
    object_id: str | None,
    relations: Iterable[Sequence[str | None]] = (),
    attributes: Iterable[Sequence[str | None]] = (),
    *,
    object_type: str | None = "order",
    **extra: Any,
) -> Record:
    """Give one object record; a relation is (object, qualifier, type), an attribute (name, value, type, time)."""
    return {"object_id": object_id, "object_type": object_type, **_common(relations, attributes, extra)}


def loose_event(event_id: str | None, *parts: Any, **extra: Any) -> Record:
    """Give a record of what a source tells of an event that it does not declare."""
    return event(event_id, *parts, activity=None, time=None, declared=False, **extra)


def loose_thing(object_id: str | None, *parts: Any, **extra: Any) -> Record:
    """Give a record of what a source tells of an object that it does not declare."""
    return thing(object_id, *parts, object_type=None, declared=False, **extra)


def batch_rows(
    declarations: dict[str, dict[str, Any]], offsets: Mapping[str, int] = MappingProxyType({})
) -> pl.DataFrame:
    """Give rows of ``bronze.batches``, as far as conforming looks at them, by batch id; some are from a topic."""
    return pl.DataFrame(
        [
            {
                "batch_id": batch_id,
                "source": f"{batch_id}.json",
                "declarations": json.dumps(content),
                "metadata": json.dumps({"version": "1"}),
                **({"first_offset": offsets[batch_id]} if batch_id in offsets else {}),
            }
            for batch_id, content in declarations.items()
        ],
        schema_overrides=dict.fromkeys(("batch_id", "source", "declarations", "metadata"), pl.String),
    )


def conformed(
    batches: dict[str, list[Record]] | list[Record],
    declarations: dict[str, Any] | None = None,
    settings: LogSettings | None = None,
    offsets: Mapping[str, int] = MappingProxyType({}),
    **setting: Any,
) -> Conformed:
    """Conform records, by batch or all in one; ``declarations`` by batch, or one for all; ``offsets`` by batch."""
    if isinstance(batches, list):
        batches = {"b1": batches}
    declarations = declarations or DECLARATIONS
    if "event_types" in declarations:
        declarations = dict.fromkeys(batches, declarations)
    frames = []
    for schema, id_column in ((EVENT_RECORD, "event_id"), (OBJECT_RECORD, "object_id")):
        rows = [
            {"batch_id": batch_id, "position": position, **record}
            for batch_id, records in batches.items()
            for position, record in enumerate(record for record in records if id_column in record)
        ]
        frames.append(pl.DataFrame(rows, schema={"batch_id": pl.String(), **schema}))
    return conform(*frames, batch_rows(declarations, offsets), settings or LogSettings(**setting))


def reasons(result: Conformed) -> list[tuple[str, str]]:
    """Give (record kind, reason) of all that is quarantined, sorted."""
    return sorted(result.quarantine.select("record_kind", "reason").rows())


def balanced(result: Conformed) -> bool:
    """Whether the account is exact, by its own columns and against the tables."""
    accounting = result.accounting
    held = result.quarantine.group_by("batch_id", "record_kind").len("held")
    joined = accounting.join(held, on=["batch_id", "record_kind"], how="left").with_columns(pl.col("held").fill_null(0))
    tables = {
        "event": len(result.ocel.events),
        "object": int((~result.ocel.objects["inferred"]).sum()),
        "e2o": len(result.ocel.event_objects),
        "o2o": len(result.ocel.object_objects),
        "event_attribute": len(result.ocel.event_attributes),
        "object_attribute": len(result.ocel.object_attributes),
    }
    accepted = dict(accounting.group_by("record_kind").agg(pl.col("accepted").sum()).rows())
    return (
        joined.filter(
            (pl.col("read") != pl.col("accepted") + pl.col("quarantined")) | (pl.col("quarantined") != pl.col("held"))
        ).is_empty()
        and len(result.quarantine) == int(accounting["quarantined"].sum())
        and accepted == tables
    )
