"""Cuts of a directly-follows graph: into groups of activities that an operator combines.

Each cut gives the number of each activity's group, or None where there is none. References are to pages of Leemans,
Robust Process Mining with Guarantees (PhD thesis, TU Eindhoven 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ocelake.mining.inductive.logs import Mask, VariantLog
from ocelake.mining.inductive.trees import Operator

__all__ = [
    "DirectlyFollows",
    "Groups",
    "directly_follows",
    "find_cut",
    "loop_cut",
    "parallel_cut",
    "sequence_cut",
    "strict_sequence_cut",
    "xor_cut",
]

Groups: TypeAlias = npt.NDArray[np.int64]
"""The number of each activity's group; groups are numbered in the order of the operator's children."""


@dataclass(frozen=True, slots=True, eq=False)
class DirectlyFollows:
    """The directly-follows graph of a log.

    Attributes
    ----------
    alphabet : int array, one per activity
        Codes of the activities that occur, ascending; the arrays below are in this order.
    follows : bool array, activities x activities
        Whether the second directly follows the first in some trace.
    start, end : bool arrays, one per activity
        Whether it is the first, or the last, of some trace.
    """

    alphabet: npt.NDArray[np.int64]
    follows: Mask
    start: Mask
    end: Mask


def directly_follows(log: VariantLog) -> DirectlyFollows:
    """Discover the directly-follows graph.

    Examples
    --------
    >>> graph = directly_follows(VariantLog.of(["ab"]))
    >>> graph.follows.tolist(), graph.start.tolist()
    ([[False, True], [False, False]], [True, False])
    """
    occurs = np.zeros(len(log.labels), dtype=np.bool_)
    occurs[log.steps] = True
    alphabet = np.flatnonzero(occurs)
    size = len(alphabet)
    local = (np.cumsum(occurs) - 1)[log.steps]
    first = log.first
    follows = np.zeros(size * size, dtype=np.bool_)
    follows[(local[:-1] * size + local[1:])[~first[1:]]] = True
    start, end = np.zeros((2, size), dtype=np.bool_)
    start[local[first]] = True
    end[local[np.roll(first, -1)]] = True
    return DirectlyFollows(alphabet, follows.reshape(size, size), start, end)


def find_cut(graph: DirectlyFollows, *, strict_sequence: bool) -> tuple[Operator, Groups] | None:
    """Give the first cut there is: exclusive choice, sequence, parallel, loop.

    Parameters
    ----------
    strict_sequence : bool
        Use the strict sequence cut (`strict_sequence_cut`).

    Examples
    --------
    >>> operator, groups = find_cut(directly_follows(VariantLog.of(["abd", "acd"])), strict_sequence=False)
    >>> operator.name, groups.tolist()
    ('SEQUENCE', [0, 1, 1, 2])
    """
    if len(graph.alphabet) < 2:
        return None
    for operator, cut in (
        (Operator.XOR, xor_cut),
        (Operator.SEQUENCE, strict_sequence_cut if strict_sequence else sequence_cut),
        (Operator.PARALLEL, parallel_cut),
        (Operator.LOOP, loop_cut),
    ):
        groups = cut(graph)
        if groups is not None:
            return operator, groups
    return None


def xor_cut(graph: DirectlyFollows) -> Groups | None:
    """Part activities that no path of either direction connects (p. 188).

    Examples
    --------
    >>> xor_cut(directly_follows(VariantLog.of(["ac", "b"]))).tolist()
    [0, 1, 0]
    """
    return _several(_components(graph.follows | graph.follows.T))


def sequence_cut(graph: DirectlyFollows) -> Groups | None:
    """Part activities between which paths lead one way only (p. 188).

    Examples
    --------
    >>> sequence_cut(directly_follows(VariantLog.of(["ba", "b"]))).tolist()
    [1, 0]
    """
    reaches = _closure(graph.follows)
    np.fill_diagonal(reaches, False)
    groups = _several(_components(reaches == reaches.T))
    if groups is None:
        return None
    # All of a group reach all of the next, so any activity tells the place of its group.
    before = reaches.sum(axis=0) - reaches.sum(axis=1)
    _, member = np.unique(groups, return_index=True)
    place: Groups = np.empty_like(member)
    place[np.argsort(before[member])] = np.arange(len(member))
    return place[groups]


def strict_sequence_cut(graph: DirectlyFollows) -> Groups | None:
    """Part as `sequence_cut` does, but keep together groups that are only skipped together (p. 233).

    Where a group can be skipped, groups before it that lead no further than to it, and groups after it that are reached
    from no earlier, join it.

    Examples
    --------
    >>> graph = directly_follows(VariantLog.of(["abcd", "ad"]))
    >>> sequence_cut(graph).tolist(), strict_sequence_cut(graph).tolist()
    ([0, 1, 2, 3], [0, 1, 1, 2])
    """
    groups = sequence_cut(graph)
    if groups is None:
        return None
    size = int(groups.max()) + 1
    leads = np.zeros((size, size), dtype=np.bool_)
    sources, targets = np.nonzero(graph.follows)
    leads[groups[sources], groups[targets]] = True
    starts, ends = np.zeros((2, size), dtype=np.bool_)
    starts[groups[graph.start]] = True
    ends[groups[graph.end]] = True

    # The earliest group that leads to each, and the latest that each leads to; the trace's start and end count.
    number = np.arange(size)
    earliest = np.where(starts, -1, np.where(leads, number[:, None], size).min(axis=0))
    latest = np.where(ends, size, np.where(leads, number, -1).max(axis=1))
    joined = number.copy()
    for pivot in number:
        before, after = joined < pivot, joined > pivot
        if leads[np.ix_(before, after)].any() or starts[after].any() or ends[before].any():
            for direction, bound in ((-1, latest <= pivot), (1, earliest >= pivot)):
                other = pivot + direction
                while 0 <= other < size and bound[other]:
                    joined[joined == other] = pivot
                    other += direction
    return _several(np.unique(joined[groups], return_inverse=True)[1])


def parallel_cut(graph: DirectlyFollows) -> Groups | None:
    """Part activities that all directly follow one another; each group holds a start and an end (p. 188).

    In the order of their size, and then of their first activity, groups are united until the first has both; of those
    that follow, one without a start or an end joins the one before it.

    Examples
    --------
    >>> parallel_cut(directly_follows(VariantLog.of(["ab", "ba"]))).tolist()
    [0, 1]
    """
    found = _components(~(graph.follows & graph.follows.T))
    groups: Groups = np.zeros_like(found)
    first = np.zeros_like(graph.start)
    number = 0
    for group in np.argsort(np.bincount(found), kind="stable"):
        member = found == group
        if not _complete(graph, first):
            first |= member
            continue
        number += _complete(graph, member)
        groups[member] = number
    return _several(groups)


def _complete(graph: DirectlyFollows, group: Mask) -> bool:
    """Whether a trace starts and a trace ends in the group."""
    return bool((graph.start & group).any() and (graph.end & group).any())


def loop_cut(graph: DirectlyFollows) -> Groups | None:
    """Part the body of a loop (group 0) from what leads back to its start (group 1) (p. 188).

    Examples
    --------
    >>> loop_cut(directly_follows(VariantLog.of(["a", "aba"]))).tolist()
    [0, 1]
    """
    follows, start, end = graph.follows, graph.start, graph.end
    edge = start | end
    to_start, from_end = follows[:, start], follows[end]
    in_body = (
        edge
        # A way on from a start that is no end, or to an end that is no start, is a way within the body.
        | follows[start & ~end].any(axis=0)
        | follows[:, end & ~start].any(axis=1)
        # What leads back leads to every start, and comes from every end.
        | (to_start.any(axis=1) & ~to_start.all(axis=1))
        | (from_end.any(axis=0) & ~from_end.all(axis=0))
    )
    inner = np.flatnonzero(~edge)
    if not len(inner):
        return None
    component = _components((follows | follows.T)[np.ix_(inner, inner)])
    joins = np.zeros(len(inner), dtype=np.bool_)
    joins[component[in_body[inner]]] = True
    groups: Groups = np.zeros(len(edge), dtype=np.int64)
    groups[inner] = ~joins[component]
    return _several(groups)


def _several(groups: Groups) -> Groups | None:
    """Give the groups, where there are two or more."""
    return groups if groups.any() else None


def _closure(relation: Mask) -> Mask:
    """Give the transitive closure, by Warshall's algorithm (1962)."""
    reaches = relation.copy()
    for through in range(len(reaches)):
        reaches[reaches[:, through]] |= reaches[through]
    return reaches


def _components(relation: Mask) -> Groups:
    """Give the connected components of a symmetric relation, numbered by their first members."""
    groups: Groups = np.full(len(relation), -1, dtype=np.int64)
    number = -1
    for seed in range(len(relation)):
        if groups[seed] >= 0:
            continue
        number += 1
        reached = np.array([seed])
        while len(reached):
            groups[reached] = number
            reached = np.flatnonzero(relation[reached].any(axis=0) & (groups < 0))
    return groups
