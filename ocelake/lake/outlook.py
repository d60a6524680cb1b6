"""What is to be expected of a log, and what was unusual in it, without a model: the layer ``outlook``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import polars as pl

from ocelake.features import flowing_types
from ocelake.lake.features import LastPrefixes, Prediction, last_prefixes
from ocelake.mining.queues import bottleneck_forecast
from ocelake.mining.rates import demand_forecast, unusual_hours
from ocelake.tables import as_table

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.lake.records import PublicationRecord

__all__ = ["outlook_tables"]


def outlook_tables(lake: Lake, features: PublicationRecord, settings: Prediction) -> dict[str, pl.DataFrame]:
    """Forecast demand and queues, and find unusual objects and hours, from the features at one publication."""
    log_id = features.log_id
    silver = lake.moment(features.reads["silver"])
    traces = lake.traces(log_id, silver)
    events = lake.read("ocel.events", log_id, as_of=silver, columns=["activity", "time"])
    flowing = flowing_types(traces, settings.mining.execution_types)
    anomalies = _anomalies(last_prefixes(lake, features), events, settings.predict.seed)
    return {
        "gold.demand_forecast": demand_forecast(events),
        "gold.bottleneck_forecast": bottleneck_forecast(traces, flowing),
        "gold.anomalies": as_table("gold.anomalies", anomalies),
    }


def _anomalies(known: Iterable[LastPrefixes], events: pl.DataFrame, seed: int) -> pl.DataFrame:
    from ocelake.models.anomalies import unusual_executions  # scikit-learn takes a second to import

    found = [
        hours.select(
            pl.lit("event_rate").alias("kind"),
            pl.col("activity").alias("subject"),
            pl.col("hour").alias("time"),
            "score",
            detail=pl.format(
                "{} events, {} are usual in this hour of the week.", "events", pl.col("expected").round(1)
            ),
        )
        for hours in [unusual_hours(events)]
    ]
    for part in known:
        unusual = unusual_executions(part.values, seed=seed, running=part.running)
        rows = part.keys.with_columns(unusual).filter(pl.col("unusual"))
        subject = pl.col("object_id").alias("subject")
        found.append(rows.select(pl.lit("execution").alias("kind"), subject, "time", "score", "detail"))
    return pl.concat(found).unique(["kind", "subject", "time"], keep="first", maintain_order=True)
