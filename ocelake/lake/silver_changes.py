"""What new bronze batches change in a log's silver tables, without computing the log again.

Silver is a function of the set of bronze records, id by id: what becomes of an event or object depends on all records
of its id, on which of the objects that it names are declared, and on the types that the log's attributes have. So the
records of the new batches are united with the earlier ones of the same ids, and with those that waited for an object
that is declared now; `ocelake.ocel.conform` computes these records as it computes a whole log, and the outcome is
compared with the published rows of the same ids.

Some things reach beyond the ids that a batch names: a declaration, an attribute that nobody declares and whose
narrowest type changes, a type that is used no more, and objects that are inferred from relations. Then nothing is given
here, and the log is computed as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from ocelake.lake.rows import among, difference
from ocelake.ocel.conform import Conformed, Surroundings, conform, declared_attributes
from ocelake.ocel.reasons import Reason
from ocelake.settings import LogSettings
from ocelake.tables import layer_tables

if TYPE_CHECKING:
    from ocelake.lake.lake import Lake
    from ocelake.lake.records import PublicationRecord

__all__ = ["SilverChanges", "Tables", "silver_changes"]

Tables: TypeAlias = Mapping[str, tuple[pl.DataFrame, pl.DataFrame]]
"""By table: the rows that go, and those that come."""

_MOST: Final = 0.2
"""Share of a log's records above which it is computed as a whole: that takes less time."""

_OF_EVENTS: Final = ("ocel.events", "ocel.event_objects", "ocel.event_attributes")
_OF_OBJECTS: Final = (
    ("ocel.objects", "object_id"),
    ("ocel.object_attributes", "object_id"),
    ("ocel.object_objects", "source_id"),
)
_EVENT_KINDS: Final = ("event", "e2o", "event_attribute")


@dataclass(frozen=True, slots=True, eq=False)
class SilverChanges:
    """What changes in silver.

    Attributes
    ----------
    tables : mapping of str to (DataFrame, DataFrame)
        For every table of the layer the rows that go and those that come.
    part : Conformed
        The records that were computed, in their final form, to be audited; among its objects are those that the records
        relate to, as inferred ones.
    """

    tables: Tables
    part: Conformed


def silver_changes(
    lake: Lake, silver: PublicationRecord, bronze: PublicationRecord, settings: LogSettings
) -> SilverChanges | None:
    """Compute what the batches that came since a silver publication change in it.

    Parameters
    ----------
    lake : Lake
    silver : PublicationRecord
        The log's newest silver publication.
    bronze : PublicationRecord
        A bronze publication that is not older than the one that silver was computed from.
    settings : LogSettings
        How the log is read now.

    Returns
    -------
    SilverChanges or None
        None where the log has to be computed as a whole.
    """
    if silver.settings != settings.model_dump(mode="json") or settings.undeclared_objects == "infer":
        return None
    return _Increment(lake, silver, bronze, settings).compute()


class _Increment:
    """One computation: what it reads, and at which publications."""

    def __init__(self, lake: Lake, silver: PublicationRecord, bronze: PublicationRecord, settings: LogSettings) -> None:
        self.lake, self.log_id, self.settings = lake, silver.log_id, settings
        self.silver = lake.moment(silver.publication_id)
        self.bronze = lake.moment(bronze.publication_id)
        self.rows = silver.rows
        self.new = pl.Series("batch_id", [], dtype=pl.String)

    def published(self, table: str, where: pl.Expr | None = None) -> pl.DataFrame:
        rows = self.lake.scan(table, self.log_id, as_of=self.silver)
        return (rows if where is None else rows.filter(where)).collect()

    def records(self, kind: str) -> pl.DataFrame:
        """Read the new records."""
        rows = self.lake.scan(f"bronze.{kind}_records", self.log_id, as_of=self.bronze)
        return rows.filter(among("batch_id", self.new)).collect()

    def all_records(self, kind: str, new: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
        """Add the earlier records of some ids to the new ones."""
        rows = self.lake.scan(f"bronze.{kind}_records", self.log_id, as_of=self.bronze)
        name = f"{kind}_id"
        # Most ids are new: the whole records are read of those alone that are not.
        there = rows.select("batch_id", name).filter(among(name, ids)).collect()
        earlier = there.filter(~pl.col("batch_id").is_in(self.new.implode()))[name].unique()
        if earlier.is_empty():
            return new
        wanted = among(name, earlier) & ~pl.col("batch_id").is_in(self.new.implode())
        return pl.concat([new, rows.filter(wanted).collect()])

    def compute(self) -> SilverChanges | None:
        batches = self.lake.read("bronze.batches", self.log_id, as_of=self.bronze)
        accounted = self.published("silver.accounting")
        new = batches.join(accounted, on="batch_id", how="anti")
        brought = sum(new["event_records"]) + sum(new["object_records"])
        if brought > _MOST * (self.rows["ocel.events"] + self.rows["ocel.objects"]) or self._declares(batches, new):
            return None
        self.new = new["batch_id"]
        new_events, new_objects = (self.records(kind) for kind in ("event", "object"))
        event_ids, object_ids = _ids(new_events["event_id"]), _ids(new_objects["object_id"])
        held = self.published("silver.quarantine")
        waiting = _waiting(held, object_ids)
        event_ids, object_ids = _united(event_ids, waiting[0]), _united(object_ids, waiting[1])
        earlier = self.published("ocel.objects", among("object_id", object_ids))
        while True:
            events = self.all_records("event", new_events, event_ids)
            objects = self.all_records("object", new_objects, object_ids)
            surroundings = self._surroundings(events, objects, object_ids)
            part = conform(events, objects, batches, self.settings, within=surroundings)
            moved = part.ocel.objects.join(earlier, on="object_id").filter(
                pl.col("object_type") != pl.col("object_type_right")
            )["object_id"]
            # The type of an object is in every relation that leads to it.
            related = self.published("ocel.event_objects", among("object_id", moved))["event_id"]
            united = _united(event_ids, related) if len(moved) else event_ids
            if len(united) == len(event_ids):
                break
            event_ids = united
        tables = self._rows(part.ocel.frames(), event_ids, earlier)
        records = _Records(events, objects, batches, surroundings.objects)
        types = self._types(part, tables, records)
        if types is None:
            return None
        ours = _records_of(held, events, objects)
        quarantine = difference(ours, part.quarantine)
        known = surroundings.objects.with_columns(inferred=True, batch_id=pl.lit(""), position=pl.lit(0, pl.Int64))
        kinds = pl.concat([part.ocel.object_types, known.select("object_type")]).unique()
        named = pl.concat([part.ocel.objects, known.select(part.ocel.objects.columns)])
        ocel = replace(part.ocel, objects=named, object_types=kinds)
        told = part.ocel.log_metadata.join(new, on="batch_id", how="semi")
        found = {
            **tables,
            **types,
            "ocel.log_metadata": (told.clear(), told),
            "silver.quarantine": quarantine,
            "silver.accounting": _accounting(accounted, part.accounting, new, quarantine),
        }
        touched = pl.concat([events["batch_id"], objects["batch_id"], new["batch_id"]]).unique()
        account = part.accounting.filter(pl.col("batch_id").is_in(touched.implode()))
        return SilverChanges(
            {spec.identifier: found[spec.identifier] for spec in layer_tables("silver")},
            Conformed(ocel, part.quarantine, account),
        )

    def _declares(self, batches: pl.DataFrame, new: pl.DataFrame) -> bool:
        """Whether the new batches declare an attribute, or a type of one, that was not declared before."""
        earlier = batches.join(new, on="batch_id", how="anti")
        pairs = zip(declared_attributes(batches), declared_attributes(earlier), strict=True)
        return any(
            len(now) != len(before) or len(now.join(before, on=now.columns)) != len(now) for now, before in pairs
        )

    def _surroundings(self, events: pl.DataFrame, objects: pl.DataFrame, object_ids: pl.Series) -> Surroundings:
        """Look up the objects that records relate to, and the types that attributes have so far."""
        named = [
            frame.select(pl.col("relationships").list.explode().struct.field("object_id")).to_series()
            for frame in (events, objects)
        ]
        others = _ids(pl.concat(named))
        others = others.filter(~others.is_in(object_ids.implode()))
        known = self.published("ocel.objects", among("object_id", others))
        types = []
        for table, column in (
            ("ocel.event_type_attributes", "activity"),
            ("ocel.object_type_attributes", "object_type"),
        ):
            types.append(self.published(table).select(type=column, name="name", value_type="value_type"))
        return Surroundings(known.select("object_id", "object_type"), *types)

    def _rows(
        self, frames: object, event_ids: pl.Series, earlier: pl.DataFrame
    ) -> dict[str, tuple[pl.DataFrame, pl.DataFrame]]:
        """Compare the rows of the computed ids with the published ones."""
        after: dict[str, pl.DataFrame] = dict(frames)  # type: ignore[call-overload]  # pairs of name and frame
        changes = {}
        known = self.published("ocel.events", among("event_id", event_ids))
        for table in _OF_EVENTS:
            before = known
            if table != "ocel.events":
                before = after[table].clear()
                if len(known):
                    before = self.published(table, among("event_id", known["event_id"]))
            changes[table] = difference(before, after[table])
        for table, column in _OF_OBJECTS:
            before = earlier
            if table != "ocel.objects":
                before = after[table].clear()
                if len(earlier):
                    before = self.published(table, among(column, earlier["object_id"]))
            changes[table] = difference(before, after[table])
        return changes

    def _types(
        self, part: Conformed, tables: Tables, records: _Records
    ) -> dict[str, tuple[pl.DataFrame, pl.DataFrame]] | None:
        """Compare the types and their attributes; None where one may be used no more, or have another type now."""
        changes, frames = {}, dict(part.ocel.frames())
        for thing, column in (("event", "activity"), ("object", "object_type")):
            names = f"ocel.{thing}_types", f"ocel.{thing}_type_attributes"
            types, attributes = (self.published(name) for name in names)
            used = frames[names[1]].join(attributes, on=[column, "name"], how="left", suffix="_before")
            if used.filter(pl.col("value_type") != pl.col("value_type_before")).height:
                return None
            if self._vanishes(f"ocel.{thing}s", column, *tables[f"ocel.{thing}s"]):
                return None
            if not self._as_wide(thing, column, attributes, records):
                return None
            fresh = used.filter(pl.col("value_type_before").is_null()).select(attributes.columns)
            changes[names[0]] = types.clear(), frames[names[0]].join(types, on=column, how="anti")
            changes[names[1]] = attributes.clear(), fresh
        return changes

    def _vanishes(self, table: str, column: str, went: pl.DataFrame, came: pl.DataFrame) -> bool:
        """Whether the last event or object of a type may go."""
        lost = went.join(came, on=column, how="anti").group_by(column).len()
        if lost.is_empty():
            return False
        there = self.published(table, among(column, lost[column])).group_by(column).len()
        return lost.join(there, on=[column, "len"], how="semi").height > 0

    def _as_wide(self, thing: str, column: str, attributes: pl.DataFrame, records: _Records) -> bool:
        """Whether attributes keep their type although what earlier records told may hold no more.

        A type is kept where the values of these records need now what they needed before, or need it as it is. Floats
        are needed by others than these records where these had nothing but integers before.
        """
        key = [column, "name"]
        declared = declared_attributes(records.batches)[0 if thing == "event" else 1].rename({"type": column})
        loose = attributes.join(declared, on=key, how="anti")
        before = records.since(self.new)
        if loose.is_empty() or not before.tell_values(thing):
            return True
        then, now = (self._own_types(thing, some) for some in (before, records))
        pairs = then.join(now, on=key, how="left", suffix="_now").join(loose, on=key, suffix="_published")
        kept = (
            (pl.col("value_type_now") == pl.col("value_type"))
            | (pl.col("value_type_now") == pl.col("value_type_published"))
            | ((pl.col("value_type_published") == "float") & (pl.col("value_type") == "integer"))
        )
        return pairs.filter(~kept.fill_null(False)).is_empty()

    def _own_types(self, thing: str, records: _Records) -> pl.DataFrame:
        """Give the attributes that records use, with the types that these alone ask for."""
        nothing = pl.DataFrame(schema={"type": pl.String, "name": pl.String, "value_type": pl.String})
        alone = Surroundings(records.known, nothing, nothing)
        frames = conform(records.events, records.objects, records.batches, self.settings, within=alone).ocel.frames()
        return dict(frames)[f"ocel.{thing}_type_attributes"]


@dataclass(frozen=True, slots=True, eq=False)
class _Records:
    """The records that are computed, all batches of the log, and the other objects that they relate to."""

    events: pl.DataFrame
    objects: pl.DataFrame
    batches: pl.DataFrame
    known: pl.DataFrame

    def tell_values(self, thing: str) -> bool:
        """Whether any record of events, or of objects, has a value of an attribute."""
        records = self.events if thing == "event" else self.objects
        return records["attributes"].list.len().sum() > 0

    def since(self, new: pl.Series) -> _Records:
        """Give the records as they were before some batches came."""
        earlier = ~pl.col("batch_id").is_in(new.implode())
        return replace(self, events=self.events.filter(earlier), objects=self.objects.filter(earlier))


def _ids(ids: pl.Series) -> pl.Series:
    return ids.drop_nulls().unique().alias("id")


def _united(ids: pl.Series, others: pl.Series) -> pl.Series:
    return _ids(pl.concat([ids.alias("id"), others.alias("id")]))


def _waiting(held: pl.DataFrame, objects: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Give the events and objects of which a relation waits for one of some objects."""
    waits = held.filter(pl.col("reason") == Reason.UNDECLARED_OBJECT.value, pl.col("record_kind").is_in(["e2o", "o2o"]))
    named = waits.select(
        "record_kind",
        target=pl.col("raw").str.json_path_match("$.object_id"),
        event=pl.col("raw").str.json_path_match("$.event_id"),
        source=pl.col("raw").str.json_path_match("$.source_id"),
    ).filter(pl.col("target").is_in(objects.implode()))
    return _ids(named["event"]), _ids(named["source"])


def _records_of(held: pl.DataFrame, events: pl.DataFrame, objects: pl.DataFrame) -> pl.DataFrame:
    """Give the quarantined rows of some records."""
    place = ["batch_id", "position"]
    of_events = pl.col("record_kind").is_in(_EVENT_KINDS)
    return pl.concat(
        [
            held.filter(of_events).join(events, on=place, how="semi"),
            held.filter(~of_events).join(objects, on=place, how="semi"),
        ]
    )


def _accounting(
    accounted: pl.DataFrame, part: pl.DataFrame, new: pl.DataFrame, quarantine: tuple[pl.DataFrame, pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Account for the new batches, and move what is accepted or quarantined now between the sums of earlier ones."""
    key = ["batch_id", "record_kind"]
    went, came = (
        frame.join(new, on="batch_id", how="anti").group_by(key).agg(pl.len().cast(pl.Int64) * sign)
        for frame, sign in zip(quarantine, (-1, 1), strict=True)
    )
    moved = pl.concat([went, came]).group_by(key).agg(pl.col("len").sum()).filter(pl.col("len") != 0)
    before = accounted.join(moved, on=key, how="semi")
    after = before.join(moved, on=key).with_columns(
        accepted=pl.col("accepted") - pl.col("len"), quarantined=pl.col("quarantined") + pl.col("len")
    )
    fresh = part.join(new, on="batch_id", how="semi")
    return before, pl.concat([after.select(fresh.columns), fresh])
