"""The command line, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
OCELAKE = [sys.executable, "-m", "ocelake"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Call `ocelake` in a folder of its own, with a home of its own that the module's tests share."""
    folder = tmp_path_factory.mktemp("cli")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OCELAKE_", "DAGSTER_"))}

    def call(*words: object) -> subprocess.CompletedProcess[str]:
        command = [*OCELAKE, *(str(word) for word in words)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=folder, check=False, env={**environment, "COLUMNS": "200"}
        )

    made = call("generate", "--events", 300, "--seed", 5, "--bad-records", folder / "orders.json")
    assert made.returncode == 0, made.stderr
    done = call("ingest", folder / "orders.json")
    assert done.returncode == 0, done.stderr
    call.folder = folder  # type: ignore[attr-defined]  # handy for the tests
    call.said = done.stdout  # type: ignore[attr-defined]
    return call


def test_ingest_tells_what_was_built(run: Run) -> None:
    said = run.said  # type: ignore[attr-defined]
    for part in ("orders.gold.1", "ocel.event_objects", "Quarantined", "Top trace variants", "Next:"):
        assert part in said
    assert (run.folder / ".ocelake" / "landing" / "orders" / "orders.json").exists()  # type: ignore[attr-defined]


def test_sql_gives_rows_in_each_format(run: Run) -> None:
    query = "select count(*) as n from ocel.events"
    rows = json.loads(run("sql", query, "--format", "json").stdout)
    assert rows[0]["n"] > 200
    assert run("sql", query, "--format", "csv").stdout.splitlines() == ["n", str(rows[0]["n"])]
    assert str(rows[0]["n"]) in run("sql", query).stdout
    then = run("sql", query, "--format", "json", "--as-of", "orders.silver.1")
    assert json.loads(then.stdout) == rows


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("ingest", "missing.json"), 2, "no such file"),
        (("ingest", "broken.json"), 1, "broken.json"),
        (("sql", "select * from ocel.nothing"), 2, "ocel.events"),
        (("sql", "drop table ocel.events"), 2, "read"),
        (("sql", "select 1", "--as-of", "orders.gold.99"), 2, "orders.gold.99"),
        (("export", "nolog", "out.json"), 2, "nolog"),
        (("export", "orders", "out.pdf"), 1, ".json"),
        (("logs", "add", "a/b"), 2, "a/b"),
        (("logs", "add", "x", "--time-zone", "Mars/Olympus"), 2, "Mars/Olympus"),
        (("quarantine", "nolog"), 2, "nolog"),
        (("draw", "ocdfg", "nolog", "x.svg"), 2, "nolog"),
        (("draw", "pie", "orders", "x.svg"), 2, "pie"),
        (("history", "ocel.nothing"), 2, "ocel.events"),
        (("nonsense",), 2, "nonsense"),
        (("validate", "broken.json"), 1, "broken.json"),
    ],
)
def test_a_wrong_call_says_what_where_and_what_to_do(run: Run, words: tuple[str, ...], code: int, says: str) -> None:
    (run.folder / "broken.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")  # type: ignore[attr-defined]
    done = run(*words)
    assert done.returncode == code, done.stdout + done.stderr
    assert says.lower() in (done.stderr + done.stdout).lower()
    assert "Traceback" not in done.stderr + done.stdout


def test_debug_shows_the_traceback(run: Run) -> None:
    done = run("--debug", "ingest", "missing.json")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_lists_and_reports(run: Run) -> None:
    assert "orders" in run("logs").stdout
    assert "One qualified event-to-object relation" in run("tables").stdout
    assert "orders.silver.1" in run("history", "ocel.events").stdout
    quarantine = run("quarantine", "orders").stdout
    assert "invalid_time" in quarantine or "missing_time" in quarantine
    assert run("validate", "orders.json").returncode == 0
    added = run("logs", "add", "later", "--undeclared-objects", "infer")
    assert added.returncode == 0, added.stderr
    settings = run.folder / ".ocelake" / "logs" / "later.yaml"  # type: ignore[attr-defined]
    assert "undeclared_objects: infer" in settings.read_text()


@pytest.mark.parametrize("kind", ["ocdfg", "variants", "timeline"])
def test_draw_writes_a_picture(run: Run, kind: str) -> None:
    done = run("draw", kind, "orders", f"{kind}.svg")
    assert done.returncode == 0, done.stderr
    assert "<svg" in (run.folder / f"{kind}.svg").read_text()  # type: ignore[attr-defined]


def test_an_export_read_again_is_the_same_log(run: Run) -> None:
    counts = "select (select count(*) from ocel.events where log_id = '{0}') as e, (select count(*) from ocel.event_objects where log_id = '{0}') as r"  # noqa: E501  # one query
    assert run("export", "orders", "again.sqlite").returncode == 0
    done = run("ingest", "again.sqlite", "--log", "again")
    assert done.returncode == 0, done.stderr
    assert "Nothing is quarantined" in done.stdout
    rows = [json.loads(run("sql", counts.format(log), "--format", "json").stdout) for log in ("orders", "again")]
    assert rows[0] == rows[1]


def test_help_answers_at_once() -> None:
    subprocess.run([*OCELAKE, "--help"], check=True, capture_output=True)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([*OCELAKE, "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    heavy = (
        "import sys, ocelake.cli; print([m for m in ('polars', 'dagster', 'pm4py', 'pyiceberg') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", heavy], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", "an engine is imported before a command needs it"
    assert min(times) < 2, "half a second on a quiet machine; this is a guard against an engine at import"
