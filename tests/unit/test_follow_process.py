"""The graph, variants and performance that follow a log are those of the log as it is then."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from polars.testing import assert_frame_equal

from ocelake.mining.gold import mine_log
from ocelake.mining.incremental.gold import follow_gold, gold_state
from ocelake.settings import MiningSettings
from ocelake.tables import TABLES, as_table, layer_tables
from tests.unit.changing_logs import START, Log, change, histories
from tests.unit.test_moves import sequence_of

SETTINGS = MiningSettings()
ROWS = {spec.identifier: 0 for spec in layer_tables("silver")}


def whole(log: Log) -> dict[str, pl.DataFrame]:
    """Mine a log as a whole."""
    events, _, _ = log.frames()
    tables = {"ocel.events": events, "ocel.event_attributes": as_table("ocel.event_attributes")}
    tables["ocel.object_objects"] = as_table("ocel.object_objects")
    return mine_log(
        tables, settings=SETTINGS, quarantined=0, counts=ROWS, publication_id="log.silver.1", traces=log.traces()
    )


def assert_followed(logs: list[Log]) -> None:
    """Follow a log through its states, and compare the tables of each with those of the whole."""
    traces = logs[0].traces()
    state = gold_state(traces, sequence_of(logs[0], traces), SETTINGS)
    tables = whole(logs[0])
    for before, after in pairwise(logs):
        state, contents = follow_gold(
            state,
            change(before, after),
            SETTINGS,
            attributes=as_table("ocel.event_attributes"),
            rows=ROWS,
            quarantined=0,
            publication_id="log.silver.1",
        )
        expected = whole(after)
        for name, content in contents.items():
            if isinstance(content, tuple):
                went, came = content
                kept = tables[name].join(went, on=went.columns, how="anti", nulls_equal=True)
                assert len(kept) == len(tables[name]) - len(went), name
                content = as_table(name, pl.concat([kept, came]))
            tables[name] = content
            key = [column for column in TABLES[name].key if column != "log_id"]
            order = key or content.columns
            assert_frame_equal(content.sort(order), expected[name].sort(order), check_exact=True)


@settings(max_examples=80)
@given(histories())
def test_tables_that_follow_are_those_of_the_whole(logs: list[Log]) -> None:
    assert_followed(logs)


def log_of(**objects: tuple[str, str]) -> Log:
    """Make a log of traces: of each object the type, and its events as letters.

    An event's day is its place in the alphabet; those in capitals are at the same time as those that are not. The
    activity is the letter as well, up to c; those after are of one activity.
    """
    names = {event for _, events in objects.values() for event in events}
    return Log(
        {name: (min(name.lower(), "d"), START + timedelta(days=ord(name.lower()) - ord("a")), 0) for name in names},
        {name: kind for name, (kind, _) in objects.items()},
        {(event, name) for name, (_, events) in objects.items() for event in events},
    )


SHARED = log_of(o1=("order", "abc"), o2=("order", "abc"), i1=("item", "bc"), i2=("item", "b"))


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(log_of(o1=("order", "abc"), o2=("order", "ac"), i1=("item", "bc"), i2=("item", "b")), id="left"),
        pytest.param(log_of(o1=("order", "abc"), i1=("item", "bc"), i2=("item", "b")), id="one of two that share all"),
        pytest.param(log_of(o1=("order", "bc"), o2=("order", "abc"), i1=("item", "bc"), i2=("item", "b")), id="start"),
        pytest.param(log_of(o1=("order", "ab"), o2=("order", "ab"), i1=("item", "bc"), i2=("item", "b")), id="end"),
        pytest.param(log_of(o1=("order", "abc"), o2=("order", "abc"), i1=("item", "c"), i2=("item", "b")), id="first"),
        pytest.param(log_of(o1=("order", "abc"), o2=("order", "abc")), id="a type vanishes"),
        pytest.param(log_of(i1=("item", "bc"), i2=("item", "b")), id="the other type vanishes"),
        pytest.param(log_of(o1=("order", "aBbc"), o2=("order", "abc"), i1=("item", "Bc"), i2=("item", "b")), id="tied"),
        pytest.param(
            log_of(o1=("item", "abc"), o2=("order", "abc"), i1=("item", "bc"), i2=("item", "b")), id="retyped"
        ),
        pytest.param(log_of(o1=("order", ""), o2=("order", ""), i1=("item", ""), i2=("item", "")), id="empty traces"),
        pytest.param(replace(SHARED, relations=set()), id="events without objects"),
        pytest.param(Log(), id="nothing"),
    ],
)
def test_what_is_shared_is_counted_once_there_and_back(after: Log) -> None:
    assert_followed([SHARED, after, SHARED, Log(), SHARED])


def test_a_hub_that_a_batch_touches_in_its_middle() -> None:
    letters = "abcdefghij"
    objects = {f"o{letter}": ("order", letter) for letter in letters}
    without, whole_log = (log_of(hub=("shop", events), **objects) for events in ("abcdfghij", letters))
    assert_followed([without, whole_log, without])
    traces = without.traces()
    state = gold_state(traces, sequence_of(without, traces), SETTINGS)
    changes = change(without, whole_log)
    rest = {"attributes": as_table("ocel.event_attributes"), "rows": ROWS, "quarantined": 0, "publication_id": "1"}
    went, came = follow_gold(state, changes, SETTINGS, **rest)[1]["gold.event_performance"]
    assert sorted(went["event_id"]) == ["e", "f"]
    assert sorted(came["event_id"]) == ["e", "f"]


def test_nothing_that_happens_changes_nothing() -> None:
    empty = Log()
    state = gold_state(empty.traces(), np.empty(0, dtype=np.int64), SETTINGS)
    _, contents = follow_gold(
        state,
        change(empty, empty),
        SETTINGS,
        attributes=as_table("ocel.event_attributes"),
        rows=ROWS,
        quarantined=0,
        publication_id="log.silver.1",
    )
    assert sum(len(part) for content in contents.values() if isinstance(content, tuple) for part in content) == 0
