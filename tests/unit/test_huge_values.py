"""One text of 10 MB in a log is read whole, at the price of its bytes, whatever the format."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ocelake.ocel.read import read_log
from ocelake.ocel.write import write_log

HUGE = "é\"\n<&,;'x" * 1_000_000
WHEN = "2024-01-01T00:00:00Z"


@contextmanager
def quickly() -> Iterator[None]:
    """Let a step take only so much processor time that its work cannot be quadratic in the text."""
    began = time.process_time()
    yield
    assert time.process_time() - began < 5


def json_log(folder: Path, event_id: str, value: str) -> Path:
    attribute = {"name": "note", "value": value}
    related = [{"objectId": "o", "qualifier": ""}]
    plain = {"id": "plain", "type": "a", "time": WHEN, "attributes": [], "relationships": related}
    event = {"id": event_id, "type": "a", "time": WHEN, "attributes": [attribute], "relationships": related}
    log = {
        "eventTypes": [{"name": "a", "attributes": [{"name": "note", "type": "string"}]}],
        "objectTypes": [{"name": "t", "attributes": [{"name": "note", "type": "string"}]}],
        "events": [plain, event, {**plain, "id": "another"}],
        "objects": [{"id": "o", "type": "t", "attributes": [{**attribute, "time": WHEN}], "relationships": []}],
    }
    path = folder / "log.json"
    path.write_text(json.dumps(log, ensure_ascii=False), encoding="utf-8")
    return path


def test_a_huge_id(tmp_path: Path) -> None:
    path = json_log(tmp_path, HUGE, "short")
    with quickly():
        log = read_log(path)
    assert sorted(log.ocel.events["event_id"]) == sorted(["plain", HUGE, "another"])
    assert log.ocel.event_objects.height == 3
    assert log.quarantine.is_empty()


@pytest.mark.parametrize("suffix", [".json", ".xml", ".sqlite"])
def test_a_huge_value_is_read_and_written(tmp_path: Path, suffix: str) -> None:
    with quickly():
        log = read_log(json_log(tmp_path, "e", HUGE))
    path = tmp_path / f"written{suffix}"
    with quickly():
        write_log(log.ocel, path)
    with quickly():
        log = read_log(path)
    assert log.ocel.event_attributes["value"].to_list() == [HUGE]
    assert log.ocel.object_attributes["value"].to_list() == [HUGE]
    assert log.quarantine.is_empty()


def test_a_huge_value_in_tables(tmp_path: Path) -> None:
    quoted = '"' + HUGE.replace('"', '""') + '"'
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, text in {
        "event.csv": "ocel_id,ocel_type\ne,a\n",
        "object.csv": "ocel_id,ocel_type\no,t\n",
        "event_object.csv": "ocel_event_id,ocel_object_id,ocel_qualifier\ne,o,q\n",
        "event_map_type.csv": "ocel_type,ocel_type_map\na,A\n",
        "event_A.csv": f"ocel_id,ocel_time,note\ne,{WHEN},{quoted}\n",
        "object_map_type.csv": "ocel_type,ocel_type_map\nt,T\n",
        "object_T.csv": f"ocel_id,ocel_time,note\no,{WHEN},{quoted}\n",
    }.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    with quickly():
        log = read_log(folder)
    assert log.ocel.event_attributes["value"].to_list() == [HUGE]
    assert log.ocel.object_attributes["value"].to_list() == [HUGE]


def test_a_huge_value_in_one_table(tmp_path: Path) -> None:
    quoted = '"' + HUGE.replace('"', '""') + '"'
    path = tmp_path / "log.csv"
    header = "ocel:eid,ocel:activity,ocel:timestamp,ocel:type:t,note\n"
    path.write_text(f"{header}e,a,{WHEN},['o'],{quoted}\n", encoding="utf-8", newline="")
    with quickly():
        log = read_log(path)
    assert log.ocel.event_attributes["value"].to_list() == [HUGE]
    assert log.ocel.event_objects.height == 1
