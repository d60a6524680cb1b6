"""The landing folder: ``landing/<log>/<file>``, where files arrive.

A source is a file, or a folder that holds the tables of one log. A copy that is under way has a name that starts with a
dot or ends in ``.part`` or ``.tmp``; everything else is a source as soon as it no longer changes.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

from ocelake.errors import LogRefused, NotFound
from ocelake.settings import LOG_ID, check_log_id

__all__ = ["Mark", "land", "landed_files", "log_id_for", "marks", "newly_stable", "sources", "unreadable_names"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What tells one state of a landed source from another: its size in bytes, and its time of change in ns."""

    size: int
    changed: int


def landed_files(folder: Path) -> list[Path]:
    """List the sources in one log's landing folder, by name; none where the folder is missing."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not _under_way(path.name) and _is_utf8(path.name))


def unreadable_names(landing: Path) -> list[Path]:
    """List what lies in a landing folder under a name that is not UTF-8: it cannot be read until it is renamed."""
    return sorted(path for path in landing.glob("*/*") if not _is_utf8(path.name))


def marks(landing: Path) -> dict[str, Mark]:
    """Give the state of every landed source, by ``<log>/<name>``; folders that cannot be log names are left out."""
    found = {}
    for folder in sorted(landing.iterdir()) if landing.is_dir() else []:
        if folder.is_dir() and LOG_ID.fullmatch(folder.name):
            for path in landed_files(folder):
                mark = _mark(path)
                if mark is not None:
                    found[f"{folder.name}/{path.name}"] = mark
    return found


def newly_stable(before: Mapping[str, Mark], now: Mapping[str, Mark], handled: Mapping[str, Mark]) -> list[str]:
    """Give the sources that did not change between two looks, and were not handled in this state before."""
    return [name for name, mark in now.items() if before.get(name) == mark and handled.get(name) != mark]


def sources(path: Path) -> list[Path]:
    """Give what is to be read at a path: itself, or each file of a folder that is not one log's tables.

    Raises
    ------
    NotFound
        Where there is nothing.
    """
    from ocelake.ocel.detect import detect
    from ocelake.ocel.input import Input

    if not path.exists():
        raise NotFound("There is no such file or folder.", where=str(path), fix="Check the path.")
    if not path.is_dir():
        return [path]
    try:
        detect(Input(path))
    except LogRefused:
        found = landed_files(path)
        if not found:
            raise
        return found
    return [path]


def log_id_for(path: Path) -> str:
    """Make a log's name from a file's name: without its endings, and with ``-`` for what a log id cannot hold."""
    stem = path.name.split(".")[0] if not path.is_dir() else path.name
    return check_log_id(re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:100] or "log")


def land(path: Path, landing: Path, log_id: str) -> Path:
    """Copy a file, or a folder of tables, into a log's landing folder; whole or not at all.

    A source of the same name and other content gets a number before its endings, so that neither is lost.

    Returns
    -------
    Path
        Where it landed (or already lies).
    """
    from ocelake.ocel.input import Input

    folder = landing / check_log_id(log_id)
    folder.mkdir(parents=True, exist_ok=True)
    if path.resolve().parent == folder.resolve():
        return path.resolve()
    # What is not UTF-8 in a name cannot travel through a run's configuration.
    name = os.fsencode(path.name).decode("utf-8", "replace").lstrip(".")
    partial = folder / f".{uuid4().hex}.part"
    try:
        if path.is_dir():
            shutil.copytree(path, partial)
        else:
            shutil.copyfile(path, partial)
        content = Input(partial).content_hash
        for target in _names(folder, name):
            if target.exists() and Input(target).content_hash == content:
                return target
            if not target.exists() and _claim(partial, target):
                return target
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
    raise AssertionError("the names never end")


def _names(folder: Path, name: str) -> Iterator[Path]:
    first, dot, endings = name.partition(".")
    yield folder / name
    for number in count(2):
        yield folder / f"{first}-{number}{dot}{endings}"


def _claim(partial: Path, target: Path) -> bool:
    """Give a complete copy its name, unless another process took the name meanwhile."""
    try:
        if partial.is_dir():
            partial.rename(target)  # fails where a folder with content is there
        else:
            os.link(partial, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    return True


def _under_way(name: str) -> bool:
    return name.startswith(".") or name.endswith((".part", ".tmp"))


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _mark(path: Path) -> Mark | None:
    try:
        files = [path, *path.rglob("*")] if path.is_dir() else [path]
        stats = [file.stat() for file in files]
    except FileNotFoundError:  # it is being moved or removed: the next look will tell
        return None
    return Mark(sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats))
