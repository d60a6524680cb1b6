"""Live figures of a log: its events, and what they measure, by windows of time; all of them, or what a change touches.

Which windows there are, `ocelake.settings.KpiSettings` says; how they are aggregated and kept up with late and
corrected events, `ocelake.mining.windows`. Here their rows are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl

from ocelake.lake.rows import among
from ocelake.mining.windows import BOUNDS, Session, Sliding, Tumbling, Window, aggregate, refresh
from ocelake.settings import KpiSettings, WindowSettings, duration
from ocelake.tables import as_table

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.lake.records import Moment, PublicationRecord

__all__ = ["TABLE", "window_changes", "window_table"]

TABLE: Final = "gold.event_windows"

_ORDER: Final = ("sequence", "event_id")
_EVENT: Final = ["event_id", "activity", "time", "sequence"]
_VALUE: Final = ["event_id", "name", "ordinal", "value_float"]
_QUANTILES: Final = (0.5, 0.95)
_COUNTED: Final = ("count", "sum", "mean", "min", "q50", "q95", "max", "first", "last")
_KEY: Final = ["name", "activity", "measure", *BOUNDS]

_Changes: TypeAlias = tuple[pl.DataFrame, pl.DataFrame]


def window_table(lake: Lake, silver: PublicationRecord, settings: KpiSettings) -> pl.DataFrame:
    """Compute `gold.event_windows` of a log from its silver at one publication."""
    at = lake.moment(silver.publication_id)
    rows = _rows(lake, silver.log_id, at, settings).collect() if settings.windows else pl.DataFrame()
    return _long([(window, aggregate(rows, _kind(window), **_asked(window))) for window in settings.windows])


def window_changes(lake: Lake, before: PublicationRecord, silver: PublicationRecord, settings: KpiSettings) -> _Changes:
    """Compute how the windows of a publication change by what changed in silver since: keys that go, rows that come.

    Raises
    ------
    NotFound
        Where the state that the publication was computed from has expired.
    """
    log_id, now, then = silver.log_id, lake.moment(silver.publication_id), lake.moment(before.publication_id)
    since = lake.moment(before.reads["silver"])
    events = pl.concat(lake.changes("ocel.events", log_id, since=since, until=now)).select(_EVENT)
    changed = events
    if settings.measures:  # an attribute may come to be a number with no change of its event
        values = pl.concat(lake.changes("ocel.event_attributes", log_id, since=since, until=now))
        ids = values.filter(pl.col("name").is_in(settings.measures))["event_id"].unique()
        of_values = among("event_id", ids.filter(~ids.is_in(events["event_id"].implode())))
        every = lake.scan("ocel.events", log_id, as_of=now, columns=_EVENT)
        changed = pl.concat([events, every.filter(of_values).collect()])
    rows = _rows(lake, log_id, now, settings)
    went, made = [as_table(TABLE).select(_KEY)], []
    for window in settings.windows:
        there = lake.scan(TABLE, log_id, as_of=then, columns=_KEY).filter(pl.col("name") == window.name).collect()
        keys = ["activity"] if window.by_activity else []
        touched = refresh(there.unique([*keys, *BOUNDS]), rows, changed, _kind(window), **_asked(window))
        went.append(there.join(touched.gone, on=[*keys, *BOUNDS], how="semi"))
        made.append((window, touched.made))
    return pl.concat(went), _long(made)


def _rows(lake: Lake, log_id: str, at: Moment, settings: KpiSettings) -> pl.LazyFrame:
    """Read the events, with the first value of each measure beside them."""
    rows = lake.scan("ocel.events", log_id, as_of=at, columns=_EVENT)
    values = lake.scan("ocel.event_attributes", log_id, as_of=at, columns=_VALUE)
    for name in settings.measures:
        first = values.filter((pl.col("name") == name) & (pl.col("ordinal") == 0)).select(
            "event_id", pl.when(pl.col("value_float").is_finite()).then("value_float").alias(_column(name))
        )
        rows = rows.join(first, on="event_id", how="left")
    return rows


def _kind(window: WindowSettings) -> Window:
    if window.gap is not None:
        return Session(duration(window.gap))
    length = duration(window.length or "")
    return Sliding(length, duration(window.step)) if window.step else Tumbling(length)


def _column(measure: str) -> str:
    return f"measure {measure}"


def _asked(window: WindowSettings) -> dict[str, Any]:
    """Give what a window's rows are aggregated by."""
    return {
        "measures": tuple(map(_column, window.measures)),
        "keys": ("activity",) if window.by_activity else (),
        "order": _ORDER,
        "quantiles": _QUANTILES,
    }


def _long(windows: list[tuple[WindowSettings, pl.DataFrame]]) -> pl.DataFrame:
    """Give windows a row for each of their measures, or one where they have none."""
    frames = []
    for window, wide in windows:
        activity = pl.col("activity") if window.by_activity else pl.lit(None, pl.String).alias("activity")
        for measure in window.measures or (None,):
            described = [
                pl.col(f"{_column(measure)}_{part}").alias(part) if measure else pl.lit(None).alias(part)
                for part in _COUNTED
            ]
            frames.append(
                wide.select(
                    pl.lit(window.name).alias("name"),
                    activity,
                    pl.lit(measure, pl.String).alias("measure"),
                    *BOUNDS,
                    pl.col("rows").alias("events"),
                    *described,
                )
            )
    whole = pl.concat(frames, how="vertical_relaxed") if frames else as_table(TABLE)
    return as_table(TABLE, whole.rename({"q50": "median", "q95": "p95"}, strict=False))
