"""Trained models in MLflow: what a training leaves, which version is champion, and models that load on their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd
import pytest
import requests
from matplotlib.figure import Figure

from ocelake.errors import NotFound, OcelakeError, Unreachable
from ocelake.registry import Registry, Training, Version, open_registry, registry_uri
from ocelake.settings import LakeSettings
from resources.mlflow import MlflowResource
from tests.integration.conftest import free_port

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROWS: dict[str, list[Any]] = {"amount": [2.0, None, 5.0], "kind": ["a", "b", None]}

ALONE = """
import json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"ocelake", "polars", "dagster", "tests", "pytest"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
import pandas
from mlflow import pyfunc

model = pyfunc.load_model(sys.argv[1])
predicted = model.predict(pandas.DataFrame(json.loads(sys.argv[2])))
json.dump({name: column.tolist() for name, column in predicted.items()}, sys.stdout)
"""


class Doubler:
    """Twice the amount, and what kind it is of; stands for a trained model."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def predict(self, columns: Any) -> dict[str, Any]:
        amounts = np.nan_to_num(np.asarray(columns["amount"], dtype=float))
        kinds = [kind if isinstance(kind, str) else "none" for kind in columns["kind"]]
        return {"seconds": self.factor * amounts, "label": np.asarray(kinds, dtype=object)}


class Counting(Doubler):
    """Gives whole numbers, of which MLflow warns."""

    def predict(self, columns: Any) -> dict[str, Any]:
        return {"rank": np.arange(len(columns["amount"]))}


class Broken:
    def predict(self, columns: Any) -> dict[str, Any]:
        raise ArithmeticError("no such number")


def training(name: str, scorer: Any = None) -> Training:
    figure = Figure()
    figure.subplots().plot([0, 1], [0, 1])
    return Training(
        name=name,
        experiment="orders",
        run_name="a run",
        parameters={"depth": 3, "splits": [1, 2]},
        metrics={"mae": 1.5, "folds/mae": 2.0},
        tags={"log": "orders", "publication": "gold-7"},
        tables={"schema": {"columns": ["amount", "kind"]}, "folds": [1.0, 2.0]},
        figures={"calibration": figure},
        scorer=scorer or Doubler(2.0),
        columns=[("amount", "number"), ("kind", "category")],
        example=ROWS,
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> LakeSettings:
    return LakeSettings.load(tmp_path_factory.mktemp("a home, 50% ü"))


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OCELAKE_MLFLOW_URI", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="module")
def registry(settings: LakeSettings) -> Registry:
    return open_registry(settings)


@pytest.fixture(scope="module")
def client(registry: Registry) -> MlflowClient:
    from mlflow import MlflowClient

    registry.names()
    return MlflowClient(tracking_uri=registry.uri, registry_uri=registry.uri)


@pytest.fixture(scope="module")
def recorded(registry: Registry) -> Version:
    return registry.record(training("orders.remaining_time"))


def predicted_alone(path: str, rows: dict[str, list[Any]], folder: Path) -> dict[str, list[Any]]:
    """Load a model where this project does not exist, and predict."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    output = subprocess.check_output(
        [sys.executable, "-c", ALONE, path, json.dumps(rows)], cwd=folder, env=environment, text=True
    )
    found: dict[str, list[Any]] = json.loads(output)
    return found


def test_importing_the_library_does_not_import_mlflow() -> None:
    asked = "import ocelake.registry, sys; sys.exit('mlflow' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked]).returncode == 0


def test_the_address_comes_from_the_environment_or_the_home(
    settings: LakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry_uri(settings) == f"sqlite:///{settings.home}/mlflow/mlflow.db".replace("%", "%25")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://one:5000")
    assert registry_uri(settings) == "http://one:5000"
    monkeypatch.setenv("OCELAKE_MLFLOW_URI", "http://two:5000")
    assert registry_uri(settings) == "http://two:5000"
    assert open_registry(settings).artifacts is None
    assert open_registry(settings, uri="sqlite:///x.db").artifacts == (settings.home / "mlflow/artifacts").as_uri()
    assert open_registry(settings, artifacts="s3://bucket/models").artifacts == "s3://bucket/models"


def test_a_run_says_how_a_model_was_trained(client: MlflowClient, registry: Registry, recorded: Version) -> None:
    run = client.get_run(recorded.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "a run")
    assert run.data.params == {"depth": "3", "splits": "[1, 2]"}
    assert run.data.metrics == {"mae": 1.5, "folds/mae": 2.0} == registry.metrics(recorded)
    assert {"log": "orders", "publication": "gold-7"}.items() <= run.data.tags.items()
    assert registry.tags(recorded) == {"log": "orders", "publication": "gold-7"}
    experiment = client.get_experiment(run.info.experiment_id)
    assert (experiment.name, experiment.artifact_location) == ("orders", registry.artifacts)


def test_tables_and_figures_are_files_of_the_run(client: MlflowClient, recorded: Version, tmp_path: Path) -> None:
    files = Path(client.download_artifacts(recorded.run_id, "", str(tmp_path)))
    assert {str(path.relative_to(files)) for path in files.rglob("*.*")} == {
        "schema.json",
        "folds.json",
        "plots/calibration.png",
    }
    assert json.loads((files / "schema.json").read_text()) == {"columns": ["amount", "kind"]}
    assert json.loads((files / "folds.json").read_text()) == [1.0, 2.0]
    assert (files / "plots" / "calibration.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_knows_its_model(client: MlflowClient, recorded: Version) -> None:
    run = client.get_run(recorded.run_id)
    assert run.outputs is not None
    model = client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert (model.status.value, model.source_run_id) == ("READY", recorded.run_id)
    assert {metric.key: metric.value for metric in model.metrics or []} == {"mae": 1.5, "folds/mae": 2.0}
    assert model.params == {"depth": "3", "splits": "[1, 2]"}


def test_a_loaded_scorer_predicts_as_the_trained_one(registry: Registry, recorded: Version) -> None:
    fresh = Registry(registry.uri)
    scorer, expected = fresh.load(recorded), Doubler(2.0).predict(pd.DataFrame(ROWS))
    found = scorer.predict(pd.DataFrame(ROWS))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert fresh.load(replace(recorded)) is scorer


def test_a_model_loads_where_this_project_does_not_exist(
    client: MlflowClient, recorded: Version, tmp_path: Path
) -> None:
    source = client.get_model_version_download_uri(recorded.name, str(recorded.version))
    assert predicted_alone(source, ROWS, tmp_path) == {"seconds": [4.0, 0.0, 10.0], "label": ["a", "b", "none"]}
    assert predicted_alone(source, {"amount": [3.0]}, tmp_path) == {"seconds": [6.0], "label": ["none"]}
    assert list(tmp_path.iterdir()) == []


def test_a_model_says_what_it_reads_and_needs(client: MlflowClient, recorded: Version) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    folder = download_artifacts(client.get_model_version_download_uri(recorded.name, str(recorded.version)))
    model = Model.load(folder)
    assert model.signature is not None
    assert [(column.name, str(column.type), column.required) for column in model.signature.inputs.inputs] == [
        ("amount", "DataType.double", False),
        ("kind", "DataType.string", False),
    ]
    assert model.signature.outputs.input_names() == ["seconds", "label"]
    pd.testing.assert_frame_equal(model.load_input_example(folder), pd.DataFrame(ROWS), check_dtype=False)
    needed = (Path(folder) / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in needed} == {"cloudpickle", "mlflow", "numpy", "pandas", "scikit-learn"}


def test_a_challenger_becomes_the_champion(registry: Registry) -> None:
    name = "orders.outcome"
    assert (registry.champion(name), registry.challenger(name), registry.versions(name)) == (None, None, [])
    first = registry.record(training(name))
    assert (registry.champion(name), registry.challenger(name)) == (None, first)
    assert registry.promote(first) is None
    assert (registry.champion(name), registry.challenger(name)) == (first, None)

    second = registry.record(training(name, Doubler(3.0)))
    assert (registry.champion(name), registry.challenger(name)) == (first, second)
    assert [version.version for version in registry.versions(name)] == [1, 2]
    assert registry.promote(second) == first
    assert (registry.champion(name), registry.challenger(name)) == (second, None)
    tags = registry.tags(second)
    assert tags["former_champion"] == "1"
    assert tags["promoted_at"].endswith("+00:00")
    assert tags["log"] == "orders"

    assert registry.promote(second) == second
    assert registry.tags(second) == tags
    assert registry.promote(first) == second, "one may go back"
    assert registry.champion(name) == first
    assert registry.load(second).predict(pd.DataFrame(ROWS))["seconds"].tolist() == [6.0, 0.0, 15.0]


def test_models_are_found_by_how_their_names_begin(registry: Registry, recorded: Version) -> None:
    registry.record(training("orders2.remaining_time"))
    assert recorded.name in registry.names()
    assert registry.names("orders2") == ["orders2.remaining_time"]
    assert registry.names("ORDERS2") == registry.names("o_ders2") == []


def test_trainings_at_once_get_a_version_each(registry: Registry) -> None:
    with ThreadPoolExecutor(3) as pool:
        versions = list(pool.map(registry.record, [training("at once", Doubler(factor)) for factor in (1.0, 2.0, 3.0)]))
    assert {version.version for version in versions} == {1, 2, 3}
    for version, factor in zip(versions, (1.0, 2.0, 3.0), strict=True):
        assert registry.load(version).factor == factor


def test_a_failure_leaves_a_failed_run_and_no_version(client: MlflowClient, registry: Registry) -> None:
    with pytest.raises(ArithmeticError, match="no such number"):
        registry.record(replace(training("broken", Broken()), experiment="broken"))
    experiment = client.get_experiment_by_name("broken")
    assert experiment is not None
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert registry.versions("broken") == []
    with pytest.raises(NotFound):
        registry.metrics(Version("broken", 1, "0" * 32, "models:/broken/1"))
    with pytest.raises(OcelakeError, match="MLflow refuses"):
        registry.record(training("a/b"))


def test_nothing_is_told_and_no_file_is_left(
    registry: Registry,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    (tmp_path / "uv.lock").write_text("version = 1")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '1'")
    monkeypatch.chdir(tmp_path)
    version = registry.record(training("quiet", Counting(1.0)))
    Registry(registry.uri).load(version)
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []
    assert {path.name for path in tmp_path.iterdir()} == {"uv.lock", "pyproject.toml"}
    source = client.get_model_version_download_uri("quiet", "1")
    assert not list(Path(url2pathname(urlsplit(source).path)).glob("uv.lock"))


def record_one(home: Path, name: str) -> None:
    open_registry(LakeSettings.load(home)).record(training(name))


def test_two_processes_may_open_a_new_home_at_once(tmp_path: Path) -> None:
    context = get_context("spawn")
    processes = [context.Process(target=record_one, args=(tmp_path, name)) for name in ("one", "two")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert open_registry(LakeSettings.load(tmp_path)).names() == ["one", "two"]


@pytest.fixture
def server(registry: Registry, settings: LakeSettings, tmp_path: Path) -> Iterator[str]:
    """A server with a database that is there already, since making one takes long."""
    registry.names()
    shutil.copy(settings.home / "mlflow" / "mlflow.db", tmp_path / "server.db")
    address = f"http://127.0.0.1:{(port := free_port())}"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{tmp_path}/server.db"),
            *("--artifacts-destination", str(tmp_path / "files")),
        ],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            try:
                if requests.get(f"{address}/health", timeout=2).ok:
                    break
            except requests.RequestException:
                time.sleep(0.1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_a_server_keeps_models_too(server: str, tmp_path: Path) -> None:
    resource = MlflowResource(tracking_uri=server)
    registry = resource.open()
    assert resource.open() is registry
    assert (registry.uri, registry.artifacts) == (server, None)
    metrics = {"mae": 1.5, "unknown": float("nan")}
    version = registry.record(replace(training("served"), experiment="served", metrics=metrics))
    assert registry.challenger("served") == version
    registry.promote(version)
    assert Registry(server).champion("served") == version
    assert registry.metrics(version) == pytest.approx(metrics, nan_ok=True)
    assert Registry(server).load(version).predict(pd.DataFrame(ROWS))["seconds"].tolist() == [4.0, 0.0, 10.0]
    assert list((tmp_path / "files").rglob("calibration.png"))


def test_a_server_that_is_not_there_is_told_soon() -> None:
    address = f"127.0.0.1:{free_port()}"
    registry, begin = Registry(f"http://me:secret@{address}"), time.monotonic()
    with pytest.raises(Unreachable, match=rf"http://me:\*\*\*@{address}") as caught:
        registry.champion("orders")
    assert time.monotonic() - begin < 10
    assert "secret" not in str(caught.value)
    with pytest.raises(Unreachable):
        Registry("sqlite:////dev/null/mlflow.db").names()
