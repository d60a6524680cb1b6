"""JSON messages to records: what each means, and that none has a say in how another is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.ocel.conform import conform
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD, Records
from ocelake.stream.decode import TOMBSTONE, JsonDecoder, as_records, raw_text

EVENT = b'{"id":"e1","type":"pay","time":"2024-01-01T00:00:00Z","relationships":[{"objectId":"o1","qualifier":"of"}]}'
OBJECT = b'{"id":"o1","type":"order","attributes":[{"name":"price","time":"1970-01-01T00:00:00Z","value":1.50}]}'

in_columns = JsonDecoder(few=0)
one_by_one = JsonDecoder(few=1 << 30)


def decoded(*values: bytes | None) -> Records:
    """Decode messages at positions that are not their numbers."""
    return in_columns(range(10, 10 + len(values)), values)


def assert_equal(one: Records, other: Records) -> None:
    assert_frame_equal(one.events, other.events)
    assert_frame_equal(one.objects, other.objects)


def test_an_event_and_an_object_are_told_apart() -> None:
    records = decoded(OBJECT, EVENT)
    assert records.events.schema == EVENT_RECORD
    assert records.objects.schema == OBJECT_RECORD
    event, thing = records.events.row(0, named=True), records.objects.row(0, named=True)
    assert (event["position"], thing["position"]) == (11, 10)
    assert (event["event_id"], event["activity"], event["time"]) == ("e1", "pay", "2024-01-01T00:00:00Z")
    assert event["relationships"] == [{"object_id": "o1", "qualifier": "of", "object_type": None}]
    assert (thing["object_id"], thing["object_type"], thing["declared"]) == ("o1", "order", True)
    assert thing["attributes"] == [
        {"name": "price", "time": "1970-01-01T00:00:00Z", "value": "1.50", "value_type": "float"}
    ]


@pytest.mark.parametrize(
    ("message", "kind", "found"),
    [
        (
            {"id": "a", "type": "t", "time": "now", "version": 0, "sequence": -3},
            "events",
            {"version": 0, "sequence": -3},
        ),
        ({"id": "a", "type": "t", "version": 2**63 - 1}, "objects", {"version": 2**63 - 1}),
        ({"id": "a", "type": "t", "kind": "event"}, "events", {"time": None, "raw": None}),
        ({"id": "a", "type": "t", "kind": "object", "time": "now"}, "objects", {"defect": None}),
        ({"id": "a", "type": "t", "time": None}, "objects", {"defect": None}),
        ({"id": "a", "type": "t", "time": 1700000000}, "events", {"time": "1700000000"}),
        ({"type": "t", "time": "now"}, "events", {"event_id": None, "defect": None}),
    ],
)
def test_what_a_message_may_say(message: dict[str, Any], kind: str, found: dict[str, Any]) -> None:
    for decoder in (in_columns, one_by_one):
        frame: pl.DataFrame = getattr(decoder([7], [json.dumps(message).encode()]), kind)
        row = frame.row(0, named=True)
        assert {name: row[name] for name in found} == found


def test_the_type_of_a_related_object_may_be_told() -> None:
    message = b'{"id":"e","type":"t","time":"n","relationships":[{"objectId":"o","objectType":"order"}]}'
    for decoder in (in_columns, one_by_one):
        relation = decoder([0], [message]).events["relationships"][0][0]
        assert relation == {"object_id": "o", "qualifier": None, "object_type": "order"}


def test_what_columns_do_not_hold_stays_as_text() -> None:
    more = b'{"id":"o","type":"t","kind":"object","time":"2024","colour":"red"}'
    records = decoded(EVENT, more)
    assert records.objects["raw"].to_list() == [more.decode()]
    assert records.events["raw"].to_list() == [None]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        b"null",
        b"7",
        b'"text"',
        b"[]",
        b"\xff\xfe",
        b'{"id":"e1","type":"t","time":"n","attributes":[{"name":"x","value":"\xc3"}]}',
        b'{"id":"e1","type":"t","time":"n"}]}, {"id":"x","type":"y","time":"z"}',
        b'"},{"id":"x","type":"y","time":"z","attributes":[{"name":"',
        b'{"id":"\\ud800","type":"t","time":"n"}',
        b'{"id":"e\0","type":"t","time":"n"}',
        b'{"id":"e1","id":"e2","type":"t","time":"n"}',
        b'{"id":"e1","type":"t","time":"n","version":"3"}',
        b'{"id":"e1","type":"t","time":"n","version":9223372036854775808}',
        b'{"id":"e1","type":"t","time":"n","sequence":1.0}',
        b'{"id":"e1","type":"t","kind":"type"}',
        b'{"id":{"a":1},"type":"t","time":"n"}',
        b"base64:AAAA",
        b"[" * 100_000,
    ],
)
def test_what_is_no_event_and_no_object_keeps_its_bytes(message: bytes) -> None:
    for decoder in (in_columns, one_by_one):
        records = decoder([3, 4, 5], [EVENT, message, OBJECT])
        assert_frame_equal(records.objects, one_by_one([5], [OBJECT]).objects)
        assert_frame_equal(records.events.head(1), one_by_one([3], [EVENT]).events)
        bad = records.events.row(1, named=True)
        assert (bad["position"], bad["defect"], bad["declared"]) == (4, "malformed", False)
        text = bad["raw"]
        bytes_again = base64.b64decode(text[7:]) if text.startswith("base64:") else text.encode()
        assert bytes_again == message


def test_a_tombstone_has_a_text_of_its_own() -> None:
    assert decoded(EVENT, None).events["raw"].to_list() == [None, TOMBSTONE]


def test_the_undecodable_go_to_quarantine() -> None:
    records = decoded(EVENT, OBJECT, b"{", None, b"\xff")
    batch = pl.lit("t-0-10-14").alias("batch_id")
    nothing = json.dumps({"event_types": {}, "object_types": {}})
    batches = pl.DataFrame({"batch_id": ["t-0-10-14"], "source": ["t"], "declarations": [nothing], "metadata": ["{}"]})
    log = conform(records.events.with_columns(batch), records.objects.with_columns(batch), batches)
    rows = log.quarantine.sort("position").select("position", "reason", "raw").rows()
    assert rows == [(12, "malformed", "{"), (13, "malformed", TOMBSTONE), (14, "malformed", "base64:/w==")]
    assert log.ocel.event_objects.height == 1


@pytest.mark.parametrize(
    "message",
    [
        EVENT,
        OBJECT,
        EVENT + b" \n",
        EVENT.replace(b"pay", b'\\"p\\"\\\\\\u00e4'),
        EVENT.replace(b"pay", "päy".encode()),
        EVENT.replace(b"{", b'{"version":0,"sequence":-12,"kind":"event",', 1),
        OBJECT.replace(b"{", b'{"kind":"object","version":3,', 1),
        EVENT.replace(b'"of"', b'"of","objectType":"order"'),
        OBJECT.replace(b"1.50", b'"2024-01-01","type":"time"'),
        OBJECT.replace(b"1.50", b'"[1]","type":"list"'),
    ],
)
def test_ordinary_messages_stay_in_columns(message: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    want = one_by_one([10, 11], [OBJECT, message])
    monkeypatch.delattr("ocelake.stream.decode._alone")
    assert_equal(decoded(OBJECT, message), want)


def test_many_bytes_are_parsed_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocelake.stream.decode._MANY", 1000)
    values = [EVENT, OBJECT, b"?"] * 50
    assert_equal(in_columns(range(150), values), one_by_one(range(150), values))


_WORDS = ["e1", 'a"b', "back\\slash", '\\\\"', "ü", "\u2028", "time", "", "x" * 20, "null", "1"]
_PIECES = b'{ } [ ] , " \\ {} 1.50 -0 null 1e999 "id":"twice", \xff \0 \xef\xbb\xbf \n'.split(b" ")


def odd_message(random: Random) -> bytes | None:
    """Make a message that is well-formed, or nearly, or not at all."""
    if random.random() < 0.03:
        return random.choice([None, random.randbytes(random.randrange(30)), b"[" * random.randrange(30)])
    content = {"id": random.choice(_WORDS), "type": random.choice(_WORDS)}
    members: dict[str, Callable[[], Any]] = {
        "time": lambda: random.choice(["2024-01-01", _scalar(random)]),
        "kind": lambda: random.choice(["event", "object", "other", 1, None]),
        "version": lambda: random.choice([0, 5, -5, _scalar(random)]),
        "sequence": lambda: random.choice([0, 5, -5, _scalar(random)]),
        "attributes": lambda: _some(random, _attribute),
        "relationships": lambda: _some(random, _relation),
        "more": lambda: _anything(random),
        "id": lambda: _scalar(random),
    }
    for (name, make), often in zip(members.items(), (6, 2, 2, 2, 6, 6, 0.5, 1), strict=True):
        if random.random() * 10 < often:
            content[name] = make()
    text = json.dumps(content, ensure_ascii=random.random() < 0.5).encode()
    if random.random() < 0.3:
        at = random.choice([0, len(text), random.randrange(len(text))])
        text = text[:at] + random.choice(_PIECES) + text[at + random.randrange(3) :]
    return text


def _scalar(random: Random) -> Any:
    numbers = random.randint(-(2**70), 2**70), random.randint(-3, 3), random.uniform(-9, 9), 1e22, -0.0, float("inf")
    return random.choice([random.choice(_WORDS), random.choice(_WORDS), random.choice(numbers), True, None])


def _anything(random: Random, depth: int = 0) -> Any:
    form = 0 if depth > 2 else random.randrange(4)
    if form == 2:
        return [_anything(random, depth + 1) for _ in range(random.randrange(3))]
    if form == 3:
        return {random.choice(_WORDS): _anything(random, depth + 1) for _ in range(random.randrange(3))}
    return _scalar(random)


def _some(random: Random, make: Callable[[Random], Any]) -> Any:
    return [make(random) for _ in range(random.randrange(4))] if random.random() < 0.95 else _anything(random)


def _attribute(random: Random) -> dict[str, Any]:
    attribute = {"name": random.choice(_WORDS), "value": _anything(random, random.randrange(4))}
    for name in ("time", "type", "unit", "name"):
        if random.random() < 0.1:
            attribute[name] = random.choice([_scalar(random), "list", "map", "time"])
    return attribute


def _relation(random: Random) -> dict[str, Any]:
    relation = {"objectId": random.choice(_WORDS)} if random.random() < 0.95 else {}
    for name in ("qualifier", "objectType", "x"):
        if random.random() < 0.2:
            relation[name] = _scalar(random)
    return relation


def assert_read_as_each_alone(values: list[bytes | None]) -> Records:
    positions = [3 * index for index in range(len(values))]
    together = in_columns(positions, values)
    alone = [one_by_one([position], [value]) for position, value in zip(positions, values, strict=True)]
    assert_equal(together, Records(pl.concat([a.events for a in alone]), pl.concat([a.objects for a in alone])))
    return together


@pytest.mark.parametrize("seed", range(3))
def test_odd_messages_are_read_as_each_alone(seed: int) -> None:
    random = Random(seed)
    records = assert_read_as_each_alone([odd_message(random) for _ in range(700)])
    read = records.events.filter(pl.col("defect").is_null()).height
    assert read > 100  # it is not all junk
    assert records.objects.height > 100


@given(
    st.lists(
        st.binary() | st.text('{}[]",:\\ null1.e-').map(str.encode) | st.sampled_from([EVENT, OBJECT, None]), min_size=1
    )
)
@example([b'{"id":"e1","type":"t","time":"n"', b'"x":1}', EVENT])
@example([b'{"id":"a\\"b","type":"t","time":"n"}', b'{"id":"a\\\\","type":"t","time":"n"}'])
@settings(max_examples=50)
def test_any_bytes_are_read_as_each_alone(values: list[bytes | None]) -> None:
    assert_read_as_each_alone(values)


@given(st.binary() | st.text().map(str.encode))
def test_raw_text_can_be_read_back(value: bytes) -> None:
    text = raw_text(value)
    assert (base64.b64decode(text[7:]) if text.startswith("base64:") else text.encode()) == value


def test_no_messages_give_no_records() -> None:
    assert_equal(as_records([]), Records())
    assert_equal(in_columns([], []), Records())
