"""JSON logs: what is read, what is kept of the odd, and that the columnar way and the careful one agree."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.errors import LogRefused
from ocelake.ocel import json_records, json_salvage
from ocelake.ocel.input import Input
from ocelake.ocel.json_columns import EVENT, OBJECT, RecordKind, connect, read_columns
from ocelake.ocel.json_reader import read_ocel1_json, read_ocel2_json
from ocelake.ocel.json_scan import Elements, scan
from ocelake.ocel.read import read_log
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD, Declarations, ReaderOutput, Records

Write = Callable[[bytes | str], Input]
Log = tuple[pl.DataFrame, pl.DataFrame, Declarations]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    path = tmp_path_factory.mktemp("json") / "log.json"

    def to_input(text: bytes | str) -> Input:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return Input(path)

    return to_input


def gather(parts: ReaderOutput) -> Log:
    *records, declarations = parts
    assert isinstance(declarations, Declarations)
    events = pl.concat([EVENT_RECORD.to_frame(), *(part.events for part in records if isinstance(part, Records))])
    objects = pl.concat([OBJECT_RECORD.to_frame(), *(part.objects for part in records if isinstance(part, Records))])
    assert events["position"].to_list() == list(range(events.height))
    assert objects["position"].to_list() == list(range(objects.height))
    return events, objects, declarations


def one_event(write: Write, record: str) -> dict[str, object]:
    """Read a log with an ordinary event, this one, and another ordinary one."""
    plain = '{"id":"plain","type":"a","time":"2024-01-01T00:00:00Z","attributes":[],"relationships":[]}'
    events, _, _ = gather(read_ocel2_json(write(f'{{"events":[{plain},{record},{plain}],"objects":[]}}')))
    assert events.height == 3
    assert events["event_id"][0] == events["event_id"][2] == "plain"
    return events.row(1, named=True)


# --- real logs


@pytest.mark.data
@pytest.mark.parametrize("block", [1 << 14, 16 << 20])
@pytest.mark.parametrize("version", [1, 2])
def test_real_logs_have_their_counts(data: Path, version: int, block: int) -> None:
    expected = json.loads((data / "expected.json").read_text())
    names = [name for name, want in expected.items() if name[0] != "_" and want["format"] == f"ocel{version}-json"]
    assert names
    for name in names:
        read = read_ocel1_json if version == 1 else read_ocel2_json
        events, objects, declarations = gather(read(Input(data / name), block=block))
        got = {
            "events": events.height,
            "objects": objects.height,
            "e2o": events["relationships"].list.len().sum(),
            "o2o": objects["relationships"].list.len().sum(),
            "event_types": len({*events["activity"], *declarations.event_types}),
            "object_types": len({*objects["object_type"]}),
            "object_attribute_rows": objects["attributes"].list.len().sum(),
        }
        used_or_declared = len({*objects["object_type"], *declarations.object_types})
        want = {count: expected[name][count] for count in got if count in expected[name]}
        # For some logs the oracle counts the declared types, for others the used ones.
        assert want.pop("object_types") in (got["object_types"], used_or_declared), name
        assert {count: got[count] for count in want} == want, name
        assert events["defect"].null_count() == events.height
        assert objects["defect"].null_count() == objects.height


@pytest.mark.data
def test_nested_values_of_a_real_log(data: Path) -> None:
    events, _, declarations = gather(read_ocel1_json(Input(data / "ocel1/minimal_nested.jsonocel")))
    values = {value["name"]: (value["value"], value["value_type"]) for value in events["attributes"][0]}
    assert values == {
        "resource": ("Alessandro", None),
        "prepaid-amount": ("200.0", "float"),
        "nested-list": ("[true,false]", "list"),
        "nested-map": (
            '{"resource":"Nested Alessandro","prepaid-amount":300.0,"double-nested-list":[500]}',
            "map",
        ),
    }
    assert declarations.metadata["version"] == "0.1"
    assert declarations.metadata["global-event:ocel:activity"] == "__INVALID__"


# --- the columnar way and the careful one

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["id", "value", '"value": 5', "]},{", "{", "\\", '\\"', "null", "NaN", "12", "[a]", "é😀", "\x00", "value\\"]
)
numbers = ["0", "-0", "5", "-17", "1.50", "1E5", "1e400", "12345678901234567890123", "0.1", "NaN", "-Infinity", "01"]
others = ["null", "true", "false", "nul", "[]", "{}", '[1.50, {"a": null}]', '{"value": 7}', '"a\tb"']
escapes = ['"\\ud800"', '"\\u0069d"', '"\\/"']
literals = st.sampled_from(numbers + others + escapes)


@st.composite
def rendered(draw: st.DrawFn, pairs: list[tuple[str, str]]) -> str:
    """Render members as a JSON object in some layout."""
    space = draw(st.sampled_from(["", " ", "\n  ", "\r\n\t"]))
    comma = "," + space if draw(st.integers(0, 40)) else "," + space + ","
    body = comma.join(f"{json.dumps(name)}{space}:{space}{value}" for name, value in draw(st.permutations(pairs)))
    return "{" + space + body + space + ("}" if draw(st.integers(0, 20)) else ",}")


@st.composite
def members(draw: st.DrawFn, names: list[str], more: dict[str, st.SearchStrategy[str]]) -> str:
    """Draw an object that is ordinary in most members, and odd in some."""
    text = texts.map(lambda value: json.dumps(value, ensure_ascii=len(value) % 2 == 0))
    pairs = []
    for name in names:
        how = draw(st.integers(0, 30))
        if how == 0:
            continue
        usual = more.get(name, text)
        pairs.append((name, draw(literals) if how == 1 else draw(usual)))
        if how == 2:
            pairs.append((name, draw(literals)))
        if how == 3:
            pairs.append((draw(texts), draw(literals | text)))
    return draw(rendered(pairs))


def lists(item: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    ordinary = st.lists(item, max_size=4)
    odd = st.lists(item | item | literals, max_size=4)
    return (ordinary | ordinary | odd).map(lambda items: f"[{', '.join(items)}]")


value = literals | texts.map(json.dumps)
relations = lists(members(["objectId", "qualifier"], {}))
event_texts = members(
    ["id", "type", "time", "attributes", "relationships"],
    {"attributes": lists(members(["name", "value"], {"value": value})), "relationships": relations},
)
object_texts = members(
    ["id", "type", "attributes", "relationships"],
    {"attributes": lists(members(["name", "time", "value"], {"value": value})), "relationships": relations},
)


def alone(records: list[str], kind: RecordKind) -> list[dict[str, object]]:
    """Read each record by itself."""
    read = json_records.ocel2_event if kind is EVENT else json_records.ocel2_object
    defaults = {"declared": True, "attributes": [], "relationships": []}
    rows = [{"position": i, **defaults, **read(record.encode())} for i, record in enumerate(records)]
    return pl.DataFrame(rows, schema=kind.schema).to_dicts()


engine = connect()


@settings(max_examples=60)
@given(
    records=st.lists(event_texts, min_size=1, max_size=20).map(lambda texts: (EVENT, texts))
    | st.lists(object_texts, min_size=1, max_size=20).map(lambda texts: (OBJECT, texts))
)
def test_records_in_columns_are_as_each_record_alone(records: tuple[RecordKind, list[str]]) -> None:
    kind, written = records
    stream = io.BytesIO(f'{{"x":[{",".join(written)}]}}'.encode())
    (chunk,) = scan(stream, name="x", elements=["x"], kept=[])
    assert isinstance(chunk, Elements)
    frame, whole = read_columns(engine, chunk, kind)
    want = alone(written, kind)
    for row, is_whole, expected in zip(frame.to_dicts(), whole, want, strict=True):
        if is_whole:
            assert row == expected
    assert frame.schema == kind.schema


@settings(max_examples=60)
@given(
    events=st.lists(event_texts, min_size=1, max_size=12),
    objects=st.lists(object_texts, max_size=12),
    block=st.integers(16, 3000),
    order=st.permutations(["events", "objects", "eventTypes", "x"]),
    bom=st.booleans(),
)
def test_a_document_is_read_as_each_record_alone(
    write: Write, events: list[str], objects: list[str], block: int, order: list[str], bom: bool
) -> None:
    content = {
        "events": f"[{', '.join(events)}]",
        "objects": "[" + ",\n".join(objects) + "\r\n]",
        "eventTypes": '[{"name":"a","attributes":[{"name":"b","type":"int"}]}]',
        "x": '{"events":[{"id":"no event","type":"]"}]}',
    }
    text = "{" + ",\n".join(f'"{key}" : {content[key]}' for key in order) + "}"
    encoded = text.encode("utf-8-sig" if bom else "utf-8")
    got_events, got_objects, declarations = gather(read_ocel2_json(write(encoded), block=block))
    assert got_events.to_dicts() == alone(events, EVENT)
    assert got_objects.to_dicts() == alone(objects, OBJECT)
    assert declarations.event_types == {"a": {"b": "integer"}}
    assert declarations.metadata == {"ignored:key:x": "not read"}


def test_a_long_chunk_mixes_both_ways(write: Write) -> None:
    usual = '{"id":"e%d","type":"a","time":"t","attributes":[{"name":"n","value":1.50}],"relationships":[]}'
    odd = ['{"id":7,"x":1}', '{"id":{"a":1}}', '{"id":"é","attributes":[{"name":"n","value":[1.0]}]}']
    records = [odd[i % 3] if i % 100 == 5 else usual % i for i in range(2000)]
    events, _, _ = gather(read_ocel2_json(write(f'{{"events":[{",".join(records)}]}}')))
    assert events.to_dicts() == alone(records, EVENT)
    between = [*records[:1000], "5", *records[1000:]]
    events, _, _ = gather(read_ocel2_json(write(f'{{"events":[{",".join(between)}]}}')))
    assert events.to_dicts() == alone(between, EVENT)


@pytest.mark.parametrize("value", ['"é\\"x"', "12", "-1.50", "1E5", "0", "true", "null", '"null"'])
def test_ordinary_records_stay_in_columns(value: str) -> None:
    record = f'{{"id":"e","type":"a","attributes":[{{"name":"n","value":{value}}},{{"name":"m","value":"1"}}]}}'
    (chunk, *_) = scan(io.BytesIO(f'{{"x":[{record}]}}'.encode()), name="x", elements=["x"], kept=[])
    assert isinstance(chunk, Elements)
    frame, whole = read_columns(engine, chunk, EVENT)
    assert whole.all()
    assert frame.to_dicts() == alone([record], EVENT)


@pytest.mark.parametrize(
    "attribute",
    [
        '{"name":"n","valu\\u0065":1.50}',
        '{"name":"n","valu\\u0065":null}',
        '{"name":"n","x":1}',
        '{"name":"n","value":[]}',
        '{"name":"n","value":["an \\"escape\\""]}',
        '{"name":"n","value":NaN}',
        '{"name":"n","value":"1","value":"2"}',
        '{"value":"1"}',
        "5",
    ],
)
def test_what_columns_do_not_hold_is_left_over(attribute: str) -> None:
    record = f'{{"id":"e","type":"a","attributes":[{attribute}]}}'
    (chunk, *_) = scan(io.BytesIO(f'{{"x":[{record}]}}'.encode()), name="x", elements=["x"], kept=[])
    assert isinstance(chunk, Elements)
    assert not read_columns(engine, chunk, EVENT)[1].any()


# --- single odd records


@pytest.mark.parametrize(
    ("written", "text", "kind"),
    [
        ('"12"', "12", None),
        ("12", "12", "integer"),
        ("-0", "-0", "integer"),
        ("1.50", "1.50", "float"),
        ("1E5", "1E5", "float"),
        ("1e400", "1e400", "float"),
        ("12345678901234567890123", "12345678901234567890123", "integer"),
        ("NaN", "NaN", "float"),
        ("true", "true", "boolean"),
        ("null", None, None),
        ('"null"', "null", None),
        ("[1, 2.50]", "[1,2.50]", "list"),
        ('{"a": {"b": null}}', '{"a":{"b":null}}', "map"),
        ('"\\u00e9 \\ud83d\\ude00 \\"x\\" \\\\"', 'é 😀 "x" \\', None),
        ('"a\\u0000b"', "a\0b", None),
    ],
)
def test_values_keep_their_literal(write: Write, written: str, text: str | None, kind: str | None) -> None:
    row = one_event(write, f'{{"id":"e","type":"a","time":"t","attributes":[{{"name":"v","value":{written}}}]}}')
    assert row["attributes"] == [{"name": "v", "time": None, "value": text, "value_type": kind}]
    assert row["defect"] is None
    assert row["raw"] is None


@pytest.mark.parametrize(
    "record",
    [
        '{"id":"e","attributes":5}',
        '{"id":"e","attributes":{"a":1}}',
        '{"id":"e","attributes":[5]}',
        '{"id":"e","relationships":[null]}',
        '{"id":"e","relationships":[{"id":"o","type":"t"},{"id":"p","type":"t"}]}',
        '{"id":{"a":1},"type":"b"}',
        '{"id":["a"],"x":1}',
        '{"id":true,"type":"b"}',
        '{"id":"e","id":"f"}',
        '{"id":"e","relationships":[],"relationships":[{"objectId":"o"}]}',
        '{"id" "e"}',
        '{"id":"half a pair \\ud800"}',
        '{"id":"control \x01"}',
        "[1,[2]]",
        "[]",
        "17",
        '"text"',
        "null",
        "garbage",
    ],
)
def test_what_is_no_record_is_kept_as_malformed(write: Write, record: str) -> None:
    row = one_event(write, record)
    assert row["defect"] == "malformed"
    assert row["raw"] == record
    assert row["event_id"] is None


@pytest.mark.parametrize(
    ("record", "want"),
    [
        ('{"id":5,"type":"b","time":17}', {"event_id": "5", "activity": "b", "time": "17"}),
        ('{"id":1.50,"type":null}', {"event_id": "1.50", "activity": None}),
        ('{"id":"e","relationships":null,"attributes":null}', {"relationships": [], "attributes": []}),
        ('{"id":"e"}', {"event_id": "e", "relationships": [], "attributes": []}),
        ("{}", {"event_id": None}),
        ('{"i\\u0064":"e","type":"b"}', {"event_id": "e", "activity": "b"}),
        ('{"id":"e","type":"b",}', {"event_id": "e", "activity": "b"}),
        ('{"id":"e","type":"b","deep":%s}' % ("[" * 500 + "]" * 500), {"event_id": "e", "activity": "b"}),
    ],
)
def test_odd_records_that_can_be_read(write: Write, record: str, want: dict[str, object]) -> None:
    row = one_event(write, record)
    assert row["defect"] is None
    assert {name: row[name] for name in want} == want


def test_unknown_members_are_kept_in_the_text(write: Write) -> None:
    record = '{"id":"e","type":"b","time":"t","vendor":{"id":"x"},"relationships":[{"objectId":"o","since":3}]}'
    row = one_event(write, record)
    assert row["raw"] == record
    assert row["relationships"] == [{"object_id": "o", "qualifier": None, "object_type": None}]


def test_a_wrong_encoding_costs_only_its_records(write: Write) -> None:
    text = '{"events":[{"id":"ä","type":"x"},{"id":"b","type":"y"}],"objects":[]}'.encode("latin-1")
    events, _, _ = gather(read_ocel2_json(write(text)))
    assert events["defect"].to_list() == ["malformed", None]
    assert events["raw"][0] == '{"id":"\\xe4","type":"x"}'


# --- the document


def test_header_in_any_order_and_extras(write: Write) -> None:
    text = """{"version": ["2.0"], "x": 5, "events": [], "odd": {"a": [1]}, "objects": [{"id":"o","type":"t",
    "attributes":[{"name":"a","value":"1","time":"0"}],"relationships":[]}], "objectTypes": [{"name":"t","attributes":
    [{"name":"a","type":"integer"},{"name":"b","type":"Date"}]}, {"name":"unused"}], "eventTypes": 5}"""
    _, objects, declarations = gather(read_ocel2_json(write(text)))
    assert objects["object_id"].to_list() == ["o"]
    assert declarations.object_types == {"t": {"a": "integer", "b": "time"}, "unused": {}}
    assert declarations.metadata == {
        "version": "2.0",
        "x": "5",
        "ignored:key:odd": "not read",
        "ignored:key:eventTypes": "not readable",
    }


def test_members_that_occur_twice_are_both_read(write: Write) -> None:
    text = '{"events":[{"id":"a","type":"x"}],"events":[{"id":"b","type":"x"}],"objects":[]}'
    events, _, _ = gather(read_ocel2_json(write(text)))
    assert events["event_id"].to_list() == ["a", "b"]


def test_a_document_torn_anywhere_keeps_its_whole_records(write: Write) -> None:
    records = [
        f'{{"id":"e{i}","type":"a}}\\"]","relationships":[{{"objectId":"o","qualifier":"q"}}]}}' for i in range(3)
    ]
    text = f'{{"events": [{", ".join(records)}], "objects": [{{"id":"o","type":"t"}}, {{"id":"p","type":"t"}}]}}'
    ends = [text.index(record) + len(record) for record in records]
    object_ends = [text.index('"t"}') + 4, text.rindex('"t"}') + 4]
    for cut in range(1, len(text)):
        whole = sum(end <= cut for end in ends)
        if whole == 0:
            with pytest.raises(LogRefused):
                gather(read_ocel2_json(write(text[:cut]), block=37))
            continue
        events, objects, _ = gather(read_ocel2_json(write(text[:cut]), block=37))
        assert events["event_id"].drop_nulls().len() == whole, cut
        assert objects["object_id"].drop_nulls().len() == sum(end <= cut for end in object_ends), cut
        defects = [*events["defect"].drop_nulls(), *objects["defect"].drop_nulls()]
        assert defects == ["truncated"], cut
    torn, _, _ = gather(read_ocel2_json(write(text[: ends[1] + 10])))
    assert torn.row(2, named=True)["raw"] == records[2][:8]
    _, torn, _ = gather(read_ocel2_json(write(text[: object_ends[0] + 6])))
    assert torn.row(1, named=True)["defect"] == "truncated"


def test_what_follows_the_document_is_kept(write: Write) -> None:
    events, _, _ = gather(read_ocel2_json(write('{"events":[{"id":"a","type":"x"}],"objects":[]}\n{"events":[1]}')))
    assert events["defect"].to_list() == [None, "malformed"]
    assert events["raw"][1] == '{"events":[1]}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"events":[',
        '{"events":[' + "[" * 3_000_000,
        "{" * 1_000_000,
        '{"events":[],,"objects":[{}]}',
        '{"events" [] }',
        '{"events":[]}}',
        '\x00{"events":[{}]}',
    ],
)
def test_broken_documents_are_refused(write: Write, text: str) -> None:
    if text.endswith("}}"):
        with pytest.raises(LogRefused, match="no records"):
            gather(read_ocel2_json(write(text)))
        return
    with pytest.raises(LogRefused):
        gather(read_ocel2_json(write(text)))


def test_a_deep_record_and_a_long_text_between_ordinary_ones(write: Write) -> None:
    long = "x" * 10_000_000
    deep = "[" * 200_000 + "]" * 200_000
    row = one_event(write, f'{{"id":"e","type":"{long}"}}')
    assert row["activity"] == long
    row = one_event(write, f'{{"id":"e","attributes":[{{"name":"a","value":{deep}}}]}}')
    assert row["defect"] == "malformed"


def test_many_blocks_give_the_same_as_one(write: Write) -> None:
    text = json.dumps(
        {
            "events": [{"id": f"e{i}", "type": "[a]", "time": "t\\", "x": '"]'[: i % 3]} for i in range(400)],
            "objects": [{"id": str(i), "type": "\\" * (i % 4)} for i in range(300)],
        },
        indent=1,
    )
    whole = gather(read_ocel2_json(write(text)))
    assert (whole[0].height, whole[1].height) == (400, 300)
    for block in (13, 64, 1000):
        split = gather(read_ocel2_json(write(text), block=block))
        assert split[0].equals(whole[0])
        assert split[1].equals(whole[1])
        assert split[2] == whole[2]


# --- OCEL 1.0


def test_ocel1_with_its_extensions(write: Write) -> None:
    text = """{"ocel:global-log": {"ocel:version": ["1.0"], "ocel:object-types": ["t"], "ocel:attribute-names": ["p"]},
    "ocel:events": {"e{1": {"ocel:activity": "a", "ocel:timestamp": "2024", "ocel:omap": ["o", 7, "p"],
      "ocel:typedOmap": [{"ocel:oid": "o", "ocel:qualifier": "q"}, {"ocel:oid": "o", "ocel:qualifier": "r"}],
      "ocel:vmap": {"p": 1.50, "s": "x"}}, "five": 5, "e2": {"ocel:activity": "b", "ocel:omap": []}},
    "ocel:objects": {"o": {"ocel:type": "t", "ocel:ovmap": {"p": true}, "ocel:o2o": [{"ocel:oid": "p"}]},
      "o": {"ocel:type": "u"}, "p": []},
    "ocel:objectChanges": [{"ocel:oid": "o", "ocel:type": "t", "ocel:field": "p", "ocel:timestamp": "2025", "p": 3}],
    "ocel:objectTypes": {"t": {"p": "float"}}}"""
    events, objects, declarations = gather(read_ocel1_json(write(text), block=50))
    assert events["event_id"].to_list() == ["e{1", None, "e2"]
    assert events["defect"].to_list() == [None, "malformed", None]
    assert events["raw"][1] == '"five":5'
    related = [(item["object_id"], item["qualifier"]) for item in events["relationships"][0]]
    assert related == [("7", None), ("p", None), ("o", "q"), ("o", "r")]
    values = [(item["name"], item["value"], item["value_type"]) for item in events["attributes"][0]]
    assert values == [("p", "1.50", "float"), ("s", "x", None)]
    assert objects["object_id"].to_list() == ["o", "o", None, "o"]
    assert objects["object_type"].to_list() == ["t", "u", None, None]
    assert objects["declared"].to_list() == [True, True, True, False]
    assert objects["attributes"][3].to_list() == [{"name": "p", "time": "2025", "value": "3", "value_type": "integer"}]
    assert declarations.object_types == {"t": {"p": "float"}}
    assert declarations.metadata == {"version": "1.0", "attribute-names": "p"}


def test_ocel1_changes_are_of_the_object_that_is_declared(tmp_path: Path) -> None:
    """Changes before and after the objects, of an object declared and of one that is not."""
    change = {"ocel:type": "t", "ocel:field": "p"}
    changes = [
        {"ocel:oid": "o", **change, "ocel:timestamp": "2025-01-01", "p": 3},
        {"ocel:oid": "nobody", **change, "ocel:timestamp": "2025-01-01", "p": 4},
        {"ocel:oid": "o", **change, "ocel:timestamp": "2024-07-01", "p": 2},
    ]
    objects = {"o": {"ocel:type": "t", "ocel:ovmap": {"p": 1}}}
    event = {"ocel:activity": "a", "ocel:timestamp": "2024-06-01", "ocel:omap": ["o"], "ocel:vmap": {}}
    head = {"ocel:global-log": {"ocel:version": "1.0"}, "ocel:events": {"e": event}}
    parts = {"ocel:objects": objects, "ocel:objectChanges": changes}
    for number, order in enumerate([list(parts), list(parts)[::-1]]):
        path = tmp_path / f"{number}.jsonocel"
        path.write_text(json.dumps(head | {name: parts[name] for name in order}))
        found = read_log(path)
        values = found.ocel.object_attributes
        dates = [None if time is None else f"{time:%Y-%m-%d}" for time in values["time"]]
        assert list(zip(values["object_id"], dates, values["value"], strict=True)) == [
            ("o", None, "1"),
            ("o", "2024-07-01", "2"),
            ("o", "2025-01-01", "3"),
        ]
        assert found.ocel.objects.select("object_id", "object_type").rows() == [("o", "t")]
        assert found.quarantine.select("record_kind", "reason").rows() == [("object_attribute", "undeclared_object")]


def test_ocel1_with_no_global_event(write: Write) -> None:
    event = '{"ocel:activity":"a","ocel:timestamp":"t","ocel:omap":["o"],"ocel:vmap":{}}'
    text = f'{{"ocel:events":{{"1":{event}}},"ocel:objects":{{}}}}'
    events, objects, _ = gather(read_ocel1_json(write(text)))
    assert (events.height, objects.height) == (1, 0)


# --- records that break the document around them

BROKEN = {
    "a brace is missing": '{"id":"bad","relationships":[{"objectId":"o"}',
    "a bracket is missing": '{"id":"bad","relationships":[{"objectId":"o"}}',
    "a brace too many": '{"id":"bad"}}',
    "a bracket too many": '{"id":"bad","attributes":[]]}',
    "an inch mark": '{"id":"bad","type":"5" pipe"}',
    "a list that goes on": '{"id":"bad","attributes":[',
    "a lone quote": '{"id":"bad}',
}


@pytest.mark.parametrize("many", [3, 300])
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_record_costs_only_itself(write: Write, broken: str, many: int) -> None:
    tail = ',"type":"a","relationships":[{"objectId":"o"},{"objectId":"p"}]}'
    good = [f'{{"id":"e{i}"{tail}' for i in range(3 * many)]
    objects = [f'{{"id":"o{i}","type":"t"}}' for i in range(many)]
    for places in ([many], [many, many + 1], [many, 2 * many]):
        records = list(good)
        for place in reversed(places):
            records.insert(place, BROKEN[broken])
        text = f'{{"events": [{", ".join(records)}],\n"objects": [{", ".join(objects)}], "eventTypes": []}}'
        got, got_objects, declarations = gather(read_ocel2_json(write(text), block=1 << 12))
        read = got.filter(pl.col("defect").is_null() & (pl.col("event_id") != "bad"))
        assert read["event_id"].to_list() == [f"e{i}" for i in range(3 * many)], places
        # Where closing brackets are missing, the document ends too early as well.
        assert 1 <= got["defect"].count() <= len(places) + 1
        assert "bad" in "".join(got["raw"].drop_nulls()) or "bad" in got["event_id"]
        assert got_objects["object_id"].to_list() == [f"o{i}" for i in range(many)]
        assert declarations == Declarations()


@pytest.mark.parametrize("broken", ['{"ocel:type":"t"', '{"ocel:type":"5" pipe"}', '{"ocel:type":"t"]}'])
def test_a_broken_record_of_ocel1_costs_only_itself(write: Write, broken: str) -> None:
    members = [f'"o{i}": {{"ocel:type": "t", "ocel:ovmap": {{"a": 1}}}}' for i in range(9)]
    members.insert(4, f'"bad": {broken}')
    text = f'{{"ocel:objects": {{{", ".join(members)}}}, "ocel:events": {{"e": {{"ocel:activity": "a"}}}}}}'
    events, objects, _ = gather(read_ocel1_json(write(text)))
    assert objects.filter(pl.col("defect").is_null())["object_id"].to_list() == [f"o{i}" for i in range(9)]
    assert objects["defect"].count() == 1
    assert "bad" in objects["raw"].drop_nulls().item()
    assert events["event_id"].drop_nulls().to_list() == ["e"]


def test_breaks_beyond_the_limit_are_one_truncated_record(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_salvage, "_TRIES", 2)
    records = [
        '{"id":"bad","type":"b"]}' if i % 3 == 1 else f'{{"id":"e{i}","type":"a","time":"t"}}' for i in range(15)
    ]
    events, _, _ = gather(read_ocel2_json(write(f'{{"events":[{",".join(records)}]}}')))
    assert events["event_id"].to_list() == ["e0", None, "e2", "e3", None, "e5", "e6", None]
    assert events["defect"].to_list() == [None, "malformed", None, None, "malformed", None, None, "truncated"]
    assert events["raw"].to_list()[-1] == ",".join(records[7:]) + "]}"


@pytest.mark.timeout(60)
def test_thousands_of_unescaped_quotes_cost_little_time(write: Write) -> None:
    records = [
        f'{{"id":"e{i}","type":"{"5" * (i % 7 == 3)}{chr(34) * (i % 7 == 3)} pipe","time":""}}' for i in range(7000)
    ]
    events, _, _ = gather(read_ocel2_json(write(f'{{"events":[{", ".join(records)}],"objects":[]}}')))
    assert events["event_id"].drop_nulls().to_list() == [f"e{i}" for i in range(7000) if i % 7 != 3]
    assert events["defect"].count() == 1000
