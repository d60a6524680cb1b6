"""Comparing two processes of a lake: two logs, two publications of one, or two parts of its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ocelake.errors import NotFound, SettingError
from ocelake.lake.records import parse_publication_id, parse_time
from ocelake.mining.change import Sample, diff_processes, sample

if TYPE_CHECKING:
    from ocelake.lake import Lake

__all__ = ["compare_processes"]


def compare_processes(lake: Lake, before: str, after: str) -> pl.DataFrame:
    """Compare two processes.

    Parameters
    ----------
    lake : Lake
    before, after : str
        A log (``orders``) as it is now, or a publication of it (``orders.silver.2``); either may be followed by
        ``@FROM/TO`` (ISO 8601; one of the two may be left out) for the events from one time on and before another.

    Returns
    -------
    DataFrame
        As `ocelake.mining.change.diff_processes`.

    Raises
    ------
    NotFound, SettingError
        Where there is no such log or publication, or the times are none.
    """
    return diff_processes(_sample(lake, before), _sample(lake, after))


def _sample(lake: Lake, side: str) -> Sample:
    name, at, times = side.partition("@")
    publication = parse_publication_id(name)
    log_id = publication[0] if publication else name
    if log_id not in lake.logs():
        raise NotFound(f"There is no log {log_id!r}.", fix=f"Logs: {', '.join(lake.logs()) or 'none yet'}.")
    traces = lake.traces(log_id, name if publication else None)
    if not at:
        return sample(traces)
    start, slash, end = times.partition("/")
    if not slash:
        raise SettingError(
            f"{times!r} is no part of a log's time.", where=side, fix="Write @FROM/TO, such as @2024-01/2024-07."
        )
    first, last = (_rank(traces.event_time, text, default) for text, default in ((start, 0), (end, None)))
    return sample(traces, first, last)


def _rank(times: np.typing.NDArray[np.int64], text: str, default: int | None) -> int:
    """Give the rank of the first event at or after a time."""
    if not text:
        return len(times) if default is None else default
    whole = f"{text}-01" if len(text) == len("2024-01") else text
    instant = pl.Series([parse_time(whole)]).cast(pl.Datetime("us")).to_physical()[0]
    return int(np.searchsorted(times, instant))
