"""Price ticks to prices: each tick is kept, or is in quarantine with its reason and text."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.settings import LogSettings
from ocelake.stream.ticks import decode_ticks
from ocelake.ticks import Prices, account_ticks, conform_ticks
from tests.price_ticks import ticks

BATCHES = pl.DataFrame(
    {"batch_id": ["b"], "source": ["feed"], "partition": [2], "first_offset": [40], "price_ticks": [0]}
)
FILE = BATCHES.with_columns(first_offset=pl.lit(None, pl.Int64))
GOOD = {"commodity": "gold", "time": "2024-01-01T00:00:00Z", "price": "1923.4", "currency": "USD", "version": 1}


def conform(*rows: dict[str, Any]) -> Prices:
    return conform_ticks(ticks(rows), BATCHES, LogSettings())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"defect": "malformed", "raw": "{"}, "malformed"),
        ({"commodity": None}, "missing_commodity"),
        ({"commodity": "  "}, "missing_commodity"),
        ({"time": None}, "missing_time"),
        ({"time": "soon"}, "invalid_time"),
        ({"price": None}, "missing_price"),
        ({"price": ""}, "missing_price"),
        ({"price": "free"}, "invalid_price"),
        ({"price": "NaN"}, "invalid_price"),
        ({"price": "1e999"}, "invalid_price"),
        ({"price": "1,923.4"}, "invalid_price"),
        ({"volume": "-1"}, "invalid_volume"),
        ({"volume": "many"}, "invalid_volume"),
    ],
)
def test_a_bad_tick_is_in_quarantine_with_its_reason_and_text(change: dict[str, Any], reason: str) -> None:
    found = conform(GOOD | change)
    assert found.prices.is_empty()
    (row,) = found.quarantine.iter_rows(named=True)
    assert (row["reason"], row["batch_id"], row["position"], row["source"]) == (reason, "b", 0, "feed")
    assert (row["partition"], row["offset"]) == (2, 40)
    if "raw" in change:
        assert row["raw"] == change["raw"]
    else:
        assert json.loads(row["raw"]) == {name: value for name, value in (GOOD | change).items() if value is not None}
    assert row["detail"]


@pytest.mark.parametrize("price", ["1923.4", " 1923.4 ", "+1923.4", "1.9234e3", "-37.63", "0", ".5", "5."])
def test_every_finite_number_is_a_price(price: str) -> None:
    assert conform(GOOD | {"price": price}).prices["price"].to_list() == [float(price)]


def test_the_greatest_version_wins_and_the_others_are_told_apart() -> None:
    found = conform(
        GOOD | {"version": 5, "price": "3"},
        GOOD | {"version": 9, "price": "2"},
        GOOD | {"version": 7, "price": "2"},
        GOOD | {"version": None, "price": "99"},  # its offset is greater than any version
        GOOD | {"version": 1, "time": "2024-01-01T01:00:00+01:00", "price": "4"},
    )
    assert found.prices.select("price", "version").rows() == [(2.0, 9)]
    assert found.quarantine.sort("position")["reason"].to_list() == [
        "superseded",
        "duplicate",
        "superseded",
        "superseded",
    ]


rows = st.builds(
    lambda commodity, minute, price, version: {
        "commodity": commodity,
        "time": f"2024-01-01T00:0{minute}:00Z",
        "price": price,
        "version": version,
    },
    st.sampled_from(("gold", "oil", None)),
    st.integers(0, 3),
    st.sampled_from(("1", "2", "x")),
    st.none() | st.integers(0, 2),
)


@given(found=st.lists(rows, max_size=15), data=st.data())
def test_prices_are_a_function_of_the_set_of_ticks(found: list[dict[str, Any]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(found))
    one, other = (conform_ticks(ticks(rows), FILE, LogSettings()) for rows in (found, shuffled))
    where = ["batch_id", "position"]
    assert_frame_equal(one.prices.drop(where), other.prices.drop(where), check_exact=True)
    counts = [frame.quarantine.group_by("reason", "commodity", "time", "raw").len() for frame in (one, other)]
    assert_frame_equal(*counts, check_row_order=False)
    (row,) = account_ticks(BATCHES.with_columns(price_ticks=len(found)), one).iter_rows(named=True)
    assert row["read"] == row["accepted"] + row["quarantined"] == len(found)


def test_messages_become_ticks_as_they_are_written() -> None:
    found = decode_ticks(
        range(3, 12),
        [
            b'{"commodity": "gold", "time": "2024-01-01", "price": 1923.40, "volume": 1e2, "version": 7}',
            b'{"commodity": "gold", "price": "5", "unit": null}',
            b'{"commodity": "gold", "price": 5, "exchange": "LME"}',
            b'{"commodity": "gold", "price": true, "version": -1}',
            b'{"commodity": "\\ud800"}',
            b"[1]",
            b"\xff",
            b"[" * 100_000,
            None,
        ],
    ).ticks
    assert found["position"].to_list() == list(range(3, 12))
    assert found.row(0, named=True) == {
        "position": 3,
        "commodity": "gold",
        "time": "2024-01-01",
        "price": "1923.40",
        "volume": "1e2",
        "currency": None,
        "unit": None,
        "version": 7,
        "defect": None,
        "raw": None,
    }
    assert found["raw"].is_null().to_list() == [True, True, *([False] * 7)], "what the columns do not hold is kept"
    assert found["defect"].to_list() == [None] * 4 + ["malformed"] * 5
    assert found["raw"][6] == "base64:/w=="
    assert found["price"].to_list()[:4] == ["1923.40", "5", "5", None]
