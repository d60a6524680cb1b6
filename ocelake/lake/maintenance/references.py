"""Which files a table refers to, which there are, and taking away those it does not refer to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from pyarrow.fs import FileSelector, FileSystem, FileType
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table

__all__ = ["StoredFile", "delete_files", "metadata_files", "path_of", "referenced_files", "stored_files"]

_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a table's folder; ``path`` is as `path_of` gives it."""

    path: str
    location: str
    size: int
    changed: datetime


def path_of(location: str) -> str:
    """Give the one name of a file that metadata and listings agree on: its path in its file system."""
    return PyArrowFileIO.parse_location(location)[2]


def referenced_files(table: Table, snapshot_ids: Collection[int] | None = None) -> dict[str, str]:
    """Give the files that snapshots of a table refer to: manifest lists, manifests, data files.

    Parameters
    ----------
    table : pyiceberg.table.Table
        The table.
    snapshot_ids : collection of int, optional
        Some of its snapshots; all without it.

    Returns
    -------
    dict of str to str
        Path (`path_of`) to location.
    """
    lists = [
        snapshot
        for snapshot in table.metadata.snapshots
        if snapshot_ids is None or snapshot.snapshot_id in snapshot_ids
    ]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="ocelake-refer") as pool:
        # Snapshots share most of their manifests: each is read once.
        manifests: dict[str, ManifestFile] = {
            manifest.manifest_path: manifest
            for found in pool.map(lambda snapshot: snapshot.manifests(table.io), lists)
            for manifest in found
        }
        data = [
            entry.data_file.file_path
            for entries in pool.map(lambda manifest: manifest.fetch_manifest_entry(table.io), manifests.values())
            for entry in entries
        ]
    return {path_of(place): place for place in (*(s.manifest_list for s in lists), *manifests, *data)}


def metadata_files(table: Table) -> set[str]:
    """Give the paths of the metadata files that count: the present one, and those that its log lists."""
    return {path_of(p) for p in (table.metadata_location, *(old.metadata_file for old in table.metadata.metadata_log))}


def stored_files(table: Table) -> Iterator[StoredFile]:
    """Iterate over all files in a table's folder, referred to or not."""
    scheme, host, root = PyArrowFileIO.parse_location(table.location())
    files = cast("FileSystem", PyArrowFileIO(table.io.properties).fs_by_scheme(scheme, host))
    prefix = table.location().removesuffix(root)
    for info in files.get_file_info(FileSelector(root, recursive=True, allow_not_found=True)):
        if info.type == FileType.File:
            yield StoredFile(info.path, prefix + info.path, info.size, info.mtime)


def delete_files(io: FileIO, locations: Iterable[str]) -> int:
    """Delete files, and give how many there were; one that is gone already is no error."""

    def delete(location: str) -> int:
        with suppress(FileNotFoundError):
            io.delete(location)
            return 1
        return 0

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="ocelake-delete") as pool:
        return sum(pool.map(delete, locations))
