"""From one log's tables to what people declared about it: its rules kept or violated, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from ocelake.mining.constraints import Rules, rule_tables
from ocelake.mining.constraints import attribute_names as rule_attributes
from ocelake.mining.cost import CostModel, cost_tables
from ocelake.mining.lifecycle import find_work
from ocelake.mining.performance import attribute_names as work_attributes
from ocelake.mining.performance import event_times
from ocelake.mining.predecessors import find_predecessors
from ocelake.mining.resources import event_resources, resource_attributes
from ocelake.mining.traces import Traces
from ocelake.mining.variants import find_variants, trace_variants
from ocelake.settings import MiningSettings
from ocelake.tables import as_table, layer_tables

__all__ = ["judge_log", "policy_attributes"]

_HOUR = 3.6e9


def policy_attributes(rules: Rules, costs: CostModel, mining: MiningSettings) -> dict[str, tuple[str, ...]]:
    """Give the names of the attributes that rules and cost model read, by silver table.

    Examples
    --------
    >>> policy_attributes(Rules(), CostModel(), MiningSettings())["ocel.object_attributes"]
    ()
    """
    of_events, of_objects = rule_attributes(rules)
    if costs.stated:
        named = (part.attribute for part in costs.attributes)
        of_events |= {*resource_attributes(mining), *work_attributes(mining), *named}
    return {"ocel.event_attributes": tuple(sorted(of_events)), "ocel.object_attributes": tuple(sorted(of_objects))}


def judge_log(
    traces: Traces, tables: Mapping[str, pl.DataFrame], *, rules: Rules, costs: CostModel, mining: MiningSettings
) -> dict[str, pl.DataFrame]:
    """Compute every table of the policy layer of one log.

    Parameters
    ----------
    traces : Traces
        Of the whole log.
    tables : mapping of str to DataFrame
        Silver tables by identifier: E2O and O2O relations with their qualifiers, and of the attributes those of
        `policy_attributes`; and of gold `ocel.execution_events`.
    rules : Rules
        What has to hold.
    costs : CostModel
        What things cost.
    mining : MiningSettings
        Who does the work, and when it starts.

    Returns
    -------
    dict of str to DataFrame
        Every table of the layer by identifier, as `ocelake.tables` declares it, without ``log_id``.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> row = {"event_id": "e", "object_id": "o", "activity": "pay", "object_type": "order", "sequence": 0}
    >>> traces = encode(pl.DataFrame([{**row, "time": datetime(2024, 1, 1)}]))
    >>> found = judge_log(traces, {}, rules=Rules(), costs=CostModel(), mining=MiningSettings())
    >>> {len(frame) for frame in found.values()}
    {0}
    """
    found = {**rule_tables(rules, traces, tables), **_costs(traces, tables, costs, mining)}
    return {spec.identifier: as_table(spec.identifier, found.get(spec.identifier)) for spec in layer_tables("policy")}


def _costs(
    traces: Traces, tables: Mapping[str, pl.DataFrame], costs: CostModel, mining: MiningSettings
) -> dict[str, pl.DataFrame]:
    if not costs.stated:
        return {}
    attributes = tables["ocel.event_attributes"]
    variants = find_variants(traces)
    if not costs.bearers:
        # A product bears nothing that anyone could save by it.
        costs = costs.model_copy(update={"bearers": mining.execution_types})
    return cost_tables(
        traces,
        variants,
        trace_variants(traces, variants)["variant_id"],
        costs,
        executions=tables["ocel.execution_events"],
        hours=_hours(traces, attributes, costs, mining),
        resources=event_resources(traces, attributes, mining),
        attributes=attributes,
    )


def _hours(
    traces: Traces, attributes: pl.DataFrame, costs: CostModel, mining: MiningSettings
) -> npt.NDArray[np.float64]:
    """Give the hours of every event, by rank; NaN where they are not known."""
    hours = np.full(len(traces.event_ids), np.nan)
    if costs.hours == "work":
        known = find_work(traces, attributes, start=mining.start, lifecycle=mining.lifecycle).instances
        hours[known["event"].to_numpy()] = known["working"].to_numpy() / _HOUR
    else:
        known = event_times(traces, find_predecessors(traces))
        hours[known["event"].to_numpy()] = known["sojourn"].to_numpy() / _HOUR
    return hours
