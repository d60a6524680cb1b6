"""What a publication is once it is made, and what "as of" means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import orjson
import polars as pl

from ocelake.errors import SettingError
from ocelake.tables import READS, TIMESTAMP, Layer

__all__ = ["AsOf", "Moment", "PublicationRecord", "parse_publication_id", "parse_time", "records_frame"]

AsOf: TypeAlias = datetime | str | None
"""A moment: a time, its ISO text, or the id of a publication; None for now."""

_MAPS: Final = ("snapshots", "reads", "rows", "settings")
_PUBLICATION_ID: Final = re.compile(rf"([A-Za-z0-9][A-Za-z0-9_-]{{0,99}})\.({'|'.join(READS)})\.([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class PublicationRecord:
    """One publication: all tables of one layer for one log, visible together.

    Attributes
    ----------
    publication_id : str
        ``<log_id>.<layer>.<number>``.
    number : int
        From 1 per log and layer.
    time : datetime
        UTC; strictly increasing over all publications.
    snapshots : dict of str to int
        Table to the snapshot that holds the log's rows since then. A table that never had a row has none.
    reads : dict of str to str
        Layer to the publication that the content was computed from.
    rows : dict of str to int
        Table to the rows that were written, for every table of the publication.
    settings : dict
        The log's settings it was computed under; empty where there were none.
    """

    publication_id: str
    log_id: str
    layer: Layer
    number: int
    time: datetime
    snapshots: dict[str, int] = field(default_factory=dict)
    reads: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in the lake's history.

    Attributes
    ----------
    time : datetime or None
        Every log and layer is at its newest publication up to this time; None for now.
    pinned : dict of (log id, layer) to PublicationRecord
        The exceptions: a publication, and what it read.
    """

    time: datetime | None = None
    pinned: Mapping[tuple[str, str], PublicationRecord] = field(default_factory=dict)


def parse_publication_id(text: str) -> tuple[str, Layer, int] | None:
    """Take a publication id apart into log, layer and number; None where the text is no such id."""
    match = _PUBLICATION_ID.fullmatch(text)
    return (match[1], match[2], int(match[3])) if match else None  # type: ignore[return-value]  # the pattern's layers


def parse_time(text: datetime | str) -> datetime:
    """Read a time or its ISO text; UTC where it names no zone.

    Raises
    ------
    SettingError
        Where the text is no time.
    """
    try:
        time = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingError(
            f"{text!r} is neither a time nor a publication.",
            fix="Write 2024-05-31, 2024-05-31T12:00:00Z, or a publication id such as orders.silver.3.",
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def records_frame(records: Iterable[PublicationRecord]) -> pl.DataFrame:
    """Give publications as a frame; maps are JSON text."""
    rows = [
        {
            "publication_id": record.publication_id,
            "log_id": record.log_id,
            "layer": record.layer,
            "number": record.number,
            "time": record.time,
            **{name: orjson.dumps(getattr(record, name)).decode() for name in _MAPS},
        }
        for record in records
    ]
    text = dict.fromkeys(("publication_id", "log_id", "layer"), pl.String)
    maps = dict.fromkeys(_MAPS, pl.String)
    return pl.DataFrame(rows, schema={**text, "number": pl.Int64, "time": TIMESTAMP, **maps})
