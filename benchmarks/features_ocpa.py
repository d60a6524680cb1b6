"""Features beside ocpa's: ``python -m benchmarks.features_ocpa PYTHON``, where PYTHON is one that has ocpa 1.3.4.

Of two of the shared logs and of growing generated ones, until ocpa takes longer than it may. Both start from the log in
memory. ocpa computes those of its features of events that ours has too; ours are all, of every prefix of every object.

Compared are, of an event, its objects and its sojourn and synchronization times (ocpa has 0 where ours has none); of
its execution so far, the events, objects and age. There ocpa takes the events up to it of what the execution is in the
end, and so counts parts that nothing has connected yet; ours takes the part that the event is in. So they have to be
equal at the last event of each execution, and ours must not be more before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from ocelake.features import PredictionSettings, find_context, prefix_features
from ocelake.mining.explore import filter_object_types
from ocelake.mining.traces import Traces, encode
from ocelake.ocel import Ocel
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log

DATA = Path(os.environ.get("OCELAKE_TEST_DATA", "../shared/data"))
LOGS = ("ocel1/p2p-normal.jsonocel", "ocel1/order_process.jsonocel")
FLOWING = ("orders", "items", "packages")
DOUBLINGS = 8


def set_apart(ocel: Ocel) -> Ocel:
    """Put each event microseconds later, by its place in our order: ocpa has no order of events of one time."""
    events = ocel.events.sort("time", "sequence", "event_id")
    later = pl.duration(microseconds=pl.int_range(pl.len()))
    return replace(ocel, events=events.with_columns(pl.col("time") + later))


def event_table(ocel: Ocel) -> pl.DataFrame:
    """Give a row for each event, with its objects of each type: what ocpa reads."""
    of_types = ocel.event_objects.unique(["event_id", "object_id"]).pivot(
        "object_type", index="event_id", values="object_id", aggregate_function=pl.element().sort()
    )
    return ocel.events.select(
        "event_id",
        event_activity="activity",
        event_timestamp=pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
    ).join(of_types, on="event_id", how="left", maintain_order="left")


def theirs_of(table: pl.DataFrame, python: str, limit: float) -> dict[str, Any] | None:
    """Run ocpa; None where it takes longer than it may."""
    lists = pl.selectors.exclude("event_id", "event_activity", "event_timestamp")
    quoted = pl.format("'{}'", pl.element())
    text = table.drop("event_id").with_columns(
        pl.format("[{}]", lists.fill_null([]).list.eval(quoted).list.join(", ")).name.keep()
    )
    with tempfile.TemporaryDirectory(prefix="ocelake-ocpa-") as folder:
        path = Path(folder) / "events.csv"
        text.write_csv(path)
        worker = Path(__file__).with_name("ocpa_worker.py")
        try:
            done = subprocess.run([python, str(worker), str(path)], capture_output=True, check=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return None
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ours_of(ocel: Ocel) -> tuple[float, int, pl.DataFrame]:
    """Give the seconds (median of three), the number of prefixes, and the features of each event."""
    tables = {
        "ocel.event_attributes": ocel.event_attributes,
        "ocel.object_attributes": ocel.object_attributes,
        "ocel.object_objects": ocel.object_objects,
    }
    relations = ocel.event_objects.select("event_id", "object_id")
    times, frames = [], []
    for _ in range(3):
        started = time.perf_counter()
        traces = encode(relations, ocel.objects, ocel.events)
        context = find_context(traces)
        found = [
            prefix_features(traces, name, tables, settings=PredictionSettings(), context=context)
            for name in types_of(traces)
        ]
        times.append(time.perf_counter() - started)
        frames = [pl.concat([part.keys.drop("position"), part.values], how="horizontal") for part in found]
    of_event = pl.selectors.matches("^(execution .*|objects: .*|sojourn|synchronization)$")
    events = pl.concat([frame.select("event_id", of_event) for frame in frames]).unique("event_id", keep="any")
    return statistics.median(times), sum(frame.height for frame in frames), events


def types_of(traces: Traces) -> list[str]:
    """Give the types of objects that have events."""
    return traces.object_types.gather(sorted(set(traces.object_type[traces.step_object].tolist()))).to_list()


def compare(table: pl.DataFrame, ours: pl.DataFrame, theirs: pl.DataFrame) -> Iterator[str]:
    """Hold both to each other; say how far they agree.

    Raises
    ------
    AssertionError
        Where they have to be equal and are not.
    """
    both = (
        table.select("event_id")
        .with_row_index("event")
        .join(ours, on="event_id", validate="1:1")
        .join(theirs.with_columns(pl.col("event").cast(pl.UInt32)), on="event", validate="1:1")
        .with_columns(pl.sum_horizontal("^objects: .*$").alias("objects"))
    )
    types = [name.removeprefix("objects: ") for name in ours.columns if name.startswith("objects: ")]
    pairs = {
        "objects": pl.col("num_objects"),
        **{f"objects: {name}": pl.col(f"event_type_count:{name}") for name in types},
        "sojourn": pl.col("event_sojourn_time"),
        "synchronization": pl.col("event_synchronization_time"),
    }
    so_far = {
        "execution events": pl.sum_horizontal("^event_previous_activity_count:.*$"),
        "execution age": pl.col("event_elapsed_time"),
        **{f"execution objects: {name}": pl.col(f"event_previous_type_count:{name}") for name in types},
    }
    last = pl.col("event") == pl.col("event").max().over("execution")
    for name, peer in {**pairs, **so_far}.items():
        difference = both.select(
            (pl.col(name).cast(pl.Float64).fill_null(0) - peer).alias("difference"),
            (1e-6 * peer.abs()).alias("error"),  # ours are of single precision
            last.alias("last"),
        )
        equal = difference.select(pl.col("difference").abs() <= pl.col("error")).to_series()
        if name in so_far:
            assert equal.filter(difference["last"]).all(), name
            assert difference.select((pl.col("difference") <= pl.col("error")).all()).item(), name
        else:
            assert equal.all(), name
        yield f"{name}: {equal.sum()} of {len(equal)} equal"


def measure(name: str, ocel: Ocel, python: str, limit: float) -> bool:
    """Measure both on a log and print it; false where ocpa takes longer than it may."""
    log = set_apart(ocel)
    table = event_table(log)
    seconds, prefixes, ours = ours_of(log)
    theirs = theirs_of(table, python, limit)
    if theirs is None:
        print(f"{name}: {table.height} events: ocpa stopped after {limit:.0f} s; ours {seconds:.3g} s", flush=True)
        return False
    print(
        f"{name}: {table.height} events: ocpa {theirs['seconds']:.3g} s ({theirs['features']} features, "
        f"{theirs['memory']:.2f} GiB), ours {seconds:.3g} s ({prefixes} prefixes), "
        f"{theirs['seconds'] / seconds:.1f}x",
        flush=True,
    )
    for line in compare(table, ours, pl.DataFrame(theirs["rows"])):
        print(f"  {line}")
    return True


def main() -> None:
    """Measure real logs, then generated ones of twice the size each, of the types that flow and of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python", help="of an environment that has ocpa")
    parser.add_argument("--limit", type=float, default=120, help="seconds that ocpa may take, starting included")
    parser.add_argument("--events", type=int, default=100_000, help="of the largest generated log")
    chosen = parser.parse_args()
    for name in LOGS:
        measure(name, read_log(DATA / name).ocel, chosen.python, chosen.limit)
    for name, types in (("orders, items, packages", FLOWING), ("all types", None)):
        for half in range(DOUBLINGS, -1, -1):
            ocel = generate(chosen.events >> half, seed=1)
            part = filter_object_types(ocel, types) if types else ocel
            if not measure(f"generated, {name}", part, chosen.python, chosen.limit):
                break


if __name__ == "__main__":
    main()
