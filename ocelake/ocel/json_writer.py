"""Writing a log as OCEL 2.0 JSON."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Final

import orjson
import polars as pl

from ocelake.ocel.layout import INITIAL, Grouped, appearing, chunks, event_values, joined, object_values, put
from ocelake.ocel.model import Ocel
from ocelake.ocel.times import format_times

__all__ = ["write_json"]

_NATIVE: Final = ("integer", "float", "boolean", "list", "map")
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

    Integers, floats, booleans, lists and maps are native literals, strings and times are strings; so the format holds
    every log. Events are in the order of the log, from which ties can be read again (``ties="position"``).

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
        heads = ocel.events.select("event_id", type="activity", time="time")
        _put_records(stream, heads, event_values(ocel), ocel.event_objects, "event_id", "object_id")
        put(stream, '],\n"objects":[')
        heads = ocel.objects.select("object_id", type="object_type")
        _put_records(stream, heads, object_values(ocel), ocel.object_objects, "source_id", "target_id")
        put(stream, "]\n}\n")


def _types(types: pl.DataFrame, attributes: pl.DataFrame, by: str) -> str:
    content = {name: {"name": name, "attributes": list[dict[str, str]]()} for name in types[by]}
    for name, attribute, value_type in attributes.select(by, "name", "value_type").iter_rows():
        content[name]["attributes"].append({"name": attribute, "type": value_type})
    return orjson.dumps(list(content.values())).decode()


def _put_records(
    stream: IO[bytes], heads: pl.DataFrame, values: pl.DataFrame, relations: pl.DataFrame, source: str, target: str
) -> None:
    ids = heads.to_series(0)
    values_of = Grouped.under(ids, values, heads.columns[0])
    relations_of = Grouped.under(ids, relations.select(source, target, "qualifier"), source)
    for first, end in chunks(len(ids)):
        head = heads[first:end].with_columns(record=pl.int_range(first, end, dtype=pl.UInt32))
        value = values_of.within(first, end)
        relation = relations_of.within(first, end)
        text = joined(
            (head["record"], head.select(_head(head.columns)).to_series()),
            (value["record"], value.select(_value("time" in value.columns)).to_series()),
            (head["record"], pl.repeat('],"relationships":[', head.height, eager=True)),
            (relation["record"], relation.select(_relation(target)).to_series()),
            (head["record"], pl.repeat("]}", head.height, eager=True)),
        )
        put(stream, text)
    put(stream, "\n")


def _quoted(column: str) -> pl.Expr:
    text = pl.col(column).str.replace_many(_ESCAPES)
    return pl.concat_str(pl.lit('"'), text, pl.lit('"'))


def _comma() -> pl.Expr:
    return pl.when("starts").then(pl.lit("")).otherwise(pl.lit(","))


def _head(columns: list[str]) -> pl.Expr:
    parts = [
        pl.when(pl.col("record") == 0).then(pl.lit('\n{"id":')).otherwise(pl.lit(',\n{"id":')),
        _quoted(columns[0]),
        pl.lit(',"type":'),
        _quoted("type"),
    ]
    if "time" in columns:
        parts += [pl.lit(',"time":"'), format_times(pl.col("time")), pl.lit('"')]
    return pl.concat_str(*parts, pl.lit(',"attributes":['))


def _value(timed: bool) -> pl.Expr:
    native = pl.col("value_type").is_in(_NATIVE)
    parts = [_comma(), pl.lit('{"name":'), _quoted("name")]
    if timed:
        time = pl.when("initial").then(pl.lit(INITIAL)).otherwise(format_times(pl.col("time")))
        parts += [pl.lit(',"time":"'), time, pl.lit('"')]
    literal = pl.when(native).then("value").otherwise(_quoted("value")).fill_null("null")
    return pl.concat_str(*parts, pl.lit(',"value":'), literal, pl.lit("}"))


def _relation(target: str) -> pl.Expr:
    return pl.concat_str(
        _comma(),
        pl.lit('{"objectId":'),
        _quoted(target),
        pl.lit(',"qualifier":'),
        _quoted("qualifier"),
        pl.lit("}"),
    )
