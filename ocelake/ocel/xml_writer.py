"""Writing a log as OCEL 2.0 XML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

import polars as pl

from ocelake.ocel.layout import (
    INITIAL,
    Grouped,
    appearing,
    chunks,
    event_values,
    joined,
    object_values,
    put,
    refuse_text,
)
from ocelake.ocel.model import Ocel
from ocelake.ocel.times import format_times

__all__ = ["write_xml"]

_ILLEGAL: Final = [*(chr(code) for code in range(32) if chr(code) not in "\t\n\r"), "\ufffe", "\uffff"]
"""What XML 1.0 cannot hold, not even escaped."""

# A parser reads a bare carriage return as a line feed, and any white space in an attribute as a space.
_TEXT: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_ATTRIBUTE: Final = {**_TEXT, '"': "&quot;", "\t": "&#9;", "\n": "&#10;"}


def write_xml(ocel: Ocel, path: Path) -> None:
    """Write a log as OCEL 2.0 XML, as ocel-standard.org lays it out.

    A value whose type is not the declared one carries it as an extra attribute, ``type``, which other readers ignore.
    Events are in the order of the log, from which ties can be read again (``ties="position"``).

    Parameters
    ----------
    ocel : Ocel
        The log.
    path : Path
        The file; an existing one is replaced when the new one is complete.

    Raises
    ------
    ExportRefused
        Where an id, name or value holds a character that XML 1.0 cannot, or the file cannot be written.
    """
    refuse_text(ocel, _ILLEGAL, "XML cannot hold control characters")
    with appearing(path) as part, part.open("wb") as stream:
        put(stream, '<?xml version="1.0" encoding="UTF-8"?>\n<log>\n')
        put(stream, _types("object", ocel.object_types, ocel.object_type_attributes, "object_type"))
        put(stream, _types("event", ocel.event_types, ocel.event_type_attributes, "activity"))
        put(stream, "<objects>\n")
        heads = ocel.objects.select("object_id", type="object_type")
        _put_records(stream, "object", heads, object_values(ocel), ocel.object_objects, "source_id", "target_id")
        put(stream, "</objects>\n<events>\n")
        heads = ocel.events.select("event_id", type="activity", time="time")
        _put_records(stream, "event", heads, event_values(ocel), ocel.event_objects, "event_id", "object_id")
        put(stream, "</events>\n</log>\n")


def _types(kind: str, types: pl.DataFrame, attributes: pl.DataFrame, by: str) -> str:
    declared: dict[str, list[str]] = {name: [] for name in types[by]}
    for name, attribute, value_type in attributes.select(by, "name", "value_type").iter_rows():
        declared[name].append(f'<attribute name="{_escape(attribute)}" type="{value_type}"/>')
    lines = [f"<{kind}-types>"]
    lines += [
        f'<{kind}-type name="{_escape(name)}"><attributes>{"".join(each)}</attributes></{kind}-type>'
        for name, each in declared.items()
    ]
    return "\n".join([*lines, f"</{kind}-types>\n"])


def _put_records(
    stream: IO[bytes],
    kind: str,
    heads: pl.DataFrame,
    values: pl.DataFrame,
    relations: pl.DataFrame,
    source: str,
    target: str,
) -> None:
    ids = heads.to_series(0)
    values_of = Grouped.under(ids, values, heads.columns[0])
    relations_of = Grouped.under(ids, relations.select(source, target, "qualifier"), source)
    for first, end in chunks(len(ids)):
        head = heads[first:end].with_columns(record=pl.int_range(first, end, dtype=pl.UInt32))
        value = values_of.within(first, end)
        relation = relations_of.within(first, end)
        text = joined(
            (head["record"], head.select(_head(kind, head.columns)).to_series()),
            (value["record"], value.select(_value("time" in value.columns)).to_series()),
            (head["record"], pl.repeat("</attributes><objects>", head.height, eager=True)),
            (relation["record"], relation.select(_relation(target)).to_series()),
            (head["record"], pl.repeat(f"</objects></{kind}>\n", head.height, eager=True)),
        )
        put(stream, text)


def _head(kind: str, columns: list[str]) -> pl.Expr:
    parts = [pl.lit(f'<{kind} id="'), _escaped(columns[0]), pl.lit('" type="'), _escaped("type")]
    if "time" in columns:
        parts += [pl.lit('" time="'), format_times(pl.col("time"))]
    return pl.concat_str(*parts, pl.lit('"><attributes>'))


def _value(timed: bool) -> pl.Expr:
    parts = [pl.lit('<attribute name="'), _escaped("name")]
    if timed:
        time = pl.when("initial").then(pl.lit(INITIAL)).otherwise(format_times(pl.col("time")))
        parts += [pl.lit('" time="'), time]
    marker = pl.concat_str(pl.lit('" type="'), pl.col("value_type"))
    parts += [pl.when(pl.col("value_type") != pl.col("declared")).then(marker).otherwise(pl.lit(""))]
    return pl.concat_str(*parts, pl.lit('">'), _escaped("value", _TEXT), pl.lit("</attribute>"))


def _relation(target: str) -> pl.Expr:
    return pl.concat_str(
        pl.lit('<relationship object-id="'),
        _escaped(target),
        pl.lit('" qualifier="'),
        _escaped("qualifier"),
        pl.lit('"/>'),
    )


def _escaped(column: str, escapes: Mapping[str, str] = _ATTRIBUTE) -> pl.Expr:
    return pl.col(column).str.replace_many(dict(escapes))


def _escape(text: str) -> str:
    return "".join(_ATTRIBUTE.get(character, character) for character in text)
