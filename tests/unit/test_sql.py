"""SQL over the lake: what it gives, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyiceberg.types import LongType

from ocelake.errors import NotFound, QueryRefused
from ocelake.lake import Lake, PublicationRecord, open_lake
from ocelake.lake import sql as sql_module
from ocelake.lake.sql import SqlSession
from ocelake.lake.sql_files import WarehouseFiles, address
from ocelake.ocel.model import frame_schema
from ocelake.tables import TABLES, TIMESTAMP

START = datetime(2024, 1, 1, tzinfo=UTC)


def events(number: int) -> pl.DataFrame:
    return pl.select(position=pl.int_range(number)).select(
        event_id="e" + pl.col("position").cast(pl.String),
        activity=pl.when(pl.col("position") % 2 == 0).then(pl.lit("pay")).otherwise(pl.lit("ship")),
        time=(START + pl.duration(seconds=pl.col("position"))).cast(TIMESTAMP),
        sequence=pl.lit(0, pl.Int64),
        time_ambiguous=pl.lit(False),
        batch_id=pl.lit("b"),
        position="position",
    )


def publish(lake: Lake, log_id: str, number: int) -> PublicationRecord:
    with lake.publication(log_id, "silver") as publication:
        publication.replace("ocel.events", events(number))
        publication.replace("ocel.objects", frame_schema("ocel.objects").to_frame())
        return publication.commit()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = open_lake(tmp_path_factory.mktemp("lake"))
    for number in (3, 5):
        publish(lake, "orders", number)
    publish(lake, "claims", 2)
    return lake


def test_a_query_sees_every_log_and_pushes_down_what_it_needs(lake: Lake) -> None:
    found = lake.sql("SELECT log_id, count(*) AS events FROM ocel.events GROUP BY ALL ORDER BY ALL")
    assert found.rows() == [("claims", 2), ("orders", 5)]
    plan = lake.sql("EXPLAIN SELECT max(position) FROM ocel.events WHERE log_id = 'orders'")["explain_value"][0]
    assert "position" in plan
    assert "activity" not in plan
    assert "log_id = 'orders'" in plan or "log_id='orders'" in plan


def test_the_rows_are_those_of_the_lake(lake: Lake) -> None:
    found = lake.sql("SELECT * FROM ocel.events WHERE log_id = 'orders' ORDER BY position")
    assert_frame_equal(found.drop("log_id"), lake.read("ocel.events", "orders"), check_row_order=False)
    assert found["event_id"].to_list() == [f"e{n}" for n in range(5)]


def test_names_need_no_schema_and_no_case(lake: Lake) -> None:
    assert lake.sql("SELECT count(*) FROM Events").item() == 7
    assert lake.sql('SELECT count(*) FROM "OCEL"."events" e JOIN objects o ON true').item() == 0


def test_every_table_is_there_and_has_its_types_when_it_is_empty(lake: Lake) -> None:
    listed = lake.sql("SELECT table_schema || '.' || table_name FROM information_schema.tables").to_series()
    assert set(listed) == {*TABLES, "lake.publications"}
    for identifier, spec in TABLES.items():
        expected = {name: dtype for name, dtype in spec.schema.items() if name != "bucket"}
        assert lake.sql(f"FROM {identifier} LIMIT 0").schema == pl.Schema(expected), identifier
    assert {"ocel.objects"} <= {f"{s}.{n}" for s, n in lake.sql("SHOW ALL TABLES").select("schema", "name").rows()}


@pytest.mark.parametrize(
    "query",
    [
        "DESCRIBE ocel.events",
        "SUMMARIZE ocel.events",
        "SHOW TABLES",
        "EXPLAIN ANALYZE SELECT 1",
        "WITH e AS (FROM ocel.events) SELECT count(*) FROM e;",
        "VALUES (1)",
        "PIVOT ocel.events ON activity IN ('pay', 'ship') USING count(*) GROUP BY log_id",
        "SELECT * FROM range(3), unnest([1, 2]) -- a comment; with a semicolon",
        "SELECT (SELECT max(position) FROM ocel.events) AS a, {'type': 'COPY_QUERY_NODE'} AS b",
        "FROM memory.ocel.events",
        'WITH "My events" AS (FROM events), b AS (WITH c AS (FROM "my Events") FROM c) SELECT 1 FROM b, (FROM b) AS d',
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) FROM n",
        "WITH RECURSIVE n(a, b) USING KEY (a)"
        " AS (SELECT 1, 2 UNION SELECT a, b + 1 FROM recurring.n WHERE b < 4) FROM n",
        "SELECT x.event_id FROM (SELECT e.* FROM events AS e) AS x WHERE EXISTS (FROM ocel.events WHERE position > 0)",
        "FROM duckdb_views",
        "SHOW DATABASES",
        "SHOW ocel.events",
    ],
)
def test_queries_that_only_read_are_answered(lake: Lake, query: str) -> None:
    assert lake.sql(query).height > 0


def test_sums_of_whole_numbers_are_whole_numbers_and_intervals_are_durations(lake: Lake) -> None:
    found = lake.sql(
        "SELECT sum(position) AS total, sum(position) * 10::HUGEINT ** 30 AS big, max(time) - min(time) AS took,"
        " min(time) AS first, NULL::INTERVAL AS never, INTERVAL 1 MONTH AS month FROM ocel.events"
    )
    assert found.schema["total"] == pl.Int64
    assert found.row(0)[0] == 11
    assert found.row(0)[2:] == (timedelta(seconds=4), START, None, timedelta(days=30))


def test_two_sums_of_which_one_is_too_large(lake: Lake) -> None:
    found = lake.sql("SELECT 9223372036854775807::HUGEINT + 1 AS large, 7::HUGEINT AS small")
    assert [int(value) for value in found.row(0)] == [2**63, 7]
    assert found.schema["small"] == pl.Int64


def test_publications_are_a_table(lake: Lake) -> None:
    found = lake.sql("SELECT publication_id FROM lake.publications ORDER BY time")["publication_id"].to_list()
    assert found == ["orders.silver.1", "orders.silver.2", "claims.silver.1"]
    assert lake.sql("SELECT count(*) FROM publications", as_of="orders.silver.2").item() == 2


def test_time_travel(lake: Lake) -> None:
    count = "SELECT count(*) FROM ocel.events"
    assert lake.sql(count, as_of="orders.silver.1").item() == 3
    assert lake.sql(count).item() == 7
    first = lake.publications().filter(publication_id="orders.silver.2")["time"].item()
    assert lake.sql(count, as_of=first).item() == 5
    assert lake.sql(count, as_of=first.isoformat()).item() == 5
    assert lake.sql(count, as_of="2000-01-01").item() == 0
    with pytest.raises(NotFound):
        lake.sql(count, as_of="orders.silver.9")


def test_a_new_publication_shows_at_once(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    publish(lake, "orders", 1)
    assert lake.sql("SELECT count(*) FROM ocel.events").item() == 1
    publish(open_lake(tmp_path), "orders", 4)
    assert lake.sql("SELECT count(*) FROM ocel.events").item() == 4
    assert lake.sql("SELECT count(*) FROM lake.publications").item() == 2


def test_nothing_is_planned_again_while_the_lake_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(tmp_path)
    publish(lake, "orders", 1)
    planned: list[str] = []
    plan = sql_module.plan_table
    monkeypatch.setattr(
        sql_module, "plan_table", lambda spec, *how: planned.append(spec.identifier) or plan(spec, *how)
    )
    for _ in range(3):
        lake.sql("SELECT count(*) FROM ocel.events")
    assert planned == ["ocel.events"]


@pytest.mark.parametrize("listed", ["", " JOIN lake.publications p ON p.publication_id = 'orders.silver.1'"])
def test_one_query_sees_one_publication_also_while_another_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    lake = open_lake(tmp_path)

    def both(number: int) -> None:
        with open_lake(tmp_path).publication("orders", "silver") as publication:
            publication.replace("ocel.events", events(number))
            types = {"activity": [f"a{n}" for n in range(number)]}
            publication.replace("ocel.event_types", pl.DataFrame(types, schema=frame_schema("ocel.event_types")))
            publication.commit()

    both(2)
    waiting = [4]
    plan = sql_module.plan_table

    def overtaken(*how: object) -> object:
        found = plan(*how)
        if waiting:
            both(waiting.pop())
        return found

    monkeypatch.setattr(sql_module, "plan_table", overtaken)
    query = f"SELECT (SELECT count(*) FROM events{listed}) AS e, (SELECT count(*) FROM event_types) AS t"
    assert lake.sql(query).row(0) == (2, 2)
    assert not waiting
    assert lake.sql(query).row(0) == (4, 4)


def test_the_list_of_publications_is_of_the_moment_of_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = open_lake(tmp_path)
    publish(lake, "orders", 2)
    query = "SELECT (SELECT count(*) FROM events) AS e, (SELECT max(number) FROM publications) AS p"
    load, waiting = lake.store.tables, [4]

    def overtaken(*how: object) -> object:
        if waiting:
            publish(open_lake(tmp_path), "orders", waiting.pop())
        return load(*how)

    monkeypatch.setattr(lake.store, "tables", overtaken)
    assert lake.sql(query).row(0) == (2, 1)
    assert not waiting
    assert lake.sql(query).row(0) == (4, 2)
    assert lake.sql(query, as_of="2999-01-01").row(0) == (4, 2)
    publish(lake, "orders", 5)
    assert lake.sql(query, as_of="2999-01-01").row(0) == (5, 3)


def test_a_renamed_column_keeps_its_values_and_an_added_one_is_null(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    publish(lake, "orders", 2)
    with lake.table("ocel.events").update_schema() as update:
        update.rename_column("activity", "event_type")
        update.add_column("cost", LongType())
    found = lake.sql("SELECT event_id, event_type, cost FROM ocel.events ORDER BY event_id")
    assert found.rows() == [("e0", "pay", None), ("e1", "ship", None)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "0 statements"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELEC 1", "syntax error"),
        ("COPY (SELECT 1) TO '{file}'", "COPY"),
        ("WITH x AS (COPY (SELECT 1) TO '{file}') FROM x", "COPY"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'", "not a plain query"),
        ("EXPLAIN ANALYZE WITH x AS (COPY (SELECT 1) TO '{file}') FROM x", "COPY"),
        ("SELECT (WITH x AS (INSERT INTO lake.publications FROM lake.publications RETURNING 1) SELECT 1)", "INSERT"),
        ("DELETE FROM lake.publications", "DELETE"),
        ("CREATE TABLE t (i INTEGER)", "CREATE"),
        ("DROP VIEW ocel.events", "DROP"),
        ("ATTACH '{file}' AS other", "ATTACH"),
        ("INSTALL httpfs", "LOAD"),
        ("LOAD json", "LOAD"),
        ("PRAGMA version", "PRAGMA"),
        ("SET threads = 1", "SET"),
        ("USE gold", "SET"),
        ("CALL pragma_version()", "CALL"),
        ("PREPARE p AS SELECT 1", "PREPARE"),
        ("EXPORT DATABASE '{file}'", "EXPORT"),
        ("PIVOT ocel.events ON activity", "PIVOT"),
        ("FROM read_text('{secret}')", "read_text"),
        ("FROM read_csv('/etc/passwd')", "read_csv"),
        ("FROM system.main.read_blob('/etc/passwd')", "read_blob"),
        ("SELECT * FROM ocel.events WHERE EXISTS (FROM glob('/*'))", "glob"),
        ("SELECT 1 ORDER BY (SELECT max(content) FROM read_text('/etc/passwd'))", "read_text"),
        ("FROM read_parquet('{data}')", "read_parquet"),
        ("FROM sniff_csv('{secret}')", "sniff_csv"),
        ("FROM query('FROM read_text(''{secret}'')')", "query"),
        ("FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))", "json_execute_serialized_sql"),
        ("FROM '{secret}'", "no table"),
        ("FROM '{secret}.csv'", "nothing else can be read"),
        ("FROM 'https://example.com/a.parquet'", "nothing else can be read"),
        ("FROM 'lake://file://{secret}?.csv'", "nothing else can be read"),
        ("SELECT s.* FROM ocel.events, 'lake://file://{secret}?.csv' AS s", "nothing else can be read"),
        ("FROM '{data}'", "nothing else can be read"),
        ("DESCRIBE '{data}'", "nothing else can be read"),
        ("SUMMARIZE 'lake://file:///etc/passwd?.csv'", "nothing else can be read"),
        ("FROM '{warehouse}/ocel/events/data/**/*.parquet'", "nothing else can be read"),
        ('SELECT * FROM (WITH "{data}" AS (SELECT 1) SELECT 2), "{data}"', "nothing else can be read"),
        ("FROM secret.csv", "no table secret.csv"),
        ("SELECT * FROM (WITH a AS (SELECT 1) FROM a), a", "a"),
        ("SELECT getenv('HOME')", "getenv"),
        ("FROM local_frame", "no table local_frame"),
        ("FROM ocel.event", "Do you mean ocel.events?"),
        ("FROM nowhere.events", "The tables are bronze.batches"),
        ("SELECT activty FROM ocel.events", "activty"),
        ("SELECT CAST('x' AS INTEGER)", "Could not convert"),
    ],
)
def test_anything_else_is_refused(lake: Lake, tmp_path: Path, query: str, said: str) -> None:
    local_frame = pl.DataFrame({"secret": [1]})
    assert local_frame.height == 1
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    names = {
        "file": tmp_path / "written",
        "secret": secret,
        "data": lake.plan("ocel.events").paths[0],
        "warehouse": lake.settings.warehouse,
    }
    lake.sql("SELECT count(*) FROM ocel.events")
    with pytest.raises(QueryRefused, match=r"(?s)" + said.replace("?", r"\?")) as refused:
        lake.sql(query.format(**{name: str(place).removeprefix("file://") for name, place in names.items()}))
    assert refused.value.fix
    assert not names["file"].exists()


@pytest.mark.parametrize(
    "statement",
    [
        "FROM read_text('{secret}')",
        "FROM glob('{secret}')",
        "COPY (SELECT 1) TO '{secret}'",
        "ATTACH '{secret}' AS other",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "LOAD httpfs",
        "FROM local_frame",
        "COPY (SELECT 1) TO 'lake://{secret}'",
        "FROM read_text('lake://{secret}')",
        "FROM read_text('lake://file://{secret}')",
        "FROM 'lake://file:///etc/passwd?.csv'",
    ],
)
def test_the_connection_by_itself_reaches_nothing_else(lake: Lake, tmp_path: Path, statement: str) -> None:
    local_frame = pl.DataFrame({"secret": [1]})
    assert local_frame.height == 1
    (tmp_path / "secret.txt").write_text("secret")
    connection = duckdb.connect()
    session = SqlSession(lake, connection)
    session.query("SELECT count(*) FROM ocel.events")
    with pytest.raises(duckdb.Error):
        connection.execute(statement.format(secret=tmp_path / "secret.txt")).fetchall()
    assert session.query("SELECT count(*) FROM ocel.events").item() == 7
    connection.close()


def test_only_planned_files_are_served(lake: Lake, tmp_path: Path) -> None:
    table, (path, *_) = lake.table("ocel.events"), lake.plan("ocel.events").paths
    (tmp_path / "secret").write_text("secret")
    files = WarehouseFiles()
    with pytest.raises(FileNotFoundError):
        files.open(address(path, None))
    files.serve("ocel.events", table.io, [address(path, None)])
    assert files.info(address(path, None))["size"] > 0
    assert files.open(address(path, None)).read(4) == b"PAR1"
    for name in (
        f"lake://{tmp_path}/secret",
        f"lake://file://{tmp_path}/secret",
        address(str(tmp_path / "secret"), None),
    ):
        with pytest.raises(FileNotFoundError):
            files.open(name)
        with pytest.raises(FileNotFoundError):
            files.info(name)
    files.serve("ocel.events", table.io, [])
    with pytest.raises(FileNotFoundError):
        files.open(address(path, None))


def test_a_given_connection_is_used_and_left_open(lake: Lake) -> None:
    with duckdb.connect() as connection:
        session = SqlSession(lake, connection)
        assert session.query("SELECT count(*) FROM ocel.events").item() == 7
        session.close()
        assert connection.execute("SELECT count(*) FROM ocel.events").fetchall() == [(7,)]


def test_a_refused_query_leaves_the_session_usable(lake: Lake) -> None:
    for _ in range(3):
        with pytest.raises(QueryRefused):
            lake.sql("SELECT nothing FROM ocel.events")
        assert lake.sql("SELECT count(*) FROM ocel.events").item() == 7


def test_columns_of_one_name_are_numbered(lake: Lake) -> None:
    assert lake.sql("select 1 as a, 2 as a, 3 as a_1").columns == ["a", "a_1", "a_1_1"]
