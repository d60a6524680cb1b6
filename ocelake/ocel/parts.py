"""Bronze records taken apart: one frame of records, one of their relations, one of their attribute values.

Nothing is judged here but each record and each time by itself. Rows refer to their record by its number; records are
in the order of (batch, position), so that a smaller number is the earlier one wherever a tie has to be broken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from ocelake.ocel.reasons import REASON, Reason
from ocelake.ocel.times import AMBIGUOUS, EPOCH, parse_times
from ocelake.tables import TIMESTAMP

__all__ = ["Kind", "Side", "reason", "take_apart"]

Kind = Literal["event", "object"]

_TYPE_COLUMN: Final = {"event": "activity", "object": "object_type"}
_NO_TIME: Final = ("", "0", "null")


@dataclass(frozen=True, slots=True)
class Side:
    """All event records of a log, or all object records.

    Attributes
    ----------
    kind : {"event", "object"}
        Which.
    source : DataFrame
        The records as they came, in the order of (batch, position).
    records : DataFrame
        One row per record: ``batch`` (an Enum in text order), ``position``, ``id``, ``type``, ``version``,
        ``declared``, ``counts`` (it is a record of its own, declared or defective), ``reason`` (why the record
        itself is bad; null where it is not), and for events ``time``, ``time_ambiguous``, ``sequence``.
    relations : DataFrame
        ``row``, ``part``, ``object_id``, ``qualifier``, ``hint`` (the object's type, where it is told).
    attributes : DataFrame
        ``row``, ``part``, ``name``, ``written_time``, ``time``, ``initial``, ``time_reason``, ``value``, ``native``.
    """

    kind: Kind
    source: pl.DataFrame
    records: pl.DataFrame
    relations: pl.DataFrame
    attributes: pl.DataFrame

    @property
    def id_column(self) -> str:
        """The id column's name in the tables."""
        return f"{self.kind}_id"

    @property
    def type_column(self) -> str:
        """The type column's name in the tables."""
        return _TYPE_COLUMN[self.kind]


def reason(code: Reason) -> pl.Expr:
    """Give a reason code as an expression of its column type."""
    return pl.lit(code.value, dtype=REASON)


def take_apart(kind: Kind, frame: pl.DataFrame, batches: pl.Enum, zone: str) -> Side:
    """Take the records of one kind apart, and judge each by itself.

    Parameters
    ----------
    kind : {"event", "object"}
        What the records are.
    frame : DataFrame
        Columns of `EVENT_RECORD` or `OBJECT_RECORD`, and ``batch_id``.
    batches : Enum
        All batch ids, in text order.
    zone : str
        The zone of times that have none.
    """
    source = frame.with_columns(pl.col("batch_id").cast(batches))
    place = source["batch_id"].to_physical().cast(pl.UInt64) * 2**40 + source["position"].cast(pl.UInt64)
    if not place.is_sorted():
        source = source[place.arg_sort()]
    return Side(kind, source, _records(kind, source, zone), _relations(source), _attributes(kind, source, zone))


def _records(kind: Kind, source: pl.DataFrame, zone: str) -> pl.DataFrame:
    columns = [
        pl.col("batch_id").alias("batch"),
        pl.col("position"),
        pl.col(f"{kind}_id").alias("id"),
        pl.col(_TYPE_COLUMN[kind]).alias("type"),
        pl.col("version", "declared"),
        (pl.col("declared") | pl.col("defect").is_not_null()).alias("counts"),
    ]
    defect = (
        pl.when(pl.col("defect").is_not_null())
        .then(pl.col("defect").cast(REASON, strict=False).fill_null(Reason.MALFORMED.value))
        .alias("defect")
    )
    if kind == "event":
        times = parse_times(source["time"], zone)
        frame = source.with_columns(times).select(
            *columns,
            "time",
            (pl.col("flag") == AMBIGUOUS).fill_null(False).alias("time_ambiguous"),
            "sequence",
            defect,
            pl.col("flag").cast(REASON, strict=False).alias("time_reason"),
        )
    else:
        frame = source.select(*columns, defect, pl.lit(None, dtype=REASON).alias("time_reason"))
    judged = (
        pl.when(pl.col("defect").is_not_null())
        .then("defect")
        .when(~_filled("id"))
        .then(reason(Reason.MISSING_ID))
        .when(pl.col("declared") & ~_filled("type"))
        .then(reason(Reason.MISSING_TYPE))
        .when("declared")
        .then("time_reason")
    )
    return frame.with_columns(reason=judged).drop("defect", "time_reason")


def _filled(name: str) -> pl.Expr:
    return pl.col(name).str.contains(r"\S").fill_null(False)


def _unlist(lists: pl.Series) -> pl.DataFrame:
    """Give one row per element of a list column: ``row``, ``part``, and the element's fields."""
    lengths = lists.list.len().fill_null(0).to_numpy()
    row = np.repeat(np.arange(len(lists), dtype=np.uint32), lengths)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    part = np.arange(len(row), dtype=np.int64) - starts[row]
    elements = lists.explode(empty_as_null=False, keep_nulls=False).struct.unnest()
    return elements.with_columns(row=pl.Series(row), part=pl.Series(part.astype(np.uint32)))


def _relations(source: pl.DataFrame) -> pl.DataFrame:
    return _unlist(source["relationships"]).select(
        "row", "part", "object_id", pl.col("qualifier").fill_null(""), hint="object_type"
    )


def _attributes(kind: Kind, source: pl.DataFrame, zone: str) -> pl.DataFrame:
    values = _unlist(source["attributes"]).rename({"time": "written_time", "value_type": "native"})
    empty = pl.Series([None], dtype=TIMESTAMP).new_from_index(0, len(values))
    values = values.with_columns(time=empty, initial=pl.lit(kind == "object"), time_reason=pl.lit(None, dtype=REASON))
    if kind == "object":
        text = values["written_time"]
        given = (text.is_not_null() & ~text.str.strip_chars().str.to_lowercase().is_in(_NO_TIME)).arg_true()
        if len(given):
            parsed = parse_times(text.gather(given), zone)
            parsed = parsed.select(
                time=pl.when(pl.col("flag").ne_missing(EPOCH)).then("time"),
                initial=pl.col("flag").eq_missing(EPOCH),
                time_reason=pl.col("flag").cast(REASON, strict=False),
            )
            values = values.with_columns(
                values[name].scatter(given, parsed[name]) for name in ("time", "initial", "time_reason")
            )
    return values.select("row", "part", "name", "written_time", "time", "initial", "time_reason", "value", "native")
