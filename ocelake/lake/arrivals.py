"""What came with a publication: how far the time of a log, or of a feed, has got, and how much of it came late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.lake.records import PublicationRecord

__all__ = ["Arrivals", "arrivals", "watermark"]

_TIMED: Final[Mapping[str, tuple[str, list[str]]]] = {
    "silver": ("ocel.events", ["event_id"]),
    "prices": ("silver.prices", ["commodity", "time"]),
}
"""By layer the table of what has a time, and its key."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The events, or prices, that a publication has and the one before it had not.

    Lateness depends on when events arrived, which the log itself does not tell: so it is told when they arrive, and is
    in no table.

    Attributes
    ----------
    watermark : datetime or None
        The greatest time so far; None without events.
    events : int
        How many came.
    late : int
        How many of these are before the watermark that there was before they came.
    """

    watermark: datetime | None
    events: int
    late: int

    @property
    def late_share(self) -> float:
        """The late ones of those that came; 0 where none came."""
        return self.late / self.events if self.events else 0.0


def arrivals(lake: Lake, *, since: PublicationRecord, until: PublicationRecord) -> Arrivals:
    """Compare two publications of a log's silver, or of a feed's prices.

    Parameters
    ----------
    since, until : PublicationRecord
        The earlier one and the later one. An event that was corrected in between is not one that came.

    Raises
    ------
    NotFound
        Where the state of one of them has expired.
    """
    table, key = _TIMED[until.layer]
    moments = [lake.moment(record.publication_id) for record in (since, until)]
    before, now = watermark(lake, since), watermark(lake, until)
    went, came = lake.changes(table, until.log_id, since=moments[0], until=moments[1])
    new = came.join(went, on=key, how="anti")
    late = 0 if before is None else new.filter(pl.col("time") < before).height
    return Arrivals(now, new.height, late)


def watermark(lake: Lake, record: PublicationRecord) -> datetime | None:
    """Give the greatest time that a publication of silver, or of prices, has.

    Raises
    ------
    NotFound
        Where its state has expired.
    """
    table, _ = _TIMED[record.layer]
    rows = lake.scan(table, record.log_id, as_of=record.publication_id, columns=["time"])
    found: datetime | None = rows.select(pl.col("time").max()).collect().item()
    return found
