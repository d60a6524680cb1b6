"""Publishing a layer of predictions: audited, told, or not at all; what the layers of events do in `build_layer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import polars as pl
from dagster import AssetExecutionContext
from pydantic import BaseModel

from assets.building import Events
from assets.publishing import publish_or_retry
from assets.specs import check_results, materializations
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import blocking
from ocelake.lake.build import newest_number
from ocelake.ocel.audit import Finding
from ocelake.tables import Layer

__all__ = ["publish_audited"]


def publish_audited(
    context: AssetExecutionContext,
    lake: Lake,
    layer: Layer,
    sources: Mapping[Layer, PublicationRecord],
    compute: Callable[[], tuple[Mapping[str, pl.DataFrame], Mapping[str, Mapping[str, Any]]]],
    *,
    settings: BaseModel,
    audit: Callable[[Mapping[str, pl.DataFrame]], list[Finding]],
    gates: frozenset[str] = frozenset(),
) -> Events:
    """Compute a layer, check it, publish it and tell.

    Parameters
    ----------
    compute : callable
        Gives the tables, and the metadata of some of them.
    gates : frozenset of str
        Blocking checks that stop the layers after this one, and not this one.
    """
    started, base = perf_counter(), newest_number(lake, context.partition_key, layer)
    tables, shown = compute()
    findings = audit(tables)
    failed = [finding for finding in blocking(findings) if finding.check not in gates]
    if failed:
        context.log.error("Not published: %s", "; ".join(finding.message for finding in failed))
    else:
        record = publish_or_retry(lake, sources, layer, tables, settings=settings, base=base)
        yield from materializations(
            layer,
            common={
                "publication_read": ", ".join(record.reads.values()),
                "publication_written": record.publication_id,
                "seconds": round(perf_counter() - started, 3),
            },
            rows=record.rows,
            extra=shown,
        )
    yield from check_results(findings)
