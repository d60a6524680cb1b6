"""The health of tables that are published to every few seconds: whether commits and reads stay as fast as at first.

``python -m benchmarks.health [--batches 1000]`` appends micro-batches of a hundred events to bronze, amends two tables
of silver by each (new rows, and corrections of the batch before), and lets the upkeep of a stream run beside. Now and
then it measures: commits and the reading of the newest batch in turns with a new lake that has had ten batches, so that
a busy machine hits both; and whole scans, which grow with the rows, to be compared with those of the last line, of the
same tables compacted to one file each. Times are medians of processor seconds, with what the upkeep does meanwhile.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

LOG: Final = "stream"
EVENTS: Final = 100
CORRECTED: Final = 10
_FIRST: Final = 10
_TURNS: Final = 21
_START: Final = datetime(2024, 1, 1, tzinfo=UTC)
_TABLES: Final = (
    "bronze.event_records",
    "bronze.object_records",
    "bronze.batches",
    "ocel.events",
    "ocel.event_objects",
)
_COUNTED: Final = {"bronze.event_records": "activity", "ocel.event_objects": "object_type"}


def main() -> None:
    """Publish as many micro-batches as the command line says, and print how the lake does on the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--windows", type=int, default=5, help="how often to measure")
    parser.add_argument("--grace", type=float, default=60.0, help="seconds that the files of dropped snapshots stay")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ocelake-health-") as folder:
        print("| " + " | ".join(_COLUMNS) + " |\n|" + " ---: |" * len(_COLUMNS), flush=True)
        for row in measure(Path(folder), chosen.batches, chosen.windows, timedelta(seconds=chosen.grace)):
            print("| " + " | ".join(_cell(row.get(name, "")) for name in _COLUMNS) + " |", flush=True)


def measure(home: Path, batches: int, windows: int, grace: timedelta) -> Iterator[dict[str, Any]]:
    """Publish, and give one row of figures for each window, and one after compaction."""
    from ocelake.lake.maintenance import compact

    stops = {batches * step // windows for step in range(1, windows + 1)}
    with _Stream(home / "stream", grace) as stream:
        while stream.batches < batches:
            stream.commit()
            if stream.batches in stops:
                figures = _in_turns(stream, home / f"new-{stream.batches}", grace)
                yield {"batches": stream.batches, **figures, **_scans(stream), **_state(stream)}
        for identifier in _TABLES:
            compact(stream.lake, identifier, LOG)
        yield {"batches": "compacted", **_scans(stream), **_state(stream)}
        assert stream.lake.read("bronze.event_records", LOG).height == stream.batches * EVENTS
        assert stream.lake.read("ocel.events", LOG)["event_id"].n_unique() == stream.batches * EVENTS


class _Stream:
    """A lake that micro-batches are published to, with its upkeep."""

    def __init__(self, home: Path, grace: timedelta) -> None:
        from ocelake.lake import open_lake
        from ocelake.lake.maintenance import Retention, Upkeep

        self.home, self.lake, self.batches = home, open_lake(home), 0
        self.lake.store.retention = retention = Retention(grace=grace)
        self._upkeep = Upkeep(self.lake, retention=retention)

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._upkeep.close()

    def commit(self) -> float:
        """Publish the next micro-batch; give the processor seconds it took."""
        bronze, events, relations, corrected = _rows(self.batches)
        start = time.process_time()
        offsets = {("topic", 0): self.batches * EVENTS - 1 if self.batches else None}
        with self.lake.publication(LOG, "bronze", offsets=offsets) as publication:
            for identifier, frame in bronze.items():
                publication.append(identifier, frame)
            publication.commit()
        with self.lake.publication(LOG, "silver") as publication:
            publication.amend("ocel.events", add=pl.concat([events, corrected]), remove=corrected)
            publication.amend("ocel.event_objects", add=relations)
            publication.commit()
        self.batches += 1
        self._upkeep.nudge()
        return time.process_time() - start

    def read_newest(self) -> float:
        """Read the rows of the newest micro-batch; give the processor seconds it took."""
        start = time.process_time()
        name = f"topic-0-{(self.batches - 1) * EVENTS:09}"
        rows = self.lake.scan("bronze.event_records", LOG).filter(pl.col("batch_id") == name)
        assert rows.collect().height == EVENTS
        return time.process_time() - start


def _in_turns(stream: _Stream, home: Path, grace: timedelta) -> dict[str, float]:
    """Time commits and reads of the newest rows in turns with a lake that is new."""
    with _Stream(home, grace) as new:
        for _ in range(_FIRST):
            new.commit()
        turns = [[lake.commit() for lake in (stream, new)] for _ in range(_TURNS)]
        reads = [[lake.read_newest() for lake in (stream, new)] for _ in range(_TURNS)]
    shutil.rmtree(home)
    commit, first_commit, read, first_read = (
        statistics.median(taken[place] for taken in times) for times in (turns, reads) for place in (0, 1)
    )
    return {
        "commit": commit,
        "of a new lake": first_commit,
        "ratio": commit / first_commit,
        "read": read,
        "of the new lake": first_read,
        "read ratio": read / first_read,
    }


_COLUMNS: Final = (
    "batches", "commit", "of a new lake", "ratio", "read", "of the new lake", "read ratio", "scan", "sql",
    "files", "snapshots", "manifests", "metadata KB", "disk MB", "disk files",
)  # fmt: skip


def _rows(batch: int) -> tuple[dict[str, pl.DataFrame], pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Give a micro-batch: bronze's rows, new events and relations, and the events of the batch before to correct."""
    numbers = range(batch * EVENTS, (batch + 1) * EVENTS)
    name = f"topic-0-{numbers[0]:09}"
    ids = [f"e{n:09}" for n in numbers]
    position, activity = list(range(EVENTS)), [f"activity {n % 11}" for n in numbers]
    times = [_START + timedelta(seconds=n) for n in numbers]
    objects = [f"o{n // 5:09}" for n in numbers]
    batches = pl.DataFrame({"batch_id": [name], "source": ["topic"], "topic": ["topic"], "partition": [0],
        "first_offset": [numbers[0]], "last_offset": [numbers[-1]], "format": ["json"], "content_hash": [name],
        "event_records": [EVENTS], "object_records": [EVENTS], "declarations": ["{}"], "metadata": ["{}"],
        "received": [_START]})  # fmt: skip
    events = pl.DataFrame({"event_id": ids, "activity": activity, "time": [str(t) for t in times],
        "batch_id": name, "position": position, "declared": True})  # fmt: skip
    bronze = {
        "bronze.event_records": events,
        "bronze.object_records": events.select("batch_id", "position", "declared", object_id=pl.Series(objects)),
        "bronze.batches": batches,
    }

    def silver(first: int, until: int, marks: str) -> pl.DataFrame:
        some = range(first, until)
        return _table("ocel.events", pl.DataFrame({"event_id": [f"e{n:09}" for n in some], "activity": marks,
            "time": [_START + timedelta(seconds=n) for n in some], "sequence": 0, "time_ambiguous": False,
            "batch_id": name, "position": [n % EVENTS for n in some]}))  # fmt: skip

    relations = pl.DataFrame({"event_id": ids, "object_id": objects, "qualifier": "", "activity": activity,
        "time": times, "sequence": 0, "object_type": [f"type {n % 3}" for n in numbers]})  # fmt: skip
    first = max(0, (batch - 1) * EVENTS)
    return (
        {identifier: _table(identifier, frame) for identifier, frame in bronze.items()},
        silver(numbers[0], numbers[-1] + 1, "new"),
        _table("ocel.event_objects", relations),
        silver(first, first + (CORRECTED if batch else 0), "corrected"),
    )


def _table(identifier: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Give some columns of a table its form; the others are null."""
    from ocelake.tables import as_table

    return as_table(identifier, pl.concat([as_table(identifier), frame], how="diagonal_relaxed"))


def _scans(stream: _Stream) -> dict[str, float]:
    """Time counts over all rows, by Polars and by SQL."""
    lake, rows = stream.lake, stream.batches * EVENTS

    def scan() -> None:
        for identifier, column in _COUNTED.items():
            counts = lake.scan(identifier, LOG).group_by(column).len().collect()
            assert counts["len"].sum() == rows

    def sql() -> None:
        for identifier, column in _COUNTED.items():
            counts = lake.sql(f"SELECT {column}, count(*) AS rows FROM {identifier} GROUP BY ALL")
            assert counts["rows"].sum() == rows

    return {"scan": _median(scan), "sql": _median(sql)}


def _median(work: Callable[[], None], times: int = 7) -> float:
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def _state(stream: _Stream) -> dict[str, float]:
    tables = [stream.lake.table(identifier) for identifier in _TABLES]
    found = []
    for path in stream.home.rglob("*"):
        with suppress(FileNotFoundError):  # the upkeep removes files meanwhile
            found.append(path.stat().st_size)
    return {
        "files": max(int(table.current_snapshot().summary["total-data-files"]) for table in tables),
        "snapshots": max(len(table.metadata.snapshots) for table in tables),
        "manifests": max(len(table.current_snapshot().manifests(table.io)) for table in tables),
        "metadata KB": max(len(table.io.new_input(table.metadata_location)) for table in tables) // 1000,
        "disk MB": sum(found) // 1_000_000,
        "disk files": len(found),
    }


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
