"""The canonical form of attribute values: equal values have equal text, whatever the source's format.

Pure functions on columns. Here is how one value is read in its declared type; which declaration holds, and what is
quarantined, is `ocelake.ocel.conform`'s matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import polars as pl

from ocelake.ocel.times import format_times, parse_times
from ocelake.tables import TIMESTAMP, VALUE_TYPES

__all__ = ["KIND", "common_type", "type_values"]

KIND: Final = pl.Enum(VALUE_TYPES)
"""The value types, as a column's type."""

_INTEGER: Final = r"^[+-]?[0-9]+$"
_FLOAT: Final = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_NESTED: Final = ("list", "map")


def type_values(values: pl.DataFrame, zone: str = "UTC") -> pl.DataFrame:
    """Give each value its effective type and its canonical text.

    Parameters
    ----------
    values : DataFrame
        ``value``, the source's text; ``native``, the source's own type of it or null; ``declared``, the type that the
        log declares or null; both one of `VALUE_TYPES`.
    zone : str
        The zone of times that have none.

    Returns
    -------
    DataFrame
        As long as `values`: ``value``, ``value_type`` (`KIND`), ``value_float``, ``value_time``.

    Notes
    -----
    A list or map stays one. Else the declared type holds if the text can be read in it, else the native type if it
    can, else the value is the string that it is. Canonical are: integers without leading zeros, within 64 bits;
    finite floats as the shortest text that reads back as the same number; ``true`` and ``false``; UTC times, the
    fraction only where it is not zero; compact JSON. Canonical text is a fixed point: typing it again changes nothing.
    """
    written = values.select(pl.col("value").cast(pl.String), pl.col("native").cast(KIND), pl.col("declared").cast(KIND))
    first = pl.when(pl.col("native").is_in(_NESTED)).then("native").otherwise(pl.coalesce("declared", "native"))
    wanted = written.select(first.fill_null("string").alias("kind"))["kind"]
    typed = _read(written["value"], wanted, zone)
    failed = (typed["value"].is_null() & written["value"].is_not_null()).arg_true()
    for fallback in ("declared", "native", None):
        if failed.is_empty():
            break
        kind = (
            written[fallback].gather(failed) if fallback else pl.repeat("string", len(failed), dtype=KIND, eager=True)
        )
        again = _read(written["value"].gather(failed), kind, zone)
        read = again["value"].is_not_null()
        rows = failed.filter(read)
        typed = typed.with_columns(typed[name].scatter(rows, again[name].filter(read)) for name in typed.columns)
        failed = failed.filter(~read)
    return typed


def common_type(types: Iterable[str]) -> str:
    """Give the narrowest type that all values of these types fit: integers are floats, and all else is text.

    Examples
    --------
    >>> common_type(["integer", "float"]), common_type(["time"]), common_type(["boolean", "integer"])
    ('float', 'time', 'string')
    """
    distinct = set(types)
    if len(distinct) == 1:
        return distinct.pop()
    return "float" if distinct == {"integer", "float"} else "string"


def _read(value: pl.Series, kind: pl.Series, zone: str) -> pl.DataFrame:
    """Read each value as one of its kind; where it is none, ``value`` is null."""
    frame = pl.DataFrame({"text": value, "kind": kind})
    trimmed = pl.col("text").str.strip_chars()
    canonical: list[pl.Expr] = [pl.when(pl.col("kind") == "string").then("text")]
    number: list[pl.Expr] = []
    present = set(kind.unique().drop_nulls())
    if "integer" in present:
        integer = pl.when((pl.col("kind") == "integer") & trimmed.str.contains(_INTEGER)).then(trimmed)
        frame = frame.with_columns(integer=integer.cast(pl.Int64, strict=False))
        canonical.append(pl.col("integer").cast(pl.String))
        number.append(pl.col("integer").cast(pl.Float64))
    if "float" in present:
        decimal = pl.when((pl.col("kind") == "float") & trimmed.str.contains(_FLOAT)).then(trimmed)
        frame = frame.with_columns(float=decimal.cast(pl.Float64, strict=False))
        frame = frame.with_columns(float=pl.when(pl.col("float").is_finite()).then("float"))
        canonical.append(pl.col("float").cast(pl.String))
        number.append(pl.col("float"))
    if "boolean" in present:
        word = pl.when(pl.col("kind") == "boolean").then(trimmed.str.to_lowercase())
        frame = frame.with_columns(boolean=word.replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean))
        canonical.append(pl.col("boolean").cast(pl.String))
        number.append(pl.col("boolean").cast(pl.Float64))
    if "time" in present:
        rows = (kind == "time").arg_true()
        times = parse_times(value.gather(rows), zone)["time"]
        column = pl.Series("time", [None], dtype=TIMESTAMP).new_from_index(0, len(value)).scatter(rows, times)
        frame = frame.with_columns(time=column)
        canonical.append(format_times(pl.col("time")))
    for name in _NESTED:
        if name in present:
            compact = {text: _compact(text, name) for text in frame.filter(kind=name)["text"].unique().drop_nulls()}
            nested = pl.when(pl.col("kind") == name).then("text")
            frame = frame.with_columns(nested.replace_strict(compact, default=None, return_dtype=pl.String).alias(name))
            canonical.append(pl.col(name))
    return frame.select(
        value=pl.coalesce(canonical),
        value_type="kind",
        value_float=pl.coalesce(number) if number else pl.lit(None, dtype=pl.Float64),
        value_time=pl.col("time") if "time" in present else pl.lit(None, dtype=TIMESTAMP),
    )


def _compact(text: str, kind: str) -> str | None:
    """Write a JSON list or map without spacing and needless escapes; null where the text is none of that kind.

    Text that would not survive, such as a map with a name twice or a number beyond all bounds, stays as it is written.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique_names, parse_constant=_no_number)
    except (json.JSONDecodeError, RecursionError):
        return None
    except ValueError:
        return text
    if not isinstance(content, list if kind == "list" else dict):
        return None
    try:
        compact = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        compact.encode()
    except ValueError:  # a number beyond all bounds, or half of a surrogate pair
        return text
    return compact


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name occurs twice")
    return content


def _no_number(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is no JSON", name, 0)
