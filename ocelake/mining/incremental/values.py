"""Sorted values that change by a few: quantiles are no sums, so that the values themselves are kept."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ocelake.errors import OcelakeError
from ocelake.mining.ocdfg import QUANTILES

__all__ = ["Values"]

Keys = npt.NDArray[np.int64]

_STALE = "Compute the state again from the log as it is now."


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
