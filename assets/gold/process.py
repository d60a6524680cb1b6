"""The OCEL 2.0 tables to the process: its object-centric directly-follows graph, variants, executions, numbers."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

from dagster import AssetCheckResult, AssetExecutionContext, MaterializeResult, multi_asset

from assets.automation import ON_NEW_INPUT
from assets.publishing import Rebuild, publish_or_retry
from assets.specs import check_results, check_specs, layer_specs, materializations, picture
from ocelake.draw import draw_ocdfg, draw_timeline, draw_variants
from ocelake.lake.audits import GOLD_CHECKS, audit_gold, blocking
from ocelake.lake.build import gold_frames, latest_or_fail, newest_number, published_tables, unchanged
from resources import LakeResource

__all__ = ["gold"]


@multi_asset(
    name="gold",
    specs=layer_specs("gold", automation=ON_NEW_INPUT),
    check_specs=check_specs(GOLD_CHECKS),
    pool="lake_gold",
)
def gold(
    context: AssetExecutionContext, config: Rebuild, lake: LakeResource
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    """Mine a log's OCEL tables, audit the result, publish it together or not at all, and draw it."""
    started, store, log_id = perf_counter(), lake.open(), context.partition_key
    silver = latest_or_fail(store, log_id, "silver")
    base = newest_number(store, log_id, "gold")
    kept = None if config.rebuild else unchanged(store, silver, "gold")
    tables = published_tables(store, kept) if kept else gold_frames(store, log_id, silver)
    findings = audit_gold(tables)
    yield from check_results(findings)
    failed = blocking(findings)
    if failed:
        context.log.error("Not published: %s", "; ".join(finding.message for finding in failed))
        return
    record = kept or publish_or_retry(store, silver, "gold", tables, base=base)
    events = store.read("ocel.events", log_id, as_of=silver.publication_id, columns=["activity", "time"])
    ocdfg = picture(draw_ocdfg(tables["gold.ocdfg_nodes"], tables["gold.ocdfg_edges"]), "OC-DFG")
    variants = picture(draw_variants(tables["gold.trace_variants"]), "Top variants")
    timeline = picture(draw_timeline(events), "Events over time")
    pictures = {
        "gold.ocdfg_nodes": ocdfg,
        "gold.ocdfg_edges": ocdfg,
        "gold.trace_variants": variants,
        "gold.object_summaries": variants,
        "gold.log_summary": timeline,
        "ocel.process_executions": timeline,
        "ocel.execution_events": timeline,
        "ocel.execution_objects": variants,
    }
    yield from materializations(
        "gold",
        common={
            "publication_read": silver.publication_id,
            "publication_written": record.publication_id,
            "unchanged": kept is not None,
            "seconds": round(perf_counter() - started, 3),
        },
        rows=record.rows,
        extra={identifier: {"picture": shown} for identifier, shown in pictures.items()},
    )
