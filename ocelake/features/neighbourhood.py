"""Labels of events by the graph that leads to them: what a Weisfeiler-Leman refinement gives, over the past alone.

References
----------
Shervashidze, Schweitzer, van Leeuwen, Mehlhorn, Borgwardt: Weisfeiler-Lehman Graph Kernels (JMLR 12, 2011).
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.predecessors import Predecessors
from ocelake.mining.traces import Traces

__all__ = ["neighbourhoods"]

Labels = npt.NDArray[np.uint64]


def neighbourhoods(traces: Traces, predecessors: Predecessors, depth: int) -> Labels:
    """Label each event by its activity and the labels of its predecessors, by the type of the object between them.

    Equal activities with equal predecessors (as a set, so many times over) have equal labels. A label is a hash of
    names, the same in every run and log.

    Parameters
    ----------
    traces : Traces
    predecessors : Predecessors
        Of all events, over the object types in question.
    depth : int
        How far back.

    Returns
    -------
    uint64 array, one per event
    """
    activity = _names(traces.activities)[traces.event_activity]
    kind = _names(traces.object_types)
    label = activity
    owner = predecessors.event[predecessors.owner]
    for _ in range(depth):
        before = _mixed(label[predecessors.predecessor] ^ kind[traces.object_type[predecessors.object]])
        distinct = pl.DataFrame({"event": owner, "label": before}).unique()
        event, found = distinct["event"].to_numpy(), distinct["label"].to_numpy()
        sums = np.zeros(len(activity), dtype=np.uint64)
        np.add.at(sums, event, found)
        label = _mixed(activity + _mixed(sums))
    return label


def _names(names: pl.Series) -> Labels:
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _mixed(words: Labels) -> Labels:
    """Scatter bits, as splitmix64 does."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    scattered: Labels = words ^ (words >> np.uint64(31))
    return scattered
