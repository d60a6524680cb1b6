"""A source of records to one bronze batch, exactly once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from ocelake.errors import LogRefused
from ocelake.lake.records import PublicationRecord
from ocelake.ocel.records import Declarations, Records

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.ocel.read import LogSource

__all__ = ["Ingested", "ingest", "ingest_source"]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a source.

    Attributes
    ----------
    batch_id : str
        First 16 hex digits of the content hash.
    publication : PublicationRecord or None
        The bronze publication that brought it; None where the batch was there already.
    format : str
        As told from the content.
    events, objects : int
        Records of the batch.
    seconds : float
        Wall time.
    already : bool
        Whether the same content was ingested before; nothing changed then.
    """

    batch_id: str
    publication: PublicationRecord | None
    format: str
    events: int
    objects: int
    seconds: float
    already: bool


def ingest(lake: Lake, path: str | os.PathLike[str], log_id: str) -> Ingested:
    """Read a file or a folder of tables into bronze, as one batch of a log.

    The records are written as they are read, in bounded memory, and are published together: after a crash at any
    moment the batch is there wholly or not at all, and ingesting again completes it. The same content is one batch,
    however often it comes.

    Parameters
    ----------
    lake : Lake
        Where to.
    path : path-like
        A file, plain or gzipped, or a folder of tables.
    log_id : str
        The log it belongs to.

    Raises
    ------
    LogRefused
        Where it is no log, is broken as a whole, or changed while it was read; nothing is published.
    """
    from ocelake.ocel.read import open_log

    source = open_log(path)
    return ingest_source(lake, source, source, log_id)


def ingest_source(lake: Lake, source: LogSource, parts: Iterable[Records | Declarations], log_id: str) -> Ingested:
    """Publish the records of an opened source; see `ingest`.

    Parameters
    ----------
    source : LogSource
        Names the batch.
    parts : iterable of Records or Declarations
        Its content; read only where the batch is new.

    Raises
    ------
    LogRefused
        As `ingest`.
    """
    from ocelake.ocel.read import batch_frame

    began = time.perf_counter()
    settings = lake.settings.log(log_id)
    # Before the look: what is published after it is noticed when this is.
    newest = lake.latest(log_id, "bronze")
    if (known := _known(lake, log_id, source, began)) is not None:
        return known
    events = objects = 0
    declarations = Declarations()
    batch = pl.lit(source.batch_id).alias("batch_id")
    base = newest.number if newest else 0
    with lake.publication(log_id, "bronze", settings=settings, base=base) as publication:
        for part in parts:
            if isinstance(part, Declarations):
                declarations = part
                continue
            events += part.events.height
            objects += part.objects.height
            publication.append("bronze.event_records", part.events.with_columns(batch))
            publication.append("bronze.object_records", part.objects.with_columns(batch))
        row = batch_frame(source, declarations, events=events, objects=objects)
        publication.append("bronze.batches", row)
        # The hash is of one pass over the source and the records are of another: they have to be of the same bytes, or
        # the true content would be held to be known already, for ever.
        if source.input.changed:
            raise LogRefused(
                "The source changed while it was read.",
                where=source.input.name,
                fix="Ingest it again when its copy is complete.",
            )
        record = publication.commit()
    return Ingested(
        source.batch_id,
        None if publication.discarded else record,
        source.format,
        events,
        objects,
        time.perf_counter() - began,
        already=publication.discarded,
    )


def _known(lake: Lake, log_id: str, source: LogSource, began: float) -> Ingested | None:
    found = (
        lake.scan("bronze.batches", log_id, columns=["batch_id", "event_records", "object_records"])
        .filter(pl.col("batch_id") == source.batch_id)
        .collect()
    )
    if found.is_empty():
        return None
    _, events, objects = found.row(0)
    return Ingested(source.batch_id, None, source.format, events, objects, time.perf_counter() - began, already=True)
