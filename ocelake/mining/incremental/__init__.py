"""Gold that follows new events: what changed between two states of a log, and what that changes in each table.

Everything here is exact: after any sequence of changes the tables are those that `ocelake.mining.gold.mine_log` gives
for the log as it is then. The state that is kept between two changes can be dropped at any time; it is computed anew
from the log's traces.
"""

from __future__ import annotations

from ocelake.mining.incremental.moves import LogChange, Moves, move_traces

__all__ = ["LogChange", "Moves", "move_traces"]
