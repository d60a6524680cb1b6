"""Windowed aggregates over rows with a time: tumbling, sliding and session windows, kept up to date as rows come late.

A window's aggregates are a function of the set of its rows, whatever their order and however they came: rows are
summed in the order of time, and among equal times of what is told to order them and of their values, so that two ways
to a window give the same bits. So a change is brought in by computing anew the windows that it touches, and those
alone (`refresh`); a session that it touches grows, shrinks, merges with its neighbours or splits.

What belongs elsewhere: which rows there are. A row that came twice is to be there once, a corrected one as it is now.

References
----------
Akidau et al.: The Dataflow Model (VLDB 2015), for the three kinds of windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["BOUNDS", "Refreshed", "Session", "Sliding", "Tumbling", "Window", "aggregate", "place", "refresh"]

BOUNDS: Final = ("window_start", "window_end")
"""Columns of a window: from its start, inclusive, to its end, exclusive."""

_ORIGIN: Final = datetime(1970, 1, 5, tzinfo=UTC)
"""A Monday's midnight, from which windows are counted: hours, days and weeks begin where people expect it."""

_ROW: Final = "row"


@dataclass(frozen=True, slots=True)
class Tumbling:
    """Windows of one length, one after the other."""

    length: timedelta


@dataclass(frozen=True, slots=True)
class Sliding:
    """Windows of one length that begin a step apart: a row is in several where the step is shorter."""

    length: timedelta
    step: timedelta


@dataclass(frozen=True, slots=True)
class Session:
    """Rows of which each comes less than ``gap`` after the one before; the window ends ``gap`` after the last."""

    gap: timedelta


Window: TypeAlias = Tumbling | Sliding | Session


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a change of rows does to windows.

    Attributes
    ----------
    gone : DataFrame
        Keys, ``window_start`` and ``window_end`` of the windows that are no longer as they were.
    made : DataFrame
        The windows in their place, as `aggregate` gives them.

    Examples
    --------
    >>> nothing = pl.DataFrame()
    >>> Refreshed(gone=nothing, made=nothing).made.height
    0
    """

    gone: pl.DataFrame
    made: pl.DataFrame

    def apply(self, before: pl.DataFrame) -> pl.DataFrame:
        """Give the windows as they are now, in the order of keys and time."""
        named = list(self.gone.columns)
        kept = before.join(self.gone, on=named, how="anti")
        return pl.concat([kept, self.made.select(before.columns)]).sort(named)


def place(rows: pl.DataFrame, window: Window, *, keys: Sequence[str] = ()) -> pl.DataFrame:
    """Give the rows with the window that they are in, once for each where there are several.

    Parameters
    ----------
    rows : DataFrame
        Columns ``time`` (UTC microseconds, not null) and the keys (not null).
    window : Window
        Which windows there are.
    keys : sequence of str
        Each of their values has sessions of its own.

    Examples
    --------
    >>> rows = pl.DataFrame({"time": [datetime(2024, 1, 1, 0, 7, tzinfo=UTC)]})
    >>> starts = place(rows, Sliding(timedelta(minutes=10), timedelta(minutes=5)))["window_start"]
    >>> [start.minute for start in starts.sort()]
    [0, 5]
    """
    start, end = BOUNDS
    time = pl.col("time")
    match window:
        case Tumbling(length):
            placed = rows.with_columns(_begin(length).alias(start))
            return placed.with_columns((pl.col(start) + length).alias(end))
        case Sliding(length, step):
            latest = rows.with_columns(_begin(step).alias(start))
            shifts = -(-length // step)
            found = pl.concat([latest.with_columns(pl.col(start) - step * back) for back in range(shifts)])
            return found.with_columns((pl.col(start) + length).alias(end)).filter(time < pl.col(end))
        case Session(gap):
            ordered = rows.sort(*keys, "time")
            parted = (time - time.shift() >= gap).fill_null(True)
            for key in keys:
                parted |= pl.col(key) != pl.col(key).shift()
            session = parted.cum_sum()
            return ordered.with_columns(
                time.min().over(session).alias(start), (time.max().over(session) + gap).alias(end)
            )


def _begin(every: timedelta) -> pl.Expr:
    """Give the last multiple of a duration that is not after the time."""
    since = (pl.col("time") - _ORIGIN).dt.total_microseconds()
    return pl.col("time") - pl.duration(microseconds=since.mod(every // timedelta(microseconds=1)))


def aggregate(
    rows: pl.DataFrame,
    window: Window,
    measures: Sequence[str] = (),
    *,
    keys: Sequence[str] = (),
    order: Sequence[str] = (),
    quantiles: Sequence[float] = (),
) -> pl.DataFrame:
    """Aggregate the rows of every window that has any.

    Parameters
    ----------
    rows : DataFrame
        Columns ``time`` (UTC microseconds), the keys, the measures (numbers, finite or null) and ``order``.
    window : Window
        Which windows there are.
    measures : sequence of str
        What is described; nulls are left out.
    keys : sequence of str
        Each of their values has windows of its own.
    order : sequence of str
        Columns that order rows of one time, to tell the first and the last: a sequence, an offset.
    quantiles : sequence of float
        Such as 0.5 and 0.95; exact, interpolated linearly.

    Returns
    -------
    DataFrame
        The keys, `BOUNDS`, ``rows``, and for each measure ``<measure>_count``, ``_sum``, ``_mean``, ``_min``, ``_max``,
        ``_std`` (of a sample: null for fewer than two), ``_first``, ``_last`` and ``_q<percent>``; sorted.

    Examples
    --------
    >>> times = [datetime(2024, 1, 1, 0, minute, tzinfo=UTC) for minute in (1, 4, 7)]
    >>> rows = pl.DataFrame({"time": times, "price": [2.0, 5.0, 3.0]})
    >>> found = aggregate(rows, Tumbling(timedelta(minutes=5)), ["price"], quantiles=[0.5])
    >>> found.select("rows", "price_first", "price_max", "price_last", "price_q50").rows()
    [(2, 2.0, 5.0, 5.0, 3.5), (1, 3.0, 3.0, 3.0, 3.0)]
    """
    return _aggregate(place(rows, window, keys=keys), measures, keys, order, quantiles)


def refresh(
    before: pl.DataFrame,
    rows: pl.DataFrame | pl.LazyFrame,
    changed: pl.DataFrame,
    window: Window,
    measures: Sequence[str] = (),
    *,
    keys: Sequence[str] = (),
    order: Sequence[str] = (),
    quantiles: Sequence[float] = (),
) -> Refreshed:
    """Compute anew the windows that a change touches.

    Parameters
    ----------
    before : DataFrame
        The windows as they were: the keys and `BOUNDS` at least.
    rows : DataFrame or LazyFrame
        All rows as they are now; read around the changed times only.
    changed : DataFrame
        Keys and ``time`` of every row that was added, taken away or has other values; more of them do no harm.
    window, measures, keys, order, quantiles
        As in `aggregate`.

    Returns
    -------
    Refreshed
        Applied to the windows as they were, it gives what `aggregate` gives for the rows as they are now, to the bit.

    Examples
    --------
    >>> times = [datetime(2024, 1, 1, 0, minute, tzinfo=UTC) for minute in (1, 4, 9)]
    >>> rows = pl.DataFrame({"time": times, "price": [2.0, 5.0, 3.0]})
    >>> window = Session(timedelta(minutes=4))
    >>> before = aggregate(rows[::2], window, ["price"])
    >>> refresh(before, rows, rows[1:2], window, ["price"]).apply(before).select("rows", "price_sum").rows()
    [(2, 7.0), (1, 3.0)]
    """
    at, bounds = [*keys, "time"], [*keys, *BOUNDS]
    points = changed.select(at).unique()
    touched = (
        _touched_sessions(before.select(bounds), points, window.gap, keys)
        if isinstance(window, Session)
        else place(points, window, keys=keys).select(bounds).unique()
    )
    near = _near(rows.lazy(), points, touched, keys)
    if isinstance(window, Session):
        # What is less than a gap from a changed row was in a session that is touched: what is left out joins nothing.
        inside = _in_sessions(near, touched, keys)
        placed = place(near.filter(inside | _among(near, points, at)), window, keys=keys)
    else:
        placed = place(near, window, keys=keys).join(touched, on=bounds, how="semi")
    gone = before.select(bounds).join(touched, on=bounds, how="semi").sort(bounds)
    return Refreshed(gone, _aggregate(placed, measures, keys, order, quantiles))


def _near(rows: pl.LazyFrame, points: pl.DataFrame, touched: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Read the rows of the touched keys, from the earliest touched time to the latest."""
    if points.is_empty():
        return rows.clear().collect()
    start, end = BOUNDS
    first = min(_known(points["time"].min(), touched[start].min()))
    last = max(_known(points["time"].max(), touched[end].max()))
    for key in keys:
        rows = rows.filter(pl.col(key).is_in(points[key].unique().to_list()))
    return rows.filter(pl.col("time").is_between(first, last)).collect()


def _known(*times: Any) -> list[datetime]:
    return [time for time in times if time is not None]


def _touched_sessions(
    sessions: pl.DataFrame, points: pl.DataFrame, gap: timedelta, keys: Sequence[str]
) -> pl.DataFrame:
    """Give the sessions that have one of the points, or are less than a gap from it.

    Sessions of a key do not overlap and are a gap long at least: for each point there is one at most that began before
    it, and one at most that begins within a gap after it.
    """
    start, end = BOUNDS
    by = list(keys) or None
    ordered, times = sessions.sort(start).with_columns(pl.col(start).alias("begin")), points.sort("time")
    before = times.join_asof(ordered, left_on="time", right_on="begin", by=by, check_sortedness=False)
    after = times.join_asof(
        ordered, left_on="time", right_on="begin", by=by, strategy="forward", check_sortedness=False
    )
    found = [
        before.filter(pl.col("time") < pl.col(end)),
        after.filter(pl.col(start) - pl.col("time") < gap),
    ]
    return pl.concat([part.select(sessions.columns) for part in found]).unique()


def _in_sessions(rows: pl.DataFrame, sessions: pl.DataFrame, keys: Sequence[str]) -> pl.Series:
    """Tell which rows are in one of the sessions."""
    start, end = BOUNDS
    numbered = rows.select(*keys, "time").with_row_index(_ROW).sort("time")
    found = numbered.join_asof(
        sessions.sort(start), left_on="time", right_on=start, by=list(keys) or None, check_sortedness=False
    )
    return found.sort(_ROW).select((pl.col("time") < pl.col(end)).fill_null(False)).to_series()


def _among(rows: pl.DataFrame, points: pl.DataFrame, at: Sequence[str]) -> pl.Series:
    """Tell which rows are at one of the points."""
    marked = rows.select(at).join(points.with_columns(found=True), on=at, how="left", maintain_order="left")
    return marked["found"].fill_null(False)


def _aggregate(
    placed: pl.DataFrame,
    measures: Sequence[str],
    keys: Sequence[str],
    order: Sequence[str],
    quantiles: Sequence[float],
) -> pl.DataFrame:
    bounds = [*keys, *BOUNDS]
    ordered = placed.select(list(dict.fromkeys([*bounds, "time", *order, *measures]))).sort(pl.all())
    of = ordered.select(pl.struct(bounds).rle_id().cast(pl.Int64)).to_series().to_numpy()
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    described = {
        f"{measure}_{name}": values
        for measure in measures
        for name, values in _describe(ordered[measure], of, len(starts), quantiles).items()
    }
    rows = np.diff(starts, append=len(of)).astype(np.int64)
    return ordered.select(bounds)[starts].with_columns(pl.Series("rows", rows), **described)


def _describe(
    measure: pl.Series, window: npt.NDArray[Any], windows: int, quantiles: Sequence[float]
) -> dict[str, pl.Series]:
    """Describe the values of each window; they come window by window, in order.

    By numpy: its sum over a stretch depends on that stretch alone, those of Polars on how a frame is cut among threads.
    """
    known = measure.is_not_null().to_numpy()
    value, of = measure.drop_nulls().cast(pl.Float64).to_numpy(), window[known]
    count = np.bincount(of, minlength=windows)
    filled = np.flatnonzero(count)
    size = count[filled]
    start = np.cumsum(size) - size

    def spread(values: npt.NDArray[np.float64]) -> pl.Series:
        wide = np.full(windows, np.nan)
        wide[filled] = values
        return pl.Series(wide, nan_to_null=True)

    if not len(filled):
        names = ("sum", "mean", "min", "max", "std", "first", "last", *map(_percent, quantiles))
        return {"count": pl.Series(count, dtype=pl.Int64)} | {name: spread(np.empty(0)) for name in names}
    total = np.add.reduceat(value, start)
    mean = total / size
    squares = np.add.reduceat((value - np.repeat(mean, size)) ** 2, start)
    deviation = np.sqrt(np.divide(squares, size - 1, out=np.full(len(size), np.nan), where=size > 1))
    ranked = value[np.lexsort((value, of))]
    found = {
        "sum": total,
        "mean": mean,
        "min": np.minimum.reduceat(value, start),
        "max": np.maximum.reduceat(value, start),
        "std": deviation,
        "first": value[start],
        "last": value[start + size - 1],
    }
    for quantile in quantiles:
        at = quantile * (size - 1)
        low = np.floor(at).astype(np.int64)
        below, above = ranked[start + low], ranked[start + np.minimum(low + 1, size - 1)]
        found[_percent(quantile)] = below + (above - below) * (at - low)
    return {"count": pl.Series(count, dtype=pl.Int64)} | {name: spread(values) for name, values in found.items()}


def _percent(quantile: float) -> str:
    """Name a quantile's column.

    Examples
    --------
    >>> _percent(0.5), _percent(0.999)
    ('q50', 'q99.9')
    """
    return f"q{quantile * 100:g}"
