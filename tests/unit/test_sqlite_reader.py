"""OCEL in SQLite: nothing is lost, both ways to read a table agree, and hostile databases do nothing."""

from __future__ import annotations

import gzip
import json
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import LogRefused
from ocelake.ocel import sqlite_reader
from ocelake.ocel.input import Input
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD, Declarations, Records
from ocelake.ocel.sqlite_reader import read_ocel1_sqlite, read_ocel2_sqlite
from tests.conftest import data_folder
from tests.unit.relational_logs import Tables, reference, shape, tables, write_sqlite

_READERS = {"ocel1-sqlite": read_ocel1_sqlite, "ocel2-sqlite": read_ocel2_sqlite}


def _expected() -> dict[str, dict[str, object]]:
    folder = data_folder()
    if folder is None:
        return {}
    logs = json.loads((folder / "expected.json").read_text())
    return {name: want for name, want in logs.items() if name[0] != "_" and want["format"] in _READERS}


def read(read_log, path: Path) -> tuple[pl.DataFrame, pl.DataFrame, Declarations]:
    events, objects = [EVENT_RECORD.to_frame()], [OBJECT_RECORD.to_frame()]
    *chunks, last = list(read_log(Input(path)))
    for chunk in chunks:
        assert isinstance(chunk, Records)
        events.append(chunk.events)
        objects.append(chunk.objects)
    assert isinstance(last, Declarations)
    for frames in (events, objects):
        whole = pl.concat(frames)
        assert whole["position"].to_list() == list(range(whole.height))
        assert whole["attributes"].null_count() == whole["relationships"].null_count() == 0
    return pl.concat(events), pl.concat(objects), last


def _reader(path: Path) -> object:
    return read_ocel1_sqlite if path.parent.name == "ocel1" else read_ocel2_sqlite


@cache
def read_real(path: Path) -> tuple[pl.DataFrame, pl.DataFrame, Declarations]:
    return read(_reader(path), path)


def database(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


CORE = """
CREATE TABLE event(ocel_id TEXT, ocel_type TEXT);
CREATE TABLE object(ocel_id TEXT, ocel_type TEXT);
CREATE TABLE event_map_type(ocel_type TEXT, ocel_type_map TEXT);
CREATE TABLE object_map_type(ocel_type TEXT, ocel_type_map TEXT);
CREATE TABLE event_object(ocel_event_id TEXT, ocel_object_id TEXT, ocel_qualifier TEXT);
CREATE TABLE object_object(ocel_source_id TEXT, ocel_target_id TEXT, ocel_qualifier TEXT);
"""


def values(record: dict[str, object]) -> list[tuple[object, ...]]:
    return [(a["name"], a["time"], a["value"], a["value_type"]) for a in record["attributes"]]


def targets(record: dict[str, object]) -> list[tuple[object, ...]]:
    return [(r["object_id"], r["qualifier"]) for r in record["relationships"]]


@pytest.mark.data
@pytest.mark.parametrize("name", _expected())
def test_real_logs_are_whole(data: Path, name: str) -> None:
    want = _expected()[name]
    events, objects, declarations = read_real(data / name)
    assert events["declared"].all()
    assert objects["declared"].all()
    declared = set(objects["object_id"])
    e2o = events["relationships"].explode(empty_as_null=False).struct.unnest()
    o2o = objects.select("object_id", "relationships").rename({"object_id": "source"})
    o2o = o2o.explode("relationships", empty_as_null=False).unnest("relationships")
    found = {
        "events": events.height,
        "objects": objects.height,
        "event_types": events["activity"].n_unique(),
        "object_types": objects["object_type"].n_unique(),
        "e2o": e2o.height,
        "o2o": o2o.height,
        "e2o_to_undeclared_objects": e2o.filter(~pl.col("object_id").is_in(declared)).height,
        "undeclared_objects": e2o.filter(~pl.col("object_id").is_in(declared))["object_id"].n_unique(),
        "o2o_to_undeclared_objects": o2o.filter(~pl.col("object_id").is_in(declared)).height,
        "o2o_duplicate_rows": o2o.height - o2o.unique().height,
    }
    counted = {key: value for key, value in want.items() if key in found}
    assert {key: found[key] for key in counted} == counted
    assert set(events["activity"]) <= set(declarations.event_types)
    assert set(objects["object_type"]) <= set(declarations.object_types)
    assert events["time"].null_count() == events.height - _timed(data / name, want["format"])


def _timed(path: Path, log_format: object) -> int:
    """Events with a row in a table of their type, by SQLite itself."""
    with Input(path).local_file() as local, closing(sqlite3.connect(local)) as connection:
        if log_format == "ocel1-sqlite":
            return connection.execute('SELECT count("ocel:timestamp") FROM EVENTS').fetchone()[0]
        tables = connection.execute("SELECT ocel_type_map FROM event_map_type").fetchall()
        return sum(connection.execute(f'SELECT count(*) FROM "event_{table}"').fetchone()[0] for (table,) in tables)


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name, want in _expected().items() if "object_changes" in want])
def test_changes_of_real_logs_are_those_with_a_changed_field(data: Path, name: str) -> None:
    _, objects, _ = read_real(data / name)
    found = objects.select("object_id", "attributes").explode("attributes", empty_as_null=False).unnest("attributes")
    found = found.select("object_id", "name", "time", "value").group_by(pl.all()).len()
    changes: list[tuple[object, ...]] = []
    with Input(data / name).local_file() as local, closing(sqlite3.connect(local)) as connection:
        for (table,) in connection.execute("SELECT ocel_type_map FROM object_map_type").fetchall():
            for _, column, *_ in connection.execute(f'PRAGMA table_info("object_{table}")').fetchall():
                changed = f'SELECT CAST(ocel_id AS TEXT), ?1, ocel_time, CAST("{column}" AS TEXT) FROM "object_{table}"'
                with suppress(sqlite3.OperationalError):  # a table without changes has no such column
                    changes += connection.execute(f"{changed} WHERE ocel_changed_field = ?1", [column])
    assert len(changes) == _expected()[name]["object_changes"]
    wanted = pl.DataFrame(changes, schema=found.drop("len").schema, orient="row").group_by(pl.all()).len("wanted")
    both = wanted.join(found, on=["object_id", "name", "time", "value"], how="left", nulls_equal=True)
    assert both.filter(pl.col("len").fill_null(0) < pl.col("wanted")).is_empty()


@pytest.mark.data
@pytest.mark.parametrize("name", _expected())
def test_both_ways_to_read_a_table_agree_on_real_logs(data: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The largest log has a hundred tables; there it is enough that the large ones are read in both ways.
    monkeypatch.setattr(sqlite_reader, "_MANY_ROWS", 20_000 if name.endswith(".gz") else 50)
    fast = read(_reader(data / name), data / name)
    monkeypatch.setattr(sqlite_reader, "_MANY_ROWS", 1_000_000)
    careful = read(_reader(data / name), data / name)
    assert_frame_equal(fast[0], careful[0])
    assert_frame_equal(fast[1], careful[1])
    assert fast[2] == careful[2]


@pytest.mark.data
def test_what_is_ignored_is_named(data: Path) -> None:
    _, _, pallets = read(read_ocel2_sqlite, data / "ocel2/pallet-logistics-v0.9.sqlite")
    assert list(pallets.metadata) == ["ignored:table:ocean_app_state"]
    _, _, permits = read_real(data / "ocel2/permitflow.sqlite.gz")
    ignored = ("valid_from", "valid_to", "relation_state")
    assert list(permits.metadata) == [f"ignored:column:object_object.{name}" for name in ignored]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("relational/northwind.sqlite", "Categories"),
        ("relational/inventory_management.db", "SalesOrderDocuments"),
        ("not_logs/not-a-database.sqlite", "not a database"),
    ],
)
@pytest.mark.parametrize("reader", _READERS.values())
def test_what_is_no_log_is_refused(data: Path, name: str, reason: str, reader: object) -> None:
    with pytest.raises(LogRefused, match=reason):
        read(reader, data / name)


def test_types_follow_storage_and_declared_types(tmp_path: Path) -> None:
    path = database(
        tmp_path / "log.sqlite",
        CORE
        + """
        INSERT INTO event VALUES ('1', 'a'), ('2', 'a');
        INSERT INTO event_map_type VALUES ('a', 'A');
        CREATE TABLE event_A(ocel_id INTEGER, ocel_time TIMESTAMP, n INTEGER, x REAL, t TEXT, f BOOLEAN, w TIMESTAMP,
                             free, v VARCHAR(9), d DECIMAL(10, 2), u UNSIGNED BIG INT, e REAL);
        INSERT INTO event_A VALUES (1, '2024-01-01', 7, 0.1, '007', 1, '2024-01-01', 5, 'v', 1.5, 3, NULL);
        INSERT INTO event_A VALUES (2, 1700000000, '7x', 1e300, 8, 'yes', 3, x'ff00', x'c3bc', 2,
                                    -9223372036854775808, NULL);
        """,
    )
    events, _, declarations = read(read_ocel2_sqlite, path)
    one, two = events.rows(named=True)
    assert (one["time"], two["time"]) == ("2024-01-01", "1700000000")
    assert values(one) == [
        ("n", None, "7", "integer"),
        ("x", None, "0.1", "float"),
        ("t", None, "007", None),
        ("f", None, "1", "integer"),
        ("w", None, "2024-01-01", None),
        ("free", None, "5", "integer"),
        ("v", None, "v", None),
        ("d", None, "1.5", "float"),
        ("u", None, "3", "integer"),
    ]
    assert values(two) == [
        ("n", None, "7x", None),
        ("x", None, "1e+300", "float"),
        ("t", None, "8", None),
        ("f", None, "yes", None),
        ("w", None, "3", "integer"),
        ("free", None, "ff00", None),
        ("v", None, "ü", None),
        ("d", None, "2", "integer"),
        ("u", None, "-9223372036854775808", "integer"),
    ]
    kinds = {"n": "integer", "x": "float", "t": "string", "f": "boolean", "w": "time", "v": "string", "d": "float"}
    assert declarations.event_types == {"a": {**kinds, "u": "integer", "e": "float"}}


def test_ids_compare_as_text(tmp_path: Path) -> None:
    path = database(
        tmp_path / "log.sqlite",
        """
        CREATE TABLE event(ocel_id INTEGER, ocel_type TEXT);
        CREATE TABLE event_A(ocel_id TEXT, ocel_time TEXT);
        CREATE TABLE object(ocel_id, ocel_type TEXT);
        CREATE TABLE object_B(ocel_id REAL, size INTEGER);
        CREATE TABLE event_map_type(ocel_type, ocel_type_map);
        CREATE TABLE object_map_type(ocel_type, ocel_type_map);
        CREATE TABLE event_object(ocel_event_id BLOB, ocel_object_id TEXT);
        INSERT INTO event VALUES (12, 'a');
        INSERT INTO event_A VALUES ('12', 't');
        INSERT INTO object VALUES ('1.0', 'b'), (9007199254740993, 'b');
        INSERT INTO object_B VALUES (1, 3);
        INSERT INTO event_map_type VALUES ('a', 'A');
        INSERT INTO object_map_type VALUES ('b', 'B');
        INSERT INTO event_object VALUES (12, 9007199254740993), ('12', '1.0'), (x'3132', 'x');
        """,
    )
    events, objects, _ = read(read_ocel2_sqlite, path)
    assert events.height == 1
    assert events["time"].to_list() == ["t"]
    assert targets(events.row(0, named=True)) == [("9007199254740993", None), ("1.0", None), ("x", None)]
    assert [values(row) for row in objects.rows(named=True)] == [[("size", None, "3", "integer")], []]


def test_rows_without_their_event_are_records_of_their_own(tmp_path: Path) -> None:
    path = database(
        tmp_path / "log.sqlite",
        CORE
        + """
        INSERT INTO event VALUES ('bare', 'a'), ('e', 'a'), ('other', 'b');
        INSERT INTO event_map_type VALUES ('a', 'A'), ('b', 'B'), ('gone', 'Gone');
        CREATE TABLE event_A(ocel_id TEXT, ocel_time TEXT, x TEXT);
        CREATE TABLE event_B(ocel_id TEXT, ocel_time TEXT);
        INSERT INTO event_A VALUES ('e', 't1', 'one'), ('lost', 't2', 'two'), ('e', 't3', 'three'),
                                   (NULL, 't4', 'four'), ('other', 't5', 'five');
        INSERT INTO event_object VALUES ('e', 'o', 'q'), ('nowhere', 'o', NULL), ('lost', 'o', ''), ('e', 'o', 'q'),
                                        (NULL, 'o', 'n'), ('nowhere', NULL, 'm');
        """,
    )
    events, objects, declarations = read(read_ocel2_sqlite, path)
    rows = events.select("event_id", "activity", "time", "declared").rows()
    assert rows == [
        ("bare", "a", None, True),
        ("e", "a", "t1", True),
        ("other", "b", "t5", True),
        ("e", "a", "t3", True),
        ("lost", "a", "t2", False),
        (None, "a", "t4", False),
        ("nowhere", None, None, False),
        (None, None, None, False),
    ]
    by_id = {row["position"]: row for row in events.rows(named=True)}
    assert targets(by_id[1]) == [("o", "q"), ("o", "q")]
    assert targets(by_id[3]) == []
    assert targets(by_id[4]) == [("o", "")]
    assert [v[2] for position in (1, 3, 4, 5) for v in values(by_id[position])] == ["one", "three", "two", "four"]
    assert events["relationships"].list.len().sum() == 6
    assert objects.height == 0
    assert list(declarations.event_types) == ["a", "b", "gone"]


@settings(max_examples=60)
@given(log=tables(), affinity=st.sampled_from(["TEXT", "", "TIMESTAMP"]), many=st.sampled_from([0, 20_000]))
def test_any_tables_become_the_records_of_a_reading_row_by_row(
    tmp_path_factory: pytest.TempPathFactory, log: Tables, affinity: str, many: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.sqlite"
    write_sqlite(log, path, affinity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_reader, "_MANY_ROWS", many)
        events, objects, _ = read(read_ocel2_sqlite, path)
    want_events, want_objects = reference(log)
    assert shape(events) == want_events
    assert shape(objects) == want_objects


def test_equal_rows_stay_two_records(tmp_path: Path) -> None:
    path = database(
        tmp_path / "log.sqlite",
        CORE
        + """
        INSERT INTO event_map_type VALUES ('a', 'A');
        CREATE TABLE event_A(ocel_id TEXT, ocel_time TEXT);
        INSERT INTO event VALUES ('e', 'a'), ('e', 'a');
        INSERT INTO event_A VALUES ('e', 't'), ('e', 't');
        INSERT INTO object VALUES ('o', 'b'), ('o', 'b'), ('o', 'c');
        INSERT INTO object_object VALUES ('o', 'o', 'q'), ('o', 'o', 'q');
        """,
    )
    events, objects, _ = read(read_ocel2_sqlite, path)
    assert events.select("event_id", "time", "declared").rows() == [("e", "t", True)] * 2
    assert objects.select("object_id", "object_type").rows() == [("o", "b"), ("o", "b"), ("o", "c")]
    assert objects["relationships"].list.len().to_list() == [2, 0, 0]


def test_a_change_is_its_field_alone(tmp_path: Path) -> None:
    path = database(
        tmp_path / "log.sqlite",
        CORE
        + """
        INSERT INTO object_map_type VALUES ('b', 'B');
        INSERT INTO object VALUES ('o', 'b');
        CREATE TABLE object_B(ocel_id TEXT, ocel_time TEXT, ocel_changed_field TEXT, x INTEGER, y TEXT);
        INSERT INTO object_B VALUES ('o', 't0', NULL, 1, 'new'), ('o', 't1', 'x', 2, 'new'),
                                    ('o', 't2', 'y', 2, NULL),
                                    ('o', 't3', 'x', 3, 'odd'), ('o', 't4', 'z', NULL, 'kept'),
                                    ('o', 't5', '', 4, NULL);
        """,
    )
    _, objects, declarations = read(read_ocel2_sqlite, path)
    assert values(objects.row(0, named=True)) == [
        ("x", "t0", "1", "integer"),
        ("y", "t0", "new", None),
        ("x", "t1", "2", "integer"),
        ("y", "t2", None, None),
        ("x", "t3", "3", "integer"),
        ("y", "t4", "kept", None),
        ("z", "t4", None, None),
        ("x", "t5", "4", "integer"),
    ]
    assert declarations.metadata["ignored:values:object_B"].startswith("1 values")


def test_names_are_quoted_and_compared_as_sqlite_does(tmp_path: Path) -> None:
    odd = 'Robert"); DROP TABLE event;-- ü'
    column = odd.replace('"', '""')
    path = database(
        tmp_path / "log #1?mode=rwc.sqlite",
        CORE.replace("ocel_type TEXT", "OCEL_Type TEXT")
        + f"""
        INSERT INTO event_map_type VALUES ('a', 'PLACE'), ('A', '{odd}'), ('none', NULL);
        CREATE TABLE event_place(OCEL_ID TEXT, Ocel_Time TEXT, "{column}" TEXT);
        CREATE TABLE "event_{column}"(ocel_id TEXT, ocel_time TEXT, rowid TEXT, "select" TEXT);
        INSERT INTO event VALUES ('e1', 'a'), ('e2', 'A');
        INSERT INTO event_place VALUES ('e1', 't1', 'v1');
        INSERT INTO "event_{column}" VALUES ('e2', 't2', 'v2', 'v3');
        """,
    )
    for many in (0, 20_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite_reader, "_MANY_ROWS", many)
            events, _, declarations = read(read_ocel2_sqlite, path)
        assert events.select("activity", "time").rows() == [("a", "t1"), ("A", "t2")]
        assert [values(row) for row in events.rows(named=True)] == [
            [(odd, None, "v1", None)],
            [("rowid", None, "v2", None), ("select", None, "v3", None)],
        ]
        assert list(declarations.event_types) == ["a", "A", "none"]
    assert list(tmp_path.iterdir()) == [path]


def test_types_that_share_a_table_are_told_by_their_ids(tmp_path: Path) -> None:
    path = database(
        tmp_path / "log.sqlite",
        CORE
        + """
        INSERT INTO event_map_type VALUES ('a', 'X'), ('A', 'x');
        CREATE TABLE event_X(ocel_id TEXT, ocel_time TEXT, n INTEGER, m INTEGER);
        INSERT INTO event VALUES ('1', 'A'), ('2', 'a');
        INSERT INTO event_X VALUES ('1', 't1', 1, NULL), ('2', 't2', NULL, 2);
        """,
    )
    events, _, declarations = read(read_ocel2_sqlite, path)
    assert events.select("activity", "time").rows() == [("A", "t1"), ("a", "t2")]
    assert declarations.event_types == {"a": {"m": "integer"}, "A": {"n": "integer"}}


def test_value_types_noted_beside_the_tables_override(tmp_path: Path) -> None:
    script = (
        CORE
        + """
        INSERT INTO object_map_type VALUES ('b', 'B');
        INSERT INTO object VALUES ('o', 'b'), ('p', 'b');
        CREATE TABLE object_B(ocel_id TEXT, ocel_time TEXT, ocel_changed_field TEXT, x INTEGER, y TEXT);
        INSERT INTO object_B VALUES ('o', 't0', NULL, x'3132', '[1]'), ('p', 't0', NULL, 5, 'true'),
                                    ('o', 't1', 'y', 0, '7');
        CREATE TABLE ocelake_value_type(ocel_table TEXT, ocel_id TEXT, ocel_time TEXT, ocel_row INTEGER, attribute TEXT,
                                        value_type TEXT);
        INSERT INTO ocelake_value_type VALUES
            ('object_B', 'o', 't0', 1, 'x', 'string'), ('object_B', 'o', 't0', 1, 'y', 'list'),
            ('object_B', 'p', 't0', 2, 'y', 'boolean'), ('object_B', 'o', 't1', 3, 'y', 'integer'),
            ('object_B', 'another', 't1', 2, 'x', 'string'), ('object_C', 'o', 't1', 3, 'x', 'string');
        """
    )
    for many in (0, 20_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite_reader, "_MANY_ROWS", many)
            _, objects, declarations = read(read_ocel2_sqlite, database(tmp_path / f"{many}.sqlite", script))
        assert [values(row) for row in objects.rows(named=True)] == [
            [("x", "t0", "12", "string"), ("y", "t0", "[1]", "list"), ("y", "t1", "7", "integer")],
            [("x", "t0", "5", "integer"), ("y", "t0", "true", "boolean")],
        ]
        assert not [name for name in declarations.metadata if name.startswith("ignored:table")]


def test_text_that_is_no_unicode_and_other_encodings_come_through(tmp_path: Path) -> None:
    rows = "INSERT INTO event VALUES ('é', 'a'), (CAST(x'ff41' AS TEXT), 'a'), ('nul' || char(0) || 'x', 'a');"
    events, _, _ = read(read_ocel2_sqlite, database(tmp_path / "bytes.sqlite", CORE + rows))
    assert events["event_id"].to_list() == ["é", "\\xffA", "nul\0x"]
    wide = "PRAGMA encoding = 'UTF-16le';" + CORE + "INSERT INTO event VALUES ('é', 'a'), (x'c3a9', 'ü');"
    for many in (0, 20_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite_reader, "_MANY_ROWS", many)
            events, _, _ = read(read_ocel2_sqlite, database(tmp_path / f"wide{many}.sqlite", wide))
        assert events.select("event_id", "activity").rows() == [("é", "a"), ("é", "ü")]


def test_views_and_virtual_tables_are_not_read(tmp_path: Path) -> None:
    script = (
        CORE.replace("CREATE TABLE event(ocel_id TEXT, ocel_type TEXT);", "")
        + """
        CREATE TABLE hidden(ocel_id TEXT, ocel_type TEXT);
        INSERT INTO hidden VALUES ('e', 'a');
        CREATE VIEW event AS SELECT * FROM hidden;
        CREATE VIRTUAL TABLE event_A USING fts4(ocel_id, ocel_time);
        """
    )
    path = database(tmp_path / "log.sqlite", script + "INSERT INTO object VALUES ('o', 'b');")
    events, objects, declarations = read(read_ocel2_sqlite, path)
    assert (events.height, objects.height) == (0, 1)
    assert "ignored:table:hidden" in declarations.metadata
    with pytest.raises(LogRefused, match="no event log"):
        read(read_ocel2_sqlite, database(tmp_path / "view.sqlite", "CREATE VIEW event AS SELECT 1 AS ocel_id;"))


def test_reading_writes_nothing_and_sees_one_file(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    writer = sqlite3.connect(path)
    writer.executescript("PRAGMA journal_mode = WAL;" + CORE + "INSERT INTO event VALUES ('e', 'a');")
    with pytest.raises(LogRefused, match="not in the file yet"):
        read(read_ocel2_sqlite, path)
    writer.close()
    before = path.read_bytes()
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert read(read_ocel2_sqlite, path)[0].height == 1
    finally:
        tmp_path.chmod(0o755)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_broken_database_is_refused(tmp_path: Path) -> None:
    numbered = ", ".join(f"('event number {n}', 'a')" for n in range(5000))
    whole = database(tmp_path / "log.sqlite", CORE + f"INSERT INTO event VALUES {numbered};").read_bytes()
    rng = random.Random(7)
    refused = Counter[str]()
    started = time.monotonic()
    for part in (whole[: len(whole) // 2], whole[:5000], whole[:100], whole[:20], b"", *[None] * 25):
        content = bytearray(whole if part is None else part)
        for _ in range(0 if part is not None else 200):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path = tmp_path / "broken.sqlite"
        path.write_bytes(content)
        for many in (100, 1_000_000):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sqlite_reader, "_MANY_ROWS", many)
                try:
                    read(read_ocel2_sqlite, path)
                except LogRefused as error:
                    refused[str(error)] += 1
    assert refused.total() > 10
    assert any("Its tables are: event" in message for message in refused)
    assert time.monotonic() - started < 60


def test_gzip_and_one_core_table_suffice(tmp_path: Path) -> None:
    path = database(tmp_path / "log.sqlite", "CREATE TABLE event(ocel_id TEXT); INSERT INTO event VALUES ('e');")
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    events, objects, _ = read(read_ocel2_sqlite, packed)
    assert events.select("event_id", "activity", "time").rows() == [("e", None, None)]
    assert objects.is_empty()
    with pytest.raises(LogRefused, match="no event log"):
        read(read_ocel1_sqlite, packed)


def test_columns_without_values_and_wide_tables(tmp_path: Path) -> None:
    wide = ", ".join(f"c{n} REAL" for n in range(1500))
    path = database(
        tmp_path / "log.sqlite",
        CORE
        + f"""
        INSERT INTO event_map_type VALUES ('a', 'A');
        CREATE TABLE event_A(ocel_id TEXT, ocel_time REAL, {wide});
        INSERT INTO event VALUES ('e', 'a');
        INSERT INTO event_A(ocel_id, c7, c1499) VALUES ('e', 1.5, -0.0);
        """,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_reader, "_MANY_ROWS", 0)
        events, _, declarations = read(read_ocel2_sqlite, path)
    assert values(events.row(0, named=True)) == [("c7", None, "1.5", "float"), ("c1499", None, "0.0", "float")]
    assert len(declarations.event_types["a"]) == 1500


@pytest.mark.parametrize("many", [0, 20_000])
@pytest.mark.parametrize("rowid", ["", "WITHOUT ROWID"])
def test_rows_come_in_the_order_of_the_table(tmp_path: Path, many: int, rowid: str) -> None:
    path = database(
        tmp_path / "log.sqlite",
        f"""
        CREATE TABLE event(ocel_id TEXT PRIMARY KEY, ocel_type TEXT);
        CREATE UNIQUE INDEX by_type ON event(ocel_type, ocel_id);
        CREATE TABLE event_object(ocel_event_id TEXT, ocel_object_id TEXT, pad TEXT, more TEXT,
                                  PRIMARY KEY(ocel_event_id, ocel_object_id)) {rowid};
        INSERT INTO event(rowid, ocel_id, ocel_type) VALUES (-7, 'z', 'b'), (3, 'y', 'a'), (1 << 60, 'x', 'c');
        INSERT INTO event_object(ocel_event_id, ocel_object_id) VALUES ('y', 'o3'), ('y', 'o1'), ('z', 'o2');
        """,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_reader, "_MANY_ROWS", many)
        events, _, _ = read(read_ocel2_sqlite, path)
    assert events["event_id"].to_list() == ["z", "y", "x"]
    related = [[target for target, _ in targets(record)] for record in events.rows(named=True)]
    assert related == [["o2"], ["o1", "o3"] if rowid else ["o3", "o1"], []]
