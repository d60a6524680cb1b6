"""Building one layer of a log in an asset: compute, audit, publish together or not at all, and tell.

What belongs elsewhere: how a layer comes about (`ocelake.lake.build`), what is checked (`ocelake.lake.audits`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import Any, TypeAlias

import polars as pl
from dagster import AssetCheckResult, AssetExecutionContext, MaterializeResult

from assets.publishing import Rebuild, publish_or_retry, told_by_stream
from assets.specs import check_results, materializations
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import blocking
from ocelake.lake.build import Step, log_layers, newest_number, published_tables, sources, unchanged
from ocelake.ocel.audit import Finding
from ocelake.tables import Layer

__all__ = ["Events", "build_layer", "concerns", "passed_over"]

Tables: TypeAlias = Mapping[str, pl.DataFrame]
Events: TypeAlias = Iterator[MaterializeResult[Any] | AssetCheckResult]


def build_layer(
    context: AssetExecutionContext,
    config: Rebuild,
    lake: Lake,
    step: Step,
    *,
    audit: Callable[[Tables], list[Finding]],
    shown: Callable[[Lake, PublicationRecord, Tables], Mapping[str, Mapping[str, Any]]],
) -> Events:
    """Build a layer of the log that is the partition.

    Parameters
    ----------
    audit : callable
        Checks the staged tables.
    shown : callable
        Gives, from the lake, the publication and its tables, the metadata of tables beyond what all have.
    """
    started, log_id = perf_counter(), context.partition_key
    if not concerns(lake, log_id, step.layer):
        yield from passed_over(context)
        return
    read, settings = sources(lake, log_id, step.layer), step.settings(lake, log_id)
    base = newest_number(lake, log_id, step.layer)
    kept = None if config.rebuild else unchanged(lake, read, step.layer, settings)
    tables = published_tables(lake, kept) if kept else step.compute(lake, read, settings, base + 1)
    findings = audit(tables)
    failed = blocking(findings)
    if failed:
        context.log.error("Not published: %s", "; ".join(finding.message for finding in failed))
    elif not (kept and told_by_stream(context, kept)):
        record = kept or publish_or_retry(lake, read, step.layer, tables, settings=settings, base=base)
        yield from materializations(
            step.layer,
            common={
                "publication_read": ", ".join(record.reads.values()),
                "publication_written": record.publication_id,
                "unchanged": kept is not None,
                "seconds": round(perf_counter() - started, 3),
            },
            rows=record.rows,
            extra=shown(lake, record, tables),
        )
    # Last, since Dagster holds a check against the newest materialization before it: a check that came before what it
    # is about would count as one of what was there before, and the layers after this one would wait for it for ever.
    yield from check_results(findings)


def concerns(lake: Lake, log_id: str, layer: Layer) -> bool:
    """Tell whether a log has what a layer is made of: a feed of prices has no events, and other logs no ticks.

    A selection of a whole group asks for the layers of both.
    """
    return layer in log_layers(lake, log_id)


def passed_over(context: AssetExecutionContext) -> Iterator[AssetCheckResult]:
    """Give the checks of tables that a log does not have: nothing is wrong with them, and that is said."""
    context.log.info("Log %s has nothing that this is made of.", context.partition_key)
    for key in sorted(context.selected_asset_check_keys):
        yield AssetCheckResult(
            asset_key=key.asset_key, check_name=key.name, passed=True, description="This log has no such table."
        )
