"""Filters: the part of a log that has some types, activities, times, attribute values or ids.

Each filter restricts to what it names and leaves the rest to `induced_log`: what loses all its relations goes (or
stays, with ``orphans="keep"``), O2O relations stay where both ends do, attribute values with what they describe. So
filters by type, activity, time and id can be applied in any order, and twice is once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.explore.as_of import values_at
from ocelake.mining.explore.induced import Orphans, induced_log
from ocelake.mining.explore.names import check_attribute, check_names
from ocelake.ocel.model import Ocel

__all__ = [
    "filter_activities",
    "filter_event_attribute",
    "filter_events",
    "filter_object_attribute",
    "filter_object_types",
    "filter_objects",
    "filter_time",
    "filter_type_activities",
]


def filter_object_types(ocel: Ocel, object_types: Collection[str], *, orphans: Orphans = "drop") -> Ocel:
    """Keep the objects of some types; only these stay declared.

    Parameters
    ----------
    ocel : Ocel
    object_types : collection of str
    orphans : {"drop", "keep"}
        As for `induced_log`.

    Raises
    ------
    OcelakeError
        Where the log declares no such type.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> part = filter_object_types(generate(100, seed=1), ["orders", "items"])
    >>> part.object_types["object_type"].to_list()
    ['items', 'orders']
    """
    wanted = pl.col("object_type").is_in(check_names(ocel, "object_type", object_types))
    part = induced_log(ocel, objects=ocel.objects.filter(wanted), orphans=orphans)
    return replace(
        part,
        object_types=part.object_types.filter(wanted),
        object_type_attributes=part.object_type_attributes.filter(wanted),
    )


def filter_activities(ocel: Ocel, activities: Collection[str], *, orphans: Orphans = "drop") -> Ocel:
    """Keep the events of some activities; only these stay declared.

    Parameters
    ----------
    ocel : Ocel
    activities : collection of str
    orphans : {"drop", "keep"}
        As for `induced_log`.

    Raises
    ------
    OcelakeError
        Where the log declares no such activity.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> part = filter_activities(generate(100, seed=1), ["pay order"])
    >>> part.events["activity"].unique().to_list()
    ['pay order']
    """
    wanted = pl.col("activity").is_in(check_names(ocel, "activity", activities))
    part = induced_log(ocel, events=ocel.events.filter(wanted), orphans=orphans)
    return replace(
        part,
        event_types=part.event_types.filter(wanted),
        event_type_attributes=part.event_type_attributes.filter(wanted),
    )


def filter_type_activities(ocel: Ocel, activities: Mapping[str, Collection[str]], *, orphans: Orphans = "drop") -> Ocel:
    """Keep for each object type the relations to events of the activities named with it.

    Parameters
    ----------
    ocel : Ocel
    activities : mapping of str to collection of str
        Object type to activities. Types that are not named keep no object; with an activity that is named for one type
        only, its events keep no objects of the others.
    orphans : {"drop", "keep"}
        As for `induced_log`.

    Raises
    ------
    OcelakeError
        Where the log declares no such type or activity.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> part = filter_type_activities(generate(100, seed=1), {"orders": ["place order", "pay order"]})
    >>> part.event_objects.select("object_type", "activity").unique().sort("activity").rows()
    [('orders', 'pay order'), ('orders', 'place order')]
    """
    check_names(ocel, "activity", {name for names in activities.values() for name in names})
    pairs = pl.DataFrame(
        [(object_type, activity) for object_type, names in activities.items() for activity in names],
        schema={"object_type": pl.String, "activity": pl.String},
        orient="row",
    )
    related = ocel.event_objects.join(pairs, on=["object_type", "activity"], how="semi")
    return filter_object_types(induced_log(ocel, event_objects=related, orphans=orphans), activities, orphans=orphans)


def filter_time(
    ocel: Ocel, start: datetime | None = None, end: datetime | None = None, *, orphans: Orphans = "drop"
) -> Ocel:
    """Keep the events from one instant on and before another.

    Attribute values are kept whole: those from before ``start`` may hold during the events.

    Parameters
    ----------
    ocel : Ocel
    start, end : datetime, optional
        With a time zone: the first instant to keep, and the first not to keep. Default: no bound.
    orphans : {"drop", "keep"}
        As for `induced_log`.

    Raises
    ------
    OcelakeError
        Where an instant has no time zone.

    Examples
    --------
    >>> from datetime import UTC
    >>> from ocelake.ocel.generate import generate
    >>> part = filter_time(generate(100, seed=1), end=datetime(2023, 2, 1, tzinfo=UTC))
    >>> part.events["time"].max() < datetime(2023, 2, 1, tzinfo=UTC)
    True
    """
    wanted = pl.lit(True)
    if start is not None:
        wanted &= pl.col("time") >= _zoned(start)
    if end is not None:
        wanted &= pl.col("time") < _zoned(end)
    return induced_log(ocel, events=ocel.events.filter(wanted), orphans=orphans)


def filter_events(ocel: Ocel, event_ids: Iterable[str], *, orphans: Orphans = "drop") -> Ocel:
    """Keep some events, by id; ids that the log does not have are passed over.

    Parameters
    ----------
    ocel : Ocel
    event_ids : iterable of str
    orphans : {"drop", "keep"}
        As for `induced_log`.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> filter_events(generate(100, seed=1), ["e0007"]).events.height
    1
    """
    return induced_log(ocel, events=_ids("event_id", event_ids), orphans=orphans)


def filter_objects(ocel: Ocel, object_ids: Iterable[str], *, orphans: Orphans = "drop") -> Ocel:
    """Keep some objects, by id; ids that the log does not have are passed over.

    Parameters
    ----------
    ocel : Ocel
    object_ids : iterable of str
    orphans : {"drop", "keep"}
        As for `induced_log`.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> filter_objects(generate(100, seed=1), ["order-0001"]).objects.height
    1
    """
    return induced_log(ocel, objects=_ids("object_id", object_ids), orphans=orphans)


def filter_event_attribute(ocel: Ocel, name: str, condition: pl.Expr, *, orphans: Orphans = "drop") -> Ocel:
    """Keep the events with a value of an attribute that meets a condition.

    Parameters
    ----------
    ocel : Ocel
    name : str
        The attribute. An event that does not have it meets no condition.
    condition : Expr
        Over the columns value (text), value_type, value_float, value_time.
    orphans : {"drop", "keep"}
        As for `induced_log`.

    Raises
    ------
    OcelakeError
        Where no event type has such an attribute.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> part = filter_event_attribute(generate(100, seed=1), "channel", pl.col("value") == "web")
    >>> part.events["activity"].unique().to_list()
    ['place order']
    """
    check_attribute(ocel, "activity", name)
    return induced_log(ocel, events=ocel.event_attributes.filter(pl.col("name") == name, condition), orphans=orphans)


def filter_object_attribute(
    ocel: Ocel, name: str, condition: pl.Expr, *, at: datetime | None = None, orphans: Orphans = "drop"
) -> Ocel:
    """Keep the objects with a value of an attribute that meets a condition.

    Parameters
    ----------
    ocel : Ocel
    name : str
        The attribute. An object that does not have it meets no condition.
    condition : Expr
        Over the columns value (text), value_type, value_float, value_time.
    at : datetime, optional
        The value as of this instant has to meet it. Default: one of the values at any time.
    orphans : {"drop", "keep"}
        As for `induced_log`.

    Raises
    ------
    OcelakeError
        Where no object type has such an attribute, or the instant has no time zone.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> part = filter_object_attribute(generate(100, seed=1), "credit limit", pl.col("value_float") > 5000)
    >>> part.objects["object_type"].unique().to_list()
    ['customers']
    """
    check_attribute(ocel, "object_type", name)
    values = ocel.object_attributes.filter(pl.col("name") == name)
    if at is not None:
        values = values_at(values, _zoned(at))
    return induced_log(ocel, objects=values.filter(condition), orphans=orphans)


def _zoned(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise OcelakeError(f"The instant {instant} has no time zone.", fix="Give one, such as 2024-01-01T00:00:00Z.")
    return instant


def _ids(name: str, ids: Iterable[str]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(list(ids), dtype=pl.String)})
