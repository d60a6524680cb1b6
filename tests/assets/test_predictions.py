"""The graph of predictions: trained, promoted where that is earned, scored, and watched."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from dagster import AssetKey, RunRequest, ScheduleDefinition, SkipReason, build_schedule_context, build_sensor_context
from polars.testing import assert_frame_equal

from ocelake.console import longest_queues
from ocelake.errors import NotFound
from ocelake.features import PredictionSettings
from ocelake.lake.build import STEPS, publish, sources, verify
from ocelake.lake.features import load_prediction, training_sets
from ocelake.ocel.generate import generate
from ocelake.ocel.write import write_log
from ocelake.predict import predict_object
from ocelake.registry import Registry
from ocelake.training import promote
from resources import LakeResource
from schedules import predictions_half_hourly, training_weekly
from sensors import models_drifted
from tests.assets.conftest import Graph, evaluations, event, materialized

START = datetime(2024, 1, 1, tzinfo=UTC)
PREDICT = {
    "object_types": ["orders"],
    "targets": {"orders": "14d"},
    "outcomes": [{"name": "reminded", "object_type": "orders", "activity": "payment reminder", "warn": True}],
}


def registry(graph: Graph) -> Registry:
    return Registry(f"sqlite:///{graph.home}/mlflow.db", str(graph.home / "mlflow"))


def test_a_log_is_trained_scored_and_scored_again_by_what_is_new(graph: Graph) -> None:
    graph.put("shop", "log.json", events=6_000)
    graph.declare("shop", "predict", PREDICT)
    assert graph.run("shop", ["log.json"]).success
    result = graph.run("shop", job="training_job")
    assert result.success
    found = evaluations(result)
    assert found["models/tasks:challenger_promotable"].passed
    assert found["models/tasks:challenger_promotable"].blocking
    lake, models = graph.lake, registry(graph)
    tasks = lake.read("models.tasks", "shop")
    assert set(tasks["task"]) == {"next_activity", "remaining_time", "delay", "outcome_reminded"}
    assert tasks["trained"].all()
    champions = lake.read("models.champions", "shop")
    assert set(champions["task"]) == set(tasks.filter(pl.col("promotable"))["task"])
    assert "next_activity" in set(champions["task"])
    # The run says where it comes from.
    version = models.champion("shop.orders.next_activity")
    assert version is not None
    tags = models.tags(version)
    assert tags["features"] == "shop.features.1"
    assert tags["snapshot.features.prefixes"].isdigit()
    assert models.metrics(version)["accuracy.gradient_boosting"] == pytest.approx(
        tasks.filter(task="next_activity")["model"].item()
    )
    # What is predicted, is so of running objects, as of their last events.
    predictions = lake.read("gold.predictions", "shop")
    assert predictions.height
    last = lake.read("ocel.event_objects", "shop").group_by("object_id").agg(pl.col("time").max())
    assert_frame_equal(
        predictions.select("object_id", "time").unique().sort("object_id"),
        last.join(predictions, on="object_id", how="semi").sort("object_id"),
    )
    # What has come already is a fact: it is not predicted, but warned of while the object runs.
    events = lake.read("ocel.event_objects", "shop")
    reminded = set(events.filter(activity="payment reminder", object_type="orders")["object_id"])
    asked_again = set(predictions.filter(task="outcome_reminded")["object_id"]) & reminded
    assert reminded
    assert not asked_again
    warnings = lake.read("gold.early_warnings", "shop")
    over = set(predictions.filter(task="next_activity", prediction="(end)")["object_id"])
    over |= set(
        predictions.filter((pl.col("task") == "remaining_time") & (pl.col("silence") > pl.col("high")))["object_id"]
    )
    assert over
    assert not over & set(warnings["object_id"])
    running = set(predictions["object_id"])
    facts = warnings.filter(warning="It has come true: reminded.")
    assert set(facts["object_id"]) & running == (reminded & running) - over
    assert facts["probability"].null_count() == facts["reasons"].list.len().eq(0).sum() == facts.height
    newest_event = lake.read("ocel.events", "shop")["time"].max()
    assert (warnings["expected"].drop_nulls() >= newest_event).all()
    assert predictions["silence"].min() >= 0
    late = warnings.filter(task="delay", warning="It has taken longer than it may.")
    assert (late["due"] < newest_event).all()
    # Where they will wait is told of the week after the log's last event, and where it was said in the metadata.
    queues = lake.read("gold.bottleneck_forecast", "shop")
    assert queues["hour"].min() > lake.read("ocel.events", "shop")["time"].max()
    assert {"orders", "items"} <= set(queues["object_type"])
    (said,) = [
        event.step_materialization_data.materialization.metadata["week_ahead"].value
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key.path == ["gold", "bottleneck_forecast"]
    ]
    busiest = longest_queues(queues).row(0, named=True)
    assert f"| {busiest['object_type']} | {busiest['activity']} | {busiest['expected']:.1f} |" in said
    one = predict_object(lake, models, "shop", predictions["object_id"][0])
    same = predictions.filter(pl.col("object_id") == predictions["object_id"][0])
    assert_frame_equal(one.sort("task").select(same.columns), same.sort("task"))
    assert all(table.equal for table in verify(lake, "shop"))
    # What is trained again on the same is as good, and not better: the champions stay, and nothing fails.
    same_again = graph.run("shop", job="training_job")
    assert same_again.success
    assert lake.read("models.tasks", "shop")["against_champion"].drop_nulls().to_list() == [0.0] * champions.height
    assert_frame_equal(lake.read("models.champions", "shop").drop("promoted"), champions.drop("promoted"))
    # More of the log: what has not changed is not scored again, and what has is scored as if anew.
    more = generate(6_500, seed=1)
    write_log(more, graph.home / "landing" / "shop" / "more.json")
    assert graph.run("shop", ["more.json"]).success
    again = graph.run("shop", job="prediction_job")
    assert again.success
    assert not materialized(again) & {"models.tasks", "models.champions"}
    (told,) = [
        event.step_materialization_data.materialization.metadata["scored_anew"].value
        for event in again.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key.path == ["gold", "predictions"]
    ]
    newest = lake.read("gold.predictions", "shop")
    assert 0 < told <= newest.height
    for thing in newest["object_id"].unique().sort().head(3):
        alone = predict_object(lake, models, "shop", thing).sort("task")
        assert_frame_equal(alone.select(newest.columns), newest.filter(pl.col("object_id") == thing).sort("task"))


def test_small_and_odd_logs_train_nothing_say_why_and_stay_green(graph: Graph) -> None:
    graph.put_orders("tiny", orders=3)
    assert graph.run("tiny", ["orders.json"]).success
    result = graph.run("tiny", job="training_job")
    assert result.success
    tasks = graph.lake.read("models.tasks", "tiny")
    assert tasks.height == 2
    assert not tasks["trained"].any()
    assert tasks["reason"].str.len_chars().min() > 10
    found = evaluations(result)
    assert not found["models/tasks:tasks_trained"].passed
    assert found["models/tasks:challenger_promotable"].passed
    assert graph.lake.read("models.champions", "tiny").is_empty()
    assert graph.lake.read("gold.predictions", "tiny").is_empty()


def test_what_the_settings_name_and_the_log_has_not_is_told(graph: Graph) -> None:
    graph.put_orders("typos", orders=3)
    outcomes = [
        {"name": "gone", "object_type": "orders", "activity": "no such activity"},
        {"name": "whose", "object_type": "ordres", "activity": "place order"},
    ]
    settings = {"object_types": ["orders"], "targets": {"customers": "3d"}, "ends": {"orders": ["paid"]}}
    graph.declare("typos", "predict", {**settings, "outcomes": outcomes})
    assert graph.run("typos", ["orders.json"]).success
    assert graph.run("typos", job="training_job").success
    tasks = graph.lake.read("models.tasks", "typos")
    said = {(kind, task): reason for kind, task, reason in tasks.select("object_type", "task", "reason").iter_rows()}
    assert said["orders", "outcome_gone"].startswith("The log has no activity 'no such activity'.")
    assert said["ordres", "outcome_whose"] == "The log has no objects of the type 'ordres'."
    assert said["orders", "remaining_time"].startswith("The log has no activity 'paid', which is said to end orders.")
    assert said["customers", "delay"] == "The log has no objects of the type 'customers'."


def clockwork(graph: Graph, log_id: str) -> None:
    """Land a log in which the baseline is always right: an order is placed every day, and paid an hour later."""
    orders = range(1, 201)
    events = [event(f"place {n}", "place order", START + timedelta(days=n), [n]) for n in orders]
    events += [event(f"pay {n}", "pay order", START + timedelta(days=n, hours=1), [n]) for n in orders]
    types = [{"name": name, "attributes": []} for name in ("place order", "pay order")]
    content = {
        "objectTypes": [{"name": "orders", "attributes": []}],
        "eventTypes": types,
        "objects": [{"id": f"o{n}", "type": "orders"} for n in orders],
        "events": events,
    }
    path = graph.home / "landing" / log_id / "log.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    graph.declare(log_id, "predict", {"ends": {"orders": ["pay order"]}})
    assert graph.run(log_id, ["log.json"]).success


def test_a_model_that_is_no_better_than_its_baseline_is_recorded_and_not_promoted(graph: Graph) -> None:
    clockwork(graph, "plain")
    result = graph.run("plain", job="training_job")
    tasks = graph.lake.read("models.tasks", "plain")
    assert tasks["trained"].to_list() == [True, True]
    assert not tasks["better"].any()
    assert not evaluations(result)["models/tasks:challenger_promotable"].passed
    assert graph.lake.latest("plain", "models") is not None
    assert graph.lake.latest("plain", "champions") is None
    # What takes no model is there all the same, and goes on to be.
    assert graph.lake.read("gold.demand_forecast", "plain").height
    assert graph.run("plain", job="prediction_job").success
    with pytest.raises(NotFound, match="No model of the log 'plain' is better than its baseline"):
        predict_object(graph.lake, registry(graph), "plain", "o1")
    names = registry(graph).names("plain.")
    assert len(names) == 2
    assert all(registry(graph).champion(name) is None for name in names)
    assert all(registry(graph).challenger(name) is not None for name in names)


def test_a_worse_challenger_leaves_the_champion_which_is_held_against_its_own_training(graph: Graph) -> None:
    graph.put("shop", "log.json", events=6_000)
    graph.declare("shop", "predict", {"object_types": ["orders"]})
    assert graph.run("shop", ["log.json"]).success
    assert graph.run("shop", job="training_job").success
    lake, models = graph.lake, registry(graph)
    first = lake.read("models.champions", "shop").filter(task="next_activity").row(0, named=True)
    # A challenger by the same name that is no better, as the table of a later training would have it.
    trained = lake.read("models.tasks", "shop")
    worse = trained.with_columns(
        model_version=pl.col("model_version") + 1, promotable=pl.lit(False), better=pl.lit(True)
    )
    again = promote(models, worse).filter(task="next_activity").row(0, named=True)
    assert again == {**first, "promoted": False}
    last = lake.read("features.prefixes", "shop").filter(object_type="orders")["time"].max()
    assert again["seen_until"] == last
    assert again["value"] == pytest.approx(trained.filter(task="next_activity")["model"].item())
    # One that was trained before it is none.
    next_activity = trained.filter(task="next_activity")
    older = next_activity.with_columns(model_version=pl.col("model_version") - 1, promotable=pl.lit(True))
    assert promote(models, older)["model_version"].to_list() == [first["model_version"]]
    # And where another question is asked by its name now, the champion is none any more.
    assert models.champion(first["model_name"]) is not None
    other = next_activity.with_columns(promotable=pl.lit(False), definition=pl.lit("another"))
    assert promote(models, other).is_empty()
    assert models.champion(first["model_name"]) is None


def test_schedules_ask_for_logs_that_were_trained_and_have_something_new(graph: Graph) -> None:
    lake = LakeResource(home=str(graph.home))
    moment = datetime(2024, 6, 2, 4, tzinfo=UTC)

    def asked(schedule: ScheduleDefinition) -> list[str | None]:
        with build_schedule_context(instance=graph.instance, scheduled_execution_time=moment) as context:
            found = schedule(context, lake=lake)
            return [request.partition_key for request in found if isinstance(request, RunRequest)]

    clockwork(graph, "plain")
    graph.put("shop", "log.json", events=6_000)
    graph.declare("shop", "predict", {"object_types": ["orders"]})
    assert graph.run("shop", ["log.json"]).success
    assert asked(training_weekly) == asked(predictions_half_hourly) == []
    assert graph.run("shop", job="training_job").success
    assert asked(training_weekly) == ["shop"]
    assert asked(predictions_half_hourly) == [], "nothing is new"
    graph.put("shop", "more.json", events=6_500)
    assert graph.run("shop", ["more.json"]).success
    assert asked(predictions_half_hourly) == ["shop"]


def test_drift_is_seen_and_trains_anew(graph: Graph) -> None:
    graph.put("shop", "log.json", events=6_000)
    graph.declare("shop", "predict", {"object_types": ["orders"]})
    assert graph.run("shop", ["log.json"]).success
    assert graph.run("shop", job="training_job").success
    lake = graph.lake
    quiet = lake.read("models.monitoring", "shop")
    assert quiet.is_empty() or not quiet["alarm"].any()
    with build_sensor_context(instance=graph.instance) as context:
        assert isinstance(models_drifted(context, lake=LakeResource(home=str(graph.home))), SkipReason)
    # A year later everything takes much longer, and comes at night.
    later = generate(4_000, seed=9)
    renamed = later.events.with_columns(event_id="late " + pl.col("event_id"))
    first = renamed["time"].min()
    slow = (pl.col("time") + (pl.col("time") - first) * 3 + timedelta(days=900, hours=12)).alias("time")
    relations = later.event_objects.with_columns(
        event_id="late " + pl.col("event_id"), object_id="late " + pl.col("object_id")
    ).with_columns(slow)
    log = replace(
        later,
        events=renamed.with_columns(slow),
        event_objects=relations,
        objects=later.objects.with_columns(object_id="late " + pl.col("object_id")),
        object_objects=later.object_objects.head(0),
        event_attributes=later.event_attributes.head(0),
        object_attributes=later.object_attributes.head(0),
    )
    write_log(log, graph.home / "landing" / "shop" / "later.json")
    assert graph.run("shop", ["later.json"]).success
    result = graph.run("shop", job="prediction_job")
    assert result.success
    assert not evaluations(result)["models/monitoring:features_steady"].passed
    assert lake.read("models.monitoring", "shop")["alarm"].any()

    def tick(cursor: str | None) -> tuple[list[str | None], str, str]:
        """Give the logs that are to be trained, the cursor, and why not."""
        with build_sensor_context(instance=graph.instance, cursor=cursor) as context:
            found = models_drifted(context, lake=LakeResource(home=str(graph.home)))
            if isinstance(found, SkipReason):
                return [], str(context.cursor), str(found.skip_message)
            return [request.partition_key for request in found.run_requests or []], str(found.cursor), ""

    asked, cursor, _ = tick(None)
    assert asked == ["shop"]
    assert tick(cursor)[0] == []
    # New monitoring of the same champions, as after a training without a better challenger, is the same alarm.
    watched = lake.latest("shop", "monitoring")
    again = graph.run("shop", job="training_job", tables=[AssetKey(["models", "monitoring"])])
    assert again.success
    assert lake.latest("shop", "monitoring") != watched
    assert lake.read("models.monitoring", "shop")["alarm"].any()
    asked, cursor, why = tick(cursor)
    assert (asked, why) == ([], "shop: it was trained for this alarm, and nothing is new")
    # With more of the log it is trained again, but not at once; and the sensor waits for that by itself.
    graph.put("shop", "more.json", events=6_500)
    assert graph.run("shop", ["more.json"]).success
    assert graph.run("shop", job="prediction_job").success
    for _ in range(2):
        asked, cursor, why = tick(cursor)
        assert asked == []
        assert "will be again at" in why
    content = json.loads(cursor)
    for row in content["shop"]["answered"]:
        row["time"] = (datetime.fromisoformat(row["time"]) - timedelta(days=1)).isoformat()
    asked, cursor, _ = tick(json.dumps(content))
    assert asked == ["shop"]
    assert tick(cursor)[0] == []
    # A cursor of before answers were remembered: what was looked at is not looked at again.
    newest = lake.latest("shop", "monitoring")
    assert newest is not None
    assert tick(json.dumps({"shop": newest.publication_id}))[0] == []
    assert tick(json.dumps({"shop": "shop.monitoring.1"}))[0] == ["shop"]


def test_an_outcome_by_a_rule_that_is_not_there_is_refused(graph: Graph) -> None:
    graph.declare("shop", "predict", {"outcomes": [{"name": "bad", "object_type": "orders", "rule": "nothing"}]})
    with pytest.raises(Exception, match="the rule 'nothing', which the log does not have"):
        load_prediction(graph.lake, "shop")
    assert PredictionSettings().outcomes == ()


def test_a_violation_is_settled_at_its_deadline_and_no_question_after_it(graph: Graph) -> None:
    graph.put("shop", "log.json", events=3_000)
    rule = {"name": "paid", "when": "place order", "then": "pay order", "each": "orders", "count": 1, "within": "10 d"}
    graph.declare("shop", "rules", {"rules": [rule]})
    outcome = {"name": "late", "object_type": "orders", "rule": "paid"}
    graph.declare("shop", "predict", {"object_types": ["orders"], "outcomes": [outcome]})
    assert graph.run("shop", ["log.json"]).success
    lake = graph.lake
    step, read = STEPS["features"], sources(lake, "shop", "features")
    settings = step.settings(lake, "shop")
    record = publish(lake, read, "features", step.compute(lake, read, settings, 1), settings=settings)
    labels = lake.read("features.labels", "shop").filter(task="outcome_late", label="true")
    relations = lake.read("ocel.event_objects", "shop").filter(object_type="orders")
    placed = relations.filter(activity="place order").select("object_id", placed="time")
    newest = lake.read("ocel.events", "shop")["time"].max()
    known = labels.join(placed, on="object_id").select(
        "known_at", due=pl.min_horizontal(pl.col("placed") + timedelta(days=10), pl.lit(newest))
    )
    assert known.height > 50
    assert known["known_at"].to_list() == known["due"].to_list()
    # What has been settled by a prefix is no question of it, to be trained on or predicted.
    (asked,) = [part.rows for part in training_sets(lake, record) if part.task == "outcome_late"]
    true = asked.filter(pl.col("target"))
    assert 0 < true.height < labels.height
    assert (true["known_at"] > true["time"]).all()


def test_features_are_published_with_what_they_mean(graph: Graph) -> None:
    graph.put("shop", "log.json", events=1_000)
    assert graph.run("shop", ["log.json"]).success
    lake = graph.lake
    step, read = STEPS["features"], sources(lake, "shop", "features")
    settings = step.settings(lake, "shop")
    record = publish(lake, read, "features", step.compute(lake, read, settings, 1), settings=settings)
    columns = lake.read("features.columns", "shop")
    row = lake.read("features.prefixes", "shop").row(0, named=True)
    assert len(row["numbers"]) == columns.filter(kind="number").height
    assert len(row["categories"]) == columns.filter(kind="category").height
    assert columns["description"].str.len_chars().min() > 10
    assert record.reads == {"silver": "shop.silver.1"}
