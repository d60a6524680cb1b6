"""Price ticks to bars in a lake: micro-batch by micro-batch, and all at once."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ocelake.errors import NotFound
from ocelake.lake import Lake, open_lake
from ocelake.lake.build import STEPS, build_log, latest_or_fail, log_layers, published_tables, verify
from ocelake.lake.increment import advance
from ocelake.ocel.generate import generate
from ocelake.ocel.write import write_log
from ocelake.settings import PriceSettings
from tests.price_ticks import LOG, put_ticks


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path)


def feed(seed: int, rows: int = 300) -> list[dict[str, Any]]:
    """Give ticks of two hours, with repeats, corrections and bad ones among them."""
    chance = random.Random(seed)
    found = []
    for number in range(rows):
        second = chance.randrange(7200)
        found.append(
            {
                "commodity": chance.choice(("gold", "oil", "wheat")),
                "time": f"2024-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60 // 20 * 20:02}Z",
                "price": str(round(chance.uniform(50, 60), 2)),
                "volume": chance.choice(("1", "2.5", None)),
                "version": number,
            }
        )
        if chance.random() < 0.1:
            found.append(dict(chance.choice(found)))
        if chance.random() < 0.05:
            found.append({"commodity": "gold", "price": "none", "version": number})
    return found


def content(lake: Lake, layer: str) -> dict[str, pl.DataFrame]:
    """Give what a layer holds, without where in the batches it comes from."""
    tables = published_tables(lake, latest_or_fail(lake, LOG, layer))  # type: ignore[arg-type]
    origin = pl.selectors.by_name("batch_id", "position", require_all=False)
    return {name: table.drop(origin) for name, table in tables.items() if name != "silver.price_accounting"}


@pytest.mark.parametrize("seed", range(2))
def test_any_split_in_any_order_gives_the_tables_of_one_full_build(tmp_path: Path, seed: int) -> None:
    rows, chance = feed(seed), random.Random(seed)
    whole, parts = open_lake(tmp_path / "whole"), open_lake(tmp_path / "parts")
    for lake in (whole, parts):
        PriceSettings(intervals=("1m", "15m"), short=3, long=6, volatility=4, threshold=1.5).save(
            lake.settings.home / "logs" / f"{LOG}.prices.yaml"
        )
    put_ticks(whole, "all", rows)
    build_log(whole, LOG)
    chance.shuffle(rows)
    cuts = [0, *sorted(chance.sample(range(1, len(rows)), 5)), len(rows)]
    for number, (begin, end) in enumerate(pairwise(cuts)):
        put_ticks(parts, f"part-{number}", rows[begin:end])
        if number != 2:  # two batches may come between two looks
            made = advance(parts, LOG)
            assert {record.layer for record in made.values()} == {"prices", "bars"}
    assert advance(parts, LOG) == made
    assert len(verify(parts, LOG)) == 5
    assert all(table.equal for table in verify(parts, LOG))
    for layer in ("prices", "bars"):
        ours, theirs = content(parts, layer), content(whole, layer)
        for name, table in ours.items():
            assert table.height
            assert_frame_equal(table, theirs[name], check_exact=True, check_row_order=False)


def test_a_micro_batch_writes_what_it_touches_and_no_more(lake: Lake) -> None:
    put_ticks(lake, "one", [{"commodity": "gold", "time": f"2024-01-{day:02}", "price": "5"} for day in range(1, 29)])
    before = advance(lake, LOG)["bars"]
    put_ticks(lake, "two", [{"commodity": "oil", "time": "2024-01-05", "price": "7"}])
    after = advance(lake, LOG)["bars"]
    went, came = lake.changes("gold.price_bars", LOG, since=before.publication_id, until=after.publication_id)
    assert went.is_empty()
    assert came.select("commodity", "interval").rows() == [("oil", "1d"), ("oil", "1h"), ("oil", "1m")]
    files = [
        {file.file_path for file in lake.plan("gold.price_bars", log_id=LOG, as_of=r.publication_id).files}
        for r in (before, after)
    ]
    assert files[0] < files[1]


def test_new_settings_make_all_bars_anew(lake: Lake) -> None:
    put_ticks(lake, "one", feed(1))
    assert set(advance(lake, LOG)) == {"prices", "bars"}
    PriceSettings(intervals=("5m",)).save(lake.settings.home / "logs" / f"{LOG}.prices.yaml")
    put_ticks(lake, "two", feed(2)[:5])
    advance(lake, LOG)
    assert lake.read("gold.price_bars", LOG)["interval"].unique().to_list() == ["5m"]
    assert all(table.equal for table in verify(lake, LOG))


def test_a_log_goes_through_the_layers_of_what_it_has(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        log_layers(lake, "orders")
    write_log(generate(60, 1), tmp_path / "a.json")
    from ocelake.lake.ingest import ingest

    ingest(lake, tmp_path / "a.json", "orders")
    put_ticks(lake, "one", feed(1, 20))
    assert log_layers(lake, "orders") == tuple(layer for layer in STEPS if layer not in ("prices", "bars"))
    assert log_layers(lake, LOG) == ("prices", "bars")
    put_ticks(lake, "one", feed(1, 20), log_id="orders")
    assert log_layers(lake, "orders") == tuple(STEPS)
    assert set(build_log(lake, "orders")) == set(STEPS)
    assert all(table.equal for table in verify(lake, "orders"))
