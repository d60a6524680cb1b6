"""Drift points: when the way that objects of a type go through the process changed.

The objects of a type stand in the order of their first event; each is one draw from the trace variants. At every
candidate point the variants of the objects in a window before it are compared with those in a window after it, by a
chi-square test of homogeneity; its p-values are corrected by Bonferroni over all candidates of the log (one false point
is one too many for a person who looks for its cause), and of the significant points within a window the strongest is
the drift point.

References
----------
Bose, van der Aalst, Zliobaite, Pechenizkiy: Dealing with concept drifts in process mining (IEEE TNNLS 25(1), 2014).
Devlin, Roeder: Genomic control for association studies (Biometrics 55(4), 1999).
Maaradji, Dumas, La Rosa, Ostovar: Fast and accurate business process drift detection (BPM 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import chi2

from ocelake.mining.traces import Traces
from ocelake.mining.variants import Variants
from ocelake.tables import as_table, frame_schema

__all__ = ["drift_points"]

_CATEGORIES: Final = 10
"""Variants that are told apart; the rarer ones are one category."""

_RAREST: Final = 5.0
"""Expected count in a window below which a variant joins the rarer ones (Cochran's rule)."""

_STEPS: Final = 10
"""Candidates a window."""

_ENDED: Final = 0.95
"""Share of objects that have ended so long after their begin as is waited for."""


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """One type's candidate points: positions among its objects, test results, and what was compared."""

    kind: int
    objects: npt.NDArray[np.int64]
    window: int
    positions: npt.NDArray[np.int64]
    p: npt.NDArray[np.float64]
    effect: npt.NDArray[np.float64]


def drift_points(traces: Traces, variants: Variants, *, window: int | None = None, rate: float = 0.01) -> pl.DataFrame:
    """Find drift points of every object type.

    Parameters
    ----------
    traces, variants : Traces, Variants
        The log and its trace variants.
    window : int, optional
        Objects before and after a candidate. Default: a fifth of the type's objects, at least 50 and at most 1000;
        types with fewer than two windows of objects are not looked at.
    rate : float
        How likely a log without any drift is to show one.

    Returns
    -------
    DataFrame
        As `gold.drift_points`.

    Notes
    -----
    An object that has not ended yet has a shorter trace, so that the end of a log looks like a drift: objects that
    begin later than the time in which 95% of their type end, before the log's end, are left out. That goes by the begin
    alone: to leave out those that still go on would keep the quick ones, which looks like a drift as well.

    Examples
    --------
    >>> from datetime import datetime, timedelta
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.mining.variants import find_variants
    >>> rows = [(f"e{n:03}", f"o{n:03}", "a" if n < 100 else "b", "order", n) for n in range(200)]
    >>> frame = pl.DataFrame(
    ...     rows, schema=["event_id", "object_id", "activity", "object_type", "sequence"], orient="row"
    ... ).with_columns(time=datetime(2024, 1, 1) + pl.col("sequence") * timedelta(days=1))
    >>> traces = encode(frame)
    >>> drift_points(traces, find_variants(traces))["position"].to_list()
    [100]
    """
    found = [
        candidates
        for kind in range(len(traces.object_types))
        if (candidates := _candidates(traces, variants, kind, window)) is not None
    ]
    if not found:
        return as_table("gold.drift_points")
    tests = sum(len(candidates.p) for candidates in found)
    rows = []
    for candidates in found:
        p = np.minimum(candidates.p * tests, 1)
        for place in _peaks(p <= rate, candidates.effect, candidates.positions, candidates.window):
            rows.append(_described(traces, variants, candidates, place, float(p[place])))
    return pl.DataFrame(rows, schema=frame_schema("gold.drift_points"), orient="row").sort("object_type", "position")


def _candidates(traces: Traces, variants: Variants, kind: int, window: int | None) -> _Candidates | None:
    low, high = np.searchsorted(traces.object_type, [kind, kind + 1])
    objects = np.arange(low, high)[traces.lengths[low:high] > 0]
    if not len(objects):
        return None
    first = traces.step_event[traces.offsets[objects]]
    last = traces.step_event[traces.offsets[objects + 1] - 1]
    cycle = np.quantile(traces.event_time[last] - traces.event_time[first], _ENDED)
    ended = traces.event_time[first] <= traces.event_time[-1] - cycle
    objects = objects[ended][np.argsort(first[ended], kind="stable")]
    size = window or int(np.clip(len(objects) // 5, 50, 1000))
    if len(objects) < 2 * size:
        return None
    step = max(size // _STEPS, 1)
    positions = np.arange(size, len(objects) - size + 1, step)
    categories = _categories(variants.of_object[objects], size)
    # Counts of each category among the first n objects, so that a window is a difference of two rows.
    counts = np.zeros((len(objects) + 1, categories.max() + 1))
    counts[np.arange(1, len(objects) + 1), categories] = 1
    counts = counts.cumsum(axis=0)
    statistic, freedom = _homogeneity(counts, positions, size)
    p = np.where(freedom > 0, chi2.sf(statistic / _dispersion(counts, size), np.maximum(freedom, 1)), 1.0)
    return _Candidates(kind, objects, size, positions, p, np.sqrt(statistic / (2 * size)))


def _categories(of_object: npt.NDArray[np.int32], window: int) -> npt.NDArray[np.int64]:
    """Number the frequent variants from 1; all others are 0."""
    names, inverse, counts = np.unique(of_object, return_inverse=True, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:_CATEGORIES]
    frequent = frequent[counts[frequent] * window / len(of_object) >= _RAREST]
    number = np.zeros(len(names), dtype=np.int64)
    number[frequent] = np.arange(1, len(frequent) + 1)
    return number[inverse]


def _homogeneity(
    counts: npt.NDArray[np.float64], positions: npt.NDArray[np.int64], size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Compare the ``size`` objects before each position with those after it; give the statistics and their freedom."""
    before, after = counts[positions] - counts[positions - size], counts[positions + size] - counts[positions]
    both = before + after
    seen = both > 0
    statistic = np.divide((before - after) ** 2, both, out=np.zeros_like(both), where=seen).sum(axis=1)
    return statistic, seen.sum(axis=1) - 1


def _dispersion(counts: npt.NDArray[np.float64], window: int) -> float:
    """Say how many times greater the statistics are than those of independent objects.

    Objects that share events (the items of an order) go the same way together, so that fewer draws are made than there
    are objects. That inflates every comparison, a drift only few of those between neighbouring quarters of a window:
    the median of these tells it (genomic control).
    """
    size = max(window // 4, 1)
    statistic, freedom = _homogeneity(counts, np.arange(size, len(counts) - size, 2 * size), size)
    # Where both hold one and the same variant, they do not differ at all.
    usual = np.where(freedom > 0, chi2.median(np.maximum(freedom, 1)), np.inf)
    return max(1.0, float(np.median(statistic / usual)))


def _peaks(
    significant: npt.NDArray[np.bool_],
    effect: npt.NDArray[np.float64],
    positions: npt.NDArray[np.int64],
    window: int,
) -> list[int]:
    """Give the strongest significant candidates, no two of them within a window."""
    peaks: list[int] = []
    for place in np.argsort(-effect, kind="stable"):
        if significant[place] and all(abs(positions[place] - positions[other]) >= window for other in peaks):
            peaks.append(int(place))
    return peaks


def _described(traces: Traces, variants: Variants, candidates: _Candidates, place: int, p: float) -> tuple[object, ...]:
    at, size, objects = candidates.positions[place], candidates.window, candidates.objects
    sides = [variants.of_object[objects[part]] for part in (slice(at - size, at), slice(at, at + size))]
    before, after = (np.bincount(side, minlength=len(variants.example)) / size for side in sides)
    most = int(np.argmax(np.abs(after - before)))
    example = variants.example[most]
    trace = traces.step_activity[traces.offsets[example] : traces.offsets[example + 1]]
    micros = int(traces.event_time[traces.step_event[traces.offsets[objects[at]]]])
    return (
        traces.object_types[candidates.kind],
        pl.Series([micros]).cast(pl.Datetime("us", "UTC"))[0],
        int(at),
        size,
        p,
        float(candidates.effect[place]),
        traces.activities.gather(trace).to_list(),
        float(before[most]),
        float(after[most]),
    )
