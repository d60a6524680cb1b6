"""The graph, variants and performance that follow a log are those of the log as it is then."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
from hypothesis import given, settings
from polars.testing import assert_frame_equal

from ocelake.mining.gold import mine_log
from ocelake.mining.incremental.gold import follow_gold, gold_state
from ocelake.settings import MiningSettings
from ocelake.tables import TABLES, as_table, layer_tables
from tests.unit.changing_logs import Log, change, histories
from tests.unit.test_moves import sequence_of

SETTINGS = MiningSettings()
ROWS = {spec.identifier: 0 for spec in layer_tables("silver")}


def whole(log: Log) -> dict[str, pl.DataFrame]:
    """Mine a log as a whole."""
    events, _, _ = log.frames()
    tables = {"ocel.events": events, "ocel.event_attributes": as_table("ocel.event_attributes")}
    tables["ocel.object_objects"] = as_table("ocel.object_objects")
    return mine_log(
        tables, settings=SETTINGS, quarantined=0, counts=ROWS, publication_id="log.silver.1", traces=log.traces()
    )


@settings(max_examples=80, deadline=None)
@given(histories())
def test_tables_that_follow_are_those_of_the_whole(logs: list[Log]) -> None:
    traces = logs[0].traces()
    state = gold_state(traces, sequence_of(logs[0], traces), SETTINGS)
    tables = whole(logs[0])
    for before, after in pairwise(logs):
        assert state is not None
        followed = follow_gold(
            state,
            change(before, after),
            SETTINGS,
            attributes=as_table("ocel.event_attributes"),
            rows=ROWS,
            quarantined=0,
            publication_id="log.silver.1",
        )
        assert followed is not None
        state, contents = followed
        expected = whole(after)
        for name, content in contents.items():
            if isinstance(content, tuple):
                went, came = content
                kept = tables[name].join(went, on=went.columns, how="anti", nulls_equal=True)
                assert len(kept) == len(tables[name]) - len(went), name
                content = as_table(name, pl.concat([kept, came]))
            tables[name] = content
            key = [column for column in TABLES[name].key if column != "log_id"]
            order = key or content.columns
            assert_frame_equal(content.sort(order), expected[name].sort(order), check_exact=True)


def test_nothing_that_happens_changes_nothing() -> None:
    empty = Log()
    state = gold_state(empty.traces(), np.empty(0, dtype=np.int64), SETTINGS)
    assert state is not None
    followed = follow_gold(
        state,
        change(empty, empty),
        SETTINGS,
        attributes=as_table("ocel.event_attributes"),
        rows=ROWS,
        quarantined=0,
        publication_id="log.silver.1",
    )
    assert followed is not None
    assert sum(len(part) for content in followed[1].values() if isinstance(content, tuple) for part in content) == 0
