"""From one log's tables to what is compared over the whole of it: who does the work, relations of types, change.

None of it is a sum over objects: it ranks, tests and compares, so that one new event may change any row. It is computed
again as a whole, and less often than gold (`ocelake.mining.gold`), which follows every batch of records.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ocelake.mining.bottlenecks import bottlenecks
from ocelake.mining.change import change_tables
from ocelake.mining.explore import relation_tables
from ocelake.mining.lifecycle import find_work
from ocelake.mining.predecessors import find_predecessors
from ocelake.mining.resources import event_resources, handovers, resources
from ocelake.mining.traces import Traces
from ocelake.mining.variants import find_variants
from ocelake.settings import MiningSettings
from ocelake.tables import as_table, layer_tables

__all__ = ["analyse_log", "capacity_tables"]


def analyse_log(
    traces: Traces, tables: Mapping[str, pl.DataFrame], *, settings: MiningSettings
) -> dict[str, pl.DataFrame]:
    """Compute every table of the analysis of one log.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    tables : mapping of str to DataFrame
        Silver tables by identifier: the ids of `ocel.object_objects`, and of `ocel.event_attributes` the values that
        `capacity_tables` reads.
    settings : MiningSettings
        Who does the work, when it starts, which types executions are made of, and how long a period is.

    Returns
    -------
    dict of str to DataFrame
        Every table of the layer by identifier, as `ocelake.tables` declares it, without ``log_id``.

    Raises
    ------
    OcelakeError
        As `capacity_tables`.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.ocel.generate import generate
    >>> log = generate(100, seed=1)
    >>> traces = encode(log.event_objects, log.objects, log.events)
    >>> found = analyse_log(traces, dict(log.frames()), settings=MiningSettings())
    >>> found["gold.type_graph"]["relation"].n_unique()
    6
    """
    found = {
        **capacity_tables(traces, tables, settings),
        **relation_tables(traces, tables),
        **change_tables(traces, find_variants(traces), period=settings.period),
    }
    return {spec.identifier: as_table(spec.identifier, found[spec.identifier]) for spec in layer_tables("analysis")}


def capacity_tables(
    traces: Traces, tables: Mapping[str, pl.DataFrame], settings: MiningSettings
) -> dict[str, pl.DataFrame]:
    """Compute who does the work, to whom it is handed, and where it is delayed.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    tables : mapping of str to DataFrame
        ``ocel.event_attributes`` (the rows of `ocelake.mining.resources.resource_attributes` and
        `ocelake.mining.performance.attribute_names` at least) of the log.
    settings : MiningSettings
        Where resources and the starts of work are to be found, and of which object types executions are made: the
        others are permanent (see `ocelake.mining.bottlenecks`).

    Returns
    -------
    dict of str to DataFrame
        `gold.resources`, `gold.handovers`, `gold.bottlenecks`, without ``log_id``, sorted.

    Raises
    ------
    OcelakeError
        Where the settings name a resource attribute, resource type, start attribute or execution type that the log
        does not have.

    Examples
    --------
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.tables import TABLES
    >>> names = ("ocel.event_objects", "ocel.event_attributes")
    >>> silver = {name: pl.DataFrame(schema=TABLES[name].schema) for name in names}
    >>> list(capacity_tables(encode(silver["ocel.event_objects"]), silver, MiningSettings()))
    ['gold.resources', 'gold.handovers', 'gold.bottlenecks']
    """
    attributes = tables["ocel.event_attributes"]
    predecessors = find_predecessors(traces)
    work = find_work(traces, attributes, start=settings.start, lifecycle=settings.lifecycle)
    done_by = event_resources(traces, attributes, settings)
    return {
        "gold.resources": resources(traces, done_by, work),
        "gold.handovers": handovers(traces, predecessors, done_by),
        "gold.bottlenecks": bottlenecks(traces, predecessors, work, flowing=settings.execution_types),
    }
