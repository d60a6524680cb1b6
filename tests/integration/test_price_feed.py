"""Prices from an API to bars: what the API does wrong, and that nothing is lost or doubled on the way."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import polars as pl
import pytest
from confluent_kafka import TopicPartition
from dagster import AssetKey, DagsterInstance, build_schedule_context, materialize

from assets.feeds import commodity_prices
from definitions import build_defs
from ocelake.errors import FeedRefused, NotFound, SettingError, Unreachable
from ocelake.lake import Lake, open_lake
from ocelake.lake.build import verify
from ocelake.live import stream_log
from ocelake.settings import LakeSettings, Resilience
from ocelake.stream.client import consumer, partitions, producer
from ocelake.stream.prices import PriceApi, PriceApiSettings, extract_prices
from ocelake.stream.settings import KafkaSettings
from resources import KafkaResource, LakeResource, PriceApiResource
from schedules import price_extraction_daily, price_extraction_job
from tests.integration.conftest import free_port
from tests.integration.kafka_fixtures import *  # noqa: F403  # fixtures
from tests.integration.lake_processes import start
from tests.integration.price_feed import follow_prices, price_api, price_server
from tests.price_ticks import LOG

DAY = date(2024, 3, 1)
LAG_SECONDS = 5.0 if os.environ.get("OCELAKE_LONG_TESTS") else 30.0
HOURLY = ("--every", "3600", "--page-size", "50")


def create_mock(kafka: KafkaSettings, topic: str) -> None:
    """Create a topic as the mock cluster does: by asking for it."""
    producer(kafka).list_topics(topic, timeout=10)


def messages(kafka: KafkaSettings, topic: str, count: int) -> list[tuple[int, bytes, bytes]]:
    """Read so many messages of a topic: partition, key and value."""
    reader = consumer(kafka, f"reader-of-{topic}")
    reader.assign([TopicPartition(topic, number, 0) for number in range(partitions(kafka, topic))])
    found: list[tuple[int, bytes, bytes]] = []
    until = time.monotonic() + 30
    while len(found) < count and time.monotonic() < until:
        for message in reader.consume(count, 0.2):
            if message.error() is None:
                found.append((message.partition(), message.key(), message.value()))
    reader.close()
    return found


def test_a_day_is_published_whole_page_by_page_and_each_commodity_into_one_partition(
    mock_kafka: KafkaSettings, topic: str
) -> None:
    create_mock(mock_kafka, topic)
    with price_server(*HOURLY, "--bad-share", "0.1") as url:
        done = extract_prices(price_api(url), mock_kafka, DAY, topic=topic)
        rows = list(price_api(url).rows(DAY))
    assert done.messages == len(rows) == 144
    assert 0 < sum(done.bad.values()) < 40
    assert done.commodities == 6
    found = messages(mock_kafka, topic, 144)
    assert sorted(value for _, _, value in found) == sorted(
        json.dumps(row, separators=(",", ":")).encode() for row in rows
    )
    where = {key: {partition for partition, other, _ in found if other == key} for _, key, _ in found}
    assert all(len(places) == 1 for places in where.values())


def test_errors_that_pass_are_tried_again(mock_kafka: KafkaSettings, topic: str) -> None:
    create_mock(mock_kafka, topic)
    with price_server(*HOURLY, "--errors", "3") as url:
        assert extract_prices(price_api(url), mock_kafka, DAY, topic=topic).messages == 144


def test_what_does_not_pass_is_told_and_nothing_is_published(mock_kafka: KafkaSettings, topic: str) -> None:
    short = Resilience(seconds=0.3, first_wait=0.01, longest_wait=0.05, call_seconds=0.1)
    with price_server(*HOURLY) as url:
        with pytest.raises(SettingError, match="COMMODITY_API_KEY"):
            list(price_api(url, key="wrong").rows(DAY))
        with pytest.raises(FeedRefused, match="404"):
            list(price_api(f"{url}/elsewhere").rows(DAY))
    with price_server(*HOURLY, "--slow", "1") as url, pytest.raises(Unreachable, match="price API"):
        list(price_api(url, short).rows(DAY))
    with pytest.raises(Unreachable, match="COMMODITY_API_URL"):
        list(price_api(f"http://127.0.0.1:{free_port()}", short).rows(DAY))
    with price_server(*HOURLY, "--bad-share", "1") as url, pytest.raises(FeedRefused, match="not one is a price"):
        extract_prices(price_api(url), mock_kafka, DAY, topic=topic)
    with pytest.raises(NotFound):
        partitions(mock_kafka, topic)


def test_a_commodity_that_is_no_text_is_sent_and_costs_only_its_row(mock_kafka: KafkaSettings, topic: str) -> None:
    create_mock(mock_kafka, topic)
    rows = [{"commodity": name, "time": "2024-03-01T00:00:00Z", "price": 1} for name in ("gold", "half \ud800")]

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": rows, "next_page": None}).encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = extract_prices(price_api(f"http://127.0.0.1:{server.server_port}"), mock_kafka, DAY, topic=topic)
        server.shutdown()
    assert (done.messages, done.bad) == (2, {"malformed": 1})


def test_an_api_that_is_not_named_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMMODITY_API_URL", raising=False)
    with pytest.raises(SettingError, match="COMMODITY_API_URL"):
        PriceApiSettings.load()
    monkeypatch.setenv("COMMODITY_API_URL", "prices.example.com")
    with pytest.raises(SettingError, match="COMMODITY_API_URL"):
        PriceApiSettings.load()
    monkeypatch.setenv("COMMODITY_API_URL", "https://prices.example.com/")
    monkeypatch.setenv("COMMODITY_API_KEY", "secret")
    assert "secret" not in repr(PriceApiSettings.load())
    assert isinstance(PriceApiResource().open(), PriceApi)
    assert isinstance(PriceApiResource(url="http://x").open(), PriceApi)


def test_the_daily_job_fetches_the_day_before_tries_again_twice_and_ends_after_an_hour(
    mock_kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_mock(mock_kafka, "commodity-prices")
    assert price_extraction_job.tags == {"dagster/max_runtime": "3600", "dagster/max_retries": "0"}
    assert commodity_prices.op.retry_policy is not None
    assert commodity_prices.op.retry_policy.max_retries == 2
    assert (price_extraction_daily.cron_schedule, price_extraction_daily.execution_timezone) == ("0 2 * * *", "UTC")
    repository = build_defs().get_repository_def()
    two = pl.datetime(2024, 3, 2, 2, time_zone="UTC")
    context = build_schedule_context(scheduled_execution_time=pl.select(two).item(), repository_def=repository)
    monkeypatch.delenv("COMMODITY_API_URL", raising=False)
    assert "COMMODITY_API_URL" in str(price_extraction_daily.evaluate_tick(context).skip_message)
    with price_server(*HOURLY) as url, DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("COMMODITY_API_URL", url)
        monkeypatch.setenv("COMMODITY_API_KEY", "demo")
        (request,) = price_extraction_daily.evaluate_tick(context).run_requests or []
        assert request.partition_key == "2024-03-01"
        result = materialize(
            [commodity_prices],
            instance=instance,
            partition_key=request.partition_key,
            resources={
                "price_api": PriceApiResource(),
                "kafka": KafkaResource(bootstrap_servers=mock_kafka.bootstrap_servers),
            },
        )
    metadata = result.asset_materializations_for_node("feeds__commodity_prices")[0].metadata
    assert (metadata["messages"].value, metadata["topic"].value) == (144, "commodity-prices")


def test_a_stream_of_prices_is_told_to_dagster_and_no_run_does_it_again(
    tmp_path: Path, mock_kafka: KafkaSettings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_mock(mock_kafka, topic)
    monkeypatch.setenv("OCELAKE_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", mock_kafka.bootstrap_servers or "")
    lake = open_lake(tmp_path)
    with price_server(*HOURLY) as url:
        for day in (DAY, date(2024, 3, 2)):
            extract_prices(price_api(url), mock_kafka, day, topic=topic)
            stream_log(lake, LOG, {"topics": (topic,), "format": "prices"}, until_caught_up=True)
    newest = lake.publications(LOG)
    assert newest["layer"].to_list() == ["bronze", "prices", "bars"] * 2
    assert lake.read("gold.price_bars", LOG).filter(interval="1d")["prices"].sum() == 288
    with DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        told = instance.get_latest_materialization_event(AssetKey(["gold", "price_bars"]))
        assert told is not None
        assert told.asset_materialization is not None
        metadata = told.asset_materialization.metadata
        assert metadata["publication_written"].value == newest["publication_id"][-1]
        assert "svg" in str(metadata["picture"].value)
        job = build_defs(lake=LakeResource(home=str(tmp_path))).resolve_job_def("prices_job")
        assert job.execute_in_process(instance=instance, partition_key=LOG).success
    assert lake.publications(LOG).equals(newest), "nothing was left to be published"


def wait_for(reached: Callable[[], bool], seconds: float) -> float:
    """Wait until something holds, and give how long it took."""
    began = time.monotonic()
    while not reached():
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.kafka
def test_three_consumers_make_bars_of_a_feed_and_nothing_is_lost_or_doubled(
    tmp_path: Path, kafka: KafkaSettings, topic: str
) -> None:
    settings = LakeSettings(
        home=tmp_path, catalog_uri=f"sqlite:///{tmp_path / 'catalog.db'}", warehouse=str(tmp_path / "warehouse")
    )
    lake = open_lake(settings=settings)
    lake.ensure_tables()

    def in_bars(lake: Lake, prices: int) -> bool:
        if lake.latest(LOG, "bars") is None:
            return False
        bars = lake.scan("gold.price_bars", LOG, columns=["interval", "prices"])
        return bars.filter(interval="1d").select(pl.col("prices").sum()).collect().item() == prices

    with price_server("--every", "900", "--bad-share", "0.02") as url:
        api = price_api(url)
        done = [extract_prices(api, kafka, DAY, topic=topic)]
        assert partitions(kafka, topic) == 3
        consumers = [start(follow_prices, settings, kafka, topic) for _ in range(3)]
        good = done[0].messages - sum(done[0].bad.values())
        wait_for(lambda: in_bars(lake, good), 120)
        done.append(extract_prices(api, kafka, date(2024, 2, 28), topic=topic))  # late
        good += done[1].messages - sum(done[1].bad.values())
        lag = wait_for(lambda: in_bars(lake, good), 60)
        done.append(extract_prices(api, kafka, DAY, topic=topic))  # once more
    sent = sum(item.messages for item in done)
    wait_for(
        lambda: lake.scan("silver.price_accounting", LOG).select(pl.col("read").sum()).collect().item() == sent, 60
    )
    for process in consumers:
        process.terminate()
        process.join(60)
        assert process.exitcode == 0
    print(f"bars have {done[1].messages} late prices {lag:.1f} s after the topic has them")
    assert lag < LAG_SECONDS
    ticks = lake.read("bronze.price_ticks", LOG).join(lake.read("bronze.batches", LOG), on="batch_id")
    places = ticks.select("topic", "partition", offset=pl.col("first_offset") + pl.col("position"))
    assert places.height == places.unique().height == sent
    assert places.group_by("partition").agg(pl.col("offset").max() + 1 == pl.len())["offset"].all()
    assert lake.read("silver.prices", LOG).height == good
    reasons = dict(lake.read("silver.price_quarantine", LOG)["reason"].value_counts().iter_rows())
    assert reasons.pop("duplicate") == done[2].messages - sum(done[2].bad.values())
    assert sum(reasons.values()) == sum(sum(item.bad.values()) for item in done)
    assert all(table.equal for table in verify(lake, LOG))
