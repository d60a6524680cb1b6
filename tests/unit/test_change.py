"""Change over time: periods against a plain reference, differences against their statistics, drifts where they are."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.stats import mannwhitneyu

from ocelake.errors import OcelakeError
from ocelake.mining.change import change_tables, diff_processes, drift_points, period_tables, sample, split_periods
from ocelake.mining.change.periods import Length
from ocelake.mining.traces import Traces, encode
from ocelake.mining.variants import find_variants
from ocelake.tables import TABLES
from tests.unit.reference_mining import Log, logs

LENGTHS = ("day", "week", "month", "quarter", "year")


def traces_of(log: Log) -> Traces:
    tables = log.tables()
    return encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])


def spread(log: Log, days: float) -> Log:
    """Give the log with its time units, of 1.5 seconds, as so many days."""
    events = {
        event: (activity, round(time / 1_500_001 * days * 86_400_000_000), sequence)
        for event, (activity, time, sequence) in log.events.items()
    }
    return Log(events, log.objects, log.relations)


def start_of(time: datetime, length: str) -> datetime:
    day = time.replace(hour=0, minute=0, second=0, microsecond=0)
    if length == "day":
        return day
    if length == "week":
        return day - timedelta(days=day.weekday())
    months = {"month": 1, "quarter": 3, "year": 12}[length]
    return day.replace(day=1, month=(day.month - 1) // months * months + 1)


@given(logs(), st.sampled_from(LENGTHS), st.sampled_from([0.3, 9.0, 100.0]))
def test_periods_are_those_of_a_plain_count(log: Log, length: str, days: float) -> None:
    log = spread(log, days)
    traces = traces_of(log)
    periods = split_periods(traces, length)
    found = period_tables(traces, periods)
    times = {
        event: start_of(time, length)
        for event, time in zip(
            traces.event_ids, pl.Series(traces.event_time).cast(pl.Datetime("us", "UTC")), strict=True
        )
    }
    assert periods.starts.gather(periods.of_event).to_list() == list(times.values())
    assert periods.ends[:-1].to_list() == periods.starts[1:].to_list()
    if len(times):
        assert len(periods.starts) >= len(set(times.values()))

    activities: dict[tuple[datetime, str, str], set[tuple[str, str]]] = defaultdict(set)
    edges: dict[tuple[datetime, str, str, str], set[tuple[str, str, str]]] = defaultdict(set)
    spans: dict[str, tuple[datetime, datetime]] = {}
    for number, name in enumerate(traces.object_ids):
        kind = log.objects[name]
        steps = traces.event_ids.gather(traces.step_event[traces.offsets[number] : traces.offsets[number + 1]])
        for event in steps:
            activities[times[event], kind, log.events[event][0]].add((event, name))
        for first, second in pairwise(steps):
            edges[times[second], kind, log.events[first][0], log.events[second][0]].add((first, second, name))
        if len(steps):
            spans[name] = times[steps[0]], times[steps[-1]]
    assert {
        row[:3]: row[3:]
        for row in found["gold.period_activities"]
        .select("period_start", "object_type", "activity", "events", "unique_objects", "total_objects")
        .iter_rows()
    } == {
        key: (len({e for e, _ in pairs}), len({o for _, o in pairs}), len(pairs)) for key, pairs in activities.items()
    }
    assert {
        row[:4]: row[4:]
        for row in found["gold.period_edges"]
        .select("period_start", "object_type", "source", "target", "event_couples", "unique_objects", "total_objects")
        .iter_rows()
    } == {
        key: (len({t[:2] for t in triples}), len({t[2] for t in triples}), len(triples))
        for key, triples in edges.items()
    }
    for row in found["gold.period_kpis"].iter_rows(named=True):
        kind, start = row["object_type"], row["period_start"]
        if kind is None:
            assert row["events"] == sum(time == start for time in times.values())
            continue
        own = [span for name, span in spans.items() if log.objects[name] == kind]
        assert row["started"] == sum(span[0] == start for span in own)
        assert row["ended"] == sum(span[1] == start for span in own)
        assert row["in_progress"] == sum(span[0] <= start < span[1] for span in own)


@given(logs(), st.sampled_from([0.3, 9.0, 100.0]))
def test_change_tables_have_their_declared_columns(log: Log, days: float) -> None:
    traces = traces_of(spread(log, days))
    for identifier, frame in change_tables(traces, find_variants(traces)).items():
        spec = TABLES[identifier]
        assert frame.schema == {name: kind for name, kind in spec.schema.items() if name not in spec.partition}
        assert not frame.select(name for name in spec.key if name != "log_id").is_duplicated().any()


def test_auto_takes_the_shortest_readable_length() -> None:
    def over(days: float) -> str:
        log = Log({"a": ("a", 0, 0), "b": ("a", round(days * 86_400_000_000), 0)}, {}, [])
        return split_periods(traces_of(log)).length

    assert [over(days) for days in (0, 23, 24, 160, 200, 700, 800, 2100, 9000)] == [
        "day", "day", "week", "week", "month", "month", "quarter", "quarter", "year",
    ]  # fmt: skip


def at_times(*times: datetime) -> Traces:
    """Give an order with an event at each of some times."""
    rows = [(f"e{n}", "o", "place" if n == 0 else "pay", "order", time, 0) for n, time in enumerate(times)]
    columns = ["event_id", "object_id", "activity", "object_type", "time", "sequence"]
    return encode(pl.DataFrame(rows, schema=columns, orient="row"))


def test_the_last_year_of_the_calendar_is_a_period() -> None:
    # As many systems write "never".
    traces = at_times(datetime(2024, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    lengths: tuple[Length, ...] = ("auto", "year")
    for length in lengths:
        periods = split_periods(traces, length)
        assert periods.of_event.tolist() == [0, 9999 - 2024]
        assert periods.ends[-1] == datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
        assert change_tables(traces, find_variants(traces), period=length)["gold.period_kpis"].height == 2 * 7976


def test_so_many_periods_that_nobody_asked_for_them_are_refused() -> None:
    traces = at_times(datetime(1624, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
    with pytest.raises(OcelakeError, match=r"1624-01-01.*2024-01-01.*146,098 periods of a day.*auto"):
        split_periods(traces, "day")
    assert len(split_periods(traces).starts) == 401


def test_the_last_two_periods_with_events_are_compared() -> None:
    def compared(*months: int) -> set[tuple[int, int]]:
        traces = at_times(*(datetime(2024, month, 1, tzinfo=UTC) for month in months))
        found = change_tables(traces, find_variants(traces), period="month")["gold.process_changes"]
        return {
            (before.month, after.month) for before, after in found.select("before_start", "after_start").iter_rows()
        }

    assert compared(1) == set()
    assert compared(1, 2) == compared(1, 2, 3) == compared(1, 2, 12) == {(1, 2)}
    assert compared(1, 4, 9) == {(1, 4)}


def orders(paths: list[list[str]], hours: list[float]) -> Traces:
    """Give one order per path, a day apart; its steps lie so many hours apart."""
    rows = []
    for number, path in enumerate(paths):
        for place, activity in enumerate(path):
            time = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number, hours=place * hours[number])
            rows.append((f"e{number:05}.{place}", f"o{number:05}", activity, "order", time, 0))
    return encode(
        pl.DataFrame(
            rows, schema=["event_id", "object_id", "activity", "object_type", "time", "sequence"], orient="row"
        )
    )


def test_what_appeared_and_vanished_and_slowed_down_is_said_with_its_size() -> None:
    rng = np.random.default_rng(3)
    hours = [*rng.uniform(1, 3, 200), *rng.uniform(4, 6, 200)]
    paths = [["place", "check", "pay"]] * 200 + [["place", "pay"]] * 100 + [["place", "scan", "pay"]] * 100
    before, after = orders(paths[:200], hours[:200]), orders(paths[200:], hours[200:])
    rows = {
        (row["element"], row["source"], row["activity"]): row
        for row in diff_processes(sample(before), sample(after)).iter_rows(named=True)
    }
    said = {key: (row["occurrence"], row["duration"]) for key, row in rows.items()}
    assert said == {
        ("activity", None, "place"): ("same", None),
        ("activity", None, "pay"): ("same", None),
        ("activity", None, "check"): ("vanished", None),
        ("activity", None, "scan"): ("appeared", None),
        ("edge", "place", "check"): ("vanished", None),
        ("edge", "check", "pay"): ("vanished", None),
        ("edge", "place", "pay"): ("appeared", None),
        ("edge", "place", "scan"): ("appeared", None),
        ("edge", "scan", "pay"): ("appeared", None),
    }
    slower = diff_processes(sample(orders(paths[:200], hours[:200])), sample(orders(paths[:200], hours[200:])))
    edge = slower.filter(element="edge", source="place").row(0, named=True)
    assert (edge["occurrence"], edge["duration"], edge["duration_effect"]) == ("same", "slower", 1.0)
    assert edge["duration_mean_after"] == pytest.approx(np.mean(hours[200:]) * 3600)
    raw = mannwhitneyu(hours[200:], hours[:200]).pvalue
    assert raw <= edge["duration_p"] <= raw * len(slower) * 2  # corrected: no smaller, at most by the number of tests


@given(logs(), logs())
def test_a_difference_turned_around_is_the_opposite(first: Log, second: Log) -> None:
    a, b = sample(traces_of(first)), sample(traces_of(second))
    there, back = diff_processes(a, b), diff_processes(b, a)
    opposite = {"appeared": "vanished", "vanished": "appeared", "more": "less", "less": "more", "same": "same"}
    assert there["occurrence"].to_list() == [opposite[word] for word in back["occurrence"]]
    assert there["objects_before"].to_list() == back["objects_after"].to_list()
    columns = ["occurrence_p", "duration_p"]
    assert_frame_equal(there.select(columns), back.select(columns))
    effects = ["occurrence_effect", "duration_effect"]
    assert_frame_equal(there.select(effects), back.select(-pl.col(effects)))


@given(logs())
def test_a_process_does_not_differ_from_itself(log: Log) -> None:
    own = sample(traces_of(log))
    found = diff_processes(own, own)
    assert set(found["occurrence"]) <= {"same"}
    assert set(found["duration"]) <= {"same", None}


def together(traces: Traces, members: int) -> Traces:
    """Put several objects in the place of each one, which take part in the same events."""
    return encode(
        pl.DataFrame(
            {
                "event_id": traces.event_ids.gather(traces.step_event),
                "object_id": traces.object_ids.gather(traces.step_object),
                "activity": traces.activities.gather(traces.step_activity),
                "object_type": traces.object_types.gather(traces.object_type[traces.step_object]),
                "time": pl.Series(traces.event_time[traces.step_event]).cast(pl.Datetime("us")),
                "sequence": 0,
            }
        )
        .join(pl.DataFrame({"member": range(members)}), how="cross")
        .with_columns(pl.format("{}.{}", "object_id", "member").alias("object_id"))
    )


def test_objects_that_go_together_are_one_observation() -> None:
    rng = np.random.default_rng(1)

    def draw(share: float, hours: float) -> Traces:
        paths = [["place", "check", "pay"] if rng.random() < share else ["place", "pay"] for _ in range(60)]
        return orders(paths, list(rng.exponential(hours, 60)))

    before, after = draw(0.3, 10.0), draw(0.5, 12.0)
    tests = ["occurrence_effect", "occurrence_p", "duration_effect", "duration_p", "occurrence", "duration"]
    alone = diff_processes(sample(before), sample(after))
    crowd = diff_processes(*(sample(together(traces, 20)) for traces in (before, after)))
    assert_frame_equal(alone.select(tests), crowd.select(tests))
    assert (crowd["objects_before"] == 20 * alone["objects_before"]).all()


def test_a_steady_process_of_objects_that_share_events_seldom_changes() -> None:
    changed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        paths = [["place", "check", "pay"] if rng.random() < 0.4 else ["place", "pay"] for _ in range(80)]
        traces = together(orders(paths, list(rng.exponential(3.0, 80))), 10)
        middle = int(np.searchsorted(traces.event_time, traces.event_time[traces.step_event[traces.offsets[400]]]))
        found = diff_processes(sample(traces, 0, middle), sample(traces, middle))
        changed += (
            found["occurrence"].is_in(["more", "less"]).any() or found["duration"].is_in(["slower", "faster"]).any()
        )
    assert changed <= 4


def test_the_parts_of_a_log_are_the_whole() -> None:
    traces = orders([["place", "pay"]] * 30, [1.0] * 30)
    parts = [sample(traces, at, at + 20) for at in range(0, 60, 20)]
    whole = sample(traces).elements
    total = (
        pl.concat([part.elements for part in parts])
        .group_by("element", "source", "activity")
        .agg(pl.col("durations").list.len().sum())
    )
    key = ["element", "source", "activity"]
    assert_frame_equal(total.sort(key), whole.select(*key, pl.col("durations").list.len()).sort(key))


@pytest.mark.parametrize("seed", range(8))
def test_drifts_are_found_where_they_are_and_nowhere_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain, checked = ["place", "pay"], ["place", "check", "pay"]

    def draw(count: int, share: float) -> list[list[str]]:
        return [checked if rng.random() < share else plain for _ in range(count)]

    traces = orders([*draw(400, 0.1), *draw(400, 0.7), *draw(400, 0.2)], [1.0] * 1200)
    found = drift_points(traces, find_variants(traces))
    assert found["position"].to_list() == pytest.approx([400, 800], abs=30)
    assert found["share_before"].is_between(0, 1).all()
    assert (found["p_value"] <= 0.01).all()
    steady = orders(draw(1200, 0.5), [1.0] * 1200)
    assert drift_points(steady, find_variants(steady)).is_empty()


def until(whole: Traces, order: int) -> Traces:
    """Give what a log has before an order begins: of the orders before it, some are still under way."""
    kept = whole.step_event < whole.step_event[whole.offsets[order]]
    return encode(
        pl.DataFrame(
            {
                "event_id": whole.event_ids.gather(whole.step_event[kept]),
                "object_id": whole.object_ids.gather(whole.step_object[kept]),
                "activity": whole.activities.gather(whole.step_activity[kept]),
                "object_type": ["order"] * int(kept.sum()),
                "time": pl.Series(whole.event_time[whole.step_event[kept]]).cast(pl.Datetime("us")),
                "sequence": [0] * int(kept.sum()),
            }
        )
    )


def test_the_unfinished_end_of_a_log_is_no_drift() -> None:
    # A log is cut while orders of two weeks are under way: their traces are shorter, the process is the same.
    traces = until(orders([["place", "check", "pay"]] * 600, [168.0] * 600), 580)
    assert drift_points(traces, find_variants(traces)).is_empty()


@pytest.mark.parametrize("seed", range(4))
def test_that_only_quick_objects_end_before_the_log_does_is_no_drift(seed: int) -> None:
    # Checked orders take 170 days, others an hour: of the last ones, only the others have ended.
    checked = np.random.default_rng(seed).random(3000) < 0.3
    paths = [["place", "check", "pay"] if slow else ["place", "pay"] for slow in checked]
    traces = until(orders(paths, [2000.0 if slow else 1.0 for slow in checked]), 2990)
    assert drift_points(traces, find_variants(traces)).is_empty()


@pytest.mark.parametrize("seed", range(4))
def test_a_drift_is_found_among_few_objects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    paths = [["place", "check"] if rng.random() < (0.3 if n < 300 else 0.7) else ["place"] for n in range(600)]
    traces = orders(paths, [1.0] * 600)
    assert drift_points(traces, find_variants(traces))["position"].to_list() == pytest.approx([300], abs=40)


def test_objects_that_go_together_are_no_drift() -> None:
    # Twenty orders in a row go the same way: a test that took them for independent finds drifts by the dozen.
    rng = np.random.default_rng(5)
    paths = [path for _ in range(120) for path in [["place", "check"] if rng.random() < 0.5 else ["place"]] * 20]
    traces = orders(paths, [1.0] * len(paths))
    assert drift_points(traces, find_variants(traces)).is_empty()
