"""Crossing over to pm4py's OCEL object, and back.

The only module with pandas in it. pm4py is imported when it is needed, from here rather than from a script, so that
its banner is not printed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl

from ocelake.errors import ExportRefused
from ocelake.ocel.conform import conform
from ocelake.ocel.layout import Grouped
from ocelake.ocel.model import Ocel, frame_schema
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD
from ocelake.ocel.times import format_times
from ocelake.tables import ATTRIBUTE, RELATIONSHIP, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd
    import pm4py

__all__ = ["from_pm4py", "to_pm4py"]

_EVENT, _ACTIVITY, _TIME = "ocel:eid", "ocel:activity", "ocel:timestamp"
_OBJECT, _TARGET, _TYPE = "ocel:oid", "ocel:oid_2", "ocel:type"
_QUALIFIER, _FIELD = "ocel:qualifier", "ocel:field"
_OWN: Final = frozenset(
    (_EVENT, _ACTIVITY, _TIME, _OBJECT, _TARGET, _TYPE, _QUALIFIER, _FIELD, "@@cumcount", "@@index", "ocel:eid_2")
)
"""pm4py's own columns; all others are attributes."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SCALARS: Final = {"integer": pl.Int64(), "float": pl.Float64(), "boolean": pl.Boolean(), "string": pl.String()}
_BATCH: Final = "pm4py"


def to_pm4py(ocel: Ocel) -> pm4py.objects.ocel.obj.OCEL:
    """Give a log as pm4py's OCEL object.

    Initial values become columns of ``objects``, changes rows of ``object_changes``; a second initial value of one
    attribute is a change at 1970-01-01. Lists and maps become Python's. Integers and booleans that are missing
    somewhere have pandas' nullable types.

    Parameters
    ----------
    ocel : Ocel
        The log.

    Raises
    ------
    ExportRefused
        Where an event has one attribute twice, or an attribute is called like one of pm4py's columns.
    """
    from pm4py.objects.ocel.obj import OCEL

    _refuse(ocel)
    first = pl.col("initial") & (pl.col("ordinal") == 0)
    events = ocel.events.select(pl.col("event_id").alias(_EVENT), _activity(), _time())
    objects = ocel.objects.select(pl.col("object_id").alias(_OBJECT), pl.col("object_type").alias(_TYPE))
    later = ocel.object_attributes.filter(~first).sort("time", maintain_order=True)
    changes = later.select(
        pl.col("object_id").alias(_OBJECT), _time().fill_null(_EPOCH), pl.col("name").alias(_FIELD)
    ).join(objects, on=_OBJECT, how="left", maintain_order="left")
    relations = ocel.event_objects.sort("time", "sequence", "event_id", maintain_order=True)
    return OCEL(
        events=_wide(events, ocel.event_attributes, "event_id"),
        objects=_wide(objects, ocel.object_attributes.filter(first), "object_id"),
        relations=relations.select(
            pl.col("event_id").alias(_EVENT),
            _activity(),
            _time(),
            pl.col("object_id").alias(_OBJECT),
            pl.col("object_type").alias(_TYPE),
            pl.col("qualifier").alias(_QUALIFIER),
        ).to_pandas(),
        o2o=ocel.object_objects.rename(
            {"source_id": _OBJECT, "target_id": _TARGET, "qualifier": _QUALIFIER}
        ).to_pandas(),
        object_changes=_side_by_side(changes.select(_OBJECT, _TYPE, _TIME, _FIELD), later.with_row_index("record")),
    )


def from_pm4py(ocel: pm4py.objects.ocel.obj.OCEL) -> Ocel:
    """Take a log over from pm4py's OCEL object, by the same rules as from any file.

    pm4py declares no types of attributes: they are those of the values. Missing values (NaN, None, NaT) are none.
    Times without a zone are UTC.

    Parameters
    ----------
    ocel : pm4py OCEL
        It is not changed.

    Warns
    -----
    UserWarning
        Where something was not taken over (a relation to an object that the log does not have, an event without a
        time), with the number by reason.
    """
    columns = {
        ocel.event_id_column: _EVENT,
        ocel.event_activity: _ACTIVITY,
        ocel.event_timestamp: _TIME,
        ocel.object_id_column: _OBJECT,
        ocel.object_id_column + "_2": _TARGET,
        ocel.object_type_column: _TYPE,
        ocel.qualifier: _QUALIFIER,
        ocel.changed_field: _FIELD,
    }
    tables = {
        name: cast("pd.DataFrame", getattr(ocel, name)).rename(columns=columns)
        for name in ("events", "objects", "relations", "o2o", "object_changes")
    }
    events = _records(
        tables["events"],
        {"event_id": _EVENT, "activity": _ACTIVITY, "time": _TIME},
        _attributes(tables["events"], _EVENT),
        _relationships(tables["relations"], _EVENT, _OBJECT),
    )
    changes = _attributes(tables["object_changes"], _OBJECT)
    objects = _records(
        tables["objects"],
        {"object_id": _OBJECT, "object_type": _TYPE},
        pl.concat([_attributes(tables["objects"], _OBJECT), changes]),
        _relationships(tables["o2o"], _OBJECT, _TARGET),
    )
    batch = {
        "batch_id": _BATCH,
        "source": _BATCH,
        "format": _BATCH,
        "content_hash": _BATCH,
        "event_records": events.height,
        "object_records": objects.height,
        "declarations": '{"event_types":{},"object_types":{}}',
        "metadata": "{}",
        "received": datetime.now(UTC),
    }
    conformed = conform(
        events.select(pl.lit(_BATCH).alias("batch_id"), *EVENT_RECORD),
        objects.select(pl.lit(_BATCH).alias("batch_id"), *OBJECT_RECORD),
        pl.DataFrame([batch], schema=frame_schema("bronze.batches")),
    )
    if conformed.quarantine.height:
        counts = conformed.quarantine.group_by("record_kind", "reason").len().sort("record_kind", "reason")
        told = ", ".join(f"{count} {kind}: {reason}" for kind, reason, count in counts.iter_rows())
        warnings.warn(f"Not everything was taken over from pm4py ({told}).", stacklevel=2)
    return conformed.ocel


# --- to pm4py


def _activity() -> pl.Expr:
    return pl.col("activity").alias(_ACTIVITY)


def _time() -> pl.Expr:
    return pl.col("time").alias(_TIME)


def _refuse(ocel: Ocel) -> None:
    twice = ocel.event_attributes.filter(pl.col("ordinal") > 0)
    if twice.height:
        event, name = twice.select("event_id", "name").row(0)
        raise ExportRefused(
            f"pm4py has one cell for the attribute {name!r} of an event, which has several values of it.",
            where=f"event {event!r}",
            fix="Remove the further values.",
        )
    for frame in (ocel.event_attributes, ocel.object_attributes):
        taken = frame.filter(pl.col("name").is_in(list(_OWN)))
        if taken.height:
            identifier, name = taken.select(pl.nth(0), "name").row(0)
            raise ExportRefused(
                f"pm4py has a column {name!r} of its own.", where=identifier, fix="Rename the attribute."
            )


def _wide(rows: pl.DataFrame, values: pl.DataFrame, by: str) -> pd.DataFrame:
    """Put the values of each row's id beside it, a column per attribute."""
    grouped = Grouped.under(rows.to_series(0), values, by)
    return _side_by_side(rows, grouped.within(0, rows.height))


def _side_by_side(rows: pl.DataFrame, values: pl.DataFrame) -> pd.DataFrame:
    """Put values, whose ``record`` is the number of their row, into a column per attribute."""
    frame: pd.DataFrame = rows.to_pandas()
    columns = {
        str(name): _column(frame, part)
        for (name,), part in values.partition_by("name", as_dict=True, maintain_order=True).items()
    }
    return frame.assign(**columns)


def _column(frame: pd.DataFrame, values: pl.DataFrame) -> pd.Series[Any]:
    import pandas as pd

    kinds = set(values["value_type"])
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind == "time":
        cells = values["value_time"]
    elif kind in _SCALARS:
        text = values["value"] == "true" if kind == "boolean" else values["value"]
        cells = text.cast(_SCALARS[kind])
    else:
        each = values.select("value", "value_type", "value_time").iter_rows()
        mixed: list[object] = [None] * len(frame)
        for place, (value, value_type, time) in zip(values["record"], each, strict=True):
            mixed[place] = _python(value, value_type, time)
        return pd.Series(mixed, index=frame.index, dtype="object")
    spread = pl.repeat(None, len(frame), dtype=cells.dtype, eager=True).scatter(values["record"], cells)
    column: pd.Series[Any] = spread.to_pandas(use_pyarrow_extension_array=False)
    if spread.null_count() and kind in ("integer", "boolean"):
        nullable = spread.to_arrow().to_pandas(types_mapper=_nullable_types().get)
        column = nullable
    return column.set_axis(frame.index)


def _nullable_types() -> dict[Any, Any]:
    import pandas as pd
    import pyarrow as pa

    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}


def _python(value: str, value_type: str, time: datetime | None) -> object:
    if value_type == "time":
        import pandas as pd

        return pd.Timestamp(time)
    if value_type == "string":
        return value
    return json.loads(value)


# --- from pm4py


def _records(
    table: pd.DataFrame, columns: Mapping[str, str], attributes: pl.DataFrame, relationships: pl.DataFrame
) -> pl.DataFrame:
    """Give records in the shape of bronze; ids that only attributes or relations name are not declared."""
    key = next(iter(columns))
    heads = pl.DataFrame({name: _text(table[column])["value"] for name, column in columns.items()})
    heads = heads.with_columns(declared=pl.lit(True))
    named = pl.concat([attributes["id"], relationships["id"]]).unique(maintain_order=True).drop_nulls()
    loose = named.filter(~named.is_in(heads[key].implode()))
    heads = pl.concat([heads, pl.DataFrame({key: loose}).with_columns(declared=pl.lit(False))], how="diagonal")
    for name, rows, dtype in (
        ("attributes", attributes, ATTRIBUTE),
        ("relationships", relationships, RELATIONSHIP),
    ):
        nested = rows.group_by("id", maintain_order=True).agg(
            pl.struct(field.name for field in dtype.fields).alias(name)
        )
        heads = heads.join(nested, left_on=key, right_on="id", how="left", maintain_order="left")
        heads = heads.with_columns(pl.col(name).fill_null([]).cast(pl.List(dtype)))
    empty = {"sequence": pl.Int64, "version": pl.Int64, "defect": pl.String, "raw": pl.String}
    return heads.with_columns(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("position"),
        *(pl.lit(None, dtype=dtype).alias(name) for name, dtype in empty.items()),
    )


def _attributes(table: pd.DataFrame, key: str) -> pl.DataFrame:
    """Give one row per value: of the field that a row names, else of every attribute column."""
    schema = pl.Schema({"id": pl.String, **{field.name: pl.String for field in ATTRIBUTE.fields}})
    ids = _text(table[key])["value"]
    times = _text(table[_TIME])["value"] if key == _OBJECT and _TIME in table else None
    fields = _text(table[_FIELD])["value"] if _FIELD in table else None
    parts = [schema.to_frame().with_columns(at=pl.lit(None, pl.UInt32))]
    for name in table.columns:
        if name in _OWN:
            continue
        values = _text(table[name]).with_columns(
            ids.alias("id"),
            pl.lit(str(name)).alias("name"),
            pl.lit(None, pl.String).alias("time") if times is None else times.alias("time"),
            pl.int_range(pl.len(), dtype=pl.UInt32).alias("at"),
        )
        if fields is not None:
            values = values.filter((fields == name) | fields.is_null())
        parts.append(values.filter(pl.col("value").is_not_null()).select(*schema, "at"))
    return pl.concat(parts).sort("at", maintain_order=True).drop("at")


def _relationships(table: pd.DataFrame, source: str, target: str) -> pl.DataFrame:
    columns = {"id": source, "object_id": target, "qualifier": _QUALIFIER, "object_type": _TYPE}
    nothing = pl.repeat(None, len(table), dtype=pl.String, eager=True)
    return pl.DataFrame(
        {name: _text(table[column])["value"] if column in table else nothing for name, column in columns.items()}
    )


def _text(column: pd.Series[Any]) -> pl.DataFrame:
    """Give a column as text, with the kind of value that it was (``value_type``); missing values are null."""
    if column.dtype == object:
        return _mixed(column)
    series = cast("pl.Series", pl.from_pandas(column.reset_index(drop=True), nan_to_null=True))
    kind: str | None = None
    if isinstance(series.dtype, pl.Datetime):
        times = series.dt.replace_time_zone("UTC") if series.dtype.time_zone is None else series
        text = times.cast(TIMESTAMP).to_frame("time").select(format_times(pl.col("time"))).to_series()
        kind = "time"
    else:
        text = series.cast(pl.String)
        if series.dtype == pl.Boolean:
            kind = "boolean"
        elif series.dtype.is_integer():
            kind = "integer"
        elif series.dtype.is_float():
            kind = "float"
    return pl.DataFrame({"value": text}).with_columns(value_type=pl.lit(kind, pl.String))


def _mixed(column: pd.Series[Any]) -> pl.DataFrame:
    """Give a column of Python objects as text, each with its own kind."""
    return pl.DataFrame(
        [_written(value) for value in cast("Iterable[object]", column)],
        schema={"value": pl.String, "value_type": pl.String},
        orient="row",
    )


def _written(value: Any) -> tuple[str | None, str | None]:
    import numpy as np
    import pandas as pd

    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case bool():
            return ("true" if value else "false"), "boolean"
        case int():
            return str(value), "integer"
        case float():
            return (None, None) if value != value else (repr(value), "float")
        case str():
            return value, None
        case list() | tuple() | set():
            return json.dumps(list(value), default=str), "list"
        case dict():
            return json.dumps(value, default=str), "map"
        case _ if pd.isna(value):
            return None, None
        case datetime():
            return value.isoformat(), "time"
        case _:
            return str(value), None
