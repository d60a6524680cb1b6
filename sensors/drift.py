"""Trains a log's models anew once they no longer hold."""

import json

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

__all__ = ["models_drifted"]

_ENOUGH = 0.2
"""Share of the features that have to have changed; a single one does so often, and says little."""


@sensor(
    name="models_drifted",
    target=AssetSelection.groups("ml"),
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=300,
    description="Requests a training for every log whose champions err more than in their test, or read other data.",
)
def models_drifted(context: SensorEvaluationContext, lake: LakeResource) -> SensorResult | SkipReason:
    """Look at the newest monitoring of each log, once."""
    opened = lake.open()
    seen: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
    requests, reasons = [], []
    for log_id in opened.logs():
        record = opened.latest(log_id, "monitoring")
        if record is None or seen.get(log_id) == record.publication_id:
            continue
        seen[log_id] = record.publication_id
        found = opened.read("models.monitoring", log_id, as_of=record.publication_id)
        features = found.filter(measure="feature_drift")
        others = found.filter(found["alarm"] & (found["measure"] != "feature_drift"))
        if others.height or features["alarm"].sum() > _ENOUGH * features.height:
            requests.append(RunRequest(partition_key=log_id, tags={"ocelake/drift": record.publication_id}))
        else:
            reasons.append(f"{log_id}: its models hold")
    context.update_cursor(json.dumps(seen))
    if not requests:
        return SkipReason("; ".join(reasons) or "There is no new monitoring of any log.")
    return SensorResult(run_requests=requests, cursor=json.dumps(seen))
