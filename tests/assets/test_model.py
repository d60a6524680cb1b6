"""A log's current model: only one that the log can be replayed on is published."""

from __future__ import annotations

from ocelake.lake.build import verify
from ocelake.tables import layer_tables
from tests.assets.conftest import Graph, evaluations, materialized


def test_a_model_that_the_log_cannot_be_replayed_on_is_refused_and_the_one_before_stays(graph: Graph) -> None:
    """Two orders are paid together once in ten payments: by pm4py's rule too seldom to make the arc variable."""
    graph.put_orders("orders", 11)
    assert graph.run("orders").success
    assert graph.numbers("orders") == {
        "bronze": 1,
        "silver": 1,
        "gold": 1,
        "analysis": 1,
        "model": 1,
        "policy": 1,
        "kpis": 1,
    }
    arcs = graph.lake.read("ocpn.arcs", "orders").filter("variable")
    assert set(arcs.select("minimum", "maximum").rows()) == {(1, 2)}, (
        "the strict rule lets a payment be of several orders"
    )

    graph.declare("orders", "mining", {"variable_arcs": "pm4py"})
    refused = graph.run("orders", job="gold_job")
    found = evaluations(refused)
    failed = [name for name, item in found.items() if item.blocking and not item.passed]
    assert failed == ["ocpn/models:log_replayable"]
    said = found["ocpn/models:log_replayable"].description
    assert said == "1 of 21 events cannot be fired: 1 too many."
    model = {spec.identifier for spec in layer_tables("model")}
    published = {spec.identifier for layer in ("gold", "analysis", "policy", "kpis") for spec in layer_tables(layer)}
    assert materialized(refused) == published, "what does not read the model does not wait for it"
    assert not materialized(refused) & model
    assert graph.numbers("orders") == {
        "bronze": 1,
        "silver": 1,
        "gold": 2,
        "analysis": 2,
        "model": 1,
        "policy": 2,
        "kpis": 1,
    }
    assert graph.lake.read("ocpn.arcs", "orders").filter("variable").equals(arcs)
    assert graph.lake.read("ocpn.models", "orders")["replayable"].to_list() == [True]
    assert all(table.equal for table in verify(graph.lake, "orders")), "the model by the settings it was built under"

    graph.declare("orders", "mining", {"variable_arcs": "strict"})
    assert graph.run("orders", job="gold_job").success
    assert graph.numbers("orders")["model"] == 1, "it is what is published already"
