"""Conforming: the log is a function of the set of records, and everything read is accounted for."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelake.ocel.conform import Conformed
from ocelake.ocel.model import frame_schema
from ocelake.ocel.reasons import REASONS, Reason
from ocelake.ocel.typed_values import common_type, type_values
from ocelake.settings import LogSettings
from ocelake.tables import TABLES, VALUE_TYPES
from tests.unit.hand_made import (
    NOON,
    Record,
    balanced,
    conformed,
    event,
    loose_event,
    loose_thing,
    reasons,
    thing,
)

# --- the set of records


def told(result: Conformed) -> dict[str, list[tuple[Any, ...]]]:
    """Give the log's tables without where the rows came from."""
    return {
        name: frame.drop("batch_id", "position", strict=False).rows()
        for name, frame in result.ocel.frames()
        if name != "ocel.log_metadata"
    }


IDS = st.sampled_from(["1", "2", "3", "ä b"])
NAMES = st.sampled_from(["price", "note"])
VALUES = st.one_of(
    st.tuples(NAMES, st.sampled_from(["7", "007", "7.50", "x", "", "true", None]), st.none()),
    st.tuples(NAMES, st.sampled_from(["7", "8"]), st.just("integer")),
    st.tuples(NAMES, st.sampled_from(["7.5", "8.0"]), st.just("float")),
    st.tuples(NAMES, st.sampled_from(["[1, 2]", "[1,2]", "[1"]), st.just("list")),
)
TIMES = st.sampled_from([NOON, "2024-05-01 12:00:00.000", "2024-05-01T14:00:00+02:00", "2024-05-02", "x", None, ""])
VALUE_TIMES = st.sampled_from([None, "0", "", "1970-01-01T00:00:00Z", NOON, "2024-05-01 12:00:00", "2024-06-01", "x"])
RELATIONS = st.lists(
    st.tuples(IDS | st.none(), st.sampled_from([None, "", "of"]), st.sampled_from([None, "order", "item"])), max_size=3
)
VERSIONS = st.sampled_from([None, 1, 2])
EVENTS = st.builds(
    event,
    IDS | st.none(),
    RELATIONS,
    st.lists(VALUES, max_size=3),
    activity=st.sampled_from(["pay", "pay", "ship", None]),
    time=TIMES,
    sequence=st.sampled_from([None, 0, 1]),
    version=VERSIONS,
)
DATED = st.lists(st.tuples(VALUES, VALUE_TIMES).map(lambda pair: (*pair[0], pair[1])), max_size=3)
THINGS = st.builds(
    thing, IDS | st.none(), RELATIONS, DATED, object_type=st.sampled_from(["order", "item", None]), version=VERSIONS
)
LOOSE = st.builds(loose_event, IDS, RELATIONS, st.lists(VALUES, max_size=3)) | st.builds(
    loose_thing, IDS | st.none(), RELATIONS, DATED
)
TORN = st.sampled_from(
    [
        event(None, defect="truncated", raw='{"id": "e', activity=None, time=None),
        thing(None, defect="malformed", raw="<object", object_type=None),
    ]
)
RECORDS = st.lists(EVENTS | THINGS | LOOSE | TORN, max_size=12)
DECLARED = {
    "event_types": {"pay": {"price": "float"}, "never": {}},
    "object_types": {"order": {"price": "integer", "note": "string"}},
}


@settings(max_examples=60)
@given(RECORDS, st.randoms(use_true_random=False), st.sampled_from(["quarantine", "infer"]))
def test_order_split_and_repeats_change_nothing_but_provenance(
    records: list[Record], chance: random.Random, undeclared: str
) -> None:
    plain = conformed(records, DECLARED, undeclared_objects=undeclared)
    again = records + chance.sample(records, chance.randint(0, len(records)))
    chance.shuffle(again)
    batches: dict[str, list[Record]] = {name: [] for name in "cab"}
    for record in again:
        batches[chance.choice("abc")].append(record)
    other = conformed(batches, DECLARED, undeclared_objects=undeclared)
    assert told(other) == told(plain)
    for result in (plain, other):
        assert balanced(result)
        assert set(result.quarantine["reason"]) <= set(Reason)
    if len(again) == len(records):
        assert reasons(other) == reasons(plain)


@settings(max_examples=40)
@given(RECORDS, st.sampled_from(["quarantine", "infer"]))
def test_frames_are_typed_sorted_and_keyed_as_the_registry_says(records: list[Record], undeclared: str) -> None:
    result = conformed(records, DECLARED, undeclared_objects=undeclared)
    for name, frame in result.frames().items():
        spec = TABLES[name]
        assert frame.schema == frame_schema(name)
        assert frame.rows() == frame.sort(spec.sort).rows()
        assert not frame.select(column for column in spec.key if column in frame.columns).is_duplicated().any()
        assert not any(
            frame[column.name].has_nulls() for column in spec.columns if column.required and column.name in frame
        )


def test_nothing_gives_empty_tables() -> None:
    result = conformed([])
    assert all(frame.schema == frame_schema(name) for name, frame in result.frames().items())
    assert [len(frame) for name, frame in result.frames().items() if name.startswith("ocel.")] == [0] * 10 + [1]
    assert result.accounting.select("read", "accepted", "quarantined").sum().row(0) == (0, 0, 0)


# --- reasons


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (
            [event(None, [("1",)], [("a", "1")])],
            [("e2o", "missing_id"), ("event", "missing_id"), ("event_attribute", "missing_id")],
        ),
        ([event(" ")], [("event", "missing_id")]),
        ([event("e", activity="")], [("event", "missing_type")]),
        ([event("e", time=None)], [("event", "missing_time")]),
        ([event("e", time="soon")], [("event", "invalid_time")]),
        ([event("e", time="2024-03-31T02:30:00")], [("event", "nonexistent_time")]),
        ([event("e", [("",)])], [("e2o", "missing_id")]),
        ([event("e", [("1",)])], [("e2o", "undeclared_object")]),
        ([event("e", (), [(None, "1")])], [("event_attribute", "missing_name")]),
        ([event("e", (), [("a", None)])], [("event_attribute", "null_value")]),
        ([event("e"), event("e")], [("event", "duplicate")]),
        ([event("e"), event("e", activity="ship")], [("event", "superseded")]),
        ([event("e", [("1",), ("1", "")]), thing("1")], [("e2o", "duplicate")]),
        (
            [loose_event("e", [("1",)], [("a", "1")])],
            [("e2o", "undeclared_event"), ("event_attribute", "undeclared_event")],
        ),
        ([event(None, defect="malformed", raw="{")], [("event", "malformed")]),
        ([event("e", [("1",)], defect="truncated", raw="{")], [("e2o", "truncated"), ("event", "truncated")]),
        ([event("e", defect="unheard_of", raw="{")], [("event", "malformed")]),
        ([thing("")], [("object", "missing_id")]),
        ([thing("1", object_type=None)], [("object", "missing_type")]),
        ([thing("1", (), [("a", "1", None, "soon")])], [("object_attribute", "invalid_time")]),
        ([thing("1", (), [("a", "1", None, "2024-03-31 02:30")])], [("object_attribute", "nonexistent_time")]),
        ([thing("1", [("2",)])], [("o2o", "undeclared_object")]),
        (
            [loose_thing("1", [("1",)], [("a", "1")])],
            [("o2o", "undeclared_object"), ("object_attribute", "undeclared_object")],
        ),
        ([thing(None, defect="truncated", raw="{")], [("object", "truncated")]),
    ],
)
def test_each_reason(records: list[Record], expected: list[tuple[str, str]]) -> None:
    result = conformed(records, time_zone="Europe/Berlin")
    assert reasons(result) == expected
    assert balanced(result)


def test_every_reason_is_explained() -> None:
    assert set(REASONS) == set(Reason)


def test_a_quarantined_row_says_where_what_and_why() -> None:
    result = conformed(
        {
            "b1": [event("e", [("1",), ("9", "of", "order")]), thing("1")],
            "b2": [event("f"), event("g", time="soon", raw="<event/>")],
        }
    )
    relation, broken = result.quarantine.sort("record_kind").to_dicts()
    assert (relation["source"], relation["part"]) == ("b1.json", 1)
    assert (relation["batch_id"], relation["position"]) == ("b1", 0)
    assert json.loads(relation["raw"]) == {"event_id": "e", "object_id": "9", "qualifier": "of", "object_type": "order"}
    assert relation["detail"].endswith(": 9")
    assert (broken["batch_id"], broken["position"], broken["part"], broken["raw"]) == ("b2", 1, None, "<event/>")
    assert broken["detail"].endswith(": soon")


def test_a_record_without_its_own_text_is_rendered_whole() -> None:
    [row] = conformed([event("e", (), [("a", "1")], time="soon")]).quarantine.filter(record_kind="event").to_dicts()
    assert json.loads(row["raw"])["attributes"] == [{"name": "a", "time": None, "value": "1", "value_type": None}]
    assert json.loads(row["raw"])["time"] == "soon"


# --- the same id twice


def test_records_equal_in_canonical_form_are_one() -> None:
    first = event("e", [("1", "a"), ("2", None)], [("price", "07"), ("note", "x")], time="2024-05-01T12:00:00Z")
    second = event(
        "e",
        [("2", ""), ("1", "a"), ("1", "a")],
        [("note", "x"), ("price", "7", "integer")],
        time="2024-05-01 14:00:00+02:00",
    )
    declared = {"event_types": {"pay": {"price": "integer"}}, "object_types": {}}
    result = conformed({"b": [first], "a": [second]}, declared)
    assert result.quarantine.filter(record_kind="event").select("batch_id", "reason").rows() == [("b", "duplicate")]


def test_the_type_that_a_relation_tells_is_no_content() -> None:
    records = [event("e", [("1", "of")], version=1), event("e", [("1", "of", "order")], version=1)]
    records += [thing("9", [("1",)]), thing("9", [("1", None, "order")])]
    for order in (records, records[::-1]):
        result = conformed([*order, thing("1")])
        assert reasons(result) == [(kind, "duplicate") for kind in ("e2o", "event", "o2o", "object")]
        # The copy that knows the type tells it, the kept one or not; a record that lost tells nothing.
        lost = event("e", [("1", "of", "lost")], activity="ship")
        inferred = conformed([*order, lost, lost], undeclared_objects="infer").ocel.objects
        assert inferred.filter(object_id="1")["object_type"].to_list() == ["order"]


@pytest.mark.parametrize("batches", [("b1", "b2"), ("b2", "b1")])
def test_the_position_is_no_content_but_orders_ties(batches: tuple[str, str]) -> None:
    first = [event("b", [("1",)]), event("a"), thing("1")]
    second = [event("x", time="2024-04-30"), event("a"), event("b", [("1",)])]
    result = conformed(dict(zip(batches, (first, second), strict=True)), ties="position")
    assert reasons(result) == [("e2o", "duplicate"), ("event", "duplicate"), ("event", "duplicate")]
    # The least batch's copy is kept, and its place is the sequence.
    expected = [("x", 0), ("b", 0), ("a", 1)] if batches[0] == "b1" else [("x", 0), ("a", 1), ("b", 2)]
    assert result.ocel.events.select("event_id", "sequence").rows() == expected


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_the_greatest_version_wins_with_all_that_it_holds(order: tuple[int, ...]) -> None:
    versions = [
        event("e", [("1",)], [("a", "old")], version=1),
        event("e", [("2",)], [("a", "new")], version=3),
        event("e", [("1",), ("2",)], version=None),
    ]
    result = conformed([*(versions[i] for i in order), thing("1"), thing("2")])
    assert result.ocel.event_objects["object_id"].to_list() == ["2"]
    assert result.ocel.event_attributes["value"].to_list() == ["new"]
    assert reasons(result) == [("e2o", "superseded")] * 3 + [("event", "superseded")] * 2 + [
        ("event_attribute", "superseded")
    ]


def test_of_equal_versions_the_content_hash_decides_the_same_way_always() -> None:
    # The hash is over text of our own making, so this outcome is the same in every run and every version.
    pair = [event("e", activity="pay"), event("e", activity="ship")]
    assert told(conformed(pair)) == told(conformed(pair[::-1]))
    assert conformed(pair).ocel.events["activity"].to_list() == ["pay"]


@pytest.mark.parametrize("earlier", ["a", "z"])
@pytest.mark.parametrize(("first", "second"), [("pay", "ship"), ("ship", "pay")])
def test_of_messages_without_versions_the_later_one_of_a_partition_wins(earlier: str, first: str, second: str) -> None:
    batches = {earlier: [event("e", activity=first)], "m": [event("d"), event("e", activity=second)]}
    of_topic = conformed(batches, offsets={earlier: 7, "m": 8})
    assert of_topic.ocel.events.filter(event_id="e")["activity"].to_list() == [second]
    beside_a_file = conformed(batches, offsets={"m": 8})
    assert beside_a_file.ocel.events.filter(event_id="e")["activity"].to_list() == [second]
    versioned = {**batches, earlier: [event("e", activity=first, version=0)]}
    assert conformed(versioned, offsets={earlier: 7, "m": 8}).ocel.events["activity"].to_list()[-1] == first


def test_of_equal_versions_in_a_topic_the_content_decides_and_not_the_way_that_they_came() -> None:
    batches = {name: [event("e", activity=kind, version=1)] for name, kind in (("x", "pay"), ("y", "ship"))}
    kept = {conformed(batches, offsets={"x": at, "y": 1 - at}).ocel.events["activity"][0] for at in (0, 1)}
    assert len(kept) == 1


def test_equal_content_counts_with_its_greatest_version() -> None:
    records = [thing("1", version=1), thing("1", object_type="item", version=2), thing("1", version=3)]
    result = conformed(records)
    assert result.ocel.objects.select("object_type", "position").rows() == [("order", 0)]
    assert reasons(result) == [("object", "duplicate"), ("object", "superseded")]


def test_a_bad_record_does_not_win_against_a_good_one() -> None:
    result = conformed([event("e", version=1), event("e", version=2, time="soon")])
    assert result.ocel.events.height == 1
    assert reasons(result) == [("event", "invalid_time")]


# --- what is not declared


def test_a_later_declaration_releases_what_waited() -> None:
    first = [
        event("e", [("1", "of")]),
        thing("2", [("1", "part")]),
        loose_event("f", [("2",)], [("a", "1")]),
        loose_thing("1", (), [("c", "5")]),
    ]
    waiting = conformed({"b1": first})
    assert waiting.ocel.events.height == 1
    assert len(waiting.quarantine) == 5
    released = conformed({"b1": first, "b2": [thing("1"), event("f")]})
    assert released.quarantine.is_empty()
    assert released.ocel.event_objects.select("event_id", "object_id", "qualifier").sort("event_id").rows() == [
        ("e", "1", "of"),
        ("f", "2", ""),
    ]
    assert released.ocel.object_objects.rows() == [("2", "1", "part")]
    assert released.ocel.object_attributes.select("object_id", "name", "value").rows() == [("1", "c", "5")]
    assert balanced(released)


def test_infer_creates_what_is_named() -> None:
    records = [
        event("e", [("1", None, "order"), ("2",), (" ",)]),
        event("f", [("1", None, "item"), ("1", "x", "")]),
        event("bad", [("3",)], time="soon"),
        thing("9", [("4", None, "pallet")]),
        loose_thing("5", [("6",)], [("c", "1")]),
    ]
    result = conformed(records, undeclared_objects="infer")
    assert result.ocel.objects.select("object_id", "object_type", "inferred").sort("object_id").rows() == [
        ("1", "item", True),
        ("2", "unknown", True),
        ("4", "pallet", True),
        ("5", "unknown", True),
        ("6", "unknown", True),
        ("9", "order", False),
    ]
    assert reasons(result) == [("e2o", "invalid_time"), ("e2o", "missing_id"), ("event", "invalid_time")]
    assert result.ocel.object_types["object_type"].to_list() == ["item", "order", "pallet", "unknown"]
    assert balanced(result)


@pytest.mark.parametrize("second", ["b2", "b4"])
def test_what_several_records_tell_of_one_object_is_united(second: str) -> None:
    records = {
        "b1": [thing("1", [("2", "of")], [("c", "1"), ("c", "1")]), thing("2")],
        second: [loose_thing("1", [("2", "of"), ("2", "by")], [("c", "1"), ("c", "4")])],
        "b3": [loose_thing("1", (), [("c", "3"), ("c", "2"), ("c", "4")])],
    }
    result = conformed(records)
    values = result.ocel.object_attributes
    assert values.select("value", "ordinal").rows() == [("1", 0), ("1", 1), ("3", 2), ("2", 3), ("4", 4)]
    assert result.ocel.object_objects["qualifier"].to_list() == ["by", "of"]
    assert reasons(result) == [
        ("o2o", "duplicate"),
        ("object_attribute", "duplicate"),
        ("object_attribute", "duplicate"),
    ]
    assert balanced(result)


FEW = st.lists(st.sampled_from([("c", "1"), ("c", "2"), ("c", "3"), ("d", "1", "integer")]), max_size=4)


@settings(max_examples=40)
@given(st.lists(FEW, min_size=2, max_size=4), st.permutations(["b", "c", "d", "e"]), st.booleans())
def test_what_several_records_tell_does_not_depend_on_their_order(
    several: list[list[tuple[str, ...]]], names: list[str], declared: bool
) -> None:
    def united(names: list[str]) -> Conformed:
        batches = {name: [loose_thing("1", (), values)] for name, values in zip(names, several, strict=False)}
        return conformed(
            {**batches, "a": [thing("1", (), [("c", "2")])] if declared else []}, undeclared_objects="infer"
        )

    assert told(united(names)) == told(united(sorted(names)))
    assert balanced(united(names))


# --- times and order


def test_events_are_in_the_order_of_time_sequence_and_id() -> None:
    records = [event("b"), event("a"), event("c", sequence=-1), event("d", time="2024-04-30")]
    assert conformed(records).ocel.events["event_id"].to_list() == ["d", "c", "a", "b"]
    by_position = conformed(records, ties="position").ocel.events
    assert by_position.select("event_id", "sequence").rows() == [("d", 3), ("c", -1), ("b", 0), ("a", 1)]


def test_relations_are_in_trace_order() -> None:
    records = [
        event("e2", [("2",), ("1", "z"), ("1", "a")], time="2024-05-02"),
        event("e1", [("1",), ("3",)]),
        thing("1"), thing("2", object_type="item"), thing("3", object_type="item"),
    ]  # fmt: skip
    frame = conformed(records).ocel.event_objects
    assert frame.select("object_type", "object_id", "event_id", "qualifier").rows() == [
        ("item", "2", "e2", ""),
        ("item", "3", "e1", ""),
        ("order", "1", "e1", ""),
        ("order", "1", "e2", "a"),
        ("order", "1", "e2", "z"),
    ]
    assert frame["activity"].to_list() == ["pay"] * 5
    assert frame["time"][0] == datetime(2024, 5, 2, tzinfo=UTC)


def test_an_ambiguous_time_is_its_first_occurrence_and_flagged() -> None:
    records = [event("e", time="2024-10-27 02:30:00"), event("f", time="2024-10-27 03:30:00")]
    events = conformed(records, time_zone="Europe/Berlin").ocel.events
    assert events.select("event_id", "time", "time_ambiguous").rows() == [
        ("e", datetime(2024, 10, 27, 0, 30, tzinfo=UTC), True),
        ("f", datetime(2024, 10, 27, 2, 30, tzinfo=UTC), False),
    ]


def test_an_event_at_the_epoch_is_an_event() -> None:
    assert conformed([event("e", time="1970-01-01T00:00:00Z")]).ocel.events["time"][0] == datetime(
        1970, 1, 1, tzinfo=UTC
    )


@pytest.mark.parametrize("time", [None, "", " ", "0", "null", "NULL", "1970-01-01", "1970-01-01T02:00:00+02:00"])
def test_every_spelling_of_the_start_is_an_initial_value(time: str | None) -> None:
    values = conformed([thing("1", (), [("c", "2", None, NOON), ("c", "1", None, time)])]).ocel.object_attributes
    assert values.select("value", "initial", "ordinal").rows() == [("1", True, 0), ("2", False, 0)]
    assert values["time"].to_list() == [None, datetime(2024, 5, 1, 12, tzinfo=UTC)]


# --- types


def test_types_are_the_declared_and_the_used() -> None:
    declared = {"event_types": {"never": {"x": "time"}}, "object_types": {"order": {"c": "integer"}}}
    ocel = conformed([event("e", (), [("a", "1", "integer")]), thing("1", (), [("c", "1"), ("d", "z")])], declared).ocel
    assert ocel.event_types["activity"].to_list() == ["never", "pay"]
    assert ocel.object_types["object_type"].to_list() == ["order"]
    assert ocel.event_type_attributes.rows() == [("never", "x", "time"), ("pay", "a", "integer")]
    assert ocel.object_type_attributes.rows() == [("order", "c", "integer"), ("order", "d", "string")]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_declarations_that_differ_give_the_widest_type(order: str) -> None:
    kinds = {
        "a": {"n": "integer", "m": "boolean", "k": "time"},
        "b": {"n": "float", "m": "integer", "k": "time"},
    }
    declared = {name: {"event_types": {"pay": kinds[name]}, "object_types": {}} for name in order}
    ocel = conformed({name: [] for name in order} | {"a": [event("e", (), [("n", "1"), ("m", "1")])]}, declared).ocel
    assert ocel.event_type_attributes["value_type"].to_list() == ["time", "string", "float"]
    assert ocel.event_attributes.select("name", "value", "value_type").rows() == [
        ("m", "1", "string"),
        ("n", "1.0", "float"),
    ]


def test_undeclared_attributes_take_one_type_for_all_their_values() -> None:
    # An export declares what it finds, so values that kept types of their own would read differently the next time.
    records = [
        event(
            "e", (), [("n", "1", "integer"), ("m", "1", "integer"), ("l", "[1]", "list"), ("t", "2024-05-01", "time")]
        ),
        event("f", (), [("n", "2.50", "float"), ("m", "true", "boolean"), ("l", "x")]),
    ]
    ocel = conformed(records).ocel
    assert ocel.event_type_attributes.rows() == [
        ("pay", "l", "string"), ("pay", "m", "string"), ("pay", "n", "float"), ("pay", "t", "time"),
    ]  # fmt: skip
    assert ocel.event_attributes.select("event_id", "name", "value", "value_type").rows() == [
        ("e", "l", "[1]", "list"),
        ("e", "m", "1", "string"),
        ("e", "n", "1.0", "float"),
        ("e", "t", "2024-05-01T00:00:00Z", "time"),
        ("f", "l", "x", "string"),
        ("f", "m", "true", "string"),
        ("f", "n", "2.5", "float"),
    ]
    again = [
        event(key[0], (), [(row["name"], row["value"], row["value_type"]) for row in rows.to_dicts()])
        for key, rows in ocel.event_attributes.group_by("event_id")
    ]
    kinds = dict(ocel.event_type_attributes.select("name", "value_type").rows())
    declared = {"event_types": {"pay": kinds}, "object_types": {}}
    assert conformed(again, declared).ocel.event_attributes.rows() == ocel.event_attributes.rows()


def test_metadata_is_kept_by_batch() -> None:
    assert conformed({"b": [], "a": []}).ocel.log_metadata.rows() == [("a", "version", "1"), ("b", "version", "1")]


# --- values


def typed(
    value: str | None, native: str | None = None, declared: str | None = None, zone: str = "UTC"
) -> tuple[Any, ...]:
    frame = pl.DataFrame(
        {"value": [value], "native": [native], "declared": [declared]},
        schema={"value": pl.String, "native": pl.String, "declared": pl.String},
    )
    return type_values(frame, zone).with_columns(pl.col("value_type").cast(pl.String)).row(0)


@pytest.mark.parametrize(
    ("value", "native", "declared", "text", "kind", "number"),
    [
        ("007", None, "integer", "7", "integer", 7.0),
        ("+7", None, "integer", "7", "integer", 7.0),
        ("-0", None, "integer", "0", "integer", 0.0),
        (" 7 ", None, "integer", "7", "integer", 7.0),
        ("9223372036854775807", None, "integer", "9223372036854775807", "integer", 2.0**63),
        ("9223372036854775808", "integer", "integer", "9223372036854775808", "string", None),
        ("7.0", "float", "integer", "7.0", "float", 7.0),
        ("7.0", None, "integer", "7.0", "string", None),
        ("12.50", None, "float", "12.5", "float", 12.5),
        ("1", "integer", "float", "1.0", "float", 1.0),
        (".5", None, "float", "0.5", "float", 0.5),
        ("1E3", None, "float", "1000.0", "float", 1000.0),
        ("1e400", "float", "float", "1e400", "string", None),
        ("NaN", None, "float", "NaN", "string", None),
        ("inf", None, "float", "inf", "string", None),
        ("1_000", None, "float", "1_000", "string", None),
        ("True", None, "boolean", "true", "boolean", 1.0),
        ("0", "integer", "boolean", "false", "boolean", 0.0),
        ("yes", None, "boolean", "yes", "string", None),
        ("true", "boolean", None, "true", "boolean", 1.0),
        ("12.50", "float", "string", "12.50", "string", None),
        ("007", None, None, "007", "string", None),
        ("007", "integer", None, "7", "integer", 7.0),
        ("", None, "integer", "", "string", None),
        ("[1,  \"\\u00e9\"]", "list", "string", '[1,"é"]', "list", None),
        ('{"a": [ ]}', "map", "integer", '{"a":[]}', "map", None),
        ('{"a":1, "a":2}', "map", None, '{"a":1, "a":2}', "map", None),
        ("[12345678901234567890123]", "list", None, "[12345678901234567890123]", "list", None),
        ("[1", "list", None, "[1", "string", None),
        ("[NaN]", "list", None, "[NaN]", "string", None),
        ("[1]", "map", None, "[1]", "string", None),
        ("[1 ]", None, "list", "[1]", "list", None),
        ("[" * 100_000, "list", None, "[" * 100_000, "string", None),
        (None, None, "integer", None, "integer", None),
    ],
)  # fmt: skip
def test_canonical_values(
    value: str | None, native: str | None, declared: str | None, text: str | None, kind: str, number: float | None
) -> None:
    assert typed(value, native, declared) == (text, kind, number, None)


def test_time_values_are_utc_in_the_declared_zone() -> None:
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert typed("2024-05-01 14:00", None, "time", "Europe/Berlin") == ("2024-05-01T12:00:00Z", "time", None, noon)
    assert typed("2024-05-01T12:00:00.0001Z", "time")[0] == "2024-05-01T12:00:00.000100Z"
    assert typed("2024-03-31 02:30", None, "time", "Europe/Berlin") == ("2024-03-31 02:30", "string", None, None)
    assert typed("0", None, "time") == ("0", "string", None, None)


NUMBERS = st.floats(allow_nan=True).map(repr) | st.integers().map(str) | st.from_regex(r"[+-]?[0-9.eE+-]{1,12}")
TEXTS = (
    st.text(max_size=12) | NUMBERS | st.datetimes().map(str) | st.sampled_from(["true", "False", "1", "[1, 2]", "{}"])
)
KINDS = st.none() | st.sampled_from(VALUE_TYPES)


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXTS, KINDS, KINDS), max_size=30))
def test_canonical_text_is_a_fixed_point(values: list[tuple[str, str | None, str | None]]) -> None:
    frame = pl.DataFrame(values, schema={"value": pl.String, "native": pl.String, "declared": pl.String}, orient="row")
    once = type_values(frame, "Europe/Berlin")
    twice = type_values(once.select("value", native="value_type", declared=frame["declared"]), "America/New_York")
    assert twice.rows() == once.rows()
    for (text, _, _), (_, kind, number, _) in zip(values, once.rows(), strict=True):
        if kind in ("integer", "float"):
            assert number == float(text)


def test_common_type_does_not_depend_on_the_order() -> None:
    assert common_type(["float", "integer"]) == common_type(["integer", "float"]) == "float"
    assert common_type(["list", "map"]) == "string"


def test_settings_default() -> None:
    assert told(conformed([event("e", [("1",)])])) == told(conformed([event("e", [("1",)])], settings=LogSettings()))
