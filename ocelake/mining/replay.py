"""Token-based replay of trace variants on the net of their type.

A replay starts with the initial marking (produced) and, for each event, fires a transition of its activity: an enabled
one; else the one that the fewest silent transitions enable, after these; else the one that lacks the fewest tokens,
which are added (missing). Ties go to the net's order. An activity that the net does not have is passed over, and
counted (unknown). At the end, the fewest silent transitions that cover the final marking are fired where there are such,
the final marking is taken out (consumed; what lacks is missing), and what is left is remaining.

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
from typing import Final

import numpy as np
import polars as pl

from ocelake.mining.firing import PackedNet
from ocelake.mining.petri_nets import AcceptingNet

__all__ = ["replay", "replay_fitness"]

_COUNTS: Final = ("produced", "consumed", "missing", "remaining", "unknown")

_Counts = tuple[int, int, int, int, int]


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
    automaton = _Automaton(net)
    counts = np.array([automaton.run(sequence) for sequence in sequences], dtype=np.int64).reshape(-1, len(_COUNTS))
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


@dataclass(slots=True, eq=False)
class _State:
    """A marking, the steps known from it, and what the end gives, once it was asked for."""

    marking: int
    steps: dict[str, tuple[_State, int, int, int]] = field(default_factory=dict)
    end: tuple[int, int, int, int] | None = None


class _Automaton:
    """What each activity does in each marking that was met."""

    def __init__(self, net: AcceptingNet) -> None:
        self._net = PackedNet(net)
        self._start = _State(self._net.initial)
        self._states = {self._net.initial: self._start}

    def run(self, sequence: Sequence[str]) -> _Counts:
        state = self._start
        produced, consumed, missing, unknown = sum(self._net.net.initial), 0, 0, 0
        labels = self._net.labelled
        for activity in sequence:
            step = state.steps.get(activity)
            if step is None:
                if activity not in labels:
                    unknown += 1
                    continue
                step = state.steps[activity] = self._step(state.marking, labels[activity])
            state, more_produced, more_consumed, more_missing = step
            produced += more_produced
            consumed += more_consumed
            missing += more_missing
        if state.end is None:
            state.end = self._end(state.marking)
        end_produced, end_consumed, end_missing, remaining = state.end
        return produced + end_produced, consumed + end_consumed, missing + end_missing, remaining, unknown

    def _step(self, marking: int, candidates: Sequence[int]) -> tuple[_State, int, int, int]:
        net = self._net
        paths = [(path, t) for t in candidates if (path := net.silent_path_to(marking, t)) is not None]
        if paths:
            path, transition = min(paths, key=lambda found: len(found[0]))
            lacking: list[int] = []
        else:
            path, transition = (), min(candidates, key=lambda t: len(net.missing(marking, net.inputs[t])))
            lacking = net.missing(marking, net.inputs[transition])
        produced, consumed = self._tokens((*path, transition))
        after = net.add(marking, lacking) + sum(net.change[t] for t in (*path, transition))
        state = self._states.setdefault(after, _State(after))
        return state, produced, consumed, len(lacking)

    def _end(self, marking: int) -> tuple[int, int, int, int]:
        net = self._net
        path = net.silent_path_to_end(marking) or ()
        produced, consumed = self._tokens(path)
        tokens = net.unpack(marking + sum(net.change[t] for t in path))
        left = [have - need for have, need in zip(tokens, net.net.final, strict=True)]
        missing = -sum(tokens for tokens in left if tokens < 0)
        remaining = sum(tokens for tokens in left if tokens > 0)
        return produced, consumed + sum(net.net.final), missing, remaining

    def _tokens(self, path: Iterable[int]) -> tuple[int, int]:
        """Count the tokens that a sequence of transitions produces and consumes."""
        fired = tuple(path)
        return sum(len(self._net.outputs[t]) for t in fired), sum(len(self._net.inputs[t]) for t in fired)
