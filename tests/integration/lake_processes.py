"""What other processes do to a lake in the tests: they publish, and some are killed on the way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from sqlalchemy.engine.default import DefaultDialect

from ocelake.errors import StalePublication
from ocelake.lake import Lake, open_lake
from ocelake.lake.ingest import Ingested, ingest_source
from ocelake.ocel.input import Input
from ocelake.ocel.read import LogSource
from ocelake.settings import LakeSettings
from tests.lake_frames import event_types, events, publish_silver, records

COMPLETED = 0
STEPS = (
    (PyArrowFile, "create"),
    (PyArrowFileIO, "delete"),
    (pq.ParquetWriter, "write_table"),
    (pq.ParquetWriter, "close"),
    (RestCatalog, "commit_table"),
    (DefaultDialect, "do_execute"),
    (DefaultDialect, "do_commit"),
)
"""Everything that a publication does to the world goes through one of these."""


def start(function: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Run a function in a fresh process."""
    # Not fork: the engine's threads would not survive it. The server imports once, and forks before they start.
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.integration.lake_processes"])
    process = context.Process(target=function, args=arguments)
    process.start()
    return process


def die_at(step: int, steps: Sequence[tuple[type, str]] = STEPS) -> None:
    """Kill this process, as a power cut would, right before it takes its n-th step."""
    lock, taken = threading.Lock(), 0
    execute = DefaultDialect.do_execute

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal taken
            if function is execute and args[2].lstrip().startswith("SELECT"):
                return function(*args, **kwargs)  # a look does nothing to the world
            with lock:
                taken += 1
                if taken == step:
                    os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for owner, name in steps:
        setattr(owner, name, counted(getattr(owner, name)))


def publish_and_die(settings: LakeSettings, count: int, mark: str, step: int) -> None:
    """Replace log A's silver layer, and die on the way."""
    lake = open_lake(settings=settings)
    lake.ensure_tables()
    die_at(step)
    publish_pair(lake, count, mark)


def advance_and_die(settings: LakeSettings, log_id: str, step: int) -> None:
    """Bring a log's silver and gold up to its bronze, and die on the way."""
    from ocelake.lake.increment import advance  # not before the process is there: it starts the engine's threads

    lake = open_lake(settings=settings)
    lake.ensure_tables()
    die_at(step)
    advance(lake, log_id)


def publish_pair(lake: Lake, count: int, mark: str) -> None:
    """Replace two tables of log A."""
    with lake.publication("A", "silver") as publication:
        publication.replace("ocel.events", events(count, mark))
        publication.replace("ocel.event_types", event_types(count, mark))
        publication.commit()


def ingest_and_die(settings: LakeSettings, folder: Path, name: str, step: int) -> None:
    """Ingest a file, and die on the way."""
    lake = open_lake(settings=settings)
    lake.ensure_tables()
    die_at(step)
    ingest_named(lake, folder, name)


def ingest_named(lake: Lake, folder: Path, name: str, log_id: str = "A") -> Ingested:
    """Ingest a file of 25 events and objects whose content is its name."""
    path = folder / f"{name}.json"
    path.write_text(name)
    return ingest_source(lake, LogSource(Input(path), "ocel2-json"), records(25, name), log_id)


def publish_many(settings: LakeSettings, log_id: str, times: int) -> None:
    """Publish a log's silver layer again and again; a stale one is made anew."""
    lake = open_lake(settings=settings)
    for n in range(1, times + 1):
        while True:
            try:
                publish_silver(lake, log_id, n, f"{log_id}{os.getpid()}x")
            except StalePublication:
                continue
            break


def ingest_many(settings: LakeSettings, folder: Path, names: list[str]) -> None:
    """Ingest files one after the other."""
    lake = open_lake(settings=settings)
    for name in names:
        ingest_named(lake, folder, name)


def read_again_and_again(settings: LakeSettings, until: Path, each: int) -> None:
    """Read log A while others publish to it, with Polars and with DuckDB, until a file is there; note how often.

    Every publication of bronze brings a whole batch more, every one of silver as many events: so whatever is seen at
    once is whole, has nothing twice, and never becomes less.
    """
    lake, reads, seen = open_lake(settings=settings), 0, [0, 0, 0, 0]
    while not until.exists():
        found = lake.read("bronze.event_records", "A", columns=["batch_id", "position"])
        batches = found.group_by("batch_id").agg(pl.col("position").n_unique(), pl.len())
        assert (batches["position"] == each).all(), "a batch has lost a row"
        assert (batches["len"] == each).all(), "a batch has a row twice"
        silver = lake.read("ocel.events", "A", columns=["event_id"])
        assert silver["event_id"].is_unique().all(), "an event is there twice"
        query = "SELECT count(*) AS rows, count(DISTINCT {}) AS ids FROM {}"
        events = lake.sql(query.format("event_id", "ocel.events")).row(0)
        records = lake.sql(query.format("(batch_id, position)", "bronze.event_records")).row(0)
        assert events[0] == events[1]
        assert records[0] == records[1]
        now = [found.height, silver.height, records[0], events[0]]
        assert all(number % each == 0 for number in now), now
        assert all(less <= more for less, more in zip(seen, now, strict=True)), (seen, now)
        # Who has begun to read a publication can go on, however many others follow.
        if (latest := lake.latest("A", "silver")) is not None:
            time.sleep(2)
            assert lake.ocel("A", latest.publication_id).events.height == latest.number * each
        reads, seen = reads + 1, now
    until.with_suffix(f".{os.getpid()}").write_text(str(reads))
