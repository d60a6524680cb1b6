"""Predictions on real logs beside their baselines, and how long they take: ``python -m benchmarks.predictions``.

``results`` trains on the shared logs and prints the results table; ``queues`` foretells who waits, week after week;
``speed`` measures features, training and scoring on a generated log. The split of the table is the project's own: by
time, judged on prefixes after the instant at which the last 30% of the objects begin.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from ocelake.console import results_table
from ocelake.features import flowing_types
from ocelake.lake import Lake, open_lake
from ocelake.lake.build import STEPS, publish, sources
from ocelake.lake.features import LastPrefixes, feature_frame
from ocelake.lake.ingest import ingest
from ocelake.mining.queues import choose, find_visits, waiting
from ocelake.mining.traces import encode
from ocelake.models import SEQUENCE
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log
from ocelake.ocel.write import write_log
from ocelake.predict import score
from ocelake.registry import Registry
from ocelake.training import train_log

DATA = Path(os.environ.get("OCELAKE_TEST_DATA", "../shared/data"))

SCORED = 100_000
HOUR, WEEK = 3_600_000_000, 168 * 3_600_000_000

LOGS = {
    "BPI150to550": (
        "ocel1/BPI150to550executionprocess.jsonocel",
        "{object_types: [application, offer], initial_values: true, ends: {application: ['*'], offer: ['*']}}",
    ),
    "helpdesk": ("xes/helpdesk.xes.gz", "{ends: {case: ['*']}, targets: {case: 40d}}"),
    "receipt": ("tables/receipt.csv", "{ends: {case: ['*']}, targets: {case: 7d}}"),
    "permitflow": ("ocel2/permitflow.sqlite.gz", "{}"),
}
"""Files, and how they are predicted; the logs are finished, so that objects are over at their last event."""


def build(home: Path, log_id: str, file: Path, predict: str, mining: str = "{}") -> Lake:
    """Ingest a file, and publish its silver and features."""
    (home / "logs").mkdir(parents=True, exist_ok=True)
    (home / "logs" / f"{log_id}.predict.yaml").write_text(predict)
    (home / "logs" / f"{log_id}.mining.yaml").write_text(mining)
    lake = open_lake(home)
    ingest(lake, file, log_id)
    for layer in ("silver", "features"):
        step, read = STEPS[layer], sources(lake, log_id, layer)
        settings = step.settings(lake, log_id)
        publish(lake, read, layer, step.compute(lake, read, settings, 1), settings=settings)
    return lake


def _with_layout(file: Path, home: Path) -> Path:
    """Give a plain table of cases the columns of an OCEL, where it has none."""
    if file.suffix != ".csv":
        return file
    table = pl.read_csv(file, infer_schema=False)
    own = [name for name in table.columns if not name.startswith("case:") and name != "concept:instance"]
    made = table.select(
        pl.int_range(pl.len()).cast(pl.String).str.zfill(6).alias("ocel:eid"),
        pl.col("concept:name").alias("ocel:activity"),
        pl.col("time:timestamp").str.replace(" ", "T").alias("ocel:timestamp"),
        pl.format('["{}"]', "case:concept:name").alias("ocel:type:case"),
        *(pl.col(name) for name in own if name not in ("concept:name", "time:timestamp")),
    )
    made.write_csv(home / file.name)
    return home / file.name


def results(home: Path, names: list[str], *, sequence: bool) -> None:
    """Print the results table of the real logs; where it is asked for, with a sequence model beside."""
    registry = Registry(f"sqlite:///{home}/mlflow.db", str(home / "artifacts"))
    for log_id in names or LOGS:
        file, predict = LOGS[log_id]
        predict = yaml.safe_dump({**yaml.safe_load(predict), "sequence": sequence})
        lake = build(home, log_id, _with_layout(DATA / file, home), predict)
        features = lake.latest(log_id, "features")
        assert features is not None
        began = time.perf_counter()
        tables = train_log(lake, registry, features)
        print(f"\n{log_id}: trained in {time.perf_counter() - began:.0f} s\n")
        print(results_table(tables["models.tasks"]), flush=True)
        with pl.Config(tbl_rows=100, tbl_cols=10, tbl_width_chars=160):
            more = pl.col("metric").is_in(["log_loss", "auc", "coverage", "f1_weighted"])
            print(tables["models.metrics"].filter(more | (pl.col("model") == SEQUENCE)))


def queues() -> None:
    """Print the mean absolute error of forecasts of who waits, over the eight last weeks of each log, in objects.

    Each week is foretold from what was known at its begin, and so is the choice among the ways of foretelling.
    """
    print("| log | stays | rhythm | flow | chosen |\n| --- | ---: | ---: | ---: | ---: |")
    generated = {"generated, 100,000 events": generate(100_000, seed=1)}
    real = {log_id: read_log(DATA / file).ocel for log_id, (file, _) in LOGS.items() if not file.endswith("csv")}
    for name, log in {**generated, **real}.items():
        traces = encode(log.event_objects, log.objects, log.events)
        visits = find_visits(traces, flowing_types(traces))
        first, end = int(visits.enter.min()), (int(visits.enter.max()) // HOUR + 1) * HOUR
        missed: dict[str, list[float]] = {}
        for week in range(1, 9):
            begin = end - week * WEEK
            if begin - first < 2 * WEEK:
                break
            said, ways, _, _ = choose(visits.as_of(begin), begin, first)
            came_true = waiting(visits, end, begin, WEEK // HOUR)[0][:, :-1]
            errors = {way: np.abs(numbers - came_true).mean(axis=1) for way, numbers in said.items()}
            chosen = np.stack(list(errors.values()))[ways, np.arange(visits.places)]
            for way, error in {**errors, "chosen": chosen}.items():
                missed.setdefault(way, []).append(float(error.sum()))
        cells = (f"{np.mean(missed[way]):.1f}" for way in ("stays", "rhythm", "flow", "chosen"))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def speed(home: Path, events: int) -> None:
    """Measure features of a generated log, the training of its orders' default models, and scoring."""
    file = home / "log.json"
    write_log(generate(events, seed=1), file)
    types = "execution_types: [orders, items, packages]"
    (home / "logs").mkdir(parents=True, exist_ok=True)
    (home / "logs" / "log.predict.yaml").write_text("{object_types: [items]}")
    (home / "logs" / "log.mining.yaml").write_text(types)
    lake = open_lake(home)
    ingest(lake, file, "log")
    step, read = STEPS["silver"], sources(lake, "log", "silver")
    settings = step.settings(lake, "log")
    publish(lake, read, "silver", step.compute(lake, read, settings, 1), settings=settings)
    began = time.perf_counter()
    step, read = STEPS["features"], sources(lake, "log", "features")
    settings = step.settings(lake, "log")
    tables = step.compute(lake, read, settings, 1)
    computed = time.perf_counter() - began
    record = publish(lake, read, "features", tables, settings=settings)
    published = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows = record.rows["features.prefixes"]
    print(f"features of {events:,} events ({rows:,} prefixes): computed {computed:.1f} s, published {published:.1f} s,")
    print(f"peak of the whole process {peak:.2f} GiB")
    began = time.perf_counter()
    registry = Registry(f"sqlite:///{home}/mlflow.db", str(home / "artifacts"))
    tasks = train_log(lake, registry, record)["models.tasks"]
    objects = lake.scan("features.prefixes", "log").select(pl.col("object_id").n_unique()).collect().item()
    print(f"trained {tasks.height} models of {objects:,} items in {time.perf_counter() - began:.0f} s, each:")
    print(tasks.select("task", "seconds", "train_rows", "test_rows").rows())
    keys = lake.scan("features.prefixes", "log").head(SCORED).collect()
    columns = lake.read("features.columns", "log")
    part = LastPrefixes(
        "items",
        keys.select("object_type", "object_id", "event_id", "position", "time"),
        feature_frame(columns, keys),
        pl.repeat(value=True, n=keys.height, eager=True),
        pl.DataFrame(schema={"task": pl.String, "object_id": pl.String, "fact": pl.String}),
    )
    for row in tasks.filter(pl.col("trained")).iter_rows(named=True):
        version = registry.version(row["model_name"], row["model_version"])
        registry.load(version)
        began = time.perf_counter()
        _, made = score(registry, version, row["task"], part, part.running, None)
        print(f"scored {made:,} prefixes for {row['task']}: {time.perf_counter() - began:.2f} s")


def main() -> None:
    """Run what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["results", "queues", "speed"], nargs="?", default="results")
    parser.add_argument("--logs", nargs="*", default=[])
    parser.add_argument("--sequence", action="store_true", help="judge a sequence model beside the others")
    parser.add_argument("--events", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ocelake-predictions-") as folder:
        if arguments.what == "results":
            results(Path(folder), arguments.logs, sequence=arguments.sequence)
        elif arguments.what == "queues":
            queues()
        else:
            speed(Path(folder), arguments.events)


if __name__ == "__main__":
    main()
