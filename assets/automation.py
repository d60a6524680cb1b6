"""When a layer is built without a click.

A layer is requested for a log when any table that it reads was materialized anew for that log, unless one of those
tables has a failed blocking check, or is being built right now, or the layer itself is. `AutomationCondition.eager`
knows nothing of blocking checks, and would also build a new log's gold before its silver exists.
"""

from __future__ import annotations

from typing import Final

from dagster import AutomationCondition

__all__ = ["ON_NEW_INPUT"]

ON_NEW_INPUT: Final = (
    (AutomationCondition.any_deps_updated() | AutomationCondition.newly_missing())
    # Only a request settles it: a batch that lands while the layer is being built is not in what is built.
    .since(AutomationCondition.newly_requested() | AutomationCondition.initial_evaluation())
    .with_label("a table it reads changed")
    & ~AutomationCondition.any_deps_missing()
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
    & AutomationCondition.all_deps_blocking_checks_passed()
).with_label("on new input, once its checks passed")
