"""All gold tables against the plain reference, on random logs."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import OcelakeError
from ocelake.mining import encode, mine_log
from ocelake.mining.variants import variant_id
from ocelake.settings import MiningSettings
from ocelake.tables import TABLES, layer_tables
from tests.unit import reference_mining as reference
from tests.unit.reference_mining import Log, logs


def mine(log: Log) -> dict[str, pl.DataFrame]:
    return mine_log(log.tables(), quarantined=2, publication_id="log.silver.1")


def small() -> Log:
    """Two items of an order, tied in time; one event related twice, one alone; an object without events."""
    return Log(
        {
            "e1": ("place", 0, 0),
            "e2": ("pick", 10_000_000, 0),
            "e3": ("pick", 10_000_000, 0),
            "e4": ("pay", 40_000_000, 0),
            "e9": ("count stock", 5_000_000, 0),
        },
        {"o": "order", "i1": "item", "i2": "item", "i3": "item"},
        [
            ("e1", "o", ""),
            ("e1", "i1", "first"),
            ("e1", "i1", "main"),
            ("e1", "i2", ""),
            ("e2", "i1", ""),
            ("e3", "i1", ""),
            ("e3", "i2", ""),
            ("e4", "o", ""),
        ],
    )


@settings(max_examples=30)
@given(logs())
def test_nodes_and_edges_equal_the_reference(log: Log) -> None:
    mined = mine(log)
    rows = {(kind, activity): counts for kind, activity, *counts in mined["gold.ocdfg_nodes"].iter_rows()}
    assert {key: tuple(counts) for key, counts in rows.items()} == reference.nodes(log)

    expected = reference.edges(log)
    assert {row[:3]: row[3:6] for row in mined["gold.ocdfg_edges"].iter_rows()} == {
        edge: counts[:3] for edge, counts in expected.items()
    }
    for kind, source, target, *_, total, mean, least, median, p90, p95, most in mined["gold.ocdfg_edges"].iter_rows():
        durations = expected[kind, source, target][3]
        assert total == pytest.approx(sum(durations))
        assert mean == pytest.approx(sum(durations) / len(durations))
        assert (least, most) == (durations[0], durations[-1])
        assert [median, p90, p95] == pytest.approx([reference.quantile(durations, q) for q in (0.5, 0.9, 0.95)])


@settings(max_examples=30)
@given(logs())
def test_variants_and_object_summaries_equal_the_reference(log: Log) -> None:
    mined = mine(log)
    variants = mined["gold.trace_variants"]
    found = Counter({(kind, tuple(names)): n for kind, _, names, n, *_ in variants.iter_rows()})
    assert found == reference.variants(log)
    assert len(variants) == len(found)
    of_type = Counter(log.objects.values())
    for kind, key, names, objects, share, total, mean in variants.iter_rows():
        assert key == variant_id(names)
        assert share == pytest.approx(objects / of_type[kind])
        assert (total is None) == (mean is None) == (not names)

    traces = log.traces()
    summaries = mined["gold.object_summaries"].sort("object_type", "object_id").rows(named=True)
    assert [row["object_id"] for row in summaries] == sorted(log.objects, key=lambda name: (log.objects[name], name))
    for row in summaries:
        events = traces[row["object_id"]]
        times = [reference.instant(log.events[event][1]) for event in events]
        assert row["object_type"] == log.objects[row["object_id"]]
        assert row["variant_id"] == variant_id([log.events[event][0] for event in events])
        assert row["events"] == len(events)
        assert (row["first_time"], row["last_time"]) == ((times[0], times[-1]) if times else (None, None))
        assert row["cycle_time"] == (pytest.approx((times[-1] - times[0]).total_seconds()) if times else None)
        assert row["publication_id"] == "log.silver.1"


@settings(max_examples=30)
@given(logs())
def test_executions_are_the_connected_components(log: Log) -> None:
    mined = mine(log)
    events, objects = (
        mined[f"ocel.execution_{part}s"].group_by("execution_id").agg(f"{part}_id") for part in ("event", "object")
    )
    both = events.join(objects, on="execution_id", how="full", coalesce=True)
    components = {key: (frozenset(e or ()), frozenset(o or ())) for key, e, o in both.iter_rows()}
    assert set(components.values()) == reference.executions(log)
    rows = mined["ocel.process_executions"].rows(named=True)
    assert sorted(components) == [row["execution_id"] for row in rows]
    for row in rows:
        inside, members = components[row["execution_id"]]
        times = sorted(reference.instant(log.events[event][1]) for event in inside)
        assert (row["kind"], row["events"], row["objects"]) == ("connected", len(inside), len(members))
        assert (row["first_time"], row["last_time"]) == ((times[0], times[-1]) if times else (None, None))
        assert row["execution_id"] == min(members) if members else row["execution_id"].startswith("event:")


@settings(max_examples=30)
@given(logs())
def test_the_log_summary_counts(log: Log) -> None:
    (row,) = mine(log)["gold.log_summary"].rows(named=True)
    traces = log.traces()
    pairs = [log.events[a][1] == log.events[b][1] for trace in traces.values() for a, b in pairwise(trace)]
    assert row["events"] == len(log.events)
    assert row["objects"] == len(log.objects)
    assert row["event_objects"] == len(log.relations)
    assert row["events_without_objects"] == len(set(log.events) - {event for event, _, _ in log.relations})
    assert row["objects_without_events"] == sum(not trace for trace in traces.values())
    assert row["executions"] == len(reference.executions(log))
    assert row["quarantined"] == 2
    assert row["tied_share"] == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


@settings(max_examples=25)
@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(log: Log, chance: random.Random) -> None:
    shuffled = {name: frame[chance.sample(range(len(frame)), len(frame))] for name, frame in log.tables().items()}
    again = mine_log(shuffled, quarantined=2, publication_id="log.silver.1")
    for identifier, frame in mine(log).items():
        assert_frame_equal(frame, again[identifier], check_exact=True)


@settings(max_examples=25)
@given(logs())
def test_renaming_that_keeps_the_order_changes_nothing(log: Log) -> None:
    event = {name: f"E{rank:03}" for rank, name in enumerate(sorted(log.events))}
    thing = {name: f"O{rank:03}" for rank, name in enumerate(sorted(log.objects))}
    renamed = Log(
        {event[name]: values for name, values in log.events.items()},
        {thing[name]: kind for name, kind in log.objects.items()},
        [(event[e], thing[o], qualifier) for e, o, qualifier in log.relations],
    )
    ours, theirs = mine(log), mine(renamed)
    for identifier in ("gold.ocdfg_nodes", "gold.ocdfg_edges", "gold.trace_variants", "gold.log_summary"):
        assert_frame_equal(ours[identifier], theirs[identifier], check_exact=True)


def test_the_kinds_of_executions_are_a_setting() -> None:
    chosen = MiningSettings(executions=("leading:order", "leading:item"), execution_equality="adams")
    mined = mine_log(small().tables(), quarantined=0, publication_id="p", settings=chosen)
    found = mined["ocel.process_executions"]
    assert found["kind"].value_counts(sort=True).rows() == [("leading:item", 3), ("leading:order", 1)]
    assert found["variant_id"].null_count() == 0
    assert mined["gold.execution_variants"]["executions"].sum() == 4
    assert mined["gold.log_summary"]["executions"].item() == 3, "the connected ones, stored or not"


def test_every_gold_table_has_the_columns_of_the_registry() -> None:
    for log in (small(), Log({}, {}, [])):
        mined = mine(log)
        assert list(mined) == [spec.identifier for spec in layer_tables("gold") if spec.identifier in mined]
        for identifier, frame in mined.items():
            spec = TABLES[identifier]
            assert frame.schema == {n: dtype for n, dtype in spec.schema.items() if n not in spec.partition}
            assert_frame_equal(frame, frame.sort([name for name in spec.sort if name != "log_id"]), check_exact=True)
            for column in spec.columns:
                assert not (column.required and column.name in frame.columns and frame[column.name].null_count())


def test_two_qualifiers_are_one_step_and_ties_follow_the_id() -> None:
    mined = mine(small())
    items = mined["gold.ocdfg_edges"].filter(object_type="item")
    rows = {row[1:3]: row[3:6] for row in items.iter_rows()}
    assert rows == {("place", "pick"): (2, 2, 2), ("pick", "pick"): (1, 1, 1)}
    assert mined["gold.log_summary"]["tied_share"].item() == pytest.approx(1 / 4)


def test_an_event_related_to_many_objects_counts_once_as_a_couple() -> None:
    things = {f"i{n}": "item" for n in range(5)}
    relations = [(event, name, "") for event in ("e1", "e2") for name in things]
    log = Log({"e1": ("a", 0, 0), "e2": ("b", 1, 0)}, things, relations)
    (row,) = mine(log)["gold.ocdfg_edges"].rows(named=True)
    assert (row["event_couples"], row["unique_objects"], row["total_objects"]) == (1, 5, 5)


def test_an_isolated_event_never_takes_the_name_of_an_object() -> None:
    log = Log({"e": ("a", 0, 0)}, {"event:e": "order", "event:event:e": "order"}, [])
    names = mine(log)["ocel.process_executions"]["execution_id"].to_list()
    assert sorted(names) == ["event:e", "event:event:e", "event:event:event:e"]


def test_long_durations_of_many_objects_do_not_overflow() -> None:
    many = 4000
    year = 365 * 86_400_000_000
    log = Log(
        {"e1": ("a", 0, 0), "e2": ("b", 100 * year, 0)},
        {f"o{n}": "order" for n in range(many)},
        [(event, f"o{n}", "") for event in ("e1", "e2") for n in range(many)],
    )
    mined = mine(log)
    total = many * 100 * 365 * 86_400.0
    assert mined["gold.ocdfg_edges"]["duration_sum"].item() == total
    assert mined["gold.trace_variants"]["duration_sum"].item() == total


def test_a_relation_to_nothing_is_refused_by_name() -> None:
    tables = small().tables()
    without = tables["ocel.events"].filter(pl.col("event_id") != "e4")
    with pytest.raises(OcelakeError, match=r"1 relations name events .* 'e4'"):
        encode(tables["ocel.event_objects"], tables["ocel.objects"], without)
