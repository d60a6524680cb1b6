"""Process executions against a plain breadth-first search, on random logs."""

from __future__ import annotations

import random
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import OcelakeError
from ocelake.mining import Traces, encode, executions
from ocelake.mining.execution_variants import execution_tables
from ocelake.mining.executions import Executions, find_executions
from ocelake.tables import TABLES
from tests.unit import reference_mining as reference
from tests.unit.reference_mining import Log, logs

Members = dict[str, tuple[frozenset[str], frozenset[str]]]


def traces_of(log: Log) -> Traces:
    tables = log.tables()
    return encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])


def members(traces: Traces, found: Executions) -> Members:
    """Give (events, objects) of each execution."""
    return {
        name: (
            frozenset(traces.event_ids.gather(found.events[slice(*events)])),
            frozenset(traces.object_ids.gather(found.objects[slice(*objects)])),
        )
        for name, events, objects in zip(
            found.ids, pairwise(found.event_offsets), pairwise(found.object_offsets), strict=True
        )
    }


def led_by(log: Log, kind: str) -> Members:
    """Search from each object of a type, one object after the other."""
    traces = log.traces()
    found: Members = {}
    for root in (name for name, of in log.objects.items() if of == kind):
        levels, inside, frontier, level = {kind: 0}, {root}, {root}, 0
        while frontier:
            level += 1
            beside = {
                other for name in frontier for event in traces[name] for other in log.objects if event in traces[other]
            }
            for other in beside:
                levels.setdefault(log.objects[other], level)
            frontier = {other for other in beside - inside if levels[log.objects[other]] == level}
            inside |= frontier
        found[root] = (frozenset(event for name in inside for event in traces[name]), frozenset(inside))
    return found


@settings(max_examples=60)
@given(logs())
def test_executions_are_those_of_a_plain_search(log: Log) -> None:
    traces = traces_of(log)
    connected = members(traces, find_executions(traces, "connected"))
    assert set(connected.values()) == reference.executions(log)
    assert all(name == min(objects) for name, (_, objects) in connected.items() if objects)
    for kind in set(log.objects.values()):
        assert members(traces, find_executions(traces, f"leading:{kind}")) == led_by(log, kind)


@settings(max_examples=20)
@given(logs())
def test_the_work_may_be_cut_anywhere(log: Log) -> None:
    traces = traces_of(log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executions, "_SLICE", 2)
        for kind in set(log.objects.values()):
            assert members(traces, find_executions(traces, f"leading:{kind}")) == led_by(log, kind)


def test_an_object_of_a_type_met_before_is_neither_added_nor_passed_through() -> None:
    """From o1, items are met at level 1: i2 (two steps away, over the package) is no member, and leads nowhere."""
    log = Log(
        {event: (event, place, 0) for place, event in enumerate(["place", "pack", "pick", "audit"])},
        {"o1": "order", "i1": "item", "i2": "item", "p": "package", "a": "auditor"},
        [
            *[("place", "o1", ""), ("place", "i1", ""), ("pack", "i1", ""), ("pack", "p", "")],
            *[("pick", "p", ""), ("pick", "i2", ""), ("audit", "i2", ""), ("audit", "a", "")],
        ],
    )
    traces = traces_of(log)
    (found,) = members(traces, find_executions(traces, "leading:order")).values()
    assert found == (frozenset({"place", "pack", "pick"}), frozenset({"o1", "i1", "p"})), "pick without i2"


def test_more_object_types_than_bits_in_a_byte() -> None:
    names = [f"t{number:02}" for number in range(19)]
    relations = [(f"e{n}", f"o{m}", "") for n in range(18) for m in (n, n + 1)]
    log = Log({f"e{n}": ("a", n, 0) for n in range(18)}, {f"o{n}": name for n, name in enumerate(names)}, relations)
    traces = traces_of(log)
    for kind in ("t00", "t07", "t08", "t18"):
        assert members(traces, find_executions(traces, f"leading:{kind}")) == led_by(log, kind)


def test_what_cannot_be_found_is_refused() -> None:
    log = Log({"e": ("a", 0, 0)}, {f"o{n}": "order" if n else "item" for n in range(9)}, [])
    log.relations.extend(("e", name, "") for name in log.objects)
    traces = traces_of(log)
    with pytest.raises(OcelakeError, match="no kind of process execution"):
        find_executions(traces, "lead:order")
    with pytest.raises(OcelakeError, match=r"no objects of type 'parcel'(.|\n)*item, order"):
        find_executions(traces, "leading:parcel")
    hubs = Log(
        {f"e{n}": ("a", n, 0) for n in range(99)},
        {f"o{n}": "order" for n in range(99)} | {"hub": "clerk"},
        [(f"e{n}", name, "") for n in range(99) for name in (f"o{n}", "hub")],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executions, "_MOST_STEPS", 0)
        assert len(find_executions(traces, "leading:order").ids) == 8
        with pytest.raises(OcelakeError, match="overlap too much"):
            find_executions(traces_of(hubs), "leading:order")


@settings(max_examples=15)
@given(logs(), st.randoms(use_true_random=False))
def test_the_tables_are_sorted_keyed_and_the_same_for_rows_in_any_order(log: Log, chance: random.Random) -> None:
    frames = log.tables()
    shuffled = {name: frame[chance.sample(range(len(frame)), len(frame))] for name, frame in frames.items()}
    kinds = ["connected", *(f"leading:{kind}" for kind in sorted(set(log.objects.values()), reverse=True))]
    made = []
    for tables in (frames, shuffled):
        traces = encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])
        made.append(execution_tables(traces, [find_executions(traces, kind) for kind in kinds]))
    for name, frame in made[0].items():
        spec = TABLES[name]
        assert frame.schema == {column: dtype for column, dtype in spec.schema.items() if column != "log_id"}
        assert_frame_equal(frame, made[1][name], check_exact=True)
        assert_frame_equal(frame, frame.sort(spec.sort), check_exact=True)
        assert not frame.select(spec.key[1:]).is_duplicated().any()
    executions_table = made[0]["ocel.process_executions"]
    for part in ("event", "object"):
        counted = made[0][f"ocel.execution_{part}s"].group_by("kind", "execution_id").len("found")
        both = executions_table.join(counted, on=["kind", "execution_id"], how="left").fill_null(0)
        assert both.filter(pl.col("found") != pl.col(f"{part}s")).is_empty()
