"""A day's commodity prices from the API into their topic, from which `ocelake.stream` reads them into bronze."""

from datetime import date
from typing import Any, Final

from dagster import AssetExecutionContext, Backoff, Jitter, MaterializeResult, MetadataValue, RetryPolicy, asset

from assets.partitions import DAYS
from assets.specs import OWNERS
from ocelake.stream.prices import TOPIC, extract_prices
from resources import KafkaResource, PriceApiResource

__all__ = ["commodity_prices"]

_RETRIES: Final = RetryPolicy(max_retries=2, delay=60, backoff=Backoff.EXPONENTIAL, jitter=Jitter.PLUS_MINUS)


@asset(
    key=["feeds", "commodity_prices"],
    group_name="feeds",
    partitions_def=DAYS,
    pool="feed_prices",
    retry_policy=_RETRIES,
    owners=OWNERS,
    kinds={"kafka"},
)
def commodity_prices(
    context: AssetExecutionContext, price_api: PriceApiResource, kafka: KafkaResource
) -> MaterializeResult[Any]:
    """Fetch the prices of the day that is the partition, look at each, and publish all of them."""
    done = extract_prices(price_api.open(), kafka.settings, date.fromisoformat(context.partition_key))
    if done.bad:
        context.log.warning("%d of %d rows are no prices.", sum(done.bad.values()), done.messages)
    return MaterializeResult(
        metadata={
            "topic": TOPIC,
            "messages": done.messages,
            "commodities": done.commodities,
            "bad_rows": MetadataValue.json(dict(done.bad)),
            "seconds": round(done.seconds, 3),
        }
    )
