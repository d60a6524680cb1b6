"""Predictions of a log: train and judge models, promote the best, and score what is running.

The lake holds features, labels, metrics and predictions; the registry holds the models. Features are a layer like any
other (`ocelake.lake.features`); what is here needs both. A model that is not better than its baseline is recorded all
the same, and never predicts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl

from ocelake.errors import NotFound
from ocelake.features import END, SHARED, PredictionSettings, flowing_types
from ocelake.lake.build import latest_or_fail, published_tables
from ocelake.lake.features import Prediction, TrainingSet, feature_frame, training_sets
from ocelake.mining.queues import bottleneck_forecast
from ocelake.mining.rates import demand_forecast, unusual_hours
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
from ocelake.models.anomalies import unusual_executions
from ocelake.registry import Registry, Training, Version
from ocelake.tables import READS, as_table

if TYPE_CHECKING:
    from ocelake.lake import Lake, PublicationRecord
    from ocelake.lake.build import Sources
    from ocelake.tables import Layer

__all__ = [
    "Scored",
    "model_name",
    "newest_sources",
    "predict_object",
    "prediction_tables",
    "promote",
    "train_log",
]

_REASONS: Final = 3
_TRUE: Final = 0.5
_DAY: Final = 86_400.0

Tables = dict[str, pl.DataFrame]


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


def train_log(lake: Lake, registry: Registry, features: PublicationRecord) -> Tables:
    """Train a model for every task of a log, judge it, record it; give the tables of the layer ``models``.

    Parameters
    ----------
    lake : Lake
    registry : Registry
        Each model becomes the challenger of its name there.
    features : PublicationRecord
        The features to train on.
    """
    settings = Prediction.model_validate(features.settings).predict
    tasks: list[dict[str, Any]] = []
    metrics: list[pl.DataFrame] = []
    for part in training_sets(lake, features):
        task = Task(part.task, part.kind, part.object_type)
        found = train_model(
            task,
            part.rows,
            part.values,
            optional=SHARED,
            seed=settings.seed,
            settings=TrainingSettings(test_share=settings.test_share, max_rows=settings.max_rows),
        )
        if isinstance(found, Untrainable):
            tasks.append(_row(part, trained=False, reason=found.reason))
            continue
        name = model_name(features.log_id, part.object_type, part.task)
        champion = registry.champion(name)
        against = _against(registry, champion, found, part) if champion else None
        version = registry.record(_training(name, features, part, found, settings))
        tasks.append(_trained(part, found, version, against))
        metrics.append(_metrics(found, part))
    return {
        "models.tasks": as_table("models.tasks", _frame("models.tasks", tasks)),
        "models.metrics": as_table("models.metrics", pl.concat(metrics) if metrics else None),
    }


def _frame(identifier: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    empty = as_table(identifier)
    return pl.DataFrame([{name: row.get(name) for name in empty.columns} for row in rows], schema=empty.schema)


def _row(part: TrainingSet, **values: Any) -> dict[str, Any]:
    return {"task": part.task, "object_type": part.object_type, **values}


def _trained(part: TrainingSet, found: Trained, version: Version, against: float | None) -> dict[str, Any]:
    metric = PRIMARY[part.kind]
    judged = found.metrics.filter(pl.col("metric") == metric)
    difference = judged.filter(pl.col("model") == "difference").row(0, named=True)
    model = judged.filter(pl.col("model") == MODEL)["value"].item()
    no_worse = against is None or gain(part.kind, against) >= 0
    return _row(
        part,
        trained=True,
        model_name=version.name,
        model_version=version.version,
        run_id=version.run_id,
        split_at=found.split.instant,
        train_rows=found.split.train_rows,
        test_rows=found.split.test_rows,
        metric=metric,
        model=model,
        baseline=model - difference["value"],
        difference=difference["value"],
        difference_low=difference["low"],
        difference_high=difference["high"],
        better=found.better,
        against_champion=against,
        promotable=found.better and no_worse,
        seconds=found.seconds,
    )


def _metrics(found: Trained, part: TrainingSet) -> pl.DataFrame:
    return found.metrics.select(
        "task",
        pl.lit(part.object_type).alias("object_type"),
        "model",
        "metric",
        "unit",
        "value",
        "low",
        "high",
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
    name: str, features: PublicationRecord, part: TrainingSet, found: Trained, settings: PredictionSettings
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


@dataclass(frozen=True, slots=True)
class Scored:
    """The tables of the layer ``predictions``, and how many predictions were computed anew."""

    tables: Tables
    computed: int


def prediction_tables(
    lake: Lake, registry: Registry, features: PublicationRecord, champions: PublicationRecord
) -> Scored:
    """Score what is running, and look ahead; what was scored before, by the same model on the same values, is kept.

    Parameters
    ----------
    features, champions : PublicationRecord
        What is known of the prefixes, and which models predict.
    """
    log_id, read = features.log_id, Prediction.model_validate(features.settings)
    settings = read.predict
    models = published_tables(lake, champions)["models.champions"]
    latest = lake.latest(log_id, "predictions")
    before = lake.read("gold.predictions", log_id, as_of=latest.publication_id) if latest else None
    predictions: list[pl.DataFrame] = []
    computed, begun, final = 0, [], []
    for object_type, last, values, running in _running(lake, features):
        begun.append(last.select("object_type", "object_id", "time", elapsed=values["elapsed"].cast(pl.Float64)))
        final.append((last, values))
        mine = models.filter(pl.col("object_type") == object_type)
        for task, name, number in mine.select("task", "model_name", "model_version").iter_rows():
            version = registry.version(name, number)
            made, fresh = _score(registry, version, task, last.filter(running), values.filter(running), before)
            predictions.append(made)
            computed += fresh
    whole = as_table("gold.predictions", pl.concat(predictions) if predictions else None)
    silver = lake.moment(features.reads["silver"])
    events = lake.read("ocel.events", log_id, as_of=silver, columns=["activity", "time"])
    traces = lake.traces(log_id, silver)
    flowing = flowing_types(traces, read.mining.execution_types)
    tables = {
        "gold.predictions": whole,
        "gold.early_warnings": as_table("gold.early_warnings", _warnings(whole, begun, settings)),
        "gold.demand_forecast": as_table("gold.demand_forecast", demand_forecast(events)),
        "gold.bottleneck_forecast": bottleneck_forecast(traces, flowing),
        "gold.anomalies": as_table("gold.anomalies", _anomalies(final, events, settings.seed)),
    }
    return Scored(tables, computed)


def _running(lake: Lake, features: PublicationRecord) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame, pl.Series]]:
    """Give each object type, its objects' last prefixes, their features, and which of the objects are not over."""
    log_id, moment = features.log_id, lake.moment(features.publication_id)
    columns = lake.read("features.columns", log_id, as_of=moment)
    prefixes = lake.scan("features.prefixes", log_id, as_of=moment)
    newest = prefixes.filter(pl.col("position") == pl.col("position").max().over("object_type", "object_id")).collect()
    ended = lake.scan("features.labels", log_id, as_of=moment).filter(
        (pl.col("task") == "next_activity") & (pl.col("label") == END)
    )
    over = ended.select("object_type", "object_id", over=pl.lit(True)).collect()
    for (object_type,), of_type in columns.partition_by("object_type", as_dict=True, maintain_order=True).items():
        last = newest.filter(pl.col("object_type") == object_type).sort("object_id")
        known = last.join(over, on=["object_type", "object_id"], how="left", maintain_order="left")["over"]
        yield str(object_type), last, feature_frame(of_type, last), known.is_null()


def _score(
    registry: Registry,
    version: Version,
    task: str,
    last: pl.DataFrame,
    values: pl.DataFrame,
    before: pl.DataFrame | None,
) -> tuple[pl.DataFrame, int]:
    """Predict for last prefixes, but for those that this model has seen just so; give how many were predicted."""
    scorer = registry.load(version)
    read = values.select(scorer.columns)
    keys = last.select("object_type", "object_id", "event_id", "position", "time").with_columns(
        task=pl.lit(task),
        model_name=pl.lit(version.name),
        model_version=pl.lit(version.version, pl.Int64),
        features_hash=read.hash_rows().cast(pl.String),
    )
    same = [name for name in keys.columns if name != "time"]
    columns = as_table("gold.predictions").columns
    known = as_table("gold.predictions") if before is None else before.select(columns)
    seen = known.select(*same, seen=pl.lit(True))
    fresh = keys.join(seen, on=same, how="left", maintain_order="left")["seen"].is_null()
    asked, rows = keys.filter(fresh), read.filter(fresh)
    made = asked.with_columns(*_predicted(scorer, rows)).select(columns)
    kept = known.join(keys, on=same, how="semi")
    return pl.concat([made, kept], how="vertical_relaxed"), asked.height


def _predicted(scorer: Any, values: pl.DataFrame) -> list[pl.Series]:
    """Give the columns of predictions."""
    none = pl.Series([None] * values.height, dtype=pl.Float64)
    if values.is_empty():
        texts = pl.Series([], dtype=pl.String)
        floats = [none.alias(name) for name in ("prediction_float", "low", "high", "probability")]
        return [texts.alias("prediction"), *floats, pl.Series("reasons", [], dtype=pl.List(pl.String))]
    columns = {name: values[name].to_numpy() for name in values.columns}
    found = scorer.predict(columns)
    duration = "low" in found
    answer = pl.Series(found["prediction"])
    truth = answer.dtype == pl.Boolean
    names, effects = scorer.reasons(columns, _REASONS)
    reasons = [
        [f"{name} ({_told(effect, duration=duration)})" for name, effect in zip(named, moved, strict=True)]
        for named, moved in zip(names, effects, strict=True)
    ]
    return [
        (pl.Series([None] * values.height, dtype=pl.String) if duration else answer.cast(pl.String)).alias(
            "prediction"
        ),
        (answer.cast(pl.Float64) if duration else answer.cast(pl.Float64) if truth else none).alias("prediction_float"),
        (pl.Series(found["low"]) if duration else none).alias("low"),
        (pl.Series(found["high"]) if duration else none).alias("high"),
        (none if duration else pl.Series(found["probability"]).cast(pl.Float64)).alias("probability"),
        pl.Series("reasons", reasons, dtype=pl.List(pl.String)),
    ]


def _told(effect: float, *, duration: bool) -> str:
    """Say by how much a feature moved a prediction.

    Examples
    --------
    >>> _told(-43_200.0, duration=True), _told(0.25, duration=False)
    ('-0.5 days', '+25%')
    """
    return f"{effect / _DAY:+.2g} days" if duration else f"{effect:+.0%}"


def _warnings(predictions: pl.DataFrame, begun: list[pl.DataFrame], settings: PredictionSettings) -> pl.DataFrame:
    """Tell which running objects are likely to be late, or to end as they should not."""
    unwanted = {"delay": "It is likely to take longer than it may."}
    unwanted |= {
        f"outcome_{outcome.name}": f"It is likely that: {outcome.name}."
        for outcome in settings.outcomes
        if outcome.warn or outcome.rule
    }
    micro = pl.duration(microseconds=1)
    started = pl.concat(begun) if begun else None
    if started is None:
        return as_table("gold.early_warnings")
    first = started.select(
        "object_type", "object_id", began=pl.col("time") - (pl.col("elapsed") * 1e6).round().cast(pl.Int64) * micro
    )
    allowed = {kind: target.total_seconds() for kind in settings.targets if (target := settings.target(kind))}
    due = (
        pl.col("began")
        + (pl.col("object_type").replace_strict(allowed, default=None, return_dtype=pl.Float64) * 1e6).cast(pl.Int64)
        * micro
    )
    known = predictions.join(first, on=["object_type", "object_id"]).with_columns(due=due.dt.round("1s"))
    remaining = known.filter(pl.col("task") == "remaining_time").select(
        "object_type",
        "object_id",
        expected=pl.col("time") + (pl.col("prediction_float") * 1e6).cast(pl.Int64) * micro,
    )
    known = known.join(remaining, on=["object_type", "object_id"], how="left")
    late = known.filter((pl.col("task") == "remaining_time") & (pl.col("expected") > pl.col("due"))).with_columns(
        warning=pl.when(pl.col("time") > pl.col("due"))
        .then(pl.lit("It has taken longer than it may."))
        .otherwise(pl.lit("It is expected to be over later than it may."))
    )
    likely = known.filter(pl.col("task").is_in(list(unwanted)) & (pl.col("probability") >= _TRUE)).with_columns(
        warning=pl.col("task").replace_strict(unwanted, default=None, return_dtype=pl.String)
    )
    return pl.concat([late, likely]).select(as_table("gold.early_warnings").columns)


def _anomalies(final: Iterable[tuple[pl.DataFrame, pl.DataFrame]], events: pl.DataFrame, seed: int) -> pl.DataFrame:
    found = [
        hours.select(
            pl.lit("event_rate").alias("kind"),
            pl.col("activity").alias("subject"),
            pl.col("hour").alias("time"),
            "score",
            detail=pl.format(
                "{} events, {} are usual in this hour of the week.", "events", pl.col("expected").round(1)
            ),
        )
        for hours in [unusual_hours(events)]
    ]
    for last, values in final:
        unusual = unusual_executions(values, seed=seed)
        rows = last.with_columns(unusual).filter(pl.col("unusual"))
        found.append(
            rows.select(
                pl.lit("execution").alias("kind"),
                pl.col("object_id").alias("subject"),
                "time",
                "score",
                "detail",
            )
        )
    return pl.concat(found).unique(["kind", "subject", "time"], keep="first", maintain_order=True)


def newest_sources(lake: Lake, log_id: str, layer: Layer) -> Sources:
    """Give the publications that a layer of predictions is computed from: the newest of each, as champions stay."""
    return {name: latest_or_fail(lake, log_id, name) for name in READS[layer]}


def predict_object(lake: Lake, registry: Registry, log_id: str, object_id: str) -> pl.DataFrame:
    """Score one object as of its last event, running or not, by the champions of its type.

    Raises
    ------
    NotFound
        Where the log has no champions, or no features of such an object.
    """
    read = newest_sources(lake, log_id, "predictions")
    features, champions = read["features"], read["champions"]
    models = published_tables(lake, champions)["models.champions"]
    if models.is_empty():
        raise NotFound(f"No model predicts for the log {log_id!r}.", fix=f"See why: ocelake train {log_id}")
    for object_type, last, values, _ in _running(lake, features):
        here = last["object_id"] == object_id
        if here.any():
            mine = models.filter(pl.col("object_type") == object_type)
            made = [
                _score(
                    registry,
                    registry.version(name, number),
                    task,
                    last.filter(here),
                    values.filter(here),
                    None,
                )[0]
                for task, name, number in mine.select("task", "model_name", "model_version").iter_rows()
            ]
            return pl.concat(made) if made else as_table("gold.predictions")
    raise NotFound(
        f"The log {log_id!r} has no object {object_id!r} of a type that is predicted for.",
        fix='The objects are: ocelake sql "select distinct object_type, object_id from features.prefixes"',
    )
