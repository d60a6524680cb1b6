"""Trains a log's models anew once they no longer hold."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

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

from resources import LakeResource

__all__ = ["Answered", "alarming", "models_drifted"]

_ENOUGH = 0.2
"""Share of the features that have to have changed; a single one does so often, and says little."""

_PATIENCE = timedelta(days=1)
"""How long an alarm that a training was asked for is left alone. The training may have found nothing better."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What is remembered of a log: the monitoring that was looked at, and the alarms that a training was asked for."""

    seen: str = ""
    alarms: tuple[str, ...] = ()
    asked_at: str = ""

    @classmethod
    def read(cls, found: object) -> Self:
        """Read it from the cursor; an earlier form had the monitoring alone."""
        if not isinstance(found, dict):
            return cls(str(found))
        return cls(found["seen"], tuple(found["alarms"]), found["asked_at"])

    def after(self, seen: str, alarms: frozenset[str], now: datetime) -> tuple[Self, bool]:
        """Give what is remembered after a look, and whether to ask for a training.

        Examples
        --------
        >>> now = datetime(2024, 1, 1, tzinfo=UTC)
        >>> first, asked = Answered().after("shop.monitoring.1", frozenset({"orders delay 1"}), now)
        >>> asked, first.after("shop.monitoring.2", frozenset({"orders delay 1"}), now)[1]
        (True, False)
        """
        rested = not self.asked_at or now - datetime.fromisoformat(self.asked_at) >= _PATIENCE
        if alarms and (rested or not alarms <= set(self.alarms)):
            return replace(self, seen=seen, alarms=tuple(sorted(alarms)), asked_at=now.isoformat()), True
        return replace(self, seen=seen), False


def alarming(monitoring: pl.DataFrame) -> frozenset[str]:
    """Name the champions that no longer hold: they err more, say other things, or many of their features changed."""
    champion = pl.format("{} {} {}", "object_type", "task", "model_version")
    drifted = (pl.col("measure") == "feature_drift") & pl.col("alarm")
    changed = monitoring.group_by(champion.alias("champion")).agg(
        (drifted.sum() > _ENOUGH * (pl.col("measure") == "feature_drift").sum())
        | (pl.col("alarm") & (pl.col("measure") != "feature_drift")).any().alias("alarm")
    )
    return frozenset(changed.filter(pl.nth(1))["champion"])


@sensor(
    name="models_drifted",
    target=AssetSelection.groups("ml"),
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=300,
    description="Requests a training for every log whose champions err more than in their test, or read other data.",
)
def models_drifted(context: SensorEvaluationContext, lake: LakeResource) -> SensorResult | SkipReason:
    """Look at the newest monitoring of each log, once."""
    opened, now = lake.open(), datetime.now(UTC)
    states = {log_id: Answered.read(found) for log_id, found in json.loads(context.cursor or "{}").items()}
    requests, reasons = [], []
    for log_id in opened.logs():
        record, state = opened.latest(log_id, "monitoring"), states.get(log_id, Answered())
        if record is None or state.seen == record.publication_id:
            continue
        alarms = alarming(opened.read("models.monitoring", log_id, as_of=record.publication_id))
        state, ask = state.after(record.publication_id, alarms, now)
        states[log_id] = state
        if ask:
            requests.append(RunRequest(partition_key=log_id, tags={"ocelake/drift": record.publication_id}))
        else:
            reasons.append(f"{log_id}: {'a training was asked for already' if alarms else 'its models hold'}")
    cursor = json.dumps({log_id: asdict(state) for log_id, state in states.items()})
    if not requests:
        context.update_cursor(cursor)
        return SkipReason("; ".join(reasons) or "There is no new monitoring of any log.")
    return SensorResult(run_requests=requests, cursor=cursor)
