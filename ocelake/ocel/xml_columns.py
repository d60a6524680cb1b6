"""Flat columns that the XML readers fill, and the record frames built from them.

A record costs no Python object of its own: its values go to flat lists, and two lists of offsets say which attributes
and relations are its own. What a record means is the readers' business.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD

__all__ = ["RecordColumns", "record_frame"]


class RecordColumns:
    """Records of one kind, as flat lists, since the last `take`.

    The open record, if any, is what lies beyond the last offsets: `close` makes it a record, `drop` forgets it.

    Parameters
    ----------
    kind : {"event", "object"}
        Which record schema `take` gives.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.position = 0
        self.ids: list[str | None] = []
        self.types: list[str | None] = []
        self.times: list[str | None] = []
        self.sequences: list[int | None] = []
        self.defects: dict[int, tuple[str, str]] = {}
        self.names: list[str | None] = []
        self.value_times: list[str | None] = []
        self.values: list[str | None] = []
        self.value_types: list[str | None] = []
        self.value_ends: list[int] = [0]
        self.related: list[str | None] = []
        self.qualifiers: list[str | None] = []
        self.relation_ends: list[int] = [0]

    def __len__(self) -> int:
        """Count the whole records."""
        return len(self.ids)

    def attribute(self, name: str | None, time: str | None, value: str | None, value_type: str | None) -> None:
        """Add an attribute value to the open record."""
        self.names.append(name)
        self.value_times.append(time)
        self.values.append(value)
        self.value_types.append(value_type)

    def relation(self, object_id: str | None, qualifier: str | None) -> None:
        """Add a relation to the open record."""
        self.related.append(object_id)
        self.qualifiers.append(qualifier)

    def close(
        self, record_id: str | None, record_type: str | None, time: str | None = None, sequence: int | None = None
    ) -> None:
        """End the open record."""
        self.ids.append(record_id)
        self.types.append(record_type)
        self.times.append(time)
        self.sequences.append(sequence)
        self.value_ends.append(len(self.names))
        self.relation_ends.append(len(self.related))

    def drop(self) -> None:
        """Forget what the open record holds so far."""
        for column in (self.names, self.value_times, self.values, self.value_types):
            del column[self.value_ends[-1] :]
        for column in (self.related, self.qualifiers):
            del column[self.relation_ends[-1] :]

    def defect(self, reason: str, raw: str) -> None:
        """Replace the open record, if any, by one that could not be read."""
        self.drop()
        self.defects[len(self.ids)] = (reason, raw)
        self.close(None, None)

    def take(self) -> pl.DataFrame:
        """Give the whole records as a frame and forget them; the open one stays."""
        count = len(self.ids)
        values, relations = self.value_ends[-1], self.relation_ends[-1]
        frame = record_frame(
            self.kind,
            count,
            self.position,
            {
                f"{self.kind}_id": _text(self.ids),
                "activity" if self.kind == "event" else "object_type": _text(self.types),
                "time": _text(self.times),
                "sequence": pa.array(self.sequences, pa.int64()),
            },
            (
                _text(self.names[:values]),
                _text(self.value_times[:values]),
                _text(self.values[:values]),
                _text(self.value_types[:values]),
            ),
            np.array(self.value_ends, dtype=np.int64),
            (_text(self.related[:relations]), _text(self.qualifiers[:relations])),
            np.array(self.relation_ends, dtype=np.int64),
        )
        if self.defects:
            defects: list[str | None] = [None] * count
            raws: list[str | None] = [None] * count
            for row, (reason, raw) in self.defects.items():
                defects[row], raws[row] = reason, raw
            frame = frame.with_columns(
                pl.Series("defect", defects, dtype=pl.String), pl.Series("raw", raws, dtype=pl.String)
            )
        self.position += count
        for column in (self.ids, self.types, self.times, self.sequences):
            column.clear()
        self.defects.clear()
        for column in (self.names, self.value_times, self.values, self.value_types):
            del column[:values]
        for column in (self.related, self.qualifiers):
            del column[:relations]
        self.value_ends, self.relation_ends = [0], [0]
        return frame


def record_frame(
    kind: str,
    count: int,
    position: int,
    columns: dict[str, Any],
    attributes: tuple[Any, Any, Any, Any],
    attribute_ends: np.ndarray[Any, np.dtype[np.int64]],
    relations: tuple[Any, Any],
    relation_ends: np.ndarray[Any, np.dtype[np.int64]],
) -> pl.DataFrame:
    """Build record rows from flat Arrow arrays.

    Parameters
    ----------
    kind : {"event", "object"}
        Which record schema.
    count, position : int
        Number of records; position of the first.
    columns : dict
        Arrow arrays by column name; those that the schema does not have are left out.
    attributes : tuple of arrays
        Name, time, value and value type of all attribute values, record by record.
    attribute_ends, relation_ends : array of count + 1 integers
        Where each record's attributes and relations end, after a leading 0.
    relations : tuple of arrays
        Object id and qualifier of all relations, record by record.
    """
    schema = EVENT_RECORD if kind == "event" else OBJECT_RECORD
    nulls = pa.nulls(len(relations[0]), pa.large_string())
    lists = {
        "attributes": _lists(attribute_ends, attributes, ("name", "time", "value", "value_type")),
        "relationships": _lists(relation_ends, (*relations, nulls), ("object_id", "qualifier", "object_type")),
    }
    series = {name: pl.Series(name, pl.from_arrow(array)) for name, array in {**columns, **lists}.items()}
    series["position"] = pl.int_range(position, position + count, dtype=pl.Int64, eager=True)
    series["declared"] = pl.repeat(True, count, dtype=pl.Boolean, eager=True)
    return pl.DataFrame(
        [
            (series[name] if name in series else pl.repeat(None, count, dtype=dtype, eager=True))
            .alias(name)
            .cast(dtype)
            for name, dtype in schema.items()
        ]
    )


def _text(values: list[str | None]) -> Any:
    return pa.array(values, pa.large_string())


def _lists(ends: np.ndarray[Any, np.dtype[np.int64]], arrays: tuple[Any, ...], names: tuple[str, ...]) -> Any:
    return pa.LargeListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(list(arrays), names=list(names)))
