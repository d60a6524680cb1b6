"""Tell a log's format from its content; its name plays no part.

Here is what distinguishes one format from another, and what a file that is no log seems to be. How a format is read
belongs to its reader.
"""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from typing import Final, NoReturn
from xml.parsers import expat

from ocelake.errors import LogRefused
from ocelake.ocel.input import Input
from ocelake.ocel.json_scan import Elements, Torn, scan

__all__ = ["FORMATS", "detect"]

FORMATS: Final = (
    "ocel2-json",
    "ocel1-json",
    "ocel2-xml",
    "ocel1-xml",
    "xes",
    "ocel2-sqlite",
    "ocel1-sqlite",
    "ocel1-csv",
    "ocel2-csv-tables",
    "ocel2-parquet-tables",
)
"""The names of the formats that can be read."""

_EXPORT = "Give an OCEL 1.0 or 2.0 log (JSON, XML, SQLite, CSV or Parquet tables) or an XES log."
_BOMS: Final = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}
_MAGIC: Final = {
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip file inside of a gzip file",
    b"PAR1": "a single Parquet file",
    b"%PDF": "a PDF document",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"\x89PNG": "a picture",
    b"7z\xbc\xaf": "a 7-Zip archive",
}
_SQLITE: Final = b"SQLite format 3\x00"


def detect(source: Input) -> str:
    """Name the format of a log.

    Parameters
    ----------
    source : Input
        A file, plain or gzipped, or a folder of tables.

    Returns
    -------
    str
        One of `FORMATS`.

    Raises
    ------
    LogRefused
        Where it is none of them; the message says what the file seems to be.
    """
    if not source.path.exists():
        raise LogRefused("There is no such file or folder.", where=str(source.path), fix="Check the path.")
    if source.is_folder:
        return _folder(source)
    if not source.path.is_file():
        raise LogRefused(
            "The source is neither a file nor a folder.", where=source.name, fix="Copy it to a file first."
        )
    head = source.head
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        _refuse(source, "The file is empty.")
    if head.startswith(_SQLITE):
        return _sqlite(source)
    if text.startswith(b"version https://git-lfs.github.com/spec/"):
        _refuse(source, "The file is a Git LFS pointer, not the log itself.", "Fetch the content with `git lfs pull`.")
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            _refuse(source, f"The file is {name}.", f"Unpack it if a log is inside. {_EXPORT}")
    xml = text.startswith(b"<") or head.replace(b"\x00", b"").lstrip(b"\xff\xfe").startswith(b"<")
    if xml:
        return _xml(source)
    _refuse_wide(source, head)
    if text[:1] in b"{[":
        return _json(source)
    return _text(source, head)


def _refuse(source: Input, what: str, fix: str = _EXPORT) -> NoReturn:
    raise LogRefused(what, where=source.name, fix=fix)


def _refuse_wide(source: Input, head: bytes) -> None:
    encoding = next((name for bom, name in _BOMS.items() if head.startswith(bom)), None)
    if encoding is None and head[:64].count(0) >= len(head[:64]) / 3:
        encoding = "UTF-16 or a binary form"
    if encoding:
        _refuse(source, f"The text is {encoding}, not UTF-8.", "Save it as UTF-8 (`iconv -f UTF-16 -t UTF-8`).")


def _folder(source: Input) -> str:
    names = {file.name.lower() for file in source.path.iterdir() if file.is_file()}
    for ending, name in ((".csv", "ocel2-csv-tables"), (".parquet", "ocel2-parquet-tables")):
        if {f"event{ending}", f"object{ending}"} <= {part.removesuffix(".gz") for part in names}:
            return name
    _refuse(source, "The folder holds no tables `event` and `object` as CSV or Parquet files.")


def _sqlite(source: Input) -> str:
    with source.local_file() as path:
        # A read-only, immutable address: nothing is created beside a file that may be in a read-only place.
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True) as connection:
            names = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master")}
        connection.close()
    lower = {name.lower() for name in names}
    if {"event", "object"} <= lower:
        return "ocel2-sqlite"
    if {"events", "objects", "relations"} <= lower:
        return "ocel1-sqlite"
    seen = ", ".join(sorted(names)[:8]) or "none"
    _refuse(source, f"The SQLite database has no OCEL tables (event, object, event_object); its tables: {seen}.")


class _Told(Exception):  # no error: it ends the parsing when the format is known
    """The XML has said what it is."""

    def __init__(self, name: str) -> None:
        self.name = name


class _XmlEvidence:
    """What the elements of an XML document say about its format."""

    def __init__(self, source: Input) -> None:
        self._source = source
        self._path: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(":")[2]
        depth = len(self._path)
        if depth == 0:
            self._root(tag, attributes)
        elif depth == 1:
            self._child(tag, attributes)
        elif depth == 2 and self._path[1] in ("events", "objects"):
            if "id" in attributes:
                raise _Told("ocel2-xml")
        elif self._path[1] in ("events", "objects", "global") and _is_ocel1(self._path[1], attributes):
            raise _Told("ocel1-xml")
        self._path.append(tag)

    def end(self, _: str) -> None:
        self._path.pop()

    def _root(self, tag: str, attributes: dict[str, str]) -> None:
        if tag.lower() == "html":
            _refuse(self._source, "The file is a web page, not a log.", "Download the file itself.")
        if tag != "log":
            _refuse(self._source, f"The XML's root is <{tag}>, not the <log> of OCEL or XES.")
        if any(name.startswith("xes.") or "xes-standard" in text for name, text in attributes.items()):
            raise _Told("xes")

    def _child(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in ("object-types", "event-types"):
            raise _Told("ocel2-xml")
        if tag in ("trace", "event", "extension", "classifier") or "key" in attributes:
            raise _Told("xes")
        if tag == "global" and attributes.get("scope") in ("log", "object"):
            raise _Told("ocel1-xml")

    def entity(self, name: str, *_: object) -> None:
        _refuse(self._source, f"The XML declares the entity {name!r}; logs need none, and they can do harm.")


def _is_ocel1(parent: str, attributes: dict[str, str]) -> bool:
    # XES has globals as well, with keys of its own.
    return "key" in attributes if parent != "global" else attributes.get("key", "").startswith("ocel:")


def _xml(source: Input) -> str:
    evidence = _XmlEvidence(source)
    parser = expat.ParserCreate()
    parser.StartElementHandler = evidence.start
    parser.EndElementHandler = evidence.end
    parser.EntityDeclHandler = evidence.entity
    try:
        with source.stream() as stream:
            while chunk := stream.read(1 << 16):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
    except _Told as told:
        return told.name
    except (expat.ExpatError, ValueError, LookupError) as error:
        if source.head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
            _refuse(source, "The file is a web page, not a log.", "Download the file itself.")
        _refuse(source, f"The XML is broken before it says what it holds: {error}.")
    _refuse(source, "The XML <log> holds no event, object or trace.")


def _json(source: Input) -> str:
    if source.head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        _refuse(source, "The file is a JSON list; an OCEL log is a JSON object with `events` and `objects`.")
    keys: dict[str, None] = {}
    with source.stream() as stream:
        wanted = ("events", "objects", "ocel:events", "ocel:objects")
        for part in scan(stream, name=source.name, elements=wanted, kept=(), block=1 << 20):
            if isinstance(part, Torn):
                break
            keys[part.key] = None
            if part.key.startswith("ocel:"):
                return "ocel1-json"
            if part.key in ("eventTypes", "objectTypes") or {"events", "objects"} <= keys.keys():
                return "ocel2-json"
            if isinstance(part, Elements) and _is_record(part):
                return "ocel2-json"
    seen = ", ".join(list(keys)[:8]) or "none"
    _refuse(source, f"The JSON is no OCEL log: no `eventTypes`, `events` or `ocel:events` among its keys ({seen}).")


def _is_record(part: Elements) -> bool:
    """Whether the first element has an id and a type, as OCEL 2.0's events and objects do."""
    for start, end in zip(part.starts[:1].tolist(), part.ends[:1].tolist(), strict=True):
        element = part.text[start:end]
        return b'"id"' in element and b'"type"' in element
    return False


def _text(source: Input, head: bytes) -> str:
    try:
        lines = head.decode("utf-8-sig", errors="strict" if len(head) < 1 << 16 else "ignore")
    except UnicodeDecodeError:
        lines = head.decode("latin-1")
    header = lines.split("\n", 1)[0].strip("\r")
    if header.startswith("//"):
        _refuse(source, f"The text begins with a comment ({header.strip()[:60]}), it is no log.")
    delimiter = max(",;\t|", key=header.count)
    try:
        columns = next(csv.reader(io.StringIO(header), delimiter=delimiter), [])
    except csv.Error:
        columns = []
    if any(column.startswith("ocel:") for column in columns):
        return "ocel1-csv"
    if len(columns) > 1 and all(re.fullmatch(r"[\w .:/()-]{0,80}", column) for column in columns):
        fix = "Give it an OCEL layout first: columns ocel:eid, ocel:activity, ocel:timestamp, ocel:type:<object type>."
        _refuse(source, f"The file is a plain table (columns {', '.join(columns[:6])}), with no OCEL layout.", fix)
    _refuse(source, "The file is neither JSON, XML, SQLite nor an OCEL CSV table.")
