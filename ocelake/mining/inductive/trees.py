"""Process trees, and their normal form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

__all__ = ["TAU", "Operator", "ProcessTree", "fold", "leaf"]

_T = TypeVar("_T")


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
        return _bottom_up(self, _written)


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
    return _bottom_up(tree, _folded).tree


@dataclass(frozen=True, slots=True)
class _Folded:
    """A folded tree, the sum of the digests of its labels, and its children likewise."""

    tree: ProcessTree
    weight: int
    children: Sequence[_Folded] = ()


_SILENT: Final = _Folded(TAU, 0)


def _folded(tree: ProcessTree, children: list[_Folded]) -> _Folded:
    """Fold a tree whose children are folded."""
    if tree.operator is None:
        return _SILENT if tree.label is None else _Folded(tree, _digest(tree.label))
    if tree.operator is not Operator.LOOP:
        joined = [child.children if child.tree.operator is tree.operator else [child] for child in children]
        found = [child for group in joined for child in group]
        children = [child for child in found if child.tree != TAU]
        if tree.operator is Operator.XOR and len(children) < len(found):
            children.insert(0, _SILENT)
        if tree.operator is not Operator.SEQUENCE:
            children.sort(key=lambda child: child.weight)
    if all(child.tree == TAU for child in children):
        return _SILENT
    if len(children) == 1:
        return children[0]
    kept = ProcessTree(tree.operator, tuple(child.tree for child in children))
    return _Folded(kept, sum(child.weight for child in children), children)


def _written(tree: ProcessTree, children: list[str]) -> str:
    if tree.operator is None:
        return "tau" if tree.label is None else f"'{tree.label}'"
    return f"{tree.operator.value}( {', '.join(children)} )"


def _bottom_up(tree: ProcessTree, give: Callable[[ProcessTree, list[_T]], _T]) -> _T:
    """Give a tree's value from those of its children.

    Not by recursion: trees are as deep as choices are nested in a process, and Python's stack is not.
    """
    todo, nodes = [tree], []
    while todo:
        node = todo.pop()
        nodes.append(node)
        todo.extend(node.children)
    # Each node was met before its children, and the last of those first.
    values: list[_T] = []
    for node in reversed(nodes):
        first = len(values) - len(node.children)
        values[first:] = [give(node, values[first:])]
    return values[0]


def _digest(label: str) -> int:
    return int.from_bytes(hashlib.md5(label.encode(), usedforsecurity=False).digest(), "big")
