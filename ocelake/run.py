"""A run of the asset graph in this process: the one place of the library that knows Dagster, imported when needed.

The definitions lie in the checkout, beside the library; the instance is the one that the UI shows.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import uuid4

from ocelake import errors
from ocelake.errors import LogRefused, OcelakeError, SettingError
from ocelake.settings import home_path
from ocelake.tables import TABLES, Layer

__all__ = ["LiveReport", "Outcome", "logs_registered", "register_log", "run_graph", "run_job"]

if TYPE_CHECKING:
    from ocelake.lake import PublicationRecord

_LOG: Final = logging.getLogger(__name__)
_PARTITIONS = "log"

_REPORT_SECONDS: Final = (10.0, 120.0)
"""Between two reports, at first and in the long run: every one draws, and stays in Dagster's database."""

_ADVICE: Final[Mapping[Layer, str]] = {
    **dict.fromkeys(
        ("bronze", "silver", "gold"), "Correct the log or its settings (logs/<log>.yaml), then ingest it again."
    ),
    "analysis": "Correct the log or how it is mined (logs/<log>.mining.yaml), then materialize it again.",
    "model": "The model before it stays current, if there was one. Its settings are in logs/<log>.mining.yaml.",
    "policy": "Correct logs/<log>.rules.yaml or logs/<log>.cost.yaml, then materialize it again.",
    "kpis": "Correct logs/<log>.kpis.yaml, then materialize it again.",
    "features": "Correct logs/<log>.predict.yaml, then train again.",
    "models": "The champions stay, if there are any. What is predicted, logs/<log>.predict.yaml says.",
    "champions": "Correct logs/<log>.predict.yaml, then train again.",
    "outlook": "Correct logs/<log>.predict.yaml, then train again.",
    "predictions": "Correct logs/<log>.predict.yaml, then train again.",
    "monitoring": "Train again.",
    "prices": "Correct the feed or its settings (logs/<log>.yaml), then materialize it again.",
    "bars": "Correct logs/<log>.prices.yaml, then materialize it again.",
}
"""What to do where a layer's blocking check failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run.

    Attributes
    ----------
    problems : list of OcelakeError
        Why a layer was not published, and which files were refused.
    warnings : list of (str, str)
        Failed checks that do not block: name, and what was found.
    """

    problems: list[OcelakeError]
    warnings: list[tuple[str, str]]


def register_log(log_id: str) -> None:
    """Register a log as a partition."""
    _instance().add_dynamic_partitions(_PARTITIONS, [log_id])


def logs_registered() -> list[str]:
    """Give the logs that are registered as partitions, sorted."""
    return sorted(_instance().get_dynamic_partitions(_PARTITIONS))


def run_graph(log_id: str, files: list[str], told: Callable[[str, str], None]) -> Outcome:
    """Run the whole graph for one log, from landed files to gold.

    Parameters
    ----------
    log_id : str
        The log; registered if it is not.
    files : list of str
        Names in its landing folder.
    told : callable
        Called with a step's name and ``start``, ``done``, ``failed`` or ``skipped``.
    """
    return run_job("ingest_job", log_id, told, {"bronze": {"config": {"files": files}}})


def run_job(name: str, log_id: str, told: Callable[[str, str], None], ops: Mapping[str, Any] | None = None) -> Outcome:
    """Run a job for one log.

    Parameters
    ----------
    name : str
        Of the job, such as ``training_job``.
    log_id : str
        The log; registered if it is not.
    told : callable
        As in `run_graph`.
    ops : mapping of str to any, optional
        Configuration of its steps.
    """
    project = _project()
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    instance = _instance()
    instance.add_dynamic_partitions(_PARTITIONS, [log_id])
    from definitions import build_defs

    job, run_id = build_defs().resolve_job_def(name), str(uuid4())
    with _following(instance, run_id, told):
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            partition_key=log_id,
            run_config={
                "ops": dict(ops or {}),
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
    return _outcome(result)


class LiveReport:
    """Tells Dagster what is published outside of runs, every few seconds, in a thread of its own.

    Each table of a publication is a materialization of its asset, with what is known of it as metadata, and its
    picture. Where there were several publications of a layer meanwhile, the newest one is told. Used as a context.

    Parameters
    ----------
    log_id : str
        The log; registered as a partition.
    pictures : callable
        Gives the pictures of a publication, as Markdown, by table; called in the thread of the report.
    """

    def __init__(self, log_id: str, pictures: Callable[[PublicationRecord], Mapping[str, str]]) -> None:
        register_log(log_id)
        self._log_id, self._pictures, self._instance = log_id, pictures, _instance()
        self._waiting: dict[Layer, tuple[PublicationRecord, Mapping[str, Any]]] = {}
        self._lock, self._over = Lock(), Event()
        self._thread = Thread(target=self._follow, name=f"report-{log_id}", daemon=True)

    def published(self, record: PublicationRecord, metadata: Mapping[str, Any]) -> None:
        """Take note of a publication; it is told soon."""
        with self._lock:
            self._waiting[record.layer] = record, metadata

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        last, (seconds, most) = False, _REPORT_SECONDS
        while not last:
            last = self._over.wait(seconds)
            seconds = min(1.1 * seconds, most)
            with self._lock:
                waiting, self._waiting = self._waiting, {}
            try:
                for record, metadata in waiting.values():
                    self._tell(record, metadata)
                for record, _ in waiting.values():  # many, and each takes a moment
                    self._tell_checks(record)
            except Exception:  # noqa: BLE001  # the lake does not stand still where Dagster's database does
                _LOG.exception("The publications of %s are not shown in Dagster.", self._log_id)

    def _tell(self, record: PublicationRecord, metadata: Mapping[str, Any]) -> None:
        from dagster import AssetMaterialization, MetadataValue

        drawn = {name: {"picture": MetadataValue.md(text)} for name, text in self._pictures(record).items()}
        for identifier, rows in record.rows.items():
            self._instance.report_runless_asset_event(
                AssetMaterialization(
                    identifier.split("."),
                    partition=self._log_id,
                    metadata={
                        "publication_read": ", ".join(record.reads.values()),
                        "publication_written": record.publication_id,
                        "dagster/row_count": rows,
                        **metadata,
                        **drawn.get(identifier, {}),
                    },
                )
            )

    def _tell_checks(self, record: PublicationRecord) -> None:
        """Tell that a publication's blocking checks held: without news of them the layers after it would wait."""
        from dagster import AssetCheckEvaluation, AssetKey, AssetRecordsFilter, DagsterEvent, DagsterEventType
        from dagster._core.definitions.asset_checks.asset_check_evaluation import (
            AssetCheckEvaluationTargetMaterializationData,
        )

        from ocelake.lake.audits import BAR_CHECKS, GOLD_CHECKS, KPI_CHECKS, PRICE_CHECKS, SILVER_CHECKS

        checks = (*SILVER_CHECKS, *GOLD_CHECKS, *KPI_CHECKS, *PRICE_CHECKS, *BAR_CHECKS)
        blocking = [check for check in checks if check.severity == "error" and check.table in record.rows]
        newest_of = {
            table: self._instance.fetch_materializations(
                AssetRecordsFilter(AssetKey(table.split(".")), asset_partitions=[self._log_id]), limit=1
            ).records[0]
            for table in {check.table for check in blocking}
        }
        for check in blocking:
            newest = newest_of[check.table]
            held = AssetCheckEvaluation(
                AssetKey(check.table.split(".")),
                check.name,
                passed=True,
                description=f"It held, or {record.publication_id} would not have been published.",
                blocking=True,
                partition=self._log_id,
                # A check that does not name the newest materialization of its partition is taken for outdated.
                target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
                    storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp
                ),
            )
            # Not as of no run: of those Dagster keeps the first one of a partition, and refuses the next.
            self._instance.report_dagster_event(
                DagsterEvent(DagsterEventType.ASSET_CHECK_EVALUATION.value, "", event_specific_data=held),
                run_id=f"ocelake-stream-{self._log_id}",
            )


def _project() -> Path:
    """Give the folder with ``definitions.py``: ``OCELAKE_PROJECT``, else the checkout that this package lies in."""
    for folder in (os.environ.get("OCELAKE_PROJECT"), Path(__file__).parents[1], Path.cwd()):
        if folder and (Path(folder) / "definitions.py").exists() and (Path(folder) / "workspace.yaml").exists():
            return Path(folder).resolve()
    raise SettingError(
        "The folder with the project's definitions.py is not known.", fix="Set OCELAKE_PROJECT to the checkout."
    )


def _instance() -> Any:
    """Open the Dagster instance of this home: ``DAGSTER_HOME``, else ``dagster/`` under the home."""
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(home_path() / "dagster")))
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        partial = home / f".dagster.yaml.{uuid4().hex}"
        partial.write_bytes((_project() / "dagster.yaml").read_bytes())
        partial.rename(home / "dagster.yaml")
    from dagster import DagsterInstance

    # Two processes that open a new instance at once would both create its databases, and break them.
    with (home / ".ocelake.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        instance = DagsterInstance.get()
        instance.get_dynamic_partitions(_PARTITIONS)  # they are created when they are first asked
        return instance


@contextmanager
def _following(instance: Any, run_id: str, told: Callable[[str, str], None]) -> Iterator[None]:
    """Tell each step's start and end while a run goes on in this process."""
    from dagster import DagsterEventType

    states = {
        DagsterEventType.STEP_START: "start",
        DagsterEventType.STEP_SUCCESS: "done",
        DagsterEventType.STEP_FAILURE: "failed",
        DagsterEventType.STEP_SKIPPED: "skipped",
    }
    over = Event()

    def follow() -> None:
        seen = 0
        while True:
            last = over.wait(0.1)
            entries = instance.all_logs(run_id, of_type=set(states))
            for entry in entries[seen:]:
                told(entry.dagster_event.step_key, states[entry.dagster_event.event_type])
            seen = len(entries)
            if last:
                return

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _outcome(result: Any) -> Outcome:
    """Read a run's checks, and where they do not say it, its failures."""
    problems: list[OcelakeError] = []
    warnings: list[tuple[str, str]] = []
    for check in result.get_asset_check_evaluations():
        place = f"{'.'.join(check.asset_key.path)}, check {check.check_name}"
        if check.passed:
            continue
        if check.check_name == "files_readable":
            problems += [LogRefused(str(reason.value), where=name) for name, reason in check.metadata.items()]
        elif check.blocking:
            layer = TABLES[".".join(check.asset_key.path)].layer
            stopped = "the layers after it were" if layer == "models" else "its layer was"  # a training is kept
            what = f"A blocking check failed, so {stopped} not published: {str(check.description).rstrip('.')}."
            advice = _ADVICE[layer]
            problems.append(OcelakeError(what, where=place, fix=advice))
        else:
            warnings.append((check.check_name, str(check.description)))
    failures = [event for event in result.all_events if event.is_step_failure]
    if failures and not problems:
        problems = [_failure(failures[0], result.run_id)]
    return Outcome(problems, warnings)


def _failure(event: Any, run_id: str) -> OcelakeError:
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        text = data.user_failure_data.description
    else:
        chain = [data.error]
        while chain[-1].cause:
            chain.append(chain[-1].cause)
        told = [error for error in chain if error.cls_name in errors.__all__]  # else the first cause says most
        text = (told or chain)[-1].message.strip()
    return OcelakeError(text, where=f"run {run_id}, step {event.step_key}", fix="The Dagster UI shows the whole run.")
