"""What came with a publication: how far a log's time has got, and how much of it came late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.lake.records import Moment, PublicationRecord

__all__ = ["Arrivals", "arrivals"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The events that a silver publication has and the one before it had not.

    Lateness depends on when events arrived, which the log itself does not tell: so it is told when they arrive, and is
    in no table.

    Attributes
    ----------
    watermark : datetime or None
        The greatest event time so far; None without events.
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
    """Compare two silver publications of a log.

    Parameters
    ----------
    since, until : PublicationRecord
        The earlier one and the later one. An event that was corrected in between is not one that came.

    Raises
    ------
    NotFound
        Where the state of one of them has expired.
    """
    log_id = until.log_id
    moments = [lake.moment(record.publication_id) for record in (since, until)]
    before, now = (_watermark(lake, log_id, moment) for moment in moments)
    went, came = lake.changes("ocel.events", log_id, since=moments[0], until=moments[1])
    new = came.join(went, on="event_id", how="anti")
    late = 0 if before is None else new.filter(pl.col("time") < before).height
    return Arrivals(now, new.height, late)


def _watermark(lake: Lake, log_id: str, moment: Moment) -> datetime | None:
    rows = lake.scan("ocel.events", log_id, as_of=moment, columns=["time"])
    found: datetime | None = rows.select(pl.col("time").max()).collect().item()
    return found
