"""The landing sensor: stable files become runs, once, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import DagsterInstance, SensorResult, SkipReason, build_sensor_context

from assets.partitions import LOGS
from definitions import defs
from sensors.landing import landing_file_stable


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OCELAKE_HOME", str(tmp_path))
    folder = tmp_path / "landing" / "orders"
    folder.mkdir(parents=True)
    return folder


def look(instance: DagsterInstance, cursor: str | None) -> tuple[SensorResult | SkipReason, str]:
    context = build_sensor_context(
        instance=instance, cursor=cursor, repository_def=defs().get_repository_def(), sensor_name="landing_file_stable"
    )
    result = landing_file_stable(context)
    assert isinstance(result, SensorResult | SkipReason)
    new = result.cursor if isinstance(result, SensorResult) else context.cursor
    assert new is not None
    return result, new


def test_a_file_is_requested_once_when_its_copy_is_complete(landing: Path) -> None:
    with DagsterInstance.ephemeral() as instance:
        (landing / "a.json").write_text("half")
        first, cursor = look(instance, None)
        (landing / "a.json").write_text("half and whole")
        second, cursor = look(instance, cursor)
        third, cursor = look(instance, cursor)
        fourth, cursor = look(instance, cursor)
    assert isinstance(first, SkipReason)
    assert isinstance(second, SkipReason), "it changed since the last look"
    assert isinstance(third, SensorResult)
    assert [request.partition_key for request in third.run_requests or []] == ["orders"]
    assert (third.run_requests or [])[0].run_config["ops"]["bronze"]["config"]["files"] == ["a.json"]
    added = third.dynamic_partitions_requests or []
    assert [(request.partitions_def_name, list(request.partition_keys)) for request in added] == [
        (LOGS.name, ["orders"])
    ]
    assert isinstance(fourth, SkipReason), "the cursor remembers it"


def test_one_run_a_file_so_that_a_failed_one_stops_no_other(landing: Path) -> None:
    for name in ("a.json", "b.json"):
        (landing / name).write_text(name)
    with DagsterInstance.ephemeral() as instance:
        _, cursor = look(instance, None)
        result, cursor = look(instance, cursor)
        assert isinstance(result, SensorResult)
        keys = [request.run_key for request in result.run_requests or []]
        assert len(keys) == len(set(keys)) == 2
        (landing / "b.json").write_text("a corrected b")
        _, cursor = look(instance, cursor)
        again, _ = look(instance, cursor)
    assert isinstance(again, SensorResult)
    files = [request.run_config["ops"]["bronze"]["config"]["files"] for request in again.run_requests or []]
    assert files == [["b.json"]]
