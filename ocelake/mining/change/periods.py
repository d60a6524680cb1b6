"""The process per period: its OC-DFG, and key figures of each object type.

An edge counts in the period of its second event, an object ends in the period of its last event.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.ocdfg import follows, in_seconds, label_edges, label_nodes, steps
from ocelake.mining.traces import Codes, Traces
from ocelake.tables import as_table

__all__ = ["Length", "Periods", "period_tables", "split_periods"]

Length: TypeAlias = Literal["auto", "day", "week", "month", "quarter", "year"]

_EVERY: Final = {"day": "1d", "week": "1w", "month": "1mo", "quarter": "1q", "year": "1y"}
_READABLE: Final = 24
"""Periods that ``auto`` makes at most, where a year is short enough for that."""

_MOST: Final = 20_000
"""Periods of a log at most: each has rows for all object types, those without events as well."""

_LAST: Final = pl.datetime(9999, 12, 31, 23, 59, 59, 999_999, time_unit="us", time_zone="UTC")
"""Where a period ends that would end in the year 10,000, which Python's datetime does not have."""


@dataclass(frozen=True, slots=True, eq=False)
class Periods:
    """Calendar periods (UTC) that a log's events fall into, empty ones in between included.

    Attributes
    ----------
    length : str
        day, week (from Monday), month, quarter or year.
    starts : Series of Datetime("us", "UTC")
        Where each begins, ascending.
    ends : Series of Datetime("us", "UTC")
        Where the next one begins.
    of_event : int32 array, one per event
        Position of the period, by event rank; never falls.
    """

    length: str
    starts: pl.Series
    ends: pl.Series
    of_event: Codes


def split_periods(traces: Traces, length: Length = "auto") -> Periods:
    """Split the time of a log into calendar periods.

    Parameters
    ----------
    length : str
        ``auto`` takes the shortest that makes 24 periods or fewer, else years.

    Raises
    ------
    OcelakeError
        Where there would be more than 20,000 periods, as where one event's time is far off.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> two = {"event_id": ["d", "e"], "object_id": ["o"] * 2, "activity": ["a"] * 2, "object_type": ["order"] * 2}
    >>> traces = encode(pl.DataFrame({**two, "time": [datetime(2024, 1, 5), datetime(2024, 3, 1)], "sequence": [0, 0]}))
    >>> split_periods(traces, "month").of_event.tolist()
    [0, 2]
    >>> split_periods(traces).length
    'week'
    """
    times = pl.Series(traces.event_time).cast(pl.Datetime("us", "UTC"))
    if times.is_empty():
        none = pl.Series([], dtype=pl.Datetime("us", "UTC"))
        return Periods("day" if length == "auto" else length, none, none, np.empty(0, dtype=np.int32))
    bounds = times.gather([0, -1])
    chosen: str = length
    if length == "auto":
        chosen = next((name for name in _EVERY if len(_starts(bounds, name)) <= _READABLE), "year")
    starts = _starts(bounds, chosen)
    if len(starts) > _MOST:
        raise OcelakeError(
            f"From the first event ({bounds[0]:%Y-%m-%d}) to the last ({bounds[1]:%Y-%m-%d}) there are "
            f"{len(starts):,} periods of a {chosen}; more than {_MOST:,} are not made.",
            fix="Correct the times that are far off, or set a longer period, or auto, in the log's mining settings.",
        )
    position = np.searchsorted(starts.to_physical().to_numpy(), traces.event_time, side="right") - 1
    ends = pl.DataFrame({"start": starts}).select(
        pl.min_horizontal(pl.col("start").dt.offset_by(_EVERY[chosen]), _LAST)
    )
    return Periods(chosen, starts, ends.to_series(), position.astype(np.int32))


def _starts(bounds: pl.Series, length: str) -> pl.Series:
    """Give the starts of the periods from the first time to the last."""
    first, last = bounds.dt.truncate(_EVERY[length])
    return pl.datetime_range(first, last, _EVERY[length], time_unit="us", eager=True)


def period_tables(traces: Traces, periods: Periods) -> dict[str, pl.DataFrame]:
    """Describe every period.

    Returns
    -------
    dict of str to DataFrame
        ``gold.period_activities``, ``gold.period_edges`` and ``gold.period_kpis``.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> two = {"event_id": ["d", "e"], "object_id": ["o"] * 2, "activity": ["a"] * 2, "object_type": ["order"] * 2}
    >>> traces = encode(pl.DataFrame({**two, "time": [datetime(2024, 1, 5), datetime(2024, 3, 1)], "sequence": [0, 0]}))
    >>> found = period_tables(traces, split_periods(traces, "month"))["gold.period_kpis"]
    >>> found.filter(object_type="order").select("started", "ended", "in_progress").rows()
    [(1, 0, 1), (0, 0, 1), (0, 1, 0)]
    """
    step = steps(traces).with_columns(pl.Series("period", periods.of_event[traces.step_event]))
    nodes = step.group_by("period", "node").agg(
        events=pl.col("event").n_unique(), unique_objects=pl.col("object").n_unique(), total_objects=pl.len()
    )
    triples = follows(traces)
    target = (triples["couple"].to_numpy() & 0xFFFFFFFF).astype(np.int64)
    edges = (
        triples.with_columns(pl.Series("period", periods.of_event[target]))
        .group_by("period", "edge")
        .agg(
            event_couples=pl.col("couple").n_unique(),
            unique_objects=pl.col("object").n_unique(),
            total_objects=pl.len(),
            duration_mean=_mean("duration"),
            duration_median=pl.col("duration").median(),
        )
    )
    number = pl.Series(range(len(periods.starts)), dtype=pl.Int32)
    start = pl.DataFrame({"period": number, "period_start": periods.starts})
    return {
        "gold.period_activities": label_nodes(traces, nodes).join(start, on="period").drop("period"),
        "gold.period_edges": in_seconds(label_edges(traces, edges)).join(start, on="period").drop("period"),
        "gold.period_kpis": _kpis(traces, periods),
    }


def _mean(name: str) -> pl.Expr:
    """Take a mean of whole numbers through their sum, which is the same in any order."""
    return pl.col(name).cast(pl.Int128).sum().cast(pl.Float64) / pl.len()


def _kpis(traces: Traces, periods: Periods) -> pl.DataFrame:
    """Give the key figures of each period: of all events, and of each type's objects."""
    count = len(periods.starts)
    frames = [
        as_table("gold.period_kpis"),
        pl.DataFrame(
            {
                "period_start": periods.starts,
                "period_end": periods.ends,
                "object_type": pl.Series([None] * count, dtype=pl.String),
                "events": np.bincount(periods.of_event, minlength=count),
            }
        ),
    ]
    period_of_step = periods.of_event[traces.step_event]
    bounds = np.searchsorted(traces.object_type, np.arange(len(traces.object_types) + 1))
    for kind, (low, high) in enumerate(pairwise(bounds)):
        offsets = traces.offsets[low : high + 1]
        frames.append(_type_kpis(traces, periods, period_of_step, offsets, traces.object_types[kind]))
    return pl.concat(frames, how="diagonal_relaxed")


def _type_kpis(
    traces: Traces, periods: Periods, period_of_step: Codes, offsets: npt.NDArray[np.int64], kind: str
) -> pl.DataFrame:
    count = len(periods.starts)
    taken = slice(offsets[0], offsets[-1])
    occupied = np.flatnonzero(np.diff(offsets) > 0)
    first, last = offsets[:-1][occupied], offsets[1:][occupied] - 1
    started = np.bincount(period_of_step[first], minlength=count)
    ended = np.bincount(period_of_step[last], minlength=count)
    own = pl.DataFrame(
        {"period": period_of_step[taken], "event": traces.step_event[taken], "object": traces.step_object[taken]}
    )
    active = own.group_by("period").agg(events=pl.col("event").n_unique(), objects=pl.col("object").n_unique())
    cycle = traces.event_time[traces.step_event[last]] - traces.event_time[traces.step_event[first]]
    cycles = in_seconds(
        pl.DataFrame({"period": period_of_step[last], "cycle": cycle})
        .group_by("period")
        .agg(duration_mean=_mean("cycle"), duration_median=pl.col("cycle").median())
    )
    return (
        pl.DataFrame(
            {
                "period": pl.Series(range(count), dtype=pl.Int32),
                "period_start": periods.starts,
                "period_end": periods.ends,
                "object_type": [kind] * count,
                "started": started,
                "ended": ended,
                "in_progress": np.cumsum(started) - np.cumsum(ended),
            }
        )
        .join(active, on="period", how="left")
        .join(cycles.rename(lambda name: name.replace("duration", "cycle_time")), on="period", how="left")
        .with_columns(pl.col("events", "objects").fill_null(0))
        .drop("period")
    )
