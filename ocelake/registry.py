"""Trained models and how they were trained: the one place of the library that knows MLflow, imported when needed.

A training is a run of an MLflow experiment and a version of a registered model. Aliases say what a version is for: the
``champion`` scores, the ``challenger`` waits for its judgement. Nothing here knows what a model predicts.

No state of MLflow's own is used (its current run, its tracking address), so a process may have several registries.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy.engine import create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ocelake.errors import NotFound, OcelakeError, Unreachable
from ocelake.settings import LakeSettings

__all__ = ["Registry", "Training", "Version", "open_registry", "registry_uri"]

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature
    from mlflow.pyfunc.model import PythonModel

_DEFAULTS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_UV_AUTO_DETECT": "false",  # else a lock file of whatever folder this runs in becomes part of the model
}
"""What MLflow is told through the environment, where nobody has told it otherwise: be quiet, and do not wait long."""

_REQUIREMENTS: Final = ("cloudpickle", "mlflow", "numpy", "pandas", "scikit-learn")
_PICKLE: Final = "python_model.pkl"
_SHOWN_AS_MODELS = {"mlflow.experimentKind": "custom_model_development"}
"""Else the UI takes an experiment for one of prompts and traces."""

_KEPT_IN_MEMORY: Final = 32

# MLflow's loggers, Python's warnings and cloudpickle's list of modules belong to the process.
_SAVING: Final = Lock()


def registry_uri(settings: LakeSettings) -> str:
    """Give the address of MLflow: ``OCELAKE_MLFLOW_URI``, else ``MLFLOW_TRACKING_URI``, else SQLite under the home."""
    # MLflow makes the folder of what it reads unquoted here, so no more is quoted than has to be.
    local = str(settings.home / "mlflow" / "mlflow.db").replace("%", "%25").replace("?", "%3F")
    return os.environ.get("OCELAKE_MLFLOW_URI") or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{local}"


def open_registry(settings: LakeSettings, *, uri: str | None = None, artifacts: str | None = None) -> Registry:
    """Give the registry of a lake; nothing is asked or created yet.

    Parameters
    ----------
    settings : LakeSettings
        Where the lake is.
    uri : str, optional
        Address of MLflow, instead of `registry_uri`.
    artifacts : str, optional
        Root of the models' files: a folder or an address. A server knows its own; for a database it is
        ``mlflow/artifacts`` under the home.
    """
    uri = uri or registry_uri(settings)
    if artifacts is None and not _is_server(uri):
        artifacts = str(settings.home / "mlflow" / "artifacts")
    return Registry(uri, artifacts)


@dataclass(frozen=True, slots=True)
class Training:
    """What is to be remembered of one training.

    Attributes
    ----------
    name : str
        Of the registered model: letters, digits, ``_``, ``-``, ``.`` and spaces.
    experiment, run_name : str
        Under which experiment the run is, and what it is called.
    parameters : mapping of str to any
        What the training was told.
    metrics : mapping of str to float
        How good it is.
    tags : mapping of str to str
        Where it comes from (publications, log, object type, task); of the run and of the version.
    tables : mapping of str to any
        What JSON can hold, by name; each becomes ``<name>.json``.
    figures : mapping of str to Figure
        Of matplotlib, by name; each becomes ``plots/<name>.png``.
    scorer : object
        Has ``predict(columns) -> dict of str to array``, where ``columns`` may be a pandas DataFrame. The module of its
        class is stored with it, so this module may import numpy, scikit-learn and Python's own library alone.
    columns : sequence of (str, {"number", "category"})
        What it reads, in order. Each may be missing, in a row or as a whole.
    example : mapping of str to list
        One to five rows of these columns.
    """

    name: str
    experiment: str
    run_name: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    tables: Mapping[str, Any]
    figures: Mapping[str, Figure]
    scorer: Any
    columns: Sequence[tuple[str, Literal["number", "category"]]]
    example: Mapping[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a registered model.

    Attributes
    ----------
    name : str
        Of the model.
    version : int
        Counts from 1.
    run_id : str
        The run that trained it.
    uri : str
        As MLflow's own functions take it: ``models:/<name>/<version>``.
    """

    name: str
    version: int
    run_id: str
    uri: str


class Registry:
    """Trained models of one MLflow; may be shared by threads, and is opened by its first call.

    Every method raises `Unreachable` where MLflow does not answer, and another `OcelakeError` where it refuses.

    Parameters
    ----------
    uri : str
        A server (``http://...``) or a database (``sqlite:///...``, ``postgresql://...``), for runs and for models.
    artifacts : str, optional
        Root of the files of new experiments: a folder or an address. Without it MLflow decides.
    """

    def __init__(self, uri: str, artifacts: str | None = None) -> None:
        self.uri = uri
        self.artifacts = Path(artifacts).resolve().as_uri() if artifacts and "://" not in artifacts else artifacts
        self._opening, self._loading = Lock(), Lock()
        self._opened: MlflowClient | None = None
        self._scorers: dict[Version, Any] = {}

    def record(self, training: Training) -> Version:
        """Store a training and its model as the new challenger.

        Where it fails, there is a run that is marked as failed, and no version.
        """
        with self._asking() as client:
            experiment = self._experiment(client, training.experiment)
            run_id = client.create_run(experiment, tags=dict(training.tags), run_name=training.run_name).info.run_id
            try:
                model_id = _log_run(client, experiment, run_id, training)
                version = _register(client, training, run_id, model_id)
            except BaseException:
                with suppress(Exception):  # the first failure says more
                    client.set_terminated(run_id, "FAILED")
                raise
            client.set_terminated(run_id, "FINISHED")
            client.set_registered_model_alias(training.name, "challenger", str(version.version))
        return version

    def champion(self, name: str) -> Version | None:
        """Give the version that scores, if there is one."""
        return self._aliased(name, "champion")

    def challenger(self, name: str) -> Version | None:
        """Give the newest version that was recorded and is not promoted, if there is one."""
        return self._aliased(name, "challenger")

    def version(self, name: str, number: int) -> Version:
        """Give a version by its number."""
        with self._asking() as client:
            return _version(client.get_model_version(name, str(number)))

    def promote(self, version: Version) -> Version | None:
        """Make a version the champion, and give the one that was it before.

        The version's tags ``promoted_at`` (UTC) and ``former_champion`` (its number, or nothing) tell of it. A
        challenger that is promoted is no challenger any more. What is champion already stays as it is.
        """
        former = self.champion(version.name)
        with self._asking() as client:
            if former != version:
                tags = {
                    "promoted_at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "former_champion": str(former.version) if former else "",
                }
                for key, value in tags.items():
                    client.set_model_version_tag(version.name, str(version.version), key, value)
                client.set_registered_model_alias(version.name, "champion", str(version.version))
            if self.challenger(version.name) == version:
                client.delete_registered_model_alias(version.name, "challenger")
        return former

    def retire(self, version: Version) -> None:
        """Let a champion be none any more; another one stays."""
        if self.champion(version.name) == version:
            with self._asking() as client:
                client.delete_registered_model_alias(version.name, "champion")

    def load(self, version: Version) -> Any:
        """Give the scorer of a version, as it was recorded; kept in memory, without MLflow's checks of the input.

        Its class is the one that it was recorded with, not that of the module of this name.
        """
        with self._loading:
            if version not in self._scorers:
                if len(self._scorers) == _KEPT_IN_MEMORY:
                    del self._scorers[next(iter(self._scorers))]
                self._scorers[version] = self._read(version)
            return self._scorers[version]

    def metrics(self, version: Version) -> dict[str, float]:
        """Give the metrics of the run that trained a version."""
        with self._asking() as client:
            return dict(client.get_run(version.run_id).data.metrics)

    def tags(self, version: Version) -> dict[str, str]:
        """Give the tags of a version: those that it was recorded with, and those of its promotion."""
        with self._asking() as client:
            return dict(client.get_model_version(version.name, str(version.version)).tags)

    def versions(self, name: str) -> list[Version]:
        """Give all versions of a model, the oldest first; none where there is no such model."""
        with self._asking() as client:
            found = _pages(lambda token: client.search_model_versions(f"name = '{name}'", page_token=token))
            return sorted(map(_version, found), key=lambda version: version.version)

    def names(self, prefix: str = "") -> list[str]:
        """Give the names of all registered models that begin so, sorted."""
        with self._asking() as client:
            found = _pages(lambda token: client.search_registered_models(f"name LIKE '{prefix}%'", page_token=token))
            # LIKE tells no capitals from small letters, and takes _ for any.
            return sorted(model.name for model in found if model.name.startswith(prefix))

    def _aliased(self, name: str, alias: str) -> Version | None:
        with self._asking() as client:
            found = client.search_registered_models(f"name = '{name}'")
            number = found[0].aliases.get(alias) if found else None
            return self.version(name, int(number)) if number else None

    def _read(self, version: Version) -> Any:
        with self._asking() as client, tempfile.TemporaryDirectory(prefix="ocelake-model-") as folder:
            import cloudpickle
            from mlflow.artifacts import download_artifacts

            # Not models:/<name>/<version>: MLflow looks this up in the registry that is the process's own.
            source = client.get_model_version_download_uri(version.name, str(version.version))
            path = download_artifacts(f"{source}/{_PICKLE}", dst_path=folder, tracking_uri=self.uri)
            with Path(path).open("rb") as file:
                return cloudpickle.load(file).scorer

    def _experiment(self, client: MlflowClient, name: str) -> str:
        """Give an experiment's id; it is created where there is none."""
        from mlflow.exceptions import MlflowException

        if (found := client.get_experiment_by_name(name)) is None:
            try:
                return client.create_experiment(name, artifact_location=self.artifacts, tags=_SHOWN_AS_MODELS)
            except MlflowException as error:  # another process was faster
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = client.get_experiment_by_name(name)
        assert found is not None
        return str(found.experiment_id)

    @contextmanager
    def _asking(self) -> Iterator[MlflowClient]:
        """Give the client; say what a failure within means."""
        _prepare()
        from mlflow.exceptions import MlflowException

        try:
            with self._opening:
                if self._opened is None:
                    self._opened = _connect(self.uri)
            yield self._opened
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise NotFound(self._told(error), where=self._place, fix="Look into MLflow's UI.") from error
            if error.error_code not in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"):
                raise OcelakeError(f"MLflow refuses: {self._told(error)}", where=self._place) from error
            raise self._unreachable(error) from error
        except (SQLAlchemyError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"The model registry did not do its part: {self._told(error)}",
            where=self._place,
            fix="Start MLflow, or correct OCELAKE_MLFLOW_URI; what is done here may be done again.",
        )

    def _told(self, error: Exception) -> str:
        line = next(iter(str(error).splitlines()), type(error).__name__)
        return f"{line.replace(self.uri, self._place).rstrip('.')}."

    @property
    def _place(self) -> str:
        """The address without its password."""
        try:
            return make_url(self.uri).render_as_string(hide_password=True)
        except ArgumentError:  # the name of a profile, such as databricks
            return self.uri


def _prepare() -> None:
    """Set how MLflow behaves before it is imported; what is set already stays."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def _is_server(uri: str) -> bool:
    """Whether an address is that of a server that MLflow runs in, and not of a database that it opens itself."""
    return uri.startswith(("http://", "https://", "databricks"))


def _connect(uri: str) -> MlflowClient:
    """Open a client. A database answers and has its tables when this ends."""
    from mlflow import MlflowClient

    if _is_server(uri):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    with _alone(uri), _quiet():
        engine = create_engine(uri)
        engine.connect().close()  # MLflow itself would try for minutes
        engine.dispose()
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_registered_models(
            max_results=1
        )  # models have a store of their own, opened when it is first asked
    return client


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Keep other processes from opening a SQLite database: two that open a new one would both create its tables."""
    if not uri.startswith("sqlite:"):
        yield
        return
    folder = Path(make_url(uri).database or "").resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".ocelake.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what MLflow and alembic tell of their progress, and advise, out of the logs."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    with _SAVING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _log_run(client: MlflowClient, experiment: str, run_id: str, training: Training) -> str:
    """Log all of a training, and its model; give the model's id."""
    from mlflow.entities import LoggedModelOutput, Metric, Param

    parameters = {key: str(value) for key, value in training.parameters.items()}
    model_id = client.create_logged_model(
        experiment,
        training.name.replace(".", "-"),  # a registered model may have dots in its name, a logged one not
        source_run_id=run_id,
        tags=dict(training.tags),
        params=parameters,
    ).model_id
    now = int(datetime.now(UTC).timestamp() * 1000)
    try:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        client.log_batch(
            run_id,
            metrics=[Metric(key, float(value), now, 0, model_id) for key, value in training.metrics.items()],
            params=[Param(key, value) for key, value in parameters.items()],
        )
        with tempfile.TemporaryDirectory(prefix="ocelake-model-") as folder:
            _save_reports(Path(folder, "run"), training)
            client.log_artifacts(run_id, str(Path(folder, "run")))
            _save_model(Path(folder, "model"), training, run_id, model_id)
            client.log_model_artifacts(model_id, str(Path(folder, "model")))
    except BaseException:
        with suppress(Exception):
            client.finalize_logged_model(model_id, "FAILED")
        raise
    client.finalize_logged_model(model_id, "READY")
    return model_id


def _save_reports(folder: Path, training: Training) -> None:
    (folder / "plots").mkdir(parents=True)
    for name, table in training.tables.items():
        (folder / f"{name}.json").write_text(json.dumps(table, indent=2, ensure_ascii=False), encoding="utf-8")
    for name, figure in training.figures.items():
        figure.savefig(folder / "plots" / f"{name}.png", format="png", bbox_inches="tight")


def _save_model(folder: Path, training: Training, run_id: str, model_id: str) -> None:
    """Save a model as MLflow has it, in a form that is loaded without this library."""
    import cloudpickle
    import pandas
    from mlflow import pyfunc
    from mlflow.models import Model

    example = pandas.DataFrame(
        {
            name: pandas.Series(training.example[name], dtype="float64" if kind == "number" else "object")
            for name, kind in training.columns
        }
    )
    model = _python_model(training.scorer, [name for name, _ in training.columns])
    module = sys.modules[type(training.scorer).__module__]
    with _quiet():
        by_value = module.__name__ not in {"__main__", *cloudpickle.list_registry_pickle_by_value()}
        if by_value:
            cloudpickle.register_pickle_by_value(module)
        try:
            pyfunc.save_model(
                str(folder),
                python_model=model,
                mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
                signature=_signature(training, model.predict(None, example)),
                input_example=example,
                pip_requirements=[f"{name}=={installed(name)}" for name in _REQUIREMENTS],
            )
        finally:
            if by_value:
                cloudpickle.unregister_pickle_by_value(module)


def _python_model(scorer: Any, columns: list[str]) -> PythonModel:
    """Wrap a scorer as MLflow calls it. The class is made here, so that it is stored with its code, not by its name."""
    import pandas
    from mlflow.pyfunc.model import PythonModel

    class Scored(PythonModel):  # type: ignore[misc,unused-ignore]  # its base may have no types
        def __init__(self) -> None:
            self.scorer, self.columns = scorer, columns

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads them at run time
            predicted = self.scorer.predict(model_input.reindex(columns=self.columns))
            return pandas.DataFrame(predicted, index=model_input.index)

        # MLflow asks for types, at saving and at loading; written in place they would be strings that it cannot read.
        predict.__annotations__.update({"model_input": pandas.DataFrame, "return": pandas.DataFrame})

    return Scored()


def _signature(training: Training, predicted: Any) -> ModelSignature:
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, DataType, Schema

    types = {"number": DataType.double, "category": DataType.string}
    inputs = Schema([ColSpec(types[kind], name, required=False) for name, kind in training.columns])
    return ModelSignature(inputs=inputs, outputs=infer_signature(predicted, predicted).outputs)


def _register(client: MlflowClient, training: Training, run_id: str, model_id: str) -> Version:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(training.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # Not models:/<id>: a database looks this up in the registry that is the process's own.
    source = client.get_logged_model(model_id).artifact_location
    return _version(
        client.create_model_version(training.name, source, run_id, tags=dict(training.tags), model_id=model_id)
    )


def _version(found: ModelVersion) -> Version:
    return Version(found.name, int(found.version), str(found.run_id), f"models:/{found.name}/{found.version}")


def _pages(search: Callable[[str | None], Any]) -> Iterator[Any]:
    """Give all that a search finds, one page after the other."""
    token: str | None = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return
