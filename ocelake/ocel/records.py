"""The shape of a bronze record: what every reader yields, whatever its source.

A reader is a function from an `Input` to an iterator of `Records` and `Declarations`; a file, a mapped table row and
a message are the same from here on. Readers keep what they find: ids, times and values stay text, nothing is
de-duplicated, resolved or dropped. All judgement is in `ocelake.ocel.conform`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import polars as pl

from ocelake.tables import ATTRIBUTE, RELATIONSHIP

__all__ = ["EVENT_RECORD", "MESSAGE_RECORD", "OBJECT_RECORD", "Declarations", "ReaderOutput", "Records"]

_COMMON: Final = {
    "version": pl.Int64(),
    "attributes": pl.List(ATTRIBUTE),
    "relationships": pl.List(RELATIONSHIP),
    "declared": pl.Boolean(),
    "defect": pl.String(),
    "raw": pl.String(),
}

EVENT_RECORD: Final = pl.Schema(
    {
        "position": pl.Int64(),
        "event_id": pl.String(),
        "activity": pl.String(),
        "time": pl.String(),
        "sequence": pl.Int64(),
        **_COMMON,
    }
)
"""Schema of `Records.events`: `bronze.event_records` without log and batch.

``attributes`` and ``relationships`` are empty lists, never null, for a record without. ``declared`` is False for the
relations or attributes of an id that the source does not declare (an E2O row of a table without its event row): such a
record is no event and does not count as one. ``defect`` is set where the record cannot be taken apart at all
(`malformed`, `truncated`); its ``raw`` then holds the text."""

OBJECT_RECORD: Final = pl.Schema(
    {"position": pl.Int64(), "object_id": pl.String(), "object_type": pl.String(), **_COMMON}
)
"""Schema of `Records.objects`: `bronze.object_records` without log and batch."""

MESSAGE_RECORD: Final = pl.Schema(
    {
        "position": pl.Int64(),
        "id": pl.String(),
        "type": pl.String(),
        "time": pl.String(),
        "sequence": pl.Int64(),
        "kind": pl.String(),
        **_COMMON,
    }
)
"""Schema of messages, each of which is an event or an object: both in one, until it is told which of them it is."""


@dataclass(frozen=True, slots=True)
class Records:
    """One chunk of a source's records; ``position`` counts from 0 over the whole source, events and objects apart."""

    events: pl.DataFrame = field(default_factory=EVENT_RECORD.to_frame)
    objects: pl.DataFrame = field(default_factory=OBJECT_RECORD.to_frame)

    def tables(self) -> dict[str, pl.DataFrame]:
        """Give the rows by their table in bronze, without their batch."""
        return {"bronze.event_records": self.events, "bronze.object_records": self.objects}


@dataclass(frozen=True, slots=True)
class Declarations:
    """What a source says about its types and itself; yielded once, last.

    Attributes
    ----------
    event_types, object_types : dict of str to (dict of str to str)
        Type name to attribute name to value type (one of `ocelake.tables.VALUE_TYPES`), in source order.
    metadata : dict of str to str
        The log's own header (``version``, ``extension:concept``, ...), and what was ignored in it, under names that
        start with ``ignored:`` (``ignored:table:foo``, ``ignored:element:globals``).
    """

    event_types: dict[str, dict[str, str]] = field(default_factory=dict)
    object_types: dict[str, dict[str, str]] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


ReaderOutput: TypeAlias = Iterator[Records | Declarations]
"""What a reader yields: chunks of records (about 50,000 each, so that memory stays bounded), then the declarations."""
