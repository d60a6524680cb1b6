"""Change over time as the tables that are stored."""

from __future__ import annotations

import numpy as np
import polars as pl

from ocelake.mining.change.diff import diff_processes, sample
from ocelake.mining.change.drift import drift_points
from ocelake.mining.change.periods import Length, Periods, period_tables, split_periods
from ocelake.mining.traces import Traces
from ocelake.mining.variants import Variants
from ocelake.tables import as_table

__all__ = ["change_tables"]


def change_tables(traces: Traces, variants: Variants, *, period: Length = "auto") -> dict[str, pl.DataFrame]:
    """Compute the process per period, what changed last, and the drift points.

    Parameters
    ----------
    traces, variants : Traces, Variants
        The log and its trace variants.
    period : str
        Length of the periods.

    Returns
    -------
    dict of str to DataFrame
        ``gold.period_activities``, ``gold.period_edges``, ``gold.period_kpis``, ``gold.process_changes`` (of the last
        whole period with events against the one with events before it, or of two periods where there are no more; empty
        where there are no two) and ``gold.drift_points``.

    Examples
    --------
    >>> from datetime import datetime
    >>> from ocelake.mining.traces import encode
    >>> from ocelake.mining.variants import find_variants
    >>> two = {"event_id": ["d", "e"], "object_id": ["o"] * 2, "activity": ["a"] * 2, "object_type": ["order"] * 2}
    >>> traces = encode(pl.DataFrame({**two, "time": [datetime(2024, 1, 5), datetime(2024, 3, 1)], "sequence": [0, 0]}))
    >>> change_tables(traces, find_variants(traces))["gold.period_edges"]["total_objects"].to_list()
    [1]
    """
    periods = split_periods(traces, period)
    found = {
        **period_tables(traces, periods),
        "gold.process_changes": _last_changes(traces, periods),
        "gold.drift_points": drift_points(traces, variants),
    }
    return {identifier: as_table(identifier, frame) for identifier, frame in found.items()}


def _last_changes(traces: Traces, periods: Periods) -> pl.DataFrame:
    """Compare the last whole period with the one before it, of those with events.

    The last one of the log is seldom whole: it is taken only where there are two in all.
    """
    occupied = np.unique(periods.of_event).tolist()
    if len(occupied) < 2:
        return as_table("gold.process_changes")
    before, after = occupied[-3:-1] if len(occupied) > 2 else occupied
    bounds = np.searchsorted(periods.of_event, np.arange(len(periods.starts) + 1))
    parts = [sample(traces, int(bounds[at]), int(bounds[at + 1])) for at in (before, after)]
    starts = {"before_start": periods.starts[before], "after_start": periods.starts[after]}
    return diff_processes(*parts).with_columns(pl.lit(value).alias(name) for name, value in starts.items())
