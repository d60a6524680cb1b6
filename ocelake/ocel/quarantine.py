"""What was read and not accepted, and the account of everything that was read.

The reasons are found elsewhere (`ocelake.ocel.conform`); here they become rows of ``silver.quarantine``, with the
source's text, and the counts of ``silver.accounting``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from ocelake.ocel.model import frame_schema
from ocelake.ocel.parts import Side
from ocelake.ocel.reasons import REASONS, Reason
from ocelake.tables import RECORD_KINDS, TABLES

__all__ = ["Judgement", "account", "quarantine"]

RELATION_KIND: Final = {"event": "e2o", "object": "o2o"}
_OF_TIME: Final = (Reason.INVALID_TIME.value, Reason.NONEXISTENT_TIME.value)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on all that one kind of records holds: one reason each, null for what is accepted.

    Attributes
    ----------
    side : Side
        The records.
    records, relations, attributes : Series of `REASON`
        As long as the frames of `side`.
    """

    side: Side
    records: pl.Series
    relations: pl.Series
    attributes: pl.Series

    def verdicts(self) -> list[tuple[str, pl.Series, pl.Series]]:
        """Give (record kind, number of the record, reason) of all that counts."""
        side = self.side
        own = side.records["counts"].arg_true()
        return [
            (side.kind, own, self.records.gather(own)),
            (RELATION_KIND[side.kind], side.relations["row"], self.relations),
            (f"{side.kind}_attribute", side.attributes["row"], self.attributes),
        ]


def quarantine(judgements: tuple[Judgement, ...], batches: pl.DataFrame) -> pl.DataFrame:
    """Give the rows of ``silver.quarantine``, sorted."""
    schema = frame_schema("silver.quarantine")
    frames = [frame for judgement in judgements for frame in _rejected(judgement)]
    if not frames:
        return schema.to_frame()
    told = batches.select("batch_id", "source", "partition", "first_offset")
    frame = pl.concat(frames).join(told, on="batch_id", how="left")
    frame = frame.with_columns(offset=pl.col("first_offset") + pl.col("position"))
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items()).sort(
        TABLES["silver.quarantine"].sort
    )


def account(judgements: tuple[Judgement, ...], batches: pl.DataFrame) -> pl.DataFrame:
    """Give the rows of ``silver.accounting``: for each batch all kinds, sorted.

    Read is counted apart from the others, so that the sum proves something: from the lists of the records as they came,
    not from the verdicts.
    """
    every = batches.select("batch_id").join(pl.DataFrame({"record_kind": RECORD_KINDS}), how="cross")
    counts = []
    for judgement in judgements:
        batch = judgement.side.records["batch"]
        for kind, row, reason in judgement.verdicts():
            verdicts = pl.DataFrame({"batch_id": batch.gather(row), "bad": reason.is_not_null()})
            count = verdicts.group_by("batch_id").agg(accepted=(~pl.col("bad")).sum(), quarantined=pl.col("bad").sum())
            counts.append(count.with_columns(pl.col("batch_id").cast(pl.String), record_kind=pl.lit(kind)))
    read = pl.concat(_read(judgement.side) for judgement in judgements)
    return (
        every.join(read, on=["batch_id", "record_kind"], how="left")
        .join(pl.concat(counts), on=["batch_id", "record_kind"], how="left")
        .select(pl.col(name).cast(dtype) for name, dtype in frame_schema("silver.accounting").items())
        .with_columns(pl.col("read", "accepted", "quarantined").fill_null(0))
        .sort(TABLES["silver.accounting"].sort)
    )


def _read(side: Side) -> pl.DataFrame:
    counts = side.source.select(
        "batch_id",
        (pl.col("declared") | pl.col("defect").is_not_null()).cast(pl.Int64).alias(side.kind),
        pl.col("relationships").list.len().cast(pl.Int64).alias(RELATION_KIND[side.kind]),
        pl.col("attributes").list.len().cast(pl.Int64).alias(f"{side.kind}_attribute"),
    )
    return (
        counts.group_by("batch_id")
        .agg(pl.all().sum())
        .with_columns(pl.col("batch_id").cast(pl.String))
        .unpivot(index="batch_id", variable_name="record_kind", value_name="read")
    )


def _rejected(judgement: Judgement) -> list[pl.DataFrame]:
    """Render what is not accepted of one kind of records."""
    side = judgement.side
    hidden = ("batch_id", "position", "declared", "defect", "raw")
    bad = (judgement.records.is_not_null() & side.records["counts"]).arg_true()
    source = side.source[bad]
    whole = source.drop(hidden)
    time = source["time"] if side.kind == "event" else pl.repeat(None, len(bad), dtype=pl.String, eager=True)
    frames = [
        _rows(
            side,
            side.kind,
            judgement.records.gather(bad),
            bad,
            None,
            source["raw"],
            whole,
            source[side.id_column],
            time,
        )
    ]
    owner = side.source[side.id_column]
    for kind, parts, reason, subject in (
        (RELATION_KIND[side.kind], side.relations.rename({"hint": "object_type"}), judgement.relations, "object_id"),
        (
            f"{side.kind}_attribute",
            side.attributes.drop("time", "initial", "time_reason").rename(
                {"written_time": "time", "native": "value_type"}
            ),
            judgement.attributes,
            "name",
        ),
    ):
        bad = reason.is_not_null().arg_true()
        rejected = parts[bad]
        ids = owner.gather(rejected["row"])
        whole = rejected.drop("row", "part")
        # An object's relation names an object as well: its own id comes first, as `source_id`.
        whole = whole.insert_column(0, ids.alias("source_id" if kind == "o2o" else side.id_column))
        code = reason.gather(bad)
        # What shares the fate of its record is explained by the record.
        own = judgement.records.gather(rejected["row"]).is_null()
        about = rejected[subject].zip_with(own, ids)
        time = (
            rejected["time"] if "time" in rejected.columns else pl.repeat(None, len(bad), dtype=pl.String, eager=True)
        )
        frames.append(_rows(side, kind, code, rejected["row"], rejected["part"], None, whole, about, time))
    return [frame for frame in frames if len(frame)]


def _rows(
    side: Side,
    kind: str,
    code: pl.Series,
    row: pl.Series,
    part: pl.Series | None,
    raw: pl.Series | None,
    whole: pl.DataFrame,
    about: pl.Series,
    time: pl.Series,
) -> pl.DataFrame:
    rendered = whole.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    meaning = {reason.value: text.removesuffix(".") for reason, text in REASONS.items()}
    detail = pl.concat_str(
        pl.col("reason").replace_strict(meaning),
        pl.coalesce(pl.when(pl.col("reason").is_in(_OF_TIME)).then("time"), "about"),
        separator=": ",
        ignore_nulls=True,
    )
    return (
        pl.DataFrame(
            {
                "batch_id": side.records["batch"].gather(row).cast(pl.String),
                "record_kind": pl.repeat(kind, len(row), dtype=pl.String, eager=True),
                "reason": code.cast(pl.String),
                "position": side.records["position"].gather(row),
                "part": part.cast(pl.Int64)
                if part is not None
                else pl.repeat(None, len(row), dtype=pl.Int64, eager=True),
                "raw": rendered if raw is None else raw.fill_null(rendered),
                "about": about,
                "time": time,
            }
        )
        .with_columns(detail=detail)
        .drop("about", "time")
    )
