"""What snapshots and manifests list, read once: these files never change.

A commit asks for the same few manifests several times, and all but the newest were there for the commit before. Reading
one is slow whatever its size, since pyiceberg makes readers of each file's own schema.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestEntry, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

__all__ = ["entries_of", "log_places", "manifests_of"]

_ENTRIES: Final = 10_000
_MANIFESTS: Final = 10_000

Listed = TypeVar("Listed")


class _Recent(Generic[Listed]):
    """Keeps what was read of files, those last asked for, up to so many items in all."""

    def __init__(self, most: int) -> None:
        self._most, self._kept = most, 0
        self._lists: OrderedDict[str, tuple[Listed, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str, read: Callable[[], tuple[Listed, ...]]) -> tuple[Listed, ...]:
        with self._lock:
            if path in self._lists:
                self._lists.move_to_end(path)
                return self._lists[path]
        listed = read()
        with self._lock:
            if path not in self._lists and len(listed) <= self._most // 4:
                self._lists[path] = listed
                self._kept += len(listed)
                while self._kept > self._most:
                    self._kept -= len(self._lists.popitem(last=False)[1])
        return listed


_MANIFESTS_OF: Final = _Recent[ManifestFile](_MANIFESTS)
_ENTRIES_OF: Final = _Recent[ManifestEntry](_ENTRIES)


def manifests_of(io: FileIO, snapshot: Snapshot | None) -> tuple[ManifestFile, ...]:
    """Give the manifests of a snapshot; of none, none."""
    if snapshot is None:
        return ()
    return _MANIFESTS_OF.get(snapshot.manifest_list, lambda: tuple(snapshot.manifests(io)))


def entries_of(io: FileIO, manifest: ManifestFile) -> tuple[ManifestEntry, ...]:
    """Give what is alive in a manifest of a committed snapshot, with its inherited numbers."""
    return _ENTRIES_OF.get(manifest.manifest_path, lambda: tuple(manifest.fetch_manifest_entry(io)))


def log_places(table: Table) -> dict[int, int]:
    """Give the place of the log among the partition values of each of a table's specs."""
    return {spec.spec_id: [field.name for field in spec.fields].index("log_id") for spec in table.specs().values()}
