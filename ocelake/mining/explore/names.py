"""Refusing names that a log does not declare: a mistyped name would give an empty log without a word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ocelake.errors import NotFound
from ocelake.ocel.model import Ocel

__all__ = ["check_attribute", "check_names"]


def check_names(ocel: Ocel, column: Literal["activity", "object_type"], names: Iterable[str]) -> list[str]:
    """Give distinct names sorted, or refuse those that the log does not declare.

    Parameters
    ----------
    ocel : Ocel
    column : {"activity", "object_type"}
    names : iterable of str

    Raises
    ------
    NotFound
        Where the log does not declare a name.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> check_names(generate(100, seed=1), "object_type", ["orders", "items"])
    ['items', 'orders']
    """
    declared = (ocel.event_types if column == "activity" else ocel.object_types)[column]
    wanted = set(names)
    if missing := sorted(wanted.difference(declared)):
        raise NotFound(
            f"The log has no {column.replace('_', ' ')} {', '.join(map(repr, missing))}.",
            fix=f"It has: {', '.join(declared) or 'none'}.",
        )
    return sorted(wanted)


def check_attribute(ocel: Ocel, column: Literal["activity", "object_type"], name: str, of: str | None = None) -> None:
    """Refuse the name of an attribute that no event type (or object type) declares.

    Parameters
    ----------
    ocel : Ocel
    column : {"activity", "object_type"}
        Whether the attribute is one of events or of objects.
    name : str
    of : str, optional
        The one type that has to declare it.

    Raises
    ------
    NotFound
        Where it is not declared.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> check_attribute(generate(100, seed=1), "object_type", "price", of="items")
    """
    declared = ocel.event_type_attributes if column == "activity" else ocel.object_type_attributes
    if of is not None:
        declared = declared.filter(declared[column] == of)
    if name not in declared["name"]:
        whose = column.replace("_", " ") if of is None else f"{column.replace('_', ' ')} {of!r}"
        names = ", ".join(declared["name"].unique().sort())
        raise NotFound(f"No attribute {name!r} is declared for the {whose}.", fix=f"There are: {names or 'none'}.")
