"""Sources of bytes: hashes, gzip and its bombs."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from ocelake.errors import LogRefused
from ocelake.ocel.detect import FORMATS
from ocelake.ocel.input import Input
from ocelake.ocel.read import LogSource, batch_frame, open_log, read_log
from ocelake.ocel.records import Declarations, Records

LOG = json.dumps({"eventTypes": [], "objectTypes": [], "objects": [], "events": [{"id": "e", "type": "a"}]}).encode()


def test_plain_and_packed_give_the_same_bytes(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.json", tmp_path / "b.bin"
    plain.write_bytes(LOG)
    # Two gzip members in a row are one stream.
    packed.write_bytes(gzip.compress(LOG[:20]) + gzip.compress(LOG[20:]))
    for path, size in ((plain, len(LOG)), (packed, packed.stat().st_size)):
        source = Input(path)
        assert source.is_gzip == (path == packed)
        assert source.size == size
        assert source.head == LOG
        assert source.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
        with source.stream() as stream:
            assert stream.read() == LOG
        with source.local_file() as local:
            assert local.read_bytes() == LOG
        assert (local == path) == (path == plain)
        assert local.exists() == (path == plain)


def test_a_folders_hash_is_of_its_names_and_contents(tmp_path: Path) -> None:
    hashes = set()
    for names in (("event.csv", "object.csv"), ("event.csv", "objects.csv")):
        folder = tmp_path / names[1]
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(b"x")
        assert Input(folder).content_hash == Input(folder).content_hash
        hashes.add(Input(folder).content_hash)
        assert Input(folder).size == 2
        (folder / "event.csv").write_bytes(b"y")
        hashes.add(Input(folder).content_hash)
    assert len(hashes) == 4


@pytest.mark.parametrize("damage", ["cut", "garbage", "checksum", "header"])
def test_broken_gzip_is_refused(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(LOG * 50))
    if damage == "cut":
        del packed[-20:]
    elif damage == "garbage":
        packed[30:60] = bytes(30)
    elif damage == "checksum":
        packed[-6] ^= 1
    else:
        packed[2] = 99
    path = tmp_path / "log.gz"
    path.write_bytes(packed)
    with pytest.raises(LogRefused, match="gzip"):
        for _ in open_log(path):
            pass


def test_a_gzip_bomb_is_refused_before_it_fills_memory_or_disk(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b'{"eventTypes":[],"x":"')
        for _ in range(120):
            stream.write(b"a" * (1 << 20))
    source = Input(path, max_ratio=10)
    with source.stream() as stream, pytest.raises(LogRefused, match="unpacks to more than"):
        stream.read()
    with pytest.raises(LogRefused, match="unpacks to more than"), source.local_file():
        pass


def test_a_batch_says_where_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    path.write_bytes(LOG)
    source = open_log(path)
    *_, declarations = source
    assert isinstance(declarations, Declarations)
    row = batch_frame(source, declarations, events=1, objects=0).row(0, named=True)
    assert row["batch_id"] == source.content_hash[:16]
    assert (row["source"], row["format"], row["source_bytes"]) == ("orders.json", "ocel2-json", len(LOG))
    assert (row["event_records"], row["object_records"]) == (1, 0)
    assert json.loads(row["declarations"]) == {"event_types": {}, "object_types": {}}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{", b"<log>", b"SQLite format 3\x00" + bytes(100)])
def test_a_reader_that_meets_another_file_refuses_it(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "event.csv"
    path.write_bytes(content)
    source = LogSource(Input(tmp_path if name.endswith("tables") else path), name)
    with contextlib.suppress(LogRefused):
        for part in source:
            assert isinstance(part, Records | Declarations)


def test_a_whole_log_is_read_and_judged(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    event = {"id": "e", "type": "a", "time": "2024-01-01T00:00:00Z", "relationships": [{"objectId": "o"}]}
    lost = {"id": "f", "type": "a", "relationships": [{"objectId": "missing"}]}
    path.write_text(json.dumps({"events": [event, lost], "objects": [{"id": "o", "type": "t"}], "objectTypes": []}))
    read = read_log(path)
    assert read.ocel.events["event_id"].to_list() == ["e"]
    assert read.ocel.events["batch_id"].to_list() == [Input(path).content_hash[:16]]
    assert read.ocel.event_objects.select("event_id", "object_id").rows() == [("e", "o")]
    assert read.quarantine.filter(pl.col("record_kind") == "event")["reason"].to_list() == ["missing_time"]
