"""Writing a log to a file; the format goes by the file's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

import polars as pl

from ocelake.errors import ExportRefused
from ocelake.ocel.model import Ocel

__all__ = ["SUFFIXES", "lost_on_export", "write_log"]

_WRITERS: Final = {
    "json": ("ocelake.ocel.json_writer", "write_json"),
    "xml": ("ocelake.ocel.xml_writer", "write_xml"),
    "sqlite": ("ocelake.ocel.sqlite_writer", "write_sqlite"),
}

SUFFIXES: Final = {
    ".json": "json",
    ".jsonocel": "json",
    ".xml": "xml",
    ".xmlocel": "xml",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
}
"""File name suffix to format."""


def write_log(ocel: Ocel, path: str | os.PathLike[str]) -> None:
    """Write a log as OCEL 2.0 JSON, XML or SQLite.

    Reading the file again gives an equal log: the same events, objects, qualified relations, values with their types
    and times, and declared types. What OCEL 2.0 has no place for stays behind: see `lost_on_export`.

    Parameters
    ----------
    ocel : Ocel
        The log.
    path : path-like
        The target; its suffix (one of `SUFFIXES`) says the format. An existing file is replaced in one step, when the
        new one is complete.

    Raises
    ------
    ExportRefused
        Where the suffix is unknown, the format cannot hold the log (the message names what), or the file cannot be
        written. Nothing was written then.
    """
    target = Path(path)
    kind = SUFFIXES.get(target.suffix.lower())
    if kind is None:
        raise ExportRefused(
            f"The format {target.suffix or 'of a file without suffix'} is unknown.",
            where=str(target),
            fix=f"Name the file one of {', '.join(SUFFIXES)}.",
        )
    module, function = _WRITERS[kind]
    write: Callable[[Ocel, Path], None] = getattr(import_module(module), function)
    write(ocel, target)


def lost_on_export(ocel: Ocel) -> list[str]:
    """Say what of a log no OCEL 2.0 file can hold.

    Returns
    -------
    list of str
        One sentence for each: a declared order among events of equal time (they are written in that order, so that
        reading the file with ``ties="position"`` restores it), and the flag of ambiguous local times. Mostly empty.
    """
    notes = []
    ordered = ocel.events.filter(pl.col("sequence") != 0).height
    if ordered:
        notes.append(
            f"OCEL 2.0 has no place for the declared order of {ordered:,} events; they are written in that order:"
            ' read the file with ties="position" to have it back.'
        )
    ambiguous = ocel.events["time_ambiguous"].sum()
    if ambiguous:
        notes.append(f"OCEL 2.0 has no place for the mark that {ambiguous:,} local times were ambiguous.")
    return notes
