"""Rules and costs that people declare: each rule a check of its own, and a layer that only they rebuild."""

from __future__ import annotations

from typing import Any

from dagster import AssetCheckEvaluation, ExecuteInProcessResult

from assets.gold.policy import rule_check
from assets.specs import asset_key
from ocelake.lake.build import verify
from ocelake.tables import layer_tables
from tests.assets.conftest import LAYERS_OF_EVENTS, Graph, evaluations, materialized

POLICY = [asset_key(spec.identifier) for spec in layer_tables("policy")]
PAID: dict[str, Any] = {
    "name": "paid",
    "description": "Each order is paid once.",
    "when": "place order",
    "then": "pay order",
    "each": "orders",
    "count": 1,
}
ALONE: dict[str, Any] = {"name": "paid_alone", "when": "pay order", "objects": "orders", "count": 1}
SOON: dict[str, Any] = {**PAID, "name": "paid_soon", "within": "2 h", "severity": "warning"}
SENT: dict[str, Any] = {"name": "sent", "when": "place order", "then": "send order", "each": "orders"}
SIGNED: dict[str, Any] = {"name": "results_key_unique", "when": "pay order", "holds": {"amount": {"known": True}}}
COSTS: dict[str, Any] = {"currency": "EUR", "activities": {"pay order": {"fixed": 2}}}


def rules_found(result: ExecuteInProcessResult) -> dict[str, AssetCheckEvaluation]:
    prefix = f"gold/rule_results:{rule_check('')}"
    return {name.removeprefix(prefix): item for name, item in evaluations(result).items() if name.startswith(prefix)}


def test_each_rule_is_a_check_and_only_policy_is_built_again_for_rules_and_costs(graph: Graph) -> None:
    graph.put_orders("orders")
    graph.put_orders("others")
    graph.declare("orders", "rules", {"rules": [PAID, ALONE, SOON, SENT]})
    graph.declare("others", "rules", {"rules": [SIGNED]})
    first = graph.run("orders")
    assert first.success, "a rule that is violated stops nothing"
    found = rules_found(first)
    assert {name: item.passed for name, item in found.items()} == {
        "paid": True,
        "paid_alone": False,
        "paid_soon": False,
        "sent": False,
        "results_key_unique": True,
    }
    assert {name: item.severity.value for name, item in found.items() if not item.passed} == {
        "paid_alone": "ERROR",
        "paid_soon": "WARN",
        "sent": "WARN",
    }
    assert {name: item.description for name, item in found.items()} == {
        "paid": "0 of 10 violate it; 0 are pending.",
        "paid_alone": "1 of 9 violate it; 0 are pending.",
        "paid_soon": "8 of 10 violate it; 0 are pending.",
        "sent": found["sent"].description,
        "results_key_unique": "This log has no such rule.",
    }
    assert str(found["sent"].description).startswith("Not checked: ")
    assert "'send order'" in str(found["sent"].description)
    assert {name: part.value for name, part in found["paid_alone"].metadata.items()} == {
        "candidates": 9,
        "violations": 1,
        "pending": 0,
    }
    assert not any(item.blocking for item in found.values())
    described = graph.definitions().resolve_asset_graph()
    specs = {key.name: described.get_check_spec(key) for key in described.asset_check_keys}
    assert specs[rule_check("paid")].description == "Each order is paid once."
    shown = {event.asset_key: event.materialization for event in first.get_asset_materialization_events()}
    results = str(shown[asset_key("gold.rule_results")].metadata["results"].value)
    assert "| paid_alone | 9 | 1 | 0 | no |" in results
    assert "| sent |  |  |  | not checked |" in results

    assert graph.run("orders", job="gold_job").success
    assert graph.numbers("orders") == dict.fromkeys(LAYERS_OF_EVENTS, 1), "none changed"
    for number, (kind, content) in enumerate([("rules", {"rules": [PAID, SIGNED]}), ("cost", COSTS)], 2):
        graph.declare("orders", kind, content)
        again = graph.run("orders", job="gold_job")
        assert again.success
        expected = {**dict.fromkeys(LAYERS_OF_EVENTS, 1), "policy": number}
        assert graph.numbers("orders") == expected, f"{kind} changed"
    assert {name: item.description for name, item in rules_found(again).items()} == {
        "paid": "0 of 10 violate it; 0 are pending.",
        "results_key_unique": "0 of 9 violate it; 0 are pending.",
    }
    lake = graph.lake
    assert lake.read("gold.rule_results", "orders")["rule"].to_list() == ["paid", "results_key_unique"]
    assert lake.read("gold.rule_violations", "orders").is_empty()
    assert lake.read("gold.rule_violations", "orders", as_of="orders.policy.1").height == 9
    assert lake.read("gold.cost_summary", "orders")["cost"].to_list() == [18.0]
    assert lake.read("gold.object_costs", "orders")["cost"].sum() == 18.0
    verified = verify(lake, "orders")
    assert all(table.equal for table in verified)
    assert {table.identifier for table in verified} == {
        spec.identifier
        for layer in ("silver", "gold", "analysis", "model", "policy", "kpis")
        for spec in layer_tables(layer)
    }


def test_a_broken_rules_file_stops_the_policy_of_its_log_alone(graph: Graph) -> None:
    graph.put_orders("orders")
    graph.put_orders("others")
    graph.declare("orders", "rules", {"rules": [{**PAID, "wthin": "2 h"}]})
    graph.declare("others", "rules", {"rules": [PAID]})
    broken = graph.run("orders")
    assert not broken.success
    (failure,) = [event for event in broken.all_events if event.is_step_failure]
    assert failure.step_key == "policy"
    assert failure.step_failure_data.error is not None
    said = failure.step_failure_data.error.to_string()
    for part in ("SettingError", "wthin", "orders.rules.yaml"):
        assert part in said
    assert graph.numbers("orders") == dict.fromkeys(("bronze", "silver", "gold", "analysis", "model", "kpis"), 1)
    assert not materialized(broken) & {spec.identifier for spec in layer_tables("policy")}
    good = graph.run("others")
    assert good.success
    assert rules_found(good)["paid"].passed


def test_a_rule_that_was_added_after_loading_is_checked_all_the_same(graph: Graph) -> None:
    graph.put_orders("orders")
    assert graph.run("orders").success
    loaded = graph.definitions()
    graph.declare("orders", "rules", {"rules": [ALONE]})
    later = loaded.resolve_job_def("gold_job").execute_in_process(
        instance=graph.instance, partition_key="orders", asset_selection=POLICY
    )
    assert rules_found(later) == {}, "its check comes with the next loading"
    assert graph.lake.read("gold.rule_results", "orders")["passed"].to_list() == [False]
