"""From attribute values as written to the rows of the attribute tables: typed, numbered, in order."""

from __future__ import annotations

import polars as pl

from ocelake.ocel.identity import declared_types
from ocelake.ocel.parts import Side, reason
from ocelake.ocel.reasons import REASON, Reason
from ocelake.ocel.typed_values import KIND, common_type, type_values

__all__ = ["value_rows"]


def value_rows(
    side: Side,
    reasons: pl.Series,
    owner: pl.Series,
    things: pl.DataFrame,
    declarations: pl.DataFrame,
    zone: str,
    so_far: pl.DataFrame | None = None,
) -> tuple[pl.DataFrame, pl.Series, pl.DataFrame]:
    """Judge the attribute values of one kind of records, and give the accepted ones.

    Parameters
    ----------
    side : Side
        The records.
    reasons, owner : Series
        By record: why it is rejected, and the number of the event or object that it tells of.
    things : DataFrame
        The accepted events or objects in the order of their ids: ``id``, ``type``.
    declarations : DataFrame
        ``type``, ``name``, ``value_type``: the declared attributes.
    zone : str
        The zone of times that have none.
    so_far : DataFrame, optional
        ``type``, ``name``, ``value_type`` of attributes that are not declared and that other records use as well.

    Returns
    -------
    rows : DataFrame
        The table's columns, ``id`` for the event or object; sorted by id, name, time, ordinal.
    reasons : Series of `REASON`
        By value: null for the accepted ones.
    used : DataFrame
        ``type``, ``name``, ``value_type`` of the attributes that are used but not declared.
    """
    values = side.attributes
    verdict = values.select(
        pl.coalesce(
            reasons.gather(values["row"]),
            pl.when(~pl.col("name").str.contains(r"\S").fill_null(False)).then(reason(Reason.MISSING_NAME)),
            "time_reason",
            pl.when(pl.col("value").is_null()).then(reason(Reason.NULL_VALUE)),
        ).alias("verdict")
    )["verdict"]
    rows = verdict.is_null().arg_true()
    kept = values.select("row", "name", "time", "initial", "value", "native")[rows]
    kept = kept.with_columns(rows.alias("index"), owner.gather(kept["row"]).alias("owner"))
    types = things["type"].gather(kept["owner"])
    kept = kept.with_columns(types.alias("type"), declared_types(types, kept["name"], declarations).alias("declared"))
    typed = type_values(kept.select("value", "native", "declared"), zone)
    written = kept.select("value", "native")
    kept = kept.drop("value", "native").hstack(typed)
    kept, used = _common_types(kept, written, zone, so_far)
    repeated = _unite(side, kept)
    if repeated is not None:
        place, again = repeated
        verdict = verdict.scatter(kept["index"].filter(again), pl.Series([Reason.DUPLICATE.value], dtype=REASON))
        kept = kept.with_columns(place.alias("index")).filter(~again)
    return _numbered(kept, things["id"]), verdict, used


def _common_types(
    kept: pl.DataFrame, written: pl.DataFrame, zone: str, so_far: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give attributes that nobody declares the narrowest type of their values, and the values that type.

    So a log reads the same after an export, which declares all attributes.
    """
    loose = kept["declared"].is_null()
    if not loose.any():
        return kept, kept.select("type", "name", "value_type").clear()
    seen = kept.filter(loose).select("type", "name", "value_type")
    if so_far is not None:
        again = so_far.select(pl.col(name).cast(dtype) for name, dtype in seen.schema.items())
        seen = pl.concat([seen, again.join(seen, on=["type", "name"], how="semi")])
    found = seen.group_by("type", "name").agg(pl.col("value_type").unique())
    common = pl.Series("value_type", [common_type(kinds) for kinds in found["value_type"]], dtype=KIND)
    mixed = found.with_columns(common).filter(found["value_type"].list.len() > 1)
    used = found.with_columns(common)
    if len(mixed):
        declared = declared_types(kept["type"], kept["name"], mixed)
        rows = (loose & declared.is_not_null()).arg_true()
        again = type_values(written[rows].with_columns(declared.gather(rows).alias("declared")), zone)
        kept = kept.with_columns(kept[name].scatter(rows, again[name]) for name in again.columns)
    return kept, used


def _unite(side: Side, kept: pl.DataFrame) -> tuple[pl.Series, pl.Series] | None:
    """Unite the values that several records give of one event or object; null where each has them from one record.

    Equal values of different records are one. The order is by what is told, not by when it came: first the declared
    record's values, then the others' by their place among the values of one name and time in their own record.

    Returns
    -------
    place, again : Series
        By value: a number to order values of one name and time by, and whether it is there already.
    """
    loose = ~side.records["declared"]
    if not loose.any():
        return None
    several = kept.filter(loose.gather(kept["row"]))["owner"].unique()
    rows = kept["owner"].is_in(several.implode()).arg_true()
    if rows.is_empty():
        return None
    same_slot = ["row", "owner", "name", "time"]
    part = kept.select("row", "owner", "name", "time", "value", "value_type", "index")[rows].with_columns(
        rows.alias("slot"), loose.gather(kept["row"].gather(rows)).alias("loose")
    )
    part = part.sort("index").with_columns(
        nth=pl.int_range(pl.len()).over(same_slot),
        copy=pl.int_range(pl.len()).over([*same_slot, "value", "value_type"]),
    )
    part = part.sort("loose", "nth", "value", "value_type", "index")
    again = ~part.select(
        pl.struct("owner", "name", "time", "value", "value_type", "copy").is_first_distinct()
    ).to_series()
    place = kept["index"].scatter(part["slot"], pl.int_range(len(part), dtype=pl.UInt32, eager=True))
    return place, pl.repeat(False, len(kept), dtype=pl.Boolean, eager=True).scatter(part["slot"], again)


def _numbered(kept: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """Put values in the order of their table, and number those of one name and time from 0."""
    names = kept["name"].cast(pl.Enum(kept["name"].unique().sort()))
    key = kept["owner"].cast(pl.UInt64) * 2**32 + names.to_physical().cast(pl.UInt64)
    kept = kept.with_columns(key.alias("key"))
    kept = kept[kept.select(pl.arg_sort_by("key", "time", "index")).to_series()]
    starts = pl.col("key").ne_missing(pl.col("key").shift(1)) | pl.col("time").ne_missing(pl.col("time").shift(1))
    place = pl.int_range(pl.len())
    return kept.with_columns(
        ordinal=place - pl.when(starts).then(place).forward_fill(), id=ids.gather(kept["owner"])
    ).drop("key", "index", "owner", "row", "type", "declared")
