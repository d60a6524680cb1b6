"""What moves between two states of a log's traces, by joins on ids: slow and obvious."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.incremental import Moves
from ocelake.mining.traces import Traces

__all__ = ["moves_between"]


def moves_between(before: Traces, after: Traces) -> Moves:
    """Match events by id, activity and time, objects by id and type, steps by event and object.

    Of events that changed their order (the sequence was corrected) so many went that the others kept it.
    """
    event, event_before = matched(events_of(before), events_of(after))
    thing, thing_before = matched(objects_of(before), objects_of(after))
    steps = [
        pl.DataFrame({"event": ranks[traces.step_event], "object": codes[traces.step_object]})
        for traces, ranks, codes in (
            (before, event, thing),
            (after, np.arange(len(event_before)), np.arange(len(thing_before))),
        )
    ]
    step, step_before = matched(*steps)
    touched_events, touched_objects = event_before < 0, thing_before < 0
    for traces, place, events, things in (
        (after, step_before, np.arange(len(event_before)), np.arange(len(thing_before))),
        (before, step, event, thing),
    ):
        changed = place < 0
        for touched, ends in (
            (touched_events, events[traces.step_event[changed]]),
            (touched_objects, things[traces.step_object[changed]]),
        ):
            touched[ends[ends >= 0]] = True
    return Moves(
        event,
        thing,
        step,
        event_before,
        thing_before,
        step_before,
        *(
            matched(pl.DataFrame({"name": old}), pl.DataFrame({"name": new}))[0]
            for old, new in ((before.activities, after.activities), (before.object_types, after.object_types))
        ),
        touched_events,
        touched_objects,
    )


def events_of(traces: Traces) -> pl.DataFrame:
    activities = traces.activities.gather(traces.event_activity)
    return pl.DataFrame({"id": traces.event_ids, "activity": activities, "time": traces.event_time})


def objects_of(traces: Traces) -> pl.DataFrame:
    return pl.DataFrame({"id": traces.object_ids, "type": traces.object_types.gather(traces.object_type)})


def matched(before: pl.DataFrame, after: pl.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give where equal rows are, both ways; of pairs that cross, the later ones are left out."""
    pairs = (
        before.with_row_index("old")
        .join(after.with_row_index("new"), on=before.columns)
        .sort("old")
        .filter(pl.col("new").cum_max().shift(fill_value=0) <= pl.col("new"))
    )
    to, back = np.full(len(before), -1), np.full(len(after), -1)
    to[pairs["old"].to_numpy()] = pairs["new"].to_numpy()
    back[pairs["new"].to_numpy()] = pairs["old"].to_numpy()
    return to, back
