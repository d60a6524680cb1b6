"""Gold: how long things take; and of the analysis, who does them and where they are delayed."""

from __future__ import annotations

from typing import Final

import polars as pl

from ocelake.tables.spec import (
    ACTIVITY,
    EVENT,
    LOG,
    OBJECT_TYPE,
    Column,
    TableSpec,
    count,
    instant,
    number,
    seconds,
    text,
)

__all__ = ["SPECS"]

SPECS: Final = (
    TableSpec(
        "gold",
        "event_performance",
        "gold",
        "One event, and how long after its predecessors (the event before, of each of its objects) it came.",
        (
            LOG,
            EVENT,
            ACTIVITY,
            instant("time", "When it happened.", required=True),
            seconds("sojourn", "Time since the last predecessor; null without predecessors"),
            seconds("synchronization", "From the first predecessor to the last; null without predecessors"),
            seconds("flow", "Time since the first predecessor, which is sojourn plus synchronization"),
            text("lagging_type", "The type of the object that the others waited for; null where none waited."),
            text("lagging_object", "That object: the first by type and id of those with the last predecessor."),
        ),
        key=("log_id", "event_id"),
        sort=("time", "event_id"),
    ),
    TableSpec(
        "gold",
        "activity_performance",
        "gold",
        "One performance measure of an activity, over all of its events that have it.",
        (
            LOG,
            ACTIVITY,
            text("object_type", "Of pooling, lagging and readiness; null for measures over all types."),
            text(
                "measure",
                "sojourn, synchronization, flow, pooling, lagging, readiness; waiting, working where the log tells.",
                required=True,
            ),
            count("events", "Events that have the measure.", required=True),
            seconds("sum", "Sum over events"),
            seconds("mean", "Mean over events"),
            seconds("min", "Least value"),
            seconds("median", "Median"),
            seconds("p90", "90% quantile"),
            seconds("p95", "95% quantile"),
            seconds("max", "Greatest value"),
        ),
        key=("log_id", "activity", "object_type", "measure"),
        sort=("activity", "object_type", "measure"),
    ),
    TableSpec(
        "gold",
        "edge_performance",
        "gold",
        "One directly-follows edge between completed activities: waiting against working time. Empty where no event "
        "tells when its work started.",
        (
            LOG,
            OBJECT_TYPE,
            text("source", "The activity that comes first.", required=True),
            text("target", "The activity that directly follows.", required=True),
            count("event_couples", "Distinct (event, event) pairs whose second event's work is known.", required=True),
            seconds("waiting_sum", "Time from the first event until the work of the second starts, over couples"),
            seconds("waiting_mean", "The same, mean over couples"),
            seconds("working_sum", "The rest: time that the second event was worked on since the first, over couples"),
            seconds("working_mean", "The same, mean over couples"),
        ),
        key=("log_id", "object_type", "source", "target"),
        sort=("object_type", "source", "target"),
    ),
    TableSpec(
        "gold",
        "work_times",
        "gold",
        "One activity instance: an event that completes work whose start is known.",
        (
            LOG,
            EVENT,
            ACTIVITY,
            text("start_event_id", "The event that started the work; null where an attribute tells the start."),
            instant("start_time", "When the work started.", required=True),
            instant("time", "When it was complete.", required=True),
            seconds("waiting", "From the last predecessor's completion to the start; null without predecessors"),
            seconds("working", "From the start to the completion"),
        ),
        key=("log_id", "event_id"),
        sort=("time", "event_id"),
    ),
    TableSpec(
        "gold",
        "resources",
        "analysis",
        "One resource: who or what does the events.",
        (
            LOG,
            text("resource", "Its name, or the id of its object.", required=True),
            count("events", "Events it does.", required=True),
            count("activities", "Distinct activities of them.", required=True),
            instant("first_time", "Its first event.", required=True),
            instant("last_time", "Its last event.", required=True),
            number("workload_share", "Its events, of all events that have a resource.", required=True),
            count("instances", "Activity instances of it whose working time is known.", required=True),
            seconds("busy", "Time in which at least one of these is worked on; null without any"),
            number("utilization", "Busy time, of the calendar time in which the log has events; null without any."),
        ),
        key=("log_id", "resource"),
        sort=("resource",),
    ),
    TableSpec(
        "gold",
        "handovers",
        "analysis",
        "Handover of work: one resource does an event, and another the object's next.",
        (
            LOG,
            OBJECT_TYPE,
            text("source", "The resource that hands over.", required=True),
            text("target", "The resource that goes on.", required=True),
            count("event_couples", "Distinct (event, event) pairs that directly follow each other.", required=True),
            seconds("duration_mean", "Mean time between the events of a pair"),
        ),
        key=("log_id", "object_type", "source", "target"),
        sort=("object_type", "source", "target"),
    ),
    TableSpec(
        "gold",
        "bottlenecks",
        "analysis",
        "One activity, or one cause of its delay, that is slower than in its fastest quarter. The causes of an "
        "activity add up to it, and the shares of all activities, or of all causes, to 1. Permanent objects "
        "(customers, products, machines) are left out: nobody waits for their last event.",
        (
            LOG,
            text(
                "kind",
                "activity; or the cause: synchronization (waits for the last object), waiting (for the work to start), "
                "working, sojourn (waiting and working, where the log does not tell them apart).",
                required=True,
            ),
            count("rank", "1 is the greatest delay, among activities or among causes.", required=True),
            text("object_type", "The type of the object that arrived last; null for an activity."),
            text("source", "The activity it arrived from; null for an activity."),
            ACTIVITY,
            count("occurrences", "Events that it is measured on.", required=True),
            seconds("mean", "Mean time"),
            seconds("typical", "Time within which the fastest quarter of the events is; null for an activity"),
            seconds("delay", "Sum over the events of the time beyond that"),
            Column("share", pl.Float64, "Of the delay of all events.", True),
            text("reason", "The same in a sentence.", required=True),
        ),
        key=("log_id", "kind", "object_type", "source", "activity"),
        sort=("rank", "kind", "activity"),
    ),
)
