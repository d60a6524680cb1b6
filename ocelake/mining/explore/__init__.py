"""Exploring a log: filters, sub-logs, samples, OLAP operations, cubes; graphs and relations of objects and types.

Operations on logs take and give an `ocelake.ocel.model.Ocel`: each result is a log of its own, in every table. Graphs
and relations take `Traces` and give frames.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ocelake.mining.explore.cube import (
    ActivityDimension,
    Dimension,
    EventAttribute,
    ObjectAttribute,
    ObjectTypeDimension,
    Period,
    ProcessCube,
    process_cube,
)
from ocelake.mining.explore.filters import (
    filter_activities,
    filter_event_attribute,
    filter_events,
    filter_object_attribute,
    filter_object_types,
    filter_objects,
    filter_time,
    filter_type_activities,
)
from ocelake.mining.explore.induced import Orphans, induced_log
from ocelake.mining.explore.object_graphs import OBJECT_GRAPHS, ObjectGraph, object_edges, object_graph
from ocelake.mining.explore.olap import drill_down, fold, roll_up, unfold
from ocelake.mining.explore.sublogs import Unit, filter_executions, sample_log, select_log
from ocelake.mining.explore.totem import TEMPORAL_RELATIONS, totem
from ocelake.mining.explore.type_graphs import event_type_graph, object_type_graph
from ocelake.mining.traces import Traces

__all__ = [
    "OBJECT_GRAPHS",
    "TEMPORAL_RELATIONS",
    "ActivityDimension",
    "Dimension",
    "EventAttribute",
    "ObjectAttribute",
    "ObjectGraph",
    "ObjectTypeDimension",
    "Orphans",
    "Period",
    "ProcessCube",
    "Unit",
    "drill_down",
    "event_type_graph",
    "filter_activities",
    "filter_event_attribute",
    "filter_events",
    "filter_executions",
    "filter_object_attribute",
    "filter_object_types",
    "filter_objects",
    "filter_time",
    "filter_type_activities",
    "fold",
    "induced_log",
    "object_edges",
    "object_graph",
    "object_type_graph",
    "process_cube",
    "relation_tables",
    "roll_up",
    "sample_log",
    "select_log",
    "totem",
    "unfold",
]


def relation_tables(
    traces: Traces, tables: Mapping[str, pl.DataFrame], *, threshold: float = 0.9
) -> dict[str, pl.DataFrame]:
    """Compute the tables of how object types are related.

    Parameters
    ----------
    traces : Traces
        Of all events and objects of the log.
    tables : mapping of str to DataFrame
        The log's silver tables by identifier; `ocel.object_objects` is read.
    threshold : float
        As for `totem`.

    Returns
    -------
    dict of str to DataFrame
        `gold.type_relations` and `gold.type_graph`, without ``log_id``.

    Examples
    --------
    >>> from ocelake.mining import encode
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(100, seed=1)
    >>> list(relation_tables(encode(log.event_objects, log.objects, log.events), dict(log.frames())))
    ['gold.type_relations', 'gold.type_graph']
    """
    o2o = tables["ocel.object_objects"]
    return {
        "gold.type_relations": totem(traces, o2o, threshold=threshold),
        "gold.type_graph": object_type_graph(traces, o2o),
    }
