"""What must change no result of any layer: the order of rows, and names of ids that sort as before."""

from __future__ import annotations

import random
from typing import Final

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ocelake.mining.analysis import analyse_log
from ocelake.mining.constraints import Rules
from ocelake.mining.cost import CostModel, Rate
from ocelake.mining.gold import mine_log
from ocelake.mining.model import mine_model
from ocelake.mining.policy import judge_log
from ocelake.mining.traces import encode
from ocelake.settings import MiningSettings
from ocelake.tables import layer_tables
from tests.unit.reference_mining import Log, logs

RULES: Final = Rules.model_validate(
    {
        "rules": [
            {"name": "followed", "when": "a", "then": "b", "each": "order", "count": 1},
            {"name": "few", "for_each": "order", "events": "a", "count": {"at_most": 1}},
            {"name": "together", "for_each": "item", "objects": "order", "sharing": "a"},
        ]
    }
)
EXECUTIONS: Final = {"execution_id", "example"}
COSTS: Final = CostModel(default=Rate(fixed=1.5), activities={"a": Rate(fixed=4)})


def everything(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Compute every table of every layer after silver."""
    kinds = tuple(f"leading:{kind}" for kind in sorted(set(tables["ocel.objects"]["object_type"])))
    chosen = MiningSettings(executions=("connected", *kinds))
    gold = mine_log(tables, quarantined=0, publication_id="log.silver.1", settings=chosen)
    traces = encode(tables["ocel.event_objects"], tables["ocel.objects"], tables["ocel.events"])
    analysis = analyse_log(traces, tables, settings=chosen)
    model = mine_model(traces, settings=chosen, version=1, publication_id="log.silver.1")
    policy = judge_log(traces, {**tables, **gold}, rules=RULES, costs=COSTS, mining=chosen)
    return {**gold, **analysis, **model, **policy}


def shuffled(tables: dict[str, pl.DataFrame], chance: random.Random) -> dict[str, pl.DataFrame]:
    return {name: frame[chance.sample(range(len(frame)), len(frame))] for name, frame in tables.items()}


@settings(max_examples=15)
@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_table_of_any_layer(log: Log, chance: random.Random) -> None:
    ours, again = everything(log.tables()), everything(shuffled(log.tables(), chance))
    assert ours.keys() == again.keys()
    for identifier, frame in ours.items():
        assert_frame_equal(frame, again[identifier], check_exact=True)


@settings(max_examples=15)
@given(logs())
def test_ids_that_sort_as_before_change_no_table_of_any_layer(log: Log) -> None:
    event = {name: f"E{rank:03}" for rank, name in enumerate(sorted(log.events))}
    thing = {name: f"O{rank:03}" for rank, name in enumerate(sorted(log.objects))}
    renamed = Log(
        {event[name]: values for name, values in log.events.items()},
        {thing[name]: kind for name, kind in log.objects.items()},
        [(event[e], thing[o], qualifier) for e, o, qualifier in log.relations],
    )
    ours, theirs = everything(log.tables()), everything(renamed.tables())
    for identifier, frame in ours.items():
        assert_frame_equal(numbered(frame, event, thing), numbered(theirs[identifier], {}, {}), check_exact=True)


def numbered(frame: pl.DataFrame, event: dict[str, str], thing: dict[str, str]) -> pl.DataFrame:
    """Give the frame with its ids renamed, without the names of executions: an event or an object may give them."""
    found = []
    for name in frame.columns:
        names = event if name.startswith("event_id") else thing
        if name in EXECUTIONS:
            continue
        column = pl.col(name)
        if name in ("event_id", "object_id", "lagging_object"):
            column = column.replace(names)
        elif name in ("event_ids", "object_ids"):
            column = column.list.eval(pl.element().replace(names))
        found.append(column)
    named = frame.select(found)
    return named if set(frame.columns).isdisjoint(EXECUTIONS) else named.sort(pl.exclude(pl.List, pl.Struct))


def test_every_layer_is_compared() -> None:
    tables = Log({"e": ("a", 0, 0)}, {"o": "order"}, [("e", "o", "")]).tables()
    wanted = {spec.identifier for layer in ("gold", "analysis", "model", "policy") for spec in layer_tables(layer)}
    assert everything(tables).keys() == wanted - {"ocpn.layout"}
