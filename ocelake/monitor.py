"""How champions hold: what came since they were trained, beside what they were trained and tested on.

Drift is the population stability index over tenths of the training's values, and over the most frequent categories;
above 0.25 a distribution counts as changed. The error is that of scoring the prefixes since the training that are old
enough to be judged: features are as of the prefix, so this is what was, or would have been, predicted then. Prefixes
whose outcome has arrived are not enough: at first those are the ones of quick cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from ocelake.lake.build import published_tables
from ocelake.lake.features import TrainingSet, training_sets
from ocelake.models import PRIMARY, Task, answers_of, gain, judge, one_thread, score_metric
from ocelake.registry import Registry
from ocelake.tables import as_table

if TYPE_CHECKING:
    from ocelake.lake import Lake, PublicationRecord

__all__ = ["monitoring_table", "since_training", "stability"]

_CHANGED: Final = 0.25
_FEWEST: Final = 200
_WORSE: Final = 1.25
_KNOWN: Final = 0.95
"""Share of the outcomes that are waited for. Without the others a mean error is at most 1 / 0.95 times what it is with
them, so that these alone are no reason for an alarm."""

_REPLICATES: Final = 200
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
    """Hold what came since a champion's training against what it was trained and tested on.

    Parameters
    ----------
    part : TrainingSet
        All prefixes of the type, and what is known of the champion's task.
    scorer : Scorer
        The champion's.
    champion : mapping
        Its row of `models.champions`.

    Yields
    ------
    dict
        Rows of `models.monitoring`, but for log, task, type and version; none where nothing came since.
    """
    new = part.rows["time"] > champion["seen_until"]
    count = int(new.sum())
    if not count:
        return
    values = part.values.select(scorer.columns)
    before, after = values.filter(~new), values.filter(new)
    enough = count >= _FEWEST
    for name in scorer.columns:
        drift = stability(before[name], after[name])
        yield _row("feature_drift", name, count, drift, _CHANGED, alarm=enough and drift > _CHANGED)
    with one_thread():
        said = [
            pl.Series(scorer.predict(_arrays(side))["prediction"])
            for side in (before.sample(min(5_000, before.height), seed=0), after)
        ]
    if said[0].dtype == pl.Boolean:
        said = [series.cast(pl.String) for series in said]
    drift = stability(*said)
    yield _row("prediction_drift", part.task, count, drift, _CHANGED, alarm=enough and drift > _CHANGED)
    judged = new & _old_enough(part.rows) & part.rows["target"].is_not_null()
    if judged.any():
        yield _error(part, scorer, judged, float(champion["value"]))


def _old_enough(rows: pl.DataFrame) -> pl.Series:
    """Tell the prefixes that are so old that the outcome of nearly all like them is known.

    As for the end of a test (`ocelake.models.split_by_time`), that is what 95% took to become known. Of the prefixes of
    late only the quick ones have, so that this is asked of those alone that are that old themselves.
    """
    time, known_at = (rows[name].cast(pl.Datetime("us")).to_physical() for name in ("time", "known_at"))
    known = rows["target"].is_not_null().to_numpy()
    then, after = time.to_numpy()[known], (known_at - time).to_numpy()[known]
    now, wait = max(int(time.to_numpy().max()), int((then + after).max(initial=0))), 0
    while (old := then <= now - wait).any() and (longer := int(np.quantile(after[old], _KNOWN))) > wait:
        wait = longer
    return time <= now - wait


def _error(part: TrainingSet, scorer: Any, judged: pl.Series, reference: float) -> dict[str, Any]:
    """Judge prefixes; it is an alarm where they are enough, and the whole 95% interval is beyond the limit."""
    rows, values, kind = part.rows.filter(judged), part.values.filter(judged), part.kind
    value = score_metric(scorer, Task(part.task, kind, part.object_type), rows, values)
    best = 1.0 if gain(kind, 1.0) > 0 else 0.0
    limit = best + _WORSE * (reference - best)
    alarm = rows.height >= _FEWEST and gain(kind, value - limit) < 0
    if alarm:  # it may be by chance
        found = judge(kind, rows["target"], rows["group"], answers_of(scorer, values), replicates=_REPLICATES, seed=0)[
            PRIMARY[kind]
        ]
        alarm = all(gain(kind, end - limit) < 0 for end in found.interval)
    return {**_row("error", part.task, rows.height, value, limit, alarm=alarm), "reference": reference}


def _row(measure: str, subject: str, rows: int, value: float, limit: float, *, alarm: bool) -> dict[str, Any]:
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
