"""From the price ticks of a log to its prices and bars: all of them, or what new ticks change.

The whole way is a step of `ocelake.lake.build` as any other layer's. For a micro-batch (`ocelake.lake.increment`) the
ticks that came are read, the ticks that were there of the same commodities and times, and the bars that they touch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from ocelake.mining.bars import make_bars, refresh_bars
from ocelake.settings import LogSettings, PriceSettings
from ocelake.ticks import LOST, Prices, account_ticks, conform_ticks

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.lake.publication import PublicationRecord

__all__ = ["bar_changes", "bar_tables", "price_changes", "price_tables"]

_AT = ["commodity", "time"]
_WHERE = ["batch_id", "position"]
_COUNTS = ["accepted", "quarantined"]
_BATCH = ["batch_id", "source", "partition", "first_offset", "price_ticks"]


Changes: TypeAlias = dict[str, tuple[pl.DataFrame, pl.DataFrame]]
"""By table the rows that go, by key, and those that come."""


def price_tables(lake: Lake, bronze: PublicationRecord, settings: LogSettings) -> dict[str, pl.DataFrame]:
    """Compute the prices of a log from all its ticks at one publication."""
    moment = lake.moment(bronze.publication_id)
    batches = lake.read("bronze.batches", bronze.log_id, as_of=moment, columns=_BATCH)
    found = conform_ticks(lake.read("bronze.price_ticks", bronze.log_id, as_of=moment), batches, settings)
    return {
        "silver.prices": found.prices,
        "silver.price_quarantine": found.quarantine,
        "silver.price_accounting": account_ticks(batches, found),
    }


def bar_tables(lake: Lake, prices: PublicationRecord, settings: PriceSettings) -> dict[str, pl.DataFrame]:
    """Compute all bars of a log from its prices at one publication."""
    return make_bars(lake.read("silver.prices", prices.log_id, as_of=prices.publication_id), settings)


def price_changes(lake: Lake, before: PublicationRecord, bronze: PublicationRecord, settings: LogSettings) -> Changes:
    """Compute how the prices of a publication change by the ticks that came since.

    Raises
    ------
    NotFound
        Where the state that the publication was computed from has expired.
    """
    log_id, now, then = bronze.log_id, lake.moment(bronze.publication_id), lake.moment(before.publication_id)
    _, came = lake.changes("bronze.price_ticks", log_id, since=before.reads["bronze"], until=now)
    batches = lake.read("bronze.batches", log_id, as_of=now, columns=_BATCH)
    new = conform_ticks(came, batches, settings)
    at = pl.concat([new.prices.select(_AT), _lost(new.quarantine).select(_AT)]).unique()
    went = Prices(
        _at(lake.scan("silver.prices", log_id, as_of=then), at),
        _lost(_at(lake.scan("silver.price_quarantine", log_id, as_of=then), at)),
    )
    there = pl.concat([went.prices.select(_WHERE), went.quarantine.select(_WHERE)])
    of_batches = pl.col("batch_id").is_in(there["batch_id"].unique().to_list())
    old = lake.scan("bronze.price_ticks", log_id, as_of=now).filter(of_batches).collect()
    found = conform_ticks(pl.concat([came, old.join(there, on=_WHERE, how="semi")]), batches, settings)
    _, arrived = lake.changes("bronze.batches", log_id, since=before.reads["bronze"], until=now)
    recounted = batches.join(
        pl.concat([there.select("batch_id"), arrived.select("batch_id")]), on="batch_id", how="semi"
    )
    counted = lake.read("silver.price_accounting", log_id, as_of=then).join(recounted, on="batch_id", how="semi")
    more, less = (account_ticks(recounted, part) for part in (found, went))
    change = more.select("batch_id", "read", *(pl.col(name) - less[name] for name in _COUNTS))
    before_it = change.join(counted, on="batch_id", how="left", suffix="_before", maintain_order="left")
    recount = [(pl.col(name) + pl.col(f"{name}_before").fill_null(0)).alias(name) for name in _COUNTS]
    return {
        "silver.prices": (went.prices, found.prices),
        "silver.price_quarantine": (went.quarantine, found.quarantine),
        "silver.price_accounting": (counted, before_it.select("batch_id", "read", *recount)),
    }


def bar_changes(lake: Lake, before: PublicationRecord, prices: PublicationRecord, settings: PriceSettings) -> Changes:
    """Compute how the bars of a publication change by the prices that came or changed since.

    Raises
    ------
    NotFound
        Where the state that the publication was computed from has expired.
    """
    log_id, now, then = prices.log_id, lake.moment(prices.publication_id), lake.moment(before.publication_id)
    changed = pl.concat(lake.changes("silver.prices", log_id, since=before.reads["prices"], until=now))
    old = {name: lake.scan(name, log_id, as_of=then) for name in ("gold.price_bars", "gold.price_anomalies")}
    refreshed = refresh_bars(old, lake.scan("silver.prices", log_id, as_of=now), changed.select(_AT), settings)
    return {identifier: (part.gone, part.made) for identifier, part in refreshed.items()}


def _at(rows: pl.LazyFrame, at: pl.DataFrame) -> pl.DataFrame:
    """Read the rows of some commodities and times."""
    if at.is_empty():
        return rows.clear().collect()
    near = pl.col("time").is_between(at["time"].min(), at["time"].max())
    return (
        rows.filter(near & pl.col("commodity").is_in(at["commodity"].unique().to_list()))
        .collect()
        .join(at, on=_AT, how="semi")
    )


def _lost(quarantine: pl.DataFrame) -> pl.DataFrame:
    """Leave those that are in order: another tick of their commodity and time is kept, and may be another one now."""
    return quarantine.filter(pl.col("reason").is_in(LOST))
