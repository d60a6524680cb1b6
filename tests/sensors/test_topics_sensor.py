"""The sensor of topics: micro-batches by lag and time, none where nothing is streamed, a reason where no broker is."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from dagster import SensorResult, SkipReason, build_sensor_context

from ocelake.lake import open_lake
from ocelake.settings import StreamSettings
from ocelake.stream.client import producer
from ocelake.stream.settings import KafkaSettings
from resources import LakeResource
from sensors.topics import topic_lagging
from tests.assets.conftest import Graph, graph  # noqa: F401  # a fixture
from tests.integration.kafka_fixtures import mock_kafka, topic  # noqa: F401  # fixtures


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


def send(kafka: KafkaSettings, name: str, count: int, first: int = 0) -> None:
    client = producer(kafka)
    for n in range(first, first + count):
        event = {"id": f"e{n}", "type": "pay", "time": "2024-01-01T00:00:00Z", "attributes": [], "relationships": []}
        client.produce(name, orjson.dumps(event))
    assert client.flush(30) == 0


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
