"""Live figures: events and what they measure, by windows of time."""

from __future__ import annotations

from typing import Final

from ocelake.tables.spec import LOG, TableSpec, count, instant, number, text

SPECS: Final = (
    TableSpec(
        "gold",
        "event_windows",
        "kpis",
        "One measure of the events in one window of time; windows without events have no row.",
        (
            LOG,
            text("name", "Which windows: their name in `logs/<log>.kpis.yaml`.", required=True),
            text("activity", "Whose events; null where the windows are over all activities."),
            text("measure", "The event attribute; null where only events are counted."),
            instant("window_start", "The window's begin, inclusive; of a session its first event.", required=True),
            instant("window_end", "Its end, exclusive; of a session the gap after its last event.", required=True),
            count("events", "Events in the window.", required=True),
            count("count", "Those that have the measure."),
            number("sum", "Of the measure's values."),
            number("mean", "Of the measure's values."),
            number("min", "The least value."),
            number("median", "Of the measure's values."),
            number("p95", "95% quantile of the measure's values."),
            number("max", "The greatest value."),
            number("first", "The value of the first event that has one."),
            number("last", "The value of the last event that has one."),
        ),
        key=("log_id", "name", "activity", "measure", "window_start"),
        sort=("name", "window_start", "activity", "measure"),
        file_rows=65_536,
    ),
)
