"""Predictions: features and labels of prefixes, how models were judged, and what they say of what is running."""

from __future__ import annotations

from typing import Final

import polars as pl

from ocelake.tables.spec import (
    ACTIVITY,
    LOG,
    OBJECT,
    OBJECT_TYPE,
    Column,
    TableSpec,
    count,
    instant,
    number,
    text,
)

__all__ = ["SPECS"]

_TASK: Final = text(
    "task", "What is predicted: next_activity, remaining_time, delay, or outcome_ and its name.", required=True
)
_POSITION: Final = count("position", "How many events the prefix has.", required=True)
_PREFIX: Final = (
    OBJECT_TYPE,
    OBJECT,
    text("event_id", "The prefix's last event.", required=True),
    _POSITION,
    instant("time", "When that event happened.", required=True),
)
_INTERVAL: Final = (
    number("low", "Lower end of its 95% interval, by bootstrap over executions; null where it cannot be told."),
    number("high", "Upper end."),
)

_FEATURES: Final = (
    TableSpec(
        "features",
        "columns",
        "features",
        "One feature of the prefixes of an object type: what a place in `features.prefixes` means.",
        (
            LOG,
            OBJECT_TYPE,
            text("kind", "number, or category: a text of which only equality counts.", required=True),
            count("ordinal", "Its place in `numbers` or `categories` of `features.prefixes`, from 1.", required=True),
            text("name", "What it is called.", required=True),
            text("description", "What it says, with its unit.", required=True),
        ),
        key=("log_id", "object_type", "kind", "ordinal"),
        sort=("object_type", "kind", "ordinal"),
    ),
    TableSpec(
        "features",
        "prefixes",
        "features",
        "One prefix: what was known of an object as of one of its events.",
        (
            LOG,
            *_PREFIX,
            text(
                "execution_id", "The process execution that the object turned out to be of; no feature.", required=True
            ),
            Column("numbers", pl.List(pl.Float32), "Features that are numbers; null where there is none.", True),
            Column("categories", pl.List(pl.String), "Features that are texts; null where there is none.", True),
        ),
        key=("log_id", "object_type", "object_id", "position"),
        sort=("object_type", "object_id", "position"),
    ),
    TableSpec(
        "features",
        "labels",
        "features",
        "What came after one prefix, for one task. No row where it is not known yet; what had come to be true by the "
        "prefix's last event is known at that time or before, and not trained on.",
        (
            LOG,
            _TASK,
            OBJECT_TYPE,
            OBJECT,
            _POSITION,
            text("label", "The activity, or true or false; null for a duration."),
            number("label_float", "The duration in seconds, or 1 for true and 0 for false; null for an activity."),
            instant("known_at", "When it became known.", required=True),
        ),
        key=("log_id", "task", "object_type", "object_id", "position"),
        sort=("task", "object_type", "object_id", "position"),
    ),
)

_MODELS: Final = (
    TableSpec(
        "models",
        "tasks",
        "models",
        "One task of one object type: the model that was trained for it, or why none was.",
        (
            LOG,
            _TASK,
            OBJECT_TYPE,
            Column("trained", pl.Boolean, "Whether there is a model.", True),
            text("reason", "Why there is none; null where there is."),
            text("model_name", "Its name in the registry."),
            count("model_version", "Its version there."),
            text("run_id", "The training's run in MLflow."),
            text("definition", "Digest of what the task asks; a champion of another one is none."),
            instant("split_at", "What became known before is trained on; prefixes from here on judge the model."),
            count("train_rows", "Prefixes that it was trained on."),
            count("test_rows", "Prefixes that it was judged by."),
            text("metric", "The metric that decides: accuracy, mae (days) or brier."),
            number("model", "The model's."),
            number("baseline", "The baseline's."),
            number("difference", "The model's less the baseline's; better is above 0 for accuracy, else below."),
            number(
                "difference_low",
                "Lower end of its 95% interval, by bootstrap over executions; null where it cannot be told.",
            ),
            number("difference_high", "Upper end."),
            Column("better", pl.Boolean, "Whether it is better than the baseline, beyond that interval."),
            number(
                "against_champion",
                "Its metric less that of the champion of then, by the same prefixes; null without one.",
            ),
            Column("promotable", pl.Boolean, "Better than the baseline, and than the champion."),
            number("seconds", "How long the training took."),
        ),
        key=("log_id", "task", "object_type"),
        sort=("object_type", "task"),
        provenance=("seconds", "run_id", "model_version"),
    ),
    TableSpec(
        "models",
        "metrics",
        "models",
        "One metric of one model or baseline on the test prefixes.",
        (
            LOG,
            _TASK,
            OBJECT_TYPE,
            text(
                "model",
                "gradient boosting, a baseline's name, sequence model, or difference: the first less the baseline.",
                required=True,
            ),
            text("metric", "accuracy, mae, brier, log_loss, ...", required=True),
            text("unit", "days, or none."),
            number("value", "The metric."),
            *_INTERVAL,
            count("rows", "Test prefixes.", required=True),
            count("executions", "Of so many executions.", required=True),
        ),
        key=("log_id", "task", "object_type", "model", "metric"),
        sort=("object_type", "task", "metric", "model"),
    ),
    TableSpec(
        "models",
        "champions",
        "champions",
        "The model that predicts, for one task of one object type.",
        (
            LOG,
            _TASK,
            OBJECT_TYPE,
            text("model_name", "Its name in the registry.", required=True),
            count("model_version", "Its version there.", required=True),
            instant("seen_until", "The newest prefix that it was trained or judged on.", required=True),
            text("metric", "The metric that decides: accuracy, mae (days) or brier.", required=True),
            number("value", "What that was in its test.", required=True),
            Column("promoted", pl.Boolean, "Whether it became the champion just now.", True),
        ),
        key=("log_id", "task", "object_type"),
        sort=("object_type", "task"),
        provenance=("model_version", "promoted"),
    ),
)

_MONITORING: Final = (
    TableSpec(
        "models",
        "monitoring",
        "monitoring",
        "How one thing about a champion has been since it was trained, beside how it was then.",
        (
            LOG,
            _TASK,
            OBJECT_TYPE,
            text("measure", "feature_drift, prediction_drift or error.", required=True),
            text("subject", "The feature; the task for the others.", required=True),
            count("model_version", "Of the champion.", required=True),
            count(
                "rows",
                "Prefixes since then; for the error so old ones that nearly all of them are known.",
                required=True,
            ),
            number("value", "Drift as population stability index; the error as the model's own metric."),
            number("reference", "Of the error: what it was in the test."),
            number("limit", "Beyond it, it is told."),
            Column("alarm", pl.Boolean, "Whether it is beyond the limit, by at least 200 prefixes.", True),
        ),
        key=("log_id", "task", "object_type", "measure", "subject"),
        sort=("object_type", "task", "measure", "subject"),
    ),
)

_PREDICTIONS: Final = (
    TableSpec(
        "gold",
        "predictions",
        "predictions",
        "What a champion says of one running object, as of its last event. No row of what is a fact by now.",
        (
            LOG,
            _TASK,
            *_PREFIX,
            text("prediction", "The next activity, or true or false; null for a duration."),
            number("prediction_float", "The duration in seconds from the prefix's last event; null for others."),
            number("low", "Of a duration: it is longer in 9 of 10 cases (of the tests)."),
            number("high", "Of a duration: it is shorter in 9 of 10 cases."),
            number("probability", "Of the prediction; of a truth that it is true."),
            number("silence", "Seconds from that event to the log's last one, which the prediction knows nothing of."),
            text("model_name", "The model in the registry.", required=True),
            count("model_version", "Its version there.", required=True),
            text(
                "features_hash",
                "Of what the model saw, with the model's run: equal ones are not scored again.",
                required=True,
            ),
        ),
        key=("log_id", "task", "object_type", "object_id"),
        sort=("object_type", "object_id", "task"),
    ),
    TableSpec(
        "gold",
        "early_warnings",
        "predictions",
        "One running object that takes too long or ends as it should not, by now or in all likelihood. Objects that "
        "are probably over are left out: nothing is expected of them, or not after so long.",
        (
            LOG,
            OBJECT_TYPE,
            OBJECT,
            _TASK,
            text("warning", "What is likely, for a person.", required=True),
            number("probability", "How likely; null of a fact, and where it is told from the remaining time."),
            Column(
                "reasons",
                pl.List(pl.String),
                "The features that moved the prediction most towards the warning: value, and effect. Of a fact none.",
                True,
            ),
            instant("due", "When the object has to be over, where it has a target."),
            instant("expected", "When it is expected to be over."),
        ),
        key=("log_id", "object_type", "object_id", "task"),
        sort=("object_type", "object_id", "task"),
    ),
    TableSpec(
        "gold",
        "demand_forecast",
        "outlook",
        "How many events of an activity are to be expected in one hour, from that of the log's last event on.",
        (
            LOG,
            ACTIVITY,
            instant("hour", "The hour's begin.", required=True),
            number("expected", "Mean of the same hour of the same weekday in the weeks before.", required=True),
            number("low", "The least of them.", required=True),
            number("high", "The greatest of them.", required=True),
            count("weeks", "So many weeks.", required=True),
        ),
        key=("log_id", "activity", "hour"),
        sort=("activity", "hour"),
    ),
    TableSpec(
        "gold",
        "bottleneck_forecast",
        "outlook",
        "How many objects are expected to wait after an activity at the begin of one hour after the log's last event.",
        (
            LOG,
            OBJECT_TYPE,
            text("activity", "What they did last; they wait for whatever comes next.", required=True),
            instant("hour", "The hour's begin.", required=True),
            number("expected", "Objects; those that may be over count in part.", required=True),
            number("usual", "Mean of the same hour of the same weekday in the weeks before.", required=True),
            text(
                "method",
                "How it is foretold: stays (as many as now), rhythm (as usual), or flow (arrivals as usual, and who is "
                "there leaves at the usual rate): what would have been best in the weeks before.",
                required=True,
            ),
            number("error", "Mean absolute error of the method in those weeks, in objects; null in a short log."),
            count("weeks", "So many weeks were foretold to find out.", required=True),
        ),
        key=("log_id", "object_type", "activity", "hour"),
        sort=("object_type", "activity", "hour"),
    ),
    TableSpec(
        "gold",
        "anomalies",
        "outlook",
        "One unusual execution, or one hour with unusually many or few events of an activity.",
        (
            LOG,
            text("kind", "execution, or event_rate.", required=True),
            text("subject", "The execution's id, or the activity.", required=True),
            instant("time", "The execution's last event, or the hour's begin.", required=True),
            number(
                "score",
                "Of an execution its anomaly score (0.65 and above is told); of an hour standard deviations.",
                required=True,
            ),
            text("detail", "What is unusual, for a person.", required=True),
        ),
        key=("log_id", "kind", "subject", "time"),
        sort=("kind", "time", "subject"),
    ),
)

SPECS: Final = (*_FEATURES, *_MODELS, *_PREDICTIONS, *_MONITORING)
