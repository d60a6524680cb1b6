"""Analysis: the process per period, what changed, and when."""

from __future__ import annotations

from typing import Final

import polars as pl

from ocelake.tables.spec import ACTIVITY, LOG, OBJECT_TYPE, Column, TableSpec, count, instant, number, seconds, text

__all__ = ["SPECS"]

_START = instant("period_start", "Where the period begins.", required=True)

SPECS: Final = (
    TableSpec(
        "gold",
        "period_activities",
        "analysis",
        "One activity of one object type in one period.",
        (
            LOG,
            _START,
            OBJECT_TYPE,
            ACTIVITY,
            count("events", "Distinct events.", required=True),
            count("unique_objects", "Distinct objects.", required=True),
            count("total_objects", "Distinct (event, object) pairs.", required=True),
        ),
        key=("log_id", "period_start", "object_type", "activity"),
        sort=("period_start", "object_type", "activity"),
    ),
    TableSpec(
        "gold",
        "period_edges",
        "analysis",
        "One edge of the object-centric directly-follows graph in the period of its second event.",
        (
            LOG,
            _START,
            OBJECT_TYPE,
            text("source", "The activity that comes first.", required=True),
            text("target", "The activity that directly follows.", required=True),
            count("event_couples", "Distinct (event, event) pairs.", required=True),
            count("unique_objects", "Distinct objects.", required=True),
            count("total_objects", "Distinct (event, event, object) triples.", required=True),
            seconds("duration_mean", "Mean duration over triples"),
            seconds("duration_median", "Median duration over triples"),
        ),
        key=("log_id", "period_start", "object_type", "source", "target"),
        sort=("period_start", "object_type", "source", "target"),
    ),
    TableSpec(
        "gold",
        "period_kpis",
        "analysis",
        "Key figures of one object type in one period, or of all events.",
        (
            LOG,
            _START,
            instant("period_end", "Where the next one begins.", required=True),
            text("object_type", "The object type; null for all events of the log."),
            count("events", "Distinct events.", required=True),
            count("objects", "Objects with an event in it."),
            count("started", "Objects whose first event is in it."),
            count("ended", "Objects whose last event is in it."),
            count("in_progress", "Objects that started until its end and have an event after it."),
            seconds("cycle_time_mean", "Mean over objects that ended in it, first to last event"),
            seconds("cycle_time_median", "Median over objects that ended in it, first to last event"),
        ),
        key=("log_id", "period_start", "object_type"),
        sort=("period_start", "object_type"),
    ),
    TableSpec(
        "gold",
        "process_changes",
        "analysis",
        "One activity or edge of one object type in the last whole period with events, against the one with events "
        "before it; where the log has only two, in the second, whole or not, against the first.",
        (
            LOG,
            instant("before_start", "Where the earlier period begins.", required=True),
            instant("after_start", "Where the later period begins.", required=True),
            text("element", "activity or edge.", required=True),
            OBJECT_TYPE,
            text("source", "The activity that comes first; null where the element is an activity."),
            ACTIVITY,
            text("occurrence", "appeared, vanished, more, less or same.", required=True),
            text("duration", "slower, faster or same; null where one of the two has none."),
            count("objects_before", "Distinct objects, earlier.", required=True),
            count("objects_after", "Distinct objects, later.", required=True),
            number("share_before", "Of the type's objects, earlier; null without any."),
            number("share_after", "Of the type's objects, later; null without any."),
            number("occurrence_effect", "Cohen's h of the shares; above 0 where the later is greater."),
            number("occurrence_p", "Fisher's exact test, corrected over the whole comparison."),
            seconds("duration_mean_before", "Mean over distinct event couples, earlier"),
            seconds("duration_mean_after", "Mean over distinct event couples, later"),
            seconds("duration_median_before", "Median over distinct event couples, earlier"),
            seconds("duration_median_after", "Median over distinct event couples, later"),
            number("duration_effect", "Cliff's delta, -1 to 1; above 0 where the later takes longer."),
            number("duration_p", "Mann-Whitney test, corrected over the whole comparison."),
        ),
        key=("log_id", "element", "object_type", "source", "activity"),
        sort=("element", "object_type", "source", "activity"),
    ),
    TableSpec(
        "gold",
        "drift_points",
        "analysis",
        "One point in time at which the trace variants of an object type changed.",
        (
            LOG,
            OBJECT_TYPE,
            instant("time", "First event of the first object after the point.", required=True),
            count("position", "That object's position among its type's, by first event.", required=True),
            count("window", "Objects compared before and after it.", required=True),
            number("p_value", "Chi-square test of homogeneity, corrected over all candidates.", required=True),
            number("effect", "Cramér's V, 0 to 1.", required=True),
            Column("activities", pl.List(pl.String), "The variant whose share changed most.", True),
            number("share_before", "Its share before.", required=True),
            number("share_after", "Its share after.", required=True),
        ),
        key=("log_id", "object_type", "position"),
        sort=("object_type", "position"),
    ),
)
