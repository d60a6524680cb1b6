"""Change over time: the process per period, what differs between two of them, and when it drifted."""

from __future__ import annotations

from ocelake.mining.change.diff import Sample, diff_processes, sample
from ocelake.mining.change.drift import drift_points
from ocelake.mining.change.periods import Periods, period_tables, split_periods
from ocelake.mining.change.tables import change_tables

__all__ = [
    "Periods",
    "Sample",
    "change_tables",
    "diff_processes",
    "drift_points",
    "period_tables",
    "sample",
    "split_periods",
]
