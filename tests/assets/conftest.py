"""A lake of its own and an instance for each test of the graph."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import AssetCheckEvaluation, AssetKey, DagsterInstance, Definitions, ExecuteInProcessResult

from definitions import build_defs
from ocelake.lake import Lake, open_lake
from ocelake.lake.policy import declared_rules
from ocelake.ocel.generate import generate, write_demo_log
from ocelake.ocel.write import write_log
from ocelake.settings import LakeSettings
from ocelake.tables import READS, TABLES, Layer
from resources import LakeResource, MlflowResource

LAYERS_OF_PREDICTIONS = ("features", "models", "champions", "outlook", "predictions", "monitoring")
LAYERS_OF_EVENTS = [layer for layer in READS if layer not in (*LAYERS_OF_PREDICTIONS, "prices", "bars")]
OF_EVENTS = {
    spec.identifier
    for spec in TABLES.values()
    if spec.layer in LAYERS_OF_EVENTS and spec.identifier != "bronze.price_ticks"
}
"""The layers and tables that a log of events and objects has without being trained."""


def evaluations(result: ExecuteInProcessResult) -> dict[str, AssetCheckEvaluation]:
    """Give what a run's checks found, by table and name of the check."""
    return {
        f"{item.asset_key.to_user_string()}:{item.check_name}": item for item in result.get_asset_check_evaluations()
    }


def materialized(result: ExecuteInProcessResult) -> set[str]:
    """Give the identifiers of the tables that a run published."""
    return {
        ".".join(event.asset_key.path)
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }


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

    def put_orders(self, log_id: str, orders: int = 10) -> Path:
        """Land a log of orders that are placed and paid, each by itself; but the last two are paid together.

        The n-th is paid n hours after it was placed, with ``amount`` n.
        """
        start = datetime.fromisoformat("2024-01-01T00:00:00+00:00")
        payments = [[number] for number in range(1, orders - 1)] + [[orders - 1, orders]]
        placed = [event(f"place {n}", "place order", start + timedelta(days=n), [n]) for n in range(1, orders + 1)]
        paid = [
            event(f"pay {n[-1]}", "pay order", start + timedelta(days=n[-1], hours=n[-1]), n, amount=n[-1])
            for n in payments
        ]
        content = {
            "objectTypes": [{"name": "orders", "attributes": []}],
            "eventTypes": [
                {"name": "place order", "attributes": []},
                {"name": "pay order", "attributes": [{"name": "amount", "type": "integer"}]},
            ],
            "objects": [{"id": f"o{n}", "type": "orders"} for n in range(1, orders + 1)],
            "events": [*placed, *paid],
        }
        path = self.home / "landing" / log_id / "orders.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    def declare(self, log_id: str, kind: str, content: object) -> None:
        """Write one of a log's files: its ``rules``, its ``cost`` model, how it is mined (``mining``)."""
        path = self.home / "logs" / f"{log_id}.{kind}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content))

    def definitions(self) -> Definitions:
        """Load the definitions as a code location does, with the rules that the logs have now."""
        rules = declared_rules(LakeSettings.load(str(self.home)))
        mlflow = MlflowResource(tracking_uri=f"sqlite:///{self.home}/mlflow.db", artifacts=str(self.home / "mlflow"))
        return build_defs(lake=LakeResource(home=str(self.home)), mlflow=mlflow, rules=rules)

    def run(
        self,
        log_id: str,
        files: list[str] | None = None,
        job: str = "ingest_job",
        tables: Sequence[AssetKey] | None = None,
    ) -> ExecuteInProcessResult:
        """Run a job, or its part that makes some tables, for one log."""
        self.instance.add_dynamic_partitions("log", [log_id])
        config = {"ops": {"bronze": {"config": {"files": files}}}} if files else {}
        return (
            self.definitions()
            .resolve_job_def(job)
            .execute_in_process(
                instance=self.instance,
                partition_key=log_id,
                run_config=config,
                raise_on_error=False,
                asset_selection=tables,
            )
        )

    def numbers(self, log_id: str) -> dict[Layer, int]:
        """Give the number of each layer's newest publication; a layer without one is left out."""
        return {layer: record.number for layer in READS if (record := self.lake.latest(log_id, layer))}


def event(event_id: str, activity: str, time: datetime, orders: Sequence[int], **attributes: object) -> dict[str, Any]:
    """Give an event as OCEL 2.0's JSON has it."""
    return {
        "id": event_id,
        "type": activity,
        "time": time.isoformat(),
        "attributes": [{"name": name, "value": value} for name, value in attributes.items()],
        "relationships": [{"objectId": f"o{order}", "qualifier": "order"} for order in orders],
    }


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    with DagsterInstance.ephemeral() as instance:
        yield Graph(tmp_path, instance)
