"""CSV as text: every field as it is written, nothing inferred, rows of another width set apart.

The separator and the encoding (UTF-8, UTF-16 with a byte order mark) are told from the file. An empty or blank field
is no value.
"""

from __future__ import annotations

import codecs
import csv
import io
from typing import BinaryIO, Final

import polars as pl
import pyarrow as pa
import pyarrow.csv

from ocelake.errors import LogRefused
from ocelake.ocel.input import Input

__all__ = ["csv_header", "read_csv"]

_SEPARATORS: Final = (",", ";", "\t", "|")
# A row has to fit in a block; the second size is for files with huge fields.
_BLOCKS: Final = (1 << 23, 1 << 29)


def csv_header(source: Input) -> list[str]:
    """Give the column names of a CSV file; a repeated name gets a number, a column without one is ``""``.

    An empty file has none.
    """
    return _dialect(source)[0]


def read_csv(source: Input) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Read a CSV file.

    Parameters
    ----------
    source : Input
        The file, plain or gzipped.

    Returns
    -------
    frame : DataFrame
        All columns are String; those without a name are left out.
    malformed : tuple of str
        The text of rows with more or fewer fields than the header (empty fields at the end apart), and of a last row
        whose quotes are left open.

    Raises
    ------
    LogRefused
        Where it is empty, not in UTF-8 or UTF-16, or has a row of more than 512 MB.
    """
    names, separator, encoding = _dialect(source)
    if not names:
        raise LogRefused("The CSV file is empty.", where=source.name, fix="Export it again, with its header.")
    ragged: list[str] = []

    def skip(row: pa.csv.InvalidRow) -> str:
        ragged.append(row.text)
        return "skip"

    columns = [str(position) for position in range(len(names))]
    for block in _BLOCKS:
        ragged.clear()
        try:
            with source.stream() as stream:
                told = _Text(stream, source.name, check=encoding == "utf-8")
                table = pa.csv.read_csv(
                    pa.PythonFile(told, mode="r"),
                    read_options=pa.csv.ReadOptions(column_names=columns, encoding=encoding, block_size=block),
                    parse_options=pa.csv.ParseOptions(
                        delimiter=separator, newlines_in_values=True, invalid_row_handler=skip
                    ),
                    convert_options=pa.csv.ConvertOptions(
                        column_types=dict.fromkeys(columns, pa.large_string()),
                        strings_can_be_null=True,
                        null_values=[""],
                    ),
                )
            told.confirm()
            break
        except pa.ArrowInvalid as error:
            told.confirm()
            if "straddling" not in str(error) or block == _BLOCKS[-1]:
                raise LogRefused(
                    f"The CSV cannot be read: {error}.", where=source.name, fix="Write it as UTF-8, one row per line."
                ) from error
    frame = pl.DataFrame(pl.from_arrow(table)).slice(1)
    malformed = []
    mended: list[list[str]] = []
    for text in ragged:
        fields = next(csv.reader([text], delimiter=separator), [])
        if len(fields) > len(names) and not any(field.strip() for field in fields[len(names) :]):
            mended.append(fields[: len(names)])
        else:
            malformed.append(text)
    if told.open and frame.height and any("\n" in (value or "") for value in frame.row(-1)):
        malformed.append(_line(frame.row(-1), separator))
        frame = frame.head(-1)
    if mended:
        frame = pl.concat([frame, pl.DataFrame(mended, schema=frame.schema, orient="row")])
    blank = pl.all().str.strip_chars() == ""
    frame = frame.select(pl.when(~blank).then(pl.all()))
    return frame.select(pl.col(old).alias(new) for old, new in zip(columns, names, strict=True) if new), tuple(
        malformed
    )


class _Text(io.RawIOBase):
    """A stream that ends where it is broken or not UTF-8, and knows whether a quote is left open at its end.

    The CSV parser would find bad text as well, but not before it failed to show a row of it to the row handler. Nothing
    is raised while the parser reads, since that leaves its threads behind: `confirm` raises it afterwards.
    """

    def __init__(self, stream: BinaryIO, name: str, *, check: bool) -> None:
        self._stream, self._name, self._check = stream, name, check
        self._begun, self._lines = b"", 1
        self._refused: LogRefused | None = None
        self.open = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if self._refused:
            return b""
        try:
            data = self._stream.read(size - len(self._begun) if size > len(self._begun) else size)
        except LogRefused as error:
            self._refused = error
            return b""
        if self._check:
            data = self._characters(data)
        self.open ^= data.count(b'"') % 2 == 1
        return data

    def confirm(self) -> None:
        """Raise what was wrong with the stream."""
        if self._refused:
            raise self._refused

    def _characters(self, data: bytes) -> bytes:
        """Give the whole characters; one that is only begun is kept for the next time."""
        last = not data
        data = self._begun + data
        try:
            end = codecs.utf_8_decode(data, "strict", last)[1]
        except UnicodeDecodeError as error:
            end = error.start
            line = self._lines + data[:end].count(b"\n")
            self._refused = LogRefused(
                f"The CSV is not UTF-8: line {line} has the byte 0x{data[end]:02x}.",
                where=self._name,
                fix="Write it as UTF-8, one row per line.",
            )
        self._begun, data = data[end:], data[:end]
        self._lines += data.count(b"\n")
        return data


def _dialect(source: Input) -> tuple[list[str], str, str]:
    """Give the column names, the separator and the encoding."""
    head = source.head
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head.decode(encoding, errors="ignore").lstrip("\r\n")
    if not text:
        return [], ",", "utf-8"
    found = [(next(csv.reader(io.StringIO(text), delimiter=separator)), separator) for separator in _SEPARATORS]
    names, separator = max(found, key=lambda candidate: len(candidate[0]))
    unique: list[str] = []
    for name in (name.strip() for name in names):
        seen = sum(other == name or other.startswith(f"{name}.") for other in unique) if name in unique else 0
        unique.append(f"{name}.{seen}" if name and seen else name)
    return unique, separator, "utf-16" if encoding == "utf-16" else "utf-8"


def _line(fields: tuple[str | None, ...], separator: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="").writerow(fields)
    return out.getvalue()
