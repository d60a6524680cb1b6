"""Price ticks: from records as they were written to prices, typed, validated, one a commodity and time.

Prices and quarantine are a function of the set of ticks, whatever their order and their batches: of the ticks of one
commodity and time the greatest version is kept, and among equal versions the greatest content. A tick that declares a
version comes after those that do not; of these the message's offset decides, which orders the ticks of a commodity
where all of them are in one partition.

What belongs elsewhere: messages to ticks (`ocelake.stream`), and what is computed from prices (`ocelake.mining.bars`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson
import polars as pl

from ocelake.ocel.reasons import REASONS, Reason
from ocelake.ocel.times import parse_times
from ocelake.settings import LogSettings
from ocelake.tables import as_table

__all__ = ["CONTENT", "LOST", "Prices", "account_ticks", "conform_ticks"]

CONTENT: Final = ("commodity", "time", "price", "volume", "currency", "unit")
"""What a tick says."""

LOST: Final = (Reason.DUPLICATE, Reason.SUPERSEDED)
"""Reasons of ticks that are in order, and of which another was kept."""

_NUMBER: Final = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_AT: Final = ("commodity", "time")


@dataclass(frozen=True, slots=True)
class Prices:
    """What became of ticks: each is a row of one of the two.

    Attributes
    ----------
    prices : DataFrame
        As `silver.prices`.
    quarantine : DataFrame
        As `silver.price_quarantine`.
    """

    prices: pl.DataFrame
    quarantine: pl.DataFrame


def conform_ticks(ticks: pl.DataFrame, batches: pl.DataFrame, settings: LogSettings) -> Prices:
    """Read ticks.

    Parameters
    ----------
    ticks : DataFrame
        `bronze.price_ticks` of a log: all of them, or all of some commodities and times.
    batches : DataFrame
        The columns ``batch_id``, ``source``, ``partition`` and ``first_offset`` of their `bronze.batches`.
    settings : LogSettings
        The zone of times that have none.

    Examples
    --------
    >>> written = {"batch_id": "a", "commodity": "gold", "time": "2024-01-01T00:00:00Z", "price": ["1923.4", "free"]}
    >>> written = pl.DataFrame(written | {"position": [0, 1]})
    >>> ticks = pl.concat([as_table("bronze.price_ticks"), written], how="diagonal")
    >>> batches = pl.DataFrame({"batch_id": ["a"], "source": "feed", "partition": 0, "first_offset": 0})
    >>> found = conform_ticks(ticks, batches, LogSettings())
    >>> found.prices["price"].to_list(), found.quarantine["reason"].to_list()
    ([1923.4], ['invalid_price'])
    """
    of_batch = batches.select("batch_id", "source", "partition", "first_offset")
    read = _typed(ticks, settings.time_zone).join(of_batch, on="batch_id", how="left")
    read = read.with_columns(reason=_reason(), offset=pl.col("first_offset") + pl.col("position"))
    sound = read.filter(pl.col("reason").is_null())
    # The batch comes last: it only says which of equal ticks the kept one is.
    best = sound.sort(
        *_AT,
        "version",
        pl.when(pl.col("version").is_null()).then("offset"),
        *("price", "volume", "currency", "unit"),
        "batch_id",
        "position",
        descending=[*(False for _ in _AT), *(True for _ in range(6)), False, False],
        nulls_last=True,
    )
    first = pl.struct(_AT).rle_id().diff().fill_null(1) != 0
    prices = best.filter(first).with_columns(version=pl.coalesce("version", "offset"))
    content = [name for name in CONTENT if name not in _AT]
    same = [pl.col(name).eq_missing(pl.col(f"{name}_kept")) for name in content]
    lost = best.filter(~first).join(prices.select(*_AT, *content), on=_AT, how="left", suffix="_kept")
    reason = pl.when(*same).then(pl.lit(Reason.DUPLICATE)).otherwise(pl.lit(Reason.SUPERSEDED))
    refused = pl.concat(
        [
            read.filter(pl.col("reason").is_not_null()),
            lost.with_columns(reason=reason).select(read.columns),
        ]
    )
    quarantine = refused.with_columns(
        detail=pl.col("reason").replace_strict({reason.value: said for reason, said in REASONS.items()}),
        raw=_raw(refused, ticks),
    )
    return Prices(as_table("silver.prices", prices), as_table("silver.price_quarantine", quarantine))


def account_ticks(batches: pl.DataFrame, found: Prices) -> pl.DataFrame:
    """Count by batch what became of ticks.

    Parameters
    ----------
    batches : DataFrame
        The columns ``batch_id`` and ``price_ticks`` of the `bronze.batches` to be counted.
    found : Prices
        Their ticks are counted, no others.

    Returns
    -------
    DataFrame
        As `silver.price_accounting`.
    """
    counts = batches.select("batch_id", read="price_ticks").filter(pl.col("read").is_not_null())
    for name, frame in (("accepted", found.prices), ("quarantined", found.quarantine)):
        counts = counts.join(frame.group_by("batch_id").len(name), on="batch_id", how="left")
    return as_table("silver.price_accounting", counts.fill_null(0))


def _typed(ticks: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Give commodity, time, price and volume their types; what cannot be read is null."""
    times = parse_times(ticks["time"], zone)
    written = [pl.col(name).str.strip_chars() for name in ("price", "volume")]
    return ticks.with_columns(
        *(_blank_null(name) for name in ("commodity", "currency", "unit")),
        *(pl.when(text.str.contains(_NUMBER)).then(text).cast(pl.Float64, strict=False) for text in written),
        time=times["time"],
        time_flag=times["flag"],
        volume_said=_blank_null("volume").is_not_null(),
        price_said=_blank_null("price").is_not_null(),
    )


def _blank_null(name: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text).alias(name)


def _reason() -> pl.Expr:
    """Give the first thing that is wrong with a tick; null where nothing is."""
    price, volume = pl.col("price"), pl.col("volume")
    bad_volume = volume.is_null() | ~volume.is_finite() | (volume < 0)
    return (
        pl.when(pl.col("defect").is_not_null())
        .then("defect")
        .when(pl.col("commodity").is_null())
        .then(pl.lit(Reason.MISSING_COMMODITY))
        .when(pl.col("time").is_null())
        .then("time_flag")
        .when(~pl.col("price_said"))
        .then(pl.lit(Reason.MISSING_PRICE))
        .when(price.is_null() | ~price.is_finite())
        .then(pl.lit(Reason.INVALID_PRICE))
        .when(pl.col("volume_said") & bad_volume)
        .then(pl.lit(Reason.INVALID_VOLUME))
    )


def _raw(refused: pl.DataFrame, ticks: pl.DataFrame) -> pl.Series:
    """Give the text of ticks: as it came, else what their columns hold, as JSON."""
    written = refused.select("batch_id", "position").join(
        ticks, on=["batch_id", "position"], how="left", maintain_order="left"
    )
    said = written.select(*CONTENT, "version").iter_rows(named=True)
    texts = [
        raw if raw is not None else orjson.dumps({k: v for k, v in row.items() if v is not None}).decode()
        for raw, row in zip(written["raw"], said, strict=True)
    ]
    return pl.Series("raw", texts, dtype=pl.String)
