"""What differs between two processes: two periods, two snapshots or two logs.

The objects of a type are the sample. How often: the share of objects that do an activity or take an edge, by Fisher's
exact test, with Cohen's h as effect size. How long: the durations of an edge, by the Mann-Whitney test, with Cliff's
delta. All p-values of one comparison are corrected together by Benjamini and Hochberg's procedure, so that of what is
called a change a stated share is by chance. Objects are taken to be independent, which those that share events are not
quite: read p-values as a filter, and effect sizes as the finding.

References
----------
Benjamini, Hochberg: Controlling the false discovery rate (J. R. Stat. Soc. B 57(1), 1995).
Cliff: Dominance statistics (Psychological Bulletin 114(3), 1993).
Bolt, de Leoni, van der Aalst: Process variant comparison (Information Systems 74, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from scipy.stats import false_discovery_control, fisher_exact, mannwhitneyu

from ocelake.mining.ocdfg import follows, label_edges, label_nodes, steps
from ocelake.mining.traces import Traces

__all__ = ["Sample", "diff_processes", "sample"]

_KEY: Final = ["element", "object_type", "source", "activity"]

_SMALL_H: Final = 0.2
"""Cohen's bound of a small difference between shares."""

_SMALL_DELTA: Final = 0.147
"""Romano's bound below which Cliff's delta is negligible."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What is compared: a log, or the part of it between two events.

    Attributes
    ----------
    objects : DataFrame
        object_type and ``count``: objects with an event in it.
    elements : DataFrame
        element (activity or edge), object_type, source (null for an activity), activity (of an edge, its target),
        ``count`` (distinct objects) and ``durations`` (list of seconds, one per triple; empty for an activity).
    """

    objects: pl.DataFrame
    elements: pl.DataFrame


def sample(traces: Traces, first: int = 0, end: int | None = None) -> Sample:
    """Take the events of ranks ``first`` to ``end`` (not included): steps at them, and edges that end at them.

    Parameters
    ----------
    traces : Traces
        The log.
    first, end : int
        Event ranks; the whole log without them.
    """
    end = len(traces.event_ids) if end is None else end
    step = steps(traces).filter(pl.col("event").is_between(first, end, closed="left"))
    triples = follows(traces).with_columns((pl.col("couple") & 0xFFFFFFFF).alias("event"))
    triples = triples.filter(pl.col("event").is_between(first, end, closed="left"))
    nodes = step.group_by("node").agg(count=pl.col("object").n_unique())
    edges = triples.group_by("edge").agg(count=pl.col("object").n_unique(), durations=pl.col("duration") / 1e6)
    per_type = step.select(pl.col("object").unique())["object"].to_numpy()
    kinds = np.bincount(traces.object_type[per_type], minlength=len(traces.object_types))
    schema: dict[str, Any] = {
        "element": pl.String,
        "object_type": pl.String,
        "source": pl.String,
        "activity": pl.String,
        "count": pl.Int64,
        "durations": pl.List(pl.Float64),
    }
    parts = (
        label_nodes(traces, nodes).with_columns(
            element=pl.lit("activity"), source=pl.lit(None), durations=pl.lit([], pl.List(pl.Float64))
        ),
        label_edges(traces, edges).rename({"target": "activity"}).with_columns(element=pl.lit("edge")),
    )
    return Sample(
        pl.DataFrame({"object_type": traces.object_types, "count": kinds}),
        pl.concat([part.select(pl.col(name).cast(dtype) for name, dtype in schema.items()) for part in parts]),
    )


def diff_processes(before: Sample, after: Sample, *, rate: float = 0.05) -> pl.DataFrame:
    """Compare two processes, activity by activity and edge by edge of every object type.

    Parameters
    ----------
    before, after : Sample
        See `sample`.
    rate : float
        False discovery rate: of what is called a change, the share that may be by chance.

    Returns
    -------
    DataFrame
        As `gold.process_changes`, without the periods. ``occurrence`` is appeared, vanished, more, less or same;
        ``duration`` is slower, faster or same, null where one of the two has no duration. More, less, slower and faster
        are said where the corrected p-value is at most ``rate`` and the effect is at least small (h 0.2, delta 0.147);
        what appeared or vanished is said in any case, with its p-value.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> log = {"event_id": ["d", "e"], "object_id": ["o"] * 2, "activity": ["a", "b"], "object_type": ["order"] * 2}
    >>> traces = encode(pl.DataFrame({**log, "time": [datetime(2024, 1, 5), datetime(2024, 3, 1)], "sequence": [0, 0]}))
    >>> diff_processes(sample(traces, 0, 1), sample(traces)).filter(occurrence="appeared").select("activity", "element")
    shape: (2, 2)
    ┌──────────┬──────────┐
    │ activity ┆ element  │
    │ ---      ┆ ---      │
    │ str      ┆ str      │
    ╞══════════╪══════════╡
    │ b        ┆ activity │
    │ b        ┆ edge     │
    └──────────┴──────────┘
    """
    objects = before.objects.join(after.objects, on="object_type", how="full", coalesce=True, suffix="_after").select(
        "object_type", of_before=pl.col("count").fill_null(0), of_after=pl.col("count_after").fill_null(0)
    )
    both = (
        before.elements.join(after.elements, on=_KEY, how="full", coalesce=True, nulls_equal=True, suffix="_after")
        .join(objects, on="object_type")
        .sort(_KEY)
    )
    compared = ("count", "count_after", "of_before", "of_after", "durations", "durations_after")
    rows = [_compared(*row) for row in both.select(compared).iter_rows()]
    schema = dict.fromkeys(_NUMBERS, pl.Float64)
    found = pl.concat(
        [
            both.select(
                *_KEY,
                objects_before=pl.col("count").fill_null(0),
                objects_after=pl.col("count_after").fill_null(0),
            ),
            pl.DataFrame(rows, schema=schema, orient="row"),
        ],
        how="horizontal",
    )
    return _named(_corrected(found), rate)


_NUMBERS: Final = (
    "share_before",
    "share_after",
    "occurrence_effect",
    "occurrence_p",
    "duration_mean_before",
    "duration_mean_after",
    "duration_median_before",
    "duration_median_after",
    "duration_effect",
    "duration_p",
)


def _compared(
    count: int | None,
    count_after: int | None,
    of: int,
    of_after: int,
    durations: list[float] | None,
    durations_after: list[float] | None,
) -> tuple[float | None, ...]:
    """Compare one element; the p-values are not corrected yet."""
    taken, taken_after = count or 0, count_after or 0
    shares = (taken / of if of else None, taken_after / of_after if of_after else None)
    h = p = None
    if of and of_after:
        h = float(2 * np.arcsin(np.sqrt(taken_after / of_after)) - 2 * np.arcsin(np.sqrt(taken / of)))
        p = float(fisher_exact([[taken, of - taken], [taken_after, of_after - taken_after]]).pvalue)
    a, b = (np.asarray(values or ()) for values in (durations, durations_after))
    means = tuple(float(values.mean()) if values.size else None for values in (a, b))
    medians = tuple(float(np.median(values)) if values.size else None for values in (a, b))
    delta = longer = None
    if a.size and b.size:
        test = mannwhitneyu(b, a)
        # U counts the pairs in which the later duration is the longer one, ties by half.
        delta, longer = float(2 * test.statistic / (a.size * b.size) - 1), float(test.pvalue)
    return (*shares, h, p, *means, *medians, delta, longer)


def _corrected(found: pl.DataFrame) -> pl.DataFrame:
    """Correct all p-values of the comparison together."""
    names = ("occurrence_p", "duration_p")
    joined = pl.concat([found[name] for name in names])
    known = joined.is_not_null().to_numpy()
    corrected = joined.to_numpy().astype(float)
    if known.any():
        corrected[known] = false_discovery_control(np.clip(corrected[known], 0, 1))
    halves = np.split(corrected, 2)
    return found.with_columns(pl.Series(name, half, nan_to_null=True) for name, half in zip(names, halves, strict=True))


def _named(found: pl.DataFrame, rate: float) -> pl.DataFrame:
    """Say in a word what happened to each element."""
    often = (pl.col("occurrence_p") <= rate) & (pl.col("occurrence_effect").abs() >= _SMALL_H)
    long = (pl.col("duration_p") <= rate) & (pl.col("duration_effect").abs() >= _SMALL_DELTA)
    return found.with_columns(
        occurrence=pl.when(pl.col("objects_before") == 0)
        .then(pl.lit("appeared"))
        .when(pl.col("objects_after") == 0)
        .then(pl.lit("vanished"))
        .when(often & (pl.col("occurrence_effect") > 0))
        .then(pl.lit("more"))
        .when(often)
        .then(pl.lit("less"))
        .otherwise(pl.lit("same")),
        duration=pl.when(pl.col("duration_effect").is_null())
        .then(pl.lit(None))
        .when(long & (pl.col("duration_effect") > 0))
        .then(pl.lit("slower"))
        .when(long)
        .then(pl.lit("faster"))
        .otherwise(pl.lit("same")),
    )
