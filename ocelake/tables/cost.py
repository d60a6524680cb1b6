"""Policy: what executions cost, by the log's cost model (`ocelake.mining.cost.CostModel`); empty without one."""

from __future__ import annotations

from typing import Final

from ocelake.tables.spec import ACTIVITY, EVENT, LOG, OBJECT, OBJECT_TYPE, TableSpec, count, number, text

__all__ = ["SPECS"]

_VARIANT = text("variant_id", "The trace variant.", required=True)
_EXECUTION = text("execution_id", "The execution.", required=True)
_PARTS = (
    number("fixed", "By fixed rates of activity and resource.", required=True),
    number("work", "By hours and hourly rate.", required=True),
    number("stated", "By the values of attributes.", required=True),
)

SPECS: Final = (
    TableSpec(
        "gold",
        "event_costs",
        "policy",
        "What one event costs, in the cost model's currency.",
        (LOG, EVENT, ACTIVITY, *_PARTS, number("cost", "The sum.", required=True)),
        key=("log_id", "event_id"),
        sort=("event_id",),
    ),
    TableSpec(
        "gold",
        "object_costs",
        "policy",
        "What one object bears: an equal part of the cost of each of its events.",
        (LOG, OBJECT_TYPE, OBJECT, _VARIANT, number("cost", "What it bears.", required=True)),
        key=("log_id", "object_id"),
        sort=("object_type", "object_id"),
    ),
    TableSpec(
        "gold",
        "execution_costs",
        "policy",
        "What the events of one process execution cost.",
        (
            LOG,
            text("kind", "connected, or leading:TYPE.", required=True),
            _EXECUTION,
            count("events", "Events in it.", required=True),
            number("cost", "The sum over its events.", required=True),
        ),
        key=("log_id", "kind", "execution_id"),
        sort=("kind", "execution_id"),
    ),
    TableSpec(
        "gold",
        "variant_costs",
        "policy",
        "What the objects of one trace variant bear.",
        (
            LOG,
            OBJECT_TYPE,
            _VARIANT,
            count("objects", "Objects with this trace.", required=True),
            number("share", "Of the type's objects.", required=True),
            number("cost_sum", "Sum over its objects.", required=True),
            number("cost_mean", "Mean over its objects.", required=True),
            number("cost_min", "Least of its objects.", required=True),
            number("cost_max", "Greatest of its objects.", required=True),
        ),
        key=("log_id", "object_type", "variant_id"),
        sort=("object_type", "variant_id"),
    ),
    TableSpec(
        "gold",
        "savings",
        "policy",
        "What would be saved if the objects of one type all went through its best variant.",
        (
            LOG,
            OBJECT_TYPE,
            text("best_variant_id", "The frequent variant of least mean cost; null where none is frequent."),
            number("best_cost_mean", "Its mean cost an object."),
            count("objects", "Objects of the type.", required=True),
            count("objects_above", "Objects of variants that cost more on average; null without a best one."),
            number("cost_sum", "What the type's objects bear.", required=True),
            number("saving", "What would be saved; null without a best variant."),
            number("saving_share", "Of what they bear; null where that is nothing or less."),
            text("assumption", "What this supposes.", required=True),
        ),
        key=("log_id", "object_type"),
        sort=("object_type",),
    ),
    TableSpec(
        "gold",
        "cost_summary",
        "policy",
        "What one log costs, and what that rests on; no row without a cost model.",
        (
            LOG,
            text("currency", "As the cost model says.", required=True),
            number("cost", "Of all events.", required=True),
            *_PARTS,
            number("not_borne", "Of events that no bearing object takes part in.", required=True),
            count("events", "Events.", required=True),
            count("events_without_hours", "Events whose hours are not known; they cost no time.", required=True),
            count("events_without_resource", "Events whose resource is not known.", required=True),
            text("assumption", "What this supposes.", required=True),
            text("without_effect", "What of the cost model changes nothing, such as names that the log does not have."),
        ),
        key=("log_id",),
        sort=("log_id",),
    ),
)
