"""When a layer is requested: for every new input, once, and never in vain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
from dagster._core.events import StepMaterializationData
from dagster._core.test_utils import freeze_time

from assets.automation import ON_NEW_INPUT, ON_NEW_INPUT_AT_TIMES, ON_NEW_INPUT_ONCE_THERE
from assets.partitions import LOGS
from assets.specs import asset_key
from ocelake.tables import Layer, layer_tables
from sensors import table_automation
from tests.assets.conftest import LAYERS_OF_EVENTS, Graph
from tests.price_ticks import LOG, put_ticks


@asset(partitions_def=LOGS)
def upstream() -> None: ...


@asset(partitions_def=LOGS, deps=[upstream], automation_condition=ON_NEW_INPUT)
def downstream() -> None: ...


@asset(name="downstream", partitions_def=LOGS, deps=[upstream], automation_condition=ON_NEW_INPUT_AT_TIMES)
def downstream_at_times() -> None: ...


@asset(name="downstream", partitions_def=LOGS, deps=[upstream], automation_condition=ON_NEW_INPUT_ONCE_THERE)
def downstream_once_there() -> None: ...


NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
JOB = define_asset_job("job", ["downstream"], partitions_def=LOGS)
UPSTREAM_JOB = define_asset_job("upstream_job", ["upstream"], partitions_def=LOGS)
DEFS = Definitions(assets=[upstream, downstream], jobs=[JOB, UPSTREAM_JOB])
DEFS_ONCE_THERE = Definitions(assets=[upstream, downstream_once_there], jobs=[JOB, UPSTREAM_JOB])
DEFS_AT_TIMES = Definitions(assets=[upstream, downstream_at_times], jobs=[JOB, UPSTREAM_JOB])


@dataclass
class Clock:
    """Evaluates the condition tick by tick, every ten seconds."""

    instance: DagsterInstance
    definitions: Definitions
    now: datetime = NOON + timedelta(seconds=5)
    cursor: Any = None

    def tick(self) -> int:
        result = evaluate_automation_conditions(
            defs=self.definitions, instance=self.instance, evaluation_time=self.now, cursor=self.cursor
        )
        self.cursor = result.cursor
        self.now += timedelta(seconds=10)
        return result.total_requested

    def until(self, minute: int) -> int:
        """Tick until a minute past noon, and give how often something was requested."""
        requested = 0
        while self.now < NOON + timedelta(minutes=minute):
            requested += self.tick()
        return requested

    def materialize(self, name: str) -> None:
        self.instance.report_runless_asset_event(AssetMaterialization(AssetKey(name), partition="L"))

    def start(self, name: str, job: str) -> str:
        """Begin to build an asset; give the run."""
        run = self.instance.create_run_for_job(
            self.definitions.resolve_job_def(job),
            tags={"dagster/partition": "L"},
            status=DagsterRunStatus.STARTED,
            asset_selection=frozenset([AssetKey(name)]),
        )
        return run.run_id

    def finish(self, name: str, job: str, run_id: str) -> None:
        made = DagsterEvent(
            DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name=job,
            event_specific_data=StepMaterializationData(AssetMaterialization(AssetKey(name), partition="L")),
        )
        self.instance.report_dagster_event(made, run_id=run_id)
        success = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, job_name=job)
        self.instance.report_dagster_event(success, run_id=run_id)


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("log", ["L"])
        yield instance


@pytest.fixture
def clock(instance: DagsterInstance) -> Clock:
    return Clock(instance, DEFS)


@pytest.fixture
def throttled(instance: DagsterInstance) -> Clock:
    return Clock(instance, DEFS_AT_TIMES)


def test_what_not_every_log_wants_is_requested_only_where_it_was_built_before(instance: DagsterInstance) -> None:
    clock = Clock(instance, DEFS_ONCE_THERE)
    clock.materialize("upstream")
    assert clock.until(minute=11) == 0, "nobody has asked for it"
    clock.materialize("downstream")
    clock.tick()
    clock.materialize("upstream")
    assert clock.until(minute=21) == 1


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
    run = clock.start("downstream", "job")
    clock.tick()
    clock.materialize("upstream")
    assert clock.tick() == 0, "it is being built"
    clock.finish("downstream", "job", run)
    assert sum(clock.tick() for _ in range(3)) == 1, "what was built has not seen the second batch"


def test_what_a_stream_has_published_is_not_requested(clock: Clock) -> None:
    clock.tick()
    for _ in range(3):
        clock.materialize("upstream")
        clock.materialize("downstream")
        assert clock.tick() == 0
    clock.materialize("upstream")
    assert clock.tick() == 1, "this it has not published"


def test_a_layer_that_is_computed_as_a_whole_does_not_let_a_new_log_wait(throttled: Clock) -> None:
    throttled.tick()
    throttled.materialize("upstream")
    assert throttled.tick() == 1
    throttled.materialize("downstream")
    assert throttled.until(11) == 0, "nothing is new"
    throttled.materialize("upstream")
    assert throttled.tick() == 1, "a turn that nobody took is still there"


def test_a_log_that_streams_in_has_its_turn_every_five_minutes_and_its_last_batch_is_not_forgotten(
    throttled: Clock,
) -> None:
    times = []
    while throttled.now < NOON + timedelta(minutes=21):
        throttled.materialize("upstream")
        now = throttled.now
        if throttled.tick():
            times.append(now - NOON)
            throttled.materialize("downstream")
    minutes = [time.total_seconds() / 60 for time in times]
    assert len(minutes) == 5
    assert minutes[0] < 1
    assert [int(minute) for minute in minutes[1:]] == [5, 10, 15, 20]
    throttled.materialize("upstream")
    assert throttled.until(24) == 0
    assert throttled.until(26) == 1
    throttled.materialize("downstream")
    assert throttled.until(40) == 0


def test_a_turn_is_kept_while_what_is_read_is_being_built(throttled: Clock) -> None:
    throttled.tick()
    throttled.materialize("upstream")
    assert throttled.tick() == 1
    throttled.materialize("downstream")
    assert throttled.until(4) == 0
    throttled.materialize("upstream")
    run = throttled.start("upstream", "upstream_job")
    assert throttled.until(7) == 0
    throttled.finish("upstream", "upstream_job", run)
    assert throttled.until(8) == 1


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
    now: datetime = NOON + timedelta(seconds=5)
    cursor: str | None = None

    def tick(self) -> frozenset[AssetKey]:
        """Give what is requested, which is at most one run."""
        with freeze_time(self.now):
            return self._tick()

    def _tick(self) -> frozenset[AssetKey]:
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
        assert {request.partition_key for request in requests} <= {"L", LOG}
        return frozenset(key for request in requests for key in request.asset_selection or [])


def test_all_layers_are_requested_together_or_in_their_turn_and_a_refused_model_keeps_policy_from_nothing(
    graph: Graph,
) -> None:
    graph.put_orders("L", 11)
    graph.declare("L", "mining", {"variable_arcs": "pm4py"})
    sensor = Sensor(graph)
    assert sensor.tick() == frozenset(), "there is no log yet"
    assert graph.run("L", job="bronze_job").success
    requested = sensor.tick()
    assert requested == keys("silver", "gold", "analysis", "model", "policy", "kpis"), (
        "the layers after bronze, in one run"
    )
    assert not graph.run("L", tables=sorted(requested)).success
    assert graph.numbers("L").keys() == set(LAYERS_OF_EVENTS) - {"model"}, "the model was refused"
    assert [sensor.tick() for _ in range(2)] == [frozenset()] * 2, "and is not tried again for the same input"
    graph.declare("L", "mining", {})
    assert graph.run("L", job="silver_job").success
    requested = sensor.tick()
    assert requested == keys("gold"), "the others were built within these five minutes"
    assert graph.run("L", tables=sorted(requested)).success
    assert sensor.tick() == frozenset()
    sensor.now += timedelta(minutes=5)
    requested = sensor.tick()
    assert requested == keys("analysis", "model", "policy", "kpis")
    assert graph.run("L", tables=sorted(requested)).success
    assert graph.numbers("L") == {
        "bronze": 1,
        "silver": 1,
        "gold": 2,
        "analysis": 2,
        "model": 1,
        "policy": 2,
        "kpis": 1,
    }
    assert sensor.tick() == frozenset()


def test_a_feed_is_carried_to_its_bars_and_nothing_is_made_of_events_that_it_does_not_have(graph: Graph) -> None:
    sensor = Sensor(graph)
    sensor.tick()
    put_ticks(graph.lake, "one", [{"commodity": "gold", "time": "2024-01-01", "price": "5"}])
    assert graph.run(LOG, job="prices_job", tables=[asset_key("bronze.price_ticks")]).success
    requested = sensor.tick()
    assert requested == keys("prices", "bars")
    assert graph.run(LOG, job="prices_job", tables=sorted(requested)).success
    assert [sensor.tick() for _ in range(2)] == [frozenset()] * 2
