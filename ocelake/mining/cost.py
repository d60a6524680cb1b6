"""What executions cost, by a cost model that a person declares for a log.

An event costs its activity's and its resource's fixed rate, its hours of work at their hourly rate, and shares of its
attributes' values. An event's cost is borne by its objects in equal parts, so that the costs of objects add up to the
cost of the events; an execution costs what its events cost.

References
----------
Wynn, Low, ter Hofstede, Nauta: A framework for cost-aware process management (Computers in Industry 65(6), 2014).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.dataframe.group_by import GroupBy
from pydantic import BaseModel, ConfigDict, Field

from ocelake.mining.resources import EventResources
from ocelake.mining.traces import Traces
from ocelake.mining.variants import Variants
from ocelake.settings import FileSettings
from ocelake.tables import as_table

__all__ = ["AttributeCost", "CostModel", "Rate", "cost_tables", "event_costs", "object_costs", "savings"]

_HOUR: Final = 3600.0
_Money = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(_Part):
    """What an event costs: once, and per hour of work."""

    fixed: _Money = 0.0
    per_hour: _Money = 0.0


class AttributeCost(_Part):
    """A cost that the log itself states: the value of an event's attribute, times a factor.

    Attributes
    ----------
    attribute : str
        The attribute's name; its values have to be numbers.
    factor : float
        What one unit of the value costs.
    activity : str, optional
        Of this activity's events only.
    """

    attribute: str
    factor: _Money = 1.0
    activity: str | None = None


class CostModel(FileSettings):
    """What events cost (``logs/<log_id>.cost.yaml``); without any rate nothing is computed.

    Attributes
    ----------
    currency : str
        For people; nothing is converted.
    default : Rate
        Of activities that are not named.
    activities, resources : mapping of str to Rate
        By name. Both fixed rates apply; the hourly rate is the resources' where they have one, else the activity's.
    attributes : tuple of AttributeCost
        Costs that the log states.
    hours : {"work", "sojourn"}
        What an hour of an event is: its working time, which is known where the log has start times or a lifecycle, or
        the time since the last event before it that shares an object.
    bearers : tuple of str
        Object types that bear the costs of their events; where none is named, those that executions are made of
        (`MiningSettings.execution_types`), else all.
    minimum_share : float
        A variant that this share of a type's objects, or more, go through can be the best one that others are held to.

    Examples
    --------
    >>> CostModel(activities={"pay": Rate(fixed=2)}).stated
    True
    """

    currency: str = ""
    default: Rate = Rate()
    activities: dict[str, Rate] = Field(default_factory=dict)
    resources: dict[str, Rate] = Field(default_factory=dict)
    attributes: tuple[AttributeCost, ...] = ()
    hours: Literal["work", "sojourn"] = "work"
    bearers: tuple[str, ...] = ()
    minimum_share: Annotated[float, Field(gt=0, le=1)] = 0.01

    @property
    def stated(self) -> bool:
        """Whether anything costs anything."""
        rates = (self.default, *self.activities.values(), *self.resources.values())
        return bool(self.attributes) or any(rate != Rate() for rate in rates)


def event_costs(
    traces: Traces,
    model: CostModel,
    *,
    hours: npt.NDArray[np.float64],
    resources: EventResources,
    attributes: pl.DataFrame,
) -> pl.DataFrame:
    """Cost every event.

    Parameters
    ----------
    traces : Traces
        Whose events.
    model : CostModel
        The rates.
    hours : float array, one per event
        Hours by event rank; NaN where they are not known, which cost nothing.
    resources : EventResources
        Who did it; where several did, each costs.
    attributes : DataFrame
        Columns event_id, name, value_float (of `ocel.event_attributes`).

    Returns
    -------
    DataFrame
        event_id, activity, fixed, work, stated and cost (their sum), in the model's currency; by event rank.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> one = {"event_id": ["e"], "object_id": ["o"], "activity": ["pay"], "object_type": ["order"]}
    >>> traces = encode(pl.DataFrame({**one, "time": [datetime(2024, 1, 1)], "sequence": [0]}))
    >>> nobody = EventResources(pl.Series(dtype=pl.String), np.array([], dtype=np.int32), np.array([0, 0]), None)
    >>> no_values = pl.DataFrame(schema={"event_id": pl.String, "name": pl.String, "value_float": pl.Float64})
    >>> model = CostModel(activities={"pay": Rate(fixed=2, per_hour=10)})
    >>> event_costs(traces, model, hours=np.array([0.5]), resources=nobody, attributes=no_values)["cost"].to_list()
    [7.0]
    """
    of_activity = _rates([model.activities.get(name, model.default) for name in traces.activities])
    of_activity = of_activity[traces.event_activity]
    of_resource = np.zeros_like(of_activity)
    event = np.repeat(np.arange(len(of_activity)), np.diff(resources.offsets))
    np.add.at(
        of_resource, event, _rates([model.resources.get(name, Rate()) for name in resources.names])[resources.resource]
    )
    hourly = np.where(of_resource[:, 1] != 0, of_resource[:, 1], of_activity[:, 1])
    frame = pl.DataFrame(
        {
            "event_id": traces.event_ids,
            "activity": traces.activities.gather(traces.event_activity),
            "fixed": of_activity[:, 0] + of_resource[:, 0],
            "work": np.nan_to_num(hours) * hourly,
        }
    )
    stated = _stated(frame, model, attributes)
    return frame.join(stated, on="event_id", how="left", maintain_order="left").select(
        "event_id",
        "activity",
        "fixed",
        "work",
        pl.col("stated").fill_null(0.0),
        cost=pl.col("fixed") + pl.col("work") + pl.col("stated").fill_null(0.0),
    )


def _in_turn(frame: pl.DataFrame, *by: str) -> GroupBy:
    """Group rows so that sums are taken in their order: sums of floats differ in the last digit by the order."""
    return frame.group_by(*by, maintain_order=True)


def _rates(rates: Sequence[Rate]) -> npt.NDArray[np.float64]:
    return np.array([(rate.fixed, rate.per_hour) for rate in rates], dtype=np.float64).reshape(-1, 2)


def _stated(events: pl.DataFrame, model: CostModel, attributes: pl.DataFrame) -> pl.DataFrame:
    """Sum what the log states, by event; what is no number costs nothing (`_without_effect` tells)."""
    values = attributes.join(events.select("event_id", "activity"), on="event_id").filter(_IS_NUMBER)
    parts = [
        values.filter(_concerns(part)).select("event_id", stated=pl.col("value_float") * part.factor)
        for part in model.attributes
    ]
    empty = pl.DataFrame(schema={"event_id": pl.String, "stated": pl.Float64})
    return pl.concat([empty, *parts]).group_by("event_id").agg(pl.col("stated").sum())


_IS_NUMBER: Final = pl.col("value_float").is_not_null() & pl.col("value_float").is_finite()


def _concerns(part: AttributeCost) -> pl.Expr:
    named = pl.col("name") == part.attribute
    return named if part.activity is None else named & (pl.col("activity") == part.activity)


def object_costs(
    traces: Traces, costs: npt.NDArray[np.float64], bearers: tuple[str, ...] = ()
) -> tuple[npt.NDArray[np.float64], float]:
    """Share the costs of events out among their objects, in equal parts.

    Parameters
    ----------
    costs : float array, one per event
        By event rank.
    bearers : tuple of str
        The object types that bear costs; all of them where none is given.

    Returns
    -------
    float array, one per object; float
        What each object bears, and what no object bears.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> two = {"event_id": ["e", "e"], "object_id": ["o", "p"], "activity": ["pay"] * 2, "object_type": ["order"] * 2}
    >>> traces = encode(pl.DataFrame({**two, "time": [datetime(2024, 1, 1)] * 2, "sequence": [0, 0]}))
    >>> borne, left = object_costs(traces, np.array([5.0]))
    >>> borne.tolist(), left
    ([2.5, 2.5], 0.0)
    """
    bears = np.ones(len(traces.object_types), dtype=bool)
    if bearers:
        bears = traces.object_types.is_in(list(bearers)).to_numpy()
    chosen = bears[traces.object_type[traces.step_object]]
    event, thing = traces.step_event[chosen], traces.step_object[chosen]
    shares = np.bincount(event, minlength=len(costs))
    part = np.divide(costs, shares, out=np.zeros_like(costs), where=shares > 0)
    borne = np.bincount(thing, weights=part[event], minlength=len(traces.object_ids)).astype(np.float64)
    return borne, float(costs[shares == 0].sum())


def savings(variants: pl.DataFrame, model: CostModel) -> pl.DataFrame:
    """Say what would be saved if every object cost no more than those of its type's best variant.

    The best variant is the one with the least mean cost of those that at least ``minimum_share`` of the type's objects
    go through; a type without such a variant has no saving. Only variants that cost more on average are counted.

    Parameters
    ----------
    variants : DataFrame
        As `gold.variant_costs`.

    Returns
    -------
    DataFrame
        As `gold.savings`.

    Examples
    --------
    >>> rows = {"object_type": ["order"] * 2, "variant_id": ["a", "b"], "objects": [9, 1], "share": [0.9, 0.1]}
    >>> variants = pl.DataFrame({**rows, "cost_sum": [9.0, 5.0], "cost_mean": [1.0, 5.0]})
    >>> savings(variants, CostModel())["saving"].to_list()
    [4.0]
    """
    held = pl.col("share") >= model.minimum_share
    best = (
        variants.filter(held)
        .sort("cost_mean", "share", "variant_id", descending=[False, True, False])
        .group_by("object_type", maintain_order=True)
        .first()
        .select("object_type", best_variant_id="variant_id", best_cost_mean="cost_mean")
    )
    more = pl.col("cost_mean") - pl.col("best_cost_mean")
    above = more > _ROUNDING * pl.col("best_cost_mean").abs()
    saved = (more * pl.col("objects")).filter(above).sum()
    known = pl.col("best_variant_id").is_not_null()
    share = f"{100 * model.minimum_share:.4g}%"
    return (
        variants.join(best, on="object_type", how="left")
        .group_by("object_type", "best_variant_id", "best_cost_mean")
        .agg(
            objects=pl.col("objects").sum(),
            objects_above=pl.col("objects").filter(above).sum(),
            cost_sum=pl.col("cost_sum").sum(),
            saving=saved,
        )
        .with_columns(pl.when(known).then(name).alias(name) for name in ("objects_above", "saving"))
        .with_columns(
            saving_share=pl.when(pl.col("cost_sum") > 0).then(pl.col("saving") / pl.col("cost_sum")),
            assumption=pl.when(known)
            .then(
                pl.lit(
                    "Every object of a dearer variant costs as much as the mean object of the best variant, which at "
                    f"least {share} of the type's objects take, with the same outcome."
                )
            )
            .otherwise(
                pl.lit(
                    f"No variant is taken by {share} of the type's objects or more, so none can be the best one; "
                    "a lower minimum_share in the cost model allows it."
                )
            ),
        )
        .sort("object_type")
    )


_ROUNDING: Final = 1e-9
"""Relative difference of two costs that is one of rounding: equal parts do not add up to the last digit."""


def cost_tables(
    traces: Traces,
    variants: Variants,
    variant_ids: pl.Series,
    model: CostModel,
    *,
    executions: pl.DataFrame,
    hours: npt.NDArray[np.float64],
    resources: EventResources,
    attributes: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Compute all cost tables; they are empty where the model states no cost.

    Parameters
    ----------
    traces, variants, variant_ids
        The log, its trace variants, and their ids by code (`ocelake.mining.variants`).
    model : CostModel
        The rates.
    executions : DataFrame
        Columns kind, execution_id, event_id (of `ocel.execution_events`).
    hours, resources, attributes
        As for `event_costs`.

    Returns
    -------
    dict of str to DataFrame
        ``gold.event_costs``, ``gold.object_costs``, ``gold.execution_costs``, ``gold.variant_costs``,
        ``gold.savings`` and ``gold.cost_summary``.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.mining.variants import find_variants, trace_variants
    >>> one = {"event_id": ["e"], "object_id": ["o"], "activity": ["pay"], "object_type": ["order"]}
    >>> traces = encode(pl.DataFrame({**one, "time": [datetime(2024, 1, 1)], "sequence": [0]}))
    >>> variants = find_variants(traces)
    >>> found = cost_tables(
    ...     traces,
    ...     variants,
    ...     trace_variants(traces, variants)["variant_id"],
    ...     CostModel(default=Rate(fixed=2)),
    ...     executions=pl.DataFrame({"kind": ["connected"], "execution_id": ["e"], "event_id": ["e"]}),
    ...     hours=np.array([np.nan]),
    ...     resources=EventResources(pl.Series(dtype=pl.String), np.array([], dtype=np.int32), np.array([0, 0]), None),
    ...     attributes=pl.DataFrame(schema={"event_id": pl.String, "name": pl.String, "value_float": pl.Float64}),
    ... )
    >>> found["gold.execution_costs"].rows()
    [('connected', 'e', 1, 2.0)]
    """
    if not model.stated:
        return {name: as_table(name) for name in _TABLES}
    events = event_costs(traces, model, hours=hours, resources=resources, attributes=attributes)
    borne, left = object_costs(traces, events["cost"].to_numpy(), model.bearers)
    bears = traces.object_types.is_in(list(model.bearers)) if model.bearers else None
    objects = pl.DataFrame(
        {
            "object_type": traces.object_types.gather(traces.object_type),
            "object_id": traces.object_ids,
            "variant_id": variant_ids.gather(variants.of_object),
            "cost": borne,
        }
    )
    if bears is not None:
        objects = objects.filter(bears.gather(traces.object_type))
    cost = pl.col("cost")
    by_variant = _in_turn(objects, "object_type", "variant_id").agg(
        objects=pl.len(), cost_sum=cost.sum(), cost_min=cost.min(), cost_max=cost.max()
    )
    by_variant = by_variant.with_columns(
        share=pl.col("objects") / pl.col("objects").sum().over("object_type"),
        cost_mean=pl.col("cost_sum") / pl.col("objects"),
    )
    joined = executions.join(events.select("event_id", "cost"), on="event_id").sort("kind", "execution_id", "event_id")
    by_execution = _in_turn(joined, "kind", "execution_id").agg(events=pl.len(), cost=cost.sum())
    summary = pl.DataFrame(
        {
            "currency": model.currency,
            "cost": events["cost"].sum(),
            "fixed": events["fixed"].sum(),
            "work": events["work"].sum(),
            "stated": events["stated"].sum(),
            "not_borne": left,
            "events": len(events),
            "events_without_hours": int(np.isnan(hours).sum()),
            "events_without_resource": int((np.diff(resources.offsets) == 0).sum()),
            "assumption": _assumption(model),
            "without_effect": " ".join(_without_effect(traces, model, hours, resources, attributes)) or None,
        },
        schema_overrides={"without_effect": pl.String},
    )
    frames = {
        "gold.event_costs": events,
        "gold.object_costs": objects,
        "gold.execution_costs": by_execution,
        "gold.variant_costs": by_variant,
        "gold.savings": savings(by_variant, model),
        "gold.cost_summary": summary,
    }
    return {name: as_table(name, frame) for name, frame in frames.items()}


_TABLES: Final = (
    "gold.event_costs",
    "gold.object_costs",
    "gold.execution_costs",
    "gold.variant_costs",
    "gold.savings",
    "gold.cost_summary",
)


def _assumption(model: CostModel) -> str:
    hours = "working time" if model.hours == "work" else "time since the last event before it that shares an object"
    bearers = f"objects of {', '.join(model.bearers)}" if model.bearers else "objects"
    return (
        f"An hour of an event is its {hours}; where that is not known it costs nothing. An event's cost is borne by "
        f"its {bearers} in equal parts."
    )


def _without_effect(
    traces: Traces,
    model: CostModel,
    hours: npt.NDArray[np.float64],
    resources: EventResources,
    attributes: pl.DataFrame,
) -> Iterator[str]:
    """Say what of the cost model changes nothing, in sentences: a slip of the pen would else lose costs in silence."""
    activities = (*model.activities, *(part.activity for part in model.attributes if part.activity is not None))
    yield from _unknown("activity", activities, traces.activities)
    yield from _unknown("resource", model.resources, resources.names)
    yield from _unknown("object type", model.bearers, traces.object_types)
    yield from _unknown("event attribute", (part.attribute for part in model.attributes), attributes["name"].unique())
    activity = {"event_id": traces.event_ids, "activity": traces.activities.gather(traces.event_activity)}
    values = attributes.join(pl.DataFrame(activity), on="event_id")
    for part in model.attributes:
        of_part = values.filter(_concerns(part))
        if wrong := len(of_part) - len(of_part.filter(_IS_NUMBER)):
            yield f"{wrong:,} of {len(of_part):,} values of {part.attribute!r} are no numbers and cost nothing."
    rates = (model.default, *model.activities.values(), *model.resources.values())
    if len(hours) and np.isnan(hours).all() and any(rate.per_hour for rate in rates):
        yield "No event's hours are known, so that hourly rates cost nothing."


def _unknown(kind: str, names: Iterable[str], known: pl.Series) -> Iterator[str]:
    for name in sorted(set(names).difference(known)):
        near = difflib.get_close_matches(name, known.to_list(), n=1)
        yield f"The log has no {kind} {name!r}{f'; did you mean {near[0]!r}?' if near else '.'}"
