"""From one log's silver tables to all of its gold tables: what the process does, in one call.

What is compared over the whole log is `ocelake.mining.analysis`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import polars as pl

from ocelake.mining.execution_variants import execution_tables
from ocelake.mining.executions import CONNECTED, find_executions
from ocelake.mining.ocdfg import activity_nodes, in_seconds, ocdfg
from ocelake.mining.performance import performance_tables
from ocelake.mining.times import instants
from ocelake.mining.traces import Traces, encode
from ocelake.mining.variants import find_variants, object_summaries, trace_variants
from ocelake.settings import MiningSettings
from ocelake.tables import as_table, layer_tables

__all__ = ["log_summary", "mine_log", "tied_share", "variant_table"]

_DEFAULTS: Final = MiningSettings()


def mine_log(
    tables: Mapping[str, pl.DataFrame],
    *,
    quarantined: int,
    publication_id: str,
    settings: MiningSettings = _DEFAULTS,
    counts: Mapping[str, int] = MappingProxyType({}),
    traces: Traces | None = None,
) -> dict[str, pl.DataFrame]:
    """Compute every gold table of one log.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        The log's silver tables by identifier (``"ocel.events"``, ...), without ``log_id`` and ``bucket``. Of events,
        objects and E2O relations the ids, activity, type, time and sequence are used, of the attributes of events those
        of `ocelake.mining.performance.attribute_names`, of all others the number of rows.
    quarantined : int
        Rows of the log in `silver.quarantine`.
    publication_id : str
        The silver publication that the tables are of.
    settings : MiningSettings
        Which kinds of process executions there are, when two are of one variant, when work starts.
    counts : mapping of str to int
        Rows of a table, where not all of them are given.
    traces : Traces, optional
        The log's, where they are encoded already; then the E2O relations are not needed.

    Returns
    -------
    dict of str to DataFrame
        Every table of the gold layer by identifier: the columns of `ocelake.tables` without ``log_id``, sorted by the
        table's sort order.

    Examples
    --------
    >>> from ocelake.ocel.generate import generate
    >>> tables = dict(generate(100, seed=1).frames())
    >>> found = mine_log(tables, quarantined=0, publication_id="shop.silver.1")
    >>> found["gold.log_summary"].select("object_types", "executions").row(0)
    (6, 6)
    """
    events = tables["ocel.events"]
    if traces is None:
        traces = encode(tables["ocel.event_objects"], tables["ocel.objects"], events)
    nodes, edges = ocdfg(traces)
    variants = find_variants(traces)
    described = trace_variants(traces, variants)
    parts = traces.of_types(settings.execution_types) if settings.execution_types else traces
    executions = {kind: find_executions(parts, kind) for kind in {CONNECTED, *settings.executions}}
    stored = [executions[kind] for kind in sorted(set(settings.executions))]
    mined = {
        "gold.ocdfg_nodes": pl.concat([activity_nodes(events), nodes], how="diagonal"),
        "gold.ocdfg_edges": edges,
        "gold.trace_variants": variant_table(described),
        "gold.object_summaries": object_summaries(traces, variants, described["variant_id"]).with_columns(
            pl.lit(publication_id).alias("publication_id")
        ),
        "gold.log_summary": log_summary(
            {**{name: len(frame) for name, frame in tables.items()}, **counts},
            traces,
            quarantined,
            len(executions[CONNECTED].ids),
            alone=len(events) - pl.Series(traces.step_event).n_unique(),
            tied=tied_share(traces),
        ),
        **execution_tables(parts, stored, equality=settings.execution_equality),
        **performance_tables(traces, tables, settings),
    }
    return {spec.identifier: as_table(spec.identifier, mined[spec.identifier]) for spec in layer_tables("gold")}


def tied_share(traces: Traces) -> float | None:
    """Give the share of object steps at the same time as the step before; null without such steps.

    A step is an event of an object that has an event before it; where it is tied, the sequence or the event's id
    decides the order.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> tied_share(traces)
    0.0
    """
    follow = traces.step_object[1:] == traces.step_object[:-1]
    times = traces.event_time[traces.step_event]
    tied = follow & (times[1:] == times[:-1])
    return float(tied.sum() / follow.sum()) if follow.any() else None


def variant_table(described: pl.DataFrame) -> pl.DataFrame:
    """Give `gold.trace_variants` from what `ocelake.mining.variants.trace_variants` describes.

    Examples
    --------
    >>> one = {"object_type": ["order"], "variant_id": ["a"], "activities": [["pay"]], "objects": [1], "duration": [0]}
    >>> variant_table(pl.DataFrame(one)).select("share", "duration_mean").rows()
    [(1.0, 0.0)]
    """
    return in_seconds(
        described.with_columns(
            (pl.col("objects") / pl.col("objects").sum().over("object_type")).alias("share"),
            pl.col("duration").alias("duration_sum"),
            (pl.col("duration").cast(pl.Float64) / pl.col("objects")).alias("duration_mean"),
        )
    ).sort("object_type", "objects", "variant_id")


def log_summary(
    rows: Mapping[str, int], traces: Traces, quarantined: int, executions: int, *, alone: int, tied: float | None
) -> pl.DataFrame:
    """Give `gold.log_summary`.

    Parameters
    ----------
    rows : mapping of str to int
        Rows of the log's silver tables.
    traces : Traces
        Of the whole log.
    quarantined, executions : int
        Rows of `silver.quarantine`, and connected process executions.
    alone : int
        Events without objects.
    tied : float or None
        See `tied_share`.

    Examples
    --------
    >>> from collections import defaultdict
    >>> from ocelake.tables import TABLES
    >>> nothing = encode(pl.DataFrame(schema=TABLES["ocel.event_objects"].schema))
    >>> log_summary(defaultdict(int), nothing, 0, 0, alone=0, tied=None)["first_time"].to_list()
    [None]
    """
    counted = (
        "events",
        "objects",
        "event_types",
        "object_types",
        "event_objects",
        "object_objects",
        "event_attributes",
        "object_attributes",
    )
    times = instants(traces.event_time)
    return pl.DataFrame(
        {
            **{name: [rows[f"ocel.{name}"]] for name in counted},
            "events_without_objects": alone,
            "objects_without_events": int((traces.lengths == 0).sum()),
            "quarantined": quarantined,
            "executions": executions,
            "first_time": times.first() if len(times) else None,
            "last_time": times.last() if len(times) else None,
            "tied_share": tied,
        }
    )
