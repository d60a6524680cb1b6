"""When a layer is built without a click.

A layer is requested for a log when any table that it reads was materialized anew for that log, unless one of those
tables has a failed blocking check, or is being built right now, or the layer itself is. `AutomationCondition.eager`
knows nothing of blocking checks, and would also build a new log's gold before its silver exists.

A layer that is computed as a whole is requested at most once every five minutes, since a log that streams in has new
input all the time. What came meanwhile is not forgotten: it is taken with the next request.
"""

from __future__ import annotations

from typing import Final

from dagster import AutomationCondition

__all__ = ["ON_NEW_INPUT", "ON_NEW_INPUT_AT_TIMES", "ON_NEW_INPUT_ONCE_THERE"]

_TOLD_BY_STREAM: Final = (
    # Every run of a log has its partition for a tag; what a stream reports is of no run, and is the newest there is.
    AutomationCondition.newly_updated() & ~AutomationCondition.executed_with_tags(tag_keys={"dagster/partition"})
).with_label("a stream has published it")

_CHANGED: Final = (
    (AutomationCondition.any_deps_updated() | AutomationCondition.newly_missing())
    # Only a request settles it: a batch that lands while the layer is being built is not in what is built.
    .since(AutomationCondition.newly_requested() | AutomationCondition.initial_evaluation() | _TOLD_BY_STREAM)
    .with_label("a table it reads changed")
)

_READY: Final = (
    ~AutomationCondition.any_deps_missing()
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
    & AutomationCondition.all_deps_blocking_checks_passed()
)

_TURN: Final = (
    # A log that is new does not wait for the clock. And the turn stays until it is taken: were it over at once, a log
    # with a layer in progress at every full five minutes would never have one.
    (AutomationCondition.cron_tick_passed("*/5 * * * *") | AutomationCondition.newly_missing())
    .since(AutomationCondition.newly_requested())
    .with_label("not requested in these five minutes")
)

ON_NEW_INPUT: Final = (_CHANGED & _READY).with_label("on new input, once its checks passed")

ON_NEW_INPUT_AT_TIMES: Final = (_CHANGED & _TURN & _READY).with_label(
    "on new input, once its checks passed, at most every five minutes"
)

ON_NEW_INPUT_ONCE_THERE: Final = (~AutomationCondition.missing() & ON_NEW_INPUT_AT_TIMES).with_label(
    "where it was built before: on new input, once its checks passed, at most every five minutes"
)
"""Of what not every log wants: predictions begin with a training that somebody asks for."""
