"""What differs between two processes: two periods, two snapshots or two logs.

The objects of a type are the sample. How often: the share of objects that do an activity or take an edge, by Fisher's
exact test, with Cohen's h as effect size. Objects that begin with one event (the items of an order) mostly go the same
way, so that they are fewer draws than objects: the counts that are tested are divided by the design effect of these
clusters. How long: the durations of an edge's distinct event couples (objects that go together wait together, which is
one observation), by the Mann-Whitney test, with Cliff's delta. All p-values of one comparison are corrected together by
Benjamini and Hochberg's procedure, so that of what is called a change a stated share is by chance. Objects that meet
later are still taken to be independent: read p-values as a filter, and effect sizes as the finding.

References
----------
Benjamini, Hochberg: Controlling the false discovery rate (J. R. Stat. Soc. B 57(1), 1995).
Cliff: Dominance statistics (Psychological Bulletin 114(3), 1993).
Rao, Scott: A simple method for the analysis of clustered binary data (Biometrics 48(2), 1992).
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
        object_type, ``count`` (objects with an event in it) and ``squares`` (sum over clusters of the square of their
        size; a cluster is the objects with one first event in it).
    elements : DataFrame
        element (activity or edge), object_type, source (null for an activity), activity (of an edge, its target),
        ``count`` (distinct objects); ``squares`` and ``products``: sums over clusters, of the square of how many of a
        cluster's objects have the element, and of that number and the cluster's size; ``durations`` (list of seconds,
        one per event couple; empty for an activity).
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

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    >>> log = {"event_id": ["d", "e"], "activity": ["place", "pay"], "time": days}
    >>> traces = encode(pl.DataFrame(log).with_columns(object_id=pl.lit("o"), object_type=pl.lit("order"), sequence=0))
    >>> sample(traces, 1).elements.select("element", "activity", "count").rows()
    [('activity', 'pay', 1), ('edge', 'pay', 1)]
    """
    end = len(traces.event_ids) if end is None else end
    step = steps(traces).filter(pl.col("event").is_between(first, end, closed="left"))
    triples = follows(traces).with_columns((pl.col("couple") & 0xFFFFFFFF).alias("event"))
    triples = triples.filter(pl.col("event").is_between(first, end, closed="left"))
    clusters = _Clusters(traces, step)
    nodes = clusters.count(step, "node")
    couples = triples.unique(["edge", "couple"]).group_by("edge").agg(durations=pl.col("duration").sort() / 1e6)
    edges = clusters.count(triples, "edge").join(couples, on="edge")
    schema: dict[str, Any] = {
        "element": pl.String,
        "object_type": pl.String,
        "source": pl.String,
        "activity": pl.String,
        "count": pl.Int64,
        "squares": pl.Int64,
        "products": pl.Int64,
        "durations": pl.List(pl.Float64),
    }
    parts = (
        label_nodes(traces, nodes).with_columns(
            element=pl.lit("activity"), source=pl.lit(None), durations=pl.lit([], pl.List(pl.Float64))
        ),
        label_edges(traces, edges).rename({"target": "activity"}).with_columns(element=pl.lit("edge")),
    )
    return Sample(
        clusters.by_type(traces),
        pl.concat([part.select(pl.col(name).cast(dtype) for name, dtype in schema.items()) for part in parts]),
    )


class _Clusters:
    """The objects of a sample by type and first event in it."""

    def __init__(self, traces: Traces, step: pl.DataFrame) -> None:
        objects, place = np.unique(step["object"].to_numpy(), return_index=True)
        # Steps are in trace order: the first of an object is its first event.
        keys = traces.object_type[objects].astype(np.int64) << 32 | step["event"].to_numpy()[place]
        self.keys, cluster, self.sizes = np.unique(keys, return_inverse=True, return_counts=True)
        self.of_object = np.full(len(traces.object_ids), -1, dtype=np.int64)
        self.of_object[objects] = cluster

    def count(self, members: pl.DataFrame, element: str) -> pl.DataFrame:
        """Count the objects of each element, and sum squares and products over clusters."""
        pairs = members.select(element, "object").unique()
        cluster = pl.Series("cluster", self.of_object[pairs["object"].to_numpy()])
        found = pairs.with_columns(cluster).group_by(element, "cluster").agg(pl.len().cast(pl.Int64).alias("count"))
        return (
            found.with_columns(pl.Series("size", self.sizes[found["cluster"].to_numpy()], pl.Int64))
            .group_by(element)
            .agg(
                pl.col("count").sum(),
                squares=(pl.col("count") ** 2).sum(),
                products=(pl.col("count") * pl.col("size")).sum(),
            )
        )

    def by_type(self, traces: Traces) -> pl.DataFrame:
        """Count the objects of each type."""
        count, squares = (
            np.bincount(self.keys >> 32, weights, len(traces.object_types)).astype(np.int64)
            for weights in (self.sizes, self.sizes.astype(np.float64) ** 2)
        )
        return pl.DataFrame({"object_type": traces.object_types, "count": count, "squares": squares})


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
        "object_type",
        of_before=pl.col("count").fill_null(0),
        of_after=pl.col("count_after").fill_null(0),
        of_squares=pl.col("squares").fill_null(0) + pl.col("squares_after").fill_null(0),
    )
    both = (
        before.elements.join(after.elements, on=_KEY, how="full", coalesce=True, nulls_equal=True, suffix="_after")
        .join(objects, on="object_type")
        .with_columns(
            pl.col("count", "count_after").fill_null(0),
            *(pl.col(name).fill_null(0) + pl.col(f"{name}_after").fill_null(0) for name in ("squares", "products")),
        )
        .with_columns(effect=_design_effect())
        .sort(_KEY)
    )
    compared = ("count", "count_after", "of_before", "of_after", "effect", "durations", "durations_after")
    rows = [_compared(*row) for row in both.select(compared).iter_rows()]
    schema = dict.fromkeys(_NUMBERS, pl.Float64)
    found = pl.concat(
        [
            both.select(
                *_KEY,
                objects_before="count",
                objects_after="count_after",
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


def _design_effect() -> pl.Expr:
    """Give how many times greater the variance of a share is than that of independent objects, 1 at least.

    The share is that of both samples together, which do not differ where nothing changed.
    """
    size = pl.col("of_before") + pl.col("of_after")
    share = (pl.col("count") + pl.col("count_after")) / size
    between = pl.col("squares") - 2 * share * pl.col("products") + share**2 * pl.col("of_squares")
    alone = size * share * (1 - share)
    return pl.when(alone > 0).then(between / alone).otherwise(1.0).clip(lower_bound=1.0)


def _compared(
    taken: int,
    taken_after: int,
    of: int,
    of_after: int,
    effect: float,
    durations: list[float] | None,
    durations_after: list[float] | None,
) -> tuple[float | None, ...]:
    """Compare one element; the p-values are not corrected yet."""
    shares = (taken / of if of else None, taken_after / of_after if of_after else None)
    h = p = None
    if of and of_after:
        h = float(2 * np.arcsin(np.sqrt(taken_after / of_after)) - 2 * np.arcsin(np.sqrt(taken / of)))
        counts = np.array([[taken, of - taken], [taken_after, of_after - taken_after]])
        p = float(fisher_exact(np.rint(counts / effect).astype(np.int64)).pvalue)
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
