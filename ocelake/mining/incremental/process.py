"""The directly-follows graph, the variants and the performance of a log that changes.

Everything here is a sum: over objects (by their traces), or over events (by their steps, which are one per object of
the event, with the event before each and whether it starts or ends the trace). So a change takes away what the objects
and events that it touches had, and adds what they have. Of a touched object the whole trace is counted, of a touched
event all steps, whatever objects they are of: what is distinct, such as the pairs of an object and an activity or
the couples of events, is distinct within one of the two. Durations and measures have quantiles, and are kept as
`Values`.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from polars import selectors

from ocelake.mining.executions import ragged
from ocelake.mining.incremental.moves import Moves, Places
from ocelake.mining.incremental.values import Values
from ocelake.mining.ocdfg import label_edges, label_nodes
from ocelake.mining.performance import event_performance, event_times, type_times
from ocelake.mining.predecessors import Predecessors, find_predecessors
from ocelake.mining.traces import Codes, Traces
from ocelake.mining.variants import find_variants, first_last, object_summaries, trace_variants
from ocelake.tables import TIMESTAMP

__all__ = ["ProcessState", "RowChanges", "follow_process", "process_state"]

Positions: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]
RowChanges: TypeAlias = tuple[pl.DataFrame, pl.DataFrame]
"""Keys of the rows that go, and the rows that come."""

_NODE: Final = ["object_type", "activity"]
_EDGE: Final = ["object_type", "source", "target"]
_VARIANT: Final = ["object_type", "variant_id"]


@dataclass(frozen=True, slots=True, eq=False)
class ProcessState:
    """What is kept of a log between two changes.

    Attributes
    ----------
    traces : Traces
        Of the whole log.
    nodes : DataFrame
        As `gold.ocdfg_nodes`, by object type.
    edges : DataFrame
        As `gold.ocdfg_edges`, without durations.
    variants : DataFrame
        As `ocelake.mining.variants.trace_variants`; what the empty variant has as a duration means nothing.
    variant : int32 array, one per object
        Its row in ``variants``.
    durations : mapping of (object type, source, target) to Values
        The durations of an edge's triples.
    measures : mapping of (activity, object type or None, measure) to Values
        The values of performance.
    """

    traces: Traces
    nodes: pl.DataFrame
    edges: pl.DataFrame
    variants: pl.DataFrame
    variant: Codes
    durations: Mapping[tuple[str, str, str], Values]
    measures: Mapping[tuple[str, str | None, str], Values]


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One state of the log, before or after a change, and what of it the change touches.

    Attributes
    ----------
    traces : Traces
        Of the whole log.
    objects : int64 array
        The objects whose traces differ.
    part : Traces
        Of these alone.
    triples : int64 array
        The second steps of the triples (two events that directly follow each other for an object) that the other state
        does not have.
    steps : int64 array
        All steps of the events whose steps differ, in what objects they are of or whether they start or end a trace;
        of some other events as well.
    measured : bool array, one per event
        Those that follow another event than in the other state, for some object.
    predecessors : Predecessors
        Of the measured events.
    """

    traces: Traces
    objects: Positions
    part: Traces
    triples: Positions
    steps: Positions
    measured: Mask
    predecessors: Predecessors


def process_state(traces: Traces) -> ProcessState:
    """Give the state of a log.

    Parameters
    ----------
    traces : Traces
        Of the whole log.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> process_state(traces).durations["order", "place", "pay"].total
    86400000000
    """
    objects, steps = np.arange(len(traces.object_ids)), np.arange(len(traces.step_event))
    triples = np.flatnonzero(traces.step_object[1:] == traces.step_object[:-1]) + 1
    measured = np.ones(len(traces.event_ids), dtype=bool)
    whole = _sums(_Side(traces, objects, traces, triples, steps, measured, find_predecessors(traces)))
    variants = find_variants(traces)
    return ProcessState(
        traces,
        _summed(_NODE, whole.nodes),
        _summed(_EDGE, whole.edges),
        trace_variants(traces, variants),
        variants.of_object,
        {key: Values.of(values.to_numpy()) for key, values in whole.durations.items()},
        {key: Values.of(values.to_numpy()) for key, values in whole.measures.items()},
    )


def follow_process(state: ProcessState, after: Traces, moves: Moves) -> tuple[ProcessState, dict[str, RowChanges]]:
    """Bring the state up to new traces.

    Parameters
    ----------
    state : ProcessState
    after : Traces
        Of the log as it is now.
    moves : Moves
        From the traces of the state to these.

    Returns
    -------
    ProcessState
        The new state.
    dict of str to (DataFrame, DataFrame)
        For `gold.event_performance` and `gold.object_summaries` (without ``publication_id``) the keys of the rows that
        go (of the latter with type and last time, which tell where they are), and the rows that come.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.incremental.moves import first_moves
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> log = pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0)
    >>> after = encode(log)
    >>> state, rows = follow_process(process_state(encode(log.clear())), after, first_moves(after))
    >>> state.nodes.select("activity", "events").sort("activity").rows()
    [('pay', 1), ('place', 1)]
    >>> rows["gold.object_summaries"][1].select("object_id", "cycle_time").rows()
    [('o', 86400.0)]
    """
    old, new = _sides(state.traces, after, moves)
    # Side by side: numpy and Polars leave the interpreter to others while they work.
    with ThreadPoolExecutor(2, thread_name_prefix="ocelake-follow") as pool:
        found = pool.submit(_variants, state, old, new, moves)
        sums = [pool.submit(_sums, side) for side in (old, new)]
        (variants, variant, summaries), went, came = found.result(), *(of_side.result() for of_side in sums)
    followed = ProcessState(
        after,
        _summed(_NODE, state.nodes, _less(went.nodes), came.nodes),
        _summed(_EDGE, state.edges, _less(went.edges), came.edges),
        variants,
        variant,
        _changed(state.durations, went.durations, came.durations),
        _changed(state.measures, went.measures, came.measures),
    )
    events_went = old.traces.event_ids.gather(np.flatnonzero(old.measured | (moves.event < 0)))
    events = np.flatnonzero(new.measured | (moves.event_before < 0))
    return followed, {
        "gold.event_performance": (
            pl.DataFrame({"event_id": events_went}),
            event_performance(after, new.predecessors, events),
        ),
        "gold.object_summaries": (_summarised(old.part), summaries),
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """What a side has in the sums of a log."""

    nodes: pl.DataFrame
    edges: pl.DataFrame
    durations: Mapping[tuple[Any, ...], pl.Series]
    measures: Mapping[tuple[Any, ...], pl.Series]


def _sums(side: _Side) -> _Sums:
    return _Sums(_nodes(side), _edges(side), _durations(side), _measurements(side))


def _summarised(part: Traces) -> pl.DataFrame:
    """Give the keys of objects' summaries, with type and last time, by which these are sorted into files."""
    _, last = first_last(part)
    time = pl.when(pl.col("lengths") > 0).then(pl.col("last_time").cast(TIMESTAMP))
    kinds = part.object_types.gather(part.object_type)
    keys = {"object_type": kinds, "object_id": part.object_ids, "last_time": last, "lengths": part.lengths}
    return pl.DataFrame(keys).select("object_type", "object_id", last_time=time)


def _sides(before: Traces, after: Traces, moves: Moves) -> tuple[_Side, _Side]:
    """Find what a change touches."""
    touched = (moves.object < 0) | _marked(len(moves.object), moves.object_before[moves.touched_objects])
    chosen = np.flatnonzero(touched), np.flatnonzero(moves.touched_objects)
    parts, triples, differing = [], [], []
    for traces, objects, moved in zip((before, after), chosen, (moves.step, moves.step_before), strict=True):
        starts, lengths = traces.offsets[objects], traces.lengths[objects]
        parts.append(_of_objects(traces, objects, ragged(starts, lengths)))
        triples.append(_torn(traces, moved))
        ends = starts[lengths > 0], (starts + lengths - 1)[lengths > 0]
        differing.append(np.concatenate((np.flatnonzero(moved < 0), *ends)))
    near, measured = (
        _on_both(moves, before.step_event[steps[0]], after.step_event[steps[1]]) for steps in (differing, triples)
    )
    old, new = (
        _side(*parts_of) for parts_of in zip((before, after), chosen, parts, triples, near, measured, strict=True)
    )
    return old, new


def _side(traces: Traces, objects: Positions, part: Traces, triples: Positions, near: Mask, measured: Mask) -> _Side:
    """Find the steps of the touched events: in one pass, as there are as many steps as there is log."""
    kinds = (near.view(np.uint8) | (measured.view(np.uint8) << 1))[traces.step_event]
    found = _predecessors(traces, np.flatnonzero(kinds & 2))
    return _Side(traces, objects, part, triples, np.flatnonzero(kinds & 1), measured, found)


def _torn(traces: Traces, moved: Places) -> Positions:
    """Find the second steps of the triples that the other state does not have: those that did not move together."""
    apart = np.flatnonzero((np.diff(moved) != 1) | (moved[:-1] < 0)) + 1
    found: Positions = apart[traces.step_object[apart] == traces.step_object[apart - 1]]
    return found


def _of_objects(traces: Traces, objects: Positions, steps: Positions) -> Traces:
    """Give the traces of some objects; the events stay all there are."""
    lengths = traces.lengths[objects]
    return replace(
        traces,
        object_ids=traces.object_ids.gather(objects),
        object_type=traces.object_type[objects],
        step_object=np.repeat(np.arange(len(objects), dtype=np.int32), lengths),
        step_event=traces.step_event[steps],
        step_activity=traces.step_activity[steps],
        offsets=np.concatenate(([0], np.cumsum(lengths))),
    )


def _on_both(moves: Moves, old: Codes, new: Codes) -> tuple[Mask, Mask]:
    """Mark events of either state in both."""
    return (
        _marked(len(moves.event), old, moves.event_before[new]),
        _marked(len(moves.event_before), new, moves.event[old]),
    )


def _marked(size: int, *positions: Codes | Positions) -> Mask:
    """Mark positions; -1 is none."""
    mask = np.zeros(size, dtype=bool)
    for some in positions:
        mask[some[some >= 0]] = True
    return mask


def _predecessors(traces: Traces, steps: Positions) -> Predecessors:
    """Find the predecessors of some events, given all of their steps."""
    steps = steps[steps > traces.offsets[traces.step_object[steps]]]
    steps = steps[np.argsort(traces.step_event[steps], kind="stable")]
    event = traces.step_event[steps]
    starts = np.flatnonzero(np.diff(event, prepend=-1))
    return Predecessors(
        event[starts], np.append(starts, len(event)), traces.step_object[steps], traces.step_event[steps - 1]
    )


def _summed(key: list[str], *frames: pl.DataFrame) -> pl.DataFrame:
    """Sum up by key; what has no objects is left out."""
    changed = pl.concat(frames, how="diagonal_relaxed")
    return changed.group_by(key).agg(pl.exclude(key).sum()).filter(pl.col("total_objects") > 0)


def _less(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(-selectors.numeric())


def _nodes(side: _Side) -> pl.DataFrame:
    """Count what each node has of the touched objects and of the touched events."""
    traces, part = side.traces, side.part
    names = len(traces.activities)
    chosen = side.steps
    of_object = traces.step_object[chosen]
    step = pl.DataFrame(
        {
            "node": traces.object_type[of_object].astype(np.int64) * names + traces.step_activity[chosen],
            "event": traces.step_event[chosen],
            "first": chosen == traces.offsets[of_object],
            "last": chosen == traces.offsets[of_object + 1] - 1,
        }
    )
    counts = step.group_by("node").agg(
        events=pl.col("event").n_unique(),
        total_objects=pl.len(),
        start_events=pl.col("event").filter("first").n_unique(),
        start_objects=pl.col("first").sum(),
        end_events=pl.col("event").filter("last").n_unique(),
        end_objects=pl.col("last").sum(),
    )
    pair = pl.Series(part.step_object.astype(np.int64) * names + part.step_activity).unique().to_numpy()
    of_object, activity = np.divmod(pair, max(names, 1))
    objects = _counted("node", part.object_type[of_object].astype(np.int64) * names + activity, "unique_objects")
    return label_nodes(traces, _wide(counts, objects))


def _edges(side: _Side) -> pl.DataFrame:
    """Count what each edge has of the touched objects and of the triples to measured events."""
    traces, part, found = side.traces, side.part, side.predecessors
    names = len(traces.activities)
    triples = traces.object_type[found.object], found.predecessor, found.event[found.owner]
    counts = [
        _counted("edge", _edge(traces, kind, traces.event_activity[source], traces.event_activity[target]), name)
        for name, (kind, source, target) in (("total_objects", triples), ("event_couples", found.couples(traces)))
    ]
    first = np.flatnonzero(part.step_object[1:] == part.step_object[:-1])
    pair = _edge(traces, part.step_object[first], part.step_activity[first], part.step_activity[first + 1])
    of_object, pair = np.divmod(pl.Series(pair).unique().to_numpy(), max(names, 1) ** 2)
    objects = _counted("edge", part.object_type[of_object].astype(np.int64) * names**2 + pair, "unique_objects")
    return label_edges(traces, _wide(*counts, objects))


def _edge(traces: Traces, kind: Codes, source: Codes, target: Codes) -> Positions:
    """Give codes of edges as `ocelake.mining.ocdfg.follows` does; ``kind`` may be objects instead of their types."""
    names = len(traces.activities)
    edge: Positions = (kind.astype(np.int64) * names + source) * names + target
    return edge


def _counted(key: str, codes: Positions, name: str) -> pl.DataFrame:
    return pl.DataFrame({key: codes}).group_by(key).agg(pl.len().alias(name))


def _wide(*counts: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(counts, how="diagonal").with_columns(pl.col(pl.UInt32).cast(pl.Int64))


def _variants(state: ProcessState, old: _Side, new: _Side, moves: Moves) -> tuple[pl.DataFrame, Codes, pl.DataFrame]:
    """Count the objects of each variant, and describe the touched ones."""
    found = find_variants(new.part)
    described = trace_variants(new.part, found)
    numbered = state.variants.select(_VARIANT).with_row_index("code")
    codes = described.select(_VARIANT).join(numbered, on=_VARIANT, how="left", maintain_order="left")["code"]
    fresh = codes.is_null().arg_true()
    codes = codes.cast(pl.Int32).scatter(fresh, np.arange(len(fresh), dtype=np.int32) + len(state.variants))
    variant = np.empty(len(new.traces.object_ids), dtype=np.int32)
    stayed = moves.object_before >= 0
    variant[stayed] = state.variant[moves.object_before[stayed]]
    variant[new.objects] = codes.to_numpy()[found.of_object]

    first, last = first_last(old.part)
    went = pl.DataFrame({"code": state.variant[old.objects], "objects": -1, "duration": first - last})
    all_of = pl.concat([state.variants, described[fresh].with_columns(objects=0, duration=0)], how="vertical_relaxed")
    came = described.with_columns(code=codes)
    counted = [frame.select("code", "objects", "duration") for frame in (all_of.with_row_index("code"), went, came)]
    sums = pl.concat(counted, how="vertical_relaxed").group_by("code").sum().sort("code").drop("code")
    variants, used = all_of.with_columns(sums), sums["objects"] > 0
    if not used.all():
        variant = (used.cum_sum().cast(pl.Int32) - 1).to_numpy()[variant]
    return variants.filter(used), variant, object_summaries(new.part, found, described["variant_id"])


def _durations(side: _Side) -> dict[tuple[Any, ...], pl.Series]:
    """Give the durations of the triples that the other state does not have."""
    traces, second = side.traces, side.triples
    source, target = traces.step_event[second - 1], traces.step_event[second]
    kind = traces.object_type[traces.step_object[second]]
    edge = _edge(traces, kind, traces.event_activity[source], traces.event_activity[target])
    triples = pl.DataFrame({"edge": edge, "duration": traces.event_time[target] - traces.event_time[source]})
    found = label_edges(traces, triples.group_by("edge").agg("duration"))
    return dict(zip(found.select(_EDGE).rows(), found["duration"], strict=True))


def _measurements(side: _Side) -> dict[tuple[Any, ...], pl.Series]:
    """Give the values of all measures of the measured events."""
    traces, found = side.traces, {}
    overall = event_times(traces, side.predecessors).with_columns(object_type=pl.lit(None, pl.Int32))
    for times in (overall, type_times(traces, side.predecessors)):
        activity = pl.Series("activity", traces.event_activity[times["event"].to_numpy()])
        for measure in set(times.columns) - {"event", "object_type"}:
            known = times.select(activity, "object_type", pl.col(measure).alias("value")).drop_nulls("value")
            grouped = known.group_by("activity", "object_type").agg("value")
            for code, kind, values in zip(*grouped, strict=True):
                found[traces.activities[code], None if kind is None else traces.object_types[kind], measure] = values
    return found


def _changed(
    state: Mapping[Any, Values], went: Mapping[Any, pl.Series], came: Mapping[Any, pl.Series]
) -> dict[Any, Values]:
    """Take values away and add others, by key."""
    values, none = dict(state), pl.Series([], dtype=pl.Int64)
    for key in went.keys() | came.keys():
        values[key] = values.get(key, Values()).changed(*(side.get(key, none).to_numpy() for side in (went, came)))
    return {key: some for key, some in values.items() if len(some)}
