"""The OCEL tables to features and labels of prefixes, and back to the frames that models take.

What is known as of an event, and what came after it, `ocelake.features` says. Here a log's tables are read for it, and
feature vectors become lists in two columns: which features there are depends on the log, and the tables do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl
from pydantic import BaseModel, ConfigDict

from ocelake.errors import SettingError
from ocelake.features import (
    END,
    Kind,
    PredictionSettings,
    Prefixes,
    default_types,
    find_context,
    flowing_types,
    label_prefixes,
    prefix_features,
    tasks_of,
)
from ocelake.lake.policy import load_policy
from ocelake.lake.records import Moment
from ocelake.mining.constraints import EventEvents, Rule, Rules, attribute_names, rule_tables
from ocelake.mining.traces import Traces
from ocelake.settings import MiningSettings, check_log_id
from ocelake.tables import as_table

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.lake.records import PublicationRecord

__all__ = [
    "LastPrefixes",
    "Prediction",
    "TrainingSet",
    "feature_frame",
    "feature_tables",
    "last_prefixes",
    "load_prediction",
    "training_sets",
]

_KINDS: Final = {"number": "numbers", "category": "categories"}


class Prediction(BaseModel):
    """What features and labels of a log are computed under; kept with their publications."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    predict: PredictionSettings = PredictionSettings()
    mining: MiningSettings = MiningSettings()
    rules: Rules = Rules()
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """The prefixes of one object type with their features, and their labels for one task.

    Attributes
    ----------
    task : str
        What is predicted.
    kind : {"activity", "duration", "outcome"}
    object_type : str
    rows : DataFrame
        object_id, group (the execution), position, time, target, known_at; the target is null where it is not known.
    values : DataFrame
        The same rows: one column for each feature.
    """

    task: str
    kind: Kind
    object_type: str
    rows: pl.DataFrame
    values: pl.DataFrame


def load_prediction(lake: Lake, log_id: str) -> Prediction:
    """Read what is predicted for a log (``logs/<log_id>.predict.yaml``), and the rules that its outcomes name.

    Raises
    ------
    SettingError
        Where an outcome names a rule that the log does not have.
    """
    path = lake.settings.home / "logs" / f"{check_log_id(log_id)}.predict.yaml"
    predict = PredictionSettings.load(path)
    wanted = {outcome.rule for outcome in predict.outcomes if outcome.rule is not None}
    rules = tuple(rule for rule in load_policy(lake, log_id).rules.rules if rule.name in wanted) if wanted else ()
    if missing := sorted(wanted - {rule.name for rule in rules}):
        raise SettingError(
            f"An outcome is about the rule {missing[0]!r}, which the log does not have.",
            where=str(path),
            fix=f"Name a rule of logs/{log_id}.rules.yaml.",
        )
    return Prediction(
        predict=predict,
        mining=lake.settings.mining(log_id),
        rules=Rules(rules=rules),
        time_zone=lake.settings.log(log_id).time_zone,
    )


def feature_tables(lake: Lake, silver: PublicationRecord, settings: Prediction) -> dict[str, pl.DataFrame]:
    """Compute the layer ``features`` of a log from its silver at one publication."""
    log_id, moment = silver.log_id, lake.moment(silver.publication_id)
    traces = lake.traces(log_id, moment)
    names = ("ocel.event_attributes", "ocel.object_attributes", "ocel.object_objects")
    tables = {name: lake.read(name, log_id, as_of=moment) for name in names}
    flowing = flowing_types(traces, settings.mining.execution_types)
    violations = _violations(lake, log_id, moment, traces, tables, settings.rules)
    types = default_types(traces, settings.predict, flowing)
    context = find_context(traces, flowing) if types else None
    columns: list[pl.DataFrame] = []
    prefixes: list[pl.DataFrame] = []
    labels: list[pl.DataFrame] = []
    for object_type in types:
        found = prefix_features(
            traces, object_type, tables, settings=settings.predict, time_zone=settings.time_zone, context=context
        )
        labelled = label_prefixes(
            traces,
            object_type,
            settings=settings.predict,
            execution_types=flowing,
            object_attributes=tables["ocel.object_attributes"],
            violations=violations,
        )
        columns.append(_columns(found))
        prefixes.append(_vectors(found, labelled["group"]))
        labels += _labels(labelled, object_type, settings.predict)
    made = {"features.columns": columns, "features.prefixes": prefixes, "features.labels": labels}
    return {name: as_table(name, pl.concat(frames) if frames else None) for name, frames in made.items()}


def _violations(
    lake: Lake, log_id: str, moment: Moment, traces: Traces, tables: dict[str, pl.DataFrame], rules: Rules
) -> dict[str, dict[str, int | None]]:
    """Give by rule the objects that violate it, and from when on that is certain."""
    if not rules.rules:
        return {}
    asked = {
        **tables,
        "ocel.event_objects": lake.read(
            "ocel.event_objects",
            log_id,
            as_of=moment,
            columns=["event_id", "object_id", "qualifier", "activity", "object_type"],
        ),
    }
    for table, names in zip(("ocel.event_attributes", "ocel.object_attributes"), attribute_names(rules), strict=True):
        asked[table] = tables[table].filter(pl.col("name").is_in(sorted(names)))
    found = rule_tables(rules, traces, asked)["gold.rule_violations"]
    named = {rule.name: rule for rule in rules.rules}
    times = pl.DataFrame({"event_id": traces.event_ids, "at": traces.event_time})
    settled: dict[str, dict[str, int | None]] = {}
    shown = found.select("rule", "object_ids", pl.col("event_ids").list.first().alias("event_id"))
    now = int(traces.event_time.max(initial=0))
    timed = shown.join(times, on="event_id", how="left").select("rule", "object_ids", "at")
    for name, objects, at in timed.iter_rows():
        when = _settled(named[name], at)
        when = None if when is None else min(when, now)  # of too many targets it is known before the time is over
        of_rule = settled.setdefault(name, {})
        for thing in objects:
            before = of_rule.get(thing, when)
            of_rule[thing] = when if before is None else before if when is None else min(before, when)
    return settled


def _settled(rule: Rule, activation: int | None) -> int | None:
    """Give from when on a violation of a rule is certain; None where only the object's end makes it so.

    What should have come before an event is missing from that event on, what should come within a time after it once
    that is over.
    """
    if not isinstance(rule, EventEvents) or activation is None:
        return None
    if rule.order.endswith("before"):
        return activation
    if rule.order == "after" and rule.within is not None and rule.count.at_least:
        return activation + rule.within // timedelta(microseconds=1)
    return None


def _columns(found: Prefixes) -> pl.DataFrame:
    rows = [(column.kind, column.name, column.doc) for column in found.columns]
    frame = pl.DataFrame(rows, schema=["kind", "name", "description"], orient="row")
    return frame.select(
        pl.lit(found.object_type).alias("object_type"),
        "kind",
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("kind").alias("ordinal"),
        "name",
        "description",
    )


def _vectors(found: Prefixes, group: pl.Series) -> pl.DataFrame:
    named = {kind: [column.name for column in found.columns if column.kind == kind] for kind in _KINDS}
    lists = found.values.select(pl.concat_list(named[kind]).alias(column) for kind, column in _KINDS.items())
    return (
        pl.concat([found.keys, lists], how="horizontal")
        .with_columns(object_type=pl.lit(found.object_type), execution_id=group)
        .select("object_type", "object_id", "event_id", "position", "time", "execution_id", "numbers", "categories")
    )


def _labels(labelled: pl.DataFrame, object_type: str, settings: PredictionSettings) -> Iterator[pl.DataFrame]:
    for task, _ in tasks_of(object_type, settings):
        label = pl.col(task)
        textual = labelled.schema[task] != pl.Float64
        yield labelled.filter(label.is_not_null()).select(
            pl.lit(task).alias("task"),
            pl.lit(object_type).alias("object_type"),
            "object_id",
            "position",
            (label.cast(pl.String) if textual else pl.lit(None, pl.String)).alias("label"),
            (pl.lit(None, pl.Float64) if labelled.schema[task] == pl.String else label.cast(pl.Float64)).alias(
                "label_float"
            ),
            pl.col(f"known: {task}").alias("known_at"),
        )


def feature_frame(columns: pl.DataFrame, prefixes: pl.DataFrame) -> pl.DataFrame:
    """Give the features of prefixes of one object type a column each, by their names.

    Parameters
    ----------
    columns, prefixes : DataFrame
        Rows of `features.columns` and `features.prefixes` of the type.
    """
    parts = []
    for kind, column in _KINDS.items():
        names = columns.filter(pl.col("kind") == kind).sort("ordinal")["name"].to_list()
        parts.append(prefixes.select(pl.col(column).list.get(i).alias(name) for i, name in enumerate(names)))
    return pl.concat(parts, how="horizontal")


def training_sets(lake: Lake, features: PublicationRecord) -> Iterator[TrainingSet]:
    """Read features and labels at one publication: a set for each task of each object type, in their order."""
    log_id, moment = features.log_id, lake.moment(features.publication_id)
    settings = Prediction.model_validate(features.settings).predict
    columns = lake.read("features.columns", log_id, as_of=moment)
    for (object_type,), of_type in columns.partition_by("object_type", as_dict=True, maintain_order=True).items():
        here = pl.col("object_type") == object_type
        prefixes = lake.scan("features.prefixes", log_id, as_of=moment).filter(here).collect()
        prefixes = prefixes.sort("object_id", "position")
        values = feature_frame(of_type, prefixes)
        keys = prefixes.select("object_id", "position", "time", group="execution_id")
        labels = lake.scan("features.labels", log_id, as_of=moment).filter(here).collect()
        for task, kind in tasks_of(object_type, settings):
            target = {
                "activity": pl.col("label"),
                "duration": pl.col("label_float"),
                "outcome": pl.col("label_float").cast(pl.Boolean),
            }[kind]
            known = labels.filter(pl.col("task") == task).select(
                "object_id", "position", target.alias("target"), "known_at"
            )
            rows = keys.join(known, on=["object_id", "position"], how="left", maintain_order="left")
            if kind == "outcome":  # what had come to be true by the prefix is a fact, and no question
                fact = pl.col("target").fill_null(value=False) & (pl.col("known_at") <= pl.col("time"))
                rows = rows.with_columns(
                    pl.when(fact).then(None).otherwise(pl.col(name)).alias(name) for name in ("target", "known_at")
                )
            yield TrainingSet(task, kind, object_type, rows, values)


@dataclass(frozen=True, slots=True, eq=False)
class LastPrefixes:
    """What is known of the objects of a type as of each one's last event.

    Attributes
    ----------
    object_type : str
    keys : DataFrame
        object_type, object_id, event_id, position, time, sorted by object_id.
    values : DataFrame
        The same rows: a column for each feature.
    running : polars.Series of bool
        Which of the objects are not known to be over.
    facts : DataFrame
        task, object_id, fact: what is known by now, and so no question of it any more.
    """

    object_type: str
    keys: pl.DataFrame
    values: pl.DataFrame
    running: pl.Series
    facts: pl.DataFrame


def last_prefixes(lake: Lake, features: PublicationRecord) -> Iterator[LastPrefixes]:
    """Give what is known of all objects that predictions are about, type by type."""
    log_id, moment = features.log_id, lake.moment(features.publication_id)
    columns = lake.read("features.columns", log_id, as_of=moment)
    prefixes = lake.scan("features.prefixes", log_id, as_of=moment)
    newest = prefixes.filter(pl.col("position") == pl.col("position").max().over("object_type", "object_id")).collect()
    place = ["object_type", "object_id", "position"]
    known = lake.scan("features.labels", log_id, as_of=moment).join(newest.lazy().select(place), on=place, how="semi")
    labels = known.select("task", "object_type", "object_id", fact="label").collect()
    for (object_type,), of_type in columns.partition_by("object_type", as_dict=True, maintain_order=True).items():
        last = newest.filter(pl.col("object_type") == object_type).sort("object_id")
        facts = labels.filter(pl.col("object_type") == object_type).drop("object_type")
        over = facts.filter((pl.col("task") == "next_activity") & (pl.col("fact") == END))
        running = ~last["object_id"].is_in(over["object_id"].implode())
        keys = last.select("object_type", "object_id", "event_id", "position", "time")
        yield LastPrefixes(str(object_type), keys, feature_frame(of_type, last), running, facts)
