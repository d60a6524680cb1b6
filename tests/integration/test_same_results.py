"""The same log in any format, and in any split into files, gives the same tables in every layer after silver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ocelake.lake import Lake, open_lake
from ocelake.lake.build import build_log
from ocelake.lake.ingest import ingest
from ocelake.ocel.generate import generate
from ocelake.ocel.write import write_log
from ocelake.tables import layer_tables

RULES = """
rules:
  - {name: paid, when: place order, then: pay order, each: orders, count: 1}
  - {name: once, for_each: items, objects: packages, sharing: create package, count: {at_most: 1}}
"""
MINING = (
    "{executions: [connected, 'leading:orders'], execution_types: [orders, items, packages], resource_type: employees}"
)
COST = "{currency: EUR, default: {fixed: 1}, activities: {pick item: {fixed: 2}}}"


def built(home: Path, files: list[Path]) -> dict[str, pl.DataFrame]:
    """Ingest files as one log, and give every table of the layers after silver."""
    (home / "logs").mkdir(parents=True)
    for kind, text in (("rules", RULES), ("mining", MINING), ("cost", COST)):
        (home / "logs" / f"log.{kind}.yaml").write_text(text)
    lake = open_lake(home)
    for file in files:
        ingest(lake, file, "log")
        build_log(lake, "log")
    return {
        spec.identifier: _comparable(lake, spec.identifier)
        for layer in ("gold", "analysis", "model", "policy")
        for spec in layer_tables(layer)
    }


def _comparable(lake: Lake, identifier: str) -> pl.DataFrame:
    """Give a table without what tells when it was published."""
    frame = lake.read(identifier, "log").drop("publication_id", "version", strict=False)
    # The log's size in batches is not its content.
    return frame.sort(pl.exclude(pl.List, pl.Struct)) if frame.height else frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("same")


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, pl.DataFrame]:
    write_log(generate(600, seed=3), folder / "log.json")
    tables = built(folder / "json", [folder / "log.json"])
    assert all(tables[name].height for name in ("gold.rule_results", "gold.event_costs", "ocpn.arcs", "gold.resources"))
    return tables


@pytest.mark.parametrize("suffix", ["xml", "sqlite"])
def test_any_format_gives_the_same_tables(folder: Path, whole: dict[str, pl.DataFrame], suffix: str) -> None:
    write_log(generate(600, seed=3), folder / f"log.{suffix}")
    same(built(folder / suffix, [folder / f"log.{suffix}"]), whole)


def test_any_split_into_files_gives_the_same_tables(folder: Path, whole: dict[str, pl.DataFrame]) -> None:
    content: dict[str, Any] = json.loads((folder / "log.json").read_text())
    parts = []
    for number in range(3):
        part = {**content, "events": content["events"][number::3], "objects": content["objects"][2 - number :: 3]}
        parts.append(folder / f"part{number}.json")
        parts[-1].write_text(json.dumps(part))
    same(built(folder / "parts", [parts[2], parts[0], parts[1]]), whole)


def same(found: dict[str, pl.DataFrame], wanted: dict[str, pl.DataFrame]) -> None:
    assert found.keys() == wanted.keys()
    for identifier, frame in wanted.items():
        assert_frame_equal(found[identifier], frame, check_exact=True)
