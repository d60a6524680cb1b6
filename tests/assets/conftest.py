"""A lake of its own and an instance for each test of the graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult

from definitions import build_defs
from ocelake.lake import Lake, open_lake
from ocelake.ocel.generate import generate, write_demo_log
from ocelake.ocel.write import write_log
from resources import LakeResource


@dataclass(frozen=True)
class Graph:
    """The definitions over one lake, and a way to run them."""

    home: Path
    instance: DagsterInstance

    @property
    def lake(self) -> Lake:
        return open_lake(self.home)

    def put(self, log_id: str, name: str, events: int = 300, seed: int = 1, *, spoiled: bool = False) -> Path:
        """Land a generated log."""
        path = self.home / "landing" / log_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if spoiled:
            write_demo_log(path, events, seed)
        else:
            write_log(generate(events, seed), path)
        return path

    def run(self, log_id: str, files: list[str] | None = None, job: str = "ingest_job") -> ExecuteInProcessResult:
        """Run a job for one log."""
        self.instance.add_dynamic_partitions("log", [log_id])
        config = {"ops": {"bronze": {"config": {"files": files}}}} if files else {}
        definitions = build_defs(lake=LakeResource(home=str(self.home)))
        return definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, partition_key=log_id, run_config=config, raise_on_error=False
        )


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    with DagsterInstance.ephemeral() as instance:
        yield Graph(tmp_path, instance)
