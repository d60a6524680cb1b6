"""Bars of prices: open, high, low and close per interval, moving averages, volatility, and what is unusual.

A bar is a tumbling window over the prices of a commodity; intervals without a price have none, so that "the last 20"
are the last 20 bars that there are. What is computed over the bars before looks back a fixed number of bars: a late
price changes its own bar and as many after it, and `refresh_bars` computes those anew and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.windows import Refreshed, Tumbling, aggregate, refresh
from ocelake.settings import PriceSettings
from ocelake.tables import as_table

__all__ = ["make_bars", "refresh_bars"]

Tables: TypeAlias = dict[str, pl.DataFrame]
Floats: TypeAlias = npt.NDArray[np.float64]

_KEYS: Final = ("commodity",)
_SERIES: Final = ("interval", "commodity")
_BAR: Final = (*_SERIES, "time")
_MEASURES: Final = ("price", "volume")
_LEAST_SPREAD: Final = 1e-9
"""A measure that varied by less stood still: how unusual another value is, nothing tells."""


def make_bars(prices: pl.DataFrame, settings: PriceSettings) -> Tables:
    """Make all bars of prices.

    Parameters
    ----------
    prices : DataFrame
        `silver.prices` of a log.
    settings : PriceSettings
        The intervals, and how many bars averages and volatility are over.

    Returns
    -------
    dict of str to DataFrame
        `gold.price_bars` and `gold.price_anomalies`, without ``log_id``, sorted.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> times = [datetime(2024, 1, 1, 0, minute, tzinfo=UTC) for minute in (1, 4, 7)]
    >>> prices = pl.DataFrame({"commodity": "gold", "time": times, "price": [2.0, 5.0, 3.0], "volume": 1.0})
    >>> bars = make_bars(prices, PriceSettings(intervals=("5m",), short=2))["gold.price_bars"]
    >>> bars.select("open", "high", "low", "close", "volume", "average_short").rows()
    [(2.0, 5.0, 2.0, 5.0, 2.0, None), (3.0, 3.0, 3.0, 3.0, 1.0, 4.0)]
    """
    made = [
        _as_bars(aggregate(prices, Tumbling(length), _MEASURES, keys=_KEYS), interval)
        for interval, length in settings.lengths.items()
    ]
    return _described(pl.concat(made).sort(_BAR), settings)


def refresh_bars(
    before: Mapping[str, pl.LazyFrame], prices: pl.LazyFrame, changed: pl.DataFrame, settings: PriceSettings
) -> dict[str, Refreshed]:
    """Make anew the bars that a change of prices touches.

    Parameters
    ----------
    before : mapping of str to LazyFrame
        The tables as they were, made under the same settings; read for the changed commodities only.
    prices : LazyFrame
        `silver.prices` as it is now; read around the changed times only.
    changed : DataFrame
        Commodity and time of every price that came, went or changed; more of them do no harm.
    settings : PriceSettings
        As in `make_bars`.

    Returns
    -------
    dict of str to Refreshed
        By table the keys of rows to be removed, and the rows to be added: with them the tables are what `make_bars`
        gives for the prices as they are now, to the bit.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> times = [datetime(2024, 1, 1, 0, minute, tzinfo=UTC) for minute in (1, 4)]
    >>> prices = pl.DataFrame({"commodity": "gold", "time": times, "price": [2.0, 5.0], "volume": 1.0})
    >>> settings = PriceSettings(intervals=("5m",), short=2)
    >>> before = {name: frame.lazy() for name, frame in make_bars(prices[:1], settings).items()}
    >>> changes = refresh_bars(before, prices.lazy(), prices[1:].select("commodity", "time"), settings)
    >>> changes["gold.price_bars"].made.select("open", "close", "volume").rows()
    [(2.0, 5.0, 2.0)]
    """
    of_changed = pl.col("commodity").is_in(changed["commodity"].unique().to_list())
    bars, anomalies = (
        before[name].filter(of_changed).collect() for name in ("gold.price_bars", "gold.price_anomalies")
    )
    parts, touched = [], []
    for interval, length in settings.lengths.items():
        old = bars.filter(pl.col("interval") == interval)
        refreshed = refresh(_as_windows(old, length), prices, changed, Tumbling(length), _MEASURES, keys=_KEYS)
        made = _as_bars(refreshed.made, interval)
        gone = refreshed.gone.select("commodity", time="window_start", interval=pl.lit(interval))
        parts.append(pl.concat([old.select(made.columns).join(gone, on=_BAR, how="anti"), made]))
        touched += [gone.select(_BAR), made.select(_BAR)]
    marks = pl.concat(touched).unique().with_columns(touched=pl.lit(True))
    # A bar whose prices all went is no more, but those after it look back on others now: it takes part in the marking.
    places = pl.concat([*(part.select(_BAR) for part in parts), marks.select(_BAR)]).unique().sort(_BAR)
    marked = places.join(marks, on=_BAR, how="left", maintain_order="left")["touched"].fill_null(False).to_numpy()
    reach = _reach(settings)
    again = places.filter(pl.Series(_dilated(marked, _place(places), reach)))
    present = pl.concat(parts).sort(_BAR)
    due = present.select(_BAR).join(again.with_columns(due=True), on=_BAR, how="left", maintain_order="left")["due"]
    # What they look back on is needed as well, and no more.
    backwards = due.fill_null(False).reverse().to_numpy()
    needed = _dilated(backwards, _place(present.reverse()), reach)[::-1]
    described = _described(present.filter(pl.Series(needed)), settings)
    return {
        "gold.price_bars": _refreshed("gold.price_bars", bars, described, again),
        "gold.price_anomalies": _refreshed("gold.price_anomalies", anomalies, described, again),
    }


def _refreshed(identifier: str, before: pl.DataFrame, described: Tables, again: pl.DataFrame) -> Refreshed:
    """Put the rows of some bars in the place of those that there were, and leave out what is as it was."""
    old = before.join(again, on=_BAR, how="semi")
    new = described[identifier].join(again, on=_BAR, how="semi").select(old.columns)
    same = old.join(new, on=old.columns, how="semi", nulls_equal=True)
    key = [*_BAR, *({"kind"} & set(old.columns))]
    made = new.join(same, on=key, how="anti")
    return Refreshed(old.join(same, on=key, how="anti").select(key), as_table(identifier, made))


def _reach(settings: PriceSettings) -> int:
    """Give how many bars before it a bar's numbers depend on: volatility's returns, and the close before them."""
    return max(settings.short, settings.long, settings.volatility + 1)


def _as_bars(windows: pl.DataFrame, interval: str) -> pl.DataFrame:
    return windows.select(
        "commodity",
        interval=pl.lit(interval),
        time="window_start",
        open="price_first",
        high="price_max",
        low="price_min",
        close="price_last",
        mean="price_mean",
        volume="volume_sum",
        prices=pl.col("rows").cast(pl.Int64),
    )


def _as_windows(bars: pl.DataFrame, length: timedelta) -> pl.DataFrame:
    return bars.select("commodity", window_start="time", window_end=pl.col("time") + length)


def _described(bars: pl.DataFrame, settings: PriceSettings) -> Tables:
    """Give bars, which are in order, what depends on those before them; and what is unusual in them."""
    place = _place(bars)
    close = bars["close"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.where(place > 0, _log(close) - _log(_back(close, 1)), np.nan)
        ranges = _log(bars["high"].to_numpy()) - _log(bars["low"].to_numpy())
    bars = bars.with_columns(
        log_return=pl.Series(returns, nan_to_null=True),
        average_short=pl.Series(_mean(close, place, settings.short), nan_to_null=True),
        average_long=pl.Series(_mean(close, place, settings.long), nan_to_null=True),
        volatility=pl.Series(_deviation(returns, place, settings.volatility), nan_to_null=True),
    )
    volumes = bars["volume"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    measures = {"jump": returns, "range": ranges, "volume": volumes}
    found = [
        _unusual(bars, kind, values, place, settings, beyond=np.abs if kind == "jump" else np.positive)
        for kind, values in measures.items()
    ]
    return {
        "gold.price_bars": as_table("gold.price_bars", bars),
        "gold.price_anomalies": as_table("gold.price_anomalies", pl.concat(found)),
    }


def _unusual(
    bars: pl.DataFrame,
    kind: str,
    values: Floats,
    place: npt.NDArray[np.int64],
    settings: PriceSettings,
    *,
    beyond: Callable[[Floats], Floats],
) -> pl.DataFrame:
    """Give the bars whose value is far from those of the bars before: in both directions, or only above."""
    expected = _before(_mean(values, place, settings.volatility), place)
    spread = _before(_deviation(values, place, settings.volatility), place)
    score = np.divide(values - expected, spread, out=np.full(len(values), np.nan), where=spread > _LEAST_SPREAD)
    return (
        bars.select(_BAR)
        .with_columns(
            kind=pl.lit(kind),
            value=pl.Series(values),
            expected=pl.Series(expected),
            spread=pl.Series(spread),
            score=pl.Series(score),
        )
        .filter(pl.Series(beyond(score) >= settings.threshold))
    )


def _place(bars: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Give each bar's place among those of its commodity and interval, from 0; they come one after the other."""
    of = bars.select(pl.struct(_SERIES).rle_id().cast(pl.Int64)).to_series().to_numpy()
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    return np.arange(len(of)) - np.repeat(starts, np.diff(starts, append=len(of)))


def _back(values: npt.NDArray[Any], steps: int) -> npt.NDArray[Any]:
    """Give the values so many rows before; what would be before the first row is not to be looked at."""
    return np.roll(values, steps)


def _before(values: Floats, place: npt.NDArray[np.int64]) -> Floats:
    return np.where(place > 0, _back(values, 1), np.nan)


def _log(values: Floats) -> Floats:
    """Give logarithms; of what is not positive (a price can be negative) none."""
    return np.where(values > 0, np.log(np.where(values > 0, values, 1.0)), np.nan)


def _sum(parts: Iterable[Floats]) -> Floats:
    """Add up row by row, always in the same order: so a bar's numbers do not depend on what else is computed."""
    total: Floats = np.asarray(0.0)
    for part in parts:
        total = total + part
    return total


def _mean(values: Floats, place: npt.NDArray[np.int64], bars: int) -> Floats:
    """Give the mean over the last bars; NaN where there are not as many, or one has none."""
    total = _sum(_back(values, steps) for steps in range(bars))
    return np.where(place >= bars - 1, total / bars, np.nan)


def _deviation(values: Floats, place: npt.NDArray[np.int64], bars: int) -> Floats:
    """Give the standard deviation (of a sample) over the last bars; NaN as in `_mean`."""
    mean = _mean(values, place, bars)
    squares = _sum((_back(values, steps) - mean) ** 2 for steps in range(bars))
    return np.sqrt(squares / (bars - 1))


def _dilated(marked: npt.NDArray[np.bool_], place: npt.NDArray[np.int64], reach: int) -> npt.NDArray[np.bool_]:
    """Mark also the bars, of the same series, that come up to so many after a marked one."""
    row = np.arange(len(marked))
    last = np.maximum.accumulate(np.where(marked, row, -1 - reach - 1))
    since = row - last
    return np.asarray((since <= reach) & (since <= place))
