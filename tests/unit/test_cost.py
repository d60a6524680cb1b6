"""The cost model: event, object, execution and variant costs against a plain reference, and what they add up to."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelake.errors import SettingError
from ocelake.lake.audits import audit_policy
from ocelake.mining.constraints import Rules
from ocelake.mining.cost import AttributeCost, CostModel, Rate, cost_tables
from ocelake.mining.policy import judge_log
from ocelake.mining.resources import EventResources
from ocelake.mining.traces import Traces, encode
from ocelake.mining.variants import find_variants, trace_variants
from ocelake.settings import MiningSettings
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


def test_costs_that_differ_by_rounding_alone_save_nothing() -> None:
    # Each order bears a third of three events' cost, b and c in another order: 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1.
    model = CostModel(activities={name: Rate(fixed=cost) for name, cost in (("a", 0.1), ("b", 0.2), ("c", 0.3))})
    events = {f"{path}{place}": (name, place, 0) for path in ("abc", "cba") for place, name in enumerate(path)}
    relations = [(event, event[:3], "") for event in events]
    _, frames, _, _ = costed(Log(events, {"abc": "order", "cba": "order"}, relations), model)
    assert frames["gold.variant_costs"]["cost_mean"].n_unique() == 2
    assert frames["gold.savings"].select("objects_above", "saving", "saving_share").rows() == [(0, 0.0, 0.0)]


def test_a_type_without_a_frequent_variant_has_no_saving_and_is_told_so() -> None:
    events = {f"e{n}": ("a", n, 0) for n in range(6)}
    relations = [(f"e{n}", f"o{owner}", "") for n, owner in enumerate([0, 1, 1, 2, 2, 2])]
    log = Log(events, {f"o{n}": "order" for n in range(3)}, relations)
    _, frames, _, _ = costed(log, CostModel(default=Rate(fixed=1), minimum_share=0.5))
    row = frames["gold.savings"].row(0, named=True)
    assert (row["objects"], row["cost_sum"], row["best_variant_id"], row["saving"]) == (3, 6.0, None, None)
    assert "No variant" in row["assumption"]
    assert "50%" in row["assumption"]


def test_of_a_gain_nothing_is_saved_as_a_share() -> None:
    log = Log({"e": ("a", 0, 0)}, {"o": "order"}, [("e", "o", "")])
    _, frames, _, _ = costed(log, CostModel(default=Rate(fixed=-2)))
    assert frames["gold.savings"].select("cost_sum", "saving", "saving_share").row(0) == (-2.0, 0.0, None)


def test_what_of_a_cost_model_has_no_effect_is_told() -> None:
    log = Log({"e": ("pay", 0, 0), "f": ("pay", 1, 0)}, {"o": "order"}, [("e", "o", ""), ("f", "o", "")])
    tables = log.tables()
    traces = encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])
    values = [("e", "amount", "12", 12.0), ("f", "amount", "twelve", None), ("e", "fee", "NaN", np.nan)]
    attributes = pl.DataFrame(
        [(event, name, 0, value, number, None) for event, name, value, number in values],
        schema={
            "event_id": pl.String,
            "name": pl.String,
            "ordinal": pl.Int64,
            "value": pl.String,
            "value_float": pl.Float64,
            "value_time": pl.Datetime("us", "UTC"),
        },
        orient="row",
    )
    silver = {
        "ocel.event_attributes": attributes,
        "ocel.execution_events": pl.DataFrame(
            {"kind": ["connected"] * 2, "execution_id": ["x"] * 2, "event_id": ["e", "f"]}
        ),
    }

    def judged(model: CostModel) -> dict[str, pl.DataFrame]:
        return judge_log(traces, silver, rules=Rules(), costs=model, mining=MiningSettings())

    slips = CostModel(
        activities={"Pay": Rate(per_hour=1), "pay": Rate(fixed=1)},
        resources={"Ann": Rate(fixed=1)},
        bearers=("order", "orders"),
        attributes=(AttributeCost(attribute="amount"), AttributeCost(attribute="fee"), AttributeCost(attribute="rate")),
    )
    found = judged(slips)
    assert found["gold.cost_summary"]["cost"].to_list() == [14.0]
    assert found["gold.cost_summary"]["without_effect"].item() == (
        "The log has no activity 'Pay'; did you mean 'pay'? The log has no resource 'Ann'. "
        "The log has no object type 'orders'; did you mean 'order'? The log has no event attribute 'rate'. "
        "1 of 2 values of 'amount' are no numbers and cost nothing. "
        "1 of 1 values of 'fee' are no numbers and cost nothing. "
        "No event's hours are known, so that hourly rates cost nothing."
    )
    (told,) = [finding for finding in audit_policy(found) if finding.check == "cost_model_applies"]
    assert (told.passed, told.severity) == (False, "warn")
    assert "did you mean 'pay'?" in told.message

    sound = judged(CostModel(activities={"pay": Rate(fixed=1)}, bearers=("order",)))
    assert sound["gold.cost_summary"]["without_effect"].to_list() == [None]
    assert all(finding.passed for finding in audit_policy(sound))
    assert all(finding.passed for finding in audit_policy(judged(CostModel())))


def test_a_wrong_cost_model_is_refused_by_name(tmp_path) -> None:
    path = tmp_path / "orders.cost.yaml"
    path.write_text("activities:\n  pay: {fixed: cheap}\n")
    with pytest.raises(SettingError, match=r"activities\.pay\.fixed"):
        CostModel.load(path)
