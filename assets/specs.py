"""From the table registry to Dagster: one asset spec per table, its checks, its column schema and lineage."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import polars as pl
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetDep,
    AssetKey,
    AssetSpec,
    AutomationCondition,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    PreviewWarning,
    TableColumn,
    TableColumnConstraints,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)

from assets.partitions import LOGS
from ocelake.ocel.audit import Check, Finding
from ocelake.pictures import as_markdown
from ocelake.tables import TABLES, Layer, TableSpec, cost, layer_tables

__all__ = [
    "asset_key",
    "check_results",
    "check_spec",
    "check_specs",
    "layer_specs",
    "materializations",
    "picture",
    "table_specs",
]

OWNERS: Final = ["team:process-mining"]

_FRESH: Final = FreshnessPolicy.time_window(fail_window=timedelta(days=7), warn_window=timedelta(days=1))
"""Gold of some log is published every day where logs come in; a stream does so every few seconds."""

_FRESH_LAYERS: Final = ("gold", "analysis", "kpis", "bars")

_TRACES: Final = ("ocel.events", "ocel.event_objects", "ocel.objects")
"""What traces are made of."""

_LINEAGE: Final[Mapping[str, tuple[str, ...]]] = {
    "ocel.events": ("bronze.event_records",),
    "ocel.objects": ("bronze.object_records",),
    "ocel.event_objects": ("bronze.event_records", "bronze.object_records"),
    "ocel.object_objects": ("bronze.object_records",),
    "ocel.event_attributes": ("bronze.event_records",),
    "ocel.object_attributes": ("bronze.object_records",),
    "ocel.event_types": ("bronze.event_records", "bronze.batches"),
    "ocel.object_types": ("bronze.object_records", "bronze.batches"),
    "ocel.event_type_attributes": ("bronze.event_records", "bronze.batches"),
    "ocel.object_type_attributes": ("bronze.object_records", "bronze.batches"),
    "ocel.log_metadata": ("bronze.batches",),
    "silver.quarantine": ("bronze.event_records", "bronze.object_records", "bronze.batches"),
    "silver.accounting": ("bronze.event_records", "bronze.object_records"),
    "gold.ocdfg_nodes": ("ocel.event_objects", "ocel.events"),
    "gold.ocdfg_edges": ("ocel.event_objects",),
    "gold.trace_variants": ("ocel.event_objects", "ocel.objects"),
    "gold.object_summaries": ("ocel.event_objects", "ocel.objects"),
    "gold.log_summary": (
        "ocel.events",
        "ocel.objects",
        "ocel.event_objects",
        "ocel.object_objects",
        "ocel.event_attributes",
        "ocel.object_attributes",
        "ocel.event_types",
        "ocel.object_types",
        "silver.quarantine",
    ),
    "gold.execution_variants": _TRACES,
    "gold.event_performance": _TRACES,
    **dict.fromkeys(
        (
            "gold.activity_performance",
            "gold.edge_performance",
            "gold.work_times",
            "gold.resources",
            "gold.handovers",
            "gold.bottlenecks",
        ),
        (*_TRACES, "ocel.event_attributes"),
    ),
    "gold.type_relations": (*_TRACES, "ocel.object_objects"),
    "gold.type_graph": (*_TRACES, "ocel.object_objects"),
    **dict.fromkeys(
        (
            "gold.period_activities",
            "gold.period_edges",
            "gold.period_kpis",
            "gold.process_changes",
            "gold.drift_points",
        ),
        _TRACES,
    ),
    **dict.fromkeys((spec.identifier for spec in layer_tables("model")), _TRACES),
    **dict.fromkeys(
        ("gold.rule_results", "gold.rule_violations"),
        (*_TRACES, "ocel.object_objects", "ocel.event_attributes", "ocel.object_attributes"),
    ),
    **dict.fromkeys(
        (spec.identifier for spec in cost.SPECS), (*_TRACES, "ocel.event_attributes", "ocel.execution_events")
    ),
    "gold.event_windows": ("ocel.events", "ocel.event_attributes"),
    **dict.fromkeys(
        (spec.identifier for spec in layer_tables("features")),
        (*_TRACES, "ocel.object_objects", "ocel.event_attributes", "ocel.object_attributes"),
    ),
    **dict.fromkeys(
        (spec.identifier for spec in layer_tables("models")),
        ("features.columns", "features.prefixes", "features.labels"),
    ),
    "models.champions": ("models.tasks",),
    **dict.fromkeys(
        ("gold.predictions", "gold.early_warnings"),
        ("features.columns", "features.prefixes", "features.labels", "models.champions"),
    ),
    "gold.demand_forecast": ("ocel.events",),
    "gold.bottleneck_forecast": _TRACES,
    "gold.anomalies": ("ocel.events", "features.columns", "features.prefixes", "features.labels"),
    "models.monitoring": ("features.columns", "features.prefixes", "features.labels", "models.champions"),
    "silver.prices": ("bronze.price_ticks",),
    "silver.price_quarantine": ("bronze.price_ticks",),
    "silver.price_accounting": ("bronze.price_ticks",),
    "gold.price_bars": ("silver.prices",),
    "gold.price_anomalies": ("silver.prices",),
    "ocel.process_executions": ("ocel.events", "ocel.event_objects", "ocel.objects"),
    "ocel.execution_events": ("ocel.event_objects", "ocel.events"),
    "ocel.execution_objects": ("ocel.event_objects", "ocel.objects"),
}
"""The tables that a table is computed from; bronze tables come from files."""

_SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "object_id": ("object_id", "relationships", "event_id"),
    "source_id": ("object_id",),
    "target_id": ("relationships",),
    "qualifier": ("relationships",),
    "name": ("attributes", "declarations", "metadata"),
    "value": ("attributes", "metadata"),
    "value_type": ("attributes", "declarations"),
    "value_float": ("attributes",),
    "value_time": ("attributes",),
    "ordinal": ("attributes",),
    "initial": ("attributes",),
    "time_ambiguous": ("time",),
    "time": ("time", "attributes"),
    "activity": ("activity", "declarations"),
    "object_type": ("object_type", "declarations"),
    "inferred": ("declared",),
    "raw": ("raw",),
    "reason": ("defect", "declared"),
    "source": ("source", "activity"),
    "target": ("activity",),
    "activities": ("activity", "time", "sequence"),
    "variant_id": ("activity", "time", "sequence"),
    "execution_id": ("object_id", "event_id"),
    "first_time": ("time",),
    "last_time": ("time",),
    **dict.fromkeys(
        ("open", "high", "low", "close", "mean", "prices", "log_return", "average_short", "average_long", "volatility"),
        ("price",),
    ),
}
"""Names of the columns that a column comes from, where its own name does not say it."""


def asset_key(identifier: str) -> AssetKey:
    """Give the asset key of a table: its namespace and its name."""
    return AssetKey(identifier.split("."))


def layer_specs(
    layer: Layer, *, group: str | None = None, automation: AutomationCondition[Any] | None = None
) -> list[AssetSpec]:
    """Give the asset specs of all tables that one publication of a layer writes; their group is the layer's name."""
    return table_specs(layer_tables(layer), group=group or layer, automation=automation)


def table_specs(
    tables: Iterable[TableSpec], *, group: str, automation: AutomationCondition[Any] | None = None
) -> list[AssetSpec]:
    """Give the asset specs of some tables."""
    return [
        AssetSpec(
            asset_key(table.identifier),
            deps=[AssetDep(asset_key(name)) for name in _LINEAGE.get(table.identifier, ())],
            description=f"{table.doc}\n\nKey: {', '.join(table.key)}.",
            group_name=group,
            skippable=True,
            partitions_def=LOGS,
            automation_condition=automation,
            freshness_policy=_FRESH if table.layer in _FRESH_LAYERS else None,
            owners=OWNERS,
            kinds={"iceberg", "polars"},
            metadata={
                "dagster/column_schema": _column_schema(table),
                "dagster/table_name": table.identifier,
            },
        )
        for table in tables
    ]


def check_specs(checks: Iterable[Check]) -> list[AssetCheckSpec]:
    """Give the check specs, partitioned by log: a good run of one log must not hide a bad one of another."""
    return [
        check_spec(check.name, check.table, description=check.doc, blocking=check.severity == "error")
        for check in checks
    ]


def check_spec(name: str, identifier: str, *, description: str, blocking: bool = False) -> AssetCheckSpec:
    """Give the spec of one check on a table, partitioned by log."""
    with warnings.catch_warnings():  # partitioned checks are a preview of Dagster's, and what we need
        warnings.simplefilter("ignore", PreviewWarning)
        return AssetCheckSpec(
            name, asset=asset_key(identifier), description=description, blocking=blocking, partitions_def=LOGS
        )


def check_results(findings: Sequence[Finding]) -> list[AssetCheckResult]:
    """Give the results of the checks that an audit made."""
    return [
        AssetCheckResult(
            asset_key=asset_key(finding.table or ""),
            check_name=finding.check,
            passed=finding.passed,
            severity=AssetCheckSeverity.ERROR if finding.severity == "error" else AssetCheckSeverity.WARN,
            description=finding.message,
            metadata={"rows": finding.rows},
        )
        for finding in findings
    ]


def materializations(
    layer: Layer,
    *,
    common: Mapping[str, Any],
    rows: Mapping[str, int],
    extra: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[MaterializeResult[Any]]:
    """Give a materialization for each table of a layer that was written, with its rows, lineage, and what is common."""
    return [
        MaterializeResult(
            asset_key=asset_key(table.identifier),
            metadata={
                **common,
                "dagster/row_count": rows[table.identifier],
                "dagster/column_lineage": _column_lineage(table),
                **(extra or {}).get(table.identifier, {}),
            },
        )
        for table in layer_tables(layer)
        if table.identifier in rows
    ]


def picture(svg: str, title: str) -> MetadataValue:
    """Give an SVG as metadata that the UI shows as a picture."""
    return MetadataValue.md(as_markdown(svg, title))


def _column_schema(table: TableSpec) -> TableSchema:
    return TableSchema(
        [
            TableColumn(
                column.name,
                type=_type_name(column.dtype),
                description=column.doc,
                constraints=TableColumnConstraints(nullable=not column.required),
                tags={"key": ""} if column.name in table.key else None,
            )
            for column in table.columns
        ]
    )


def _type_name(dtype: Any) -> str:
    names: Mapping[Any, str] = {
        pl.String: "string",
        pl.Int64: "long",
        pl.Int32: "int",
        pl.Float64: "double",
        pl.Float32: "float",
        pl.Boolean: "boolean",
        pl.Datetime: "timestamptz",
    }
    if isinstance(dtype, pl.List):
        return f"list<{_type_name(dtype.inner)}>"
    if isinstance(dtype, pl.Struct):
        return f"struct<{', '.join(f'{field.name}: {_type_name(field.dtype)}' for field in dtype.fields)}>"
    return names[dtype if isinstance(dtype, type) else type(dtype)]


def _column_lineage(table: TableSpec) -> TableColumnLineage:
    deps: dict[str, list[TableColumnDep]] = {}
    for column in table.columns:
        found = [
            TableColumnDep(asset_key(source), name)
            for source in _LINEAGE.get(table.identifier, ())
            for name in _SOURCES.get(column.name, (column.name,))
            if name in TABLES[source].schema
        ]
        if found:
            deps[column.name] = found
    return TableColumnLineage(deps)
