"""Live figures of a log by windows: batch by batch, and all at once."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ocelake.errors import SettingError
from ocelake.lake import Lake, open_lake
from ocelake.lake.build import build_log, verify
from ocelake.lake.increment import advance
from ocelake.settings import KpiSettings, WindowSettings
from tests.integration.test_advance import land

LOG = "shop"
START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = WindowSettings(name="hour", length="1h", by_activity=True, measures=("price", "weight"))
LOAD = WindowSettings(name="load", length="6h", step="2h")
VISIT = WindowSettings(name="visit", gap="45m", measures=("price",))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = open_lake(tmp_path)
    KpiSettings(windows=(HOUR, LOAD, VISIT)).save(lake.settings.home / "logs" / f"{LOG}.kpis.yaml")
    return lake


def event(number: int, minute: int, activity: str = "sell", version: int = 0, **values: float) -> dict[str, Any]:
    """One event as a bronze record."""
    told = [{"name": name, "time": None, "value": repr(value), "value_type": "float"} for name, value in values.items()]
    return {
        "event_id": f"e{number}",
        "activity": activity,
        "time": (START + timedelta(minutes=minute)).isoformat(),
        "version": version,
        "declared": True,
        "attributes": told,
        "relationships": [],
    }


def shuffled(seed: int) -> list[dict[str, Any]]:
    """Events of two days in no order, some of them corrected or repeated."""
    chance = random.Random(seed)
    found = [
        event(number, chance.randrange(2880), chance.choice(["sell", "buy"]), price=chance.uniform(1, 9))
        for number in range(150)
    ]
    for one in chance.sample(found, 20):
        found.append({**one, "version": 1, "attributes": event(0, 0, price=chance.uniform(1, 9))["attributes"]})
    for one in chance.sample(found, 10):
        found.append({**one, "version": 2, "time": (START + timedelta(minutes=chance.randrange(2880))).isoformat()})
    found += chance.sample(found, 5)
    chance.shuffle(found)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_any_split_in_any_order_gives_the_windows_of_one_build(lake: Lake, seed: int) -> None:
    told, chance = shuffled(seed), random.Random(seed)
    cuts = [0, *sorted(chance.sample(range(20, len(told)), 5)), len(told)]
    for number, (begin, end) in enumerate(pairwise(cuts)):
        land(lake, LOG, number, told[begin:end], [])
        if number != 2:  # two batches may come between two looks
            made = advance(lake, LOG)
            assert made["kpis"].reads["silver"] == made["silver"].publication_id
    assert advance(lake, LOG) == made
    assert made["kpis"].number > 3
    assert all(table.equal for table in verify(lake, LOG))
    assert lake.read("gold.event_windows", LOG)["name"].unique().sort().to_list() == ["hour", "load", "visit"]


def test_windows_hold_what_their_events_say(lake: Lake) -> None:
    land(lake, LOG, 0, [event(1, 10, price=2.0), event(2, 50, price=4.0), event(3, 61, "buy", weight=1.5)], [])
    advance(lake, LOG)
    found = lake.read("gold.event_windows", LOG)
    hours = found.filter(name="hour", measure="price").sort("window_start")
    assert hours.select("activity", "events", "count", "sum", "min", "first", "last").rows() == [
        ("sell", 2, 2, 6.0, 2.0, 2.0, 4.0),
        ("buy", 1, 0, None, None, None, None),
    ]
    loads = found.filter(name="load").sort("window_start")
    assert loads["measure"].null_count() == loads["activity"].null_count() == loads.height
    assert loads["window_start"].to_list() == [START + timedelta(hours=hour) for hour in (-4, -2, 0)]
    assert loads["events"].to_list() == [3, 3, 3]
    assert found.filter(name="visit")["window_end"].to_list() == [START + timedelta(minutes=61 + 45)]


def test_a_change_touches_its_own_windows_alone(lake: Lake) -> None:
    def visits() -> list[tuple[Any, ...]]:
        found = lake.read("gold.event_windows", LOG).filter(name="visit").sort("window_start")
        return found.select("events", "sum").rows()

    land(lake, LOG, 0, [event(1, 10, price=2.0), event(2, 50, price=4.0), event(3, 120, "buy", price=3.0)], [])
    advance(lake, LOG)
    assert visits() == [(2, 6.0), (1, 3.0)]
    land(lake, LOG, 1, [event(4, 90, price=1.0)], [])  # late: two visits are one
    before = advance(lake, LOG)["kpis"]
    assert visits() == [(4, 10.0)]
    land(lake, LOG, 2, [event(3, 700, "buy", version=1, price=5.0)], [])  # a correction parts them
    after = advance(lake, LOG)["kpis"]
    assert visits() == [(3, 7.0), (1, 5.0)]
    went, came = lake.changes("gold.event_windows", LOG, since=before.publication_id, until=after.publication_id)
    assert set(went.filter(name="hour")["activity"]) == set(came.filter(name="hour")["activity"]) == {"buy"}


def test_a_measure_that_comes_to_be_a_number_counts_in_all_its_windows(lake: Lake) -> None:
    free = [{"name": "price", "time": None, "value": "free", "value_type": None}]
    land(lake, LOG, 0, [{**event(1, 10), "attributes": free}, event(2, 200, price=4.5)], [])
    advance(lake, LOG)
    prices = lake.read("gold.event_windows", LOG).filter(name="hour", measure="price").sort("window_start")
    assert prices["sum"].to_list() == [None, None]
    land(lake, LOG, 1, [event(1, 10, version=1, price=3.5)], [])
    advance(lake, LOG)
    prices = lake.read("gold.event_windows", LOG).filter(name="hour", measure="price").sort("window_start")
    assert prices["sum"].to_list() == [3.5, 4.5]
    assert all(table.equal for table in verify(lake, LOG))


def test_without_windows_there_are_none_and_a_stream_makes_nothing_of_it(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    land(lake, LOG, 0, [event(1, 10, price=2.0)], [])
    assert "kpis" not in advance(lake, LOG)
    assert build_log(lake, LOG)["kpis"].rows == {"gold.event_windows": 0}


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ("{name: a}", "say either length"),
        ("{name: a, length: 1h, gap: 5m}", "say either length"),
        ("{name: a, length: 1h, step: 2h}", "at most as long"),
        ("{name: a, length: soon}", "no length of a window"),
        ("{name: a, length: 1h, measures: [price, price]}", "named twice"),
        ("{name: a, length: 1h}, {name: a, gap: 1h}", "one name"),
    ],
)
def test_windows_that_make_no_sense_are_refused(tmp_path: Path, window: str, said: str) -> None:
    lake = open_lake(tmp_path)
    path = lake.settings.home / "logs" / f"{LOG}.kpis.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"windows: [{window}]")
    with pytest.raises(SettingError, match=said):
        lake.settings.kpis(LOG)
