"""Replay of a whole log on the glued net: which events cannot be fired, for which objects, and why.

On the glued net an event fires the transition of its activity for all its objects at once, each object's silent
transitions apart. Tokens carry their object's name, so that an object's tokens move on its type's net alone, as its own
trace says. The log therefore can be replayed exactly where (1) each object's trace is accepted by its type's net and
(2) each event has, of each type whose net has its activity, a number of objects that the arcs allow: exactly one, or on
variable arcs from the minimum to the maximum. Both are checked on what is unique: (1) on trace variants, by a search
that tries silent transitions in every way, (2) on the number of objects of each (event, type).

What is reported are causes. An object's replay stops at its first event that its net does not allow, and what comes
after this for the object is not held against it again; nor is it against the event's other objects. The first event
of the log that cannot be fired is always among the causes, and the log can be replayed where there are none.
Objects of types that have no net are outside of the model, and objects without events never enter it.

References
----------
van der Aalst, Berti: Discovering Object-Centric Petri Nets (Fundamenta Informaticae 175, 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.alignments import STATES, Aligner
from ocelake.mining.petri_nets import AcceptingNet, Ocpn
from ocelake.mining.replay import replay
from ocelake.mining.traces import Codes, Traces
from ocelake.mining.variants import Variants

__all__ = ["GluedReplay", "replay_glued"]

_SCHEMA: Final = {
    "reason": pl.String,
    "object_type": pl.String,
    "activity": pl.String,
    "event_id": pl.String,
    "object_id": pl.String,
    "count": pl.Int64,
}

_Positions: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class GluedReplay:
    """The replay of a log on a glued net.

    Attributes
    ----------
    causes : DataFrame
        Why the log cannot be replayed, sorted: reason, object_type, activity, event_id, object_id, count.
        Of an event and one of its objects: ``unknown`` (the type's net does not have the activity; the object's replay
        goes on), ``disabled`` (the object's net does not allow the activity there), ``undecided`` (the search for it
        ended at its limit). Of an event and a type: ``too few`` or ``too many`` objects (the count). Of an object
        alone: ``unfinished`` (after its last event the final marking cannot be reached).
    events, unfired : int
        Events of the log, and those among them that are in ``causes``.
    outside : int
        Steps of objects of types that have no net.
    replayable : bool or None
        Whether there are no causes; None where there are none but undecided ones.
    """

    causes: pl.DataFrame
    events: int
    unfired: int
    outside: int
    replayable: bool | None


def replay_glued(traces: Traces, variants: Variants, ocpn: Ocpn, limit: int = STATES) -> GluedReplay:
    """Replay a log on a glued net.

    Parameters
    ----------
    traces : Traces
    variants : Variants
        Of the traces.
    ocpn : Ocpn
    limit : int
        States that the search for one variant's firing sequence looks at, at most.

    Examples
    --------
    The net of orders accepts the trace of each order, but the arcs of ``pay`` take one order at a time.

    >>> from datetime import datetime
    >>> from ocelake.mining.petri_nets import AcceptingNet, Cardinality, Transition
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.mining.variants import find_variants
    >>> pay = Transition("t1", "pay", inputs=(0,), outputs=(1,))
    >>> net = AcceptingNet("order", ("source", "sink"), (pay,), initial=(1, 0), final=(0, 1))
    >>> ocpn = Ocpn((net,), {("order", "pay"): Cardinality(variable=False, minimum=1, maximum=1)})
    >>> relations = pl.DataFrame({"event_id": ["e1", "e1", "e2"], "object_id": ["o1", "o2", "o3"]}).with_columns(
    ...     activity=pl.lit("pay"), object_type=pl.lit("order"), time=datetime(2024, 1, 1), sequence=0
    ... )
    >>> traces = encode(relations)
    >>> replay_glued(traces, find_variants(traces), ocpn).causes.select("reason", "event_id", "count").rows()
    [('too many', 'e1', 2)]
    """
    causes = [pl.DataFrame(schema=_SCHEMA)]
    outside = len(traces.step_event)
    for net in ocpn.nets:
        code = (traces.object_types == net.object_type).arg_max() if net.object_type in traces.object_types else None
        first, last = np.searchsorted(traces.object_type, [code, code + 1]) if code is not None else (0, 0)
        outside -= int(traces.offsets[last] - traces.offsets[first])
        causes += _own_causes(traces, variants, net, np.arange(first, last), limit)
        counts = np.bincount(
            traces.step_event[traces.offsets[first] : traces.offsets[last]], minlength=len(traces.event_ids)
        )
        causes += _count_causes(traces, ocpn, net, counts)
    found = pl.concat(causes).sort(pl.all())
    decided = found.filter(pl.col("reason") != "undecided")
    return GluedReplay(
        causes=found,
        events=len(traces.event_ids),
        unfired=found["event_id"].drop_nulls().n_unique(),
        outside=outside,
        replayable=False if len(decided) else None if len(found) else True,
    )


def _own_causes(
    traces: Traces, variants: Variants, net: AcceptingNet, objects: _Positions, limit: int
) -> list[pl.DataFrame]:
    """Find where the traces of a type's objects leave their net."""
    objects = objects[traces.lengths[objects] > 0]
    codes, of_object = np.unique(variants.of_object[objects], return_inverse=True)
    names = traces.activities.to_list()
    labels = {transition.label for transition in net.transitions}
    known = np.array([name in labels for name in names], dtype=bool)
    aligner = Aligner(net, limit)
    kept, sequences = [], []
    for example in variants.example[codes]:
        activities = traces.step_activity[traces.offsets[example] : traces.offsets[example + 1]]
        kept.append(np.flatnonzero(known[activities]))
        sequences.append([names[activity] for activity in activities[kept[-1]].tolist()])
    reasons, stops = [""] * len(codes), [-1] * len(codes)
    # What token-based replay can replay is decided; the search decides the rest.
    for position in np.flatnonzero(~replay(net, sequences)["fits"].to_numpy()):
        found = aligner.align(sequences[position], deviations=False)
        if found.firable < len(kept[position]):
            stops[position] = kept[position][found.firable]
        if not found.exhausted:
            reasons[position] = "undecided"
        elif found.cost is None:
            reasons[position] = "disabled" if stops[position] >= 0 else "unfinished"

    reason, stop = np.array(reasons, dtype=object)[of_object], np.array(stops, dtype=np.int64)[of_object]
    steps = np.flatnonzero(~known[traces.step_activity])
    steps = steps[np.isin(traces.step_object[steps], objects)]
    causes = [_causes(traces, "unknown", net.object_type, traces.step_event[steps], traces.step_object[steps])]
    for kind in ("disabled", "undecided", "unfinished"):
        for at_event in (True, False):
            concerned = (reason == kind) & ((stop >= 0) == at_event)
            members = objects[concerned]
            events = traces.step_event[traces.offsets[members] + stop[concerned]] if at_event else None
            causes.append(_causes(traces, kind, net.object_type, events, members))
    return causes


def _count_causes(traces: Traces, ocpn: Ocpn, net: AcceptingNet, counts: _Positions) -> list[pl.DataFrame]:
    """Find the events that have a number of the type's objects which the arcs do not allow."""
    least = np.zeros(len(traces.activities), dtype=np.int64)
    most = np.full(len(traces.activities), np.iinfo(np.int64).max)
    labels = {transition.label for transition in net.transitions}
    for code, name in enumerate(traces.activities):
        if name in labels:
            allowed = ocpn.cardinalities[net.object_type, name]
            least[code], most[code] = (allowed.minimum, allowed.maximum) if allowed.variable else (1, 1)
    wrong = {
        "too few": np.flatnonzero(counts < least[traces.event_activity]),
        "too many": np.flatnonzero(counts > most[traces.event_activity]),
    }
    return [_causes(traces, reason, net.object_type, events, count=counts[events]) for reason, events in wrong.items()]


def _causes(
    traces: Traces,
    reason: str,
    object_type: str,
    events: _Positions | Codes | None = None,
    objects: _Positions | Codes | None = None,
    count: _Positions | None = None,
) -> pl.DataFrame:
    columns: dict[str, pl.Series | _Positions] = {}
    if events is not None:
        columns["activity"] = traces.activities.gather(traces.event_activity[events])
        columns["event_id"] = traces.event_ids.gather(events)
    if objects is not None:
        columns["object_id"] = traces.object_ids.gather(objects)
    if count is not None:
        columns["count"] = count
    named = pl.DataFrame(columns).with_columns(pl.lit(reason).alias("reason"), pl.lit(object_type).alias("object_type"))
    missing = [pl.lit(None).alias(name) for name in _SCHEMA if name not in named.columns]
    return named.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items())
