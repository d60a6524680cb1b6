"""Publishing from an asset: once for equal inputs, and again from the newest state where another process was first."""

from __future__ import annotations

from collections.abc import Mapping

from dagster import Config, RetryRequested
from pydantic import BaseModel, Field

from ocelake.errors import StalePublication
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.build import Content, publish
from ocelake.tables import Layer

__all__ = ["Rebuild", "publish_or_retry"]


class Rebuild(Config):
    """Whether to publish again what was computed from the same input before, say after an upgrade."""

    rebuild: bool = Field(default=False, description="Publish anew although input and settings are the same.")


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
