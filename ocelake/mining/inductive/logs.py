"""The log that the Inductive Miner splits: a set of traces as one array of steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ocelake.mining.traces import Codes

__all__ = ["Mask", "VariantLog"]

Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class VariantLog:
    """A set of traces; a trace may stand in it more than once, which changes nothing.

    Attributes
    ----------
    labels : sequence of str
        Activities by code, sorted; also those that do not occur.
    steps : int32 array, one per step
        Activity codes, trace after trace.
    trace : int32 array, one per step
        Number of its trace; never falls. Numbers may be left out.
    empty : bool
        Whether the empty trace is one of them.

    Examples
    --------
    >>> log = VariantLog.of(["ab", "b", ""])
    >>> log.steps.tolist(), log.trace.tolist(), log.empty
    ([0, 1, 1], [0, 0, 1], True)
    """

    labels: Sequence[str]
    steps: Codes
    trace: Codes
    empty: bool

    @classmethod
    def of(cls, traces: Iterable[Sequence[str]]) -> VariantLog:
        """Make one from sequences of activities.

        Examples
        --------
        >>> VariantLog.of([("pay", "ship"), ("pay",)]).labels
        ['pay', 'ship']
        """
        listed = list(traces)
        labels = sorted(set(chain.from_iterable(listed)))
        code = {label: position for position, label in enumerate(labels)}
        steps = np.array([code[label] for trace in listed for label in trace], dtype=np.int32)
        numbers = np.repeat(np.arange(len(listed), dtype=np.int32), [len(trace) for trace in listed])
        return cls(labels, steps, numbers, not all(listed))

    @property
    def first(self) -> Mask:
        """Whether each step is the first of its trace."""
        return np.concatenate(([True], self.trace[1:] != self.trace[:-1])) if len(self.trace) else np.zeros(0, np.bool_)

    def project(self, kept: Mask) -> VariantLog:
        """Keep the steps of some activities in every trace.

        Parameters
        ----------
        kept : bool array, one per label

        Examples
        --------
        >>> log = VariantLog.of(["ab", "b"]).project(np.array([True, False]))
        >>> log.steps.tolist(), log.empty
        ([0], True)
        """
        found = self.select(kept)
        return replace(found, empty=self.empty or bool(found.first.sum() < self.first.sum()))

    def select(self, kept: Mask) -> VariantLog:
        """Keep the traces of some activities, where no trace has both activities to keep and others.

        Examples
        --------
        >>> log = VariantLog.of(["a", "b"]).select(np.array([True, False]))
        >>> log.steps.tolist(), log.empty
        ([0], False)
        """
        of_step = kept[self.steps]
        return replace(self, steps=self.steps[of_step], trace=self.trace[of_step])

    def split(self, before: Mask) -> VariantLog:
        """Begin a new trace before some steps.

        Parameters
        ----------
        before : bool array, one per step

        Examples
        --------
        >>> VariantLog.of(["abab"]).split(np.array([False, False, True, False])).trace.tolist()
        [1, 1, 2, 2]
        """
        return replace(self, trace=np.cumsum(before | self.first, dtype=np.int32))
