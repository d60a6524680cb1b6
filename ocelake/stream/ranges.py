"""What was polled of topic partitions and is not in bronze yet, and the bronze rows that it becomes."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import polars as pl

from ocelake.lake.batches import TopicPartition
from ocelake.ocel.model import frame_schema
from ocelake.stream.decode import Decoded, Decoder

__all__ = ["Range", "batch_rows", "range_records", "unusable"]

_NO_RECORDS: Final = {"event_records": 0, "object_records": 0}
_NEEDED: Final = {
    "bronze.event_records": ("event_id", "activity", "time"),
    "bronze.object_records": ("object_id", "object_type"),
    "bronze.price_ticks": ("commodity", "time", "price"),
}
_NO_DECLARATIONS: Final = '{"event_types":{},"object_types":{}}'


@dataclass(slots=True)
class Range:
    """The messages of one topic partition that follow on what bronze holds of it.

    Attributes
    ----------
    place : (str, int)
        Topic and partition.
    first : int or None
        Where it begins: right after the range before; None until the first message, or the end, is seen of a partition
        that was never read.
    end : int or None
        The offset after the last that was read. Offsets without a message (compacted away, or marks of transactions)
        are read as well.
    offsets, values : list
        Of the messages, in order; the value of a deletion is None.
    size : int
        Bytes of the values.
    """

    place: TopicPartition
    first: int | None
    end: int | None = None
    offsets: list[int] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    size: int = 0

    def __post_init__(self) -> None:
        self.end = self.first

    @property
    def is_open(self) -> bool:
        """Whether anything was read, be it no message."""
        return self.end != self.first

    @property
    def batch_id(self) -> str:
        """Topic, partition, and the first and last offset."""
        return f"{self.place[0]}-{self.place[1]}-{self.first}-{self.last}"

    @property
    def last(self) -> int:
        """The last offset that was read."""
        assert self.end is not None
        return self.end - 1

    def add(self, offsets: Sequence[int], values: Sequence[bytes | None]) -> None:
        """Add messages; those that were read before are left out."""
        known = bisect_left(offsets, self.end) if self.end is not None else 0
        if known == len(offsets):
            return
        if self.first is None:
            self.first = offsets[0]
        if known:
            offsets, values = offsets[known:], values[known:]
        self.offsets.extend(offsets)
        self.values.extend(values)
        self.end = offsets[-1] + 1
        self.size += sum(map(len, filter(None, values)))

    def read_to(self, end: int, low: int) -> None:
        """Take note that there are no further messages before an offset; a partition never read begins at ``low``."""
        if self.first is None:
            self.first = self.end = low
        if self.end is not None and end > self.end:
            self.end = end


def range_records(read: Range, decode: Decoder) -> Decoded:
    """Decode a range; a record's position is counted from the range's first offset."""
    first = read.first or 0
    return decode([offset - first for offset in read.offsets], read.values)


def unusable(decoded: Decoded) -> int:
    """Count the messages that are malformed, or lack what each has to tell: silver will quarantine them as a whole.

    It may quarantine others as well, for what a value says, or for what it knows of other messages.
    """
    return sum(
        rows.filter(pl.col("defect").is_not_null() | pl.any_horizontal(pl.col(_NEEDED[name]).is_null())).height
        for name, rows in decoded.tables().items()
    )


def batch_rows(
    ranges: Sequence[tuple[Range, Decoded]], format: str, topic_ids: Mapping[str, str | None]
) -> pl.DataFrame:
    """Give the rows of ``bronze.batches`` that decoded ranges become."""
    now = datetime.now(UTC)
    rows = [
        {
            "batch_id": read.batch_id,
            "source": read.place[0],
            "format": format,
            "content_hash": hashlib.sha256(b"".join(filter(None, read.values))).hexdigest(),
            "topic": read.place[0],
            "topic_id": topic_ids.get(read.place[0]),
            "partition": read.place[1],
            "first_offset": read.first,
            "last_offset": read.last,
            "source_bytes": read.size,
            **_NO_RECORDS,
            **{name.removeprefix("bronze."): rows.height for name, rows in decoded.tables().items()},
            "declarations": _NO_DECLARATIONS,
            "metadata": "{}",
            "received": now,
        }
        for read, decoded in ranges
    ]
    return pl.DataFrame(rows, schema=frame_schema("bronze.batches"))
