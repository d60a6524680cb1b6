"""How far a log's topics were read, and which they were: what `bronze.batches` says, kept in memory while it is so.

The consumer group's own offsets are never asked: they are written apart from the records, so they can differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import polars as pl

from ocelake.lake.batches import BATCHES, TopicPartition

if TYPE_CHECKING:
    from ocelake.lake import Lake, PublicationRecord

__all__ = ["CommittedOffsets"]


class CommittedOffsets:
    """The last offsets that bronze holds of a log's topics, as of one bronze publication.

    Parameters
    ----------
    lake : Lake
        Where they are.
    log_id : str
        The log.

    Attributes
    ----------
    publication : PublicationRecord or None
        All that it published, and what was published before, is counted; None for nothing.
    """

    def __init__(self, lake: Lake, log_id: str) -> None:
        self.publication: PublicationRecord | None = None
        self._lake, self._log_id = lake, log_id
        self._offsets: dict[TopicPartition, int] = {}
        self._topic_ids: dict[TopicPartition, str] = {}

    @property
    def number(self) -> int:
        """The number of the publication; 0 for none."""
        return self.publication.number if self.publication else 0

    def of(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Give the last offset of each topic partition; None for one that was never read."""
        return {place: self._offsets.get(place) for place in places}

    def topic_ids(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, str]:
        """Give the id of the topic that each topic partition was read from, where one was told."""
        wanted = set(places)
        if not self._topic_ids.keys() >= wanted & self._offsets.keys():
            rows = self._lake.scan(BATCHES, self._log_id, columns=["topic", "partition", "topic_id"])
            known = rows.drop_nulls().group_by("topic", "partition").agg(pl.col("topic_id").first()).collect()
            self._topic_ids = {(topic, partition): own for topic, partition, own in known.iter_rows()}
        return {place: own for place, own in self._topic_ids.items() if place in wanted}

    def refresh(self) -> None:
        """Read what was published since; nothing where no publication was made."""
        # First the publication, then the table: the table may be newer, which a writer that begins at the publication
        # finds out by itself, but it must not be older.
        newest = self._lake.latest(self._log_id, "bronze")
        if newest is not None and newest.number != self.number:
            for place, offset in self._lake.offsets(self._log_id, self.publication).items():
                self._offsets[place] = max(offset, self._offsets.get(place, -1))
            self.publication = newest

    def published(self, record: PublicationRecord, ends: Mapping[TopicPartition, int]) -> None:
        """Take note of a publication that was made from these offsets, with the ends of its ranges."""
        if record.number == self.number + 1:
            self._offsets |= ends
            self.publication = record
        else:  # others published in between, and what they read may become ours
            self.refresh()
