"""Records from the tables of a relational log: values and relations nested in the event or object that they belong to.

Everything is done on whole columns: child rows get the position of their record, are put in that order, and become
lists by their offsets. Rows whose record is not there make one of their own (``declared`` is False), so that nothing is
lost on the way; what to think of them is `ocelake.ocel.conform`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ocelake.ocel.cells import CELL, RESERVED, cells
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD, Declarations, ReaderOutput, Records
from ocelake.ocel.relational import RelationalLog, ValueTable
from ocelake.tables import ATTRIBUTE, RELATIONSHIP

__all__ = ["nested_records"]

_CHUNK: Final = 100_000
_BASE: Final = pl.Schema({"id": pl.String, "type": pl.String, "time": pl.String, "declared": pl.Boolean})

_Index = npt.NDArray[np.int64]


def nested_records(log: RelationalLog, *, chunk: int = _CHUNK) -> ReaderOutput:
    """Build the records of a relational log.

    Parameters
    ----------
    log : RelationalLog
        Its tables; they are read events first, so that not all are in memory at once.
    chunk : int
        Records per chunk.

    Yields
    ------
    Records or Declarations
        Events, then objects, in the order of their tables, then what only other tables know of.

    Notes
    -----
    Several rows of values for one event are several records; the first has the relations. Several rows for one object
    are its states and changes (see `ocelake.ocel.cells.cells`).
    """
    metadata = dict(log.metadata)
    event_types = _copied(log.event_types)
    object_types = _copied(log.object_types)
    for events in _read_side("event", log, event_types, metadata).chunks(chunk):
        yield Records(events=events)
    for objects in _read_side("object", log, object_types, metadata).chunks(chunk):
        yield Records(objects=objects)
    yield Declarations(event_types, object_types, metadata)


@dataclass(frozen=True, slots=True, eq=False)
class _Children:
    """Flat rows in the order of the records that they belong to: record ``i`` has ``offsets[i]:offsets[i + 1]``."""

    frame: pl.DataFrame
    offsets: _Index

    def nested(self, start: int, stop: int, dtype: pl.Struct) -> pl.Series:
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        missing = (pl.lit(None, pl.String).alias(f.name) for f in dtype.fields if f.name not in self.frame.columns)
        rows = self.frame.slice(first, last - first).with_columns(missing).select(f.name for f in dtype.fields)
        structs = rows.to_struct().to_arrow(compat_level=pl.CompatLevel.newest())
        lists = pa.LargeListArray.from_arrays(pa.array(self.offsets[start : stop + 1] - first), structs)
        return pl.Series(pl.from_arrow(lists), dtype=pl.List(dtype))


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """All records of one kind: their own columns, and their values and relations."""

    schema: pl.Schema
    base: pl.DataFrame
    values: _Children
    relations: _Children

    def chunks(self, size: int) -> Iterator[pl.DataFrame]:
        for start in range(0, self.base.height, size):
            part = self.base.slice(start, size)
            stop = start + part.height
            part = part.with_columns(
                pl.int_range(start, stop, dtype=pl.Int64).alias("position"),
                self.values.nested(start, stop, ATTRIBUTE).alias("attributes"),
                self.relations.nested(start, stop, RELATIONSHIP).alias("relationships"),
            )
            missing = (pl.lit(None, self.schema[name]).alias(name) for name in self.schema if name not in part.columns)
            yield part.with_columns(missing).select(self.schema.names())


@dataclass(frozen=True, slots=True)
class _Untyped:
    """What a table declares whose rows are of several types, and the range of its rows."""

    declared: Mapping[str, str]
    start: int
    stop: int


def _read_side(kind: str, log: RelationalLog, types: dict[str, dict[str, str]], metadata: dict[str, str]) -> _Side:
    """Read the tables of one kind and give every row its record; note what they declare."""
    is_event = kind == "event"
    table = log.events() if is_event else log.objects()
    own, _ = cells(table, kind, reserved=("ocel_type",))
    base = table.frame.select(
        pl.col("ocel_id").alias("id"),
        pl.col("ocel_type").alias("type"),
        _column(table.frame, "ocel_time").alias("time"),
        pl.lit(True).alias("declared"),
    )
    rows, values, untyped, malformed = _read_values(
        kind, log.event_values if is_event else log.object_values, types, metadata
    )
    base, parents = (_place_events if is_event else _place_objects)(base, rows)
    edges = log.event_objects() if is_event else log.object_objects()
    source, target = ("ocel_event_id", "ocel_object_id") if is_event else ("ocel_source_id", "ocel_target_id")
    if "ocel_row" in edges.frame.columns:
        sources = edges.frame["ocel_row"].to_numpy()
    else:
        base, sources = _place_sources(base, edges.frame[source])
    relations = {"object_id": target, "qualifier": "ocel_qualifier", "object_type": "ocel_type"}
    related = edges.frame.select(pl.col(old).alias(new) for new, old in relations.items() if old in edges.frame.columns)

    for name in base["type"].unique(maintain_order=True).drop_nulls():
        types.setdefault(name, {})
    values = values.with_columns(pl.Series("parent", parents[values["row"].to_numpy()], pl.Int64))
    own = own.with_columns(pl.col("row").alias("parent"))
    _declare_used(types, base["type"], own, table.declared)
    for part in untyped:
        inside = values.filter(pl.col("row").is_between(part.start, part.stop - 1))
        _declare_used(types, base["type"], inside, part.declared)
    values = pl.concat([own, values]) if own.height else values

    raw = [*table.malformed, *malformed, *edges.malformed]
    broken = pl.DataFrame({"raw": raw}, schema={"raw": pl.String}).with_columns(
        pl.lit("malformed").alias("defect"), pl.lit(True).alias("declared")
    )
    base = pl.concat([base, broken], how="diagonal") if raw else base
    unused = ["row", "parent", *(["time"] if is_event else [])]
    names = {"id": "event_id", "type": "activity"} if is_event else {"id": "object_id", "type": "object_type"}
    return _Side(
        EVENT_RECORD if is_event else OBJECT_RECORD,
        (base if is_event else base.drop("time")).rename(names),
        _children(values.drop(unused), values["parent"].to_numpy(), base.height),
        _children(related, sources, base.height),
    )


def _read_values(
    kind: str, tables: Iterable[ValueTable], types: dict[str, dict[str, str]], metadata: dict[str, str]
) -> tuple[pl.DataFrame, pl.DataFrame, list[_Untyped], list[str]]:
    """Read the tables of values one after the other: their rows' ids, types and times, and their values.

    What a table of one type declares is added to `types`; for the others the third thing given says it.
    """
    rows = [pl.DataFrame(schema={"id": pl.String, "type": pl.String, "time": pl.String})]
    values, untyped, malformed = [CELL.to_frame()], list[_Untyped](), list[str]()
    start = 0
    for source in tables:
        table = source.load()
        frame = table.frame
        typed = pl.lit(source.type, pl.String) if source.type is not None else _column(frame, "ocel_type")
        time = _column(frame, "ocel_time")
        rows.append(frame.select(pl.col("ocel_id").alias("id"), typed.alias("type"), time.alias("time")))
        found, contradictions = cells(table, kind, reserved=() if source.type is not None else ("ocel_type",))
        values.append(found.with_columns(pl.col("row") + start))
        if contradictions:
            metadata[f"ignored:values:{table.name}"] = (
                f"{contradictions} values beside the changed field differ from the state before"
            )
        if source.type is None:
            untyped.append(_Untyped(table.declared, start, start + frame.height))
        else:
            attributes = types.setdefault(source.type, {})
            for name in frame.columns:
                empty = frame[name].null_count() == frame.height
                value_type = table.declared.get(name) or ("string" if empty else None)
                if name not in RESERVED[kind] and value_type is not None:
                    attributes.setdefault(name, value_type)
        malformed.extend(table.malformed)
        start += frame.height
    return pl.concat(rows), pl.concat(values), untyped, malformed


def _place_events(base: pl.DataFrame, rows: pl.DataFrame) -> tuple[pl.DataFrame, _Index]:
    """Give each row of values its event record: the k-th row of an id is that of the k-th event with this id.

    Rows beyond that, and those of undeclared events, are records of their own.
    """
    at = _match(base, rows)
    parents = at.copy()
    if np.bincount(at[at >= 0], minlength=1).max() > 1:
        first = _match(base, base)
        events = pl.DataFrame({"at": first}).with_row_index("event").filter(pl.col("at") >= 0)
        other_type = (base["type"].gather(np.maximum(at, 0)) != rows["type"]).fill_null(value=False)
        found = pl.DataFrame({"at": at, "other": other_type}).with_row_index("row").filter(pl.col("at") >= 0)
        nth = pl.int_range(pl.len()).over("at").alias("nth")
        pairs = found.sort("other", maintain_order=True).with_columns(nth)
        pairs = pairs.join(events.with_columns(nth), on=["at", "nth"], how="left").select("row", "event")
        parents[pairs["row"].to_numpy()] = pairs["event"].cast(pl.Int64).fill_null(-1).to_numpy()
    own = parents >= 0
    row_of = np.full(base.height, -1, dtype=np.int64)
    row_of[parents[own]] = np.nonzero(own)[0]
    of = pl.Series(row_of, dtype=pl.Int64)
    of = of.set(of < 0, None)
    base = base.with_columns(
        pl.coalesce("type", rows["type"].gather(of)), pl.coalesce(rows["time"].gather(of), "time").alias("time")
    )
    # Extra rows of declared events come before those of undeclared ones: relations go to the first record of an id.
    extra = np.concatenate([np.nonzero(~own & (at >= 0))[0], np.nonzero(at < 0)[0]])
    if extra.size:
        known = pl.Series(at[extra] >= 0)
        told = base["type"].gather(pl.Series(at[extra], dtype=pl.Int64).set(~known, None))
        more = rows[extra].with_columns(pl.coalesce("type", told).alias("type"), known.alias("declared"))
        parents[extra] = base.height + np.arange(extra.size)
        base = pl.concat([base, more.select(base.columns)])
    return base, parents


def _place_objects(base: pl.DataFrame, rows: pl.DataFrame) -> tuple[pl.DataFrame, _Index]:
    """Give each row of values its object record; undeclared objects get one each."""
    parents = _match(base, rows)
    missing = rows[np.nonzero(parents < 0)[0]]
    if missing.height:
        more = missing.unique("id", keep="first", maintain_order=True)
        parents[parents < 0] = base.height + _locate(missing["id"], more["id"], nulls=True)
        more = more.with_columns(pl.lit(None, pl.String).alias("time"), pl.lit(False).alias("declared"))
        base = pl.concat([base, more.select(base.columns)])
    if base["type"].null_count():
        told = pl.DataFrame({"at": parents, "told": rows["type"]}).drop_nulls("told").unique("at", keep="first")
        at = pl.int_range(pl.len(), dtype=pl.Int64).alias("at")
        base = base.with_columns(at).join(told, on="at", how="left", maintain_order="left")
        base = base.select("id", pl.coalesce("type", "told").alias("type"), "time", "declared")
    return base, parents


def _place_sources(base: pl.DataFrame, sources: pl.Series) -> tuple[pl.DataFrame, _Index]:
    """Give each relation the first record of its source's id; undeclared sources get a record each."""
    parents = _locate(sources, base["id"])
    missing = sources.gather(np.nonzero(parents < 0)[0])
    if missing.len():
        ids = missing.unique(maintain_order=True)
        parents[parents < 0] = base.height + _locate(missing, ids, nulls=True)
        more = pl.DataFrame({"id": ids, "declared": False}, schema_overrides={"declared": pl.Boolean})
        base = pl.concat([base, more], how="diagonal")
    return base, parents


def _match(base: pl.DataFrame, rows: pl.DataFrame) -> _Index:
    """Give the first record with a row's id, of its type where ids occur with several; -1 for none."""
    at = _locate(rows["id"], base["id"])
    if base["id"].n_unique() < base.height:
        typed = base.select("id", "type").with_row_index("at").unique(["id", "type"], keep="first", maintain_order=True)
        exact = rows.select("id", "type").join(typed, on=["id", "type"], how="left", maintain_order="left")["at"]
        at = np.where(exact.is_not_null().to_numpy(), exact.cast(pl.Int64).fill_null(-1).to_numpy(), at)
    return at


def _locate(keys: pl.Series, ids: pl.Series, *, nulls: bool = False) -> _Index:
    """Give the index of the first equal id for each key, -1 for none; null is equal to null only on demand.

    Tables mostly have the rows of one id together, so each run of equal keys is looked up once.
    """
    if not keys.len():
        return np.zeros(0, dtype=np.int64)
    starts = pl.concat([pl.Series([True]), keys.slice(1).ne_missing(keys.slice(0, keys.len() - 1))])
    first = pl.DataFrame({"id": ids}).with_row_index("at").unique("id", keep="first")
    heads = pl.DataFrame({"id": keys.filter(starts)})
    at = heads.join(first, on="id", how="left", maintain_order="left", nulls_equal=nulls)["at"]
    found = at.cast(pl.Int64).fill_null(-1).gather(starts.cum_sum() - 1)
    return np.array(found.to_numpy(), dtype=np.int64)


def _children(frame: pl.DataFrame, parents: _Index, count: int) -> _Children:
    """Put child rows in the order of their records, and within it in their own."""
    if parents.size and (parents[1:] < parents[:-1]).any():
        frame = frame[np.argsort(parents, kind="stable")]
    offsets = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(parents, minlength=count), out=offsets[1:])
    return _Children(frame, offsets)


def _declare_used(
    types: dict[str, dict[str, str]], type_of: pl.Series, values: pl.DataFrame, declared: Mapping[str, str]
) -> None:
    """Declare, for the types of several in one table, the columns that they have values in."""
    if not declared:
        return
    used = values.select(type_of.gather(values["parent"]).alias("type"), "name").unique(maintain_order=True)
    for type_name, name in used.drop_nulls().iter_rows():
        if name in declared:
            types[type_name].setdefault(name, declared[name])


def _copied(types: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    return {name: dict(attributes) for name, attributes in types.items()}


def _column(frame: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name) if name in frame.columns else pl.lit(None, pl.String)
