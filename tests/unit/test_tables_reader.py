"""OCEL in CSV and Parquet tables: the same records as from a database, and text as it was written."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.errors import LogRefused
from ocelake.ocel.csv_text import csv_header, read_csv
from ocelake.ocel.input import Input
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD, Declarations, Records
from ocelake.ocel.tables_reader import read_ocel1_csv, read_ocel2_tables
from tests.conftest import data_folder
from tests.unit.relational_logs import Tables, reference, shape, tables, write_csv, write_parquet

_READERS = {
    "ocel1-csv": read_ocel1_csv,
    "ocel2-csv-tables": read_ocel2_tables,
    "ocel2-parquet-tables": read_ocel2_tables,
}


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
    return pl.concat(events), pl.concat(objects), last


def csv_file(path: Path, text: str | bytes) -> Input:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Input(path)


def ids(record: dict[str, object]) -> list[tuple[object, object]]:
    return [(related["object_id"], related["object_type"]) for related in record["relationships"]]


@pytest.mark.data
@pytest.mark.parametrize("name", _expected())
def test_real_logs_are_whole(data: Path, name: str) -> None:
    want = _expected()[name]
    events, objects, declarations = read(_READERS[want["format"]], data / name)
    assert events["declared"].all()
    assert objects["declared"].all()
    assert events["defect"].null_count() == events.height
    assert events["time"].null_count() == 0
    o2o = objects["relationships"].explode(empty_as_null=False).struct.field("object_id")
    outside = o2o.filter(~o2o.is_in(set(objects["object_id"])))
    changes = objects["attributes"].explode(empty_as_null=False).struct.unnest()
    found = {
        "events": events.height,
        "objects": objects.height,
        "event_types": len(declarations.event_types),
        "object_types": len(declarations.object_types),
        "e2o": events["relationships"].list.len().sum(),
        "o2o": o2o.len(),
        "o2o_to_undeclared_objects": outside.len(),
        "undeclared_objects": outside.n_unique(),
        "object_changes": changes.filter(~pl.col("time").str.starts_with("1970")).height,
    }
    counted = {key: value for key, value in want.items() if key in found}
    assert {key: found[key] for key in counted} == counted


@pytest.mark.data
def test_parquet_keeps_native_types_and_its_manifest(data: Path) -> None:
    events, objects, declarations = read(read_ocel2_tables, data / "ocel2_tables/atlas-fulfillment")
    native = pl.read_parquet(data / "ocel2_tables/atlas-fulfillment/event.parquet")
    values = events["attributes"].explode(empty_as_null=False).struct.unnest()
    assert values.height == sum(native[name].count() for name in native.columns[3:])
    assert set(values["value_type"].unique()) == {None, "integer", "float", "boolean"}
    amounts = values.filter(pl.col("name") == "gross_amount")["value"].cast(pl.Float64)
    assert sorted(amounts) == sorted(native["gross_amount"].drop_nulls())
    manifest = json.loads((data / "ocel2_tables/atlas-fulfillment/manifest.json").read_text())["tables"]
    for types, table in ((declarations.event_types, "event"), (declarations.object_types, "object_change")):
        assert {name: sorted(of) for name, of in types.items()} == {
            name: sorted(of) for name, of in manifest[table]["type_attributes"].items()
        }
    assert declarations.event_types["Deliver Shipment"] == {"delivery_days": "float", "on_time": "boolean"}
    assert declarations.metadata["manifest:source"] == "atlas-fulfillment.sqlite"
    assert objects["attributes"].list.len().min() > 0


@settings(max_examples=40)
@given(
    log=tables(),
    separator=st.sampled_from([",", ";", "\t"]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_tables_become_the_records_of_a_reading_row_by_row(
    tmp_path_factory: pytest.TempPathFactory, log: Tables, separator: str, end: str, encoding: str
) -> None:
    folder = tmp_path_factory.mktemp("log")
    write_csv(log, folder / "csv", separator, end, encoding)
    write_parquet(log, folder / "parquet")
    want_events, want_objects = reference(log)
    for form in ("csv", "parquet"):
        events, objects, _ = read(read_ocel2_tables, folder / form)
        assert shape(events) == want_events
        assert shape(objects) == want_objects


def test_fields_are_text_and_blank_ones_no_value(tmp_path: Path) -> None:
    source = csv_file(tmp_path / "a.csv", '\ufeffid,b;x,c\r\n007, ,"""q"" \r\n2"\r\n1e3,NULL,\r\n\r\ntrue,"",nan')
    frame, malformed = read_csv(source)
    assert frame.rows() == [("007", None, '"q" \r\n2'), ("1e3", "NULL", None), ("true", None, "nan")]
    assert frame.columns == ["id", "b;x", "c"]
    assert malformed == ()


def test_rows_of_another_width_are_set_apart_but_for_empty_fields(tmp_path: Path) -> None:
    frame, malformed = read_csv(csv_file(tmp_path / "a.csv", 'a;b\n1;2;\n3\n"4;";5\n6;7;8\n9;10;;\n'))
    assert sorted(frame.rows()) == [("1", "2"), ("4;", "5"), ("9", "10")]
    assert malformed == ("3", "6;7;8")
    frame, malformed = read_csv(csv_file(tmp_path / "b.csv", 'a,b\n1,2\n3,"torn\n4,5\n6,7'))
    assert frame.rows() == [("1", "2")]
    assert malformed == ('3,"torn\n4,5\n6,7"',)
    frame, malformed = read_csv(csv_file(tmp_path / "c.csv", 'a,b\n1,5" pipe\n2,x'))
    assert frame.rows() == [("1", '5" pipe'), ("2", "x")]
    assert malformed == ()


def test_headers_with_odd_names(tmp_path: Path) -> None:
    source = csv_file(tmp_path / "a.csv", '\r\n,a,"b\nc",a,\n0,1,2,3,4\n')
    assert csv_header(source) == ["", "a", "b\nc", "a.1", ""]
    frame, _ = read_csv(source)
    assert frame.rows(named=True) == [{"a": "1", "b\nc": "2", "a.1": "3"}]
    for text in ("a,b", "a,b\n"):
        frame, malformed = read_csv(csv_file(tmp_path / "b.csv", text))
        assert (frame.columns, frame.height, malformed) == (["a", "b"], 0, ())


def test_what_cannot_be_read_as_a_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogRefused, match="empty"):
        read_csv(csv_file(tmp_path / "a.csv", ""))
    with pytest.raises(LogRefused, match="UTF-8"):
        read_csv(csv_file(tmp_path / "b.csv", "a,b\n1,ü\n".encode("latin-1")))
    with pytest.raises(LogRefused, match="ocel:eid"):
        read(read_ocel1_csv, csv_file(tmp_path / "c.csv", "case,activity\n1,2\n").path)
    with pytest.raises(LogRefused, match="no event log: no table is OCEL's; the tables are: a, b, c"):
        read(read_ocel2_tables, tmp_path)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("rows", "line"),
    [(b"3,\xff,5\n6,7\n", 3), (b"3,\xff\n6,7,8\n", 3), (b"3,4,5\n6,7\n8,\xc3", 5), (b'3,"x\ny\n\xe9",5\n', 5)],
)
def test_other_encodings_are_refused_by_line_whatever_the_row(tmp_path: Path, rows: bytes, line: int) -> None:
    path = csv_file(tmp_path / "a.csv", b"a,b\n1,2\n" + rows)
    with pytest.raises(LogRefused, match=rf"not UTF-8: line {line} has the byte 0x[cef]"):
        read_csv(path)


def test_characters_that_two_reads_share_are_whole(tmp_path: Path) -> None:
    # The parser reads 8 MiB at a time; with one byte more or less in front, every cut falls into a character once.
    for shift in range(4):
        value = "x" * shift + "\U0001f600" * 3_000_000
        frame, malformed = read_csv(csv_file(tmp_path / "a.csv", f"a,b\n1,{value}\n"))
        assert (frame["b"].to_list() == [value], malformed) == (True, ())


def test_a_broken_gzip_of_a_table_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(100_000)))
    with pytest.raises(LogRefused, match="gzip data is broken"):
        read_csv(csv_file(tmp_path / "a.csv.gz", packed[: len(packed) // 2]))


def test_huge_fields_fit(tmp_path: Path) -> None:
    huge = "x" * 20_000_000
    frame, _ = read_csv(csv_file(tmp_path / "a.csv", f"a,b\n1,{huge}\n"))
    assert frame["b"].to_list() == [huge]


def test_malformed_rows_become_records_of_their_own(tmp_path: Path) -> None:
    csv_file(tmp_path / "event.csv", "ocel_id,ocel_type\ne1,a\ne2\n")
    csv_file(tmp_path / "event_a.csv.gz", gzip.compress(b"ocel_id,ocel_time\ne1,t,x\n"))
    csv_file(tmp_path / "object_object.csv", "ocel_source_id,ocel_target_id,ocel_qualifier\no,p,q,r\n")
    csv_file(tmp_path / "readme.txt", "notes")
    csv_file(tmp_path / "event_object.csv", "")
    events, objects, declarations = read(read_ocel2_tables, tmp_path)
    assert events.select("position", "event_id", "time", "declared", "defect", "raw").rows() == [
        (0, "e1", None, True, None, None),
        (1, None, None, True, "malformed", "e2"),
        (2, None, None, True, "malformed", "e1,t,x"),
    ]
    assert objects.select("object_id", "defect", "raw").rows() == [(None, "malformed", "o,p,q,r")]
    none = "no table of OCEL 2.0"
    assert declarations.metadata == {"ignored:file:readme.txt": none, "ignored:table:event_object": none}
    csv_file(tmp_path / "event.csv", "")
    (tmp_path / "object_object.csv").unlink()
    with pytest.raises(LogRefused, match="no event log"):
        read(read_ocel2_tables, tmp_path)


def test_parquet_values_become_text(tmp_path: Path) -> None:
    at = datetime(2024, 3, 1, 12, 0, 0, 5000)
    frame = pl.DataFrame(
        {
            "ocel_id": [1],
            "ocel_type": pl.Series(["a"], dtype=pl.Categorical),
            "ocel_time": pl.Series([at.replace(tzinfo=UTC)]).dt.convert_time_zone("Europe/Berlin"),
            "naive": [at],
            "day": [date(2024, 3, 1)],
            "price": pl.Series(["12.50"]).cast(pl.Decimal(10, 2)),
            "small": pl.Series([7], dtype=pl.Int8),
            "real": [0.1],
            "yes": [True],
            "list": [["x", "y"]],
            "map": [{"k": 1}],
            "bytes": [b"\xff\x00"],
            "text": ["007"],
            "none": pl.Series([None], dtype=pl.Null),
        }
    )
    frame.write_parquet(tmp_path / "event.parquet")
    events, _, declarations = read(read_ocel2_tables, tmp_path)
    record = events.row(0, named=True)
    assert (record["event_id"], record["activity"], record["time"]) == ("1", "a", "2024-03-01T12:00:00.005Z")
    assert {value["name"]: (value["value"], value["value_type"]) for value in record["attributes"]} == {
        "naive": ("2024-03-01T12:00:00.005", "time"),
        "day": ("2024-03-01", "time"),
        "price": ("12.50", "float"),
        "small": ("7", "integer"),
        "real": ("0.1", "float"),
        "yes": ("true", "boolean"),
        "list": ('["x","y"]', "list"),
        "map": ('{"k":1}', "map"),
        "bytes": ("ff00", None),
        "text": ("007", None),
    }
    assert declarations.event_types["a"]["price"] == "float"
    (tmp_path / "event.parquet").write_bytes((tmp_path / "event.parquet").read_bytes()[:-20])
    with pytest.raises(LogRefused, match=r"event\.parquet"):
        read(read_ocel2_tables, tmp_path)


def test_id_lists_in_every_spelling(tmp_path: Path) -> None:
    source = csv_file(
        tmp_path / "log.csv",
        """ocel:eid,ocel:activity,ocel:timestamp,ocel:type:x,ocel:type:Y y,price
1.0,a,2024-01-01,"['o1', 'o,2']","[""o3""]", 2.50
2,a,t,"{'o1'}",set(),
3,a,t,[],,
4,b,t,"[1, 2.0]",o9,
5,b,t,"('it', ""it's"", 'a\\'b',)",nan,
6,b,t,"['open",x,1
7,b,t,"['a' 'b']",x,1
8,b,t,"[]", ,
9,b,t,"['o1', 'o1']",['o1'],
1.0,b,t,['again'],,
""",
    )
    events, objects, declarations = read(read_ocel1_csv, source.path)
    assert [ids(record) for record in events.rows(named=True)] == [
        [("o1", "x"), ("o,2", "x"), ("o3", "Y y")],
        [("o1", "x")],
        [],
        [("1", "x"), ("2.0", "x"), ("o9", "Y y")],
        [("it", "x"), ("it's", "x"), ("a'b", "x")],
        [],
        [("o1", "x"), ("o1", "x"), ("o1", "Y y")],
        [("again", "x")],
        [],
        [],
    ]
    assert events["event_id"].to_list() == ["1.0", "2", "3", "4", "5", "8", "9", "1.0", None, None]
    assert events["defect"].to_list() == [None] * 8 + ["malformed"] * 2
    assert json.loads(events["raw"][8])["ocel:type:x"] == "['open"
    assert events["attributes"].list.len().sum() == 1
    assert events["attributes"][0].to_list()[0]["value"] == " 2.50"
    assert objects.select("object_id", "object_type").rows()[:4] == [
        ("o1", "x"),
        ("o,2", "x"),
        ("o3", "Y y"),
        ("1", "x"),
    ]
    assert objects.select("object_id", "object_type").is_unique().all()
    assert declarations.object_types == {"x": {}, "Y y": {}}
    assert declarations.event_types == {"a": {}, "b": {}}
