"""What the champions of a log say of what is running, and what is to be warned of.

A prediction is as of an object's last event. What is known by now is a fact and not predicted: an outcome that has come
to be true, a due time that has passed. And what has not happened since that event counts where it is warned: an object
that is probably over needs nobody's attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ocelake.errors import NotFound
from ocelake.features import END, PredictionSettings, is_duration
from ocelake.lake.build import latest_or_fail, published_tables
from ocelake.lake.features import LastPrefixes, Prediction, last_prefixes
from ocelake.mining.times import spoken
from ocelake.models import one_thread
from ocelake.registry import Registry, Version
from ocelake.tables import READS, as_table

if TYPE_CHECKING:
    from ocelake.lake import Lake, PublicationRecord
    from ocelake.lake.build import Sources
    from ocelake.tables import Layer

__all__ = ["Scored", "newest_sources", "predict_object", "prediction_tables", "score"]

_REASONS: Final = 3
_LIKELY: Final = 0.5
_DAY: Final = 86_400.0
_LEAST: Final = {True: 3_600.0, False: 0.01}
"""What moved a duration by less than an hour, or a probability by less than 1%, is no reason."""

_UNTOLD: Final = ("neighbourhood",)
"""A digest of the past says nothing to a person."""

_MICRO: Final = pl.duration(microseconds=1)


@dataclass(frozen=True, slots=True)
class Scored:
    """The tables of the layer ``predictions``, and how many predictions were computed anew."""

    tables: dict[str, pl.DataFrame]
    computed: int


def prediction_tables(
    lake: Lake, registry: Registry, features: PublicationRecord, champions: PublicationRecord
) -> Scored:
    """Score what is running, and warn; what was scored before, by the same model on the same values, is kept.

    Parameters
    ----------
    features, champions : PublicationRecord
        What is known of the prefixes, and which models predict.
    """
    log_id, settings = features.log_id, Prediction.model_validate(features.settings).predict
    models = published_tables(lake, champions)["models.champions"]
    latest = lake.latest(log_id, "predictions")
    before = lake.read("gold.predictions", log_id, as_of=latest.publication_id) if latest else None
    now = _newest_event(lake, features)
    predictions, warnings, computed = [as_table("gold.predictions")], [as_table("gold.early_warnings")], 0
    for part in last_prefixes(lake, features):
        versions = _versions(registry, models, part.object_type)
        made: list[pl.DataFrame] = []
        for task, version in versions.items():
            found, fresh = score(registry, version, task, part, _asked(part, task), before)
            made.append(found)
            computed += fresh
        said = as_table("gold.predictions", pl.concat(made).with_columns(silence=_silence(now)) if made else None)
        predictions.append(said)
        warnings.append(_warnings(registry, versions, part, said, settings, now))
    tables = {"gold.predictions": predictions, "gold.early_warnings": warnings}
    return Scored({name: as_table(name, pl.concat(frames)) for name, frames in tables.items()}, computed)


def _newest_event(lake: Lake, features: PublicationRecord) -> datetime:
    silver = lake.moment(features.reads["silver"])
    events = lake.scan("ocel.events", features.log_id, as_of=silver, columns=["time"])
    newest: datetime | None = events.select(pl.col("time").max()).collect().item()
    return newest or datetime.min.replace(tzinfo=UTC)


def _silence(now: datetime) -> pl.Expr:
    return (pl.lit(now) - pl.col("time")).dt.total_microseconds() / 1e6


def _versions(registry: Registry, models: pl.DataFrame, object_type: str) -> dict[str, Version]:
    mine = models.filter(pl.col("object_type") == object_type).sort("task")
    named = mine.select("task", "model_name", "model_version").iter_rows()
    return {task: registry.version(name, number) for task, name, number in named}


def _asked(part: LastPrefixes, task: str) -> pl.Series:
    """Say of which objects something is predicted: of those that run, what is no fact yet."""
    known = part.facts.filter(pl.col("task") == task)["object_id"]
    return part.running & ~part.keys["object_id"].is_in(known.implode())


def score(
    registry: Registry, version: Version, task: str, part: LastPrefixes, asked: pl.Series, before: pl.DataFrame | None
) -> tuple[pl.DataFrame, int]:
    """Predict for last prefixes, but for those that this model has seen just so.

    Parameters
    ----------
    asked : Series of bool
        Which of the prefixes.
    before : DataFrame, optional
        Rows of `gold.predictions` that were made before.

    Returns
    -------
    tuple
        Rows of `gold.predictions`, without the silence, and how many of them were predicted now.
    """
    scorer = registry.load(version)
    read = part.values.filter(asked).select(scorer.columns)
    keys = part.keys.filter(asked).with_columns(
        task=pl.lit(task),
        model_name=pl.lit(version.name),
        model_version=pl.lit(version.version, pl.Int64),
        features_hash=pl.format("{}-{}", read.hash_rows(), pl.lit(version.run_id[:8])),
    )
    same = [name for name in keys.columns if name != "time"]
    columns = [name for name in as_table("gold.predictions").columns if name != "silence"]
    known = as_table("gold.predictions", before).select(columns)
    seen = known.select(*same, seen=pl.lit(True))
    fresh = keys.join(seen, on=same, how="left", maintain_order="left")["seen"].is_null()
    made = keys.filter(fresh).with_columns(*_predicted(scorer, read.filter(fresh))).select(columns)
    kept = known.join(keys, on=same, how="semi")
    return pl.concat([made, kept], how="vertical_relaxed"), made.height


_NUMBERS: Final = ("prediction_float", "low", "high", "probability")


def _predicted(scorer: Any, values: pl.DataFrame) -> list[pl.Series]:
    """Give the columns of predictions."""
    none = pl.Series([None] * values.height, dtype=pl.Float64)
    text, numbers = none.cast(pl.String), dict.fromkeys(_NUMBERS, none)
    if values.height:
        with one_thread():
            found = {name: pl.Series(part) for name, part in scorer.predict(_arrays(values)).items()}
        answer = found.pop("prediction")
        numbers |= found
        if answer.dtype.is_numeric() or answer.dtype == pl.Boolean:
            numbers["prediction_float"] = answer.cast(pl.Float64)
        if not answer.dtype.is_numeric():
            text = answer.cast(pl.String)
    return [text.alias("prediction"), *(numbers[name].cast(pl.Float64).alias(name) for name in _NUMBERS)]


def _arrays(values: pl.DataFrame) -> dict[str, Any]:
    return {name: values[name].to_numpy() for name in values.columns}


def _reasons(scorer: Any, values: pl.DataFrame, *, towards: bool = False) -> pl.Series:
    """Give each row's features that moved its prediction most: their value, and their effect.

    Parameters
    ----------
    towards : bool
        Only those that made a duration longer, or an outcome more likely.
    """
    told: list[list[str]] = []
    if values.height:
        read = values.select(scorer.columns)
        with one_thread():
            names, effects = scorer.reasons(_arrays(read), len(scorer.important))
        duration = scorer.kind == "duration"
        for row, (named, moved) in enumerate(zip(names, effects, strict=True)):
            counted = [
                f"{name} {_value(read[row, name], seconds=is_duration(name))} ({_effect(effect, duration=duration)})"
                for name, effect in zip(named, moved, strict=True)
                if name not in _UNTOLD and abs(effect) >= _LEAST[duration] and (effect > 0 or not towards)
            ]
            told.append(counted[:_REASONS])
    return pl.Series("reasons", told, dtype=pl.List(pl.String))


def _value(value: Any, *, seconds: bool) -> str:
    """Say the value of a feature.

    Examples
    --------
    >>> _value(None, seconds=True), _value("pay order", seconds=False), _value(2.0, seconds=False)
    ('unknown', "'pay order'", '2')
    >>> _value(5_400.0, seconds=True)
    '1.5 h'
    """
    if value is None or value != value:
        return "unknown"
    if isinstance(value, str):
        return repr(value)
    return spoken(value) if seconds else f"{value:,.6g}"


def _effect(effect: float, *, duration: bool) -> str:
    """Say by how much a feature moved a prediction.

    Examples
    --------
    >>> _effect(-43_200.0, duration=True), _effect(0.25, duration=False)
    ('-0.5 days', '+25%')
    """
    return f"{effect / _DAY:+.2g} days" if duration else f"{effect:+.0%}"


def _warnings(
    registry: Registry,
    versions: Mapping[str, Version],
    part: LastPrefixes,
    predictions: pl.DataFrame,
    settings: PredictionSettings,
    now: datetime,
) -> pl.DataFrame:
    """Tell which running objects are late or end as they should not, by now or in all likelihood."""
    known = _begun(part, settings).join(_over(predictions), on="object_id", how="anti")
    expected = predictions.filter(pl.col("task") == "remaining_time").select(
        "object_id", expected=pl.max_horizontal(pl.col("time") + _duration("prediction_float"), pl.lit(now))
    )
    known = known.join(expected, on="object_id", how="left", maintain_order="left")
    said = _said(part.object_type, settings)
    facts = part.facts.filter((pl.col("fact") == "true") & pl.col("task").is_in(list(said)))
    happened = known.join(facts, on="object_id").with_columns(
        warning=pl.col("task").replace_strict({task: fact for task, (fact, _, _) in said.items()}, default=None),
        probability=pl.lit(None, pl.Float64),
    )
    thresholds = {task: at for task, (_, _, at) in said.items()}
    likely = known.join(predictions.select("object_id", "task", "probability"), on="object_id").filter(
        pl.col("probability") >= pl.col("task").replace_strict(thresholds, default=2.0, return_dtype=pl.Float64)
    )
    likely = likely.with_columns(
        warning=pl.col("task").replace_strict({task: told for task, (_, told, _) in said.items()}, default=None)
    )
    late = known.filter(pl.col("expected") > pl.col("due")).select(
        pl.all(),
        task=pl.lit("remaining_time"),
        probability=pl.lit(None, pl.Float64),
        warning=pl.lit("It is expected to be over later than it may."),
    )
    late = late.join(happened.filter(pl.col("task") == "delay"), on="object_id", how="anti")
    columns = ["object_type", "object_id", "task", "warning", "probability", "due", "expected"]
    told = [happened.select(columns).with_columns(reasons=pl.lit([], pl.List(pl.String)))]
    for task, rows in (
        pl.concat([likely.select(columns), late.select(columns)])
        .partition_by("task", as_dict=True, maintain_order=True)
        .items()
    ):
        values = rows.join(part.keys.select("object_id").with_row_index("row"), on="object_id", maintain_order="left")
        read = part.values[values["row"].to_list()]
        told.append(rows.with_columns(_reasons(registry.load(versions[str(task[0])]), read, towards=True)))
    return as_table("gold.early_warnings", pl.concat(told))


def _begun(part: LastPrefixes, settings: PredictionSettings) -> pl.DataFrame:
    """Give the running objects, and when each has to be over."""
    target = settings.target(part.object_type)
    running = part.keys.with_columns(elapsed=part.values["elapsed"].cast(pl.Float64)).filter(part.running)
    due = pl.col("time") - _duration("elapsed") + pl.lit(target) if target is not None else pl.lit(None)
    return running.select("object_type", "object_id", due=due.cast(pl.Datetime("us", "UTC")).dt.round("1s"))


def _duration(name: str) -> pl.Expr:
    return (pl.col(name) * 1e6).round().cast(pl.Int64) * _MICRO


def _over(predictions: pl.DataFrame) -> pl.DataFrame:
    """Give the objects that are probably over: nothing is expected to come, or not for so long."""
    ended = (pl.col("task") == "next_activity") & (pl.col("prediction") == END)
    silent = (pl.col("task") == "remaining_time") & (pl.col("silence") > pl.col("high"))
    return predictions.filter(ended | silent).select("object_id").unique()


def _said(object_type: str, settings: PredictionSettings) -> dict[str, tuple[str, str, float]]:
    """Give, for each task that is warned of, what is said of a fact and of what is likely, and when it is likely."""
    said = {"delay": ("It has taken longer than it may.", "It is likely to take longer than it may.", _LIKELY)}
    for outcome in settings.outcomes:
        if outcome.object_type == object_type and (outcome.warn or outcome.rule):
            told = f"It has come true: {outcome.name}.", f"It is likely that: {outcome.name}.", outcome.warn_at
            said[f"outcome_{outcome.name}"] = told
    return said


def newest_sources(lake: Lake, log_id: str, layer: Layer) -> Sources:
    """Give the publications that a layer of predictions is computed from: the newest of each, as champions stay."""
    return {name: latest_or_fail(lake, log_id, name) for name in READS[layer]}


def predict_object(lake: Lake, registry: Registry, log_id: str, object_id: str) -> pl.DataFrame:
    """Score one object as of its last event, running or not, by the champions of its type.

    Returns
    -------
    DataFrame
        As `gold.predictions`, with ``reasons``; where the answer is a fact by now, model and probability are null.

    Raises
    ------
    NotFound
        Where no model predicts for the object, or the log has no features of it.
    """
    train = f"See why: ocelake train {log_id}"
    if lake.latest(log_id, "models") is None:
        raise NotFound(f"No models were trained for the log {log_id!r}.", fix=f"Train them: ocelake train {log_id}")
    if lake.latest(log_id, "champions") is None:
        raise NotFound(f"No model of the log {log_id!r} is better than its baseline, so none predicts.", fix=train)
    read = newest_sources(lake, log_id, "predictions")
    features, champions = read["features"], read["champions"]
    models = published_tables(lake, champions)["models.champions"]
    now = _newest_event(lake, features)
    for part in last_prefixes(lake, features):
        here = part.keys["object_id"] == object_id
        if here.any():
            versions = _versions(registry, models, part.object_type)
            if not versions:
                raise NotFound(f"No model predicts for objects of the type {part.object_type!r}.", fix=train)
            return pl.concat(_told_of(registry, versions, part, here, now), how="diagonal")
    raise NotFound(
        f"The log {log_id!r} has no object {object_id!r} of a type that is predicted for.",
        fix='The objects are: ocelake sql "select distinct object_type, object_id from features.prefixes"',
    )


def _told_of(
    registry: Registry, versions: Mapping[str, Version], part: LastPrefixes, here: pl.Series, now: datetime
) -> Iterator[pl.DataFrame]:
    key = part.keys.filter(here).with_columns(silence=_silence(now))
    facts = part.facts.join(key, on="object_id").rename({"fact": "prediction"})
    for task, version in versions.items():
        fact = facts.filter(pl.col("task") == task)
        over = not part.running.filter(here).item()
        if fact.height and not over:
            yield fact.select(pl.col(name) for name in as_table("gold.predictions").columns if name in fact.columns)
            continue
        made, _ = score(registry, version, task, part, here, None)
        scored = as_table("gold.predictions", made.with_columns(silence=_silence(now)))
        yield scored.with_columns(_reasons(registry.load(version), part.values.filter(here)))
