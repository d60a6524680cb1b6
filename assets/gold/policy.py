"""What people declared about a log to how it is kept: rules, each a check of its own, and costs.

Which rules there are is read from the logs' files when the definitions are loaded. A rule that was added later is
checked by the next run all the same; its check shows once the code location is reloaded.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetsDefinition,
    MetadataValue,
    multi_asset,
)

from assets.automation import ON_NEW_INPUT_AT_TIMES
from assets.building import Events, build_layer
from assets.publishing import Rebuild
from assets.specs import asset_key, check_spec, check_specs, layer_specs
from ocelake.lake import Lake, PublicationRecord
from ocelake.lake.audits import POLICY_CHECKS, audit_policy
from ocelake.lake.build import STEPS
from ocelake.mining.constraints import Rule
from ocelake.ocel.audit import Finding
from resources import LakeResource

__all__ = ["policy_asset", "rule_check"]

_TABLE = "gold.rule_results"


def rule_check(name: str) -> str:
    """Give the name of a rule's check; no check of a table is called like it, whatever the rule is called."""
    return f"keeps_{name}"


def policy_asset(rules: Sequence[Rule]) -> AssetsDefinition:
    """Give the asset that holds logs to their rules and costs them.

    Parameters
    ----------
    rules : sequence of Rule
        The rules of all logs; one name is one check, whichever logs have it.
    """
    described: dict[str, list[str]] = {}
    for rule in rules:
        described.setdefault(rule.name, []).append(rule.description)
    checks = [
        check_spec(rule_check(name), _TABLE, description="; ".join(filter(None, dict.fromkeys(texts))))
        for name, texts in sorted(described.items())
    ]

    @multi_asset(
        name="policy",
        specs=layer_specs("policy", group="gold", automation=ON_NEW_INPUT_AT_TIMES),
        check_specs=[*check_specs(POLICY_CHECKS), *checks],
        pool="lake_policy",
    )
    def policy(context: AssetExecutionContext, config: Rebuild, lake: LakeResource) -> Events:
        """Hold a log to its rules, and cost it by its cost model."""
        yield from _policy(context, config, lake.open(), sorted(described))

    return policy


def _policy(context: AssetExecutionContext, config: Rebuild, lake: Lake, names: Sequence[str]) -> Events:
    results: list[AssetCheckResult] = []

    def audit(tables: Mapping[str, pl.DataFrame]) -> list[Finding]:
        results.extend(_rule_results(tables[_TABLE], names))  # told also where the layer is not published
        return audit_policy(tables)

    yield from build_layer(context, config, lake, STEPS["policy"], audit=audit, shown=_shown)
    yield from results


def _shown(lake: Lake, record: PublicationRecord, tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    return {_TABLE: {"results": MetadataValue.md(_as_markdown(tables[_TABLE]))}}


def _rule_results(found: pl.DataFrame, names: Sequence[str]) -> Iterator[AssetCheckResult]:
    """Give one result per check.

    A log that does not have a rule passes it, and that is said. A rule that could not be checked is a warning, whatever
    its severity: nothing is known to violate it.
    """
    by_name = {row["rule"]: row for row in found.iter_rows(named=True)}
    for name in names:
        row, metadata = by_name.get(name), dict[str, Any]()
        if row is None:
            said, passed = "This log has no such rule.", True
        elif row["problem"] is not None:
            said, passed = f"Not checked: {row['problem']}", False
        else:
            said = f"{row['violations']:,} of {row['candidates']:,} violate it; {row['pending']:,} are pending."
            passed = row["passed"]
            metadata = {part: row[part] for part in ("candidates", "violations", "pending")}
        error = row is not None and row["problem"] is None and row["severity"] == "error"
        yield AssetCheckResult(
            asset_key=asset_key(_TABLE),
            check_name=rule_check(name),
            passed=passed,
            severity=AssetCheckSeverity.ERROR if error else AssetCheckSeverity.WARN,
            description=said,
            metadata=metadata,
        )


def _as_markdown(found: pl.DataFrame) -> str:
    head = ["| rule | candidates | violations | pending | kept |", "| --- | ---: | ---: | ---: | --- |"]
    kept = {True: "yes", False: "no", None: "not checked"}
    rows = [
        f"| {rule} | {' | '.join('' if number is None else str(number) for number in numbers)} | {kept[passed]} |"
        for rule, *numbers, passed in found.select("rule", "candidates", "violations", "pending", "passed").iter_rows()
    ]
    return "\n".join([*head, *rows])
