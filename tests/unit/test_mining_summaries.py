"""Summaries add up over disjoint sets of whole objects, and can be taken away again."""

from __future__ import annotations

from dataclasses import fields
from functools import reduce
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import OcelakeError
from ocelake.mining import Traces, encode
from ocelake.mining.ocdfg import ocdfg
from ocelake.mining.summaries import References, Summary, merge, ocdfg_of, references, subtract, summarise
from tests.unit.reference_mining import Log, logs


def traces_of(log: Log) -> Traces:
    tables = log.tables()
    return encode(tables["ocel.event_objects"], tables["ocel.objects"])


def assert_equal(a: Summary | References, b: Summary | References) -> None:
    for field in fields(a):
        ours, theirs = getattr(a, field.name), getattr(b, field.name)
        assert_frame_equal(ours, theirs, check_row_order=False, check_column_order=False, check_exact=True)


@st.composite
def parted_logs(draw: st.DrawFn) -> tuple[Log, list[Log]]:
    """Draw a log, and its objects dealt into three parts."""
    log = draw(logs())
    places = {name: draw(st.integers(0, 2)) for name in log.objects}
    return log, [log.part(name for name, place in places.items() if place == part) for part in range(3)]


@settings(max_examples=30)
@given(parted_logs())
def test_summaries_of_parts_merge_to_that_of_the_whole(parted: tuple[Log, list[Log]]) -> None:
    log, parts = parted
    whole = summarise(traces_of(log))
    one, two, three = (summarise(traces_of(part)) for part in parts)
    assert_equal(merge(merge(one, two), three), whole)
    assert_equal(merge(three, merge(two, one)), whole)
    assert_equal(subtract(whole, two), merge(one, three))
    nothing = subtract(whole, whole)
    assert all(getattr(nothing, field.name).is_empty() for field in fields(nothing))


@settings(max_examples=30)
@given(parted_logs())
def test_the_ocdfg_of_merged_parts_is_that_of_the_whole(parted: tuple[Log, list[Log]]) -> None:
    log, parts = parted
    summary = reduce(merge, (summarise(traces_of(part)) for part in parts))
    counted = reduce(merge, (references(traces_of(part)) for part in parts))
    for ours, theirs in zip(ocdfg_of(summary, counted), ocdfg(traces_of(log)), strict=True):
        assert_frame_equal(ours, theirs, check_column_order=False, check_exact=True)
    rest = subtract(counted, references(traces_of(parts[0])))
    assert_equal(rest, merge(references(traces_of(parts[1])), references(traces_of(parts[2]))))


@settings(max_examples=20)
@given(logs())
def test_the_histogram_holds_every_duration_in_its_bin(log: Log) -> None:
    summary = summarise(traces_of(log))
    counted: dict[int, int] = {}
    traces = log.traces()
    for trace in traces.values():
        for first, second in pairwise(trace):
            duration = log.events[second][1] - log.events[first][1]
            counted[duration.bit_length()] = counted.get(duration.bit_length(), 0) + 1
    bins = summary.histogram.group_by("bin").agg(pl.col("total_objects").sum())
    assert dict(bins.iter_rows()) == counted


def test_subtracting_what_was_never_merged_is_refused() -> None:
    one = Log({"e1": ("a", 0, 0)}, {"o": "order"}, [("e1", "o", "")])
    two = Log({"e1": ("b", 0, 0)}, {"o": "order"}, [("e1", "o", "")])
    with pytest.raises(OcelakeError, match="below nothing"):
        subtract(summarise(traces_of(one)), summarise(traces_of(two)))


def test_bins_begin_at_powers_of_two() -> None:
    times = [0, 0, 1, 3, 6, 10, 18]
    log = Log(
        {f"e{n}": ("a", time, 0) for n, time in enumerate(times)}, {"o": "x"}, [(f"e{n}", "o", "") for n in range(7)]
    )
    histogram = summarise(traces_of(log)).histogram
    assert sorted(histogram.select("bin", "total_objects").iter_rows()) == [(0, 1), (1, 1), (2, 2), (3, 1), (4, 1)]
