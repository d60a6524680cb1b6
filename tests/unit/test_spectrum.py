"""Dotted charts, performance spectra, heat maps of waiting: every step is counted once, in its place, within bounds."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.errors import OcelakeError
from ocelake.mining import Traces, encode
from ocelake.mining.spectrum import dotted_chart, performance_spectrum, waiting_times
from ocelake.ocel.generate import generate
from tests.unit.reference_mining import EPOCH, Log, instant, logs, quantile

DAY = 86_400_000_000


def traces_of(log: Log) -> Traces:
    tables = log.tables()
    return encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])


def triples(log: Log) -> dict[tuple[str, str, str], list[tuple[int, int]]]:
    """Give the times (e1, e2) of every (e1, e2, object) triple, by edge."""
    found: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for thing, events in log.traces().items():
        for one, two in pairwise(events):
            (a, begin, _), (b, end, _) = log.events[one], log.events[two]
            found[log.objects[thing], a, b].append((begin, end))
    return found


@pytest.fixture(scope="module")
def generated() -> Traces:
    ocel = generate(events=20_000, seed=3)
    return encode(ocel.event_objects, ocel.objects, ocel.events)


@settings(max_examples=60)
@given(logs(), st.integers(1, 5), st.integers(1, 9))
def test_a_dotted_chart_has_every_event_of_every_object_once(log: Log, rows: int, columns: int) -> None:
    chart = dotted_chart(traces_of(log), rows=rows, columns=columns)
    expected: Counter[str] = Counter()
    objects: Counter[str] = Counter()
    for thing, events in log.traces().items():
        if events:
            expected[log.objects[thing]] += len(events)
            objects[log.objects[thing]] += 1
    assert dict(chart.group_by("object_type").agg(pl.col("steps").sum()).iter_rows()) == expected
    in_rows = chart.unique(["object_type", "row"]).group_by("object_type").agg(pl.col("objects").sum())
    assert dict(in_rows.iter_rows()) == objects
    assert len(chart.unique(["object_type", "row"])) <= max(rows, len(objects))
    assert chart.unique("begin").height <= columns
    assert not chart.select("object_type", "row", "begin").is_duplicated().any()


@settings(max_examples=60)
@given(logs())
def test_with_room_a_dotted_chart_has_a_row_an_object_in_the_order_of_first_events(log: Log) -> None:
    chart = dotted_chart(traces_of(log), columns=10_000_000)
    begun: dict[str, list[Any]] = defaultdict(list)
    for thing, events in log.traces().items():
        if events:
            begun[log.objects[thing]].append((log.events[events[0]][1], thing, events))
    for kind, things in begun.items():
        for row, (_, _, events) in enumerate(sorted(things)):
            cells = chart.filter(object_type=kind, row=row)
            at: dict[int, list[str]] = defaultdict(list)
            for event in events:
                at[log.events[event][1]].append(log.events[event][0])
            expected = []
            for time, activities in sorted(at.items()):
                counts = Counter(activities)
                expected.append((instant(time), min(counts, key=lambda name: (-counts[name], name)), len(activities)))
            assert cells.select("begin", "activity", "steps").rows() == expected


def test_types_share_the_rows_and_few_objects_leave_theirs_to_the_others() -> None:
    things = {f"a{n}": "few" for n in range(2)} | {f"b{n:03}": "many" for n in range(100)}
    log = Log(
        {f"e{thing}": ("go", place, 0) for place, thing in enumerate(things)},
        things,
        [(f"e{thing}", thing, "") for thing in things],
    )
    chart = dotted_chart(traces_of(log), rows=12, columns=50)
    rows = chart.unique(["object_type", "row"]).sort("object_type", "row")
    assert rows.filter(object_type="few")["objects"].to_list() == [1, 1]
    assert rows.filter(object_type="many")["objects"].to_list() == [10] * 10
    assert set(dotted_chart(traces_of(log), object_types=["few"])["object_type"]) == {"few"}


@settings(max_examples=60)
@given(logs())
def test_a_spectrum_counts_every_triple_with_its_quartiles(log: Log) -> None:
    spectrum = performance_spectrum(traces_of(log), segments=1000)
    expected = triples(log)
    found = dict(spectrum.group_by("object_type", "source", "target"))
    assert found.keys() == expected.keys()
    for edge, times in expected.items():
        rows = found[edge]
        assert rows["steps"].sum() == rows["total"][0] == len(times)
        durations = sorted((end - begin) / 1e6 for begin, end in times)
        for name, share in (("q1", 0.25), ("median", 0.5), ("q3", 0.75)):
            assert rows[name][0] == pytest.approx(quantile(durations, share))


def test_lines_that_coincide_are_one_in_the_colour_of_most() -> None:
    """Ten steps of an hour to four days, all entered at once: long ones end apart, short ones together."""
    hours = [1, 1, 1, 2, 3, 4, 5, 96, 96, 96]
    events = {f"s{n}": ("start", 0, 0) for n in range(10)}
    events |= {f"t{n}": ("end", hour * DAY // 24, 0) for n, hour in enumerate(hours)}
    relations = [(f"{letter}{n}", f"o{n}", "") for n in range(10) for letter in "st"]
    traces = traces_of(Log(events, {f"o{n}": "x" for n in range(10)}, relations))
    exact = performance_spectrum(traces, columns=97 * 8)
    assert exact.select("quartile", "steps").rows() == [(0, 3), (1, 1), (1, 1), (2, 1), (2, 1), (3, 3)]
    coarse = performance_spectrum(traces, columns=97 * 8, lines=2)
    assert coarse.select("quartile", "steps").rows() == [(0, 7), (3, 3)]
    assert performance_spectrum(traces, lines=1)["steps"].to_list() == [10]
    assert (coarse["begin"] <= coarse["end"]).all()
    assert exact.select("first", "last").unique().rows() == [(EPOCH, EPOCH + timedelta(days=4))]


def test_each_type_has_a_segment_before_any_has_a_second() -> None:
    things = {"r": "rare"} | {f"m{n}": "many" for n in range(9)}
    events, relations = {}, []
    for thing in things:
        for place, activity in enumerate("abc"):
            events[f"{thing}{place}"] = (activity, place, 0)
            relations.append((f"{thing}{place}", thing, ""))
    spectrum = performance_spectrum(traces_of(Log(events, things, relations)), segments=3)
    assert spectrum.select("object_type", "source").unique().sort("object_type", "source").rows() == [
        ("many", "a"),
        ("many", "b"),
        ("rare", "a"),
    ]


@settings(max_examples=60)
@given(logs())
def test_waiting_is_the_mean_of_each_cell(log: Log) -> None:
    found = {
        (row["object_type"], row["source"], row["target"], row["column"]): (row["steps"], row["mean"], row["total"])
        for row in waiting_times(traces_of(log), edges=1000).iter_rows(named=True)
    }
    cells: dict[Any, list[float]] = defaultdict(list)
    totals: Counter[Any] = Counter()
    for edge, times in triples(log).items():
        for begin, end in times:
            at = instant(begin)
            cells[*edge, at.weekday() * 8 + at.hour // 3].append((end - begin) / 1e6)
            totals[edge] += (end - begin) / 1e6
    expected = {
        key: (len(waits), pytest.approx(statistics.fmean(waits)), pytest.approx(totals[key[:3]]))
        for key, waits in cells.items()
    }
    assert found == expected


def test_waiting_by_the_week_and_by_the_logs_time() -> None:
    """Monday 2024-01-01 22:00, and Sunday 2024-01-07 02:59:59.999999: the last column of a day, and its first."""
    times = [22 * DAY // 24, 6 * DAY + 3 * DAY // 24 - 1]
    events = {f"s{n}": ("start", time, 0) for n, time in enumerate(times)}
    events |= {f"t{n}": ("end", time + (n + 1) * DAY, 0) for n, time in enumerate(times)}
    relations = [(f"{letter}{n}", f"o{n}", "") for n in range(2) for letter in "st"]
    traces = traces_of(Log(events, {"o0": "x", "o1": "x"}, relations))
    week = waiting_times(traces)
    assert week.select("column", "steps", "mean").rows() == [(7, 1, 86_400.0), (48, 1, 172_800.0)]
    assert week["begin"].null_count() == 2
    log = waiting_times(traces, calendar="log", columns=2)
    assert log.select("column", "steps").rows() == [(0, 1), (1, 1)]
    assert log["begin"][0] == datetime(2024, 1, 1, 22, tzinfo=UTC)
    assert log["begin"][1] == log["end"][0]


def test_only_the_edges_with_the_greatest_sum_are_shown(generated: Traces) -> None:
    few, all_edges = (waiting_times(generated, edges=number) for number in (5, 1000))
    edge = ["object_type", "source", "target"]
    totals = all_edges.unique(edge)["total"].sort(descending=True)
    assert few.unique(edge)["total"].sort(descending=True).to_list() == totals.head(5).to_list()
    sums = all_edges.group_by(edge).agg((pl.col("mean") * pl.col("steps")).sum(), pl.col("total").first())
    assert sums["mean"].to_list() == pytest.approx(sums["total"].to_list())


def test_the_size_is_bounded_whatever_the_logs(generated: Traces) -> None:
    assert len(dotted_chart(generated, rows=30, columns=20)) <= 30 * 20
    spectrum = performance_spectrum(generated, segments=7, lines=40)
    assert max(spectrum.group_by("object_type", "source", "target").len()["len"]) <= 40
    assert len(spectrum.unique(["object_type", "source", "target"])) == 7
    assert len(waiting_times(generated, edges=3)) <= 3 * 56
    assert len(waiting_times(generated, edges=3, calendar="log", columns=10)) <= 30


def test_the_order_of_rows_decides_nothing() -> None:
    ocel = generate(events=600, seed=3)
    frames = [ocel.event_objects, ocel.objects, ocel.events]
    shuffled = [frame.sample(fraction=1, shuffle=True, seed=1) for frame in frames]
    one, other = encode(*frames), encode(*shuffled)
    for function in (dotted_chart, performance_spectrum, waiting_times):
        assert_frame_equal(function(one), function(other))


def test_nothing_gives_no_rows_and_a_wrong_type_is_refused_by_name() -> None:
    nothing = traces_of(Log({}, {}, []))
    lonely = traces_of(Log({"e": ("a", 0, 0)}, {"o": "x"}, []))
    for traces in (nothing, lonely):
        for function in (dotted_chart, performance_spectrum, waiting_times):
            assert function(traces).is_empty()
        assert waiting_times(traces, calendar="log").is_empty()
    for function in (dotted_chart, performance_spectrum, waiting_times):
        with pytest.raises(OcelakeError, match="no object type 'y'"):
            function(lonely, object_types=["y"])


def test_the_spectrum_is_that_of_pm4pys_flattened_log() -> None:
    """pm4py leaves other activities out first, so that <a, x, b> counts as (a, b): the cases are cut at such events."""
    import pandas as pd
    from pm4py.algo.discovery.performance_spectrum import algorithm

    ocel = generate(events=600, seed=3)
    traces = encode(ocel.event_objects, ocel.objects, ocel.events)
    spectrum = performance_spectrum(traces, segments=12, lines=100_000, columns=400)
    relations = ocel.event_objects.unique(["event_id", "object_id"]).sort("time", "sequence", "event_id", "object_id")
    for (kind, source, target), rows in spectrum.group_by("object_type", "source", "target"):
        other = ~pl.col("activity").is_in([source, target])
        of_type = relations.filter(object_type=kind).with_columns(
            pl.format("{} {}", "object_id", other.cum_sum().over("object_id")).alias("case")
        )
        flat = pd.DataFrame(
            {
                "case:concept:name": of_type["case"].to_list(),
                "concept:name": of_type["activity"].to_list(),
                "time:timestamp": of_type["time"].to_list(),
            }
        )
        # pm4py takes the numbers of the column for nanoseconds, whatever its unit.
        flat["time:timestamp"] = flat["time:timestamp"].astype("datetime64[ns, UTC]")
        points = algorithm.apply(flat, [source, target], parameters={"sample_size": len(flat)})["points"]
        width = -(-((rows["last"][0] - rows["first"][0]) // timedelta(microseconds=1) + 1) // 400) / 1e6
        first = rows["first"][0].timestamp()
        theirs = Counter(tuple(int((time - first) // width) for time in point) for point in points)
        ours = {
            tuple(int((instant.timestamp() - first) // width) for instant in (begin, end)): steps
            for begin, end, steps in rows.select("begin", "end", "steps").iter_rows()
        }
        assert ours == theirs
