"""What a batch of new events costs, beside a full rebuild of silver and gold.

``python -m benchmarks.incremental [--events 100k 1m]`` builds a log without its last events, and lets these come in
batches: one to load what gold is followed from, then some of 0.01% and of 1% of the log. Times are medians of seconds
from bronze to published silver and gold.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from ocelake.lake import Lake
    from ocelake.ocel.model import Ocel

LOG: Final = "followed"
BATCHES: Final = (0.0001, 0.0001, 0.0001, 0.0001, 0.01, 0.01)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", nargs="*", default=["100k"], help="sizes of the log: 100k, 1m or a number")
    chosen = parser.parse_args()
    print("| events | batch | full rebuild | of it silver | first batch | batch | of it silver | share | objects |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for size in chosen.events:
        events = int(size.lower().replace("k", "000").replace("m", "000000"))
        with tempfile.TemporaryDirectory(prefix="ocelake-bench-") as folder:
            for row in _measured(Path(folder), events):
                print(row, flush=True)


def _measured(folder: Path, events: int) -> Iterator[str]:
    from ocelake.lake import open_lake
    from ocelake.lake.build import STEPS, publish, sources
    from ocelake.lake.ingest import ingest

    parts = _parts(folder, events)
    path, _ = next(parts)
    lake = open_lake(folder / "home")
    ingest(lake, path, LOG)
    path.unlink()
    full = {}
    for layer in ("silver", "gold"):
        began, step, read = time.perf_counter(), STEPS[layer], sources(lake, LOG, layer)
        settings = step.settings(lake, LOG)
        publish(lake, read, layer, step.compute(lake, read, settings, 1), settings=settings)
        full[layer] = time.perf_counter() - began
    found: dict[float, list[tuple[float, float, int]]] = {}
    first = 0.0
    for number, (path, objects) in enumerate(parts):
        ingest(lake, path, LOG)
        silver, gold = _advanced(lake)
        if number:
            found.setdefault(BATCHES[number], []).append((silver, gold, objects))
        else:
            first = silver + gold
    whole = sum(full.values())
    for share, runs in found.items():
        silver = statistics.median(run[0] for run in runs)
        batch = statistics.median(run[0] + run[1] for run in runs)
        objects = statistics.median(run[2] for run in runs)
        times = " | ".join(f"{seconds:.2f}" for seconds in (whole, full["silver"], first, batch, silver))
        yield f"| {events:,} | {share:.2%} | {times} | {batch / whole:.1%} | {objects:,.0f} |"


def _advanced(lake: Lake) -> tuple[float, float]:
    from ocelake.lake.increment import advance

    began = time.perf_counter()
    advance(lake, LOG, layers=("silver",))
    middle = time.perf_counter()
    advance(lake, LOG, layers=("gold",))
    return middle - began, time.perf_counter() - middle


def _parts(folder: Path, events: int) -> Iterator[tuple[Path, int]]:
    """Write the log without its last events as a file, then each batch; with the number of objects that it touches."""
    from ocelake.ocel.generate import generate
    from ocelake.ocel.write import write_log

    log = generate(events, seed=1)
    sizes = [max(1, round(events * share)) for share in BATCHES]
    begin, seen = 0, pl.Series("object_id", [], dtype=pl.String)
    for number, size in enumerate([events - sum(sizes), *sizes]):
        part, seen = _part(log, begin, size, seen)
        begin += size
        path = folder / f"part{number}.json"
        write_log(part, path)
        yield path, part.event_objects["object_id"].n_unique()


def _part(log: Ocel, begin: int, size: int, seen: pl.Series) -> tuple[Ocel, pl.Series]:
    """Give some events in the order of time, with what comes up in them for the first time."""
    events = log.events[begin : begin + size]
    related = log.event_objects.join(events, on="event_id", how="semi", maintain_order="left")
    new = related["object_id"].unique()
    new = new.filter(~new.is_in(seen.implode()))
    things = {"object_id": new.implode()}
    part = replace(
        log,
        events=events,
        event_objects=related,
        event_attributes=log.event_attributes.join(events, on="event_id", how="semi", maintain_order="left"),
        objects=log.objects.filter(pl.col("object_id").is_in(things["object_id"])),
        object_attributes=log.object_attributes.filter(pl.col("object_id").is_in(things["object_id"])),
        object_objects=log.object_objects.filter(pl.col("source_id").is_in(things["object_id"])),
    )
    return part, pl.concat([seen, new])


if __name__ == "__main__":
    main()
