"""When a layer is requested: for every new input, once, and never in vain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    AutomationConditionSensorDefinition,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    asset,
    build_sensor_context,
    define_asset_job,
    evaluate_automation_conditions,
)

from assets.automation import ON_NEW_INPUT
from assets.partitions import LOGS
from assets.specs import asset_key
from ocelake.tables import Layer, layer_tables
from sensors import table_automation
from tests.assets.conftest import Graph


@asset(partitions_def=LOGS)
def upstream() -> None: ...


@asset(partitions_def=LOGS, deps=[upstream], automation_condition=ON_NEW_INPUT)
def downstream() -> None: ...


JOB = define_asset_job("job", [downstream], partitions_def=LOGS)
DEFS = Definitions(assets=[upstream, downstream], jobs=[JOB])


@dataclass
class Clock:
    """Evaluates the condition tick by tick."""

    instance: DagsterInstance
    cursor: Any = None

    def tick(self) -> int:
        result = evaluate_automation_conditions(defs=DEFS, instance=self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return result.total_requested

    def materialize(self, name: str) -> None:
        self.instance.report_runless_asset_event(AssetMaterialization(AssetKey(name), partition="L"))


@pytest.fixture
def clock() -> Any:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("log", ["L"])
        yield Clock(instance)


def test_new_input_is_requested_once(clock: Clock) -> None:
    assert clock.tick() == 0, "nothing to read yet"
    clock.materialize("upstream")
    assert clock.tick() == 1
    clock.materialize("downstream")
    assert [clock.tick() for _ in range(3)] == [0, 0, 0]
    clock.materialize("upstream")
    assert [clock.tick() for _ in range(2)] == [1, 0]


def test_input_that_comes_while_the_layer_is_built_is_requested_after_it(clock: Clock) -> None:
    clock.tick()
    clock.materialize("upstream")
    assert clock.tick() == 1
    run = clock.instance.create_run_for_job(
        DEFS.resolve_job_def("job"),
        tags={"dagster/partition": "L"},
        status=DagsterRunStatus.STARTED,
        asset_selection=frozenset([AssetKey("downstream")]),
    )
    clock.tick()
    clock.materialize("upstream")
    assert clock.tick() == 0, "it is being built"
    clock.materialize("downstream")
    success = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, job_name="job")
    clock.instance.report_dagster_event(success, run_id=run.run_id)
    assert sum(clock.tick() for _ in range(3)) == 1, "what was built has not seen the second batch"


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    with DagsterInstance.ephemeral() as instance:
        yield Graph(tmp_path, instance)


def keys(*layers: Layer) -> frozenset[AssetKey]:
    return frozenset(asset_key(spec.identifier) for layer in layers for spec in layer_tables(layer))


@dataclass
class Sensor:
    """Looks at the real definitions as the sensor does, tick by tick."""

    graph: Graph
    cursor: str | None = None

    def tick(self) -> frozenset[AssetKey]:
        """Give what is requested, which is at most one run."""
        sensor = AutomationConditionSensorDefinition(
            "tables", target=table_automation.asset_selection, use_user_code_server=True
        )
        context = build_sensor_context(
            self.graph.instance, cursor=self.cursor, repository_def=self.graph.definitions().get_repository_def()
        )
        found = sensor.evaluate_tick(context)
        self.cursor = found.cursor
        requests = found.run_requests or []
        assert len(requests) <= 1
        assert {request.partition_key for request in requests} <= {"L"}
        return frozenset(key for request in requests for key in request.asset_selection or [])


def test_model_and_policy_are_requested_as_gold_is_and_a_refused_model_keeps_policy_from_nothing(graph: Graph) -> None:
    graph.put_orders("L", 11)
    graph.declare("L", "mining", {"variable_arcs": "pm4py"})
    sensor = Sensor(graph)
    assert sensor.tick() == frozenset(), "there is no log yet"
    assert graph.run("L", job="bronze_job").success
    requested = sensor.tick()
    assert requested == keys("silver", "gold", "model", "policy"), "the layers after bronze, in one run"
    assert not graph.run("L", tables=sorted(requested)).success
    assert graph.numbers("L") == {"bronze": 1, "silver": 1, "gold": 1, "policy": 1}, "the model was refused"
    assert [sensor.tick() for _ in range(2)] == [frozenset()] * 2, "and is not tried again for the same input"
    graph.declare("L", "mining", {})
    assert graph.run("L", job="silver_job").success
    requested = sensor.tick()
    assert requested == keys("gold", "model", "policy")
    assert graph.run("L", tables=sorted(requested)).success
    assert graph.numbers("L") == {"bronze": 1, "silver": 1, "gold": 2, "model": 1, "policy": 2}
    assert sensor.tick() == frozenset()
