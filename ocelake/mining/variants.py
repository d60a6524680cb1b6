"""Trace variants: the sequences of activities that objects of a type go through."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ocelake.mining.traces import Codes, Traces

__all__ = ["Variants", "find_variants", "first_last", "object_summaries", "trace_variants", "variant_id"]

_MICROSECONDS = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """The trace variants of a set of traces.

    Attributes
    ----------
    of_object : int32 array, one per object
        Code of the object's variant; variants of different types have different codes.
    example : int64 array, one per variant
        An object with that variant, the least code.
    """

    of_object: Codes
    example: npt.NDArray[np.int64]


def find_variants(traces: Traces) -> Variants:
    """Group the objects of each type by their sequence of activities.

    A positional hash proposes the groups; each is then confirmed step by step against an example, and what differs
    from it is grouped anew. So the outcome is exact whatever the hash.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {"event_id": ["e1", "e2", "e3"], "object_id": ["o1", "o1", "o2"], "activity": ["place", "pay", "place"]}
    ... ).with_columns(object_type=pl.lit("order"), time=pl.lit(datetime(2024, 1, 1)), sequence=0)
    >>> find_variants(encode(relations)).of_object.tolist()
    [0, 1]
    """
    return _confirmed(traces, _hashes(traces))


def _hashes(traces: Traces) -> npt.NDArray[np.uint64]:
    """Hash each object's type and sequence: a polynomial in the position, over the ring of 64-bit integers."""
    lengths = traces.lengths
    powers = np.full(int(lengths.max(initial=0)) + 1, 0x9E3779B97F4A7C15, dtype=np.uint64).cumprod(dtype=np.uint64)
    words = np.random.default_rng(0).integers(1 << 63, dtype=np.uint64, size=len(traces.activities))
    position = np.arange(len(traces.step_object)) - np.repeat(traces.offsets[:-1], lengths)
    hashes = traces.object_type.astype(np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    occupied = lengths > 0
    if occupied.any():
        terms = words[traces.step_activity] * powers[position]
        hashes[occupied] += np.add.reduceat(terms, traces.offsets[:-1][occupied])
    return hashes


def _confirmed(traces: Traces, hashes: npt.NDArray[np.uint64]) -> Variants:
    of_object = np.full(len(hashes), -1, dtype=np.int32)
    examples: list[npt.NDArray[np.int64]] = []
    known = 0
    left = np.arange(len(hashes))
    while len(left):
        _, first, group = np.unique(hashes[left], return_index=True, return_inverse=True)
        example = left[first]
        same = _equal(traces, left, example[group])
        of_object[left[same]] = known + group[same]
        examples.append(example)
        known += len(example)
        left = left[~same]
    return Variants(of_object, np.concatenate(examples) if examples else np.empty(0, dtype=np.int64))


def _equal(traces: Traces, objects: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each object has the type and the sequence of the other object beside it."""
    lengths = traces.lengths
    equal: npt.NDArray[np.bool_] = (lengths[objects] == lengths[others]) & (
        traces.object_type[objects] == traces.object_type[others]
    )
    compared = np.flatnonzero(equal)
    size = lengths[objects[compared]]
    position = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
    own = traces.step_activity[np.repeat(traces.offsets[objects[compared]], size) + position]
    theirs = traces.step_activity[np.repeat(traces.offsets[others[compared]], size) + position]
    equal[np.repeat(compared, size)[own != theirs]] = False
    return equal


def variant_id(activities: Sequence[str]) -> str:
    """Give the stable id of a sequence: the same in every run, log and object type.

    Examples
    --------
    >>> variant_id(["place order", "pay"]) == variant_id(["place order", "pay"])
    True
    >>> variant_id(["ab", "c"]) == variant_id(["a", "bc"])
    False
    """
    return _digest(b"".join(_prefixed(name) for name in activities))


def _prefixed(name: str) -> bytes:
    text = name.encode()
    return len(text).to_bytes(4, "big") + text


def _digest(names: bytes | memoryview) -> str:
    return hashlib.blake2b(names, digest_size=8).hexdigest()


def _digests(activities: pl.Series, codes: Codes, bounds: npt.NDArray[np.int64]) -> list[str]:
    """Give the ids of many sequences that lie one after the other."""
    names = pa.array([_prefixed(name) for name in activities], pa.large_binary()).take(pa.array(codes))
    _, places, data = names.buffers()
    if data is None:
        return [_digest(b"")] * (len(bounds) - 1)
    starts, text = np.frombuffer(places, dtype=np.int64)[bounds].tolist(), memoryview(data)
    return [_digest(text[start:end]) for start, end in pairwise(starts)]


def trace_variants(traces: Traces, variants: Variants) -> pl.DataFrame:
    """Describe each variant, in the order of its code.

    Returns
    -------
    DataFrame
        object_type, variant_id, activities, objects, and ``duration``: the sum over its objects of last minus first
        event in microseconds (Int128), null for the empty variant.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {"event_id": ["e1", "e2"], "object_id": ["o", "o"], "time": [datetime(2024, 1, day) for day in (1, 2)]}
    ... ).with_columns(activity=pl.lit("pay"), object_type=pl.lit("order"), sequence=0)
    >>> traces = encode(relations)
    >>> trace_variants(traces, find_variants(traces)).select("activities", "objects", "duration").rows()
    [(['pay', 'pay'], 1, 86400000000)]
    """
    example = variants.example
    starts, ends = traces.offsets[example], traces.offsets[example + 1]
    lengths = ends - starts
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    taken = traces.step_activity[np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], lengths)]
    ids = _digests(traces.activities, taken, bounds)
    names = traces.activities.gather(taken)
    first, last = first_last(traces)
    by_variant = pl.DataFrame({"variant": variants.of_object, "duration": last - first}).group_by("variant")
    sums = by_variant.agg(pl.len().cast(pl.Int64).alias("objects"), pl.col("duration").cast(pl.Int128).sum())
    return pl.DataFrame(
        {
            "object_type": traces.object_types.gather(traces.object_type[example]),
            "variant_id": pl.Series(ids, dtype=pl.String),
            "activities": pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(bounds), names.to_arrow())),
            **sums.sort("variant").drop("variant").to_dict(),
        }
    ).with_columns(pl.when(pl.col("activities").list.len() > 0).then("duration"))


def object_summaries(traces: Traces, variants: Variants, variant_ids: pl.Series) -> pl.DataFrame:
    """Describe each object's trace, sorted by object type and id.

    Parameters
    ----------
    variant_ids : Series of str
        By variant code, as in `trace_variants`.

    Returns
    -------
    DataFrame
        object_type, object_id, variant_id, first_time, last_time, cycle_time (from the first event to the last, in
        seconds) and events; the times are null for an empty trace.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {"event_id": ["e1", "e2"], "object_id": ["o", "o"], "time": [datetime(2024, 1, day) for day in (1, 2)]}
    ... ).with_columns(activity=pl.lit("pay"), object_type=pl.lit("order"), sequence=0)
    >>> traces = encode(relations)
    >>> variants = find_variants(traces)
    >>> ids = trace_variants(traces, variants)["variant_id"]
    >>> object_summaries(traces, variants, ids).select("object_id", "cycle_time", "events").rows()
    [('o', 86400.0, 2)]
    """
    first, last = first_last(traces)
    occupied = pl.col("events") > 0
    return pl.DataFrame(
        {
            "object_type": traces.object_types.gather(traces.object_type),
            "object_id": traces.object_ids,
            "variant_id": variant_ids.gather(variants.of_object),
            "first_time": pl.Series(first).cast(_MICROSECONDS),
            "last_time": pl.Series(last).cast(_MICROSECONDS),
            "cycle_time": (last - first) / 1_000_000,
            "events": traces.lengths,
        }
    ).with_columns(pl.when(occupied).then(pl.col(name)) for name in ("first_time", "last_time", "cycle_time"))


def first_last(traces: Traces) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give the time of each object's first and last event in microseconds; 0 for an empty trace.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> relations = pl.DataFrame(
    ...     {"event_id": ["e1", "e2"], "object_id": ["o", "o"], "time": [datetime(1970, 1, day) for day in (1, 2)]}
    ... ).with_columns(activity=pl.lit("pay"), object_type=pl.lit("order"), sequence=0)
    >>> first, last = first_last(encode(relations))
    >>> first.tolist(), last.tolist()
    ([0], [86400000000])
    """
    first, last = np.zeros((2, len(traces.object_ids)), dtype=np.int64)
    occupied = traces.lengths > 0
    first[occupied] = traces.event_time[traces.step_event[traces.offsets[:-1][occupied]]]
    last[occupied] = traces.event_time[traces.step_event[traces.offsets[1:][occupied] - 1]]
    return first, last
