"""The sensor of topics: micro-batches by lag and time, none where nothing is streamed, a reason where no broker is."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import orjson
import polars as pl
import pytest
from dagster import SensorResult, SkipReason, build_sensor_context

from ocelake.lake import Lake, open_lake
from ocelake.lake.batches import TopicPartition
from ocelake.settings import StreamSettings
from ocelake.stream.client import producer
from ocelake.stream.settings import KafkaSettings
from resources import LakeResource
from sensors.topics import topic_lagging
from tests.assets.conftest import Graph, graph  # noqa: F401  # a fixture
from tests.integration.kafka_fixtures import mock_kafka, topic  # noqa: F401  # fixtures
from tests.unit.test_lake_offsets import batches


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mock_kafka: KafkaSettings) -> Path:  # noqa: F811
    monkeypatch.setenv("OCELAKE_HOME", str(tmp_path))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", mock_kafka.bootstrap_servers or "")
    return tmp_path


class Ticks:
    """The sensor, tick by tick."""

    def __init__(self, graph: Graph) -> None:  # noqa: F811
        self.graph, self.cursor = graph, None

    def tick(self) -> SensorResult | SkipReason:
        context = build_sensor_context(
            self.graph.instance, cursor=self.cursor, resources={"lake": LakeResource(home=str(self.graph.home))}
        )
        result = topic_lagging(context)
        assert isinstance(result, SensorResult | SkipReason)
        self.cursor = result.cursor if isinstance(result, SensorResult) else context.cursor
        return result

    def skipped(self) -> str:
        result = self.tick()
        assert isinstance(result, SkipReason), result
        return str(result.skip_message)


def send(kafka: KafkaSettings, name: str, count: int, first: int = 0, partition: int = -1) -> None:
    client = producer(kafka)
    for n in range(first, first + count):
        event = {"id": f"e{n}", "type": "pay", "time": "2024-01-01T00:00:00Z", "attributes": [], "relationships": []}
        client.produce(name, orjson.dumps(event), partition=partition)
    assert client.flush(30) == 0


def publish_range(lake: Lake, place: TopicPartition, last: int | None, offsets: tuple[int, int]) -> None:
    with lake.publication("L", "bronze", offsets={place: last}) as publication:
        of_another = batches({place: offsets}).with_columns(topic_id=pl.lit("cluster of another topic"))
        publication.append("bronze.batches", of_another)
        publication.commit()


def test_nothing_is_opened_where_no_log_is_streamed(graph: Graph) -> None:  # noqa: F811
    assert Ticks(graph).skipped().startswith("No log says which topics")
    assert not list(graph.home.iterdir())


def test_a_micro_batch_by_lag_and_by_time_until_bronze_has_all(
    graph: Graph,  # noqa: F811
    home: Path,
    mock_kafka: KafkaSettings,  # noqa: F811
    topic: str,  # noqa: F811
) -> None:
    StreamSettings(topics=(topic,), max_rows=100, max_seconds=3600).save(home / "logs" / "L.stream.yaml")
    ticks = Ticks(graph)
    assert "There is no topic" in ticks.skipped()
    send(mock_kafka, topic, 60)
    assert ticks.skipped() == "L: 60 messages for 0 s"
    send(mock_kafka, topic, 60, first=60)
    requested = ticks.tick()
    assert isinstance(requested, SensorResult)
    (request,) = requested.run_requests or []
    assert (request.partition_key, request.run_config) == (
        "L",
        {"ops": {"bronze": {"config": {"topics": [topic]}}}},
    )
    (added,) = requested.dynamic_partitions_requests or []
    assert list(added.partition_keys) == ["L"]
    graph.instance.add_dynamic_partitions("log", ["L"])
    result = (
        graph.definitions()
        .resolve_job_def("bronze_job")
        .execute_in_process(instance=graph.instance, partition_key="L", run_config=request.run_config)
    )
    metadata = [event.materialization.metadata for event in result.get_asset_materialization_events()]
    assert {item["messages"].value for item in metadata} == {120}
    assert {item["lag_messages"].value for item in metadata} == {0}
    events = open_lake(home).read("bronze.event_records", "L")
    assert events["event_id"].n_unique() == events.height == 120
    assert ticks.skipped() == "L: nothing to read"
    StreamSettings(topics=(topic,), max_seconds=1e-9).save(home / "logs" / "L.stream.yaml")
    send(mock_kafka, topic, 1, first=120)
    assert isinstance(ticks.tick(), SensorResult), "one message has waited for long enough"


def test_after_runs_that_failed_it_waits_ever_longer_until_bronze_has_changed(
    graph: Graph,  # noqa: F811
    home: Path,
    mock_kafka: KafkaSettings,  # noqa: F811
    topic: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    StreamSettings(topics=(topic,), max_seconds=1e-9).save(home / "logs" / "L.stream.yaml")
    lake = open_lake(home)
    publish_range(lake, (topic, 0), None, (0, 0))
    send(mock_kafka, topic, 40, partition=0)
    ticks, late = Ticks(graph), 0.0
    clock = time.time
    monkeypatch.setattr("sensors.topics.time", SimpleNamespace(time=lambda: clock() + late))
    graph.instance.add_dynamic_partitions("log", ["L"])
    job = graph.definitions().resolve_job_def("bronze_job")
    for wait in (60, 120):
        requested = ticks.tick()
        assert isinstance(requested, SensorResult)
        (request,) = requested.run_requests or []
        run = job.execute_in_process(
            instance=graph.instance,
            partition_key="L",
            run_config=request.run_config,
            tags=request.tags,
            raise_on_error=False,
        )
        assert not run.success
        late = wait - 10
        assert f"L: the run {run.run_id} failed, and bronze is as it was; the next one is requested" in ticks.skipped()
        late = wait + 10
    assert isinstance(ticks.tick(), SensorResult)
    late = 0
    assert "is requested at" in ticks.skipped()
    publish_range(lake, (topic, 1), None, (0, 0))
    assert isinstance(ticks.tick(), SensorResult), "something has changed"


def test_a_broker_that_does_not_answer_is_a_reason_to_skip(
    graph: Graph,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr("sensors.topics._BROKER_SECONDS", 0.5)
    StreamSettings(topics=("t",)).save(graph.home / "logs" / "L.stream.yaml")
    reason = Ticks(graph).skipped()
    assert reason.startswith("L: ")
    assert "127.0.0.1:1" in reason
    assert "KAFKA_BOOTSTRAP_SERVERS" in reason
