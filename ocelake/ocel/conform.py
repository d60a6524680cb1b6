"""From bronze records to the OCEL 2.0 log: a pure function of the set of records.

Order, split into batches, and repeats of the records change nothing but where a row says it came from. Everything that
was read is either in the log or in quarantine with one reason; both are computed anew from all records of a log, so
that a later declaration releases what waited for it.

Ids are handled as numbers: events and objects are numbered in the order of their ids, and what refers to them carries
the number of its record. Text is compared once per id and copied once per result.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import polars as pl

from ocelake.ocel.identity import settle
from ocelake.ocel.model import Ocel, frame_schema
from ocelake.ocel.parts import Side, reason, take_apart
from ocelake.ocel.quarantine import Judgement, account, quarantine
from ocelake.ocel.reasons import REASON, Reason
from ocelake.ocel.typed_values import KIND, common_type
from ocelake.ocel.value_rows import value_rows
from ocelake.settings import LogSettings
from ocelake.tables import VALUE_TYPES

__all__ = ["UNKNOWN_TYPE", "Conformed", "Surroundings", "conform", "declared_attributes"]

UNKNOWN_TYPE: Final = "unknown"
"""Type of an inferred object where no source tells it."""

_TYPED: Final = pl.Schema({"type": pl.String(), "name": pl.String(), "value_type": KIND})


@dataclass(frozen=True, slots=True, eq=False)
class Conformed:
    """One log in its final form, what was not accepted, and the account of both.

    Attributes
    ----------
    ocel : Ocel
        The log.
    quarantine, accounting : DataFrame
        ``silver.quarantine`` and ``silver.accounting`` without ``log_id``.
    """

    ocel: Ocel
    quarantine: pl.DataFrame
    accounting: pl.DataFrame

    def frames(self) -> dict[str, pl.DataFrame]:
        """Give all frames of the silver layer, by table identifier."""
        return {
            **dict(self.ocel.frames()),
            "silver.quarantine": self.quarantine,
            "silver.accounting": self.accounting,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What the rest of a log is to some of its records, which hold every record of the ids that they name.

    Attributes
    ----------
    objects : DataFrame
        ``object_id``, ``object_type``: accepted objects that none of the records is about.
    event_types, object_types : DataFrame
        ``type``, ``name``, ``value_type``: the attributes that nobody declares, with the type that they have so far.
    """

    objects: pl.DataFrame
    event_types: pl.DataFrame
    object_types: pl.DataFrame


def conform(
    events: pl.DataFrame,
    objects: pl.DataFrame,
    batches: pl.DataFrame,
    settings: LogSettings | None = None,
    *,
    within: Surroundings | None = None,
) -> Conformed:
    """Compute the OCEL 2.0 tables of one log from all its bronze records.

    Parameters
    ----------
    events, objects : DataFrame
        ``bronze.event_records`` and ``bronze.object_records`` without ``log_id``: the columns of `EVENT_RECORD` or
        `OBJECT_RECORD`, and ``batch_id``. (batch_id, position) is unique in each.
    batches : DataFrame
        ``bronze.batches`` without ``log_id``, with every batch that the records name.
    settings : LogSettings, optional
        How the log is read.
    within : Surroundings, optional
        Where these are not all records of the log. They have to hold all records of each id that one of them has; then
        the result is what the whole gives of these ids. Not with ``undeclared_objects="infer"``: what is inferred
        depends on every relation there is.

    Returns
    -------
    Conformed
        Frames with the schemas of `ocelake.ocel.model.frame_schema`, in the sort order of their tables.
    """
    settings = settings or LogSettings()
    zone = settings.time_zone
    # Batches of files need not say that they are of no topic.
    batches = pl.concat([frame_schema("bronze.batches").to_frame(), batches], how="diagonal_relaxed")
    batch_ids = pl.Enum(batches["batch_id"].unique().sort())
    event_types, object_types = declared_attributes(batches)
    event_side = take_apart("event", events, batch_ids, zone)
    object_side = take_apart("object", objects, batch_ids, zone)

    event_reasons, event_copies = settle(event_side, event_types, batches, zone)
    event_things = _events(event_side, event_reasons, settings)
    event_owner, event_reasons = _owners(event_side, event_reasons, event_things)

    object_reasons, object_copies = settle(object_side, object_types, batches, zone)
    object_things = _objects(object_side, object_reasons)
    if settings.undeclared_objects == "infer":
        object_things = _infer(
            object_things,
            (event_side, event_reasons.is_null() | event_copies),
            (object_side, object_reasons.is_null() | object_copies),
        )
    if within is not None:
        others = within.objects.select(id="object_id", type="object_type")
        object_things = pl.concat([object_things, others], how="diagonal_relaxed").sort("id")
    by_type = object_things.select(pl.arg_sort_by("type", maintain_order=True)).to_series()
    object_things = object_things.with_columns(_ranks(by_type))
    object_owner, object_reasons = _owners(object_side, object_reasons, object_things)

    e2o_reasons, event_objects = _event_objects(event_side, event_reasons, event_owner, event_things, object_things)
    o2o_reasons, object_objects = _object_objects(object_side, object_reasons, object_owner, object_things)
    so_far = (within.event_types, within.object_types) if within else (None, None)
    event_values, event_value_reasons, event_used = value_rows(
        event_side, event_reasons, event_owner, event_things, event_types, zone, so_far[0]
    )
    object_values, object_value_reasons, object_used = value_rows(
        object_side, object_reasons, object_owner, object_things, object_types, zone, so_far[1]
    )
    if within is not None:
        object_things = object_things.drop_nulls("batch")
    judgements = (
        Judgement(event_side, event_reasons, e2o_reasons, event_value_reasons),
        Judgement(object_side, object_reasons, o2o_reasons, object_value_reasons),
    )
    ocel = Ocel(
        events=_table(
            "events", event_things.sort("rank").rename({"id": "event_id", "type": "activity", "batch": "batch_id"})
        ),
        objects=_table(
            "objects",
            object_things.sort("rank").rename({"id": "object_id", "type": "object_type", "batch": "batch_id"}),
        ),
        event_objects=event_objects,
        object_objects=object_objects,
        event_attributes=_table("event_attributes", event_values.rename({"id": "event_id"})),
        object_attributes=_table("object_attributes", object_values.rename({"id": "object_id"})),
        event_types=_types("event_types", "activity", batches, event_things),
        object_types=_types("object_types", "object_type", batches, object_things),
        event_type_attributes=_type_attributes("event_type_attributes", "activity", event_types, event_used),
        object_type_attributes=_type_attributes("object_type_attributes", "object_type", object_types, object_used),
        log_metadata=_metadata(batches),
    )
    return Conformed(ocel, quarantine(judgements, batches), account(judgements, batches))


def _table(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Give the columns of a table, in its types."""
    return frame.select(pl.col(column).cast(dtype) for column, dtype in frame_schema(f"ocel.{name}").items())


def declared_attributes(batches: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Unite the declared attributes of all batches: where they differ, the type that holds all values.

    Returns
    -------
    DataFrame, DataFrame
        ``type``, ``name``, ``value_type`` for event types, and for object types.
    """
    united: tuple[dict[tuple[str, str], set[str]], ...] = ({}, {})
    for text in batches["declarations"].unique():
        content = json.loads(text)
        for types, into in zip((content["event_types"], content["object_types"]), united, strict=True):
            for kind, attributes in types.items():
                for name, value_type in attributes.items():
                    into.setdefault((kind, name), set()).add(value_type if value_type in VALUE_TYPES else "string")
    frames = [
        pl.DataFrame(
            [(kind, name, common_type(found)) for (kind, name), found in types.items()], schema=_TYPED, orient="row"
        )
        for types in united
    ]
    return frames[0], frames[1]


def _events(side: Side, reasons: pl.Series, settings: LogSettings) -> pl.DataFrame:
    """Give the accepted events in the order of their ids; ``rank`` is the place in the order of time.

    With ``ties="position"`` the place in the source stands for a sequence that is not declared. It is taken here and
    not in bronze, so that records are judged without it: of equal records the kept one, the least by batch id and
    position, gives it. Batch ids are hashes of content, so the order of arrival has no say; the places in different
    sources are compared as numbers, the event id decides where they are equal.
    """
    sequence = pl.coalesce("sequence", "position") if settings.ties == "position" else pl.col("sequence").fill_null(0)
    accepted = side.records.filter(side.records["declared"] & reasons.is_null())
    things = accepted.select("id", "type", "time", "time_ambiguous", "batch", "position", sequence=sequence).sort("id")
    in_time = things.select(pl.arg_sort_by("time", "sequence", maintain_order=True)).to_series()
    return things.with_columns(_ranks(in_time))


def _ranks(order: pl.Series) -> pl.Series:
    """Give each row's place in an order of rows."""
    places = pl.int_range(len(order), dtype=pl.UInt32, eager=True).alias("rank")
    return pl.zeros(len(order), dtype=pl.UInt32, eager=True).alias("rank").scatter(order, places)


def _objects(side: Side, reasons: pl.Series) -> pl.DataFrame:
    """Give the accepted objects in the order of their ids."""
    accepted = side.records.filter(side.records["declared"] & reasons.is_null())
    return accepted.select("id", "type", "batch", "position", inferred=pl.lit(False)).sort("id")


def _infer(things: pl.DataFrame, events: tuple[Side, pl.Series], objects: tuple[Side, pl.Series]) -> pl.DataFrame:
    """Add the objects that nothing declares, but that something kept relates to or gives values for.

    Each side comes with the records that may tell of them: those kept and the copies of these, of which only one may
    tell the types of the objects that it names.
    """
    named = []
    for side, telling in (events, objects):
        kept = side.relations.filter(telling.gather(side.relations["row"]))
        place = side.records.select("batch", "position")[kept["row"]]
        named.append(kept.select(id="object_id", type="hint").hstack(place))
    side, telling = objects
    loose = (~side.records["declared"] & telling).arg_true()
    named.append(side.records.select("id", "type", "batch", "position")[loose])
    missing = (
        pl.concat(named)
        .join(things, on="id", how="anti")
        .filter(pl.col("id").str.contains(r"\S"))
        .sort("batch", "position")
        .group_by("id", maintain_order=True)
        .agg(
            pl.col("type").filter(pl.col("type").str.contains(r"\S")).min().fill_null(UNKNOWN_TYPE),
            pl.col("batch", "position").first(),
            inferred=pl.lit(True),
        )
    )
    return pl.concat([things, missing.select(things.columns)]).sort("id")


def _owners(side: Side, reasons: pl.Series, things: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Give the number of the accepted event or object that each record tells of, and the reason where there is none.

    A kept record tells of itself; one that declares nothing, of whatever has its id.
    """
    kept = side.records.select("id").with_columns(id=pl.when(reasons.is_null()).then("id"))
    numbered = things.select("id", owner=pl.int_range(pl.len(), dtype=pl.UInt32))
    owner = kept.join(numbered, on="id", how="left", maintain_order="left")["owner"]
    undeclared = Reason.UNDECLARED_EVENT if side.kind == "event" else Reason.UNDECLARED_OBJECT
    return owner, reasons.set(reasons.is_null() & owner.is_null(), undeclared.value)


def _event_objects(
    side: Side, reasons: pl.Series, owner: pl.Series, events: pl.DataFrame, objects: pl.DataFrame
) -> tuple[pl.Series, pl.DataFrame]:
    """Judge the E2O relations, and give the accepted ones in trace order."""
    # Numbered by rank, the order of one number made of both is the order of traces.
    source = events["rank"].gather(owner)
    verdict, rows, target, source = _connect(side, reasons, source, objects.select("id", number="rank"), by_target=True)
    event = events.select("rank", "id", "type", "time", "sequence").sort("rank")[source]
    thing = objects.select("rank", "id", "type").sort("rank")[target]
    frame = event.rename({"id": "event_id", "type": "activity"}).with_columns(
        thing["id"].alias("object_id"),
        thing["type"].alias("object_type"),
        side.relations["qualifier"].gather(rows).alias("qualifier"),
    )
    return verdict, _table("event_objects", frame)


def _object_objects(
    side: Side, reasons: pl.Series, owner: pl.Series, objects: pl.DataFrame
) -> tuple[pl.Series, pl.DataFrame]:
    """Judge the O2O relations, and give the accepted ones in the order of their ids."""
    numbered = objects.select("id", number=pl.int_range(pl.len(), dtype=pl.UInt32))
    verdict, rows, source, target = _connect(side, reasons, owner, numbered, by_target=False)
    frame = pl.DataFrame(
        {
            "source_id": objects["id"].gather(source),
            "target_id": objects["id"].gather(target),
            "qualifier": side.relations["qualifier"].gather(rows),
        }
    )
    return verdict, _table("object_objects", frame)


def _connect(
    side: Side, reasons: pl.Series, source: pl.Series, objects: pl.DataFrame, *, by_target: bool
) -> tuple[pl.Series, pl.Series, pl.Series, pl.Series]:
    """Find both ends of all relations of one kind of records.

    Parameters
    ----------
    side : Side
        The records.
    reasons, source : Series
        By record: why it is rejected, and the number of what it tells of.
    objects : DataFrame
        ``id``, ``number``: the accepted objects.
    by_target : bool
        Whether the order is by (target, source), else (source, target); then by qualifier.

    Returns
    -------
    Series, Series, Series, Series
        The reason of each relation, null for the accepted ones; then, in order, the accepted ones' rows in
        ``side.relations`` and the numbers of the ends, the first being what the order is by.
    """
    relations = side.relations
    target = relations.select(id="object_id").join(objects, on="id", how="left", maintain_order="left")["number"]
    verdict = reasons.gather(relations["row"])
    lost = (verdict.is_null() & target.is_null()).arg_true()
    if len(lost):
        unnamed = ~relations["object_id"].gather(lost).str.contains(r"\S").fill_null(False)
        codes = pl.select(pl.when(unnamed).then(reason(Reason.MISSING_ID)).otherwise(reason(Reason.UNDECLARED_OBJECT)))
        verdict = verdict.scatter(lost, codes.to_series())
    rows = verdict.is_null().arg_true()
    first, second = source.gather(relations["row"].gather(rows)), target.gather(rows)
    if by_target:
        first, second = second, first
    key = (first.cast(pl.UInt64) * 2**32 + second.cast(pl.UInt64)).alias("key")
    order = key.arg_sort()
    key, rows = key.gather(order), rows.gather(order)
    same = (key == key.shift(1)).fill_null(False)
    if same.any():
        rows, repeated = _by_qualifier(side, key, rows, same | same.shift(-1, fill_value=False))
        verdict = verdict.scatter(rows.filter(repeated), pl.Series([Reason.DUPLICATE.value], dtype=REASON))
        key, rows = key.filter(~repeated), rows.filter(~repeated)
    return verdict, rows, (key // 2**32).cast(pl.UInt32), (key % 2**32).cast(pl.UInt32)


def _by_qualifier(side: Side, key: pl.Series, rows: pl.Series, tied: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Order relations with the same ends by qualifier, and find those that occurred before.

    A relation of the declared record comes before one of a record that declares nothing, then the earlier one.
    """
    slots = tied.arg_true()
    ties = pl.DataFrame({"key": key.gather(slots), "row": rows.gather(slots)})
    ties = ties.with_columns(
        side.relations["qualifier"].gather(ties["row"]).alias("qualifier"),
        side.records["declared"].gather(side.relations["row"].gather(ties["row"])).alias("declared"),
    ).sort("key", "qualifier", "declared", "row", descending=[False, False, True, False])
    before = (pl.col("key") == pl.col("key").shift(1)) & (pl.col("qualifier") == pl.col("qualifier").shift(1))
    repeated = pl.repeat(False, len(rows), dtype=pl.Boolean, eager=True)
    return (
        rows.scatter(slots, ties["row"]),
        repeated.scatter(slots, ties.select(before.fill_null(False)).to_series()),
    )


def _types(name: str, column: str, batches: pl.DataFrame, things: pl.DataFrame) -> pl.DataFrame:
    """Give all types, declared or used."""
    declared = {kind for text in batches["declarations"].unique() for kind in json.loads(text)[name]}
    names = pl.concat([pl.Series(column, sorted(declared), dtype=pl.String), things["type"].unique().alias(column)])
    return names.unique().sort().to_frame()


def _type_attributes(name: str, column: str, declared: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    """Give the attributes of all types: as declared, else as used."""
    both = pl.concat([declared, used]).rename({"type": column})
    return _table(name, both.sort(column, "name"))


def _metadata(batches: pl.DataFrame) -> pl.DataFrame:
    """Give what the sources say about themselves."""
    telling = batches.select("batch_id", "metadata").filter(pl.col("metadata") != "{}")  # messages tell nothing
    rows = [
        (batch, name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for batch, text in telling.sort("batch_id").iter_rows()
        for name, value in sorted(json.loads(text).items())
    ]
    return pl.DataFrame(rows, schema=frame_schema("ocel.log_metadata"), orient="row")
