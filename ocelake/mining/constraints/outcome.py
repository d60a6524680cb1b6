"""What checking one rule gives, in codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.constraints.language import Count

__all__ = ["Members", "Outcome", "describe_counts", "distinct", "distinct_members", "out_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Events or objects of violations: pairs, in the order in which they are to be told.

    Attributes
    ----------
    violation : int array
        Number of the violation, from 0; never falls.
    code : int array
        Event rank or object code.

    Examples
    --------
    >>> first, second = Members(np.array([0, 1]), np.array([5, 6])), Members(np.array([0]), np.array([7]))
    >>> first.then(second).code.tolist()
    [5, 7, 6]
    """

    violation: npt.NDArray[np.integer[Any]]
    code: npt.NDArray[np.integer[Any]]

    def then(self, others: Members) -> Members:
        """Tell these members of each violation first, others after them."""
        violation = np.concatenate([self.violation, others.violation])
        order = np.argsort(violation, kind="stable")
        return Members(violation[order], np.concatenate([self.code, others.code])[order])


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What checking one rule gives.

    Attributes
    ----------
    candidates : int
        Events or objects that the rule is about.
    pending : int
        Those that are not as asked, but have time to become so after the log's last event.
    details : Series of str
        What is wrong, one per violation, in the order of their events or objects.
    events, objects : Members
        What takes part in each violation.
    """

    candidates: int
    pending: int
    details: pl.Series
    events: Members
    objects: Members


def distinct(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give the distinct keys, ascending.

    Examples
    --------
    >>> distinct(np.array([7, 3, 7])).tolist()
    [3, 7]
    """
    # By sorting, which is quick where keys are in order already, as here they mostly are; `numpy.unique` hashes.
    keys = np.sort(keys, kind="stable")
    return keys[np.concatenate(([True], keys[1:] != keys[:-1]))] if len(keys) else keys


def distinct_members(violation: npt.NDArray[np.integer[Any]], code: npt.NDArray[np.integer[Any]]) -> Members:
    """Give each member of each violation once, in the order of codes.

    Examples
    --------
    >>> distinct_members(np.array([1, 0, 1]), np.array([5, 7, 5])).code.tolist()
    [7, 5]
    """
    keys = distinct((violation.astype(np.int64) << 32) | code)
    return Members(keys >> 32, keys & 0xFFFFFFFF)


def out_of(count: Count, found: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
    """Tell which numbers are not as many as asked.

    Examples
    --------
    >>> out_of(Count(at_most=1), np.array([0, 1, 2]))
    array([False, False,  True])
    """
    wrong: npt.NDArray[np.bool_] = found < count.at_least
    return wrong if count.at_most is None else wrong | (found > count.at_most)


def describe_counts(count: Count, found: npt.NDArray[np.integer[Any]], *, counted_on: bool = True) -> pl.Series:
    """Say for each number out of bounds what is wrong with it.

    Parameters
    ----------
    counted_on : bool
        Whether everything was counted; else counting ended where there were too many.

    Examples
    --------
    >>> describe_counts(Count(at_least=1, at_most=2), np.array([0, 3])).to_list()
    ['0 found, at least 1 asked for', '3 found, at most 2 allowed']
    """
    numbers, place = np.unique(found, return_inverse=True)
    more = "" if counted_on else " or more"
    texts = [
        f"{number} found, at least {count.at_least} asked for"
        if number < count.at_least
        else f"{number}{more} found, at most {count.at_most} allowed"
        for number in numbers
    ]
    return pl.Series(texts, dtype=pl.String).gather(place)
