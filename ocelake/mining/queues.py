"""Where objects will wait: how many after each activity, for every hour of the week ahead.

An object waits after an activity until its next event. How many do so is foretold in three ways, and for each activity
the way is taken that would have been best in the weeks before, each of them foretold from what was known at its begin:

- stays: as many as now;
- rhythm: as many as in the same hour of the weeks before;
- flow: those that wait now, and as many arrivals as in the same hour of the weeks before, leave at the rate at which
  they left in that hour (a fluid queue with as many servers as it takes).

References
----------
Senderovich, Weidlich, Gal, Mandelbaum: Queue mining for delay prediction in multi-class service processes (Information
Systems 53, 2015): queues from event data, and predictors by the state of the system or by its history.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.times import instants
from ocelake.mining.traces import Traces
from ocelake.tables import as_table

__all__ = ["Visits", "bottleneck_forecast", "choose", "find_visits", "foretell", "waiting"]

_HOUR: Final = 3_600_000_000
_WEEK: Final = 168
_WEEKS: Final = 8
_TRIED: Final = 4
_PATIENCE: Final = 0.99
_FEW: Final = 0.05
_NEVER: Final = np.iinfo(np.int64).max

Numbers = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """The time from each step of an object to its next one.

    Attributes
    ----------
    place : int array
        Where it waits: the code of its type times the number of activities, plus that of the activity it did last.
    places : int
        How many of these codes there are.
    enter, leave : int64 array
        Microseconds since 1970; the greatest number where there is no next step.

    Examples
    --------
    >>> visits = Visits(np.zeros(2, dtype=int), 1, np.array([10, 20]), np.array([30, 40]))
    >>> visits.as_of(35).leave.tolist()[0], visits.as_of(15).enter.tolist()
    (30, [10])
    """

    place: npt.NDArray[np.int64]
    places: int
    enter: Times
    leave: Times

    def as_of(self, time: int) -> Visits:
        """Give what is known before an instant."""
        known = self.enter < time
        left = np.where(self.leave < time, self.leave, _NEVER)
        return Visits(self.place[known], self.places, self.enter[known], left[known])


def find_visits(traces: Traces, flowing: Collection[str]) -> Visits:
    """Give the visits of all objects of some types.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"object_id": "o", "object_type": "orders", "sequence": 0}
    >>> steps = [("place", 1), ("pay", 2)]
    >>> rows = [row | {"event_id": name, "activity": name, "time": datetime(1970, 1, 1, hour)} for name, hour in steps]
    >>> found = find_visits(encode(pl.DataFrame(rows)), ["orders"])
    >>> found.place.tolist(), (found.enter // 3_600_000_000).tolist(), bool(found.leave[0] == found.enter[1])
    ([1, 0], [1, 2], True)
    """
    chosen = traces.object_types.is_in(list(flowing)).to_numpy()[traces.object_type[traces.step_object]]
    enter = traces.event_time[traces.step_event]
    leave = np.full(len(enter), _NEVER)
    goes_on = np.flatnonzero(traces.step_object[1:] == traces.step_object[:-1])
    leave[goes_on] = enter[goes_on + 1]
    width = len(traces.activities)
    place = traces.object_type[traces.step_object].astype(np.int64) * width + traces.step_activity
    return Visits(place[chosen], len(traces.object_types) * width, enter[chosen], leave[chosen])


def _weights(visits: Visits, now: int) -> Numbers:
    """Say how far each visit counts, of what is known now.

    One that ended counts 1. One that has not may be an object's last: it counts as the share of those at its place that
    went on; and not at all once it has lasted longer than 99% of those that ended there.
    """
    left = visits.leave < _NEVER
    lasted = pl.DataFrame({"place": visits.place, "lasted": np.where(left, visits.leave, now) - visits.enter})
    longest = lasted.filter(pl.Series(left)).group_by("place").agg(pl.col("lasted").quantile(_PATIENCE, "higher"))
    patience = np.full(visits.places, -1.0)
    patience[longest["place"].to_numpy()] = longest["lasted"].to_numpy()
    over = ~left & (lasted["lasted"].to_numpy() > patience[visits.place])
    ended = np.bincount(visits.place[left], minlength=visits.places)
    went_on = ended / np.maximum(ended + np.bincount(visits.place[over], minlength=visits.places), 1)
    return np.where(left, 1.0, np.where(over, 0.0, went_on[visits.place]))


def waiting(visits: Visits, now: int, start: int, hours: int) -> tuple[Numbers, Numbers, Numbers]:
    """Count who waits at the begin of each hour, who comes in it and who leaves in it, of what is known now.

    Parameters
    ----------
    visits : Visits
    now, start : int
        Microseconds since 1970.
    hours : int
        From ``start`` on.

    Returns
    -------
    tuple of float array
        Of shape (places, hours + 1), (places, hours) and (places, hours). Visits that may be an object's last count in
        part.

    Examples
    --------
    >>> hour = 3_600_000_000
    >>> visits = Visits(np.array([0, 0]), 1, np.array([0, hour]), np.array([2 * hour, 3 * hour]))
    >>> waiting(visits, 4 * hour, 0, 4)[0].tolist()
    [[0.0, 1.0, 2.0, 1.0, 0.0]]
    """
    known = visits.as_of(now)
    weights = _weights(known, now)
    here = (known.enter < start) & (known.leave >= start)
    before = np.bincount(known.place[here], weights[here], known.places)

    def counted(times: Times) -> Numbers:
        inside = (times >= start) & (times < start + hours * _HOUR)
        cell = known.place[inside] * hours + (times[inside] - start) // _HOUR
        # Of nothing, numpy gives whole numbers.
        counts = np.bincount(cell, weights[inside], known.places * hours).astype(np.float64)
        return counts.reshape(known.places, hours)

    came, left = counted(known.enter), counted(known.leave)
    there = before[:, None] + np.concatenate([np.zeros((known.places, 1)), np.cumsum(came - left, axis=1)], axis=1)
    return np.maximum(there, 0.0), came, left  # sums of parts may fall below zero by their last digit


def foretell(visits: Visits, now: int, weeks: int) -> Mapping[str, Numbers]:
    """Foretell who waits at the begin of each hour of a week, in each way, from what is known now.

    Parameters
    ----------
    visits : Visits
        Of these, what is before now.
    now : int
        Microseconds since 1970, the first hour's begin.
    weeks : int
        So many before now are looked at.

    Returns
    -------
    dict of str to float array
        By the way's name, of shape (places, 168).

    Examples
    --------
    >>> hour, week = 3_600_000_000, 168 * 3_600_000_000
    >>> came = np.array([10 * hour, week + 10 * hour])  # at the same hour of two weeks, for two hours
    >>> said = foretell(Visits(np.zeros(2, dtype=int), 1, came, came + 2 * hour), 2 * week, 2)
    >>> {way: expected[0, 11:13].tolist() for way, expected in said.items()}
    {'stays': [0.0, 0.0], 'rhythm': [1.0, 1.0], 'flow': [1.0, 1.0]}
    """
    there, came, left = waiting(visits, now, now - weeks * _WEEK * _HOUR, weeks * _WEEK)
    shape = (visits.places, weeks, _WEEK)
    at_begin = there[:, :-1].reshape(shape)
    arrivals, leaving = came.reshape(shape), left.reshape(shape).sum(axis=1)
    might_leave = (at_begin + arrivals).sum(axis=1)
    rate = np.divide(leaving, might_leave, out=np.zeros_like(leaving), where=might_leave > 0).clip(0, 1)
    usual = arrivals.mean(axis=1)
    flow, present = np.empty((visits.places, _WEEK)), there[:, -1]
    for hour in range(_WEEK):
        flow[:, hour] = present
        present = (present + usual[:, hour]) * (1 - rate[:, hour])
    return {"stays": np.repeat(there[:, -1:], _WEEK, axis=1), "rhythm": at_begin.mean(axis=1), "flow": flow}


def choose(visits: Visits, now: int, first: int) -> tuple[Mapping[str, Numbers], npt.NDArray[np.int64], Numbers, int]:
    """Foretell a week in each way, and choose one for each place by how they would have done in the weeks before.

    Parameters
    ----------
    visits : Visits
        What is known now.
    now, first : int
        Microseconds since 1970: the forecast's first hour, and the log's begin, at least a week before.

    Returns
    -------
    tuple
        As `foretell`; the place of the chosen way among them, for each place; its mean absolute error in the weeks that
        were tried (0 without any); and how many these were.

    Examples
    --------
    >>> hour, week = 3_600_000_000, 168 * 3_600_000_000
    >>> came = np.arange(4) * week + 10 * hour
    >>> visits = Visits(np.zeros(4, dtype=int), 1, came, came + 2 * hour)
    >>> said, ways, errors, weeks = choose(visits, 4 * week, 0)
    >>> list(said)[ways[0]], errors.tolist(), weeks
    ('rhythm', [0.0], 3)
    """
    begins = [now - back * _WEEK * _HOUR for back in range(_TRIED + 1)]
    weeks = [min(_WEEKS, (begin - first) // (_WEEK * _HOUR)) for begin in begins]
    ahead = foretell(visits, now, weeks[0])
    tried = [(begin, number) for begin, number in zip(begins[1:], weeks[1:], strict=True) if number > 0]
    errors = np.zeros((len(ahead), visits.places))
    for begin, number in tried:
        came_true = waiting(visits, now, begin, _WEEK)[0][:, :-1]
        for way, said in enumerate(foretell(visits, begin, number).values()):
            errors[way] += np.abs(said - came_true).mean(axis=1) / len(tried)
    best = errors.argmin(axis=0)
    return ahead, best, errors[best, np.arange(visits.places)], len(tried)


def bottleneck_forecast(traces: Traces, flowing: Collection[str]) -> pl.DataFrame:
    """Say how many objects are to be expected to wait after each activity, in the week after the log's last event.

    Parameters
    ----------
    traces : Traces
    flowing : collection of str
        The object types that cases are made of: those of `ocelake.features.flowing_types`.

    Returns
    -------
    DataFrame
        As `gold.bottleneck_forecast`; hours and places in which hardly any are expected, or usual, and logs shorter
        than a week, have no rows.

    Examples
    --------
    >>> from datetime import UTC, datetime, timedelta
    >>> from ocelake.mining.traces import encode
    >>> mondays = [datetime(2024, 1, 1, 9, tzinfo=UTC) + timedelta(weeks=week) for week in range(5)]
    >>> steps = {"place": timedelta(0), "pay": timedelta(days=1)}
    >>> relations = pl.DataFrame(
    ...     [
    ...         (f"{activity}{week}", f"o{week}", activity, "orders", monday + later, 0)
    ...         for week, monday in enumerate(mondays)
    ...         for activity, later in steps.items()
    ...     ],
    ...     schema=["event_id", "object_id", "activity", "object_type", "time", "sequence"],
    ...     orient="row",
    ... )
    >>> found = bottleneck_forecast(encode(relations), ["orders"])
    >>> found.select("activity", "expected", "usual", "method", "error").unique().row(0), found.height
    (('place', 1.0, 1.0, 'rhythm', 0.0), 24)
    """
    visits = find_visits(traces, flowing)
    if not len(visits.enter):
        return as_table("gold.bottleneck_forecast")
    first, now = int(visits.enter.min()), (int(traces.event_time.max()) // _HOUR + 1) * _HOUR
    if now - first < _WEEK * _HOUR:
        return as_table("gold.bottleneck_forecast")
    ahead, best, errors, tried = choose(visits, now, first)
    expected = np.stack(list(ahead.values()))[best, np.arange(visits.places)]
    # Where nobody ever went on, objects have ended and do not wait.
    place, hour = np.nonzero((expected >= _FEW) | (ahead["rhythm"] >= _FEW))
    width = len(traces.activities)
    found = pl.DataFrame(
        {
            "object_type": traces.object_types.gather(place // width),
            "activity": traces.activities.gather(place % width),
            "hour": instants(now + hour * _HOUR),
            "expected": expected[place, hour],
            "usual": ahead["rhythm"][place, hour],
            "method": pl.Series(list(ahead), dtype=pl.String).gather(best[place]),
            "error": pl.Series(errors[place] if tried else [None] * len(place), dtype=pl.Float64),
            "weeks": np.full(len(place), tried),
        }
    )
    return as_table("gold.bottleneck_forecast", found)
