"""Writing a log as OCEL 2.0 XML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from ocelake.ocel.layout import (
    INITIAL,
    Markup,
    appearing,
    event_values,
    object_values,
    put,
    put_records,
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
        objects = ocel.objects.select("object_id", type="object_type")
        links = ocel.object_objects.rename({"source_id": "object_id"})
        put_records(stream, _markup("object", objects, "target_id"), objects, object_values(ocel), links)
        put(stream, "</objects>\n<events>\n")
        events = ocel.events.select("event_id", type="activity", time="time")
        put_records(stream, _markup("event", events, "object_id"), events, event_values(ocel), ocel.event_objects)
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


def _markup(kind: str, heads: pl.DataFrame, target: str) -> Markup:
    """Events have their time in the head, objects in their values."""
    timed = "time" in heads.columns
    head = _head(kind, heads.columns[0], timed)
    return Markup(head, _value(not timed), "</attributes><objects>", _relation(target), f"</objects></{kind}>\n")


def _head(kind: str, identifier: str, timed: bool) -> pl.Expr:
    parts = [pl.lit(f'<{kind} id="'), _escaped(identifier), pl.lit('" type="'), _escaped("type")]
    if timed:
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
