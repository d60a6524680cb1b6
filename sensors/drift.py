"""Trains a log's models anew once they no longer hold; an alarm that was answered so asks again only for new data."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import polars as pl
from dagster import (
    AssetSelection,
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from ocelake.lake import Lake, PublicationRecord
from resources import LakeResource

__all__ = ["Champion", "Training", "alarmed", "models_drifted", "unanswered"]

_ENOUGH = 0.2
"""Share of the features that have to have changed; a single one does so often, and says little."""

_COOLDOWN = timedelta(days=1)
"""A training that did not silence an alarm will hardly do so with the data of a few hours more."""

Champion: TypeAlias = tuple[str, str, int]
"""Task, object type, version."""


@dataclass(frozen=True, slots=True)
class Training:
    """What was requested for a champion that no longer holds: on which features, and when."""

    features: str
    time: datetime


@dataclass(frozen=True, slots=True)
class _Seen:
    """What of a log was looked at, and what was requested.

    Attributes
    ----------
    monitoring : str
        The publication that nothing is left to be said of.
    answered : dict of Champion to Training
    """

    monitoring: str = ""
    answered: Mapping[Champion, Training] = field(default_factory=dict)


def alarmed(monitoring: pl.DataFrame) -> frozenset[Champion]:
    """Give the champions that no longer hold: they err more, say other things, or read many features that changed.

    Parameters
    ----------
    monitoring : DataFrame
        Rows of `models.monitoring` of a log.
    """
    feature, alarm = pl.col("measure") == "feature_drift", pl.col("alarm")
    found = monitoring.group_by("task", "object_type", "model_version").agg(
        other=(alarm & ~feature).any(), features=alarm.filter(feature).mean().fill_null(0.0)
    )
    held = found.filter(pl.col("other") | (pl.col("features") > _ENOUGH))
    return frozenset(held.select("task", "object_type", "model_version").iter_rows())


def unanswered(
    champions: Iterable[Champion], answered: Mapping[Champion, Training], *, features: str, now: datetime
) -> tuple[frozenset[Champion], frozenset[Champion]]:
    """Tell which champions in alarm ask for a training, and which will, once the last one is long enough ago.

    A champion that was trained for, and is still there, had no challenger that is better. It asks again where there are
    other features by now, a day later at the earliest.

    Parameters
    ----------
    champions : iterable of Champion
        Those in alarm.
    answered : mapping of Champion to Training
        What was requested for them.
    features : str
        The publication that a training would read.
    now : datetime
    """
    asks, waits = set(), set()
    for champion in champions:
        last = answered.get(champion)
        if last is None or (last.features != features and now - last.time >= _COOLDOWN):
            asks.add(champion)
        elif last.features != features:
            waits.add(champion)
    return frozenset(asks), frozenset(waits)


@sensor(
    name="models_drifted",
    target=AssetSelection.groups("ml"),
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=300,
    description="Requests a training for every log whose champions err more than in their test, or read other data.",
)
def models_drifted(context: SensorEvaluationContext, lake: LakeResource) -> SensorResult | SkipReason:
    """Look at the newest monitoring of each log until nothing is left to be said of it."""
    opened, now = lake.open(), datetime.now(UTC)
    seen = _read_cursor(context.cursor)
    requests, reasons = [], []
    for log_id in opened.logs():
        record, before = opened.latest(log_id, "monitoring"), seen.get(log_id, _Seen())
        if record is None or before.monitoring == record.publication_id:
            continue
        seen[log_id], reason = _look(opened, record, before, now)
        if reason is None:
            requests.append(RunRequest(partition_key=log_id, tags={"ocelake/drift": record.publication_id}))
        else:
            reasons.append(f"{log_id}: {reason}")
    cursor = _write_cursor(seen)
    if not requests:
        context.update_cursor(cursor)
        return SkipReason("; ".join(reasons) or "There is no new monitoring of any log.")
    return SensorResult(run_requests=requests, cursor=cursor)


def _look(lake: Lake, record: PublicationRecord, before: _Seen, now: datetime) -> tuple[_Seen, str | None]:
    """Give what is to be remembered of a log, and why no training is requested; None where one is."""
    found = lake.read("models.monitoring", record.log_id, as_of=record.publication_id)
    features, champions = record.reads["features"], alarmed(found)
    asks, waits = unanswered(champions, before.answered, features=features, now=now)
    if asks:
        recent = {key: last for key, last in before.answered.items() if now - last.time < _COOLDOWN}
        answered = {**recent, **dict.fromkeys(champions, Training(features, now))}
        return _Seen(record.publication_id, answered), None
    if waits:
        again = min(before.answered[champion].time for champion in waits) + _COOLDOWN
        reason = f"it was trained for this alarm, and will be again at {again:%Y-%m-%d %H:%M} UTC at the earliest"
        return _Seen(before.monitoring, before.answered), reason
    reason = "it was trained for this alarm, and nothing is new" if champions else "its models hold"
    return _Seen(record.publication_id, before.answered), reason


def _read_cursor(cursor: str | None) -> dict[str, _Seen]:
    seen = {}
    for log_id, item in (json.loads(cursor) if cursor else {}).items():
        if isinstance(item, str):  # as it was: the monitoring alone
            seen[log_id] = _Seen(item)
            continue
        answered = {
            (row["task"], row["object_type"], row["model_version"]): Training(
                row["features"], datetime.fromisoformat(row["time"])
            )
            for row in item["answered"]
        }
        seen[log_id] = _Seen(item["monitoring"], answered)
    return seen


def _write_cursor(seen: Mapping[str, _Seen]) -> str:
    rows = {
        log_id: {
            "monitoring": item.monitoring,
            "answered": [
                {
                    "task": task,
                    "object_type": object_type,
                    "model_version": version,
                    "features": last.features,
                    "time": last.time.isoformat(),
                }
                for (task, object_type, version), last in item.answered.items()
            ],
        }
        for log_id, item in seen.items()
    }
    return json.dumps(rows)
