"""Names of value types: what sources call them, and what `ocelake.tables.VALUE_TYPES` calls them."""

from __future__ import annotations

from typing import Final

from ocelake.tables import VALUE_TYPES

__all__ = ["value_type"]

_ALIASES: Final = {
    **{name: name for name in VALUE_TYPES},
    **dict.fromkeys(("date", "timestamp", "timestamptz", "datetime"), "time"),
    **dict.fromkeys(("int", "bigint", "smallint", "tinyint", "mediumint", "long", "short"), "integer"),
    **dict.fromkeys(("real", "double", "double precision", "number", "numeric", "decimal"), "float"),
    "bool": "boolean",
    "container": "map",
}


def value_type(name: object) -> str:
    """Give the value type that a source means by a type's name.

    Parameters
    ----------
    name : object
        As declared; case, surrounding space and a length (``VARCHAR(20)``, ``DECIMAL(10, 2)``) do not matter.

    Returns
    -------
    str
        One of `ocelake.tables.VALUE_TYPES`; ``"string"`` for an unknown or missing name.

    Examples
    --------
    >>> value_type("dateTime"), value_type("BIGINT"), value_type("DECIMAL(10, 2)"), value_type("colour")
    ('time', 'integer', 'float', 'string')
    """
    if not isinstance(name, str):
        return "string"
    return _ALIASES.get(name.partition("(")[0].strip().lower(), "string")
