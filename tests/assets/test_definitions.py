"""What Dagster is told: every table of the registry, partitioned by log, with its checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import assets
import resources
from assets.partitions import LOGS
from assets.specs import asset_key
from definitions import build_defs, defs
from ocelake.tables import TABLES

ROOT = Path(__file__).parents[2]


def test_the_projects_own_packages_are_imported_and_not_others_of_their_names() -> None:
    for package in (assets, resources):
        assert package.__file__ is not None
        assert Path(package.__file__).is_relative_to(ROOT)


def test_every_table_is_one_asset_with_owner_schema_and_partition() -> None:
    graph = defs().resolve_asset_graph()
    for identifier, table in TABLES.items():
        node = graph.get(asset_key(identifier))
        assert node.partitions_def == LOGS
        assert node.owners
        assert node.description
        assert node.description.startswith(table.doc)
        schema = node.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == list(table.schema)
        assert all(column.description for column in schema.columns)


def test_every_check_is_partitioned_by_log_or_belongs_to_an_unpartitioned_asset() -> None:
    graph = defs().resolve_asset_graph()
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        assert spec.partitions_def == graph.get(key.asset_key).partitions_def, key


def test_every_layer_has_its_job_and_every_schedule_and_sensor_runs_by_default() -> None:
    repository = defs().get_repository_def()
    names = {job.name for job in repository.get_all_jobs()}
    assert {"bronze_job", "silver_job", "gold_job", "ingest_job", "maintenance_job", "verification_job"} <= names
    for sensor in repository.sensor_defs:
        assert sensor.default_status.value == "RUNNING", sensor.name
    for schedule in repository.schedule_defs:
        assert schedule.default_status.value == "RUNNING", schedule.name


def test_overrides_replace_resources() -> None:
    lake = resources.LakeResource(home="elsewhere")
    assert (build_defs(lake=lake).resources or {})["lake"] is lake


def test_the_library_alone_imports_no_orchestrator(tmp_path: Path) -> None:
    code = (
        "import sys, ocelake, ocelake.cli, ocelake.tables, ocelake.lake, ocelake.ocel.read, ocelake.mining.gold, "
        "ocelake.draw\n"
        "bad = [name for name in ('dagster', 'mlflow', 'pm4py') if name in sys.modules]\n"
        "print(','.join(bad))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == ""
