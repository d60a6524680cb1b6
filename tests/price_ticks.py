"""Price ticks for tests: published to bronze as a consumer would, a batch each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from ocelake.lake import Lake, PublicationRecord
from ocelake.tables import as_table, frame_schema

LOG = "commodity-prices"


def ticks(rows: Sequence[dict[str, Any]], batch_id: str = "b") -> pl.DataFrame:
    """Give ticks as `bronze.price_ticks`; what a row leaves out is null."""
    numbered = [{"batch_id": batch_id, "position": place, **row} for place, row in enumerate(rows)]
    return as_table("bronze.price_ticks", pl.DataFrame(numbered, schema=frame_schema("bronze.price_ticks")))


def put_ticks(lake: Lake, batch_id: str, rows: Sequence[dict[str, Any]], log_id: str = LOG) -> PublicationRecord:
    """Publish ticks as one batch of a log."""
    batch = {
        "batch_id": batch_id,
        "source": "commodity-prices",
        "format": "ticks",
        "content_hash": batch_id,
        "event_records": 0,
        "object_records": 0,
        "price_ticks": len(rows),
        "declarations": '{"event_types":{},"object_types":{}}',
        "metadata": "{}",
        "received": datetime.now(UTC),
    }
    with lake.publication(log_id, "bronze") as publication:
        publication.append("bronze.price_ticks", ticks(rows, batch_id))
        publication.append("bronze.batches", pl.DataFrame([batch], schema=frame_schema("bronze.batches")))
        return publication.commit()
