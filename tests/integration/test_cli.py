"""The command line, as a user types it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from ocelake import errors
from ocelake.cli import main
from ocelake.kinds import Kind
from ocelake.mining.ocpn_json import from_json
from ocelake.ocel.read import read_log

OCELAKE = [sys.executable, "-m", "ocelake"]


@dataclass(frozen=True)
class Done:
    """What a call gave."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Shell:
    """Calls `ocelake` in a folder of its own, with a home of its own: in this process, since a start takes seconds."""

    folder: Path
    said: str = ""

    def __call__(self, *words: object) -> Done:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        kept, argv, here = dict(os.environ), sys.argv, Path.cwd()
        for name in [name for name in os.environ if name.startswith(("OCELAKE_", "DAGSTER_"))]:
            del os.environ[name]
        os.environ["COLUMNS"] = "200"
        sys.argv = ["ocelake", *(str(word) for word in words)]
        os.chdir(self.folder)
        code: int | str | None = 0
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as end:
            code = end.code
        except errors.OcelakeError:
            traceback.print_exc(file=err)
            code = 1
        finally:
            os.chdir(here)
            sys.argv = argv
            os.environ.clear()
            os.environ.update(kept)
        texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
        return Done(int(code or 0), *texts)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell whose lake holds one small log; the module's tests share it."""
    shell = Shell(tmp_path_factory.mktemp("cli"))
    made = shell("generate", "--events", 300, "--seed", 5, "--bad-records", "orders.json")
    assert made.returncode == 0, made.stderr
    done = shell("ingest", "orders.json")
    assert done.returncode == 0, done.stderr
    shell.said = done.stdout
    return shell


def test_ingest_tells_what_was_built(run: Shell) -> None:
    said = run.said
    for part in ("orders.gold.1", "ocel.event_objects", "Quarantined", "Top trace variants", "Next:"):
        assert part in said
    assert (run.folder / ".ocelake" / "landing" / "orders" / "orders.json").exists()


def test_sql_gives_rows_in_each_format(run: Shell) -> None:
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
        (("export", "orders", "out.pdf"), 2, ".json"),
        (("export", "orders", "nowhere/out.json"), 2, "nowhere"),
        (("draw", "ocdfg", "orders", "x.png"), 2, ".svg"),
        (("draw", "ocdfg", "orders", "x.svg", "--as-of", "1999-01-01"), 2, "gold"),
        (("generate", "x.foo"), 2, ".json"),
        (("logs", "add", "a/b"), 2, "a/b"),
        (("logs", "add", "x", "--time-zone", "Mars/Olympus"), 2, "Mars/Olympus"),
        (("quarantine", "nolog"), 2, "nolog"),
        (("draw", "ocdfg", "nolog", "x.svg"), 2, "nolog"),
        (("draw", "pie", "orders", "x.svg"), 2, "pie"),
        (("history", "ocel.nothing"), 2, "ocel.events"),
        (("nonsense",), 2, "nonsense"),
        (("draw", "ocdfg", "orders", "x.svg", "--type", "wagons"), 2, "items"),
        (("draw", "dotted", "orders", "x.svg", "--as-of", "1999-01-01"), 2, "no OCEL tables"),
        (("draw", "ocpn", "orders", "x.svg", "--as-of", "1999-01-01"), 2, "model"),
        (("draw", "ocpn", "orders", "x.svg", "--as-of", "yesterday"), 2, "yesterday"),
        (("model", "nolog", "x.json"), 2, "nolog"),
        (("model", "orders", "x.txt"), 2, ".pnml"),
        (("model", "orders", "x.pnml"), 2, "--type"),
        (("model", "orders", "x.pnml", "--type", "wagons"), 2, "items"),
        (("model", "orders", "x.json", "--as-of", "1999-01-01"), 2, "model"),
        (("sublog", "nolog", "x.json"), 2, "nolog"),
        (("sublog", "orders", "x.pdf"), 2, ".json"),
        (("sublog", "orders", "x.json", "--type", "wagons"), 2, "items"),
        (("sublog", "orders", "x.json", "--activity", "fly"), 2, "place order"),
        (("sublog", "orders", "x.json", "--from", "soon"), 2, "soon"),
        (("sublog", "orders", "x.json", "--with", "nobody"), 2, "nobody"),
        (("sublog", "orders", "x.json", "--drill-down", "wagons", "price"), 2, "wagons"),
        (("sublog", "orders", "x.json", "--drill-down", "items", "colour"), 2, "colour"),
        (("sublog", "orders", "x.json", "--unfold", "fly", "items"), 2, "fly"),
        (("diff", "orders", "nolog"), 2, "nolog"),
        (("diff", "orders", "orders.silver.99"), 2, "orders.silver.99"),
        (("diff", "orders", "orders@2024"), 2, "@FROM/TO"),
        (("diff", "orders@soon/", "orders"), 2, "soon"),
        (("rules", "nolog"), 2, "nolog"),
        (("rules", "orders", "--as-of", "orders.policy.99"), 2, "orders.policy.99"),
        (("validate", "broken.json"), 1, "broken.json"),
    ],
)
def test_a_wrong_call_says_what_where_and_what_to_do(run: Shell, words: tuple[str, ...], code: int, says: str) -> None:
    (run.folder / "broken.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    done = run(*words)
    assert done.returncode == code, done.stdout + done.stderr
    assert says.lower() in (done.stderr + done.stdout).lower()
    assert "Traceback" not in done.stderr + done.stdout


def test_debug_shows_the_traceback(run: Shell) -> None:
    done = run("--debug", "ingest", "missing.json")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_lists_and_reports(run: Shell) -> None:
    assert "orders" in run("logs").stdout
    assert "One qualified event-to-object relation" in run("tables").stdout
    assert "orders.silver.1" in run("history", "ocel.events").stdout
    quarantine = run("quarantine", "orders").stdout
    assert "invalid_time" in quarantine or "missing_time" in quarantine
    assert run("validate", "orders.json").returncode == 0
    added = run("logs", "add", "later", "--undeclared-objects", "infer")
    assert added.returncode == 0, added.stderr
    assert "later" in run("logs").stdout
    settings = run.folder / ".ocelake" / "logs" / "later.yaml"
    assert "undeclared_objects: infer" in settings.read_text()


def test_a_failed_blocking_check_is_told_with_what_to_do(run: Shell) -> None:
    (run.folder / ".ocelake" / "logs").mkdir(exist_ok=True)
    (run.folder / ".ocelake" / "logs" / "early.yaml").write_text("latest: 1999-01-01T00:00:00Z\n")
    done = run("ingest", "orders.json", "--log", "early")
    assert done.returncode == 1
    for part in ("outside of", "events_time_in_range", "early.yaml"[-5:], "ingest it again"):
        assert part in done.stderr


def test_warnings_reach_the_user_and_lists_fit_into_every_format(run: Shell) -> None:
    assert "Warning" in run.said
    assert "quarantine_no_duplicates" in run.said
    table = "select activities, objects from gold.trace_variants order by objects desc limit 1"
    assert run("sql", table, "--format", "csv").stdout.splitlines()[1].startswith('"[""')
    assert isinstance(json.loads(run("sql", table, "--format", "json").stdout)[0]["activities"], list)
    assert json.loads(run("sql", "select 'ab'::blob as b", "--format", "json").stdout) == [{"b": "6162"}]


def test_a_refused_file_is_told_beside_the_good_ones(run: Shell) -> None:
    folder = run.folder / "some"
    folder.mkdir()
    (folder / "aaa.txt").write_text("no log at all")
    (folder / "good.json").write_bytes((run.folder / "orders.json").read_bytes())
    apart = run("ingest", "some")
    assert apart.returncode == 1
    assert "aaa" in apart.stderr
    assert "good.gold.1" in apart.stdout, "the bad file comes first and keeps no other back"
    together = run("ingest", "some", "--log", "one")
    assert together.returncode == 1
    assert "aaa.txt" in together.stderr
    assert "one.gold.1" in together.stdout
    again = run("ingest", "some/good.json", "--log", "one")
    assert again.returncode == 0
    assert "one.gold.1" in again.stdout, "the same file changes nothing"


def test_adding_a_log_again_keeps_its_other_settings(run: Shell) -> None:
    assert run("logs", "add", "kept", "--undeclared-objects", "infer").returncode == 0
    assert run("logs", "add", "kept", "--time-zone", "Europe/Berlin").returncode == 0
    text = (run.folder / ".ocelake" / "logs" / "kept.yaml").read_text()
    assert "undeclared_objects: infer" in text
    assert "time_zone: Europe/Berlin" in text


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.slider])
def test_draw_writes_a_picture_of_the_whole_and_of_a_type(run: Shell, kind: Kind) -> None:
    for words in ((), ("--type", "items")):
        done = run("draw", kind.value, "orders", f"{kind}.svg", *words)
        assert done.returncode == 0, done.stderr
        root = ElementTree.parse(run.folder / f"{kind}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(list(root.iter())) > 10


def test_a_model_is_written_for_other_tools(run: Shell) -> None:
    import pm4py

    assert run("model", "orders", "model.json").returncode == 0
    model = from_json((run.folder / "model.json").read_text())
    orders = next(net for net in model.ocpn.nets if net.object_type == "orders")
    done = run("model", "orders", "orders.pnml", "--type", "orders")
    assert done.returncode == 0, done.stderr
    net, initial, final = pm4py.read_pnml(str(run.folder / "orders.pnml"))
    assert (len(net.places), len(net.transitions)) == (len(orders.places), len(orders.transitions))
    labels = {transition.label for transition in net.transitions if transition.label}
    assert labels == {transition.label for transition in orders.transitions if transition.label}
    assert sum(initial.values()) == sum(final.values()) == 1


def test_a_part_of_a_log_is_a_log(run: Shell) -> None:
    query = "select distinct activity from ocel.events where log_id = 'orders'"
    assert len(json.loads(run("sql", query, "--format", "json").stdout)) > 2
    words = ("--type", "orders", "--type", "items", "--activity", "place order", "--activity", "pay order")
    part = run("sublog", "orders", "part.json", *words)
    assert part.returncode == 0, part.stderr
    assert run("validate", "part.json").returncode == 0
    read = json.loads((run.folder / "part.json").read_text())
    assert {event["type"] for event in read["events"]} == {"place order", "pay order"}
    assert {thing["type"] for thing in read["objects"]} == {"orders", "items"}
    assert f"{len(read['events']):,} events, {len(read['objects']):,} objects" in part.stdout
    times = sorted(event["time"] for event in read["events"])
    middle = times[len(times) // 2]
    sizes = []
    for number, bound in enumerate(("--to", "--from")):
        assert run("sublog", "orders", f"half{number}.sqlite", bound, middle).returncode == 0
        assert run("validate", f"half{number}.sqlite").returncode == 0
        sizes.append(read_log(run.folder / f"half{number}.sqlite").ocel.events.height)
    whole = json.loads(
        run("sql", "select count(*) as n from ocel.events where log_id = 'orders'", "--format", "json").stdout
    )
    assert min(sizes) > 0
    assert sum(sizes) == whole[0]["n"], "the bound belongs to one of them"
    finer = run("sublog", "orders", "finer.xml", "--unfold", "pay order", "orders", "--sample", 1)
    assert finer.returncode == 0, finer.stderr
    assert run("validate", "finer.xml").returncode == 0


def test_two_processes_are_compared(run: Shell) -> None:
    same = run("diff", "orders", "orders.silver.1")
    assert same.returncode == 0, same.stderr
    assert "Nothing differs" in same.stdout
    rows = json.loads(run("diff", "orders", "orders", "--all", "--format", "json").stdout)
    assert {row["occurrence"] for row in rows} == {"same"}
    assert (
        run("sublog", "orders", "unpaid.json", "--activity", "place order", "--activity", "pick item").returncode == 0
    )
    assert run("ingest", "unpaid.json", "--log", "unpaid").returncode == 0
    rows = json.loads(run("diff", "orders", "unpaid", "--format", "json").stdout)
    paid = {row["occurrence"] for row in rows if row["activity"] == "pay order"}
    assert paid == {"vanished"}
    assert "pay order" in run("diff", "orders", "unpaid").stdout
    halves = run("diff", "orders@/2023-02", "orders@2023-02/")
    assert halves.returncode == 0, halves.stderr


def test_rules_are_shown_with_what_violates_them(run: Shell) -> None:
    none = run("rules", "orders")
    assert none.returncode == 0, none.stderr
    for part in ("No rule was checked", "orders.rules.yaml", "docs/rules.md"):
        assert part in none.stdout.replace("\n", "")
    rules = [
        {"name": "paid", "when": "place order", "then": "pay order", "each": "orders"},
        {"name": "sent", "when": "place order", "then": "fly", "each": "orders"},
    ]
    path = run.folder / ".ocelake" / "logs" / "ruled.rules.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"rules": rules}))  # JSON is YAML
    done = run("ingest", "orders.json", "--log", "ruled")
    assert done.returncode == 0, done.stderr
    assert "keeps_paid" in done.stdout, "a rule that is violated is a warning, not a refusal"
    shown = run("rules", "ruled", "--rows", 1)
    assert shown.returncode == 0, shown.stderr
    for part in ("paid", "'fly'", "violations"):
        assert part in shown.stdout
    path.write_text("rules: [{name: paid, when: place order, then: pay order, wthin: 2 h}]")
    broken = run("ingest", "orders.json", "--log", "ruled")
    assert broken.returncode != 0
    assert "ruled.rules.yaml" in broken.stderr
    assert "wthin" in broken.stderr
    assert run("rules", "ruled").returncode == 0, "what was published before stays"


def test_an_export_read_again_is_the_same_log(run: Shell) -> None:
    counts = "select (select count(*) from ocel.events where log_id = '{0}') as e, (select count(*) from ocel.event_objects where log_id = '{0}') as r"  # noqa: E501  # one query
    assert run("export", "orders", "again.sqlite").returncode == 0
    done = run("ingest", "again.sqlite", "--log", "again")
    assert done.returncode == 0, done.stderr
    assert "Nothing is quarantined" in done.stdout
    rows = [json.loads(run("sql", counts.format(log), "--format", "json").stdout) for log in ("orders", "again")]
    assert rows[0] == rows[1]


def test_the_command_as_a_process(run: Shell) -> None:
    environment = {**os.environ, "OCELAKE_HOME": str(run.folder / ".ocelake")}
    query = "select count(*) as n from ocel.objects"
    good = subprocess.run(
        [*OCELAKE, "sql", query, "--format", "parquet"], env=environment, capture_output=True, check=True
    )
    assert good.stdout[:4] == good.stdout[-4:] == b"PAR1"
    assert pl.read_parquet(io.BytesIO(good.stdout))["n"][0] > 0
    bad = subprocess.run([*OCELAKE, "ingest", "nowhere.json"], env=environment, capture_output=True, check=False)
    assert bad.returncode == 2
    assert b"Traceback" not in bad.stderr


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


def test_a_log_is_trained_and_an_object_predicted(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / ".ocelake" / "logs").mkdir(parents=True)
    (tmp_path / ".ocelake" / "logs" / "shop.predict.yaml").write_text("object_types: [orders]\n")
    assert shell("generate", "--events", 4_000, "shop.json").returncode == 0
    assert shell("ingest", "shop.json").returncode == 0
    early = shell("predict", "shop", "order-0001")
    assert early.returncode == 2, "nothing is trained yet"
    assert "ocelake" in early.stderr
    done = shell("train", "shop")
    assert done.returncode == 0, done.stderr
    assert "next_activity" in done.stdout
    assert "promoted" in done.stdout
    said = shell("predict", "shop", "order-0001")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("orders order-0001, after ")
    assert "shop.orders.next_activity, version 1" in said.stdout
    rows = json.loads(shell("predict", "shop", "order-0001", "--format", "json").stdout)
    assert {row["object_id"] for row in rows} == {"order-0001"}
    nobody = shell("predict", "shop", "nobody")
    assert nobody.returncode == 2
    assert "no object 'nobody'" in nobody.stderr
