"""Formats are told from content; what is no log is refused with what it is."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.errors import LogRefused
from ocelake.ocel.detect import FORMATS
from ocelake.ocel.read import open_log
from ocelake.ocel.records import Declarations, Records
from ocelake.ocel.values import value_type

XML1 = b'<log><global scope="event"><string key="ocel:activity" value="x"/></global></log>'
XML2 = b'<log xmlns="urn:x"><objects><object id="o" type="t"/></objects></log>'
SAMPLES = {
    b'{"eventTypes":[],"objects":[]}': "ocel2-json",
    b'\xef\xbb\xbf \n{"objects":[{"id":"o","type":"t"}]}': "ocel2-json",
    b'{"x":{"events":1},"objects":[],"events":[]}': "ocel2-json",
    b'{"ocel:objects":{},"ocel:events":{}}': "ocel1-json",
    b'{"comment":"eventTypes","ocel:global-log":{}}': "ocel1-json",
    XML1: "ocel1-xml",
    b'<log><events><event><string key="id" value="1"/></event></events></log>': "ocel1-xml",
    XML2: "ocel2-xml",
    b"<?xml version='1.0'?><!-- c --><log><event-types/></log>": "ocel2-xml",
    XML2.decode().encode("utf-16"): "ocel2-xml",
    b"<log><trace/></log>": "xes",
    b'<log><string key="creator" value="x"/></log>': "xes",
    b'<log xes.version="1.0"/>': "xes",
    b"ocel:eid,ocel:activity,ocel:timestamp,ocel:type:order\r\n": "ocel1-csv",
    b'\xef\xbb\xbf"ocel:eid";"ocel:activity"\n': "ocel1-csv",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.anything"


@pytest.mark.parametrize("content", SAMPLES)
@pytest.mark.parametrize("packed", [False, True])
def test_the_content_tells_the_format(path: Path, content: bytes, packed: bool) -> None:
    path.write_bytes(gzip.compress(content) if packed else content)
    assert open_log(path).format == SAMPLES[content]


@pytest.mark.parametrize(
    ("tables", "name"),
    [(("event", "object", "event_object"), "ocel2-sqlite"), (("EVENTS", "OBJECTS", "RELATIONS"), "ocel1-sqlite")],
)
def test_sqlite_by_its_tables(path: Path, tables: tuple[str, ...], name: str) -> None:
    with sqlite3.connect(path) as connection:
        for table in tables:
            connection.execute(f"CREATE TABLE {table} (ocel_id TEXT)")
    connection.close()
    assert open_log(path).format == name


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_folders_by_their_files(tmp_path: Path, ending: str) -> None:
    for table in ("event", "object"):
        (tmp_path / f"{table}.{ending}").write_bytes(b"")
    assert open_log(tmp_path).format == f"ocel2-{ending}-tables"


def test_the_header_may_stand_at_the_end(path: Path) -> None:
    events = [{"time": "t" * 100, "attributes": [{"name": "eventTypes", "value": i}]} for i in range(50_000)]
    path.write_text(json.dumps({"first": events, "objectTypes": [], "eventTypes": []}))
    assert open_log(path).format == "ocel2-json"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><body><p>404<br></body></html>", "web page"),
        (b"<html><head/></html>", "web page"),
        (b"<metadata><doi>1</doi></metadata>", "root is <metadata>"),
        (b"<log/>", "no event, object or trace"),
        (b"<log><objects>", "broken"),
        (b'<!DOCTYPE log [<!ENTITY a "b">]><log><trace/></log>', "entity"),
        (b'<!DOCTYPE log [<!ENTITY a SYSTEM "file:///etc/passwd">]><log>&a;</log>', "entity"),
        (b"[1, 2]", "JSON list"),
        (b'{"apiVersion":"v1","items":[{"id":1}]}', "apiVersion, items"),
        (b'{"events":[{"name":"click"}]}', "no OCEL log"),
        (b'{"events"', "no OCEL log"),
        (b'{"a":1},{"b":2}', "no OCEL log"),
        (b"//Redis\n{}", "comment"),
        ('{"events":[]}'.encode("utf-16"), "UTF-16"),
        ('{"events":[]}'.encode("utf-16-le"), "UTF-16"),
        (b"case,activity,timestamp\n1,a,2024\n", "plain table"),
        (b"PK\x03\x04rest", "ZIP"),
        (b"PAR1rest", "Parquet"),
        (gzip.compress(b"{}", mtime=0), "gzip file inside"),
        (b"SQLite format 3\x00rest", "SQLite"),
        (b"just some words", "neither JSON"),
        (b"\x00\x01\x00\x03", "binary"),
        (b'"\x00",b', "neither JSON"),
    ],
)
def test_what_is_no_log_is_named(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(gzip.compress(content) if content.startswith(b"\x1f\x8b") else content)
    with pytest.raises(LogRefused, match=reason) as refusal:
        open_log(path)
    assert refusal.value.fix
    assert refusal.value.where == path.name


def test_missing_odd_and_foreign_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LogRefused, match="no such file"):
        open_log(tmp_path / "missing")
    with pytest.raises(LogRefused, match="no tables"):
        open_log(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogRefused, match="neither a file nor a folder"):
        open_log(tmp_path / "pipe")
    (tmp_path / "other.db").touch()
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE customers (id)")
    connection.close()
    with pytest.raises(LogRefused, match="customers"):
        open_log(tmp_path / "other.db")


@pytest.mark.data
def test_real_files_are_told_apart(data: Path) -> None:
    expected = json.loads((data / "expected.json").read_text())
    for name, want in expected.items():
        if name[0] == "_":
            continue
        if want["format"] in FORMATS:
            assert open_log(data / name).format == want["format"], name
        else:
            with pytest.raises(LogRefused, match="no OCEL layout"):
                open_log(data / name)


@pytest.mark.data
def test_real_files_that_are_no_logs(data: Path) -> None:
    reasons = {
        "DATA.xml": "root is <metadata>",
        "Small_Data_Sets_Event_Logs_MongoDB.json": "_id, Attributes",
        "Small_Data_Sets_Redis.json": "comment",
        "not-a-database.sqlite": "Git LFS pointer",
    }
    files = sorted((data / "not_logs").iterdir())
    assert {file.name for file in files} == set(reasons)
    for file in files:
        with pytest.raises(LogRefused, match=reasons[file.name]):
            open_log(file)


def read_or_refuse(path: Path) -> None:
    with contextlib.suppress(LogRefused):
        for part in open_log(path):
            assert isinstance(part, Records | Declarations)


@settings(max_examples=100)
@given(st.binary(max_size=300) | st.sampled_from(list(SAMPLES)).flatmap(lambda head: st.binary().map(head.__add__)))
def test_any_bytes_are_read_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    read_or_refuse(path)


SEEDS = {
    "ocel2": json.dumps(
        {
            "eventTypes": [{"name": "a", "attributes": [{"name": "n", "type": "float"}]}],
            "objectTypes": [{"name": "t", "attributes": []}],
            "events": [
                {"id": "e", "type": "a", "time": "2024-01-01T00:00:00Z", "attributes": [{"name": "n", "value": 1.5}]}
            ],
            "objects": [{"id": "o", "type": "t", "relationships": [{"objectId": "o", "qualifier": "q"}]}],
        }
    ),
    "ocel1": json.dumps(
        {
            "ocel:global-log": {"ocel:version": ["1.0"], "ocel:object-types": ["t"]},
            "ocel:events": {"e": {"ocel:activity": "a", "ocel:timestamp": "2024", "ocel:omap": ["o"], "ocel:vmap": {}}},
            "ocel:objects": {"o": {"ocel:type": "t", "ocel:ovmap": {"x": [1, {"y": None}]}}},
        }
    ),
}
pieces = [*'{}[]",:\\0\n', "\x00", "é", "null", "1e999", '"id":']
edits = st.tuples(st.floats(0, 1), st.integers(0, 8), st.sampled_from(pieces))


@settings(max_examples=150)
@given(seed=st.sampled_from(list(SEEDS)), changes=st.lists(edits, min_size=1, max_size=6))
def test_damaged_logs_are_read_or_refused(path: Path, seed: str, changes: list[tuple[float, int, str]]) -> None:
    text = SEEDS[seed]
    for place, removed, added in changes:
        at = int(place * len(text))
        text = text[:at] + added + text[at + removed :]
    path.write_bytes(text.encode())
    read_or_refuse(path)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("date", "time"),
        ("TIMESTAMP", "time"),
        ("datetime", "time"),
        ("int", "integer"),
        (" Bigint ", "integer"),
        ("VARCHAR(20)", "string"),
        ("DECIMAL(10, 2)", "float"),
        ("number", "float"),
        ("bool", "boolean"),
        ("list", "list"),
        ("colour", "string"),
        (None, "string"),
    ],
)
def test_names_of_value_types(name: object, want: str) -> None:
    assert value_type(name) == want
