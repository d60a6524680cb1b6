"""Training the models of a log, judging them, and promoting the best.

The lake holds features, labels and metrics; the registry holds the models. Features are a layer like any other
(`ocelake.lake.features`); what is here needs both. A model that is not better than its baseline is recorded all the
same, and never predicts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from ocelake.errors import SettingError
from ocelake.features import ANY_END, SHARED, PredictionSettings, tasks_of
from ocelake.lake.features import Prediction, TrainingSet, training_sets
from ocelake.models import (
    MODEL,
    PRIMARY,
    Task,
    Trained,
    TrainingSettings,
    Untrainable,
    gain,
    judge_pair,
    plot_training,
    train_model,
)
from ocelake.registry import Registry, Training, Version
from ocelake.tables import as_table

if TYPE_CHECKING:
    from ocelake.lake import Lake, PublicationRecord

__all__ = ["model_name", "promote", "task_definition", "train_log"]


def model_name(log_id: str, object_type: str, task: str) -> str:
    """Give the name of a model in the registry, which takes letters, digits and a few signs.

    Examples
    --------
    >>> model_name("shop", "orders", "next_activity")
    'shop.orders.next_activity'
    >>> model_name("shop", "a/b", "delay")
    'shop.a_b-c14c.delay'
    """
    plain = re.sub(r"[^A-Za-z0-9_ -]", "_", object_type)
    if plain != object_type:  # two types must not share a model
        plain += "-" + hashlib.sha256(object_type.encode()).hexdigest()[:4]
    return f"{log_id}.{plain}.{task}"


def train_log(lake: Lake, registry: Registry, features: PublicationRecord) -> dict[str, pl.DataFrame]:
    """Train a model for every task of a log, judge it, record it; give the tables of the layer ``models``.

    Parameters
    ----------
    lake : Lake
    registry : Registry
        Each model becomes the challenger of its name there.
    features : PublicationRecord
        The features to train on.

    Raises
    ------
    SettingError
        Where a sequence model is asked for that is not installed; nothing is trained then.
    """
    asked = Prediction.model_validate(features.settings)
    settings = asked.predict
    if settings.sequence and find_spec("autograd") is None:
        raise SettingError(
            "A sequence model is asked for, and what it takes is not installed.",
            where=str(lake.settings.home / "logs" / f"{features.log_id}.predict.yaml"),
            fix='Install it: pip install "ocelake[sequence]"; or remove the setting `sequence`.',
        )
    moment = lake.moment(features.publication_id)
    object_types, activities = (
        lake.read(f"ocel.{kind}_types", features.log_id, as_of=moment)[name].to_list()
        for kind, name in (("object", "object_type"), ("event", "activity"))
    )
    about = lake.read("features.columns", features.log_id, as_of=moment)["object_type"].unique().to_list()
    problems = _problems(settings, object_types, activities, about)
    tasks = [
        {"task": task, "object_type": kind, "trained": False, "reason": said}
        for (kind, task), said in sorted(problems.items())
        if kind not in about
    ]
    metrics: list[pl.DataFrame] = []
    for part in training_sets(lake, features):
        task = Task(part.task, part.kind, part.object_type)
        found = train_model(
            task,
            part.rows,
            part.values,
            optional=SHARED,
            seed=settings.seed,
            settings=TrainingSettings(
                test_share=settings.test_share, max_rows=settings.max_rows, sequence=settings.sequence
            ),
        )
        if isinstance(found, Untrainable):
            said = problems.get((part.object_type, part.task))
            tasks.append(_row(part, trained=False, reason=f"{said} {found.reason}" if said else found.reason))
            continue
        name = model_name(features.log_id, part.object_type, part.task)
        definition = task_definition(asked, part.object_type, part.task)
        champion = registry.champion(name)
        if champion and registry.tags(champion).get("definition") != definition:
            champion = None  # it answers another question
        against = _against(registry, champion, found, part) if champion else None
        version = registry.record(_training(name, features, part, found, settings, definition))
        tasks.append(_trained(part, found, version, definition, against))
        metrics.append(_metrics(found, part))
    return {
        "models.tasks": as_table("models.tasks", _frame("models.tasks", tasks)),
        "models.metrics": as_table("models.metrics", pl.concat(metrics) if metrics else None),
    }


def task_definition(settings: Prediction, object_type: str, task: str) -> str:
    """Give a digest of what a task asks: a model that was trained for another question under its name is no champion.

    Examples
    --------
    >>> settings = [Prediction(predict=PredictionSettings(targets={"orders": target})) for target in ("5d", "3d", "3d")]
    >>> asked = [task_definition(one, "orders", "delay") for one in settings]
    >>> asked[0] == asked[1], asked[1] == asked[2]
    (False, True)
    """
    said: dict[str, Any] = {"ends": settings.predict.ends.get(object_type)}
    if task == "delay":
        said["target"] = settings.predict.targets.get(object_type)
    for outcome in settings.predict.outcomes:
        if outcome.object_type == object_type and task == f"outcome_{outcome.name}":
            said["outcome"] = outcome.model_dump(mode="json", exclude={"warn", "warn_at"})
            said["rule"] = [rule.model_dump(mode="json") for rule in settings.rules.rules if rule.name == outcome.rule]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _problems(
    settings: PredictionSettings, object_types: Collection[str], activities: Collection[str], about: Collection[str]
) -> dict[tuple[str, str], str]:
    """Say what the settings name and the log does not have, by object type and task."""

    def of_type(kind: str) -> str | None:
        if kind not in object_types:
            return f"The log has no objects of the type {kind!r}."
        return None if kind in about else f"No predictions are about {kind!r}: add it to object_types."

    found: dict[tuple[str, str], str] = {}
    for kind in settings.object_types:
        if said := of_type(kind):
            found |= {(kind, task): said for task, _ in tasks_of(kind, settings)}
    for kind in settings.targets:
        if said := of_type(kind):
            found[kind, "delay"] = said
    for outcome in settings.outcomes:
        said = of_type(outcome.object_type)
        if said is None and outcome.activity is not None and outcome.activity not in activities:
            said = f"The log has no activity {outcome.activity!r}."
        if said:
            found[outcome.object_type, f"outcome_{outcome.name}"] = said
    for kind, ends in settings.ends.items():
        if missing := sorted(set(ends) - {ANY_END, *activities}):
            said = f"The log has no activity {missing[0]!r}, which is said to end {kind}."
            found |= {(kind, task): said for task, _ in tasks_of(kind, settings) if (kind, task) not in found}
    return found


def _frame(identifier: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    empty = as_table(identifier)
    return pl.DataFrame([{name: row.get(name) for name in empty.columns} for row in rows], schema=empty.schema)


def _row(part: TrainingSet, **values: Any) -> dict[str, Any]:
    return {"task": part.task, "object_type": part.object_type, **values}


def _trained(
    part: TrainingSet, found: Trained, version: Version, definition: str, against: float | None
) -> dict[str, Any]:
    metric = PRIMARY[part.kind]
    judged = found.metrics.filter(pl.col("metric") == metric)
    difference = judged.filter(pl.col("model") == "difference").row(0, named=True)
    model = judged.filter(pl.col("model") == MODEL)["value"].item()
    better_than_champion = against is None or gain(part.kind, against) > 0
    return _row(
        part,
        trained=True,
        model_name=version.name,
        model_version=version.version,
        run_id=version.run_id,
        definition=definition,
        split_at=found.split.instant,
        train_rows=found.split.train_rows,
        test_rows=found.split.test_rows,
        metric=metric,
        model=model,
        baseline=model - difference["value"],
        difference=difference["value"],
        difference_low=_known(difference["low"]),
        difference_high=_known(difference["high"]),
        better=found.better,
        against_champion=against,
        promotable=found.better and better_than_champion,
        seconds=found.seconds,
    )


def _known(number: float) -> float | None:
    """Give an end of an interval; None where there is none."""
    return None if number != number else number


def _metrics(found: Trained, part: TrainingSet) -> pl.DataFrame:
    return found.metrics.select(
        "task",
        pl.lit(part.object_type).alias("object_type"),
        "model",
        "metric",
        "unit",
        "value",
        pl.col("low", "high").fill_nan(None),
        "rows",
        pl.col("groups").alias("executions"),
    )


def _against(registry: Registry, champion: Version, found: Trained, part: TrainingSet) -> float | None:
    """Judge a new model against the champion on the same prefixes; None where that one reads other features."""
    old = registry.load(champion)
    if not set(old.columns) <= set(part.values.columns):
        return None
    test = pl.Series(found.split.test)
    difference, _, _ = judge_pair(found.scorer, old, found.task, part.rows.filter(test), part.values.filter(test))
    return difference


def _training(
    name: str,
    features: PublicationRecord,
    part: TrainingSet,
    found: Trained,
    settings: PredictionSettings,
    definition: str,
) -> Training:
    kinds: dict[bool, Literal["number", "category"]] = {True: "category", False: "number"}
    read = [(column, kinds[part.values.schema[column] == pl.String]) for column in found.columns]
    example = part.values.select(column for column, _ in read).head(3)
    judged = found.metrics.drop_nulls("value").select("model", "metric", "value").iter_rows()
    return Training(
        name=name,
        experiment=f"ocelake {features.log_id}",
        run_name=f"{part.object_type} {part.task}",
        parameters={**found.parameters, "seed": settings.seed, "split_at": found.split.instant.isoformat()},
        metrics={_metric_name(metric, model): value for model, metric, value in judged},
        tags={
            "log": features.log_id,
            "object_type": part.object_type,
            "task": part.task,
            "seen_until": str(part.rows["time"].max()),
            "metric": PRIMARY[part.kind],
            "definition": definition,
            "features": features.publication_id,
            **{f"snapshot.{table}": str(snapshot) for table, snapshot in features.snapshots.items()},
            **features.reads,
        },
        tables={
            "features": [{"name": column, "kind": kind} for column, kind in read],
            "metrics": found.metrics.to_dicts(),
            "by_length": found.by_length.to_dicts(),
            "importance": found.importance.to_dicts(),
            "settings": features.settings,
        },
        figures=plot_training(found),
        scorer=found.scorer,
        columns=read,
        example=example.to_dict(as_series=False),
    )


def _metric_name(metric: str, model: str) -> str:
    return f"{metric}.{model}".replace(" ", "_")


def promote(registry: Registry, tasks: pl.DataFrame) -> pl.DataFrame:
    """Make challengers that may be the champions of their tasks; give `models.champions`.

    Parameters
    ----------
    registry : Registry
    tasks : DataFrame
        `models.tasks` of a log.
    """
    rows: list[dict[str, Any]] = []
    for row in tasks.filter(pl.col("trained")).iter_rows(named=True):
        name, number = row["model_name"], row["model_version"]
        champion = registry.champion(name)
        # What was trained before the champion is no challenger: this asset may be built again at any time.
        promoted = row["promotable"] and (champion is None or number > champion.version)
        if promoted:
            champion = registry.version(name, number)
            registry.promote(champion)
        elif champion is not None and registry.tags(champion).get("definition") != row["definition"]:
            registry.retire(champion)  # it answers another question than what is asked now
            champion = None
        if champion is not None:
            tags = registry.tags(champion)
            rows.append(
                {
                    "task": row["task"],
                    "object_type": row["object_type"],
                    "model_name": name,
                    "model_version": champion.version,
                    "seen_until": datetime.fromisoformat(tags["seen_until"]),
                    "metric": tags["metric"],
                    "value": registry.metrics(champion)[_metric_name(tags["metric"], MODEL)],
                    "promoted": promoted,
                }
            )
    return as_table("models.champions", _frame("models.champions", rows))
