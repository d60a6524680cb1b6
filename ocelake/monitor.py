"""How champions hold: what came since they were trained, beside what they were trained and tested on.

Drift is the population stability index over tenths of the training's values, and over the most frequent categories;
above 0.25 a distribution counts as changed. The error is that of scoring the prefixes since the training: features are
as of the prefix, so this is what was, or would have been, predicted then. Those alone count that are so old that the
outcome of nearly all of their age is known; of younger ones it would be the fast ones that are judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from ocelake.lake.build import published_tables
from ocelake.lake.features import TrainingSet, training_sets
from ocelake.models import Kind, Task, gain, known_until, one_thread, score_metric
from ocelake.registry import Registry
from ocelake.tables import as_table

if TYPE_CHECKING:
    from ocelake.lake import Lake, PublicationRecord

__all__ = ["monitoring_table", "since_training", "stability"]

_CHANGED: Final = 0.25
_FEWEST: Final = 200
_WORSE: Final = 1.25
_HUNDREDTH: Final = 0.01
_BINS: Final = 10
_CATEGORIES: Final = 20
_FLOOR: Final = 1e-4


def monitoring_table(
    lake: Lake, registry: Registry, features: PublicationRecord, champions: PublicationRecord
) -> pl.DataFrame:
    """Compute `models.monitoring` of a log; without prefixes since the training there is nothing to be told."""
    held = published_tables(lake, champions)["models.champions"]
    rows: list[dict[str, Any]] = []
    for part in training_sets(lake, features):
        of_task = held.filter((pl.col("task") == part.task) & (pl.col("object_type") == part.object_type))
        for champion in of_task.iter_rows(named=True):
            scorer = registry.load(registry.version(champion["model_name"], champion["model_version"]))
            if set(scorer.columns) <= set(part.values.columns):
                about = {name: champion[name] for name in ("task", "object_type", "model_version")}
                rows += ({**about, **row} for row in since_training(part, scorer, champion))
    columns = as_table("models.monitoring")
    return as_table("models.monitoring", pl.DataFrame(rows, schema=columns.schema) if rows else None)


def since_training(part: TrainingSet, scorer: Any, champion: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Hold a champion against what came since it was trained; give what `models.monitoring` says of it."""
    new = part.rows["time"] > champion["seen_until"]
    count = int(new.sum())
    if not count:
        return
    values = part.values.select(scorer.columns)
    before, after = values.filter(~new), values.filter(new)
    enough = count >= _FEWEST
    for name in scorer.columns:
        drift = stability(before[name], after[name])
        yield _row("feature_drift", name, count, drift, _CHANGED, enough)
    with one_thread():
        said = [
            pl.Series(scorer.predict(_arrays(side))["prediction"])
            for side in (before.sample(min(5_000, before.height), seed=0), after)
        ]
    if said[0].dtype == pl.Boolean:
        said = [series.cast(pl.String) for series in said]
    yield _row("prediction_drift", part.task, count, stability(*said), _CHANGED, enough)
    known = new & part.rows["target"].is_not_null() & pl.Series(known_until(part.rows, ~new))
    arrived = int(known.sum())
    if arrived:
        task = Task(part.task, part.kind, part.object_type)
        value = score_metric(scorer, task, part.rows.filter(known), part.values.filter(known))
        reference = float(champion["value"])
        limit = _limit(part.kind, reference)
        row = _row("error", part.task, arrived, value, limit, arrived >= _FEWEST)
        worse = gain(part.kind, value - limit) < 0
        yield {**row, "reference": reference, "alarm": worse and arrived >= _FEWEST}


def _limit(kind: Kind, reference: float) -> float:
    """Give the metric that is a quarter worse than it was; of shares, by one hundredth at least.

    Examples
    --------
    >>> round(_limit("activity", 0.9), 6), round(_limit("outcome", 0.2), 6), _limit("duration", 4.0)
    (0.875, 0.25, 5.0)
    """
    if kind == "activity":
        return 1 - _limit("outcome", 1 - reference)
    least = _HUNDREDTH if kind == "outcome" else 0.0
    return max(reference * _WORSE, reference + least)


def _row(measure: str, subject: str, rows: int, value: float, limit: float, enough: bool) -> dict[str, Any]:
    alarm = enough and value > limit
    return {"measure": measure, "subject": subject, "rows": rows, "value": value, "limit": limit, "alarm": alarm}


def _arrays(values: pl.DataFrame) -> dict[str, Any]:
    return {name: values[name].to_numpy() for name in values.columns}


def stability(before: pl.Series, after: pl.Series) -> float:
    """Give the population stability index between two samples; what is missing is a class of its own.

    Examples
    --------
    >>> same = pl.Series(range(1000)).cast(pl.Float64)
    >>> round(stability(same, same), 6), stability(same, same + 2000) > 1
    (0.0, True)
    >>> stability(pl.Series(["a", "b"] * 50), pl.Series(["a"] * 100)) > 1
    True
    """
    if before.dtype == pl.String:
        most = before.value_counts(sort=True).head(_CATEGORIES)[before.name].to_list()
        classes = [[*(series == name for name in most if name is not None)] for series in (before, after)]
        counts = [np.array([int(part.sum() or 0) for part in parts], dtype=float) for parts in classes]
    else:
        known = before.drop_nulls().drop_nans().cast(pl.Float64).to_numpy()
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else np.empty(0)
        counts = []
        for series in (before, after):
            there = series.drop_nulls().drop_nans().cast(pl.Float64).to_numpy()
            counts.append(
                np.bincount(np.searchsorted(edges, there, side="right"), minlength=len(edges) + 1).astype(float)
            )
    shares = []
    for part, series in zip(counts, (before, after), strict=True):
        whole = np.append(part, max(len(series) - part.sum(), 0.0))
        shares.append(np.maximum(whole / max(len(series), 1), _FLOOR))
    first, second = shares
    return float(np.sum((second - first) * np.log(second / first)))
