"""What happens when, in bins: the numbers of dotted charts, performance spectra and heat maps of waiting.

A million events have more points than a picture has room. Each function here states what it puts together, so that the
frame, and the picture made of it, has a bounded size whatever the log's.

References
----------
Song, van der Aalst: Supporting process mining by showing events at a glance (WITS 2007): the dotted chart.
Denisov, Fahland, van der Aalst: Unbiased, fine-grained description of processes performance from event data (BPM
2018): the performance spectrum.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.ocdfg import follows, label_edges
from ocelake.mining.traces import Traces

__all__ = ["Calendar", "dotted_chart", "performance_spectrum", "waiting_times"]

Calendar = Literal["week", "log"]
"""Columns of a heat map: three hours of a weekday each, or equal parts of the log's time."""

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_BLOCK: Final = 3 * 3_600 * _SECOND
_BLOCKS: Final = 8
_EPOCH_WEEKDAY: Final = 3
"""1970 began on a Thursday; 0 is Monday."""

_INSTANT: Final = pl.Datetime("us", "UTC")
_SEGMENT: Final = {
    **dict.fromkeys(("edge", "begin", "end", "quartile", "steps", "total"), pl.Int64),
    **dict.fromkeys(("q1", "median", "q3"), pl.Float64),
    **dict.fromkeys(("first", "last"), pl.Int64),
}


def dotted_chart(
    traces: Traces, *, object_types: Collection[str] | None = None, rows: int = 240, columns: int = 440
) -> pl.DataFrame:
    """Put every object's events on a grid of objects and time.

    The objects of a type, sorted by first event (then id), are put together in rows of equally many neighbours, such
    that all types together have at most `rows`: each type gets a row an object while there is room, as many rows as the
    others where there is not. The time from the log's first to its last event is divided in `columns` equal spans.
    A cell tells how many events of its objects happened in its span, and the activity of most of them (of equally many,
    the first by name). Objects without events are left out.

    Parameters
    ----------
    traces : Traces
    object_types : collection of str, optional
        Types to show; by default all.
    rows, columns : int
        Greatest size of the grid; where there are more types than rows, each type has one.

    Returns
    -------
    DataFrame
        object_type, row (from 0 within the type), objects (in the row), begin, end (instants: the column's span),
        activity, steps (all events of the row's objects in the span); sorted by type, row and begin.

    Raises
    ------
    OcelakeError
        Where the log has no such type.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2"],
    ...         "object_id": ["o1", "o1"],
    ...         "activity": ["place", "pay"],
    ...         "object_type": ["order", "order"],
    ...         "time": [datetime(2024, 1, 1), datetime(2024, 1, 3)],
    ...         "sequence": [0, 0],
    ...     }
    ... )
    >>> dotted_chart(encode(relations), columns=2).select("row", "activity", "steps").rows()
    [(0, 'place', 1), (0, 'pay', 1)]
    """
    shown = _codes(traces, object_types)
    row, members = _rows(traces, shown, rows)
    taken = np.flatnonzero(row[traces.step_object] >= 0)
    column, origin, width = _columns(traces, traces.event_time[traces.step_event[taken]], columns)
    cells = (
        pl.DataFrame(
            {
                "row": row[traces.step_object[taken]],
                "column": column,
                "activity": traces.step_activity[taken],
            }
        )
        .group_by("row", "column", "activity")
        .agg(pl.len().cast(pl.Int64).alias("steps"))
        .sort("row", "column", "steps", "activity", descending=[False, False, True, False])
        .group_by("row", "column", maintain_order=True)
        .agg(pl.col("activity").first(), pl.col("steps").sum())
    )
    of_row = members[cells["row"].to_numpy()] if len(cells) else members
    column = cells["column"].to_numpy()
    return pl.DataFrame(
        {
            "object_type": traces.object_types.gather(of_row["type"]),
            "row": of_row["row"],
            "objects": of_row["objects"],
            "begin": pl.Series(origin + width * column).cast(_INSTANT),
            "end": pl.Series(origin + width * (column + 1)).cast(_INSTANT),
            "activity": traces.activities.gather(cells["activity"]),
            "steps": cells["steps"],
        }
    ).sort("object_type", "row", "begin")


def performance_spectrum(
    traces: Traces,
    *,
    object_types: Collection[str] | None = None,
    segments: int = 12,
    lines: int = 1_500,
    columns: int = 480,
) -> pl.DataFrame:
    """Give when each of the most frequent segments was entered and left.

    A segment is an edge of the OC-DFG of one type (self-loops included). Of each type in turn, the busiest first, the
    most frequent by (e1, e2, object) triples is taken, then of each the second, until there are `segments`. A triple's
    class is the quartile of its duration among those of its segment (a duration equal to a quartile belongs to the
    lower class). Triples of one segment that begin in one span of time and end in one span are one line, of the class
    of most of them (of equally many, the lower); the log's time is divided in the most of `columns`, `columns` / 2,
    / 4, ... equal spans that leave a segment at most `lines` lines.

    Parameters
    ----------
    traces : Traces
    object_types : collection of str, optional
        Types to show; by default all.
    segments, lines, columns : int
        Bounds of the size: at most ``segments * max(lines, 1)`` rows.

    Returns
    -------
    DataFrame
        object_type, source, target, begin, end (instants: the middle of the spans), quartile (0 to 3, fastest first),
        steps (triples), total (triples of the segment), q1, median, q3 (of the segment's durations, seconds), first,
        last (instants: the log's); sorted by object_type, source, target, quartile, begin and end.

    Raises
    ------
    OcelakeError
        Where the log has no such type.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2"],
    ...         "object_id": ["o1", "o1"],
    ...         "activity": ["place", "pay"],
    ...         "object_type": ["order", "order"],
    ...         "time": [datetime(2024, 1, 1), datetime(2024, 1, 3)],
    ...         "sequence": [0, 0],
    ...     }
    ... )
    >>> performance_spectrum(encode(relations)).select("source", "target", "quartile", "steps").rows()
    [('place', 'pay', 0, 1)]
    """
    every = follows(traces)
    chosen = _in_turns(_edges(traces, every, object_types, pl.len().alias("total")), segments)
    taken = every.join(chosen, on="edge", how="inner")
    source, target = _ends(taken)
    times = taken.select("edge", "duration", begin=traces.event_time[source], end=traces.event_time[target])
    parts = [_segment(traces, part, lines, columns) for part in times.partition_by("edge")]
    found = pl.concat(parts) if parts else pl.DataFrame(schema=_SEGMENT)
    return (
        label_edges(traces, found)
        .with_columns(pl.col("begin", "end", "first", "last").cast(_INSTANT))
        .sort("object_type", "source", "target", "quartile", "begin", "end")
    )


def waiting_times(
    traces: Traces,
    *,
    object_types: Collection[str] | None = None,
    edges: int = 12,
    calendar: Calendar = "week",
    columns: int = 48,
) -> pl.DataFrame:
    """Give the mean time from an event to the next of an object, by edge and by when the first of them happened.

    The edges are those with the greatest sum of durations over (e1, e2, object) triples. Times of day are in UTC.

    Parameters
    ----------
    traces : Traces
    object_types : collection of str, optional
        Types to show; by default all.
    edges : int
        Number of edges, the same over all types.
    calendar : {"week", "log"}
        Columns are three hours of a weekday each (56, from Monday 00:00), or `columns` equal parts of the log's time.
    columns : int
        Number of parts, for ``"log"``.

    Returns
    -------
    DataFrame
        object_type, source, target, column (from 0), begin, end (instants; null for ``"week"``), steps (triples),
        mean (seconds), total (seconds: of the edge, over all columns); sorted by total, the greatest first, then by
        edge and column. Columns without a triple are left out.

    Raises
    ------
    OcelakeError
        Where the log has no such type.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining import encode
    >>> relations = pl.DataFrame(
    ...     {
    ...         "event_id": ["e1", "e2"],
    ...         "object_id": ["o1", "o1"],
    ...         "activity": ["place", "pay"],
    ...         "object_type": ["order", "order"],
    ...         "time": [datetime(2024, 1, 1), datetime(2024, 1, 3)],
    ...         "sequence": [0, 0],
    ...     }
    ... )
    >>> waiting_times(encode(relations)).select("column", "steps", "mean").rows()
    [(0, 1, 172800.0)]
    """
    every = follows(traces)
    delays = _edges(traces, every, object_types, pl.col("duration").cast(pl.Int128).sum().alias("total"))
    sums = delays.sort("total", "edge", descending=[True, False]).head(edges).select("edge", "total")
    taken = every.join(sums, on="edge", how="inner")
    begin = traces.event_time[_ends(taken)[0]]
    if calendar == "week":
        column = ((begin // _DAY + _EPOCH_WEEKDAY) % 7) * _BLOCKS + begin % _DAY // _BLOCK
        bounds = [pl.lit(None)] * 2
    else:
        column, origin, width = _columns(traces, begin, columns)
        bounds = [origin + width * (pl.col("column") + shift) for shift in (0, 1)]
    cells = (
        taken.select("edge", "duration", "total")
        .with_columns(column=column)
        .group_by("edge", "total", "column")
        .agg(pl.len().cast(pl.Int64).alias("steps"), pl.col("duration").cast(pl.Int128).sum().cast(pl.Float64))
        .sort("total", "edge", "column", descending=[True, False, False])
    )
    return label_edges(
        traces,
        cells.select(
            "edge",
            "column",
            *(bound.cast(_INSTANT).alias(name) for name, bound in zip(("begin", "end"), bounds, strict=True)),
            "steps",
            (pl.col("duration") / pl.col("steps") / _SECOND).alias("mean"),
            (pl.col("total").cast(pl.Float64) / _SECOND).alias("total"),
        ),
    )


def _codes(traces: Traces, object_types: Collection[str] | None) -> list[int]:
    """Give the codes of types by their names."""
    known = traces.object_types.to_list()
    for name in sorted(set(object_types or ()).difference(known)):
        raise OcelakeError(f"The log has no object type {name!r}.", fix=f"Name some of: {', '.join(known)}.")
    return [code for code, name in enumerate(known) if object_types is None or name in object_types]


def _span(traces: Traces) -> tuple[int, int]:
    times = traces.event_time
    return (int(times.min()), int(times.max())) if len(times) else (0, 0)


def _columns(traces: Traces, times: npt.NDArray[np.int64], columns: int) -> tuple[npt.NDArray[np.int64], int, int]:
    """Give the column of each time, where the first begins, and the width of all: equal parts of the log's time."""
    first, last = _span(traces)
    width = max(-(-(last - first + 1) // columns), 1)
    return (times - first) // width, first, width


def _rows(traces: Traces, shown: list[int], rows: int) -> tuple[npt.NDArray[np.int64], pl.DataFrame]:
    """Give each object's row (-1: not shown), over all types, and describe the rows."""
    row = np.full(len(traces.object_ids), -1, dtype=np.int64)
    steps = traces.lengths
    first = np.zeros(len(row), dtype=np.int64)
    first[steps > 0] = traces.event_time[traces.step_event[traces.offsets[:-1][steps > 0]]]
    members = {code: np.flatnonzero((traces.object_type == code) & (steps > 0)) for code in shown}
    members = {code: objects for code, objects in members.items() if len(objects)}
    described, known, left = [], 0, rows
    # Types with few objects first: what they leave of their share is the others'.
    for place, (code, objects) in enumerate(sorted(members.items(), key=lambda item: (len(item[1]), item[0]))):
        most = max(left // (len(members) - place), 1)
        size = -(-len(objects) // most)
        ordered = objects[np.lexsort((objects, first[objects]))]
        row[ordered] = known + np.arange(len(ordered)) // size
        used = -(-len(objects) // size)
        counts = np.bincount(np.arange(len(ordered)) // size)
        described.append((code, counts))
        known, left = known + used, left - used
    frame = pl.DataFrame(
        {
            "type": np.concatenate([np.full(len(counts), code) for code, counts in described] or [np.empty(0, int)]),
            "row": np.concatenate([np.arange(len(counts)) for _, counts in described] or [np.empty(0, int)]),
            "objects": np.concatenate([counts for _, counts in described] or [np.empty(0, int)]),
        }
    )
    return row, frame


def _edges(traces: Traces, every: pl.DataFrame, object_types: Collection[str] | None, measure: pl.Expr) -> pl.DataFrame:
    """Measure each edge of some types: columns kind (code of the type), edge, and the measure."""
    kind = pl.col("edge") // max(len(traces.activities), 1) ** 2
    measured = every.group_by("edge").agg(measure).with_columns(kind.alias("kind"))
    return measured.filter(pl.col("kind").is_in(_codes(traces, object_types)))


def _in_turns(edges: pl.DataFrame, number: int) -> pl.DataFrame:
    """Take the most frequent edge of each type in turn, the busiest type first, until there are so many."""
    return (
        edges.with_columns(pl.col("total").sum().over("kind").alias("busy"))
        .sort("kind", "total", "edge", descending=[False, True, False])
        .with_columns(pl.int_range(pl.len()).over("kind").alias("turn"))
        .sort("turn", "busy", "kind", descending=[False, True, False])
        .head(number)
        .select("edge")
    )


def _ends(taken: pl.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    couple = taken["couple"].to_numpy()
    return couple >> 32, couple & 0xFFFFFFFF


def _segment(traces: Traces, part: pl.DataFrame, lines: int, columns: int) -> pl.DataFrame:
    """Put the triples of one edge together in lines."""
    duration = part["duration"].to_numpy()
    quartiles = np.quantile(duration, [0.25, 0.5, 0.75])
    quartile = (duration[:, None] > quartiles).sum(axis=1)
    while True:
        (begin, origin, width), (end, *_) = (
            _columns(traces, part[name].to_numpy(), columns) for name in ("begin", "end")
        )
        keys, line, steps = np.unique(begin * columns + end, return_inverse=True, return_counts=True)
        if len(keys) <= lines or columns == 1:
            break
        columns //= 2
    begin, end = np.divmod(keys, columns)
    of_class = np.bincount(line * 4 + quartile, minlength=4 * len(keys)).reshape(-1, 4).argmax(axis=1)
    first, last = _span(traces)
    return pl.DataFrame(
        {
            "edge": np.full(len(keys), part["edge"][0]),
            "begin": origin + width * begin + width // 2,
            "end": origin + width * end + width // 2,
            "quartile": of_class,
            "steps": steps,
            "total": np.full(len(keys), len(part)),
            **{
                name: np.full(len(keys), q / _SECOND) for name, q in zip(("q1", "median", "q3"), quartiles, strict=True)
            },
            "first": np.full(len(keys), first),
            "last": np.full(len(keys), last),
        },
        schema=_SEGMENT,
    )
