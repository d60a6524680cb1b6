"""Recording a simulated process as whole columns, and building the log from them.

What happens, and when, is decided in `ocelake.ocel.generate`; here it is numbered, put in order, cut and laid out as
the frames of an `Ocel`. Objects are integer codes, in the order of (object type, id), until the very end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.ocel.model import Ocel, frame_schema
from ocelake.tables import TIMESTAMP

__all__ = ["Column", "Integers", "Simulation"]

Integers: TypeAlias = npt.NDArray[np.int64]
Column: TypeAlias = npt.NDArray[Any]

_BATCH: Final = "generated"
_EVENT_BITS: Final = 32
_QUALIFIER_BITS: Final = 6


@dataclass
class Simulation:
    """What has happened so far.

    The events of each step are appended together, step by step in the order of the process; sorting stably by time
    then keeps ties in that order, and so do the event ids.

    Attributes
    ----------
    counts : dict of str to int
        Object type to number of objects, in the order of the types' names.
    event_attributes, object_attributes : mapping
        Type to attribute to value type.
    """

    counts: dict[str, int]
    event_attributes: Mapping[str, Mapping[str, str]]
    object_attributes: Mapping[str, Mapping[str, str]]
    size: int = 0
    _steps: list[tuple[str, Integers]] = field(default_factory=list)
    _relations: list[tuple[Integers, Integers, str]] = field(default_factory=list)
    _links: list[tuple[Integers, Integers, str]] = field(default_factory=list)
    _event_values: list[pl.DataFrame] = field(default_factory=list)
    _object_values: list[pl.DataFrame] = field(default_factory=list)

    def first(self, object_type: str) -> int:
        """The code of the type's first object."""
        return sum(count for name, count in self.counts.items() if name < object_type)

    def codes(self, object_type: str) -> Integers:
        """The codes of all objects of the type."""
        return np.arange(self.counts[object_type]) + self.first(object_type)

    def happen(self, activity: str, time: Integers, values: Mapping[str, Column] | None = None) -> Integers:
        """Log one event per time (seconds since 1970), with their attributes' values; give their numbers."""
        numbers = np.arange(self.size, self.size + len(time))
        self.size += len(time)
        self._steps.append((activity, time))
        for name, column in (values or {}).items():
            self._event_values.append(_values(numbers, name, self.event_attributes[activity][name], column))
        return numbers

    def relate(self, events: Integers, objects: Integers, qualifier: str) -> None:
        """Relate each event to the object beside it."""
        self._relations.append((events, objects, qualifier))

    def link(self, sources: Integers, targets: Integers, qualifier: str) -> None:
        """Relate each object to the one beside it."""
        self._links.append((sources, targets, qualifier))

    def value(
        self, object_type: str, name: str, objects: Integers, column: Column, time: Integers | None = None
    ) -> None:
        """Give each object a value: from a time on (seconds since 1970), or from the start."""
        frame = _values(objects, name, self.object_attributes[object_type][name], column)
        seconds = pl.lit(None, TIMESTAMP) if time is None else _instants(time)
        self._object_values.append(frame.with_columns(time=seconds))

    def cut(self, events: int, permanent: tuple[str, ...]) -> Ocel:
        """Build the log of the first events.

        Parameters
        ----------
        events : int
            How many.
        permanent : tuple of str
            Types whose objects exist whether or not anything happens to them; of the others those stay that have an
            event by then.
        """
        times = np.concatenate([time for _, time in self._steps])
        order = np.argsort(times, kind="stable")
        rank = np.empty(self.size, np.int64)
        rank[order] = np.arange(self.size)
        kept = order[:events]
        step = np.repeat(np.arange(len(self._steps)), [len(time) for _, time in self._steps])[kept]
        activity = pl.Series([name for name, _ in self._steps], dtype=pl.String).gather(step)
        event_id = _ids("e", events, events)
        time = _instants(times[kept])

        object_id = pl.concat([_ids(name.removesuffix("s") + "-", n, n) for name, n in self.counts.items()])
        object_type = pl.Series(list(self.counts)).gather(
            np.repeat(np.arange(len(self.counts)), list(self.counts.values()))
        )

        qualifiers = sorted({qualifier for _, _, qualifier in self._relations})
        key = np.unique(np.concatenate([self._keys(part, rank, events, qualifiers) for part in self._relations]))
        related = key >> (_EVENT_BITS + _QUALIFIER_BITS)
        at = (key >> _QUALIFIER_BITS) & ((1 << _EVENT_BITS) - 1)
        exists = np.zeros(len(object_id), bool)
        exists[related] = True
        for name in permanent:
            exists[self.codes(name)] = True
        objects = np.flatnonzero(exists)

        event_objects = pl.DataFrame(
            {
                "event_id": event_id.gather(at),
                "object_id": object_id.gather(related),
                "qualifier": pl.Series(qualifiers, dtype=pl.String).gather(key & ((1 << _QUALIFIER_BITS) - 1)),
                "activity": activity.gather(at),
                "object_type": object_type.gather(related),
                "time": time.gather(at),
                "sequence": np.zeros(len(key), np.int64),
            }
        )
        return Ocel(
            events=_frame(
                "events",
                {
                    "event_id": event_id,
                    "activity": activity,
                    "time": time,
                    "sequence": np.zeros(events, np.int64),
                    "time_ambiguous": np.zeros(events, bool),
                    "batch_id": pl.repeat(_BATCH, events, eager=True),
                    "position": np.arange(events),
                },
            ),
            objects=_frame(
                "objects",
                {
                    "object_id": object_id.gather(objects),
                    "object_type": object_type.gather(objects),
                    "inferred": np.zeros(len(objects), bool),
                    "batch_id": pl.repeat(_BATCH, len(objects), eager=True),
                    "position": np.arange(len(objects)),
                },
            ),
            event_objects=event_objects,
            object_objects=self._object_objects(exists, object_id),
            event_attributes=self._event_attributes(rank, events, event_id),
            object_attributes=self._object_attributes(exists, time[-1], object_id),
            event_types=_frame("event_types", {"activity": sorted(self.event_attributes)}),
            object_types=_frame("object_types", {"object_type": sorted(self.object_attributes)}),
            event_type_attributes=_declared("event_type_attributes", self.event_attributes),
            object_type_attributes=_declared("object_type_attributes", self.object_attributes),
        )

    @staticmethod
    def _keys(part: tuple[Integers, Integers, str], rank: Integers, events: int, qualifiers: list[str]) -> Integers:
        """Pack relations into integers that sort as (object, event, qualifier)."""
        numbers, objects, qualifier = part
        at = rank[numbers]
        inside = at < events
        key: Integers = (objects[inside] << _EVENT_BITS | at[inside]) << _QUALIFIER_BITS | qualifiers.index(qualifier)
        return key

    def _object_objects(self, exists: npt.NDArray[np.bool_], object_id: pl.Series) -> pl.DataFrame:
        qualifiers = sorted({qualifier for _, _, qualifier in self._links})
        parts = [
            ((sources << _EVENT_BITS | targets) << _QUALIFIER_BITS | qualifiers.index(qualifier))[
                exists[sources] & exists[targets]
            ]
            for sources, targets, qualifier in self._links
        ]
        key = np.unique(np.concatenate(parts))
        return _frame(
            "object_objects",
            {
                "source_id": object_id.gather(key >> (_EVENT_BITS + _QUALIFIER_BITS)),
                "target_id": object_id.gather((key >> _QUALIFIER_BITS) & ((1 << _EVENT_BITS) - 1)),
                "qualifier": pl.Series(qualifiers).gather(key & ((1 << _QUALIFIER_BITS) - 1)),
            },
        )

    def _event_attributes(self, rank: Integers, events: int, event_id: pl.Series) -> pl.DataFrame:
        values = pl.concat(self._event_values)
        values = values.with_columns(code=pl.Series(rank[values["code"].to_numpy()]))
        values = values.filter(pl.col("code") < events).sort("code", "name")
        return _frame(
            "event_attributes", {**values.to_dict(), "event_id": event_id.gather(values["code"]), "ordinal": 0}
        )

    def _object_attributes(self, exists: npt.NDArray[np.bool_], end: Any, object_id: pl.Series) -> pl.DataFrame:
        values = pl.concat(self._object_values)
        known = pl.Series(exists[values["code"].to_numpy()]) & (values["time"].is_null() | (values["time"] <= end))
        values = values.filter(known).unique(["code", "name", "time"], keep="last", maintain_order=True)
        values = values.sort("code", "name", "time")
        return _frame(
            "object_attributes",
            {
                **values.to_dict(),
                "object_id": object_id.gather(values["code"]),
                "initial": values["time"].is_null(),
                "ordinal": 0,
            },
        )


def _frame(name: str, columns: Mapping[str, Any]) -> pl.DataFrame:
    schema = frame_schema(f"ocel.{name}")
    return pl.DataFrame(columns).select(pl.col(column).cast(dtype) for column, dtype in schema.items())


def _declared(name: str, attributes: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    rows = [(kind, *item) for kind, declared in sorted(attributes.items()) for item in sorted(declared.items())]
    return pl.DataFrame(rows, schema=frame_schema(f"ocel.{name}"), orient="row")


def _ids(prefix: str, count: int, most: int) -> pl.Series:
    """Give ids whose order as text is that of their numbers."""
    numbers = pl.Series(np.arange(1, count + 1)).cast(pl.String).str.zfill(max(4, len(str(most))))
    return pl.select(pl.lit(prefix) + numbers).to_series() if count else pl.Series([], dtype=pl.String)


def _instants(seconds: Integers) -> pl.Series:
    return pl.Series(seconds * 1_000_000).cast(TIMESTAMP)


def _values(codes: Integers, name: str, value_type: str, column: Column) -> pl.DataFrame:
    """Lay values out in the canonical form of their type; times come as seconds since 1970."""
    plain = pl.Series(column)
    number = pl.lit(None, pl.Float64)
    instant = pl.lit(None, TIMESTAMP)
    text: pl.Series | pl.Expr = plain.cast(pl.String)
    if value_type == "time":
        times = _instants(column)
        text, instant = times.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), pl.lit(times)
    elif value_type != "string":
        number = pl.lit(plain.cast(pl.Float64))
    return pl.select(
        code=pl.Series(codes),
        name=pl.lit(name),
        value=text,
        value_type=pl.lit(value_type),
        value_float=number,
        value_time=instant,
    )
