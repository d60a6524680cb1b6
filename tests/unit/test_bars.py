"""Bars of prices: by hand, and kept up to date as prices come late."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.mining.bars import make_bars, refresh_bars
from ocelake.settings import PriceSettings
from ocelake.tables import as_table

START = datetime(2024, 1, 1, tzinfo=UTC)
SMALL = PriceSettings(intervals=("1m", "5m"), short=2, long=4, volatility=3, threshold=1.2)


def prices(rows: Mapping[tuple[str, datetime], tuple[float, float | None]]) -> pl.DataFrame:
    found = [(name, time, price, volume) for (name, time), (price, volume) in rows.items()]
    schema = {
        "commodity": pl.String,
        "time": pl.Datetime("us", "UTC"),
        "price": pl.Float64,
        "volume": pl.Float64,
    }
    more = {"currency": "USD", "unit": "oz", "version": 0, "batch_id": "b", "position": 0}
    frame = pl.DataFrame(found, schema=schema, orient="row")
    return as_table("silver.prices", frame.with_columns(**{name: pl.lit(value) for name, value in more.items()}))


def minutes(closes: list[float]) -> pl.DataFrame:
    return prices({("gold", START + timedelta(minutes=n)): (close, None) for n, close in enumerate(closes)})


ticks = st.tuples(
    st.sampled_from(("gold", "oil")),
    st.integers(0, 120).map(lambda step: START + step * timedelta(seconds=20)),
    st.sampled_from((1.0, 1.1, 0.9, 3.0, 100.0, -37.63, 1e9)),
    st.none() | st.sampled_from((1.0, 2.5, 1e4)),
)


@settings(max_examples=60)
@given(batches=st.lists(st.lists(ticks, max_size=12), max_size=6), data=st.data())
def test_any_split_with_late_and_corrected_prices_gives_the_bars_of_all_prices(
    batches: list[list[tuple[str, datetime, float, float | None]]], data: st.DataObject
) -> None:
    now: dict[tuple[str, datetime], tuple[float, float | None]] = {}
    tables = make_bars(prices({}), SMALL)
    for batch in batches:
        changed = {(name, time): (price, volume) for name, time, price, volume in batch}
        now |= changed
        went = data.draw(st.lists(st.sampled_from(sorted(now)), unique=True, max_size=3)) if now else []
        changed |= {at: now.pop(at) for at in went}
        lazy = {name: table.lazy() for name, table in tables.items()}
        refreshed = refresh_bars(lazy, prices(now).lazy(), prices(changed).select("commodity", "time"), SMALL)
        tables = {name: as_table(name, part.apply(tables[name])) for name, part in refreshed.items()}
        for name, table in make_bars(prices(now), SMALL).items():
            assert_frame_equal(tables[name], table, check_exact=True)


def test_averages_and_volatility_are_over_the_last_bars_and_null_before_there_are_as_many() -> None:
    closes = [100.0, 102.0, 101.0, 105.0, 104.0]
    bars = make_bars(minutes(closes), SMALL)["gold.price_bars"].filter(interval="1m")
    returns = [math.log(b / a) for a, b in pairwise(closes)]
    assert bars["log_return"].to_list() == [None, *(pytest.approx(value) for value in returns)]
    assert bars["average_short"].to_list() == [None, 101.0, 101.5, 103.0, 104.5]
    assert bars["average_long"].to_list() == [None, None, None, 102.0, 103.0]
    assert bars["volatility"].to_list() == [
        None, None, None, pytest.approx(statistics.stdev(returns[:3])), pytest.approx(statistics.stdev(returns[1:4])),
    ]  # fmt: skip


def test_commodities_and_intervals_look_back_on_their_own_bars_only() -> None:
    gold = minutes([100.0, 101.0, 102.0, 103.0])
    both = pl.concat([gold, gold.with_columns(commodity=pl.lit("oil"), price=pl.col("price") * 7)])
    bars = make_bars(both, SMALL)["gold.price_bars"]
    alone = make_bars(gold, SMALL)["gold.price_bars"]
    assert_frame_equal(bars.filter(commodity="gold"), alone, check_exact=True)
    assert (
        bars.group_by("commodity", "interval").agg(pl.col("log_return").null_count())["log_return"].to_list() == [1] * 4
    )


def test_a_negative_price_has_a_bar_and_no_logarithm() -> None:
    bars = make_bars(minutes([20.0, -37.63, 10.0, 11.0]), SMALL)["gold.price_bars"].filter(interval="1m")
    assert bars["close"].to_list() == [20.0, -37.63, 10.0, 11.0]
    assert bars["log_return"].is_null().to_list() == [True, True, True, False]


def test_a_jump_is_told_by_what_the_bars_before_did_and_a_standstill_tells_nothing() -> None:
    calm = [100.0 + (n % 2) for n in range(30)]
    usual = PriceSettings(intervals=("1m",))
    assert make_bars(minutes(calm), usual)["gold.price_anomalies"].is_empty()
    found = make_bars(minutes([*calm, 120.0, 119.0]), usual)["gold.price_anomalies"]
    assert found.select("kind", "time").rows() == [("jump", START + timedelta(minutes=30))]
    (row,) = found.iter_rows(named=True)
    assert row["value"] == pytest.approx(math.log(120 / 101))
    assert row["score"] == pytest.approx((row["value"] - row["expected"]) / row["spread"])
    still = make_bars(minutes([*([100.0] * 30), 120.0]), usual)["gold.price_anomalies"]
    assert still.is_empty()


def test_a_spike_within_a_bar_and_a_rush_of_volume_are_told() -> None:
    rows = {
        ("gold", START + timedelta(minutes=n, seconds=20 * part)): (100.0 + part + (n % 3) / 10, 10.0 + n % 2)
        for n in range(40)
        for part in range(2)
    }
    rows["gold", START + timedelta(minutes=30, seconds=10)] = (180.0, 500.0)
    found = make_bars(prices(rows), PriceSettings(intervals=("1m",)))["gold.price_anomalies"]
    assert set(found["kind"]) == {"range", "volume"}
    assert set(found["time"]) == {START + timedelta(minutes=30)}


def test_a_late_price_changes_its_own_bar_and_those_that_look_back_on_it() -> None:
    closes = [100.0 + (n * 7) % 11 for n in range(60)]
    before = make_bars(minutes(closes), SMALL)
    late = prices({("gold", START + timedelta(minutes=20, seconds=30)): (300.0, None)})
    now = pl.concat([minutes(closes), late])
    lazy = {name: table.lazy() for name, table in before.items()}
    made = refresh_bars(lazy, now.lazy(), late.select("commodity", "time"), SMALL)["gold.price_bars"].made
    of_minutes = made.filter(interval="1m")["time"]
    reach = max(SMALL.long, SMALL.volatility + 1)
    assert of_minutes.min() == START + timedelta(minutes=20)
    assert of_minutes.max() < START + timedelta(minutes=20 + reach)
