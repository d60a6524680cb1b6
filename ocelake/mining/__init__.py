"""Process mining as pure functions on frames: traces, OC-DFG, variants, executions, and the sums that merge."""

from __future__ import annotations

from ocelake.mining.gold import mine_log
from ocelake.mining.traces import Traces, encode

__all__ = ["Traces", "encode", "mine_log"]
