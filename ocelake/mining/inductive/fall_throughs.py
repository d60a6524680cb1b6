"""What the Inductive Miner does where a log has no cut: give up some precision to go on, never fitness.

References
----------
Leemans: Robust Process Mining with Guarantees (PhD thesis, TU Eindhoven 2017), section 6.1.4.
"""

from __future__ import annotations

import numpy as np

from ocelake.mining.inductive.cuts import DirectlyFollows, directly_follows, find_cut
from ocelake.mining.inductive.logs import VariantLog
from ocelake.mining.inductive.trees import TAU, Operator, ProcessTree, leaf

__all__ = ["flower", "parallel_activity", "repeated"]


def parallel_activity(log: VariantLog, graph: DirectlyFollows, *, strict_sequence: bool) -> int | None:
    """Find an activity to put in parallel to all others.

    The first that occurs exactly once in each trace; else the first without which the log has a cut.

    Returns
    -------
    int or None
        Its code.

    Examples
    --------
    >>> log = VariantLog.of(["abac", "caba", "bca"])
    >>> log.labels[parallel_activity(log, directly_follows(log), strict_sequence=False)]
    'b'
    """
    traces = int(log.first.sum())
    counts = np.bincount(log.steps, minlength=len(log.labels))
    for activity in np.flatnonzero(counts == traces):
        if (np.diff(log.trace[log.steps == activity]) > 0).all():
            return int(activity)
    for activity in graph.alphabet:
        others = np.ones(len(log.labels), dtype=np.bool_)
        others[activity] = False
        rest = directly_follows(log.select(others))
        if find_cut(rest, strict_sequence=strict_sequence) is not None:
            return int(activity)
    return None


def repeated(log: VariantLog, graph: DirectlyFollows) -> VariantLog | None:
    """Split the traces where the process begins anew; None where no trace is split.

    Before a start activity that follows an end activity; else before every start activity.

    Examples
    --------
    >>> log = VariantLog.of(["abab"])
    >>> repeated(log, directly_follows(log)).trace.tolist()
    [1, 1, 2, 2]
    """
    starts, ends = np.zeros((2, len(log.labels)), dtype=np.bool_)
    starts[graph.alphabet], ends[graph.alphabet] = graph.start, graph.end
    anew = starts[log.steps] & ~log.first
    after_end = np.roll(ends[log.steps], 1)
    for before in (anew & after_end, anew):
        if before.any():
            return log.split(before)
    return None


def flower(labels: list[str]) -> ProcessTree:
    """Allow any activities in any order.

    Examples
    --------
    >>> str(flower(["pay", "ship"]))
    "*( tau, X( 'pay', 'ship' ) )"
    """
    leaves = tuple(map(leaf, labels))
    choice = leaves[0] if len(leaves) == 1 else ProcessTree(Operator.XOR, leaves)
    return ProcessTree(Operator.LOOP, (TAU, choice))
