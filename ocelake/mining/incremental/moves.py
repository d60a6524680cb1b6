"""From the traces of one publication to those of the next: what moved, what came, what went.

A batch inserts events and objects anywhere in the orders that their codes stand for, so that most codes move. `Moves`
holds where each event, object and step of the old traces is in the new ones, and back. Whatever is computed of the
traces can then be compared by arithmetic on codes: what did not move relative to its neighbours did not change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ocelake.mining.traces import Codes

__all__ = ["Moves"]

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Where the events, objects and steps of old traces are in new ones.

    An event is the same only with the same id, activity, time and sequence, an object with the same id and type, a step
    with the same event and object; else the old one went and a new one came. The order of those that stayed is kept.

    Attributes
    ----------
    event, object, step : int32 or int64 array, one per old event, object, step
        Its rank, code or position in the new traces; -1 where it went. Ascending but for the -1.
    event_before, object_before, step_before : array, one per new event, object, step
        The same the other way round; -1 where it is new.
    touched_events : bool array, one per new event
        Events that are new, or that an object joined or left.
    touched_objects : bool array, one per new object
        Objects that are new, or whose trace has another step than before.
    """

    event: Codes
    object: Codes
    step: Positions
    event_before: Codes
    object_before: Codes
    step_before: Positions
    touched_events: Mask
    touched_objects: Mask
