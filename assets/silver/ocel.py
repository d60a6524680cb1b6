"""Bronze records to the OCEL 2.0 tables: typed, validated, de-duplicated; the rest in quarantine with its reason."""

from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any

from dagster import AssetCheckResult, AssetExecutionContext, MaterializeResult, MetadataValue, multi_asset

from assets.automation import ON_NEW_INPUT
from assets.building import concerns, passed_over
from assets.publishing import Rebuild, publish_or_retry, told_by_stream
from assets.specs import check_results, check_specs, layer_specs, materializations
from ocelake.lake import Lake
from ocelake.lake.audits import SILVER_CHECKS, audit_silver, blocking
from ocelake.lake.build import Content, newest_number, published_silver, sources, unchanged
from ocelake.lake.increment import compute_silver, known_types
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
    if not concerns(store, log_id, "silver"):
        yield from passed_over(context)
        return
    settings = store.settings.log(log_id)
    read = sources(store, log_id, "silver")
    bronze = read["bronze"]
    base = newest_number(store, log_id, "silver")
    kept = None if config.rebuild else unchanged(store, read, "silver", settings)
    tables: Mapping[str, Content] = {}
    if kept:
        findings = audit_silver(published_silver(store, kept), settings, known_types(store, log_id))
    else:
        computed = compute_silver(store, read, settings, whole=config.rebuild)
        tables, findings = computed.tables, computed.findings
    failed = blocking(findings)
    if failed:
        context.log.error("Not published: %s", "; ".join(finding.message for finding in failed))
    elif not (kept and told_by_stream(context, kept)):
        record = kept or publish_or_retry(store, read, "silver", tables, settings=settings, base=base)
        yield from materializations(
            "silver",
            common={
                "publication_read": bronze.publication_id,
                "publication_written": record.publication_id,
                "unchanged": kept is not None,
                "batches": store.read("silver.accounting", log_id, columns=["batch_id"])["batch_id"].n_unique(),
                "seconds": round(perf_counter() - started, 3),
            },
            rows=record.rows,
            extra={"silver.quarantine": {"by_reason": MetadataValue.md(_by_reason(store, log_id))}},
        )
    yield from check_results(findings)  # last, as in assets.building


def _by_reason(store: Lake, log_id: str) -> str:
    quarantine = store.read("silver.quarantine", log_id, columns=["record_kind", "reason"])
    counts = quarantine.group_by("record_kind", "reason").len().sort("len", "record_kind", "reason", descending=True)
    lines = [f"| {kind} | {reason} | {rows:,} |" for kind, reason, rows in counts.iter_rows()]
    return "\n".join(["| kind | reason | rows |", "| --- | --- | ---: |", *lines])
