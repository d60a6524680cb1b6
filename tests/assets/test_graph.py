"""The asset graph, from landed files to gold, with its checks."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

import pytest

from assets.specs import asset_key
from ocelake.lake.build import latest_or_fail, verify
from ocelake.settings import LogSettings
from ocelake.tables import Layer, layer_tables
from tests.assets.conftest import LAYERS_OF_EVENTS, OF_EVENTS, Graph, evaluations, materialized

DRAWN = {
    "gold.ocdfg_nodes",
    "gold.ocdfg_edges",
    "gold.trace_variants",
    "gold.object_summaries",
    "gold.log_summary",
    "gold.execution_variants",
    "ocel.process_executions",
    "gold.event_performance",
    "gold.bottlenecks",
    *(spec.identifier for spec in layer_tables("model") if spec.namespace == "ocpn"),
}


def test_a_landed_file_reaches_gold_with_its_checks_pictures_and_lineage(graph: Graph) -> None:
    graph.put("orders", "a.json", spoiled=True)
    result = graph.run("orders")
    assert result.success
    assert materialized(result) == OF_EVENTS
    failed = [name for name, item in evaluations(result).items() if item.blocking and not item.passed]
    assert failed == []
    lake = graph.lake
    layers: tuple[Layer, ...] = ("gold", "silver", "bronze", "analysis", "model", "policy")
    gold, silver, bronze, analysis, model, policy = (latest_or_fail(lake, "orders", layer) for layer in layers)
    assert silver.reads == {"bronze": bronze.publication_id}
    assert gold.reads == analysis.reads == model.reads == {"silver": silver.publication_id}
    assert policy.reads == {"silver": silver.publication_id, "gold": gold.publication_id}
    by_key = {event.asset_key: event.materialization for event in result.get_asset_materialization_events()}
    edges = by_key[asset_key("gold.ocdfg_edges")].metadata
    assert edges["publication_written"].value == gold.publication_id
    assert edges["publication_read"].value == silver.publication_id
    assert edges["dagster/row_count"].value == lake.read("gold.ocdfg_edges", "orders").height > 0
    pictures = {
        ".".join(key.path): event.metadata["picture"] for key, event in by_key.items() if "picture" in event.metadata
    }
    assert set(pictures) == DRAWN
    for identifier, shown in pictures.items():
        picture = base64.b64decode(str(shown.value).split("base64,")[1].rstrip(")"))
        assert ElementTree.fromstring(picture).tag.endswith("svg"), identifier
    lineage = by_key[asset_key("ocel.events")].metadata["dagster/column_lineage"].value
    assert asset_key("bronze.event_records") in {dep.asset_key for dep in lineage.deps_by_column["activity"]}
    accounting = lake.read("silver.accounting", "orders")
    assert (accounting["read"] == accounting["accepted"] + accounting["quarantined"]).all()
    assert accounting["quarantined"].sum() == lake.read("silver.quarantine", "orders").height > 0


def test_the_same_file_twice_changes_nothing_and_another_is_merged_in(graph: Graph) -> None:
    graph.put("orders", "a.json", events=200, seed=1)
    assert graph.run("orders").success
    before = graph.lake.read("ocel.events", "orders")
    (graph.home / "landing" / "orders" / "copy.json").write_bytes(
        (graph.home / "landing" / "orders" / "a.json").read_bytes()
    )
    assert graph.run("orders").success
    lake = graph.lake
    assert lake.read("bronze.batches", "orders").height == 1
    assert graph.numbers("orders") == dict.fromkeys(LAYERS_OF_EVENTS, 1)
    assert lake.read("ocel.events", "orders").equals(before)
    graph.put("orders", "b.json", events=200, seed=2)
    assert graph.run("orders", ["b.json"]).success
    assert graph.lake.read("bronze.batches", "orders").height == 2
    assert graph.lake.read("silver.accounting", "orders")["batch_id"].n_unique() == 2


def test_a_bad_log_is_not_published_and_does_not_hide_behind_a_good_one(graph: Graph) -> None:
    graph.put("bad", "a.json")
    graph.put("good", "a.json")
    LogSettings(latest="1999-01-01T00:00:00Z").save(graph.home / "logs" / "bad.yaml")
    bad, good = graph.run("bad"), graph.run("good")
    wrong = [item for item in evaluations(bad).values() if item.blocking and not item.passed]
    assert [item.check_name for item in wrong] == ["events_time_in_range"]
    assert materialized(bad) == {spec.identifier for spec in layer_tables("bronze")} & OF_EVENTS
    assert materialized(good) == OF_EVENTS
    assert graph.numbers("bad") == {"bronze": 1}
    assert graph.numbers("good") == dict.fromkeys(LAYERS_OF_EVENTS, 1)


def test_new_settings_are_a_new_publication_and_the_old_one_still_verifies(graph: Graph) -> None:
    graph.put("orders", "a.json", spoiled=True)
    assert graph.run("orders").success
    waiting = graph.lake.read("silver.quarantine", "orders").filter(reason="undeclared_object").height
    assert waiting > 0
    LogSettings(undeclared_objects="infer").save(graph.home / "logs" / "orders.yaml")
    assert all(table.equal for table in verify(graph.lake, "orders")), "by the settings it was built under"
    assert graph.run("orders", job="silver_job").success
    assert graph.run("orders", job="gold_job").success
    assert graph.lake.read("silver.quarantine", "orders").filter(reason="undeclared_object").height < waiting
    assert all(table.equal for table in verify(graph.lake, "orders"))


def test_a_refused_file_is_named_and_does_not_keep_the_others_back(graph: Graph) -> None:
    graph.put("orders", "a.json")
    (graph.home / "landing" / "orders" / "b.json").write_text("no log at all")
    result = graph.run("orders")
    readable = evaluations(result)["bronze/batches:files_readable"]
    assert not readable.passed
    assert "b.json" in readable.metadata
    assert result.success
    assert graph.lake.latest("orders", "gold") is not None
    alone = graph.run("orders", ["b.json"])
    assert not alone.success


def test_a_log_without_files_says_where_to_put_them(graph: Graph) -> None:
    result = graph.run("empty")
    assert not result.success
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failures[0].user_failure_data is not None
    assert "landing" in str(failures[0].user_failure_data.description)


def test_the_analysis_is_built_without_gold_and_keeps_nothing_else_from_being_published(graph: Graph) -> None:
    tables = [asset_key(spec.identifier) for spec in layer_tables("analysis")]
    graph.put_orders("alone")
    for job, only in (("bronze_job", None), ("silver_job", None), ("gold_job", tables)):
        assert graph.run("alone", job=job, tables=only).success
    assert graph.numbers("alone") == {"bronze": 1, "silver": 1, "analysis": 1}
    assert graph.lake.read("gold.bottlenecks", "alone").height

    graph.put_orders("wrong")
    graph.declare("wrong", "mining", {"resource": "clerk"})
    result = graph.run("wrong")
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == "analysis"
    assert failure.step_failure_data.error is not None
    assert "'clerk'" in failure.step_failure_data.error.to_string()
    assert graph.numbers("wrong").keys() == set(LAYERS_OF_EVENTS) - {"analysis"}


@pytest.mark.parametrize("job", ["light_upkeep_job", "maintenance_job", "verification_job"])
def test_upkeep_and_verification_run_on_a_filled_lake(graph: Graph, job: str) -> None:
    graph.put("orders", "a.json", spoiled=True)
    assert graph.run("orders").success
    from definitions import build_defs
    from resources import LakeResource

    definitions = build_defs(lake=LakeResource(home=str(graph.home)))
    result = definitions.resolve_job_def(job).execute_in_process(instance=graph.instance)
    assert result.success
    assert all(item.passed for item in result.get_asset_check_evaluations())
