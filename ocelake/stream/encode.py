"""A log as messages in time order: each event and each object is one, and an object comes before its first event.

What becomes of messages, and when, is `ocelake.stream.produce`'s matter; what they mean, `ocelake.stream.decode`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from types import ModuleType
from typing import Final, Literal, TypeAlias, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ocelake.errors import SettingError
from ocelake.ocel.json_records import Row
from ocelake.ocel.json_writer import message_markup
from ocelake.ocel.layout import Grouped, pieces, put
from ocelake.ocel.model import Ocel
from ocelake.stream import avro, protobuf
from ocelake.stream.registry import Registry, framed
from ocelake.stream.settings import KafkaSettings

__all__ = ["Batch", "Encoder", "Part", "encode_json", "encoder", "messages"]

_BATCH: Final = 20_000
_WRITERS: Final[dict[str, tuple[Literal["AVRO", "PROTOBUF"], ModuleType]]] = {
    "avro": ("AVRO", avro),
    "protobuf": ("PROTOBUF", protobuf),
}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some events, or some objects, with what belongs to them.

    Attributes
    ----------
    kind : {"event", "object"}
        Which.
    heads : DataFrame
        ``record``, ``id``, ``type``, and of events ``time`` and ``sequence``.
    values, relations : DataFrame
        As in their tables, by ``record``; ``starts`` is whether a row is its record's first.
    """

    kind: Literal["event", "object"]
    heads: pl.DataFrame
    values: pl.DataFrame
    relations: pl.DataFrame


Encoder: TypeAlias = Callable[[Part], list[bytes]]
"""Gives the message of each record, in their order."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some messages, in their order.

    Attributes
    ----------
    keys : list of str
        The event's or object's id, so that what tells of one thing stays in order.
    values : list of bytes
    times : array of int
        The time of the event, or of the event that needs the object, in microseconds since 1970; not falling.
    """

    keys: list[str]
    values: list[bytes]
    times: NDArray[np.int64]


def messages(ocel: Ocel, encode: Encoder) -> Iterator[Batch]:
    """Give a log as messages.

    Reading all of them gives the log's events, objects, relations and values again. Types that nothing has, and the
    log's metadata, are not told; an attribute with values of several types that no common one holds becomes text.

    Parameters
    ----------
    ocel : Ocel
        The log. An object's message tells its values of all times.
    encode : function of Part
        Writes some of them.

    Yields
    ------
    Batch
        Events in the order of the log, each object just before its first event, objects without any at the beginning.
    """
    events, first = _events(ocel), _first_events(ocel)
    sides = _Side.of_events(ocel, events), _Side.of_objects(ocel, first)
    # An object stands before the event of the same number.
    place = np.concatenate([2 * np.arange(len(events)) + 1, 2 * first["event"].to_numpy()])
    order = np.argsort(place, kind="stable")
    is_event = order < len(events)
    times = events["time"].dt.epoch("us").to_numpy()
    done = [0, 0]
    for start in range(0, len(order), _BATCH):
        chosen = is_event[start : start + _BATCH]
        parts, ends = [], []
        for index, (side, count) in enumerate(zip(sides, (chosen.sum(), (~chosen).sum()), strict=True)):
            ends.append(done[index] + int(count))
            parts.append(side.part(done[index], ends[index]))
        done = ends
        keys = _merged(chosen, *(part.heads["id"].to_list() for part in parts))
        values = _merged(chosen, *(encode(part) for part in parts))
        needed = np.maximum(place[order[start : start + _BATCH]] // 2, 0)
        yield Batch(keys, values, times[needed] if len(times) else np.zeros(len(keys), np.int64))


def encoder(form: str, topic: str, settings: KafkaSettings | None = None) -> Encoder:
    """Give the encoder of a message format; a schema is registered for the topic where the format has one.

    Parameters
    ----------
    form : {"json", "avro", "protobuf"}
        What the messages are to be written in.
    topic : str
        Where they go.
    settings : KafkaSettings, optional
        Where the schemas of Avro and Protobuf are; by default what the environment says.

    Raises
    ------
    SettingError
        Where there is no such format, or no registry is named.
    Unreachable, StreamError
        Where the registry does not answer, or refuses.
    """
    if form == "json":
        return encode_json
    if form not in _WRITERS:
        raise SettingError(f"{form!r} is no format of messages.", fix=f"Use json, {' or '.join(_WRITERS)}.")
    kind, module = _WRITERS[form]
    head = framed(Registry(settings or KafkaSettings.load()).register(topic, module.schema_text(), kind))
    write = module.writer()
    return lambda part: [head + write(row) for row in _rows(part)]


def encode_json(part: Part) -> list[bytes]:
    """Write records as OCEL 2.0 JSON, one message each."""
    written = pieces(message_markup(part.kind), part.heads, part.values, part.relations)
    buffer = BytesIO()
    put(buffer, written["text"])
    data = buffer.getvalue()
    ends = np.cumsum(written["text"].str.len_bytes().to_numpy(), dtype=np.int64)
    last = np.flatnonzero(np.diff(written["record"].to_numpy(), append=-1))
    bounds = [0, *ends[last].tolist()]
    return [data[start:end] for start, end in pairwise(bounds)]


def _rows(part: Part) -> list[Row]:
    """Give records as rows of `ocelake.ocel.records.MESSAGE_RECORD`, with times as instants."""
    timed, target = (False, "object_id") if part.kind == "event" else (True, "target_id")
    none = pl.lit(None, pl.String)
    values = part.values.group_by("record", maintain_order=True).agg(
        attributes=pl.struct("name", "value", pl.col("value_type").cast(pl.String), time="time" if timed else none)
    )
    relations = part.relations.group_by("record", maintain_order=True).agg(
        relationships=pl.struct("qualifier", object_id=target, object_type="object_type" if not timed else none)
    )
    own = {} if part.kind == "event" else {"time": none, "sequence": none}
    heads = part.heads.with_columns(kind=pl.lit(part.kind), version=none, **own)
    for nested in (values, relations):
        heads = heads.join(nested, on="record", how="left", maintain_order="left")
    return heads.with_columns(pl.col("attributes", "relationships").fill_null([])).to_dicts()


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """All events, or all objects, in the order of their messages."""

    kind: Literal["event", "object"]
    heads: pl.DataFrame
    values: Grouped
    relations: Grouped

    @classmethod
    def of_events(cls, ocel: Ocel, events: pl.DataFrame) -> _Side:
        ids = events["id"]
        values = Grouped.under(ids, ocel.event_attributes, "event_id")
        return cls("event", events, values, Grouped.under(ids, ocel.event_objects, "event_id"))

    @classmethod
    def of_objects(cls, ocel: Ocel, objects: pl.DataFrame) -> _Side:
        ids = objects["id"]
        values = Grouped.under(ids, ocel.object_attributes, "object_id")
        return cls("object", objects, values, Grouped.under(ids, ocel.object_objects, "source_id"))

    def part(self, first: int, end: int) -> Part:
        heads = self.heads[first:end].with_columns(record=pl.int_range(first, end, dtype=pl.UInt32))
        return Part(self.kind, heads, self.values.within(first, end), self.relations.within(first, end))


def _events(ocel: Ocel) -> pl.DataFrame:
    return ocel.events.select("time", "sequence", id="event_id", type="activity").sort("time", "sequence", "id")


def _first_events(ocel: Ocel) -> pl.DataFrame:
    """Give the objects in the order of their first events, with the event's number; -1 where there is none."""
    numbered = _events(ocel).select(event_id="id", event=pl.int_range(pl.len(), dtype=pl.Int64))
    first = (
        ocel.event_objects.select("event_id", "object_id")
        .join(numbered, on="event_id", how="left")
        .group_by("object_id")
        .agg(pl.col("event").min())
    )
    objects = ocel.objects.select("object_id", type="object_type").join(first, on="object_id", how="left")
    return objects.select(pl.col("event").fill_null(-1), "type", id="object_id").sort("event", "id")


def _merged(from_first: NDArray[np.bool_], first: list[_T], second: list[_T]) -> list[_T]:
    """Take items from two lists in turn."""
    one, other = iter(first), iter(second)
    return [next(one) if taken else next(other) for taken in from_first.tolist()]
