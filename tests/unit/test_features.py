"""Features of prefixes: what they are, and that nothing that happens later has a say in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import NotFound, OcelakeError
from ocelake.features import (
    PredictionSettings,
    Prefixes,
    default_types,
    find_context,
    flowing_types,
    prefix_features,
    prefix_graph,
)
from ocelake.features.prefixes import is_duration
from ocelake.features.so_far import executions_so_far
from ocelake.mining.executions import connected_executions
from ocelake.mining.traces import Traces, encode
from ocelake.ocel.generate import generate

START = datetime(2024, 1, 1, tzinfo=UTC)
LOG = [
    ("e1", "place", 0, ["o1", "i1", "i2"]),
    ("e2", "pick", 1, ["i1"]),
    ("e3", "pick", 3, ["i2"]),
    ("e4", "send", 4, ["i1"]),
    ("e5", "pay", 5, ["o1"]),
]
TYPES = ("order", "item")
OBJECTS = [f"{kind[0]}{number}" for kind in TYPES for number in range(4)]
DECLARED = st.sampled_from([("order",), ("item",), TYPES])
"""Types that executions are made of."""

SETTINGS = PredictionSettings(ends={"order": ("pay",), "item": ("pay", "send")}, initial_values=True)


@st.composite
def events(draw: st.DrawFn, day_from: int, day_to: int, mark: str) -> list[tuple]:
    """Events of some days, several at one time."""
    found = []
    for number in range(draw(st.integers(0, 8))):
        objects = draw(st.lists(st.sampled_from(OBJECTS), min_size=1, max_size=3, unique=True))
        day = draw(st.integers(day_from, day_to - 1))
        found.append((f"{mark}{number}", draw(st.sampled_from(["place", "pick", "send", "pay"])), day, objects))
    return found


@st.composite
def values(draw: st.DrawFn, day_from: int, day_to: int) -> list[tuple]:
    """Values of objects' attributes, numbers and texts under one name."""
    count = draw(st.integers(0, 6))
    return [
        (
            draw(st.sampled_from(OBJECTS)),
            draw(st.sampled_from(["price", "state"])),
            draw(st.integers(day_from, day_to - 1)),
            draw(st.sampled_from(["1", "2", "open", "shut"])),
        )
        for _ in range(count)
    ]


def build(rows: list[tuple], attributes: list[tuple], related: list[tuple[str, str]]) -> tuple[Traces, dict]:
    """Encode a log; objects without events are left out, as nobody may know them yet."""
    relations = pl.DataFrame(
        [
            (event, thing, activity, TYPES[thing[0] == "i"], START + timedelta(days=day), 0)
            for event, activity, day, objects in rows
            for thing in objects
        ],
        schema={
            "event_id": pl.String,
            "object_id": pl.String,
            "activity": pl.String,
            "object_type": pl.String,
            "time": pl.Datetime("us", "UTC"),
            "sequence": pl.Int64,
        },
        orient="row",
    )
    unique = {(thing, name, day): value for thing, name, day, value in attributes}
    kinds = {True: "integer", False: "string"}
    of_objects = pl.DataFrame(
        [
            (thing, name, START + timedelta(days=day), False, 0, value, kinds[value.isdigit()])
            for (thing, name, day), value in unique.items()
        ],
        schema=["object_id", "name", "time", "initial", "ordinal", "value", "value_type"],
        orient="row",
        schema_overrides={"time": pl.Datetime("us", "UTC"), "initial": pl.Boolean, "ordinal": pl.Int64},
    )
    of_events = relations.select(
        "event_id",
        name=pl.lit("amount"),
        ordinal=pl.lit(0),
        value=pl.col("event_id").str.slice(1),
        value_type=pl.lit("integer"),
    ).unique("event_id")
    o2o = pl.DataFrame(related, schema={"source_id": pl.String, "target_id": pl.String}, orient="row")
    return encode(relations), {
        "ocel.object_attributes": of_objects.cast(dict.fromkeys(("object_id", "name", "value"), pl.String)),
        "ocel.event_attributes": of_events,
        "ocel.object_objects": o2o.unique(),
    }


def found(log: tuple[Traces, dict], kind: str, execution_types: tuple[str, ...] = TYPES) -> Prefixes:
    """Give features as the lake computes them, under declared types."""
    traces, tables = log
    context = find_context(traces, flowing_types(traces, execution_types))
    return prefix_features(traces, kind, tables, settings=SETTINGS, context=context)


def same(before: Prefixes, after: Prefixes) -> None:
    """Hold the features of one log against those of a log that goes on differently."""
    keys = after.keys.with_row_index("row").join(before.keys, on=["object_id", "event_id"], how="semi")
    assert_frame_equal(keys.drop("row"), before.keys)
    later = after.values[keys["row"]]
    common = [name for name in before.values.columns if name in later.columns]
    assert_frame_equal(later.select(common), before.values.select(common))
    for name in set(before.values.columns) ^ set(later.columns):
        # A column for what has not been seen yet says so.
        rest = (before.values if name in before.values.columns else later)[name]
        assert rest.drop_nulls().cast(pl.String).is_in(["0.0"]).all(), name


@settings(max_examples=60)
@given(
    events(0, 10, "a"), values(0, 10), events(10, 20, "b"), values(10, 20),
    st.lists(st.tuples(st.sampled_from(OBJECTS), st.sampled_from(OBJECTS)), max_size=5), DECLARED,
)  # fmt: skip
def test_the_future_has_no_say(past, known, future, unknown, related, declared) -> None:
    if not past:
        return
    now, later = build(past, known, related), build(past + future, known + unknown, related)
    for kind in now[0].object_types:
        same(found(now, kind, declared), found(later, kind, declared))


@settings(max_examples=60)
@given(events(0, 5, "a"), values(0, 5), DECLARED, st.data())
def test_of_one_time_only_what_comes_first_in_the_order_has_a_say(rows, attributes, declared, data) -> None:
    """An object's value of the time of several of its events is the last one's, and not known until that has come."""
    if not rows:
        return
    rows = sorted(rows, key=lambda row: (row[2], row[0]))
    cut = data.draw(st.integers(1, len(rows)))
    to_come = {(thing, day) for _, _, day, things in rows[cut:] for thing in things}
    known = [value for value in attributes if (value[0], value[2]) not in to_come]
    now, later = build(rows[:cut], known, []), build(rows, attributes, [])
    for kind in now[0].object_types:
        same(found(now, kind, declared), found(later, kind, declared))


NAMES = st.sampled_from(["x", "", " ", "x:y", "count: pay"])
MARKS = st.lists(st.sampled_from([" (text)", " (number)"]), max_size=3).map("".join)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.builds(str.__add__, NAMES, MARKS), st.sampled_from(["integer", "string"])), max_size=8, unique=True
    ),
    st.data(),
)
def test_every_feature_has_a_name_of_its_own_whatever_attributes_are_called(kinds, data) -> None:
    """And that name says nothing of the other attributes, so that those of later do not change it."""

    def named(chosen: list[tuple[str, str]]) -> Prefixes:
        traces, tables = build(LOG, [], [])
        rows = pl.DataFrame(chosen, schema={"name": pl.String, "value_type": pl.String}, orient="row")
        value = rows.with_columns(value=pl.col("name").str.len_chars().cast(pl.String), ordinal=pl.lit(0))
        tables["ocel.event_attributes"] = pl.concat(
            # Numbers at one event, texts at another: an event has one value of a name.
            value.filter(value_type=kind).with_columns(event_id=pl.lit(event))
            for kind, event in (("integer", "e1"), ("string", "e5"))
        )
        when = pl.when(pl.col("value_type") == "integer").then(pl.lit(START)).otherwise(START + timedelta(days=2))
        tables["ocel.object_attributes"] = value.select(
            "name", "value", "value_type", "ordinal", object_id=pl.lit("o1"), initial=pl.lit(False),
            time=when.cast(pl.Datetime("us", "UTC")),
        )  # fmt: skip
        return found((traces, tables), "order")

    whole = named(kinds)
    assert len({column.name for column in whole.columns}) == len(whole.columns)
    assert sum(column.name.startswith(("event: ", "own: ")) for column in whole.columns) == 2 * len(kinds)
    names = data.draw(st.sets(st.sampled_from(sorted({name for name, _ in kinds})))) if kinds else set()
    part = named([kind for kind in kinds if kind[0] in names])
    same(part, Prefixes("order", whole.keys, whole.values.select(part.values.columns), part.columns))


def test_durations_are_told_by_their_names() -> None:
    log = generate(2_000, seed=1)
    tables = {
        "ocel.object_attributes": log.object_attributes,
        "ocel.event_attributes": log.event_attributes,
        "ocel.object_objects": log.object_objects,
    }
    traces = encode(log.event_objects, log.objects, log.events)
    for column in prefix_features(traces, "orders", tables, settings=SETTINGS).columns:
        assert is_duration(column.name) == ("econds " in column.doc), column


@settings(max_examples=50)
@given(events(0, 6, "a"))
def test_an_execution_so_far_is_the_component_of_the_events_so_far(rows) -> None:
    rows = sorted(rows, key=lambda row: (row[2], row[0]))
    if not rows:
        return
    traces, _ = build(rows, [], [])
    so_far = executions_so_far(traces)
    for rank in range(len(rows)):
        part, _ = build(rows[: rank + 1], [], [])
        executions = connected_executions(part)
        mine = int(np.searchsorted(executions.event_offsets, np.flatnonzero(executions.events == rank)[0], "right")) - 1
        members = executions.events[executions.event_offsets[mine] : executions.event_offsets[mine + 1]]
        assert so_far.events[rank] == len(members)
        assert so_far.began[rank] == part.event_time[members].min()
        size = executions.object_offsets[mine + 1] - executions.object_offsets[mine]
        assert so_far.objects[:, rank].sum() == size


def test_by_hand() -> None:
    prefixes = found(build(LOG, [("o1", "price", 1, "7")], [("o1", "i1"), ("o1", "i3")]), "order")
    assert prefixes.keys["event_id"].to_list() == ["e1", "e5"]
    row = dict(zip(prefixes.values.columns, prefixes.values.row(1), strict=True))
    day = 86_400
    assert row["activity"] == "pay"
    assert (row["activity_1"], row["activity_2"]) == ("place", None)
    assert (row["position"], row["elapsed"], row["since previous"], row["mean gap"]) == (2, 5 * day, 5 * day, 5 * day)
    assert (row["count: place"], row["since: place"], row["since: pay"]) == (1, 5 * day, 0)
    assert (row["execution events"], row["execution objects: item"], row["execution age"]) == (5, 2, 5 * day)
    assert (row["objects: order"], row["objects: item"]) == (1, 0)
    assert (row["met: item"], row["open: item"]) == (2, 1)
    assert (row["events in a day"], row["events in a week"], row["active in a week"], row["in progress"]) == (
        1,
        5,
        1,
        0,
    )
    assert (row["own: price"], row["related: item"], row["event: amount"]) == (7, 1, 5)
    assert (row["hour"], row["weekday"]) == (0, 6)
    assert {column.name for column in prefixes.columns} == set(row)
    assert all(column.doc for column in prefixes.columns)


def test_initial_values_are_features_only_where_that_is_said() -> None:
    traces, tables = build(LOG, [("o1", "price", 0, "7")], [])
    tables["ocel.object_attributes"] = tables["ocel.object_attributes"].with_columns(
        initial=pl.lit(True), time=pl.lit(None, pl.Datetime("us", "UTC"))
    )
    assert "own: price" in prefix_features(traces, "order", tables, settings=SETTINGS).values
    without = prefix_features(traces, "order", tables, settings=PredictionSettings())
    assert "own: price" not in without.values


def test_the_neighbourhood_tells_apart_what_the_object_alone_does_not() -> None:
    one = found(build(LOG, [], []), "item").values["neighbourhood"]
    other = found(build([*LOG[:1], ("e2", "send", 1, ["i1"]), *LOG[2:]], [], []), "item").values["neighbourhood"]
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert one[2] != other[2]  # the event after it, of the same activity


def test_graphs_of_prefixes_are_cut_at_their_event() -> None:
    traces, _ = build(LOG, [], [])
    graph = prefix_graph(traces, "i1", "e2")
    assert traces.event_ids.gather(graph.events).to_list() == ["e1", "e2"]
    assert traces.object_ids.gather(graph.objects).to_list() == ["i1", "i2", "o1"]
    assert graph.follows.T.tolist() == [[0, 1, 0]]
    assert graph.relations.shape == (2, 4)
    with pytest.raises(NotFound, match="no event"):
        prefix_graph(traces, "i1", "e5")


def test_the_default_type_is_in_most_events_and_does_not_live_for_ever() -> None:
    log = generate(2_000, seed=1)
    traces = encode(log.event_objects, log.objects, log.events)
    assert default_types(traces, PredictionSettings(), flowing_types(traces)) == ("items",)
    assert default_types(traces, PredictionSettings(), ("orders", "packages")) == ("orders",)
    assert default_types(traces, PredictionSettings(object_types=("orders", "nothing")), ()) == ("orders",)
    assert flowing_types(traces) == ("items", "orders", "packages")
    assert flowing_types(traces, ["orders", "lorries"]) == ("orders",)


def test_an_unknown_type_is_refused() -> None:
    traces, tables = build(LOG, [], [])
    with pytest.raises(OcelakeError, match="no objects of type 'lorry'"):
        prefix_features(traces, "lorry", tables, settings=SETTINGS)
