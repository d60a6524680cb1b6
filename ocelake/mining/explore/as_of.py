"""Attribute values as of an instant, and as of an event."""

from __future__ import annotations

from datetime import datetime

import polars as pl

__all__ = ["values_as_of_events", "values_at"]


def values_at(values: pl.DataFrame, instant: datetime | None = None) -> pl.DataFrame:
    """Give each object's latest values at or before an instant, initial values included.

    Parameters
    ----------
    values : DataFrame
        Rows of `ocel.object_attributes`, in any order.
    instant : datetime, optional
        With a time zone. Default: after everything, so that each attribute's last value is given.

    Returns
    -------
    DataFrame
        The same columns; of each object and attribute one row at most, sorted by object_id and name. Of several values
        at one time, the one with the greatest ordinal.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> changes = generate(1_000, seed=1).object_attributes.filter(name="price")
    >>> changes.height > values_at(changes).height == changes["object_id"].n_unique()
    True
    """
    if instant is not None:
        values = values.filter(pl.col("initial") | (pl.col("time") <= instant))
    latest = values.sort("object_id", "name", "time", "ordinal", nulls_last=False)
    return latest.unique(["object_id", "name"], keep="last", maintain_order=True)


def values_as_of_events(event_objects: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """Give the value of one attribute for each event and object, as of the event.

    That is the object's latest value before the event's time; one at that very time counts where the object has no
    later event at that time. Initial values come before every time.

    Parameters
    ----------
    event_objects : DataFrame
        Columns event_id, object_id, time, sequence: all relations of the objects in question.
    values : DataFrame
        Rows of `ocel.object_attributes` of one name.

    Returns
    -------
    DataFrame
        event_id, object_id, value (text; null where there is none): a row for each distinct pair.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(1_000, seed=1)
    >>> items = log.event_objects.filter(object_type="items")
    >>> found = values_as_of_events(items, log.object_attributes.filter(name="price"))
    >>> found.height == items.select("event_id", "object_id").n_unique()
    True
    """
    steps = event_objects.select("object_id", "time", "sequence", "event_id").unique()
    steps = steps.sort("object_id", "time", "sequence", "event_id")
    last = (pl.struct("object_id", "time") != pl.struct("object_id", "time").shift(-1)).fill_null(True)
    # An event that another of its object follows at the same time sees only what was known a microsecond before.
    asked = steps.select(
        "event_id",
        "object_id",
        known=pl.when(last).then("time").otherwise(pl.col("time") - pl.duration(microseconds=1)),
    ).sort("known")
    history = values.sort("time", "ordinal", nulls_last=False)
    initial = history.filter("initial").select("object_id", pl.col("value").alias("first"))
    initial = initial.unique("object_id", keep="last", maintain_order=True)
    dated = history.filter(~pl.col("initial")).select("object_id", "time", "value", dated=pl.lit(True))
    found = asked.join_asof(
        dated, left_on="known", right_on="time", by="object_id", strategy="backward", check_sortedness=False
    ).join(initial, on="object_id", how="left")
    value = pl.when("dated").then("value").otherwise("first")
    return found.select("event_id", "object_id", value.alias("value")).sort("event_id", "object_id")
