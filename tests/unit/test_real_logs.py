"""Every real log: what the file holds is in the log or in quarantine, counted by an independent parser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ocelake.ocel.audit import audit_log, audit_table
from ocelake.ocel.conform import Conformed
from ocelake.ocel.read import open_log, read_log
from ocelake.settings import LogSettings
from ocelake.tables import TABLES
from tests.conftest import data_folder

pytestmark = pytest.mark.data


def expected() -> dict[str, dict[str, Any]]:
    """Give the expected counts of every log that is an OCEL or XES log, by path."""
    folder = data_folder()
    if folder is None:
        return {"all logs": {}}
    content = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return {name: want for name, want in content.items() if not name.startswith("_") and want["format"] != "csv"}


LOGS = expected()


def counts(log: Conformed) -> dict[str, int]:
    """Give what is stored and quarantined together, by kind."""
    stored = {
        "event": len(log.ocel.events),
        "object": len(log.ocel.objects),
        "e2o": len(log.ocel.event_objects),
        "o2o": len(log.ocel.object_objects),
    }
    held = dict(log.quarantine.group_by("record_kind").len().rows())
    return {kind: number + held.get(kind, 0) for kind, number in stored.items()}


@pytest.mark.parametrize("name", LOGS)
def test_nothing_in_the_file_is_lost(data: Path, name: str) -> None:
    want = LOGS[name]
    assert open_log(data / name).format == want["format"]
    log = read_log(data / name)
    if want["format"] == "xes":
        want = {**want, "objects": want["traces"], "e2o": want["events"]}
    wanted = {"event": want["events"], "object": want["objects"], "e2o": want["e2o"], "o2o": want.get("o2o")}
    found = counts(log)
    assert found == {kind: found[kind] if number is None else number for kind, number in wanted.items()}

    findings = [finding for table, frame in log.frames().items() for finding in audit_table(TABLES[table], frame)]
    findings += audit_log(log, LogSettings())
    assert [finding for finding in findings if not finding.passed and finding.severity == "error"] == []


def test_relations_to_undeclared_objects_wait_and_infer_creates_them(data: Path) -> None:
    path = data / "ocel2" / "logistics.sqlite"
    want = LOGS["ocel2/logistics.sqlite"]
    log = read_log(path)
    waiting = dict(log.quarantine.filter(reason="undeclared_object").group_by("record_kind").len().rows())
    assert waiting == {"e2o": want["e2o_to_undeclared_objects"], "o2o": want["o2o_to_undeclared_objects"]}
    lost = {finding.check: finding for finding in audit_log(log, LogSettings())}["event_objects_not_lost"]
    assert not lost.passed
    assert "undeclared_objects: infer" in lost.message

    settings = LogSettings(undeclared_objects="infer")
    inferred = read_log(path, settings)
    assert int(inferred.ocel.objects["inferred"].sum()) == want["undeclared_objects"]
    assert len(inferred.ocel.event_objects) == want["e2o"]
    assert {finding.check: finding for finding in audit_log(inferred, settings)}["event_objects_not_lost"].passed
