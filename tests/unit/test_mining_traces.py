"""Encoding, and variants that do not trust their hash."""

from __future__ import annotations

import hashlib
from dataclasses import fields

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_series_equal

from ocelake.errors import OcelakeError
from ocelake.mining import Traces, encode
from ocelake.mining.variants import Variants, _confirmed, find_variants, variant_id
from tests.unit.reference_mining import Log, logs


def traces_of(log: Log, *, alone: bool = False) -> Traces:
    tables = log.tables()
    if alone:
        return encode(tables["ocel.event_objects"])
    return encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])


def as_lists(traces: Traces) -> dict[str, list[str]]:
    return {
        name: traces.event_ids.gather(traces.step_event[start:end]).to_list()
        for name, start, end in zip(traces.object_ids, traces.offsets, traces.offsets[1:], strict=False)
    }


def classes(log: Log, variants: Variants, traces: Traces) -> set[frozenset[str]]:
    groups: dict[int, set[str]] = {}
    for name, variant in zip(traces.object_ids, variants.of_object, strict=True):
        groups.setdefault(int(variant), set()).add(name)
    return {frozenset(group) for group in groups.values()}


@settings(max_examples=30)
@given(logs())
def test_traces_are_ordered_by_time_sequence_and_id(log: Log) -> None:
    expected = log.traces()
    assert as_lists(traces_of(log)) == expected
    assert as_lists(traces_of(log, alone=True)) == {name: trace for name, trace in expected.items() if trace}


def test_order_is_that_of_the_text_and_the_sequence_comes_first() -> None:
    log = Log(
        {"e10": ("a", 0, 0), "e9": ("b", 0, 0), "é": ("c", 0, 0), "Z": ("d", 0, 1), "a": ("e", 0, 0)},
        {"o": "order"},
        [(event, "o", "") for event in ("Z", "e9", "é", "e10", "a")],
    )
    assert as_lists(traces_of(log)) == {"o": ["a", "e10", "e9", "é", "Z"]}


def test_frames_of_any_time_zone_or_none_are_taken() -> None:
    tables = Log({"e1": ("a", 0, 0)}, {"o": "order"}, [("e1", "o", "")]).tables()
    naive = tables["ocel.event_objects"].with_columns(pl.col("time").dt.replace_time_zone(None))
    assert encode(naive).event_time.tolist() == encode(tables["ocel.event_objects"]).event_time.tolist()


@settings(max_examples=30)
@given(logs())
def test_variants_are_exact_even_if_every_hash_collides(log: Log) -> None:
    traces = traces_of(log)
    groups: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for name, trace in log.traces().items():
        groups.setdefault((log.objects[name], tuple(log.events[event][0] for event in trace)), set()).add(name)
    expected = {frozenset(group) for group in groups.values()}
    assert classes(log, find_variants(traces), traces) == expected
    constant = _confirmed(traces, np.zeros(len(traces.object_ids), dtype=np.uint64))
    assert classes(log, constant, traces) == expected
    assert len(constant.example) == len(expected)


def test_a_variant_id_is_that_of_every_run_and_separates_names() -> None:
    text = b"".join(len(name).to_bytes(4, "big") + name for name in (b"place order", "paié".encode()))
    assert variant_id(["place order", "paié"]) == hashlib.blake2b(text, digest_size=8).hexdigest()
    assert variant_id([]) == "e4a6a0577479b2b4"
    assert len({variant_id(names) for names in (["a", "b"], ["ab"], ["b", "a"], ["a", "b", ""], [])}) == 5


def test_dictionaries_are_sorted_by_text() -> None:
    log = Log({"e1": ("b", 0, 0), "e2": ("B", 0, 0), "e3": ("a", 0, 0)}, {"o": "z", "p": "Z"}, [])
    traces = traces_of(log)
    assert_series_equal(traces.activities, pl.Series("activity", ["B", "a", "b"]))
    assert_series_equal(traces.object_types, pl.Series("object_type", ["Z", "z"]))
    assert traces.object_ids.to_list() == ["p", "o"]


@settings(max_examples=15)
@given(logs())
def test_ids_are_told_apart_even_if_every_hash_collides(log: Log) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pl.Series, "hash", lambda ids: pl.zeros(len(ids), pl.UInt64, eager=True))
        assert as_lists(traces_of(log)) == log.traces()


@given(logs(), st.lists(st.integers(0, 3), min_size=25, max_size=25))
def test_relations_in_parts_are_the_same_traces(log: Log, part: list[int]) -> None:
    tables = log.tables()
    relations, objects, events = (tables[f"ocel.{name}"] for name in ("event_objects", "objects", "events"))
    split = pl.Series("part", part[: len(relations)], dtype=pl.Int64)
    parts = [relations.filter(split == number).select("event_id", "object_id") for number in range(4)]
    whole, again = encode(relations, objects, events), encode(iter(parts), objects, events)
    for field in fields(whole):
        before, after = getattr(whole, field.name), getattr(again, field.name)
        assert list(before) == list(after), field.name


def test_relations_in_parts_need_events_and_objects() -> None:
    with pytest.raises(OcelakeError, match="in parts"):
        encode(iter([]))


@given(logs(), st.sets(st.sampled_from(["order", "item", "Item"]), min_size=1))
def test_the_traces_of_some_types_are_those_of_the_log_without_the_others(log: Log, names: set[str]) -> None:
    names &= set(log.objects.values())
    kept = {name for name, kind in log.objects.items() if kind in names}
    relations = [relation for relation in log.relations if relation[1] in kept]
    related = {event for event, _, _ in relations}
    part = Log({event: log.events[event] for event in log.events if event in related}, {}, relations)
    part.objects.update({name: log.objects[name] for name in log.objects if name in kept})
    found = traces_of(log).of_types(names)
    assert as_lists(found) == as_lists(traces_of(part))
    assert found.object_types.to_list() == sorted(names)
    wanted = {event: activity for event, (activity, _, _) in part.events.items()}
    assert dict(zip(found.event_ids, found.activities.gather(found.event_activity), strict=True)) == wanted
    assert (found.step_activity == found.event_activity[found.step_event]).all()
    kinds = dict(zip(found.object_ids, found.object_types.gather(found.object_type), strict=True))
    assert kinds == part.objects
