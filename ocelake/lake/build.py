"""What a layer's tables hold, computed from the layer before it at one publication.

The assets publish what these functions give; `verify` computes it again and compares. So every published number has
one way of coming about, and that way can be walked again at its snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from ocelake.errors import NotFound
from ocelake.mining.gold import mine_log
from ocelake.ocel.conform import Conformed, conform
from ocelake.ocel.model import Ocel
from ocelake.settings import LogSettings
from ocelake.tables import layer_tables

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.lake.publication import PublicationRecord
    from ocelake.tables import Layer

__all__ = [
    "Verification",
    "build_log",
    "gold_frames",
    "latest_or_fail",
    "newest_number",
    "publish",
    "published_silver",
    "published_tables",
    "silver_frames",
    "silver_tables",
    "unchanged",
    "verify",
]

_SILVER_INPUT = ("bronze.event_records", "bronze.object_records", "bronze.batches")

_GOLD_INPUT: Final[Mapping[str, list[str]]] = {
    "ocel.events": ["event_id", "activity", "time", "sequence"],
    "ocel.objects": ["object_id", "object_type"],
    "ocel.event_objects": ["event_id", "object_id"],
    # Of the others the rows are counted: one narrow column will do.
    "ocel.object_objects": ["qualifier"],
    "ocel.event_attributes": ["ordinal"],
    "ocel.object_attributes": ["ordinal"],
    "ocel.event_types": ["activity"],
    "ocel.object_types": ["object_type"],
}


@dataclass(frozen=True, slots=True)
class Verification:
    """One published table against its recomputation: rows in both, and in one only."""

    identifier: str
    publication_id: str
    published: int
    recomputed: int
    missing: int
    extra: int

    @property
    def equal(self) -> bool:
        """Whether the published rows are exactly the recomputed ones."""
        return self.missing == 0 and self.extra == 0 and self.published == self.recomputed


def latest_or_fail(lake: Lake, log_id: str, layer: Layer, *, as_of: str | None = None) -> PublicationRecord:
    """Give the newest publication of a layer, or the one that the publication ``as_of`` was computed from.

    Raises
    ------
    NotFound
        Where the log has none.
    """
    record = lake.latest(log_id, layer, as_of)
    if record is None:
        raise NotFound(
            f"Log {log_id!r} has no {layer} publication.",
            where=str(lake.settings.warehouse),
            fix=f"Ingest a file first: ocelake ingest PATH --log {log_id}",
        )
    return record


def silver_frames(lake: Lake, log_id: str, bronze: PublicationRecord, settings: LogSettings) -> Conformed:
    """Compute the OCEL tables of a log from its bronze records at one publication."""
    records, objects, batches = (
        lake.read(identifier, log_id, as_of=bronze.publication_id) for identifier in _SILVER_INPUT
    )
    return conform(records, objects, batches, settings)


def silver_tables(conformed: Conformed) -> dict[str, pl.DataFrame]:
    """Give what the silver publication holds, by table identifier."""
    return {
        **dict(conformed.ocel.frames()),
        "silver.quarantine": conformed.quarantine,
        "silver.accounting": conformed.accounting,
    }


def gold_frames(lake: Lake, log_id: str, silver: PublicationRecord) -> dict[str, pl.DataFrame]:
    """Compute the gold tables of a log from its silver tables at one publication."""
    moment = lake.moment(silver.publication_id)
    return mine_log(
        {name: lake.read(name, log_id, as_of=moment, columns=columns) for name, columns in _GOLD_INPUT.items()},
        quarantined=silver.rows["silver.quarantine"],
        publication_id=silver.publication_id,
    )


def newest_number(lake: Lake, log_id: str, layer: Layer) -> int:
    """Give the number of a layer's newest publication; 0 where there is none."""
    latest = lake.latest(log_id, layer)
    return latest.number if latest else 0


def unchanged(
    lake: Lake, source: PublicationRecord, layer: Layer, settings: LogSettings | None = None
) -> PublicationRecord | None:
    """Give a layer's newest publication where it was computed from this very source under these settings, else None."""
    latest = lake.latest(source.log_id, layer)
    same_settings = latest is not None and latest.settings == (settings.model_dump(mode="json") if settings else {})
    same_source = latest is not None and latest.reads == {source.layer: source.publication_id}
    return latest if same_settings and same_source else None


def published_tables(lake: Lake, record: PublicationRecord) -> dict[str, pl.DataFrame]:
    """Read what a publication holds: its tables of its log, by identifier, sorted."""
    moment = lake.moment(record.publication_id)
    return {
        spec.identifier: lake.read(spec.identifier, record.log_id, as_of=moment).sort(
            [name for name in spec.sort if name not in spec.partition]
        )
        for spec in layer_tables(record.layer)
    }


def published_silver(lake: Lake, record: PublicationRecord) -> Conformed:
    """Read what a silver publication holds."""
    tables = published_tables(lake, record)
    frames = {name.removeprefix("ocel."): frame for name, frame in tables.items() if name.startswith("ocel.")}
    return Conformed(Ocel(**frames), tables["silver.quarantine"], tables["silver.accounting"])


def publish(
    lake: Lake,
    source: PublicationRecord,
    layer: Layer,
    tables: Mapping[str, pl.DataFrame],
    *,
    settings: LogSettings | None = None,
    base: int | None = None,
) -> PublicationRecord:
    """Publish a layer's tables, computed from one publication of the layer before, together or not at all.

    Parameters
    ----------
    base : int, optional
        The layer's newest number when the computation began (`newest_number`): whoever publishes meanwhile was first.

    Raises
    ------
    StalePublication
        Where another process published the layer meanwhile: compute again from the newest state.
    """
    with lake.publication(
        source.log_id, layer, reads={source.layer: source.publication_id}, settings=settings, base=base
    ) as publication:
        for identifier, frame in tables.items():
            publication.replace(identifier, frame)
        return publication.commit()


def build_log(lake: Lake, log_id: str) -> PublicationRecord:
    """Build and publish silver and gold of a log from its bronze, without an orchestrator; give gold's publication.

    The Dagster assets take the same steps with checks in between; this is for notebooks and benchmarks.
    """
    settings = lake.settings.log(log_id)
    bronze = latest_or_fail(lake, log_id, "bronze")
    silver = publish(
        lake, bronze, "silver", silver_tables(silver_frames(lake, log_id, bronze, settings)), settings=settings
    )
    return publish(lake, silver, "gold", gold_frames(lake, log_id, silver))


def verify(lake: Lake, log_id: str) -> list[Verification]:
    """Compute silver and gold of a log again, at the publications and settings they were built from, and compare.

    Returns
    -------
    list of Verification
        One for each table of the newest silver and gold publications.
    """
    found: list[Verification] = []
    silver = latest_or_fail(lake, log_id, "silver")
    bronze = latest_or_fail(lake, log_id, "bronze", as_of=silver.publication_id)
    settings = LogSettings.model_validate(silver.settings)
    found += _compare(lake, silver, silver_tables(silver_frames(lake, log_id, bronze, settings)))
    gold = latest_or_fail(lake, log_id, "gold")
    source = latest_or_fail(lake, log_id, "silver", as_of=gold.publication_id)
    found += _compare(lake, gold, gold_frames(lake, log_id, source))
    return found


def _compare(lake: Lake, record: PublicationRecord, recomputed: Mapping[str, pl.DataFrame]) -> list[Verification]:
    found = []
    for identifier, frame in recomputed.items():
        published = lake.read(identifier, record.log_id, as_of=record.publication_id).select(frame.columns)
        ours, theirs = (_hashes(rows) for rows in (published, frame))
        both = ours.join(theirs, on="row", how="full", suffix="_again", coalesce=True).fill_null(0)
        differs = pl.col("len").cast(pl.Int64) - pl.col("len_again").cast(pl.Int64)
        extra = both.select(differs.clip(lower_bound=0).sum()).item()
        missing = both.select((-differs).clip(lower_bound=0).sum()).item()
        found.append(Verification(identifier, record.publication_id, published.height, frame.height, missing, extra))
    return found


def _hashes(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(row=rows.hash_rows(seed=0)).group_by("row").len()
