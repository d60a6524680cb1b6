"""A log on its way from a topic to gold: how far it has come, and whether it arrived as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocelake.lake.build import verify
from ocelake.ocel.equal import log_differences
from ocelake.stream.lag import lag_of

if TYPE_CHECKING:
    from ocelake.lake import Lake
    from ocelake.ocel.model import Ocel
    from ocelake.settings import StreamSettings
    from ocelake.stream.settings import KafkaSettings

__all__ = ["Standing", "arrival_problems", "standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a log has come.

    Attributes
    ----------
    lag : int
        Messages that the topics have beyond bronze.
    gold_is_fresh : bool
        Whether gold was computed from all that is in bronze.
    """

    lag: int
    gold_is_fresh: bool

    @property
    def arrived(self) -> bool:
        """Whether every message that the topics have is in gold."""
        return self.lag == 0 and self.gold_is_fresh


def standing(lake: Lake, log_id: str, settings: StreamSettings, kafka: KafkaSettings) -> Standing:
    """Give how far a log has come that is read from topics.

    Raises
    ------
    Unreachable
        Where no broker answers; else as `lag_of`.
    """
    lag = sum(place.messages for place in lag_of(lake, log_id, settings, kafka))
    gold, bronze = lake.latest(log_id, "gold"), lake.latest(log_id, "bronze")
    read = lake.latest(log_id, "bronze", gold.publication_id) if gold else None
    return Standing(lag, read is not None and read == bronze)


def arrival_problems(lake: Lake, log_id: str, sent: Ocel) -> list[str]:
    """Say in what a log of the lake is not what was sent, and in what its tables are not those of a full rebuild.

    Parameters
    ----------
    lake, log_id : Lake, str
        The log as it was read.
    sent : Ocel
        The log as it was before it became messages (`ocelake.stream.encode.messages`).

    Returns
    -------
    list of str
        One sentence for each table; empty where nothing is lost, doubled or wrong.
    """
    built = [
        f"{table.identifier}: {table.missing} rows are missing that a full rebuild has, {table.extra} are too many"
        for table in verify(lake, log_id)
        if not table.equal
    ]
    return [*log_differences(sent, lake.ocel(log_id)), *built]
