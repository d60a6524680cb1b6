"""Sorted values that change by a few: quantiles are no sums, so that the values themselves are kept.

What changes is kept beside the many values, and woven into them once it is more than a small part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from ocelake.errors import OcelakeError
from ocelake.mining.ocdfg import QUANTILES

__all__ = ["Values"]

Keys = npt.NDArray[np.int64]

_SHARE: Final = 16
"""Changes are woven in once they are more than one in so many values."""


def _none() -> Keys:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """A multiset of durations in microseconds.

    Attributes
    ----------
    ordered : int64 array
        Values, ascending.
    added, removed : int64 array
        What came since, and what of ``ordered`` went; ascending, with nothing in both.
    total : int
        The sum of what is left.

    Examples
    --------
    >>> values = Values.of(np.array([4_000_000, 1_000_000])).changed(np.array([1_000_000]), np.array([2_000_000]))
    >>> values.describe()["median"], values.describe()["sum"]
    (3.0, 6.0)
    """

    ordered: Keys = field(default_factory=_none)
    added: Keys = field(default_factory=_none)
    removed: Keys = field(default_factory=_none)
    total: int = 0

    @classmethod
    def of(cls, values: Keys) -> Values:
        """Collect values."""
        return cls(np.sort(values), total=_sum(values))

    def __len__(self) -> int:
        return len(self.ordered) + len(self.added) - len(self.removed)

    @property
    def zeros(self) -> int:
        """How many of the values are 0."""
        ordered, added, removed = (
            int(np.searchsorted(part, 0, side="right")) for part in (self.ordered, self.added, self.removed)
        )
        return ordered + added - removed

    def changed(self, went: Keys, came: Keys) -> Values:
        """Take values away, and add others."""
        added, removed = np.sort(np.append(self.added, came)), np.sort(np.append(self.removed, went))
        place, there = _find(added, removed)
        added, removed = np.delete(added, place[there]), removed[~there]
        place, there = _find(self.ordered, removed)
        if not there.all():
            raise OcelakeError(
                "A duration that is to be taken away is not there.",
                fix="Compute the state again from the log as it is now.",
            )
        total = self.total - _sum(went) + _sum(came)
        if (len(added) + len(removed)) * _SHARE <= len(self.ordered):
            return Values(self.ordered, added, removed, total)
        left = np.delete(self.ordered, place)
        return Values(np.insert(left, np.searchsorted(left, added), added), total=total)

    def describe(self) -> dict[str, float]:
        """Give sum, mean, min, the quantiles and max in seconds; the same digits as from the whole at once."""
        count, total = len(self), float(self.total)
        places = [(count - 1) * share for share in QUANTILES.values()]
        low = np.array([0, *map(int, places), count - 1])
        least, most = (self._at(rank).astype(np.float64).tolist() for rank in (low, np.minimum(low + 1, count - 1)))
        found = {"sum": total, "mean": total / count, "min": least[0]}
        for at, (name, place) in enumerate(zip(QUANTILES, places, strict=True), start=1):
            between = (place - int(place)) * (most[at] - least[at])
            found[name.removeprefix("duration_")] = least[at] + between
        found["max"] = least[-1]
        return {name: value / 1_000_000 for name, value in found.items()}

    def _at(self, ranks: Keys) -> Keys:
        """Give the values of some ranks among all that are left."""
        gone, _ = _find(self.ordered, self.removed)
        place = np.searchsorted(self.ordered, self.added)
        own = place - np.searchsorted(gone, place) + np.arange(len(place))
        before = np.searchsorted(own, ranks)
        came = before < len(own)
        came[came] = own[before[came]] == ranks[came]
        found = np.empty(len(ranks), dtype=np.int64)
        found[came] = self.added[before[came]]
        kept = (ranks - before)[~came]
        found[~came] = self.ordered[kept + np.searchsorted(gone - np.arange(len(gone)), kept, side="right")]
        return found


def _find(ordered: Keys, values: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Find ascending values, equal ones at the places of as many equal ones; say whether there are so many."""
    place = np.searchsorted(ordered, values) + np.arange(len(values)) - np.searchsorted(values, values)
    there = place < len(ordered)
    there[there] = ordered[place[there]] == values[there]
    return place, there


def _sum(values: Keys) -> int:
    """Sum exactly: in two halves, as ten million durations of ten days go beyond 64 bits."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
