"""Sorted collections that change by a few entries: what is distinct, and what lies in the middle.

Counts of distinct things and quantiles are no sums: what is taken away may be there once more. So the collection itself
is kept, sorted, and a change is woven in; that costs a copy of the collection, and no sort.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ocelake.errors import OcelakeError
from ocelake.mining.ocdfg import QUANTILES

__all__ = ["Counts", "Values"]

Keys = npt.NDArray[np.int64]

_STALE = "Compute the state again from the log as it is now."


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """How often each key is there.

    Attributes
    ----------
    keys : int64 array
        Ascending and distinct.
    counts : int32 array
        At least 1.

    Examples
    --------
    >>> counts = Counts.of(np.array([3, 1, 3]))
    >>> counts, came = counts.with_more(np.array([5, 3]))
    >>> counts, went = counts.with_less(np.array([1, 3]))
    >>> counts.keys.tolist(), counts.counts.tolist(), came.tolist(), went.tolist()
    ([3, 5], [2, 1], [5], [1])
    """

    keys: Keys
    counts: npt.NDArray[np.int32]

    @classmethod
    def of(cls, keys: Keys) -> Counts:
        """Count keys."""
        found, counts = np.unique(keys, return_counts=True)
        return cls(found.astype(np.int64), counts.astype(np.int32))

    def with_more(self, keys: Keys) -> tuple[Counts, Keys]:
        """Add occurrences; give the keys that were not there before as well."""
        if not len(keys):
            return self, keys
        added, numbers = np.unique(keys, return_counts=True)
        place = np.searchsorted(self.keys, added)
        known = self._at(place) == added
        counts = self.counts.copy()
        counts[place[known]] += numbers[known].astype(np.int32)
        if known.all():
            return Counts(self.keys, counts), added[:0]
        new = ~known
        return (
            Counts(
                np.insert(self.keys, place[new], added[new]),
                np.insert(counts, place[new], numbers[new].astype(np.int32)),
            ),
            added[new],
        )

    def with_less(self, keys: Keys) -> tuple[Counts, Keys]:
        """Take occurrences away; give the keys that are not there any more as well."""
        if not len(keys):
            return self, keys
        lost, numbers = np.unique(keys, return_counts=True)
        place = np.searchsorted(self.keys, lost)
        if (self._at(place) != lost).any() or (self.counts[place] < numbers).any():
            raise OcelakeError("What is to be taken away is not there.", fix=_STALE)
        counts = self.counts.copy()
        counts[place] -= numbers.astype(np.int32)
        gone = place[counts[place] == 0]
        if not len(gone):
            return Counts(self.keys, counts), lost[:0]
        left = np.ones(len(counts), dtype=bool)
        left[gone] = False
        return Counts(self.keys[left], counts[left]), self.keys[gone]

    def renamed(self, keys: Keys) -> Counts:
        """Give the same counts under other keys, which have to be in the same order."""
        return Counts(keys, self.counts)

    def distinct(self, bits: int) -> int:
        """Count how many different keys there are without their lowest bits."""
        upper = self.keys >> bits
        return int((upper[1:] != upper[:-1]).sum()) + bool(len(upper))

    def _at(self, place: Keys) -> Keys:
        """Give the keys at some places; -1 beyond the end."""
        inside = place < len(self.keys)
        found = np.full(len(place), -1, dtype=np.int64)
        found[inside] = self.keys[place[inside]]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """A multiset of durations in microseconds.

    Attributes
    ----------
    ordered : int64 array
        Ascending.
    total : int
        Their sum.

    Examples
    --------
    >>> values = Values.of(np.array([4_000_000, 1_000_000])).changed(np.array([1_000_000]), np.array([2_000_000]))
    >>> values.describe()["median"], values.describe()["sum"]
    (3.0, 6.0)
    """

    ordered: Keys = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    total: int = 0

    @classmethod
    def of(cls, values: Keys) -> Values:
        """Collect values."""
        return cls(np.sort(values), _sum(values))

    def __len__(self) -> int:
        return len(self.ordered)

    @property
    def zeros(self) -> int:
        """How many of the values are 0."""
        return int(np.searchsorted(self.ordered, 0, side="right"))

    def changed(self, went: Keys, came: Keys) -> Values:
        """Take values away, and add others."""
        ordered = self.ordered
        if len(went):
            went = np.sort(went)
            # Equal values go from their first place on.
            nth = np.arange(len(went)) - np.searchsorted(went, went)
            place = np.searchsorted(ordered, went) + nth
            if (place >= len(ordered)).any() or (ordered[place] != went).any():
                raise OcelakeError("A duration that is to be taken away is not there.", fix=_STALE)
            left = np.ones(len(ordered), dtype=bool)
            left[place] = False
            ordered = ordered[left]
        if len(came):
            came = np.sort(came)
            ordered = np.insert(ordered, np.searchsorted(ordered, came), came)
        return Values(ordered, self.total - _sum(went) + _sum(came))

    def describe(self) -> dict[str, float]:
        """Give sum, mean, min, the quantiles and max in seconds; the same digits as from the whole at once."""
        count, total = len(self.ordered), float(self.total)
        found = {"sum": total, "mean": total / count, "min": float(self.ordered[0])}
        for name, share in QUANTILES.items():
            place = (count - 1) * share
            low = int(place)
            high = min(low + 1, count - 1)
            least, most = float(self.ordered[low]), float(self.ordered[high])
            found[name.removeprefix("duration_")] = least if high == low else least + (place - low) * (most - least)
        found["max"] = float(self.ordered[-1])
        return {name: value / 1_000_000 for name, value in found.items()}


def _sum(values: Keys) -> int:
    """Sum exactly: in two halves, as ten million durations of ten days go beyond 64 bits."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
