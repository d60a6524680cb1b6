"""Checking a log's rules: from rules and frames to the tables that are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.constraints import language
from ocelake.mining.constraints.counts import (
    check_event_objects,
    check_event_values,
    check_object_ends,
    check_object_events,
    check_object_objects,
    check_object_values,
)
from ocelake.mining.constraints.event_events import check_event_events
from ocelake.mining.constraints.language import Rule, Rules
from ocelake.mining.constraints.outcome import Members, Outcome
from ocelake.mining.constraints.selection import Log
from ocelake.mining.traces import Traces
from ocelake.tables import as_table

__all__ = ["check_rule", "rule_tables"]

_CHECKS: Final[Mapping[type, Callable[[Log, Any], Outcome]]] = {
    language.EventEvents: check_event_events,
    language.EventObjects: check_event_objects,
    language.EventValues: check_event_values,
    language.ObjectEvents: check_object_events,
    language.ObjectObjects: check_object_objects,
    language.ObjectEnds: check_object_ends,
    language.ObjectValues: check_object_values,
}


def rule_tables(rules: Rules, traces: Traces, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Check all rules of a log.

    Parameters
    ----------
    rules : Rules
    traces : Traces
        Of all objects and events of the log.
    tables : mapping of str to DataFrame
        Silver tables that the rules need: `ocel.event_attributes` and `ocel.object_attributes` (of the names in
        `attribute_names`), `ocel.object_objects` for O2O relations, `ocel.event_objects` for qualifiers.

    Returns
    -------
    dict of str to DataFrame
        `gold.rule_results`, in the order of the rules' names, and `gold.rule_violations`, without ``log_id``. A rule
        that names what the log does not have gives its ``problem``, and no other result.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "pay", "object_type": "orders", "sequence": 0}
    >>> traces = encode(pl.DataFrame([row | {"time": datetime(2024, 1, 1)}]))
    >>> rules = Rules(rules=[{"name": "starts", "for_each": "orders", "starts_with": "pay"}])
    >>> rule_tables(rules, traces, {})["gold.rule_results"].select("rule", "candidates", "passed").rows()
    [('starts', 1, True)]
    """
    log = Log(traces, tables)
    results: list[dict[str, object]] = []
    violations = [as_table("gold.rule_violations")]
    for rule in sorted(rules.rules, key=lambda rule: rule.name):
        result: dict[str, object] = {"rule": rule.name, "description": rule.description, "severity": rule.severity}
        try:
            outcome = check_rule(log, rule)
        except OcelakeError as problem:
            results.append(result | {"problem": str(problem)})
            continue
        found = len(outcome.details)
        share = found / outcome.candidates if outcome.candidates else None
        passed = (share or 0.0) <= rule.tolerance
        counts = {"candidates": outcome.candidates, "violations": found, "pending": outcome.pending}
        results.append(result | counts | {"share": share, "passed": passed})
        if found:
            violations.append(_violations(traces, rule, outcome))
    return {
        "gold.rule_results": pl.DataFrame(results, schema=as_table("gold.rule_results").schema),
        "gold.rule_violations": pl.concat(violations),
    }


def check_rule(log: Log, rule: Rule) -> Outcome:
    """Check one rule.

    Raises
    ------
    OcelakeError
        Where the rule names an activity, object type, attribute or qualifier that the log does not have.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "pay", "object_type": "orders", "sequence": 0}
    >>> log = Log(encode(pl.DataFrame([row | {"time": datetime(2024, 1, 1)}])), {})
    >>> check_rule(log, language.ObjectEvents(name="paid", for_each="orders", events="pay", count=2)).details.to_list()
    ['1 found, at least 2 asked for']
    """
    return _CHECKS[type(rule)](log, rule)


def _violations(traces: Traces, rule: Rule, outcome: Outcome) -> pl.DataFrame:
    number = np.arange(1, len(outcome.details) + 1)
    return pl.DataFrame(
        {
            "rule": pl.repeat(rule.name, len(number), eager=True),
            "violation": number,
            "event_ids": _lists(traces.event_ids, outcome.events, len(number)),
            "object_ids": _lists(traces.object_ids, outcome.objects, len(number)),
            "detail": outcome.details,
        },
        schema=as_table("gold.rule_violations").schema,
    )


def _lists(ids: pl.Series, members: Members, violations: int) -> pl.Series:
    """Give the ids of each violation's members."""
    lengths = np.bincount(members.violation, minlength=violations)
    if (lengths == 1).all():
        return ids.gather(members.code).reshape((violations, 1)).arr.to_list()
    listed = pl.DataFrame({"violation": members.violation.astype(np.int64), "id": ids.gather(members.code)})
    lists = listed.group_by("violation", maintain_order=True).agg("id")
    every = pl.DataFrame({"violation": np.arange(violations)})
    return every.join(lists, on="violation", how="left", maintain_order="left")["id"].fill_null([])
