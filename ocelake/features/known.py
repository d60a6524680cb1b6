"""Counting what was there as of an event: everything is at a rank in the order of events, and counts up to it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ocelake.mining.traces import Codes, Traces

__all__ = ["Ranks", "active", "counted_by", "events_within", "rolling_mean"]

Ranks = npt.NDArray[np.int64]


def counted_by(
    owner: Ranks | Codes, rank: Ranks | Codes, asked_owner: Ranks | Codes, asked_rank: Ranks | Codes
) -> Ranks:
    """Count each owner's entries whose rank is at most the one asked.

    Parameters
    ----------
    owner, rank : integer arrays
        The entries; ranks below 2**31.
    asked_owner, asked_rank : integer arrays
        The questions.

    Examples
    --------
    >>> ones = np.array([1, 1, 2])
    >>> counted_by(ones, np.array([5, 7, 6]), np.array([1, 1, 2]), np.array([6, 7, 5])).tolist()
    [1, 2, 0]
    """
    entries = np.sort((owner.astype(np.int64) << 32) | rank)
    upto = np.searchsorted(entries, (asked_owner.astype(np.int64) << 32) | asked_rank, side="right")
    before = np.searchsorted(entries, asked_owner.astype(np.int64) << 32, side="left")
    return (upto - before).astype(np.int64)


def events_within(traces: Traces, window: int) -> Ranks:
    """Count the events in the window that ends with each event, itself included.

    Parameters
    ----------
    traces : Traces
    window : int
        In microseconds.
    """
    opens = np.searchsorted(traces.event_time, traces.event_time - window, side="right")
    return (np.arange(len(opens)) - opens + 1).astype(np.int64)


def active(traces: Traces, steps: slice, window: int) -> Ranks:
    """Count, as of each event, the objects with a step in the window that ends with it.

    Parameters
    ----------
    traces : Traces
    steps : slice
        Those of the objects in question, whole traces.
    window : int
        In microseconds.

    Notes
    -----
    A step makes its object active until the object's next step, which does so itself, or until the window has passed.
    Only what lies at or before an event is counted there, so that the next step has no say before it happens.
    """
    count = len(traces.event_ids)
    event = traces.step_event[steps].astype(np.int64)
    owner = traces.step_object[steps]
    passed = np.searchsorted(traces.event_time, traces.event_time[event] + window, side="left")
    next_event = np.append(event[1:], count)
    same = np.append(owner[1:] == owner[:-1], False)
    ends = np.minimum(passed, np.where(same, next_event, count))
    change = np.bincount(event, minlength=count + 1) - np.bincount(ends, minlength=count + 1)
    return np.cumsum(change)[:count].astype(np.int64)


def rolling_mean(
    values: npt.NDArray[np.float64], group: npt.NDArray[np.int32], order: Ranks, size: int
) -> npt.NDArray[np.float64]:
    """Give, for each value, the mean of its group's last ``size`` values up to it; NaN values are passed over.

    Parameters
    ----------
    values : float64 array
    group : int32 array
    order : int64 array
        Positions of the values in the order in which they became known.
    size : int

    Examples
    --------
    >>> values, group = np.array([1.0, 3.0, np.nan, 8.0]), np.zeros(4, dtype=np.int32)
    >>> rolling_mean(values, group, np.arange(4), 2).tolist()
    [1.0, 2.0, 2.0, 5.5]
    """
    found = np.full(len(values), np.nan)
    grouped = order[np.argsort(group[order], kind="stable")]
    bounds = np.flatnonzero(np.diff(group[grouped], prepend=-1, append=-1))
    for first, last in pairwise(bounds):
        members = grouped[first:last]
        known = ~np.isnan(values[members])
        sums = np.concatenate(([0.0], np.cumsum(values[members][known])))
        upto = np.cumsum(known)
        low = np.maximum(upto - size, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[members] = (sums[upto] - sums[low]) / (upto - low)
    return found
