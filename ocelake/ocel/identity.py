"""Which of several records with one id stands for it.

The outcome depends on the set of records alone: equal records (in canonical form) are one, of different ones the
greatest (version, offset, content hash) wins. A record without a version is below all that have one, and the offset of
its message decides among such: that is the order of what comes in one partition of a topic. A record of a file has no
offset. Only ids that occur more than once are looked at: the usual log pays nothing.

Content is what becomes a row of the log. The type that a relation tells of its object is none (the object's own record
tells that), nor is the place in the source, even where it orders events of equal time: the same record at another place
of another file is the same.
"""

from __future__ import annotations

import hashlib
from typing import Final

import polars as pl

from ocelake.ocel.parts import Side, reason
from ocelake.ocel.reasons import REASON, Reason
from ocelake.ocel.typed_values import type_values

__all__ = ["declared_types", "settle"]

_NO_CONTENT: Final = ("batch_id", "position", "version", "declared", "defect", "raw")


def settle(side: Side, declarations: pl.DataFrame, batches: pl.DataFrame, zone: str) -> tuple[pl.Series, pl.Series]:
    """Give each record's reason, with the losers among records of one id named.

    Parameters
    ----------
    side : Side
        The records.
    declarations : DataFrame
        ``type``, ``name``, ``value_type``: the declared attributes.
    batches : DataFrame
        The columns ``batch_id`` and ``first_offset`` of `bronze.batches`.
    zone : str
        The zone of times that have none.

    Returns
    -------
    reasons : Series of `REASON`
        As ``side.records["reason"]``, and ``duplicate`` for all but the first of equal records, ``superseded`` for the
        first of those that are not the greatest.
    copies : Series of Boolean
        Which of the duplicates say what the kept record of their id says.
    """
    records = side.records.select("id", "version", "declared", "reason").with_row_index("row")
    candidates = records.filter(pl.col("declared") & pl.col("reason").is_null())
    contested = candidates.filter(candidates["id"].is_duplicated())
    copies = pl.repeat(False, len(records), dtype=pl.Boolean, eager=True)
    if contested.is_empty():
        return side.records["reason"], copies
    # Records that are written alike are alike; the canonical form matters only where an id is told in different ways.
    written = [column for column in side.source.columns if column not in _NO_CONTENT]
    texts = side.source.select(written)[contested["row"]].with_columns(contested["row"])
    contested = contested.with_columns(texts.select(told=pl.col("row").min().over(written)))
    told = contested.filter(pl.col("row") == pl.col("told"))
    differing = told.filter(told["id"].is_duplicated())["row"]
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in _content(side, differing, declarations, zone)]
    digest = pl.DataFrame({"told": differing, "digest": digests}, schema_overrides={"digest": pl.String})
    contested = (
        contested.join(digest, on="told", how="left", maintain_order="left")
        .with_columns(_offsets(side, contested["row"], batches))
        # One way of telling needs no digest; the least number there is stands for no version, and for no offset.
        .with_columns(pl.col("digest").fill_null(""), pl.col("version", "offset").fill_null(-(2**63)))
        .with_columns(first=pl.col("row").min().over("id", "digest"))
    )
    # A version is of the source's own making: where there is one, the way that the record took has no say.
    order = "version", pl.when(pl.col("version") == -(2**63)).then("offset"), "digest"
    greatest = contested.sort(*order).group_by("id").agg(winner=pl.col("digest").last())
    contested = contested.join(greatest, on="id", maintain_order="left").with_columns(
        lost=pl.when(pl.col("row") != pl.col("first"))
        .then(reason(Reason.DUPLICATE))
        .when(pl.col("digest") != pl.col("winner"))
        .then(reason(Reason.SUPERSEDED))
    )
    lost = contested.drop_nulls("lost")
    reasons = side.records["reason"].scatter(lost["row"], lost["lost"].cast(REASON))
    return reasons, copies.scatter(lost.filter(pl.col("digest") == pl.col("winner"))["row"], True)


def _offsets(side: Side, rows: pl.Series, batches: pl.DataFrame) -> pl.Series:
    """Give the offset of each record's message; null where it came in no topic."""
    first = batches.select(pl.col("batch_id").cast(side.records.schema["batch"]).alias("batch"), "first_offset")
    places = side.records.select("batch", "position")[rows].join(first, on="batch", how="left", maintain_order="left")
    return places.select(offset=pl.col("first_offset") + pl.col("position")).to_series()


def declared_types(types: pl.Series, names: pl.Series, declarations: pl.DataFrame) -> pl.Series:
    """Give the declared value type of each (type, attribute name); null where there is none."""
    if declarations.is_empty():
        return pl.repeat(None, len(types), dtype=declarations.schema["value_type"], eager=True)
    asked = pl.DataFrame({"type": types, "name": names})
    return asked.join(declarations, on=["type", "name"], how="left", maintain_order="left")["value_type"]


def _content(side: Side, rows: pl.Series, declarations: pl.DataFrame, zone: str) -> pl.Series:
    """Write records in canonical text: equal text is equal content.

    Order does not matter among relations, nor among attributes but where name and time are the same. Texts are written
    with their lengths (netstrings), so that no text can be taken for another.
    """
    head = side.records.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
        _joined("type", *(("time", "sequence") if side.kind == "event" else ())).alias("head"),
    )[rows]
    relations = (
        side.relations.filter(side.relations["row"].is_in(rows.implode()))
        .select("row", _joined("object_id", "qualifier").alias("text"))
        .unique()
        .sort("row", "text")
        .group_by("row")
        .agg(pl.col("text").str.join().alias("relations"))
    )
    values = side.attributes.filter(side.attributes["row"].is_in(rows.implode()))
    declared = declared_types(side.records["type"].gather(values["row"]), values["name"], declarations)
    typed = type_values(values.select("value", "native", declared=declared), zone)
    values = values.with_columns(typed["value", "value_type"]).with_columns(
        unread=pl.when(pl.col("time_reason").is_not_null()).then("written_time")
    )
    attributes = (
        values.sort("row", "name", "time", "unread", "part")
        .group_by("row", maintain_order=True)
        .agg(_joined("name", "time", "unread", "value", "value_type").str.join().alias("attributes"))
    )
    return (
        head.join(relations, on="row", how="left", maintain_order="left")
        .join(attributes, on="row", how="left", maintain_order="left")
        .select(_joined("head", "relations", "attributes"))
        .to_series()
    )


def _joined(*names: str) -> pl.Expr:
    """Write columns as one text: the length and the text of each, or a dash for null."""
    pieces = []
    for name in names:
        column = pl.col(name).fill_null(0) if name == "sequence" else pl.col(name)
        text = (column.dt.epoch("us") if name == "time" else column).cast(pl.String)
        piece = pl.concat_str(text.str.len_bytes(), pl.lit(":"), text)
        pieces.append(piece.fill_null("-"))
    return pl.concat_str(pieces)
