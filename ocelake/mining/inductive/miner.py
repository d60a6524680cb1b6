"""The steps of the Inductive Miner: base case, cut, or fall-through, until nothing is left to split."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np

from ocelake.mining.inductive.cuts import DirectlyFollows, Groups, directly_follows, find_cut
from ocelake.mining.inductive.fall_throughs import flower, parallel_activity, repeated
from ocelake.mining.inductive.logs import VariantLog
from ocelake.mining.inductive.trees import TAU, Operator, ProcessTree, fold, leaf

__all__ = ["discover_tree"]

_Part: TypeAlias = VariantLog | ProcessTree
"""A log yet to be split, or the tree of one."""

_Split: TypeAlias = tuple[Operator, list[_Part]]


def discover_tree(log: VariantLog, *, fall_throughs: bool = False, strict_sequence_cut: bool = False) -> ProcessTree:
    """Discover a process tree that every trace of the log fits.

    Parameters
    ----------
    log : VariantLog
        A set of traces.
    fall_throughs : bool
        Where there is no cut, look for an activity that is parallel to the rest and for repetition, before all
        activities are allowed in any order.
    strict_sequence_cut : bool
        Keep activities together that are only skipped together.

    Returns
    -------
    ProcessTree
        Folded: see `fold`.

    Examples
    --------
    >>> str(discover_tree(VariantLog.of(["abd", "acd", "ad"])))
    "->( 'a', X( tau, 'c', 'b' ), 'd' )"
    """
    return fold(_Miner(fall_throughs, strict_sequence_cut).tree(log))


class _Miner:
    """The miner with its flags."""

    def __init__(self, fall_throughs: bool, strict_sequence: bool) -> None:
        self.fall_throughs = fall_throughs
        self.strict_sequence = strict_sequence

    def tree(self, log: VariantLog) -> ProcessTree:
        # No recursion: nested choices, one for each step of a long process, would exceed its limit.
        todo: list[_Part] = [log]
        found: list[ProcessTree | tuple[Operator, int]] = []
        while todo:
            part = todo.pop()
            split = self.split(part) if isinstance(part, VariantLog) else part
            if isinstance(split, ProcessTree):
                found.append(split)
            else:
                operator, parts = split
                found.append((operator, len(parts)))
                todo.extend(parts)
        # Each node was met before its children, and the last of those first.
        trees: list[ProcessTree] = []
        for node in reversed(found):
            if isinstance(node, ProcessTree):
                trees.append(node)
            else:
                operator, size = node
                trees[-size:] = [ProcessTree(operator, tuple(trees[-size:]))]
        return trees[0]

    def split(self, log: VariantLog) -> ProcessTree | _Split:
        if not len(log.steps):
            return TAU
        if log.empty:
            return Operator.XOR, [TAU, replace(log, empty=False)]
        graph = directly_follows(log)
        if len(graph.alphabet) == 1 and not graph.follows.any():
            return leaf(log.labels[graph.alphabet[0]])
        cut = find_cut(graph, strict_sequence=self.strict_sequence)
        if cut is not None:
            operator, groups = cut
            return operator, _parts(log, graph, operator, groups)
        return self.without_cut(log, graph)

    def without_cut(self, log: VariantLog, graph: DirectlyFollows) -> ProcessTree | _Split:
        if self.fall_throughs:
            activity = parallel_activity(log, graph, strict_sequence=self.strict_sequence)
            if activity is not None:
                alone = np.arange(len(log.labels)) == activity
                return Operator.PARALLEL, [log.project(alone), log.project(~alone)]
            body = repeated(log, graph)
            if body is not None:
                return Operator.LOOP, [body, TAU]
        return flower([log.labels[activity] for activity in graph.alphabet])


def _parts(log: VariantLog, graph: DirectlyFollows, operator: Operator, groups: Groups) -> list[_Part]:
    """Split the log along a cut."""
    of_label = np.full(len(log.labels), -1, dtype=np.int64)
    of_label[graph.alphabet] = groups
    members = [of_label == group for group in range(int(groups.max()) + 1)]
    if operator is Operator.XOR:
        return [log.select(member) for member in members]
    if operator is Operator.LOOP:
        # A turn of the body, and each way back, is a trace of its own.
        turns = log.split(np.diff(of_label[log.steps], prepend=0) != 0)
        return [turns.select(member) for member in members]
    return [log.project(member) for member in members]
