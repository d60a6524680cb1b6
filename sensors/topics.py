"""Topics to bronze in micro-batches: a run as soon as there is much to read, or something has waited for long."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile

from dagster import (
    AssetKey,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.partitions import LOGS
from ocelake.errors import OcelakeError
from ocelake.lake import Lake
from ocelake.settings import LakeSettings, StreamSettings
from ocelake.stream.lag import lag_of
from ocelake.stream.settings import KafkaSettings
from ocelake.tables.bronze import SPECS as EVENT_TABLES
from ocelake.tables.prices import PRICE_TICKS
from resources import LakeResource

__all__ = ["topic_lagging"]

_TAG = "ocelake/stream"
_NUMBER = "ocelake/stream-from"
"""Tag of a run: the number of the bronze publication that it goes on from."""

_BROKER_SECONDS = 5.0
_WAITS = (60.0, 3600.0)
"""After a run that failed, at first and in the long run: while bronze stays as it is, another will fail as well."""
_MOST_FAILURES = 8
_RUNNING = [DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a log's bronze was when messages beyond it were first seen, and when that was."""

    number: int
    since: float


@sensor(
    name="topic_lagging",
    target=AssetSelection.groups("bronze"),
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
    description="Requests a micro-batch for every log whose topics have max_rows messages, or one for max_seconds.",
)
def topic_lagging(context: SensorEvaluationContext, lake: LakeResource) -> SensorResult | SkipReason:
    """Compare what the brokers have with what bronze has read."""
    settings = LakeSettings.load(lake.home)
    logs = settings.streamed_logs()
    if not logs:
        return SkipReason("No log says which topics it comes from (logs/<log>.stream.yaml).")
    store, before = lake.open(), _read_cursor(context.cursor)
    seen: dict[str, _Seen] = {}
    requests: list[RunRequest] = []
    reasons: list[str] = []
    for log_id in logs:
        try:
            stream = settings.stream(log_id)
            waiting, since = _waiting(store, log_id, stream, before.get(log_id))
        except OcelakeError as error:
            reasons.append(f"{log_id}: {error}")
            continue
        if since is None:
            reasons.append(f"{log_id}: nothing to read")
            continue
        seen[log_id] = since
        seconds = time.time() - since.since
        if waiting < stream.max_rows and seconds < stream.max_seconds:
            reasons.append(f"{log_id}: {waiting} messages for {seconds:.0f} s")
        elif context.instance.get_runs_count(RunsFilter(statuses=_RUNNING, tags={_TAG: log_id})):
            reasons.append(f"{log_id}: is being read")
        elif pause := _pause(context.instance, log_id, since.number):
            reasons.append(f"{log_id}: {pause}")
        else:
            requests.append(_request(log_id, stream, since.number))
    cursor = json.dumps({log_id: [item.number, item.since] for log_id, item in seen.items()})
    if not requests:
        context.update_cursor(cursor)
        return SkipReason("; ".join(reasons))
    new = sorted({str(item.partition_key) for item in requests} - set(context.instance.get_dynamic_partitions("log")))
    return SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[LOGS.build_add_request(new)] if new else [],
        cursor=cursor,
    )


def _waiting(lake: Lake, log_id: str, stream: StreamSettings, before: _Seen | None) -> tuple[int, _Seen | None]:
    """Give how many messages wait, and since when bronze has been as it is while some did."""
    newest = lake.latest(log_id, "bronze")
    number = newest.number if newest else 0
    messages = sum(
        item.messages for item in lag_of(lake, log_id, stream, KafkaSettings.load(), seconds=_BROKER_SECONDS)
    )
    if messages == 0:
        return 0, None
    return messages, before if before and before.number == number else _Seen(number, time.time())


def _pause(instance: DagsterInstance, log_id: str, number: int) -> str | None:
    """Say why not to ask for a run yet: the last ones from this number failed, which takes twice as long each time."""
    tags = {_TAG: log_id, _NUMBER: str(number)}
    records = instance.get_run_records(RunsFilter(tags=tags), limit=_MOST_FAILURES)
    failed = list(takewhile(lambda record: record.dagster_run.status is DagsterRunStatus.FAILURE, records))
    if not failed:
        return None
    ended = failed[0].end_time or failed[0].update_timestamp.timestamp()
    again = ended + min(_WAITS[0] * 2 ** (len(failed) - 1), _WAITS[1])
    if time.time() >= again:
        return None
    at = datetime.fromtimestamp(again, UTC)
    return (
        f"the run {failed[0].dagster_run.run_id} failed, and bronze is as it was; "
        f"the next one is requested at {at:%H:%M:%S} UTC"
    )


def _request(log_id: str, stream: StreamSettings, number: int) -> RunRequest:
    step, tables = ("price_ticks", (PRICE_TICKS,)) if stream.format == "prices" else ("bronze", EVENT_TABLES)
    return RunRequest(
        partition_key=log_id,
        asset_selection=[AssetKey([spec.namespace, spec.name]) for spec in tables],
        run_config={"ops": {step: {"config": {"topics": list(stream.topics)}}}},
        tags={_TAG: log_id, _NUMBER: str(number)},
    )


def _read_cursor(cursor: str | None) -> Mapping[str, _Seen]:
    return {log_id: _Seen(*item) for log_id, item in (json.loads(cursor) if cursor else {}).items()}
