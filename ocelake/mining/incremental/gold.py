"""All gold tables of a log that changes, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.gold import log_summary, variant_table
from ocelake.mining.incremental.executions import ExecutionState, advance_executions, execution_state
from ocelake.mining.incremental.moves import LogChange, first_moves, move_traces
from ocelake.mining.incremental.process import MOST_NAMES, ProcessState, empty_state, follow_process
from ocelake.mining.lifecycle import edge_work, find_work, work_times
from ocelake.mining.performance import work_performance
from ocelake.mining.traces import Traces, encode
from ocelake.settings import MiningSettings
from ocelake.tables import as_table, layer_tables

__all__ = ["GoldState", "follow_gold", "gold_state"]

Positions: TypeAlias = npt.NDArray[np.int64]
Content: TypeAlias = pl.DataFrame | tuple[pl.DataFrame, pl.DataFrame]


@dataclass(frozen=True, slots=True, eq=False)
class GoldState:
    """What is kept of a log between two changes.

    Attributes
    ----------
    process : ProcessState
        Its traces, and what the graph, the variants and the performance are read from.
    sequence : int64 array, one per event
        The declared order among events of equal time, by rank.
    executions : ExecutionState
        Its process executions.
    """

    process: ProcessState
    sequence: Positions
    executions: ExecutionState


def gold_state(traces: Traces, sequence: Positions, settings: MiningSettings) -> GoldState | None:
    """Give the state of a log, to follow it from there.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    sequence : int64 array, one per event
        By rank.
    settings : MiningSettings
        How the log is mined.

    Returns
    -------
    GoldState or None
        None where the log has more names than can be followed (65,536 activities or object types).

    Examples
    --------
    >>> from datetime import datetime
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> gold_state(traces, np.zeros(2, dtype=np.int64), MiningSettings()).process.variants["activities"].to_list()
    [['place', 'pay']]
    """
    if max(len(traces.activities), len(traces.object_types)) >= MOST_NAMES:
        return None
    process, _ = follow_process(empty_state(encode(as_table("ocel.event_objects"))), traces, first_moves(traces))
    return GoldState(process, sequence, execution_state(traces, settings))


def follow_gold(
    state: GoldState,
    change: LogChange,
    settings: MiningSettings,
    *,
    attributes: pl.DataFrame,
    rows: Mapping[str, int],
    quarantined: int,
    publication_id: str,
) -> tuple[GoldState, dict[str, Content]] | None:
    """Bring the state of a log, and its gold tables, up to what the log is now.

    Parameters
    ----------
    state : GoldState
        Of the log before the change, under the same settings.
    change : LogChange
        What happened to it.
    settings : MiningSettings
        How it is mined.
    attributes : DataFrame
        `ocel.event_attributes` of the log as it is now: the rows of `ocelake.mining.performance.attribute_names`.
    rows : mapping of str to int
        Rows of the silver tables now.
    quarantined : int
        Rows of `silver.quarantine` now.
    publication_id : str
        The silver publication that the log is at now.

    Returns
    -------
    GoldState
        The new state.
    dict of str to (DataFrame or pair of DataFrame)
        Every gold table: all of its rows, or the keys of those that go and the rows that come. After it, the tables are
        those of `ocelake.mining.gold.mine_log`; only the rows of `gold.object_summaries` that did not change keep the
        publication that they were computed from.

    Notes
    -----
    Where events tell when their work began (`ocelake.mining.lifecycle`), work is found over the whole log again.

    Examples
    --------
    >>> from datetime import datetime
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> log = pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0)
    >>> settings, none = MiningSettings(), np.empty(0, dtype=np.int64)
    >>> state = gold_state(encode(log.clear()), none, settings)
    >>> parts = [log.select("event_id", "activity", "time", "sequence"), log[:1].select("object_type", "object_id")]
    >>> parts.append(log.select("event_id", "object_id"))
    >>> change = LogChange(*(side for part in parts for side in (part.clear(), part)))
    >>> silver = {spec.identifier: 0 for spec in layer_tables("silver")}
    >>> state, tables = follow_gold(
    ...     state, change, settings, attributes=as_table("ocel.event_attributes"), rows=silver, quarantined=0,
    ...     publication_id="shop.silver.1",
    ... )
    >>> tables["gold.ocdfg_edges"].select("source", "target", "duration_mean").rows()
    [('place', 'pay', 86400.0)]
    """
    before = state.process.traces
    traces, sequence, moves = move_traces(before, state.sequence, change)
    if max(len(traces.activities), len(traces.object_types)) >= MOST_NAMES:
        return None
    process, changed = follow_process(state.process, traces, moves)
    executions, execution_changes = advance_executions(state.executions, before, traces, moves, settings)
    work = find_work(traces, attributes, start=settings.start, lifecycle=settings.lifecycle)
    keys, summaries = changed["gold.object_summaries"]
    tables: dict[str, Content] = {
        "gold.ocdfg_nodes": _nodes(process),
        "gold.ocdfg_edges": _edges(process),
        "gold.trace_variants": variant_table(_variants(process)),
        "gold.object_summaries": (keys, summaries.with_columns(publication_id=pl.lit(publication_id))),
        "gold.log_summary": log_summary(
            rows,
            traces,
            quarantined,
            len(executions.connected.ids),
            alone=len(traces.event_ids) - process.events.distinct(16),
            tied=_tied_share(process),
        ),
        "gold.execution_variants": execution_changes.variants,
        **{name: (execution_changes.removed[name], execution_changes.added[name]) for name in execution_changes.added},
        "gold.event_performance": changed["gold.event_performance"],
        "gold.activity_performance": pl.concat([_measures(process), work_performance(traces, work)]).sort(
            "activity", "object_type", "measure"
        ),
        "gold.edge_performance": edge_work(traces, work),
        "gold.work_times": work_times(traces, work),
    }
    return GoldState(process, sequence, executions), {
        spec.identifier: _declared(spec.identifier, tables[spec.identifier])
        for spec in layer_tables("gold")
        if spec.identifier in tables
    }


def _declared(identifier: str, content: Content) -> Content:
    if isinstance(content, tuple):
        return content[0], as_table(identifier, content[1])
    return as_table(identifier, content)


def _nodes(state: ProcessState) -> pl.DataFrame:
    """Give `gold.ocdfg_nodes`."""
    rows = [
        {"object_type": kind, "activity": activity, **asdict(node)} for (kind, activity), node in state.nodes.items()
    ]
    per_activity = np.bincount(state.traces.event_activity, minlength=len(state.traces.activities))
    over_types = pl.DataFrame({"activity": state.traces.activities, "events": per_activity})
    empty = as_table("gold.ocdfg_nodes")
    return pl.concat([empty, over_types, *([pl.DataFrame(rows)] if rows else [])], how="diagonal_relaxed")


def _tied_share(state: ProcessState) -> float | None:
    """Give the share of steps at the same time as the step before: of the durations, those of 0."""
    steps = sum(len(edge.durations) for edge in state.edges.values())
    tied = sum(edge.durations.zeros for edge in state.edges.values())
    return tied / steps if steps else None


def _edges(state: ProcessState) -> pl.DataFrame:
    """Give `gold.ocdfg_edges`."""
    rows = [
        {
            "object_type": kind,
            "source": source,
            "target": target,
            "event_couples": edge.couples,
            "unique_objects": edge.objects,
            "total_objects": len(edge.durations),
            **{f"duration_{name}": value for name, value in edge.durations.describe().items()},
        }
        for (kind, source, target), edge in sorted(state.edges.items())
    ]
    return as_table("gold.ocdfg_edges", pl.DataFrame(rows, infer_schema_length=None) if rows else None)


def _measures(state: ProcessState) -> pl.DataFrame:
    """Give the rows of `gold.activity_performance` that predecessors tell."""
    rows = [
        {"activity": activity, "object_type": kind, "measure": measure, "events": len(values), **values.describe()}
        for (activity, kind, measure), values in state.measures.items()
    ]
    if not rows:
        return as_table("gold.activity_performance")
    return as_table("gold.activity_performance", pl.DataFrame(rows, infer_schema_length=None))


def _variants(state: ProcessState) -> pl.DataFrame:
    """Count the objects of each variant, and sum up how long these took."""
    traces = state.traces
    first, last = np.zeros((2, len(traces.object_ids)), dtype=np.int64)
    occupied = traces.lengths > 0
    first[occupied] = traces.event_time[traces.step_event[traces.offsets[:-1][occupied]]]
    last[occupied] = traces.event_time[traces.step_event[traces.offsets[1:][occupied] - 1]]
    by_variant = pl.DataFrame({"variant": state.variant, "duration": last - first}).group_by("variant")
    sums = by_variant.agg(objects=pl.len().cast(pl.Int64), duration=pl.col("duration").cast(pl.Int128).sum())
    # Every variant has an object.
    return state.variants.hstack(sums.sort("variant").drop("variant")).with_columns(
        pl.when(pl.col("activities").list.len() > 0).then("duration")
    )
