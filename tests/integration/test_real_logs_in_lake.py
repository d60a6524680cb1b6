"""Every real log through one lake: nothing is lost on the way to gold, and no log disturbs another."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ocelake.lake import Lake, PublicationRecord, open_lake
from ocelake.lake.audits import audit_analysis, audit_gold, audit_silver, blocking
from ocelake.lake.build import build_log, latest_or_fail, published_silver, published_tables
from ocelake.lake.ingest import Ingested, ingest
from ocelake.settings import LogSettings
from ocelake.tables import TABLES
from tests.conftest import data_folder

pytestmark = pytest.mark.data

STORED = {
    "event": "ocel.events",
    "object": "ocel.objects",
    "e2o": "ocel.event_objects",
    "o2o": "ocel.object_objects",
    "event_attribute": "ocel.event_attributes",
    "object_attribute": "ocel.object_attributes",
}
"""Where things of a kind are once they are accepted."""


def expected() -> dict[str, dict[str, Any]]:
    """Give the expected counts of every log that is an OCEL or XES log, by path."""
    folder = data_folder()
    if folder is None:
        return {"all logs": {}}
    content = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return {name: want for name, want in content.items() if not name.startswith("_") and want["format"] != "csv"}


LOGS = expected()
LOG_IDS = {name: f"log{number:02}" for number, name in enumerate(LOGS)}


def wanted(name: str) -> dict[str, int]:
    """Give how many things of each kind the file holds, where that was counted."""
    want = LOGS[name]
    if want["format"] == "xes":  # a trace is an object, and each of its events is related to it
        want = {**want, "objects": want["traces"], "e2o": want["events"]}
    counts = {"event": want["events"], "object": want["objects"], "e2o": want["e2o"], "o2o": want.get("o2o")}
    return {kind: number for kind, number in counts.items() if number is not None}


def content(lake: Lake) -> pl.DataFrame:
    """Give the number of rows and a hash of all of them, for each table and log."""
    parts = [
        f"SELECT '{identifier}' AS name, log_id, count(*) AS rows, bit_xor(hash(held)) AS content "
        f"FROM {identifier} AS held GROUP BY log_id"
        for identifier in TABLES
    ]
    return lake.sql(" UNION ALL ".join(parts) + " ORDER BY log_id, name")


@dataclass
class Built:
    """A lake with every log in it."""

    lake: Lake
    ingested: dict[str, Ingested]
    gold: dict[str, PublicationRecord]
    contents: list[pl.DataFrame]
    """What the tables held each time that some more logs had been published."""


@pytest.fixture(scope="module")
def built(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    lake = open_lake(tmp_path_factory.mktemp("lake"))
    all_logs = Built(lake, {}, {}, [])
    for number, (name, log_id) in enumerate(LOG_IDS.items()):
        all_logs.ingested[name] = ingest(lake, data / name, log_id)
        all_logs.gold[name] = build_log(lake, log_id)["gold"]
        if number % 8 == 0:
            all_logs.contents.append(content(lake))
    return all_logs


@pytest.fixture(scope="module")
def stored(built: Built) -> pl.DataFrame:
    """How many things of each kind each log's tables hold."""
    parts = [
        f"SELECT log_id, '{kind}' AS kind, count(*) AS things FROM {table} GROUP BY log_id"
        for kind, table in STORED.items()
    ]
    return built.lake.sql(" UNION ALL ".join(parts))


@pytest.fixture(scope="module")
def quarantined(built: Built) -> pl.DataFrame:
    """How many things of each kind each log's quarantine holds."""
    return built.lake.sql("SELECT log_id, record_kind AS kind, count(*) AS things FROM silver.quarantine GROUP BY ALL")


@pytest.mark.parametrize("name", LOGS)
def test_what_the_file_holds_is_stored_or_quarantined(
    built: Built, stored: pl.DataFrame, quarantined: pl.DataFrame, name: str
) -> None:
    assert built.ingested[name].format == LOGS[name]["format"]
    assert not built.ingested[name].already
    here = pl.col("log_id") == LOG_IDS[name]
    accepted = dict(stored.filter(here).select("kind", "things").rows())
    held = dict(quarantined.filter(here).select("kind", "things").rows())
    want = wanted(name)
    assert {kind: accepted.get(kind, 0) + held.get(kind, 0) for kind in want} == want

    query = f"SELECT * FROM silver.accounting WHERE log_id = '{LOG_IDS[name]}'"
    accounts = built.lake.sql(query)
    assert accounts["batch_id"].unique().to_list() == [built.ingested[name].batch_id]
    assert sorted(accounts["record_kind"]) == sorted(STORED)
    for batch_id, kind, read, kept, refused in accounts.select(
        "batch_id", "record_kind", "read", "accepted", "quarantined"
    ).rows():
        assert read == kept + refused, (batch_id, kind)
        assert (kept, refused) == (accepted.get(kind, 0), held.get(kind, 0)), kind

    (summary,) = built.lake.sql(f"SELECT * FROM gold.log_summary WHERE log_id = '{LOG_IDS[name]}'").to_dicts()
    told = {kind: summary[table.removeprefix("ocel.")] for kind, table in STORED.items()}
    assert told == {kind: accepted.get(kind, 0) for kind in STORED}
    assert summary["quarantined"] == sum(held.values())


@pytest.mark.parametrize("name", LOGS)
def test_what_is_published_passes_its_checks(built: Built, name: str) -> None:
    silver = latest_or_fail(built.lake, LOG_IDS[name], "silver", as_of=built.gold[name].publication_id)
    assert blocking(audit_silver(published_silver(built.lake, silver), LogSettings())) == []
    assert blocking(audit_gold(published_tables(built.lake, built.gold[name]))) == []
    analysis = latest_or_fail(built.lake, LOG_IDS[name], "analysis")
    assert blocking(audit_analysis(published_tables(built.lake, analysis))) == []


def test_no_log_changes_when_others_are_published(built: Built) -> None:
    at_last = content(built.lake)
    assert set(at_last["log_id"]) == set(LOG_IDS.values())
    for before in built.contents:
        logs = before["log_id"].unique().to_list()
        assert_frame_equal(at_last.filter(pl.col("log_id").is_in(logs)), before)
