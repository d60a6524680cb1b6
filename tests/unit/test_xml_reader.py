"""OCEL 2.0 and 1.0 XML: what is read, by both ways, and what broken and hostile files come to."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from random import Random
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.errors import LogRefused
from ocelake.ocel import xml_fast, xml_reader
from ocelake.ocel.input import Input
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD, Declarations, Records
from ocelake.ocel.xml_reader import read_ocel1_xml, read_ocel2_xml

FUZZ = settings(max_examples=50)


class _Slow(xml_reader._Ocel2):
    """OCEL 2.0 by expat alone."""

    rests = None


def gather(output: Any) -> tuple[pl.DataFrame, pl.DataFrame, Declarations]:
    *chunks, last = output
    assert isinstance(last, Declarations)
    assert all(isinstance(chunk, Records) for chunk in chunks)
    events = pl.concat([EVENT_RECORD.to_frame(), *(chunk.events for chunk in chunks)])
    objects = pl.concat([OBJECT_RECORD.to_frame(), *(chunk.objects for chunk in chunks)])
    assert events.schema == EVENT_RECORD
    assert objects.schema == OBJECT_RECORD
    assert events["position"].to_list() == list(range(events.height))
    assert objects["position"].to_list() == list(range(objects.height))
    return events, objects, last


def write(folder: Path, content: str | bytes, name: str = "log.xml") -> Input:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Input(path)


def read2(folder: Path, content: str | bytes, **options: int) -> tuple[pl.DataFrame, pl.DataFrame, Declarations]:
    return gather(read_ocel2_xml(write(folder, content), **options))


def refusal(folder: Path, content: str | bytes, read: Any = read_ocel2_xml) -> str:
    with pytest.raises(LogRefused) as caught:
        list(read(write(folder, content)))
    return str(caught.value)


# --- real logs


@pytest.mark.data
def test_real_logs_have_all_their_rows(data: Path) -> None:
    expected = json.loads((data / "expected.json").read_text())
    readers = {"ocel2-xml": read_ocel2_xml, "ocel1-xml": read_ocel1_xml}
    logs = {name: want for name, want in expected.items() if name[0] != "_" and want["format"] in readers}
    assert len(logs) == 6
    for name, want in logs.items():
        for block in (1 << 12, 1 << 22):
            events, objects, _ = gather(readers[want["format"]](Input(data / name), block=block))
            got = {
                "events": events.height,
                "objects": objects.height,
                "e2o": events["relationships"].list.len().sum(),
                "o2o": objects["relationships"].list.len().sum(),
                "object_attribute_rows": objects["attributes"].list.len().sum(),
                "event_types": events["activity"].n_unique(),
                "object_types": objects["object_type"].n_unique(),
            }
            assert got == got | {key: count for key, count in want.items() if key in got}, name
            assert events["defect"].null_count() == events.height
            assert objects["declared"].all()


@pytest.mark.data
def test_real_logs_are_the_same_by_both_ways(data: Path) -> None:
    for path in sorted((data / "ocel2").glob("*.xml*")):
        fast, slow = _both(Input(path), 1 << 14)
        assert fast[0].equals(slow[0]), path.name
        assert fast[1].equals(slow[1]), path.name
        assert fast[2] == slow[2]


@pytest.mark.data
def test_what_a_real_log_says_beside_its_records(data: Path) -> None:
    _, _, declared = gather(read_ocel2_xml(Input(data / "ocel2/QEL_Inventory_Management_extended.xml")))
    assert declared.metadata == {"ignored:element:quantity-extension": "1"}
    assert declared.object_types["Customer Order"] == {"customer_id": "string", "customer_order_accepted": "float"}
    assert len(declared.event_types) == 8


# --- generated logs, rendered in many ways

LEGAL = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn"), include_characters="\n\t\r&<>\"'")
TEXT = st.text(LEGAL, max_size=20) | st.sampled_from(["", "a&b", "]]&gt;", "x" * 30, "&amp;lt;", "é" * 13])
ATTRIBUTE = st.fixed_dictionaries(
    {
        "name": TEXT,
        "time": st.none() | st.sampled_from(["1970-01-01T00:00:00Z", "2024-05-01 10:00:00"]),
        "value": TEXT,
        "value_type": st.none() | st.sampled_from(["string", "integer", "list"]),
    }
)
RELATION = st.fixed_dictionaries({"object_id": TEXT, "qualifier": st.none() | TEXT, "object_type": st.none()})
EVENT = st.fixed_dictionaries(
    {
        "event_id": TEXT,
        "activity": TEXT,
        "time": st.none() | st.just("2024-05-01T10:00:00.123+02:00"),
        "attributes": st.lists(ATTRIBUTE, max_size=3),
        "relationships": st.lists(RELATION, max_size=3),
    }
)
OBJECT = st.fixed_dictionaries(
    {
        "object_id": TEXT,
        "object_type": TEXT,
        "attributes": st.lists(ATTRIBUTE, max_size=3),
        "relationships": st.lists(RELATION, max_size=3),
    }
)
EVENT_KEYS = ("event_id", "activity", "time", "attributes", "relationships")
OBJECT_KEYS = ("object_id", "object_type", "attributes", "relationships")


class Style:
    """How a document is spelt: drawn, so that usual and unusual spellings meet."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self.choose = lambda *options: random.choice(options)
        self.line = self.choose("\n", "\r\n", "")
        self.step = self.choose("  ", "\t", " ") if self.line else ""
        self.shut = self.choose("/", " /")
        self.plain = self.choose(True, False)

    def attributes(self, **pairs: str | None) -> str:
        given = [(key.replace("_", "-"), value) for key, value in pairs.items() if value is not None]
        if not self.plain and self.choose(0, 0, 1):
            given.reverse()
        quote = (
            (lambda text: "'" + quoteattr(text + '"')[1:-2] + "'")
            if not self.plain and self.choose(0, 0, 0, 1)
            else None
        )
        return "".join(f" {key}={_double(value) if quote is None else _single(value)}" for key, value in given)

    def break_(self, depth: int) -> str:
        return self.line + depth * self.step

    def extra(self) -> str:
        return (
            ""
            if self.plain
            else self.choose("", "", "", "<!-- <event id='no'/> -->", "<extra><attribute/></extra>", " ")
        )

    def text(self, text: str) -> str:
        if not self.plain and "]]>" not in text and "\r" not in text and self.choose(0, 0, 0, 1):
            return f"<![CDATA[{text}]]>"
        return escape(text, {"\r": "&#13;"})

    def block(self, name: str, depth: int, inner: list[str]) -> str:
        if not inner:
            return self.choose("", f"{self.break_(depth)}<{name}{self.shut}>", f"{self.break_(depth)}<{name}></{name}>")
        body = "".join(self.break_(depth + 1) + one for one in inner)
        return f"{self.break_(depth)}<{name}>{body}{self.break_(depth)}</{name}>"

    def record(self, name: str, head: str, row: dict[str, Any]) -> str:
        values = [
            f"<attribute{self.attributes(name=one['name'], time=one['time'], type=one['value_type'])}>"
            f"{self.text(one['value'])}</attribute>"
            for one in row["attributes"]
        ]
        element = "relationship" if self.plain else self.choose("relationship", "relationship", "object")
        relations = [
            f"<{element}{self.attributes(object_id=one['object_id'], qualifier=one['qualifier'])}{self.shut}>"
            for one in row["relationships"]
        ]
        inner = self.block("attributes", 3, values) + self.block("objects", 3, relations) + self.extra()
        return f"{self.break_(2)}<{name}{head}>{inner}{self.break_(2)}</{name}>{self.extra()}"

    def document(self, events: list[dict[str, Any]], objects: list[dict[str, Any]]) -> str:
        rendered = "".join(
            self.record("event", self.attributes(id=row["event_id"], type=row["activity"], time=row["time"]), row)
            for row in events
        )
        described = "".join(
            self.record("object", self.attributes(id=row["object_id"], type=row["object_type"]), row) for row in objects
        )
        sections = [
            f"{self.break_(1)}<events>{rendered}{self.break_(1)}</events>",
            f"{self.break_(1)}<objects>{described}{self.break_(1)}</objects>",
        ]
        if self.choose(0, 1):
            sections.reverse()
        space = self.choose("", ' xmlns="http://www.ocel-standard.org/"')
        return f"<?xml version='1.0' encoding='UTF-8'?>\n<log{space}>{''.join(sections)}{self.line}</log>"


def _double(text: str) -> str:
    return '"' + escape(text, {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}) + '"'


def _single(text: str) -> str:
    return "'" + escape(text, {"'": "&apos;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}) + "'"


def _both(source: Input, block: int) -> tuple[Any, Any]:
    return gather(read_ocel2_xml(source, block=block)), gather(xml_reader._read(_Slow(source), source, block))


@FUZZ
@given(
    st.integers(0, 1 << 16), st.lists(EVENT, max_size=5), st.lists(OBJECT, max_size=5), st.sampled_from([300, 1 << 22])
)
def test_a_rendered_log_is_read_back_by_both_ways(
    tmp_path: Path, seed: int, events: list[Any], objects: list[Any], block: int
) -> None:
    document = Style(seed).document(events, objects)
    fast, slow = _both(write(tmp_path, document), block)
    for got in (fast, slow):
        assert [{key: row[key] for key in EVENT_KEYS} for row in got[0].to_dicts()] == events
        assert [{key: row[key] for key in OBJECT_KEYS} for row in got[1].to_dicts()] == objects
    assert fast[2] == slow[2]


USUAL = "".join(
    f'\n    <event id="e{n}" type="place &amp; pay" time="2024-01-01T00:00:{n:02}Z">\n      <attributes>\n'
    f'        <attribute name="price">1.{n}</attribute>\n'
    '        <attribute name="note" type="list">[1, "é"]</attribute>\n'
    '      </attributes>\n      <objects>\n        <relationship object-id="o1" qualifier="a"/>\n'
    f'        <relationship object-id="a longer name of {n}" qualifier=""/>\n      </objects>\n    </event>'
    for n in range(12)
)
HEAD = "<?xml version='1.0' encoding='UTF-8'?>\n<log>\n  <events>"
TAIL = "\n  </events>\n</log>\n"


@FUZZ
@given(st.integers(0, len(USUAL) - 1), st.integers(0, 12), st.text("<>\"'/ =&;\n\t\r\0aé]!-", max_size=4))
def test_a_changed_byte_changes_both_ways_alike(tmp_path: Path, place: int, length: int, text: str) -> None:
    document = HEAD + USUAL[:place] + text + USUAL[place + length :] + TAIL
    source = write(tmp_path, document)
    results: list[Any] = []
    for read in (read_ocel2_xml, lambda source: xml_reader._read(_Slow(source), source, 1 << 22)):
        try:
            results.append(gather(read(source)))
        except LogRefused as error:
            results.append(error.what)
    assert type(results[0]) is type(results[1])
    if isinstance(results[0], tuple):
        assert results[0][0].equals(results[1][0])
        assert results[0][1].equals(results[1][1])
        assert results[0][2] == results[1][2]


def test_the_usual_shape_takes_the_quick_way() -> None:
    frame = xml_fast.take_records(USUAL.encode(), "event", 7)
    assert frame is not None
    assert frame["position"].to_list() == list(range(7, 19))
    assert frame["activity"][0] == "place & pay"
    assert frame["attributes"][0].to_list()[1] == {
        "name": "note",
        "time": None,
        "value": '[1, "é"]',
        "value_type": "list",
    }


@pytest.mark.parametrize(
    "odd",
    [
        '<event id=\'e\' type="a" time="t"></event>',
        '<event id="e" type="a" time="t"><!-- c --></event>',
        '<event id="e" type="a&#10;" time="t"></event>',
        '<event id="e" type="a\n" time="t"></event>',
        '<event id="e" type="a" time="t">x</event>',
        '<event id="e" type="a" time="t" more="x"></event>',
        '<event id="e" type="a" time="t"><objects></event>',
        '<event id="e" type="a" time="t"><attributes><attribute name="n">a\rb</attribute></attributes></event>',
        '<event id="e\x01" type="a" time="t"></event>',
        '<event id="\ufffe" type="a" time="t"></event>',
        '<event id="e" type="a" time="t"x/>',
        '<event id="e" type="a" time="t" x></event>',
        '<event id="e" type="a" time="t"x></event>',
        '<event id="e"xtype="a" time="t"></event>',
        '<evens id="e" type="a" time="t"></event>',
        '<event id="e" type="a" time="t"></evens>',
        '<object id="e" type="a"></object>',
        "",
    ],
)
def test_any_other_shape_does_not(odd: str) -> None:
    assert xml_fast.take_records(odd.encode(), "event", 0) is None


# --- the format's corners


def test_declarations_drafts_and_what_is_ignored(tmp_path: Path) -> None:
    events, objects, declared = read2(
        tmp_path,
        """<log version="2.0" xmlns:x="http://x"><events><event id="e" type="a" time="t" extra="1">
        <foo><attribute/></foo><objects><object object-id="o" qualifier="q"/><relobj object-id="p"/></objects>
        </event></events>
        <x:object-types><x:object-type name="T"><attributes><attribute name="n" type="DOUBLE"/></attributes>
        </x:object-type></x:object-types><event-types><event-type name="a"/></event-types>
        <objects><object id="o" type="T"/></objects><foo/></log>""",
    )
    assert [row["object_id"] for row in events["relationships"][0].to_list()] == ["o", "p"]
    assert objects.select("object_id", "object_type").row(0) == ("o", "T")
    assert declared.event_types == {"a": {}}
    assert declared.object_types == {"T": {"n": "float"}}
    assert declared.metadata == {
        "version": "2.0",
        "ignored:element:foo": "2",
        "ignored:attribute:event.extra": "1",
    }


def test_missing_ids_and_types_are_kept_as_missing(tmp_path: Path) -> None:
    events, _, _ = read2(
        tmp_path, '<log><events><event><objects><relationship qualifier="q"/></objects></event></events></log>'
    )
    assert events.select("event_id", "activity", "time").row(0) == (None, None, None)
    assert events["relationships"][0].to_list() == [{"object_id": None, "qualifier": "q", "object_type": None}]


def test_records_come_in_chunks(tmp_path: Path) -> None:
    event = '<event id="e" type="a" time="t"><objects><relationship object-id="o" qualifier=""/></objects></event>'
    source = write(tmp_path, f"<log><events>{event * 120_000}</events></log>")
    *chunks, _ = read_ocel2_xml(source, block=1 << 20)
    assert len(chunks) == 3
    assert pl.concat([chunk.events for chunk in chunks])["position"].to_list() == list(range(120_000))


def test_an_empty_log_is_a_log(tmp_path: Path) -> None:
    events, objects, declared = read2(tmp_path, "<log><events/><objects/></log>")
    assert (events.height, objects.height, declared) == (0, 0, Declarations())


def test_ocel1_values_keep_their_types(tmp_path: Path) -> None:
    source = write(
        tmp_path,
        """<log><global scope="log"><string key="version" value="1.0"/><list key="object-types">
        <string key="t" value="T"/></list></global><events><event><string key="id" value="e"/>
        <string key="ocel:activity" value="a"/>
        <date key="timestamp" value="2020-01-01"/><list key="omap"><string key="object-id" value="o"/></list>
        <list key="vmap"><int key="i" value="007"/><float key="f" value="1.50"/><boolean key="b" value="true"/>
        <list key="l"><boolean key="item" value="true"/><int key="item" value="2"/></list>
        <list key="m"><string key="x" value="y"/><list key="d"><int key="d" value="5"/></list></list>
        <date key="d" value="2020"/><string key="s" value=""/></list><string key="more" value="m"/></event></events>
        <objects><object><string key="id" value="o"/><string key="type" value="T"/>
        <list key="ovmap"><container key="c"><string key="k" value="1"/><string key="k" value="2"/></container></list>
        </object></objects></log>""",
    )
    events, objects, declared = gather(read_ocel1_xml(source))
    assert events.select("event_id", "activity", "time").row(0) == ("e", "a", "2020-01-01")
    assert [(one["name"], one["value"], one["value_type"]) for one in events["attributes"][0]] == [
        ("i", "007", "integer"),
        ("f", "1.50", "float"),
        ("b", "true", "boolean"),
        ("l", "[true,2]", "list"),
        ("m", '{"x":"y","d":[5]}', "map"),
        ("d", "2020", "time"),
        ("s", "", "string"),
        ("more", "m", "string"),
    ]
    assert [one["value"] for one in objects["attributes"][0]] == ['{"k":["1","2"]}']
    assert declared.object_types == {"T": {}}
    assert declared.metadata == {"version": "1.0"}


# --- broken files

EVENT_TEXT = '<event id="{}" type="a" time="t"><objects><relationship object-id="o" qualifier=""/></objects></event>'


def _events(*bodies: str) -> str:
    return f"<log><events>{''.join(bodies)}</events></log>"


def test_a_record_that_is_not_well_formed_does_not_take_the_others_along(tmp_path: Path) -> None:
    good = [EVENT_TEXT.format(n) for n in range(4)]
    for bad in (
        '<event id="x" type="a & b" time="t"></event>',
        '<event id="x" type="a"><objects></event>',
        "<event id=x></event>",
        '<event id="x" id="y" type="a"></event>',
        '<event id="x"><attributes><attribute name="n">&nbsp;</attribute></attributes></event>',
        '<event id="x\x00"></event>',
        '<event id="x\x07"></event>',
    ):
        for block in (300, 1 << 22):
            events, _, _ = read2(tmp_path, _events(*good[:2], bad, *good[2:]), block=block)
            assert events["event_id"].to_list() == ["0", "1", None, "2", "3"], bad
            assert events["defect"].to_list() == [None, None, "malformed", None, None]
            assert events["raw"][2] == bad.replace("\x00", "\ufffd")


def test_bytes_of_another_encoding_spoil_their_records_alone(tmp_path: Path) -> None:
    events_ = _events(*(EVENT_TEXT.format(name) for name in ("1", "é", "2")))
    document = f"<?xml version='1.0' encoding='UTF-8'?>{events_}"
    events, _, _ = read2(tmp_path, document.encode("latin-1"))
    assert events["event_id"].to_list() == ["1", None, "2"]
    assert events["raw"][1] == EVENT_TEXT.format("\ufffd")


def test_a_wrong_object_goes_to_the_objects(tmp_path: Path) -> None:
    objects = "".join(f'<object id="{name}" type="T"><attributes/></object>' for name in ("1", "<", "2"))
    _, got, _ = read2(tmp_path, f"<log><objects>{objects}</objects><events>{EVENT_TEXT}</events></log>")
    assert got["object_id"].to_list() == ["1", None, "2"]
    assert got["defect"].to_list() == [None, "malformed", None]


def test_a_file_cut_anywhere_gives_its_whole_records_and_the_torn_one(tmp_path: Path) -> None:
    document = _events(*(EVENT_TEXT.format(n) for n in range(3))).replace("</events>", "</events><objects/>")
    ends = [document.index(EVENT_TEXT.format(n)) + len(EVENT_TEXT.format(n)) for n in range(3)]
    for cut in range(len(document)):
        whole = sum(end <= cut for end in ends)
        if not whole:
            assert "ends" in refusal(tmp_path, document[:cut])
            continue
        events, objects, _ = read2(tmp_path, document[:cut])
        both = pl.concat([events["defect"], objects["defect"]]).drop_nulls().to_list()
        assert both == ["truncated"], cut
        assert events["event_id"].drop_nulls().to_list() == [str(n) for n in range(whole)]
        if whole < 3:
            assert events["raw"][-1] == document[ends[whole - 1] : cut]


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    source = write(tmp_path, gzip.compress(_events(EVENT_TEXT.format(1)).encode()), "log.xml.gz")
    assert gather(read_ocel2_xml(source))[0].height == 1


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "latin-1", "windows-1252"]
)
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    name = "utf-8" if encoding == "utf-8-sig" else encoding.removesuffix("-le").removesuffix("-be")
    document = f"<?xml version='1.0' encoding='{name}'?>{_events(EVENT_TEXT.format('é'))}"
    events, _, _ = read2(tmp_path, document.encode(encoding), block=301)
    assert events["event_id"].to_list() == ["é"]


def test_utf8_that_calls_itself_utf16_is_read(tmp_path: Path) -> None:
    document = f'<?xml version="1.0" encoding="utf-16"?>{_events(EVENT_TEXT.format("é"))}'
    assert read2(tmp_path, document)[0]["event_id"].to_list() == ["é"]


@pytest.mark.parametrize("name", ["x-user-defined", "rot13", "zip", "base64", "utf-7", "cp99999"])
def test_unknown_encodings_are_refused(tmp_path: Path, name: str) -> None:
    assert name in refusal(tmp_path, f"<?xml version='1.0' encoding='{name}'?>{_events()}")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "   ",
        "no xml",
        "{}",
        "<log",
        "<a/><b/>",
        "<html><p></html>",
        "\x00\x01",
        "<other/>",
        "<log/>",
        "<log><foo/></log>",
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, content: str) -> None:
    for read in (read_ocel2_xml, read_ocel1_xml):
        assert refusal(tmp_path, content, read)


# --- hostile files


def test_no_entity_is_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET")
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    event = '<event id="&a;" type="a" time="t"><attributes><attribute name="n">&a;</attribute></attributes></event>'
    for doctype in (
        f'<!DOCTYPE log [<!ENTITY a SYSTEM "{secret.as_uri()}">]>',
        f'<!DOCTYPE log [<!ENTITY % a SYSTEM "{secret.as_uri()}"> %a;]>',
        f'<!DOCTYPE log SYSTEM "{secret.as_uri()}">',
        f'<!DOCTYPE log PUBLIC "-//x" "{secret.as_uri()}">',
        f'<!DOCTYPE log [<!ENTITY a0 "ha">{bomb}<!ENTITY a "&a11;">]>',
        f'<!DOCTYPE log [<!ENTITY a "{"x" * 100_000}">]>',
        '<!DOCTYPE log [<!ATTLIST event id CDATA "x">]>',
    ):
        started = time.monotonic()
        message = refusal(tmp_path, doctype + _events(event * 100))
        assert "DOCTYPE" in message
        assert "SECRET" not in message
        assert time.monotonic() - started < 1


def test_a_bare_doctype_is_harmless(tmp_path: Path) -> None:
    assert read2(tmp_path, "<!DOCTYPE log>" + _events(EVENT_TEXT.format(1)))[0].height == 1


@pytest.mark.parametrize("read", [read_ocel2_xml, read_ocel1_xml])
def test_deep_nesting_is_refused(tmp_path: Path, read: Any) -> None:
    deep = "<list>" * 200_000
    for content in (deep, f"<log>{deep}", f"<log><events><event>{deep}", f"<log><global>{deep}"):
        assert "deep" in refusal(tmp_path, content, read) or "<list>" in content[:6]


def test_long_strings_are_read(tmp_path: Path) -> None:
    long = "x" * 10_000_000
    document = _events(
        f'<event id="{long}" type="a" time="t"><attributes><attribute name="n">{long}</attribute></attributes></event>',
        EVENT_TEXT.format(1),
    )
    for block in (1 << 16, 1 << 22):
        started = time.monotonic()
        events, _, _ = read2(tmp_path, document, block=block)
        assert events["event_id"].str.len_bytes().to_list() == [10_000_000, 1]
        assert len(events["attributes"][0][0]["value"]) == 10_000_000
        assert time.monotonic() - started < 10
