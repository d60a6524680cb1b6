"""Token-based replay of trace variants on the net of their type.

A replay starts with the initial marking (produced) and, for each event, fires a transition of its activity: an enabled
one; else the one that the fewest silent transitions enable, after these; else the one that lacks the fewest tokens,
which are added (missing). Ties go to the net's order. An activity that the net does not have is passed over, and
counted (unknown). At the end, the fewest silent transitions that cover the final marking are fired where there are
such, the final marking is taken out (consumed; what lacks is missing), and what is left is remaining.

What a step does depends on the marking and the activity alone, so each such pair is worked out once: all variants of a
type run on one automaton, which grows as they need it.

References
----------
Rozinat, van der Aalst: Conformance Checking of Processes Based on Monitoring Real Behavior (Information Systems 33,
2008). Berti, van der Aalst: Reviving Token-based Replay (ATAED 2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from ocelake.mining.firing import PackedNet
from ocelake.mining.petri_nets import AcceptingNet

__all__ = ["Counts", "Replayer", "replay", "replay_fitness"]

_COUNTS: Final = ("produced", "consumed", "missing", "remaining", "unknown")

Counts: TypeAlias = tuple[int, int, int, int, int]
"""Tokens produced, consumed, missing and remaining; unknown activities."""


def replay(net: AcceptingNet, sequences: Iterable[Sequence[str]]) -> pl.DataFrame:
    """Replay sequences of activities.

    Parameters
    ----------
    net : AcceptingNet
    sequences : iterable of sequence of str
        Unique ones, best: each is replayed.

    Returns
    -------
    DataFrame
        produced, consumed, missing, remaining, unknown (Int64), fits (Boolean), replay_fitness (Float64), one row for
        each sequence. Fitness is 1 - (missing / consumed + remaining / produced) / 2.

    Notes
    -----
    On a sound net whose silent transitions never choose what an activity depends upon later, a sequence fits exactly
    where the net accepts it. In general it is a heuristic: `alignments.align` decides.

    Examples
    --------
    >>> from ocelake.mining.petri_nets import Transition
    >>> pay = Transition("t1", "pay", inputs=(0,), outputs=(1,))
    >>> net = AcceptingNet("order", ("source", "sink"), (pay,), initial=(1, 0), final=(0, 1))
    >>> replay(net, [["pay"], ["pay", "pay"]]).select("missing", "remaining", "fits").rows()
    [(0, 0, True), (1, 1, False)]
    """
    replayer = Replayer(net)
    counts = np.array([replayer.count(sequence) for sequence in sequences], dtype=np.int64).reshape(-1, len(_COUNTS))
    missing, remaining, unknown = pl.col("missing"), pl.col("remaining"), pl.col("unknown")
    return pl.DataFrame(counts, schema=list(_COUNTS)).with_columns(
        ((missing == 0) & (remaining == 0) & (unknown == 0)).alias("fits"), _FITNESS.alias("replay_fitness")
    )


def replay_fitness(replayed: pl.DataFrame) -> float | None:
    """Give the fitness of a log: that of the sums of tokens over all objects; None for no objects.

    Parameters
    ----------
    replayed : DataFrame
        objects, produced, consumed, missing, remaining: one row for each variant.

    Examples
    --------
    >>> columns = ["objects", "produced", "consumed", "missing", "remaining"]
    >>> replay_fitness(pl.DataFrame([(1, 2, 2, 0, 0), (1, 3, 3, 1, 1)], schema=columns, orient="row"))
    0.8
    """
    if replayed["objects"].sum() == 0:
        return None
    tokens = [name for name in _COUNTS if name in replayed.columns]
    value: float = replayed.select((pl.col(tokens) * pl.col("objects")).sum()).select(_FITNESS).item()
    return value


def _share(part: str, whole: str) -> pl.Expr:
    return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole)).otherwise(0.0)


_FITNESS: Final = 1 - (_share("missing", "consumed") + _share("remaining", "produced")) / 2


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """What an activity, or the end, does in a marking."""

    after: _State
    produced: int
    consumed: int
    missing: int
    remaining: int = 0


@dataclass(slots=True, eq=False)
class _State:
    """A marking, and the steps known from it, by activity; None is the end."""

    marking: int
    steps: dict[str | None, _Step] = field(default_factory=dict)


class Replayer:
    """Replays sequences of activities on one net, and learns what each activity does in each marking that it meets.

    Parameters
    ----------
    net : AcceptingNet

    Examples
    --------
    >>> from ocelake.mining.petri_nets import Transition
    >>> pay = Transition("t1", "pay", inputs=(0,), outputs=(1,))
    >>> replayer = Replayer(AcceptingNet("order", ("source", "sink"), (pay,), initial=(1, 0), final=(0, 1)))
    >>> replayer.count(["pay"])
    (2, 2, 0, 0, 0)
    >>> replayer.count([])
    (1, 1, 1, 1, 0)
    """

    def __init__(self, net: AcceptingNet) -> None:
        self._net = PackedNet(net)
        self._start = _State(self._net.initial)
        self._states = {self._net.initial: self._start}

    def count(self, sequence: Sequence[str]) -> Counts:
        """Give the tokens produced, consumed, missing and remaining, and the number of unknown activities."""
        state, unknown = self._start, 0
        produced, consumed, missing = sum(self._net.net.initial), 0, 0
        for activity in sequence:
            step = state.steps.get(activity) or self._step(state, activity)
            if step is None:
                unknown += 1
                continue
            produced += step.produced
            consumed += step.consumed
            missing += step.missing
            state = step.after
        end = state.steps.get(None) or self._end(state)
        return produced + end.produced, consumed + end.consumed, missing + end.missing, end.remaining, unknown

    def _step(self, state: _State, activity: str) -> _Step | None:
        net, marking = self._net, state.marking
        candidates = net.labelled.get(activity)
        if candidates is None:
            return None
        paths = [(path, t) for t in candidates if (path := net.silent_path_to(marking, t)) is not None]
        if paths:
            path, transition = min(paths, key=lambda found: len(found[0]))
            lacking: list[int] = []
        else:
            path, transition = (), min(candidates, key=lambda t: len(net.missing(marking, net.inputs[t])))
            lacking = net.missing(marking, net.inputs[transition])
        fired = (*path, transition)
        after = net.add(marking, lacking) + sum(net.change[t] for t in fired)
        state.steps[activity] = step = _Step(
            self._states.setdefault(after, _State(after)), *self._tokens(fired), len(lacking)
        )
        return step

    def _end(self, state: _State) -> _Step:
        net = self._net
        fired = net.silent_path_to_end(state.marking) or ()
        produced, consumed = self._tokens(fired)
        tokens = net.unpack(state.marking + sum(net.change[t] for t in fired))
        left = [have - need for have, need in zip(tokens, net.net.final, strict=True)]
        missing = -sum(count for count in left if count < 0)
        remaining = sum(count for count in left if count > 0)
        state.steps[None] = step = _Step(state, produced, consumed + sum(net.net.final), missing, remaining)
        return step

    def _tokens(self, fired: Sequence[int]) -> tuple[int, int]:
        """Count the tokens that a sequence of transitions produces and consumes."""
        return sum(len(self._net.outputs[t]) for t in fired), sum(len(self._net.inputs[t]) for t in fired)
