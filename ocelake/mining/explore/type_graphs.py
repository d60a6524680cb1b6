"""Graphs of types: how object types are related, and which activities have objects of which types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array, csr_array

from ocelake.mining.explore.meetings import Meetings, meetings
from ocelake.mining.traces import Codes, Traces

__all__ = ["event_type_graph", "object_type_graph"]


def event_type_graph(traces: Traces) -> pl.DataFrame:
    """Relate activities to object types (the ET-OT graph).

    Parameters
    ----------
    traces : Traces

    Returns
    -------
    DataFrame
        activity, object_type; events: events of the activity with an object of the type; objects: objects of the type
        with such an event; event_objects: distinct (event, object) pairs; min_objects and max_objects: fewest and most
        objects of the type over all events of the activity. Sorted by activity and type.

    References
    ----------
    Berti: Process Mining on Event Graphs, a Framework (RWTH Aachen, 2025).

    Examples
    --------
    >>> from ocelake.mining import encode
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(1_000, seed=1)
    >>> graph = event_type_graph(encode(log.event_objects, log.objects, log.events))
    >>> graph.filter(activity="pay order", object_type="orders").select("min_objects", "max_objects").row(0)
    (1, 1)
    """
    all_events = np.bincount(traces.event_activity, minlength=len(traces.activities))
    steps = pl.DataFrame(
        {
            "activity": traces.step_activity,
            "object_type": traces.object_type[traces.step_object],
            "event": traces.step_event,
            "object": traces.step_object,
        }
    )
    edge = ["activity", "object_type"]
    per_event = steps.group_by(*edge, "event").len()
    counted = (
        per_event.group_by(edge)
        .agg(
            events=pl.len(),
            event_objects=pl.col("len").sum(),
            min_objects=pl.col("len").min(),
            max_objects=pl.col("len").max(),
        )
        .join(steps.group_by(edge).agg(objects=pl.col("object").n_unique()), on=edge)
    )
    in_all = counted["events"].to_numpy() == all_events[counted["activity"].to_numpy()]
    return counted.select(
        traces.activities.gather(counted["activity"]).alias("activity"),
        traces.object_types.gather(counted["object_type"]).alias("object_type"),
        pl.col("events", "objects", "event_objects").cast(pl.Int64),
        pl.when(pl.Series(in_all)).then("min_objects").otherwise(0).cast(pl.Int64).alias("min_objects"),
        pl.col("max_objects").cast(pl.Int64),
    ).sort(edge)


def object_type_graph(traces: Traces, object_objects: pl.DataFrame) -> pl.DataFrame:
    """Count, for each two object types, the edges between their objects in each object graph.

    Parameters
    ----------
    traces : Traces
    object_objects : DataFrame
        Columns source_id, target_id (of `ocel.object_objects`).

    Returns
    -------
    DataFrame
        As `gold.type_graph`: relation (one of `OBJECT_GRAPHS`, or o2o), source_type, target_type, object_pairs, note.
        Of an edge without direction, the source is of the type that is first in the alphabet. An interaction's pairs
        are null, and the note says why, where too many would have to be looked at.

    Notes
    -----
    Interactions are counted between groups of objects with the same events, up to 200 million pairs of these, event by
    event; where there are more, type by type from those with the fewest on. All other numbers are exact for any log.

    Examples
    --------
    >>> from ocelake.mining import encode
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(1_000, seed=1)
    >>> graph = object_type_graph(encode(log.event_objects, log.objects, log.events), log.object_objects)
    >>> graph.filter(relation="o2o", source_type="packages")["target_type"].to_list()
    ['items', 'orders']
    """
    types = len(traces.object_types)
    met = meetings(traces)
    none: list[str | None] = [None] * types**2
    counts = {"interaction": (_interactions(met), met.notes())}
    counts |= {relation: (found, none) for relation, found in _of_one_event(traces).items()}
    source, target = np.divmod(np.arange(types * types), max(types, 1))
    graphs = [
        pl.DataFrame(
            {
                "relation": pl.repeat(relation, len(found), dtype=pl.String, eager=True),
                "source_type": traces.object_types.gather(source),
                "target_type": traces.object_types.gather(target),
                "object_pairs": found,
                "note": pl.Series(notes, dtype=pl.String),
            }
        )
        for relation, (found, notes) in counts.items()
    ]
    counted = pl.when(pl.col("note").is_null()).then("object_pairs").alias("object_pairs")
    found = pl.concat(graphs).filter((pl.col("object_pairs") > 0) | pl.col("note").is_not_null()).with_columns(counted)
    return pl.concat([found, _o2o(traces, object_objects)]).sort("relation", "source_type", "target_type")


def _interactions(met: Meetings) -> npt.NDArray[np.int64]:
    """Count the edges of the interaction graph, by source and target type, where they are counted."""
    types, kind, sizes = len(met.traces.object_types), met.traces.object_type.astype(np.int64), met.sizes
    # Sums of whole numbers as floats are exact up to 2**53, the pairs of 100 million objects.
    within = np.where(met.traces.lengths > 0, sizes * (sizes - 1) // 2, 0)
    counts = np.bincount(kind * types + kind, weights=within, minlength=types**2)
    for source, target in met.edges():
        cell = kind[source] * types + kind[target]
        counts += np.bincount(cell, weights=sizes[source] * sizes[target], minlength=types**2)
    return counts.astype(np.int64)


def _of_one_event(traces: Traces) -> dict[str, npt.NDArray[np.int64]]:
    """Count the edges of the graphs that follow from one event of each object, by source and target type.

    Of an event, only the number of objects of each type matters that have it, begin with it, end with it or have no
    other. So an event with all objects of a log takes no longer than others, however many pairs there are.
    """
    objects = np.flatnonzero(traces.lengths)
    first, last = traces.step_event[traces.offsets[objects]], traces.step_event[traces.offsets[objects + 1] - 1]
    kind = traces.object_type[objects]
    shape = len(traces.event_ids), len(traces.object_types)

    def numbers(event: Codes, kinds: Codes) -> csr_array:
        return coo_array((np.ones(len(event), dtype=np.int64), (event, kinds)), shape=shape).tocsr()

    having = numbers(traces.step_event, traces.object_type[traces.step_object])
    born, dead = numbers(first, kind), numbers(last, kind)
    only = numbers(first[first == last], kind[first == last])

    def pairs(together: csr_array) -> npt.NDArray[np.int64]:
        """Give the pairs of two objects, each once, from the lesser type code."""
        twice = (together.T @ together).toarray()
        alike = (np.diagonal(twice) - together.sum(axis=0)) // 2
        unordered: npt.NDArray[np.int64] = np.triu(twice, 1) + np.diag(alike)
        return unordered

    found = {
        "descendants": ((having - born).T @ born).toarray(),
        "inheritance": (dead.T @ born - only.T @ only).toarray(),
        "cobirth": pairs(born),
        "codeath": pairs(dead),
    }
    return {relation: table.ravel() for relation, table in found.items()}


def _o2o(traces: Traces, object_objects: pl.DataFrame) -> pl.DataFrame:
    typed = pl.DataFrame(
        {"object_id": traces.object_ids, "type": traces.object_types.gather(traces.object_type)},
        schema={"object_id": pl.String, "type": pl.String},
    )
    return (
        object_objects.select("source_id", "target_id")
        .unique()
        .join(typed.rename({"object_id": "source_id", "type": "source_type"}), on="source_id")
        .join(typed.rename({"object_id": "target_id", "type": "target_type"}), on="target_id")
        .group_by("source_type", "target_type")
        .agg(object_pairs=pl.len().cast(pl.Int64))
        .select(pl.lit("o2o").alias("relation"), "source_type", "target_type", "object_pairs")
        .with_columns(note=pl.lit(None, dtype=pl.String))
    )
