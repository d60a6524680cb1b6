"""Publishing from an asset: once for equal inputs, and again from the newest state where another process was first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dagster import AssetExecutionContext, AssetKey, AssetRecordsFilter, Config, RetryRequested
from pydantic import BaseModel, Field

from ocelake.errors import StalePublication
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.build import Content, publish
from ocelake.tables import Layer

__all__ = ["Rebuild", "publish_or_retry", "told_by_stream"]


class Rebuild(Config):
    """Whether to publish again what was computed from the same input before, say after an upgrade."""

    rebuild: bool = Field(default=False, description="Publish anew although input and settings are the same.")


_NO_RUN: Final = ""
"""The run of what was reported outside of runs."""


def told_by_stream(context: AssetExecutionContext, record: PublicationRecord) -> bool:
    """Whether a stream published this, and has told Dagster of it: then there is nothing to be done or said."""
    identifier = next(iter(record.rows))
    where = AssetRecordsFilter(AssetKey(identifier.split(".")), asset_partitions=[record.log_id])
    for event in context.instance.fetch_materializations(where, limit=1).records:
        told = event.asset_materialization
        if told is not None and event.event_log_entry.run_id == _NO_RUN:
            return bool(told.metadata["publication_written"].value == record.publication_id)
    return False


def publish_or_retry(
    lake: Lake,
    sources: Mapping[Layer, PublicationRecord],
    layer: Layer,
    tables: Mapping[str, Content],
    *,
    base: int,
    settings: BaseModel,
) -> PublicationRecord:
    """Publish a layer's tables; ask Dagster for a retry of the step where another process was first."""
    try:
        return publish(lake, sources, layer, tables, settings=settings, base=base)
    except StalePublication as error:
        raise RetryRequested(max_retries=3, seconds_to_wait=0.2) from error
