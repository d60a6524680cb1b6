"""Which small files are worth being merged: size-tiered compaction, as in a log-structured merge tree.

A file's tier is the logarithm of its rows. Files are merged once `FANOUT` of one tier have gathered, together with what
is in the tiers below, and what comes out is in a higher tier. So each rewrite takes a row up by a tier at least: over
its life a row is rewritten no more than ``log(rows of the slice, FANOUT)`` times, however many commits it came with,
and a large file is never rewritten for the sake of a small one.

O'Neil, P. et al. (1996). The log-structured merge-tree (LSM-tree). Acta Informatica 33(4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

from ocelake.lake.files import FILE_BYTES

__all__ = ["FANOUT", "Sized", "due", "tier"]

_BITS: Final = 3
FANOUT: Final = 1 << _BITS
"""So many files of one tier are merged. More would be merged less often, and leave more files to readers."""


class Sized(Protocol):
    """What has to be known of a file."""

    @property
    def record_count(self) -> int:
        """Rows."""

    @property
    def file_size_in_bytes(self) -> int:
        """Bytes."""


File = TypeVar("File", bound=Sized)


def tier(rows: int) -> int:
    """Give the tier of a file.

    Examples
    --------
    >>> [tier(rows) for rows in (1, 7, 8, 63, 64, 1_000_000)]
    [0, 0, 1, 1, 2, 6]
    """
    return max(0, rows.bit_length() - 1) // _BITS


def due(files: Iterable[File], file_rows: int | None = None) -> list[File]:
    """Give the files of one partition that are to be merged into one; none where no tier is full.

    A file of half the size at which one is closed stays as it is.

    Parameters
    ----------
    files : iterable of Sized
        All files of a log's slice of a table, or of a bucket of it.
    file_rows : int, optional
        At how many rows one is closed as well.
    """
    tiers: defaultdict[int, list[File]] = defaultdict(list)
    for file in files:
        if file.file_size_in_bytes < FILE_BYTES // 2 and not (file_rows and file.record_count > file_rows // 2):
            tiers[tier(file.record_count)].append(file)
    highest = max((number for number, members in tiers.items() if len(members) >= FANOUT), default=-1)
    return [file for number in sorted(tiers) if number <= highest for file in tiers[number]]
