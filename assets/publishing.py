"""Publishing from an asset: once for equal inputs, and again from the newest state where another process was first."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from dagster import Config, RetryRequested
from pydantic import Field

from ocelake.errors import StalePublication
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.build import publish, unchanged
from ocelake.settings import LogSettings
from ocelake.tables import Layer

__all__ = ["Rebuild", "publish_or_keep"]


class Rebuild(Config):
    """Whether to publish again what was computed from the same input before, say after an upgrade."""

    rebuild: bool = Field(default=False, description="Publish anew although input and settings are the same.")


def publish_or_keep(
    lake: Lake,
    source: PublicationRecord,
    layer: Layer,
    tables: Mapping[str, pl.DataFrame],
    *,
    rebuild: bool,
    settings: LogSettings | None = None,
) -> PublicationRecord:
    """Publish a layer's tables, unless they were published from the same source under the same settings.

    So a file that lands twice, or a run that is repeated, changes nothing. Where another process published the layer
    meanwhile, Dagster is asked for a retry of the step.
    """
    kept = None if rebuild else unchanged(lake, source, layer, settings)
    if kept is not None:
        return kept
    try:
        return publish(lake, source, layer, tables, settings=settings)
    except StalePublication as error:
        raise RetryRequested(max_retries=3, seconds_to_wait=0.2) from error
