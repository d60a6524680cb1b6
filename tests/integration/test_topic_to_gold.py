"""A log by way of a topic to gold, with the embedded broker: as `make demo-stream` shows it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Event
from uuid import uuid4

import polars as pl
import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance

from ocelake.lake import Lake, PublicationRecord, open_lake
from ocelake.lake.audits import GOLD_CHECKS, SILVER_CHECKS
from ocelake.ocel import Ocel
from ocelake.ocel.generate import generate
from ocelake.pictures import live_pictures
from ocelake.run import LiveReport
from ocelake.settings import LakeSettings, StreamSettings
from ocelake.stream.encode import encode_json, messages
from ocelake.stream.follow import follow_topics
from ocelake.stream.produce import produce
from ocelake.stream.replay import Standing, arrival_problems, standing
from ocelake.stream.settings import KafkaSettings
from ocelake.tables import Layer

LOG = "replayed"
CHECKS = [
    AssetCheckKey(AssetKey(check.table.split(".")), check.name)
    for check in (*SILVER_CHECKS, *GOLD_CHECKS)
    if check.severity == "error"
]


@pytest.fixture
def topic() -> str:
    return f"t-{uuid4().hex}"


@pytest.fixture
def kafka(topic: str) -> Iterator[KafkaSettings]:
    """The embedded broker in a process of its own, ended as a terminal would."""
    command = [sys.executable, "-m", "ocelake", "broker", topic]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield KafkaSettings(bootstrap_servers=process.stdout.readline().strip())
        process.terminate()
        assert process.wait(30) == 0


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return open_lake(
        settings=LakeSettings(
            home=tmp_path, catalog_uri=f"sqlite:///{tmp_path / 'catalog.db'}", warehouse=str(tmp_path / "warehouse")
        )
    )


def test_what_is_sent_is_in_silver_and_gold_and_its_picture_changes(
    lake: Lake, kafka: KafkaSettings, topic: str
) -> None:
    log, stream = generate(300, seed=1), StreamSettings(topics=(topic,), max_seconds=0.2)
    batches = [batch for part in halves(log) for batch in messages(part, encode_json)]
    pictures = []
    for batch in batches:
        produce(kafka, topic, [batch])
        assert not standing(lake, LOG, stream, kafka).arrived
        with LiveReport(LOG, partial(live_pictures, lake)) as report:

            def advanced(found: Mapping[Layer, PublicationRecord], *_: object, report: LiveReport = report) -> None:
                for record in found.values():
                    report.published(record, {})

            follow_topics(lake, LOG, stream, kafka, stop=Event(), until_caught_up=True, advanced=advanced)
        assert standing(lake, LOG, stream, kafka) == Standing(lag=0, gold_is_fresh=True)
        instance = DagsterInstance.get()
        told = instance.get_latest_materialization_event(AssetKey(["gold", "ocdfg_edges"]))
        assert told is not None
        assert told.asset_materialization is not None
        checked = instance.event_log_storage.get_asset_check_partition_info(CHECKS)
        assert {info.check_key: info.is_current for info in checked} == dict.fromkeys(CHECKS, True)
        pictures.append(told.asset_materialization.metadata["picture"].value)
    assert arrival_problems(lake, LOG, log) == []
    assert lake.latest(LOG, "gold").number > 1  # type: ignore[union-attr]
    first, last = pictures
    assert first != last
    assert str(last).startswith("![OC-DFG](data:image/svg+xml;base64,")
    lost = Ocel(**{name.removeprefix("ocel."): frame for name, frame in log.frames()} | {"events": log.events[1:]})
    assert [problem.partition(":")[0] for problem in arrival_problems(lake, LOG, lost)] == ["ocel.events"]


def halves(log: Ocel) -> list[Ocel]:
    """The log's events in two parts, each with all of the objects."""
    events = log.events.sort("time", "sequence", "event_id")
    half = events.height // 2
    return [
        Ocel(
            **{name.removeprefix("ocel."): frame for name, frame in log.frames()}
            | {
                "events": part,
                "event_objects": log.event_objects.filter(pl.col("event_id").is_in(part["event_id"].implode())),
                "event_attributes": log.event_attributes.filter(pl.col("event_id").is_in(part["event_id"].implode())),
            }
        )
        for part in (events[:half], events[half:])
    ]
