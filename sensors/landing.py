"""Files in ``landing/<log>/`` to bronze, each in a run of its own once its copy is complete."""

import json
import os
from collections.abc import Mapping
from dataclasses import astuple

from dagster import (
    AssetSelection,
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.partitions import LOGS
from ocelake.landing import Mark, marks, newly_stable, unreadable_names
from ocelake.settings import LakeSettings
from ocelake.tables.bronze import SPECS as EVENT_TABLES

__all__ = ["landing_file_stable"]


@sensor(
    name="landing_file_stable",
    target=AssetSelection.keys(*([spec.namespace, spec.name] for spec in EVENT_TABLES)),
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
    description="Requests bronze for every landed file that stopped changing; a failed file does not stop others.",
)
def landing_file_stable(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Compare the landing folder with the last look, which the cursor holds."""
    landing = LakeSettings.load().landing
    for path in unreadable_names(landing):
        context.log.warning("Not read: the name of %r is not UTF-8; rename it.", os.fsencode(path))
    now = marks(landing)
    before, handled = _read_cursor(context.cursor)
    ready = newly_stable(before, now, handled)
    handled = {name: mark for name, mark in handled.items() if name in now} | {name: now[name] for name in ready}
    cursor = _write_cursor(now, handled)
    if not ready:
        context.update_cursor(cursor)
        waiting = sum(handled.get(name) != mark for name, mark in now.items())
        return SkipReason(f"{waiting} of {len(now)} landed sources may still change; the others were handled.")
    known = set(context.instance.get_dynamic_partitions(LOGS.name or ""))
    new = sorted({name.split("/")[0] for name in ready} - known)
    return SensorResult(
        run_requests=[_request(name, now[name]) for name in ready],
        dynamic_partitions_requests=[LOGS.build_add_request(new)] if new else [],
        cursor=cursor,
    )


def _request(name: str, mark: Mark) -> RunRequest:
    log_id, file = name.split("/", 1)
    return RunRequest(
        run_key=f"{name}:{mark.size}:{mark.changed}",
        partition_key=log_id,
        run_config={"ops": {"bronze": {"config": {"files": [file]}}}},
        tags={"ocelake/file": file[-200:]},
    )


def _read_cursor(cursor: str | None) -> tuple[Mapping[str, Mark], Mapping[str, Mark]]:
    content = json.loads(cursor) if cursor else {}
    before, handled = (
        {name: Mark(*mark) for name, mark in content.get(part, {}).items()} for part in ("seen", "handled")
    )
    return before, handled


def _write_cursor(seen: Mapping[str, Mark], handled: Mapping[str, Mark]) -> str:
    parts = {"seen": seen, "handled": handled}
    return json.dumps({part: {name: astuple(mark) for name, mark in marks.items()} for part, marks in parts.items()})
