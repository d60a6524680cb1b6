"""Bronze records to the OCEL 2.0 tables: typed, validated, de-duplicated; the rest in quarantine with its reason."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import polars as pl
from dagster import AssetCheckResult, AssetExecutionContext, MaterializeResult, MetadataValue, multi_asset

from assets.automation import ON_NEW_INPUT
from assets.publishing import Rebuild, publish_or_retry
from assets.specs import check_results, check_specs, layer_specs, materializations
from ocelake.lake import Lake
from ocelake.lake.audits import SILVER_CHECKS, audit_silver, blocking
from ocelake.lake.build import newest_number, published_silver, silver_frames, silver_tables, sources, unchanged
from ocelake.ocel.model import Ocel
from resources import LakeResource

__all__ = ["silver"]


@multi_asset(
    name="silver",
    specs=layer_specs("silver", automation=ON_NEW_INPUT),
    check_specs=check_specs(SILVER_CHECKS),
    pool="lake_silver",
)
def silver(
    context: AssetExecutionContext, config: Rebuild, lake: LakeResource
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    """Build the OCEL tables of a log from all its records, audit them, and publish them together or not at all."""
    started, store, log_id = perf_counter(), lake.open(), context.partition_key
    settings = store.settings.log(log_id)
    read = sources(store, log_id, "silver")
    bronze = read["bronze"]
    base = newest_number(store, log_id, "silver")
    kept = None if config.rebuild else unchanged(store, read, "silver", settings)
    conformed = published_silver(store, kept) if kept else silver_frames(store, log_id, bronze, settings)
    findings = audit_silver(conformed, settings, _known_types(store, log_id))
    failed = blocking(findings)
    if failed:
        context.log.error("Not published: %s", "; ".join(finding.message for finding in failed))
    else:
        record = kept or publish_or_retry(store, read, "silver", silver_tables(conformed), settings=settings, base=base)
        yield from materializations(
            "silver",
            common={
                "publication_read": bronze.publication_id,
                "publication_written": record.publication_id,
                "unchanged": kept is not None,
                "batch_ids": conformed.accounting["batch_id"].unique().sort().to_list(),
                "seconds": round(perf_counter() - started, 3),
            },
            rows=record.rows,
            extra={"silver.quarantine": {"by_reason": MetadataValue.md(_by_reason(conformed.quarantine))}},
        )
    yield from check_results(findings)  # last, as in assets.building


def _known_types(store: Lake, log_id: str) -> Ocel | None:
    """Give the types of the log as published now; None before the first time."""
    if store.latest(log_id, "silver") is None:
        return None
    return Ocel(
        event_types=store.read("ocel.event_types", log_id), object_types=store.read("ocel.object_types", log_id)
    )


def _by_reason(quarantine: pl.DataFrame) -> str:
    counts = quarantine.group_by("record_kind", "reason").len().sort("len", "record_kind", "reason", descending=True)
    lines = [f"| {kind} | {reason} | {rows:,} |" for kind, reason, rows in counts.iter_rows()]
    return "\n".join(["| kind | reason | rows |", "| --- | --- | ---: |", *lines])
