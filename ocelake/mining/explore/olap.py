"""Drill-down and roll-up of object types, unfold and fold of activities.

A finer type is named after its parent and a value, as pm4py names it: ``(orders, paid)``, ``(ship, orders)``. Roll-up
and fold go by these names, so that they need nothing but the log.

References
----------
Khayatbashi, Miri, Jalali: Advancing Object-Centric Process Mining with Multi-Dimensional Data Operations (CAiSE Forum
2025).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal, TypeAlias

import polars as pl

from ocelake.errors import OcelakeError
from ocelake.mining.explore.as_of import values_as_of_events, values_at
from ocelake.mining.explore.names import check_attribute, check_names
from ocelake.ocel.model import Ocel
from ocelake.tables import TABLES

__all__ = ["drill_down", "fold", "roll_up", "unfold"]

_Level: TypeAlias = Literal["activity", "object_type"]

_TABLES: Final[dict[_Level, tuple[str, str, str]]] = {
    "activity": ("events", "event_types", "event_type_attributes"),
    "object_type": ("objects", "object_types", "object_type_attributes"),
}
"""What has a name, where the name is declared, and where its attributes are."""

_SEVERAL: Final = " & "
"""Between the values of several objects of one event."""


def drill_down(ocel: Ocel, object_type: str, attribute: str, *, at: datetime | None = None) -> Ocel:
    """Split an object type by the values of an attribute: ``orders`` into ``(orders, paid)``, ``(orders, sent)``....

    Parameters
    ----------
    ocel : Ocel
    object_type, attribute : str
        Objects without a value keep their type.
    at : datetime, optional
        With a time zone: the values as of this instant. Default: each object's last value. An object has one type for
        its whole life; where the value at each event matters, use `unfold`.

    Returns
    -------
    Ocel
        Each finer type declares the attributes of its parent; the parent stays declared where an object keeps it.

    Raises
    ------
    OcelakeError
        Where the log does not declare the type or the attribute, or has a type with the name of a finer one.

    See Also
    --------
    roll_up : the inverse.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> finer = drill_down(generate(1_000, seed=1), "employees", "role")
    >>> finer.object_types["object_type"].to_list()[:2]
    ['(employees, sales)', '(employees, shipping)']
    """
    check_names(ocel, "object_type", [object_type])
    check_attribute(ocel, "object_type", attribute, of=object_type)
    parents = ocel.objects.filter(object_type=object_type).select("object_id")
    values = values_at(ocel.object_attributes.filter(name=attribute).join(parents, on="object_id", how="semi"), at)
    named = values.drop_nulls("value").select("object_id", new=_finer(object_type, pl.col("value")))
    return _split(ocel, "object_type", object_type, named)


def roll_up(ocel: Ocel, object_type: str) -> Ocel:
    """Merge the types that `drill_down` made of an object type: the inverse.

    Parameters
    ----------
    ocel : Ocel
    object_type : str
        The parent. Every type named ``(parent, ...)`` becomes the parent, which declares all their attributes.

    Raises
    ------
    OcelakeError
        Where the log has neither the type nor a finer one.

    Examples
    --------
    >>> from ocelake.ocel.equal import log_differences
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(1_000, seed=1)
    >>> log_differences(log, roll_up(drill_down(log, "employees", "role"), "employees"))
    []
    """
    return _merge(ocel, "object_type", object_type, _finer_names(ocel, "object_type", object_type))


def unfold(
    ocel: Ocel,
    activity: str,
    object_type: str,
    attribute: str | None = None,
    *,
    qualifiers: Collection[str] | None = None,
) -> Ocel:
    """Split an activity by whether its events have an object of a type, or by that object's value as of the event.

    Without an attribute, ``ship`` becomes ``(ship, orders)`` where the event has an order. With one, it becomes
    ``(ship, (orders, paid))`` by the order's value as of the event, as if the order were drilled down for this event
    alone; where several orders have several values, all of them stand in the name, sorted: ``(ship, (orders, open &
    paid))``.

    Parameters
    ----------
    ocel : Ocel
    activity, object_type : str
        Events without such an object keep their activity.
    attribute : str, optional
        Of the object type. Events of which no object has a value keep their activity.
    qualifiers : collection of str, optional
        Only relations with one of them count. Default: all.

    Returns
    -------
    Ocel
        Each finer activity declares the attributes of its parent; the parent stays declared where an event keeps it.

    Raises
    ------
    OcelakeError
        Where the log does not declare a name, or has an activity with the name of a finer one.

    See Also
    --------
    fold : the inverse.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> finer = unfold(generate(1_000, seed=1), "create package", "orders", "status")
    >>> [name for name in finer.event_types["activity"] if name.startswith("(")]
    ['(create package, (orders, confirmed))', '(create package, (orders, paid))']
    """
    check_names(ocel, "activity", [activity])
    check_names(ocel, "object_type", [object_type])
    of_type = ocel.event_objects.filter(object_type=object_type)
    related = of_type.filter(activity=activity)
    if qualifiers is not None:
        related = related.filter(pl.col("qualifier").is_in(list(qualifiers)))
    if attribute is None:
        named = related.select("event_id", new=pl.lit(f"({activity}, {object_type})")).unique()
    else:
        check_attribute(ocel, "object_type", attribute, of=object_type)
        concerned = of_type.join(related, on="object_id", how="semi")
        values = values_as_of_events(concerned, ocel.object_attributes.filter(name=attribute))
        values = values.join(related, on=["event_id", "object_id"], how="semi").drop_nulls("value")
        several = pl.col("value").unique().sort().str.join(_SEVERAL)
        named = values.group_by("event_id").agg(several).select("event_id", new=pl.col("value"))
        named = named.with_columns(new=_finer(activity, _finer(object_type, pl.col("new"))))
    return _split(ocel, "activity", activity, named)


def fold(ocel: Ocel, activity: str, object_type: str | None = None) -> Ocel:
    """Merge the activities that `unfold` made of an activity: the inverse.

    Parameters
    ----------
    ocel : Ocel
    activity : str
        The parent. The activities become the parent, which declares all their attributes.
    object_type : str, optional
        Only the activities that were made by this type: ``(parent, type)`` and ``(parent, (type, ...))``. Default: all
        that are named ``(parent, ...)``.

    Raises
    ------
    OcelakeError
        Where the log has neither the activity nor a finer one.

    Examples
    --------
    >>> from ocelake.ocel.equal import log_differences
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(1_000, seed=1)
    >>> log_differences(log, fold(unfold(log, "create package", "orders", "status"), "create package"))
    []
    """
    finer = _finer_names(ocel, "activity", activity)
    if object_type is not None:
        by_value = finer.str.starts_with(f"({activity}, ({object_type}, ") & finer.str.ends_with("))")
        finer = finer.filter(by_value | (finer == f"({activity}, {object_type})"))
    return _merge(ocel, "activity", activity, finer)


def _finer(parent: str, value: pl.Expr) -> pl.Expr:
    return pl.lit(f"({parent}, ") + value + ")"


def _finer_names(ocel: Ocel, column: _Level, parent: str) -> pl.Series:
    """Give the declared names that are made of a parent; where there are none, the parent has to be declared."""
    names: pl.Series = getattr(ocel, _TABLES[column][1])[column]
    finer = names.filter(names.str.starts_with(f"({parent}, ") & names.str.ends_with(")"))
    if finer.is_empty():
        check_names(ocel, column, [parent])
    return finer


def _split(ocel: Ocel, column: _Level, parent: str, named: pl.DataFrame) -> Ocel:
    """Give members of the parent the names of the second column of ``named``, by the id in the first."""
    members, types, _ = (getattr(ocel, table) for table in _TABLES[column])
    names = named["new"].unique().sort()
    if taken := sorted(set(names).intersection(types[column])):
        raise OcelakeError(
            f"The log has the {column.replace('_', ' ')} {taken[0]!r} already.",
            fix="Rename it, or merge it into its parent first (`roll_up`, `fold`).",
        )
    if members.filter(pl.col(column) == parent).height > named.height or names.is_empty():
        names = pl.concat([names, pl.Series([parent])])
    return _rename(ocel, column, named, pl.DataFrame({"new": names, column: pl.repeat(parent, len(names), eager=True)}))


def _merge(ocel: Ocel, column: _Level, parent: str, finer: pl.Series) -> Ocel:
    """Give all members of the finer names that of the parent."""
    changes = pl.DataFrame({"new": pl.repeat(parent, len(finer), dtype=pl.String, eager=True), column: finer})
    members: pl.DataFrame = getattr(ocel, _TABLES[column][0])
    return _rename(ocel, column, members.join(changes, on=column).select(members.columns[0], "new"), changes)


def _rename(ocel: Ocel, column: _Level, named: pl.DataFrame, changes: pl.DataFrame) -> Ocel:
    """Rename members, in every table, and what is declared.

    Parameters
    ----------
    named : DataFrame
        The id of an event or object, and its new name.
    changes : DataFrame
        Each name that changes, with each of its new names (itself where it stays).
    """
    owner, declared, attributes = _TABLES[column]
    types: pl.DataFrame = getattr(ocel, declared)
    whole = pl.concat([types.join(changes, on=column, how="anti").select(pl.col(column).alias("new"), column), changes])
    described = getattr(ocel, attributes).join(whole, on=column).with_columns(own=pl.col("new") == pl.col(column))
    # Where names with one attribute in two types merge, the parent's own type goes first.
    described = described.sort("own", column, descending=[True, False]).with_columns(pl.col("new").alias(column))
    renamed = {
        owner: _renamed(f"ocel.{owner}", getattr(ocel, owner), named, column),
        "event_objects": _renamed("ocel.event_objects", ocel.event_objects, named, column),
        declared: whole.select(pl.col("new").alias(column)).unique().sort(column),
        attributes: described.unique([column, "name"], keep="first", maintain_order=True)
        .select(column, "name", "value_type")
        .sort(column, "name"),
    }
    return replace(ocel, **renamed)


def _renamed(identifier: str, frame: pl.DataFrame, named: pl.DataFrame, column: str) -> pl.DataFrame:
    """Replace a name where an id has a new one; sort again only where the table's order goes by the name."""
    renamed = frame.join(named, on=named.columns[0], how="left", maintain_order="left")
    renamed = renamed.with_columns(pl.coalesce("new", column).alias(column)).drop("new")
    sort = TABLES[identifier].sort
    return renamed.sort(sort) if column in sort else renamed
