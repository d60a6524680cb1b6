"""The cost model: event, object, execution and variant costs against a plain reference, and what they add up to."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelake.errors import SettingError
from ocelake.mining.cost import AttributeCost, CostModel, Rate, cost_tables
from ocelake.mining.resources import EventResources
from ocelake.mining.traces import Traces, encode
from ocelake.mining.variants import find_variants, trace_variants
from ocelake.tables import TABLES
from tests.unit.reference_mining import Log, logs


def done_by(who: list[str | None]) -> EventResources:
    names = sorted({name for name in who if name is not None})
    known = [name for name in who if name is not None]
    offsets = np.cumsum([0, *(name is not None for name in who)])
    return EventResources(
        pl.Series(names, dtype=pl.String),
        np.array([names.index(name) for name in known], dtype=np.int32),
        offsets,
        None,
    )


ATTRIBUTES = {"event_id": pl.String, "name": pl.String, "value_float": pl.Float64}
MODELS = st.sampled_from(
    [
        CostModel(default=Rate(fixed=3)),
        CostModel(activities={"a": Rate(fixed=1, per_hour=2)}, resources={"Ann": Rate(per_hour=5)}),
        CostModel(resources={"Bob": Rate(fixed=7)}, default=Rate(per_hour=1)),
        CostModel(attributes=(AttributeCost(attribute="fee", factor=0.5, activity="a"),), default=Rate(fixed=1)),
        CostModel(default=Rate(fixed=2), bearers=("order",)),
    ]
)


def costed(log: Log, model: CostModel) -> tuple[Traces, dict[str, pl.DataFrame], list[float | None], list[str | None]]:
    """Cost a log whose n-th event takes n hours (every third unknown) and is done by Ann, Bob and nobody in turn."""
    tables = log.tables()
    traces = encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])
    variants = find_variants(traces)
    count = len(traces.event_ids)
    hours = [None if n % 3 == 2 else float(n) for n in range(count)]
    who = [("Ann", "Bob", None)[n % 3] for n in range(count)]
    fees = pl.DataFrame(
        {"event_id": traces.event_ids, "name": ["fee"] * count, "value_float": [float(n) for n in range(count)]},
        schema=ATTRIBUTES,
    )
    frames = cost_tables(
        traces,
        variants,
        trace_variants(traces, variants)["variant_id"],
        model,
        executions=pl.DataFrame(
            {"kind": ["connected"] * count, "execution_id": ["all"] * count, "event_id": traces.event_ids},
            schema={"kind": pl.String, "execution_id": pl.String, "event_id": pl.String},
        ),
        hours=np.array([np.nan if hour is None else hour for hour in hours]),
        resources=done_by(who),
        attributes=fees,
    )
    return traces, frames, hours, who


@given(logs(), MODELS)
def test_events_cost_what_the_rates_say_and_objects_bear_it(log: Log, model: CostModel) -> None:
    traces, frames, hours, who = costed(log, model)
    expected: dict[str, float] = {}
    for rank, event in enumerate(traces.event_ids):
        activity = log.events[event][0]
        rate = model.activities.get(activity, model.default)
        resource = model.resources.get(who[rank] or "", Rate())
        stated = sum(part.factor * rank for part in model.attributes if part.activity in (None, activity))
        expected[event] = (
            rate.fixed + resource.fixed + (hours[rank] or 0.0) * (resource.per_hour or rate.per_hour) + stated
        )
    found = dict(frames["gold.event_costs"].select("event_id", "cost").iter_rows())
    assert found == pytest.approx(expected)

    related: dict[str, set[str]] = defaultdict(set)
    for event, thing, _ in log.relations:
        if not model.bearers or log.objects[thing] in model.bearers:
            related[event].add(thing)
    borne = {name: 0.0 for name, kind in log.objects.items() if not model.bearers or kind in model.bearers}
    for event, things in related.items():
        for thing in things:
            borne[thing] += expected[event] / len(things)
    assert dict(frames["gold.object_costs"].select("object_id", "cost").iter_rows()) == pytest.approx(borne)

    summary = frames["gold.cost_summary"].row(0, named=True)
    assert summary["cost"] == pytest.approx(sum(expected.values()))
    assert summary["not_borne"] + sum(borne.values()) == pytest.approx(summary["cost"])
    assert frames["gold.variant_costs"]["cost_sum"].sum() == pytest.approx(sum(borne.values()))
    assert frames["gold.execution_costs"]["cost"].sum() == pytest.approx(summary["cost"])
    for identifier, frame in frames.items():
        spec = TABLES[identifier]
        assert frame.schema == {name: kind for name, kind in spec.schema.items() if name not in spec.partition}


@given(logs())
def test_without_rates_nothing_is_made_up(log: Log) -> None:
    _, frames, _, _ = costed(log, CostModel())
    assert all(frame.is_empty() for frame in frames.values())


def test_savings_hold_dear_variants_to_the_best_frequent_one() -> None:
    # Nine orders a; one order a, a, a: it could save two of its three.
    events = {f"e{n}": ("a", n, 0) for n in range(12)}
    objects = {f"o{n}": "order" for n in range(10)}
    relations = [(f"e{n}", f"o{min(n, 9)}", "") for n in range(12)]
    model = CostModel(default=Rate(fixed=1), minimum_share=0.5)
    _, frames, _, _ = costed(Log(events, objects, relations), model)
    row = frames["gold.savings"].row(0, named=True)
    assert (row["objects"], row["objects_above"], row["cost_sum"], row["saving"]) == (10, 1, 12.0, 2.0)
    assert row["best_cost_mean"] == 1.0
    assert "50%" in row["assumption"]


def test_a_wrong_cost_model_is_refused_by_name(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "orders.cost.yaml"
    path.write_text("activities:\n  pay: {fixed: cheap}\n")
    with pytest.raises(SettingError, match=r"activities\.pay\.fixed"):
        CostModel.load(path)
