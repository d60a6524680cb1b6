"""What the writers share: rows grouped under their records, text laid out in order, files that appear whole.

A record of JSON or XML is written as a sequence of pieces: its head, its attributes, its relations. All pieces of some
ten thousand records are built as columns and put in order by one sort; no record is ever a Python object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.errors import ExportRefused
from ocelake.ocel.model import Ocel

__all__ = [
    "INITIAL",
    "Grouped",
    "Markup",
    "appearing",
    "chunks",
    "event_values",
    "object_values",
    "pieces",
    "put",
    "put_records",
    "refuse_text",
]

INITIAL: Final = "1970-01-01T00:00:00Z"
"""How OCEL 2.0 writes that a value holds from the start."""

_CHUNK: Final = 50_000
_SHOWN: Final = 100


@dataclass(frozen=True)
class Grouped:
    """The rows of a frame under the records that they belong to, in the records' order.

    Attributes
    ----------
    rows : DataFrame
        In their own order.
    order : ndarray
        The row numbers by record; the rows of one record stay in their own order.
    record : ndarray
        The record's number of each row in that order.
    """

    rows: pl.DataFrame
    order: npt.NDArray[np.int64]
    record: npt.NDArray[np.uint32]

    @classmethod
    def under(cls, ids: pl.Series, rows: pl.DataFrame, by: str) -> Grouped:
        """Group rows under ids.

        Parameters
        ----------
        ids : Series
            The records' ids, unique, in their order.
        rows : DataFrame
            What belongs to them.
        by : str
            The column of `rows` that holds the id.

        Raises
        ------
        ExportRefused
            Where a row belongs to no record.
        """
        numbers = pl.DataFrame({by: ids, "record": np.arange(len(ids), dtype=np.uint32)})
        record = rows.select(by).join(numbers, on=by, how="left", maintain_order="left")["record"]
        if record.null_count():
            lost = rows[by].filter(record.is_null())[0]
            raise ExportRefused(
                f"The log refers to {lost!r}, which it does not have.",
                where=by,
                fix="Add the row or remove the reference.",
            )
        if record.is_sorted():
            return cls(rows, np.arange(len(record)), record.to_numpy())
        order = np.argsort(record.to_numpy(), kind="stable")
        return cls(rows, order, record.to_numpy()[order])

    def within(self, first: int, end: int) -> pl.DataFrame:
        """Give the rows of the records in [first, end), by record.

        Returns
        -------
        DataFrame
            The rows with ``record``, the record's number, and ``starts``, whether the row is its record's first.
        """
        start, stop = np.searchsorted(self.record, [first, end])
        record = self.record[start:stop]
        starts = np.ones(len(record), bool)
        starts[1:] = record[1:] != record[:-1]
        return self.rows[self.order[start:stop]].with_columns(pl.Series("record", record), pl.Series("starts", starts))


def event_values(ocel: Ocel) -> pl.DataFrame:
    """Give the events' values, each with its event type (``activity``) and ``declared`` value type."""
    typed = ocel.event_attributes.join(
        ocel.events.select("event_id", "activity"), on="event_id", how="left", maintain_order="left"
    )
    return _with_declared(typed, ocel.event_type_attributes, "activity")


def object_values(ocel: Ocel) -> pl.DataFrame:
    """Give the objects' values, each with its ``object_type`` and ``declared`` value type."""
    typed = ocel.object_attributes.join(
        ocel.objects.select("object_id", "object_type"), on="object_id", how="left", maintain_order="left"
    )
    return _with_declared(typed, ocel.object_type_attributes, "object_type")


def _with_declared(values: pl.DataFrame, declared: pl.DataFrame, by: str) -> pl.DataFrame:
    declared = declared.select(by, "name", declared="value_type")
    typed = values.join(declared, on=[by, "name"], how="left", maintain_order="left")
    return typed.with_columns(pl.col("declared").fill_null("string"))


def chunks(records: int) -> Iterator[tuple[int, int]]:
    """Cut so many records into ranges that bound the memory of their text."""
    for first in range(0, records, _CHUNK):
        yield first, min(records, first + _CHUNK)


@dataclass(frozen=True)
class Markup:
    """How the parts of a record are written.

    Attributes
    ----------
    head : Expr
        Over the record's columns; ``record`` is its number.
    value, relation : Expr
        Over the columns of its values and relations; ``starts`` says whether one is the record's first.
    between, end : str
        After the values, and after the relations.
    """

    head: pl.Expr
    value: pl.Expr
    between: str
    relation: pl.Expr
    end: str


def put_records(
    stream: IO[bytes], markup: Markup, heads: pl.DataFrame, values: pl.DataFrame, relations: pl.DataFrame
) -> None:
    """Write records with their values and relations.

    Parameters
    ----------
    stream : binary file
        To write to.
    markup : Markup
        How.
    heads : DataFrame
        One row per record, in order; the first column is its id.
    values, relations : DataFrame
        Under a column of the same name as the id's.
    """
    ids = heads.to_series(0)
    values_of = Grouped.under(ids, values, ids.name)
    relations_of = Grouped.under(ids, relations, ids.name)
    for first, end in chunks(len(ids)):
        head = heads[first:end].with_columns(record=pl.int_range(first, end, dtype=pl.UInt32))
        put(stream, pieces(markup, head, values_of.within(first, end), relations_of.within(first, end))["text"])


def pieces(markup: Markup, heads: pl.DataFrame, values: pl.DataFrame, relations: pl.DataFrame) -> pl.DataFrame:
    """Give the text of some records in pieces.

    Parameters
    ----------
    markup : Markup
        How they are written.
    heads : DataFrame
        One row per record, with its number, ``record``.
    values, relations : DataFrame
        From `Grouped.within`.

    Returns
    -------
    DataFrame
        ``record``, ``text``, in the order of the text.
    """
    parts = [
        heads.select("record", text=markup.head),
        values.select("record", text=markup.value),
        heads.select("record", text=pl.lit(markup.between)),
        relations.select("record", text=markup.relation),
        heads.select("record", text=pl.lit(markup.end)),
    ]
    return pl.concat(parts).sort("record", maintain_order=True)


def put(stream: IO[bytes], text: pl.Series | str) -> None:
    """Write text, a whole column at once and with nothing between its rows."""
    if isinstance(text, str):
        stream.write(text.encode())
        return
    for chunk in text.get_chunks():
        column = chunk.to_arrow(compat_level=pl.CompatLevel.oldest())
        offsets, data = column.buffers()[1:]
        bounds = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
        if len(column) and data is not None:
            stream.write(memoryview(data)[bounds[0] : bounds[-1]])


def refuse_text(ocel: Ocel, illegal: Sequence[str], why: str) -> None:
    """Refuse a log with text that a format cannot hold.

    Parameters
    ----------
    ocel : Ocel
        The log.
    illegal : sequence of str
        Characters.
    why : str
        What the format is and cannot hold, for the message.

    Raises
    ------
    ExportRefused
        Naming the table, column and id of the first such text.
    """
    for identifier, frame in ocel.frames():
        if identifier == "ocel.log_metadata":
            continue
        for name in frame.columns:
            if frame.schema[name] != pl.String or name == "batch_id":
                continue
            found = frame[name].str.contains_any(list(illegal)).arg_true()
            if len(found):
                row = frame.row(found[0], named=True)
                key = [repr(row[column][:_SHOWN]) for column in frame.columns[:2] if row[column] is not None]
                raise ExportRefused(
                    f"{why}: {row[name][:_SHOWN]!r} in {name}.",
                    where=f"{identifier}: {', '.join(key)}",
                    fix="Export as JSON, or clean the text.",
                )


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a path beside the target to write to; it becomes the target only when all went well.

    Raises
    ------
    ExportRefused
        Where the folder is missing or cannot be written to.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex[:12]}.part")
    try:
        if path.is_dir():
            raise ExportRefused("The target is a folder.", where=str(path), fix="Name a file.")
        with part.open("xb"):
            pass
        yield part
        part.replace(path)
    except OSError as error:
        raise ExportRefused(
            f"The file cannot be written: {error.strerror or error}.", where=str(path), fix="Check the folder."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
