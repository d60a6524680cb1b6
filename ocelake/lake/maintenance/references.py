"""Which files a table refers to, which there are, and taking away those it does not refer to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from pyarrow.fs import FileSelector, FileSystem, FileType
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestFile, read_manifest_list
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

__all__ = ["References", "StoredFile", "delete_files", "metadata_files", "path_of", "referenced_files", "stored_files"]

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


class References:
    """Which files snapshots refer to; what was read once of a table's manifests is not read again.

    Manifests and their lists never change, and snapshots that follow each other share most of them. So one who asks
    again and again while a table is published to reads only what is new.
    """

    def __init__(self) -> None:
        self._lists: dict[str, tuple[str, ...]] = {}
        self._manifests: dict[str, tuple[str, ...]] = {}

    def of(self, io: FileIO, snapshots: Iterable[Snapshot]) -> dict[str, str]:
        """Give the files that snapshots refer to: data files, manifests, manifest lists, in this order.

        What a killed removal has left of a snapshot is given, what it removed is not.

        Returns
        -------
        dict of str to str
            Path (`path_of`) to location.
        """
        lists = [snapshot.manifest_list for snapshot in snapshots]
        unread: dict[str, ManifestFile] = {}

        def read_list(place: str) -> None:
            with suppress(FileNotFoundError):
                found = list(read_manifest_list(io.new_input(place)))
                unread.update((m.manifest_path, m) for m in found if m.manifest_path not in self._manifests)
                self._lists[place] = tuple(m.manifest_path for m in found)

        def read_manifest(manifest: ManifestFile) -> None:
            with suppress(FileNotFoundError):
                entries = manifest.fetch_manifest_entry(io)
                self._manifests[manifest.manifest_path] = tuple(entry.data_file.file_path for entry in entries)

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="ocelake-refer") as pool:
            list(pool.map(read_list, [place for place in lists if place not in self._lists]))
            list(pool.map(read_manifest, unread.values()))
        manifests = dict.fromkeys(name for place in lists for name in self._lists.get(place, ()))
        data = dict.fromkeys(name for manifest in manifests for name in self._manifests.get(manifest, ()))
        return {path_of(place): place for place in (*data, *manifests, *lists)}

    def forget(self, locations: Iterable[str]) -> None:
        """Forget files that are gone."""
        for place in locations:
            self._lists.pop(place, None)
            self._manifests.pop(place, None)


def referenced_files(table: Table) -> dict[str, str]:
    """Give the files that the snapshots in a table's metadata refer to: path (`path_of`) to location."""
    return References().of(table.io, table.metadata.snapshots)


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
