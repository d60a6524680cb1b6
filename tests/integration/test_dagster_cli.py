"""The dagster CLI, from another folder, with the documented commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocelake.lake import open_lake
from ocelake.ocel.generate import generate
from ocelake.ocel.write import write_log

ROOT = Path(__file__).parents[2]
DAGSTER = str(Path(sys.executable).with_name("dagster"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OCELAKE_", "DAGSTER_"))}
    return {**kept, "OCELAKE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}


def call(environment: dict[str, str], folder: Path, *words: str) -> None:
    done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("home", ["unset", "empty", "with rules"])
def test_definitions_validate(environment: dict[str, str], tmp_path: Path, home: str) -> None:
    if home == "unset":
        environment = {name: value for name, value in environment.items() if not name.startswith(("OCELAKE_", "DAG"))}
    elif home == "with rules":
        logs = tmp_path / "home" / "logs"
        logs.mkdir()
        (logs / "orders.rules.yaml").write_text("rules: [{name: paid, for_each: orders, events: pay order}]")
        (logs / "broken.rules.yaml").write_text("rules: [{name: paid, for_each: [")
    call(environment, tmp_path, DAGSTER, "definitions", "validate", "-w", str(ROOT / "workspace.yaml"))


def test_asset_materialize_and_job_execute(environment: dict[str, str], tmp_path: Path) -> None:
    landing = tmp_path / "home" / "landing" / "orders"
    call(environment, tmp_path, sys.executable, "-m", "ocelake", "logs", "add", "orders")
    write_log(generate(200, 3), landing / "a.json")
    location = ("-d", str(ROOT), "-f", str(ROOT / "definitions.py"))
    tags = '{"dagster/partition": "orders"}'
    call(environment, tmp_path, DAGSTER, "job", "execute", *location, "-j", "bronze_job", "--tags", tags)
    for group in ("silver", "gold"):
        select = ("--select", f"group:{group}", "--partition", "orders")
        call(environment, tmp_path, DAGSTER, "asset", "materialize", *location, *select)
    gold = open_lake(tmp_path / "home").latest("orders", "gold")
    assert gold is not None
    assert gold.number == 1
