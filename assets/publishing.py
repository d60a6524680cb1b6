"""Publishing from an asset: where another process was first, the step is done again from the newest state."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from dagster import RetryRequested

from ocelake.errors import StalePublication
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.build import publish
from ocelake.settings import LogSettings
from ocelake.tables import Layer

__all__ = ["publish_or_retry"]


def publish_or_retry(
    lake: Lake,
    source: PublicationRecord,
    layer: Layer,
    tables: Mapping[str, pl.DataFrame],
    settings: LogSettings | None = None,
) -> PublicationRecord:
    """Publish a layer's tables; ask Dagster for a retry of the step where they are stale."""
    try:
        return publish(lake, source, layer, tables, settings=settings)
    except StalePublication as error:
        raise RetryRequested(max_retries=3, seconds_to_wait=0.2) from error
