"""All gold tables of a log that changes, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.gold import log_summary, variant_table
from ocelake.mining.incremental.executions import ExecutionState, advance_executions, execution_state
from ocelake.mining.incremental.moves import LogChange, move_traces
from ocelake.mining.incremental.process import ProcessState, follow_process, process_state
from ocelake.mining.lifecycle import edge_work, find_work, work_times
from ocelake.mining.performance import work_performance
from ocelake.mining.traces import Traces
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


def gold_state(traces: Traces, sequence: Positions, settings: MiningSettings) -> GoldState:
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
    GoldState

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> gold_state(traces, np.zeros(2, dtype=np.int64), MiningSettings()).process.variants["activities"].to_list()
    [['place', 'pay']]
    """
    return GoldState(process_state(traces), sequence, execution_state(traces, settings))


def follow_gold(
    state: GoldState,
    change: LogChange,
    settings: MiningSettings,
    *,
    attributes: pl.DataFrame,
    rows: Mapping[str, int],
    quarantined: int,
    publication_id: str,
) -> tuple[GoldState, dict[str, Content]]:
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
    >>> from ocelake.mining.traces import encode
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
            alone=_alone(traces),
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
    per_activity = np.bincount(state.traces.event_activity, minlength=len(state.traces.activities))
    over_types = pl.DataFrame({"activity": state.traces.activities, "events": per_activity})
    return pl.concat([state.nodes, over_types], how="diagonal")


def _alone(traces: Traces) -> int:
    """Count the events without objects."""
    alone = np.ones(len(traces.event_ids), dtype=bool)
    alone[traces.step_event] = False
    return int(alone.sum())


def _tied_share(state: ProcessState) -> float | None:
    """Give the share of steps at the same time as the step before: of the durations, those of 0."""
    steps = sum(map(len, state.durations.values()))
    tied = sum(values.zeros for values in state.durations.values())
    return tied / steps if steps else None


def _edges(state: ProcessState) -> pl.DataFrame:
    """Give `gold.ocdfg_edges`."""
    rows = [
        {"object_type": kind, "source": source, "target": target}
        | {f"duration_{name}": value for name, value in values.describe().items()}
        for (kind, source, target), values in state.durations.items()
    ]
    if not rows:
        return as_table("gold.ocdfg_edges")
    return state.edges.join(pl.DataFrame(rows), on=["object_type", "source", "target"])


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
    """Give what `ocelake.mining.variants.trace_variants` describes; the empty variant has no duration."""
    return state.variants.with_columns(pl.when(pl.col("activities").list.len() > 0).then("duration"))
