"""The asset graph of a feed: ticks to bars, with checks, a picture, and other logs left alone."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

import polars as pl
from dagster import AssetSelection, materialize

from assets.bronze import bronze, price_ticks
from assets.gold import bars, gold
from assets.silver import prices, silver
from assets.specs import asset_key
from ocelake.lake.build import latest_or_fail
from ocelake.tables import layer_tables
from resources import LakeResource
from tests.assets.conftest import Graph, evaluations, materialized
from tests.price_ticks import LOG, put_ticks

TABLES_OF_PRICES = {spec.identifier for layer in ("prices", "bars") for spec in layer_tables(layer)}  # type: ignore[arg-type]
GOOD = [{"commodity": "gold", "time": f"2024-01-01T00:{n:02}:00Z", "price": str(50 + n % 7)} for n in range(50)]


def test_ticks_reach_bars_with_their_checks_and_a_picture(graph: Graph) -> None:
    put_ticks(graph.lake, "one", [*GOOD, {"commodity": "gold", "time": "2024-01-01", "price": "free"}])
    result = graph.run(LOG, job="prices_job")
    assert result.success
    assert materialized(result) == {"bronze.price_ticks", *TABLES_OF_PRICES}
    found = evaluations(result)
    assert all(item.passed for name, item in found.items() if item.blocking)
    assert not found["silver/price_quarantine:price_ticks_sound"].passed, "1 of 51 is bad, and 1% may be"
    assert "1 invalid_price" in str(found["silver/price_quarantine:price_ticks_sound"].description)
    bars = latest_or_fail(graph.lake, LOG, "bars")
    assert bars.reads == {"prices": latest_or_fail(graph.lake, LOG, "prices").publication_id}
    by_key = {event.asset_key: event.materialization for event in result.get_asset_materialization_events()}
    metadata = by_key[asset_key("gold.price_bars")].metadata
    assert metadata["publication_written"].value == bars.publication_id
    shown = base64.b64decode(str(metadata["picture"].value).split("base64,")[1].rstrip(")"))
    assert ElementTree.fromstring(shown).tag.endswith("svg")
    assert "invalid_price" in str(by_key[asset_key("silver.price_quarantine")].metadata["by_reason"].value)
    lineage = metadata["dagster/column_lineage"].value.deps_by_column
    assert [(dep.asset_key, dep.column_name) for dep in lineage["open"]] == [(asset_key("silver.prices"), "price")]


def test_a_feed_has_no_tables_of_events_and_a_log_of_events_none_of_prices(graph: Graph) -> None:
    put_ticks(graph.lake, "one", GOOD)
    graph.put("orders", "a.json", events=60)
    assert graph.run("orders", job="bronze_job").success
    made = {}
    for log_id in ("orders", LOG):
        graph.instance.add_dynamic_partitions("log", [log_id])
        result = materialize(
            [bronze, price_ticks, silver, prices, gold, bars],
            selection=AssetSelection.groups("silver", "gold"),
            partition_key=log_id,
            instance=graph.instance,
            resources={"lake": LakeResource(home=str(graph.home))},
        )
        assert all(item.passed for item in evaluations(result).values() if item.blocking)
        made[log_id] = materialized(result)
    assert made["orders"] == {spec.identifier for layer in ("silver", "gold") for spec in layer_tables(layer)}
    assert made[LOG] == TABLES_OF_PRICES
    assert graph.numbers("orders") == {"bronze": 1, "silver": 1, "gold": 1}
    assert graph.numbers(LOG) == {"bronze": 1, "prices": 1, "bars": 1}
    checks = graph.definitions().resolve_job_def("verification_job").execute_in_process(instance=graph.instance)
    assert all(item.passed for item in checks.get_asset_check_evaluations())
    (verified,) = checks.get_asset_materialization_events()
    assert verified.materialization.metadata["tables"].value == len(made["orders"] | made[LOG])


def test_ticks_that_are_not_all_there_hold_back_what_is_made_of_them(graph: Graph) -> None:
    put_ticks(graph.lake, "one", GOOD)
    with graph.lake.publication(LOG, "bronze") as publication:  # a batch that lost its last tick
        batch = graph.lake.read("bronze.batches", LOG).with_columns(batch_id=pl.lit("two"))
        ticks = graph.lake.read("bronze.price_ticks", LOG).with_columns(batch_id=pl.lit("two"))
        publication.append("bronze.batches", batch)
        publication.append("bronze.price_ticks", ticks.head(-1))
        publication.commit()
    result = graph.run(LOG, job="prices_job")
    failed = {name: item.blocking for name, item in evaluations(result).items() if not item.passed}
    assert failed == {
        "bronze/price_ticks:price_ticks_complete": False,
        "silver/price_accounting:price_ticks_accounted_for": True,
    }
    assert not materialized(result) & TABLES_OF_PRICES
