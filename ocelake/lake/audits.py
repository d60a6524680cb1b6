"""The checks of a whole layer: each of its tables against the registry, and what has to hold across them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from ocelake.lake.build import silver_tables
from ocelake.ocel.audit import LOG_CHECKS, Check, Finding, audit_log, audit_table, table_checks
from ocelake.ocel.conform import Conformed
from ocelake.ocel.model import Ocel
from ocelake.settings import LogSettings
from ocelake.tables import TABLES, Layer, layer_tables

__all__ = ["GOLD_CHECKS", "SILVER_CHECKS", "audit_gold", "audit_silver", "blocking"]

_VARIANTS_COMPLETE: Final = Check(
    "trace_variants_complete",
    "gold.trace_variants",
    "error",
    "Every object of the log has one trace variant: their objects add up, type by type.",
)


def _table_checks(layer: Layer) -> tuple[Check, ...]:
    return tuple(check for spec in layer_tables(layer) for check in table_checks(spec))


SILVER_CHECKS: Final = (*_table_checks("silver"), *LOG_CHECKS)
GOLD_CHECKS: Final = (*_table_checks("gold"), _VARIANTS_COMPLETE)


def audit_silver(conformed: Conformed, settings: LogSettings, previous: Ocel | None = None) -> list[Finding]:
    """Check the staged silver tables of a log; one finding for each of `SILVER_CHECKS`.

    Parameters
    ----------
    conformed : Conformed
        The staged log.
    settings : LogSettings
        How the log is judged.
    previous : Ocel, optional
        What is published now, to tell new types by.
    """
    return [*_audit_tables(silver_tables(conformed)), *audit_log(conformed, settings, previous)]


def audit_gold(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """Check the staged gold tables of a log; one finding for each of `GOLD_CHECKS`."""
    by_type = tables["gold.object_summaries"].group_by("object_type").len("summaries")
    by_variant = tables["gold.trace_variants"].group_by("object_type").agg(pl.col("objects").sum())
    wrong = by_type.join(by_variant, on="object_type", how="full", coalesce=True).filter(
        pl.col("summaries").cast(pl.Int64).ne_missing(pl.col("objects"))
    )
    complete = Finding(
        check=_VARIANTS_COMPLETE.name,
        table=_VARIANTS_COMPLETE.table,
        passed=wrong.is_empty(),
        severity=_VARIANTS_COMPLETE.severity,
        message=_VARIANTS_COMPLETE.doc if wrong.is_empty() else f"They do not for {wrong['object_type'].to_list()}.",
        rows=wrong.height,
    )
    return [*_audit_tables(tables), complete]


def blocking(findings: list[Finding]) -> list[Finding]:
    """Give the findings that keep a layer from being published."""
    return [finding for finding in findings if finding.severity == "error" and not finding.passed]


def _audit_tables(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
    return [finding for identifier, frame in tables.items() for finding in audit_table(TABLES[identifier], frame)]
