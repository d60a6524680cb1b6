"""Process trees, and their normal form."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["TAU", "Operator", "ProcessTree", "fold", "leaf"]


class Operator(Enum):
    """How the children of a node are combined."""

    SEQUENCE = "->"
    XOR = "X"
    PARALLEL = "+"
    LOOP = "*"


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """A process tree: an activity, a silent step, or an operator over trees.

    Attributes
    ----------
    operator : Operator or None
        None for a leaf.
    children : tuple of ProcessTree
        Of a loop two: the body, and what leads back to it.
    label : str or None
        The activity of a leaf; None for a silent one.

    Examples
    --------
    >>> str(ProcessTree(Operator.XOR, (TAU, ProcessTree(label="pay"))))
    "X( tau, 'pay' )"
    """

    operator: Operator | None = None
    children: tuple[ProcessTree, ...] = ()
    label: str | None = None

    def __str__(self) -> str:
        if self.operator is None:
            return "tau" if self.label is None else f"'{self.label}'"
        return f"{self.operator.value}( {', '.join(map(str, self.children))} )"


TAU: Final = ProcessTree()
"""The silent leaf."""


def leaf(label: str) -> ProcessTree:
    """Give the leaf of an activity.

    Examples
    --------
    >>> str(leaf("pay"))
    "'pay'"
    """
    return ProcessTree(label=label)


def fold(tree: ProcessTree) -> ProcessTree:
    """Give the normal form of a tree: the same language, and one form for trees that differ in nesting or order only.

    A node within one of the same operator joins it (loops apart), silent children of sequences and parallel nodes go, a
    choice keeps one, a single child takes its parent's place, and the children of choices and parallel nodes stand in
    the order of the sum of the MD5 digests of their labels.

    Notes
    -----
    That order is pm4py's (2.7.23). It has to be some order that does not depend on the run, and it shows in the net:
    whether silent steps follow the source and precede the sink is decided on the first and last children.

    Examples
    --------
    >>> inner = ProcessTree(Operator.XOR, (TAU, leaf("pay")))
    >>> str(fold(ProcessTree(Operator.XOR, (TAU, ProcessTree(Operator.SEQUENCE, (TAU, inner))))))
    "X( tau, 'pay' )"
    """
    return _weighed(tree)[1]


def _weighed(tree: ProcessTree) -> tuple[int, ProcessTree]:
    """Give the folded tree, and the sum of the digests of its labels."""
    if tree.operator is None:
        return (0 if tree.label is None else _digest(tree.label)), tree
    children: list[tuple[int, ProcessTree]] = []
    for weight, child in map(_weighed, tree.children):
        if child.operator is tree.operator and child.operator is not Operator.LOOP:
            # Folded itself, it is weighed again at a leaf's or a grandchild's cost only.
            children.extend(map(_weighed, child.children))
        else:
            children.append((weight, child))
    total = sum(weight for weight, _ in children)
    if tree.operator is not Operator.LOOP:
        silent = any(child == TAU for _, child in children)
        children = [found for found in children if found[1] != TAU]
        if tree.operator is Operator.XOR and silent:
            children.insert(0, (0, TAU))
        if tree.operator is not Operator.SEQUENCE:
            children.sort(key=lambda found: found[0])
    kept = tuple(child for _, child in children)
    if all(child == TAU for child in kept):
        return 0, TAU
    return total, kept[0] if len(kept) == 1 else ProcessTree(tree.operator, kept)


def _digest(label: str) -> int:
    return int.from_bytes(hashlib.md5(label.encode(), usedforsecurity=False).digest(), "big")
