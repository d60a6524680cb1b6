"""XES: what traces and events become, and what wrong files come to."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any
from xml.sax.saxutils import quoteattr

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.errors import LogRefused
from ocelake.ocel import xes_reader
from ocelake.ocel.input import Input
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD, Declarations
from ocelake.ocel.xes_reader import read_xes


def gather(output: Any) -> tuple[pl.DataFrame, pl.DataFrame, Declarations]:
    *chunks, last = output
    events = pl.concat([EVENT_RECORD.to_frame(), *(chunk.events for chunk in chunks)])
    objects = pl.concat([OBJECT_RECORD.to_frame(), *(chunk.objects for chunk in chunks)])
    assert events["position"].to_list() == list(range(events.height))
    assert objects["position"].to_list() == list(range(objects.height))
    return events, objects, last


def write(folder: Path, content: str) -> Input:
    path = folder / "log.xes"
    path.write_text(content, encoding="utf-8")
    return Input(path)


def read(folder: Path, content: str, **options: int) -> tuple[pl.DataFrame, pl.DataFrame, Declarations]:
    return gather(read_xes(write(folder, content), **options))


def values(frame: pl.DataFrame, row: int) -> list[tuple[str, str, str]]:
    return [(one["name"], one["value"], one["value_type"]) for one in frame["attributes"][row]]


# --- real logs


@pytest.mark.data
def test_real_logs_have_all_their_rows(data: Path) -> None:
    expected = json.loads((data / "expected.json").read_text())
    logs = {name: want for name, want in expected.items() if name[0] != "_" and want["format"] == "xes"}
    assert len(logs) == 3
    for name, want in logs.items():
        events, objects, declared = gather(read_xes(Input(data / name), block=1 << 16))
        assert (objects.height, events.height) == (want["traces"], want["events"]), name
        assert events["relationships"].list.len().sum() == want["events"]
        assert events["activity"].n_unique() == len(declared.event_types) == want["event_types"]
        assert events["event_id"].n_unique() == events.height
        assert objects["object_id"].n_unique() == objects.height
        assert events["defect"].null_count() == events.height
        assert events["time"].null_count() == 0


@pytest.mark.data
def test_a_real_log_in_full(data: Path) -> None:
    events, objects, declared = gather(read_xes(Input(data / "xes/running-example.xes")))
    first = events.row(0, named=True)
    assert (first["event_id"], first["activity"], first["sequence"]) == ("3/0", "register request", 0)
    assert first["time"] == "2010-12-30T14:32:00.000+01:00"
    assert first["relationships"] == [{"object_id": "3", "qualifier": "", "object_type": None}]
    assert values(events, 0) == [
        ("org:resource", "Pete", "string"),
        ("Activity", "register request", "string"),
        ("Resource", "Pete", "string"),
        ("Costs", "50", "string"),
    ]
    assert objects.row(0, named=True)["object_id"] == "3"
    assert values(objects, 0) == [("creator", "Fluxicon Nitro", "string")]
    assert declared.object_types == {"case": {"creator": "string"}}
    assert declared.event_types["decide"] == dict.fromkeys(("org:resource", "Activity", "Resource", "Costs"), "string")
    assert declared.metadata["attribute:creator"] == "Fluxicon Nitro"
    assert declared.metadata["extension:time"] == "http://code.deckfour.org/xes/time.xesext"
    assert declared.metadata["classifier:Activity"] == "Activity"
    assert declared.metadata["global:event:org:resource"] == "resource"


READ, REFUSED = "read", "refused"
VERDICTS: dict[str, tuple[Any, ...]] = {
    # file: (READ, events, objects, texts of malformed parts), or (REFUSED, what the reason has to name)
    # A file that says Correct or Standard is read, and so are those whose spelling the standard allows.
    "booleanCorrectValue": (READ, 0, 0, 0),
    "classifierCorrectAttributes": (READ, 0, 0, 0),
    "classifierEventCorrectAttributes": (READ, 0, 0, 0),
    "classifierTraceCorrectAttributes": (READ, 0, 0, 0),
    "dateCorrectValue": (READ, 0, 0, 0),
    "eventCorrectAttributes": (READ, 4, 1, 0),
    "extensionCorrectAttributes": (READ, 0, 0, 0),
    "extensionStandard": (READ, 0, 0, 0),
    "globalEventStringCorrectAttributes": (READ, 0, 0, 0),
    "globalStringCorrectAttributes": (READ, 0, 0, 0),
    "globalTraceStringCorrectAttributes": (READ, 0, 0, 0),
    "idCorrectValue": (READ, 0, 0, 0),
    "intCorrectValue": (READ, 0, 0, 0),
    "logCorrectAttributes": (READ, 0, 0, 0),
    "realCorrectValue": (READ, 0, 0, 0),
    "stringCorrectAttributes": (READ, 0, 0, 0),
    "traceCorrectAttributes": (READ, 0, 1, 0),
    "listEmptyValues": (READ, 0, 0, 0),  # a list may be empty
    "listTwoValues": (READ, 0, 0, 0),  # members of a list may share a key
    "logNoNestedAttributes": (READ, 0, 0, 0),  # a feature may be declared and not used
    "stringNotNestedButDeclared": (READ, 0, 0, 0),
    # Their events are as wrong as the files say: without activity or time, which is for conform to quarantine.
    "attributeEventSwapped": (READ, 1, 0, 0),
    "classifierEventSwapped": (READ, 1, 0, 0),
    "eventIdenticalAttributes": (READ, 4, 1, 0),
    "eventIncorrectType": (READ, 4, 1, 0),
    "extensionEventSwapped": (READ, 1, 0, 0),
    "extensionIncorrectKey": (READ, 1, 1, 0),
    "globalEventSwapped": (READ, 1, 0, 0),
    "traceEventSwapped": (READ, 1, 1, 0),
    # Something in a trace or event that XES does not have there: a malformed record of its own.
    "elementIncorrect": (READ, 4, 1, 1),
    "eventTooManyAttributes": (READ, 4, 1, 4),
    "logOutOfPlace": (READ, 4, 1, 1),
    "traceOutOfPlace": (READ, 4, 1, 1),
    "traceTooManyAttributes": (READ, 0, 1, 1),
    # Nothing but a header, and that is not in order.
    "attributeTraceSwapped": (REFUSED, "<attribute> comes after <trace>"),
    "attributeValuesSwapped": (REFUSED, "attributes after its <values>"),
    "booleanIncorrectValue": (REFUSED, "'yes'"),
    "classifierAttributeSwapped": (REFUSED, "<classifier> comes after <attribute>"),
    "classifierEmptyKeys": (REFUSED, "no keys"),
    "classifierIncorrectKey": (REFUSED, "'resource'"),
    "classifierIncorrectScope": (REFUSED, "'incorrect'"),
    "classifierNoAttributes": (REFUSED, "<classifier> has no 'name'"),
    "classifierTooManyAttributes": (REFUSED, "'attribute'"),
    "classifierTraceSwapped": (REFUSED, "<classifier> comes after <trace>"),
    "dateIncorrectValue": (REFUSED, "'2002-0530T09:30:10Z'"),
    "dateNoTZD": (REFUSED, "'2002-05-30T09:30:10'"),
    "extensionAttributeSwapped": (REFUSED, "<extension> comes after <attribute>"),
    "extensionClassifierSwapped": (REFUSED, "<extension> comes after <classifier>"),
    "extensionGlobalSwapped": (REFUSED, "<extension> comes after <global>"),
    "extensionNoAttributes": (REFUSED, "<extension> has no 'name'"),
    "extensionNotDeclared": (REFUSED, "'org:resource'"),
    "extensionTooManyAttributes": (REFUSED, "'attribute'"),
    "extensionTraceSwapped": (REFUSED, "<extension> comes after <trace>"),
    "globalAttributeSwapped": (REFUSED, "<global> comes after <attribute>"),
    "globalClassifierSwapped": (REFUSED, "<global> comes after <classifier>"),
    "globalIncorrectScope": (REFUSED, "'incorrect'"),
    "globalNoAttributes": (REFUSED, "<global> has no attribute"),
    "globalStringNoAttributes": (REFUSED, "<string> has no key"),
    "globalStringTooManyAttributes": (REFUSED, "'attribute'"),
    "globalTooManyAttributes": (REFUSED, "'attribute'"),
    "globalTraceSwapped": (REFUSED, "<global> comes after <trace>"),
    "idIncorrectValue": (REFUSED, "'No ID'"),
    "intIncorrectValue": (REFUSED, "'0.0'"),
    "listNoValues": (REFUSED, "no <values>"),
    "logNoAttributes": (REFUSED, "no XES log"),
    "logTooManyAttributes": (REFUSED, "'openxes.version'"),
    "noLog": (REFUSED, "no element found"),
    "realIncorrectValue": (REFUSED, "'1.0.0'"),
    "stringNestedNotDeclared": (REFUSED, "the attribute 'concept:name' has attributes"),
    "stringNoAttributes": (REFUSED, "<string> has no key"),
    "stringTooManyAttributes": (REFUSED, "'attribute'"),
}


@pytest.mark.data
def test_every_wrong_file_has_its_verdict(data: Path) -> None:
    files = {path.stem: path for path in (data / "xes_malformed").iterdir()}
    assert files.keys() == VERDICTS.keys()
    for name, (verdict, *details) in VERDICTS.items():
        if verdict == REFUSED:
            with pytest.raises(LogRefused) as caught:
                list(read_xes(Input(files[name])))
            assert details[0] in str(caught.value), name
            continue
        events, objects, _ = gather(read_xes(Input(files[name])))
        defects = pl.concat([events["defect"], objects["defect"]]).drop_nulls().to_list()
        assert defects == ["malformed"] * details[2], name
        whole = [frame.filter(pl.col("defect").is_null()).height for frame in (events, objects)]
        assert whole == list(details[:2]), name
        assert (
            ("Correct" in name and "Incorrect" not in name)
            or "Standard" in name
            or defects
            or events.filter(pl.col("time").is_null()).height
            or name in ("listEmptyValues", "listTwoValues", "logNoNestedAttributes", "stringNotNestedButDeclared")
        ), f"{name} is wrong, and nothing says so"


# --- what traces and events become


def log(*traces: str, header: str = "") -> str:
    return f'<log xes.version="1.0" xes.features="nested-attributes">{header}{"".join(traces)}</log>'


def trace(name: str | None, *events: str, more: str = "") -> str:
    named = "" if name is None else f'<string key="concept:name" value={quoteattr(name)}/>'
    return f"<trace>{named}{more}{''.join(events)}</trace>"


def event(name: str, more: str = "") -> str:
    return f'<event><string key="concept:name" value="{name}"/>{more}</event>'


def test_cases_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    one = event("a")
    traces = [trace(name, one) for name in ("x", "x", None, "x#2", "x", "", "trace-2")]
    events, objects, _ = read(tmp_path, log(*traces))
    ids = ["x", "x#2", "trace-2", "x#2#2", "x#3", "trace-5", "trace-2#2"]
    assert objects["object_id"].to_list() == ids
    assert events["event_id"].to_list() == [f"{case}/0" for case in ids]
    assert events["relationships"].list.first().struct.field("object_id").to_list() == ids
    assert values(objects, 0) == []
    assert values(objects, 1) == [("concept:name", "x", "string")]


def test_a_name_that_follows_the_events_is_the_case_all_the_same(tmp_path: Path) -> None:
    late = f'<trace>{event("a")}{event("b")}<string key="concept:name" value="late"/></trace>'
    for block in (256, 1 << 22):
        events, objects, _ = read(tmp_path, log(trace("c", event("a")), late, trace("d", event("b"))), block=block)
        assert objects["object_id"].to_list() == ["c", "late", "d"]
        assert events["event_id"].to_list() == ["c/0", "late/0", "late/1", "d/0"]


def test_events_outside_of_traces_have_no_object(tmp_path: Path) -> None:
    events, objects, _ = read(tmp_path, log(trace("c", event("a")), event("b"), event("c")))
    assert events["event_id"].to_list() == ["c/0", "/0", "/1"]
    assert events["relationships"].list.len().to_list() == [1, 0, 0]
    assert events["sequence"].to_list() == [0, None, None]
    assert objects.height == 1


def test_the_activity_is_the_name_or_the_classifier_or_missing(tmp_path: Path) -> None:
    header = (
        '<classifier name="c" scope="trace" keys="t"/><classifier name="d" keys="kind \'long key\'"/>'
        '<classifier name="e" keys="other"/>'
    )
    kind = '<string key="kind" value="k"/>'
    bodies = (kind + '<int key="long key" value="1"/>', kind, '<string key="other" value="o"/>', "")
    events, _, declared = read(tmp_path, log(trace("c", *(f"<event>{body}</event>" for body in bodies)), header=header))
    assert events["activity"].to_list() == ["k+1", "k+", None, None]
    assert values(events, 0) == [("kind", "k", "string"), ("long key", "1", "integer")]
    assert declared.event_types == {"k+1": {}, "k+": {}}


def test_values_keep_their_types_and_nesting(tmp_path: Path) -> None:
    body = (
        '<int key="i" value="007"/><float key="f" value="1.50"/><boolean key="b" value="true"/><id key="u" value="x"/>'
        '<date key="d" value="2020"/><int key="w" value="0.0"/><string key="none"/>'
        '<list key="l"><values><string key="a" value="1"/><string key="a" value="2"/></values></list>'
        '<list key="old"><int key="x" value="1"/><float key="y" value="2"/></list>'
        '<container key="c"><boolean key="x" value="false"/></container>'
        '<string key="n" value="v"><date key="when" value="2021"/></string>'
        '<string key="concept:name" value="again"/>'
    )
    events, objects, _ = read(tmp_path, log(trace("c", event("a", body), more='<int key="size" value="3"/>')))
    assert values(events, 0) == [
        ("i", "007", "integer"),
        ("f", "1.50", "float"),
        ("b", "true", "boolean"),
        ("u", "x", "string"),
        ("d", "2020", "time"),
        ("w", "0.0", "integer"),
        ("none", None, "string"),
        ("l", '[{"a":"1"},{"a":"2"}]', "list"),
        ("old", '{"x":1,"y":2.0}', "map"),
        ("c", '{"x":false}', "map"),
        ("n", '{"value":"v","attributes":{"when":"2021"}}', "map"),
        ("concept:name", "again", "string"),
    ]
    assert values(objects, 0) == [("size", "3", "integer")]


def test_declared_types_are_those_of_globals_and_values(tmp_path: Path) -> None:
    header = (
        '<global scope="trace"><string key="concept:name" value=""/><int key="a" value="0"/><int key="g" value="0"/>'
        '</global><global scope="event"><date key="time:timestamp" value=""/><float key="cost" value="0"/>'
        '<int key="n" value="0"/></global>'
    )
    traces = (
        trace(
            "1", event("x", '<string key="n" value="1"/>'), more='<int key="a" value="1"/><date key="b" value="2020"/>'
        ),
        trace("2", event("y"), more='<string key="a" value="1"/><date key="b" value="2021"/><list key="l"/>'),
    )
    _, _, declared = read(tmp_path, log(*traces, header=header))
    assert declared.object_types == {"case": {"g": "integer", "b": "time"}}
    assert declared.event_types == {"x": {"cost": "float"}, "y": {"cost": "float"}}


NAMES = st.none() | st.sampled_from(["1", "2", "case & co", "a/1"])
TRACES = st.lists(
    st.tuples(NAMES, st.lists(st.tuples(st.text("ab<&\"' é", max_size=5), st.integers(0, 9)), max_size=6))
)


@settings(max_examples=40)
@given(TRACES, st.sampled_from([256, 300, 1 << 22]), st.integers(0, 1 << 16))
def test_a_rendered_log_is_read_back(tmp_path: Path, traces: list[Any], block: int, seed: int) -> None:
    random = Random(seed)
    line = random.choice(["", "\n", "\r\n\t"])
    rendered = [
        trace(
            name,
            *(
                f'<event>{line}<int key="n" value="{number}"/>{line}<string key="concept:name" value={quoteattr(act)}/>'
                f'<date key="time:timestamp" value="2020-01-01T00:00:0{number}Z"/></event>{line}'
                for act, number in events
            ),
        )
        for name, events in traces
    ]
    events, objects, _ = read(tmp_path, log(*rendered), block=block)
    assert objects.height == objects["object_id"].n_unique() == len(traces)
    assert [
        case if name is None else case.partition("#")[0]
        for case, (name, _) in zip(objects["object_id"], traces, strict=True)
    ] == [f"trace-{number}" if name is None else name for number, (name, _) in enumerate(traces)]
    want = [
        (f"{case}/{n}", act, f"2020-01-01T00:00:0{number}Z", n, [("n", str(number), "integer")], case)
        for case, (_, steps) in zip(objects["object_id"], traces, strict=True)
        for n, (act, number) in enumerate(steps)
    ]
    got = [
        (
            *events.select("event_id", "activity", "time", "sequence").row(row),
            values(events, row),
            events["relationships"][row][0]["object_id"],
        )
        for row in range(events.height)
    ]
    assert got == want


def test_chunks_do_not_tear_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xes_reader, "CHUNK", 10)
    content = log(*(trace(str(n), *(event("a") for _ in range(7)), more='<int key="k" value="1"/>') for n in range(20)))
    whole = read(tmp_path, content)
    source = write(tmp_path, content)
    assert len(list(read_xes(source, block=256))) > 8
    small = gather(read_xes(source, block=256))
    assert small[0].equals(whole[0])
    assert small[1].equals(whole[1])


# --- broken and hostile files


def test_an_event_that_is_not_well_formed_does_not_take_its_trace_along(tmp_path: Path) -> None:
    bad = '<event><string key="concept:name" value="<"/></event>'
    content = log(trace("c", event("a"), bad, event("b")), trace("d", event("a")))
    for block in (256, 1 << 22):
        events, objects, _ = read(tmp_path, content, block=block)
        assert events["event_id"].to_list() == ["c/0", None, "c/2", "d/0"]
        assert events["defect"].to_list() == [None, "malformed", None, None]
        assert events["raw"][1] == bad
        assert objects["object_id"].to_list() == ["c", "d"]


def test_a_broken_trace_does_not_take_the_others_along(tmp_path: Path) -> None:
    content = log(trace("c", event("a")), "<trace x=1><event/></trace>", trace("d", event("a")))
    events, objects, _ = read(tmp_path, content)
    assert objects["object_id"].to_list() == ["c", None, "d"]
    assert objects["defect"].to_list() == [None, "malformed", None]
    assert objects["raw"][1] == "<trace x=1><event/></trace>"
    assert events["event_id"].to_list() == ["c/0", "d/0"]


def test_a_broken_event_outside_of_traces_is_one_record(tmp_path: Path) -> None:
    events, objects, _ = read(tmp_path, log(event("a"), "<event><string key='k' value='&x;'/></event>", event("b")))
    assert events["event_id"].to_list() == ["/0", None, "/2"]
    assert objects.height == 0


def test_a_file_cut_anywhere_gives_its_whole_events_and_the_torn_one(tmp_path: Path) -> None:
    content = log(trace("c", event("a"), event("b")), trace("d", event("a")))
    ends = [place + len("</event>") for place in range(len(content)) if content.startswith("</event>", place)]
    for cut in range(len(content)):
        whole = sum(end <= cut for end in ends)
        try:
            events, objects, _ = read(tmp_path, content[:cut])
        except LogRefused:
            assert not whole
            continue
        defects = pl.concat([events["defect"], objects["defect"]]).drop_nulls().to_list()
        assert defects == ["truncated"], cut
        assert events["event_id"].drop_nulls().to_list() == ["c/0", "c/1", "d/0"][:whole]
        assert set(events["event_id"].drop_nulls().str.split("/").list.first()) <= set(objects["object_id"])


@pytest.mark.parametrize(
    "content",
    ["", "<log/>", "<log><events/></log>", "<html/>", "<log><trace>" + "<list>" * 5000, "{}", "<log><trace"],
)
def test_what_is_no_log_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(LogRefused):
        read(tmp_path, content)


def test_no_entity_is_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET")
    for doctype in (
        f'<!DOCTYPE log [<!ENTITY a SYSTEM "{secret.as_uri()}">]>',
        f'<!DOCTYPE log SYSTEM "{secret.as_uri()}">',
    ):
        with pytest.raises(LogRefused, match="DOCTYPE"):
            read(tmp_path, doctype + log(trace("&a;", event("&a;"))))
