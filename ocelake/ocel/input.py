"""A source of bytes: a file, plain or gzipped, or a folder of tables."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from ocelake.errors import LogRefused

__all__ = ["FileState", "Input"]

_GZIP = b"\x1f\x8b"
_HEAD = 1 << 16


class _Bounded(io.RawIOBase):
    """A decompressed stream that refuses to grow out of all proportion to its file."""

    def __init__(self, stream: BinaryIO, name: str, limit: int) -> None:
        self._stream, self._name, self._limit, self._read = stream, name, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # narrower than typeshed's Buffer
        try:
            data = self._stream.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise LogRefused(
                f"The gzip data is broken: {error}.", where=self._name, fix="Fetch or compress the file again."
            ) from error
        self._read += len(data)
        if self._read > self._limit:
            raise LogRefused(
                f"The file unpacks to more than {self._limit:,} bytes, over 500 times its size.",
                where=self._name,
                fix="Unpack it yourself if it is what you expect.",
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


class FileState(NamedTuple):
    """By what a file is known to be the same, without reading it."""

    name: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True)
class Input:
    """One source on disk.

    Attributes
    ----------
    path : Path
        A file, or a folder of tables.
    max_ratio : int
        How many times its size a gzip file may unpack to (beyond the first 100 MB).
    """

    path: Path
    max_ratio: int = 500

    @property
    def name(self) -> str:
        """The file's or folder's name."""
        return self.path.name

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of tables."""
        return self.path.is_dir()

    @cached_property
    def state(self) -> tuple[FileState, ...]:
        """What the file system told of each file before anything of it was read."""
        return self._state()

    @property
    def changed(self) -> bool:
        """Whether a file is another one, has other content, or came or went since the source was first looked at.

        What was read in between may then belong to no one state of the source.
        """
        try:
            return self._state() != self.state
        except OSError:
            return True

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.state)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the bytes on disk; of a folder, of its files' names and hashes."""
        _ = self.state  # before the first byte is read
        digests = []
        for file in self._files():
            with file.open("rb") as stream:
                digests.append((file.name, hashlib.file_digest(stream, "sha256").hexdigest()))
        if not self.is_folder:
            return digests[0][1]
        return hashlib.sha256(repr(digests).encode()).hexdigest()

    @cached_property
    def is_gzip(self) -> bool:
        """Whether the file is gzipped, by its first bytes."""
        _ = self.state  # before the first byte is read
        with self.path.open("rb") as stream:
            return stream.read(2) == _GZIP

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB, unpacked."""
        with self.stream() as stream:
            return stream.read(_HEAD)

    def stream(self) -> BinaryIO:
        """Open the (unpacked) bytes; close it after use."""
        if not self.is_gzip:
            return self.path.open("rb")
        limit = max(100_000_000, self.max_ratio * self.size)
        unpacked = cast("BinaryIO", gzip.GzipFile(self.path, "rb"))
        return io.BufferedReader(_Bounded(unpacked, self.name, limit), buffer_size=1 << 20)

    @contextmanager
    def local_file(self) -> Iterator[Path]:
        """Give a path to the unpacked bytes, for readers that need a file (SQLite, mmap)."""
        if not self.is_gzip:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="ocelake-") as folder:
            copy = Path(folder) / self.path.name.removesuffix(".gz")
            with self.stream() as packed, copy.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
            yield copy

    def _state(self) -> tuple[FileState, ...]:
        told = [(file.name, file.stat()) for file in self._files()]
        return tuple(FileState(name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in told)

    def _files(self) -> list[Path]:
        return sorted(file for file in self.path.iterdir() if file.is_file()) if self.is_folder else [self.path]
