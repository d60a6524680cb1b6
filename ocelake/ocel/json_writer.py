"""Writing a log as OCEL 2.0 JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import orjson
import polars as pl

from ocelake.ocel.layout import INITIAL, Markup, appearing, event_values, object_values, put, put_records
from ocelake.ocel.model import Ocel
from ocelake.ocel.times import format_times

__all__ = ["message_markup", "write_json"]

_NATIVE: Final = ("integer", "float", "boolean")
_MARKED: Final = ("list", "map")
_ESCAPES: Final = {
    **{chr(code): f"\\u{code:04x}" for code in range(32)},
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}


def write_json(ocel: Ocel, path: Path) -> None:
    """Write a log as OCEL 2.0 JSON, as ocel-standard.org lays it out.

    Integers, floats and booleans are native literals, strings and times are strings. Lists and maps are JSON text, and
    carry their type as an extra member, ``type``, as does a time that is not declared as one: peers refuse a file with
    other than scalar values. So the format holds every log. Events are in the order of the log, from which ties can be
    read again (``ties="position"``).

    Parameters
    ----------
    ocel : Ocel
        The log.
    path : Path
        The file; an existing one is replaced when the new one is complete.

    Raises
    ------
    ExportRefused
        Where the file cannot be written.
    """
    with appearing(path) as part, part.open("wb") as stream:
        put(stream, '{\n"eventTypes":' + _types(ocel.event_types, ocel.event_type_attributes, "activity"))
        put(stream, ',\n"objectTypes":' + _types(ocel.object_types, ocel.object_type_attributes, "object_type"))
        put(stream, ',\n"events":[')
        events = ocel.events.select("event_id", type="activity", time="time")
        put_records(stream, _markup(events, "object_id"), events, event_values(ocel), ocel.event_objects)
        put(stream, '\n],\n"objects":[')
        objects = ocel.objects.select("object_id", type="object_type")
        links = ocel.object_objects.rename({"source_id": "object_id"})
        put_records(stream, _markup(objects, "target_id"), objects, object_values(ocel), links)
        put(stream, "\n]\n}\n")


def message_markup(kind: Literal["event", "object"]) -> Markup:
    """Say how an event or object is written that stands alone.

    Parameters
    ----------
    kind : {"event", "object"}
        Its columns are ``id`` and ``type``, an event's also ``time`` and ``sequence``; those of its values and
        relations are as in their tables. Nothing is declared where it is read: a value tells its type by itself.
    """
    timed = kind == "event"
    sequence = pl.when(pl.col("sequence") != 0).then(pl.concat_str(pl.lit('"sequence":'), "sequence", pl.lit(",")))
    opening = pl.concat_str(pl.lit("{"), sequence.otherwise(pl.lit(""))) if timed else pl.lit("{")
    target = "object_id" if timed else "target_id"
    return Markup(
        pl.concat_str(opening, _head("id", timed)),
        _value(not timed, declared=pl.lit("string")),
        '],"relationships":[',
        _relation(target),
        "]}",
    )


def _types(types: pl.DataFrame, attributes: pl.DataFrame, by: str) -> str:
    content = {name: {"name": name, "attributes": list[dict[str, str]]()} for name in types[by]}
    for name, attribute, value_type in attributes.select(by, "name", "value_type").iter_rows():
        content[name]["attributes"].append({"name": attribute, "type": value_type})
    return orjson.dumps(list(content.values())).decode()


def _markup(heads: pl.DataFrame, target: str) -> Markup:
    """Events have their time in the head, objects in their values."""
    timed = "time" in heads.columns
    opening = pl.when(pl.col("record") == 0).then(pl.lit("\n{")).otherwise(pl.lit(",\n{"))
    head = pl.concat_str(opening, _head(heads.columns[0], timed))
    return Markup(head, _value(not timed, declared=pl.col("declared")), '],"relationships":[', _relation(target), "]}")


def _quoted(column: str) -> pl.Expr:
    text = pl.col(column).str.replace_many(_ESCAPES)
    return pl.concat_str(pl.lit('"'), text, pl.lit('"'))


def _comma() -> pl.Expr:
    return pl.when("starts").then(pl.lit("")).otherwise(pl.lit(","))


def _head(identifier: str, timed: bool) -> pl.Expr:
    parts = [
        pl.lit('"id":'),
        _quoted(identifier),
        pl.lit(',"type":'),
        _quoted("type"),
    ]
    if timed:
        parts += [pl.lit(',"time":"'), format_times(pl.col("time")), pl.lit('"')]
    return pl.concat_str(*parts, pl.lit(',"attributes":['))


def _value(timed: bool, declared: pl.Expr) -> pl.Expr:
    native = pl.col("value_type").is_in(_NATIVE)
    parts = [_comma(), pl.lit('{"name":'), _quoted("name")]
    if timed:
        time = pl.when("initial").then(pl.lit(INITIAL)).otherwise(format_times(pl.col("time")))
        parts += [pl.lit(',"time":"'), time, pl.lit('"')]
    literal = pl.when(native).then("value").otherwise(_quoted("value")).fill_null("null")
    undeclared_time = (pl.col("value_type") == "time") & (declared != "time")
    marked = pl.col("value_type").is_in(_MARKED) | undeclared_time
    marker = pl.when(marked).then(pl.concat_str(pl.lit(',"type":"'), pl.col("value_type"), pl.lit('"')))
    return pl.concat_str(*parts, pl.lit(',"value":'), literal, marker.otherwise(pl.lit("")), pl.lit("}"))


def _relation(target: str) -> pl.Expr:
    return pl.concat_str(
        _comma(),
        pl.lit('{"objectId":'),
        _quoted(target),
        pl.lit(',"qualifier":'),
        _quoted("qualifier"),
        pl.lit("}"),
    )
