"""Token-based replay: the accounts of tokens, the silent paths, and the difference from pm4py on what does not fit."""

from __future__ import annotations

from itertools import product

import polars as pl
import pytest
from hypothesis import given, settings

from ocelake.mining.conformance import conformance_tables
from ocelake.mining.firing import PackedNet
from ocelake.mining.ocpn import discover_ocpn
from ocelake.mining.petri_nets import AcceptingNet, Ocpn
from ocelake.mining.replay import replay, replay_fitness
from ocelake.mining.traces import Traces, encode
from ocelake.mining.variants import find_variants, trace_variants
from ocelake.tables import TABLES
from tests.pm4py_nets import case_log, to_pm4py
from tests.unit.reference_mining import Log, logs
from tests.unit.reference_nets import BOUNDED, SEQUENCES, firable, fire, made_net, reachable, silent_steps


@settings(max_examples=200)
@given(BOUNDED)
def test_silent_paths_are_shortest(net: AcceptingNet) -> None:
    packed = PackedNet(net)
    for marking in list(reachable(net, 300))[:20]:
        distance = {marking: 0}
        open_ = [marking]
        for reached in open_:
            for after in silent_steps(net, reached):
                if after not in distance:
                    distance[after] = distance[reached] + 1
                    open_.append(after)
        for number, transition in enumerate(net.transitions):
            steps = [n for reached, n in distance.items() if fire(reached, transition) is not None]
            path = packed.silent_path_to(packed.pack(marking), number)
            assert (None if path is None else len(path)) == (min(steps) if steps else None)
            reached = marking
            for silent in path or ():
                after_silent = fire(reached, net.transitions[silent])
                assert after_silent is not None
                assert net.transitions[silent].label is None
                reached = after_silent
            assert path is None or fire(reached, transition) is not None


@settings(max_examples=200)
@given(BOUNDED, SEQUENCES)
def test_tokens_add_up_and_what_fits_is_accepted(net: AcceptingNet, sequence: list[str]) -> None:
    row = replay(net, [sequence]).row(0, named=True)
    assert row["produced"] + row["missing"] == row["consumed"] + row["remaining"]
    assert row["unknown"] == sum(activity not in {t.label for t in net.transitions} for activity in sequence)
    assert 0 <= row["replay_fitness"] <= 1
    if row["fits"]:
        assert row["replay_fitness"] == 1
        assert firable(net, sequence) == (len(sequence), True)


def test_a_silent_transition_that_competes_may_have_to_come_first() -> None:
    # `t` needs places 4 and 5. The transition that fills 4 takes the token without which 5 cannot be filled.
    arcs: list[tuple[set[int], set[int], str | None]] = [({0}, {2, 3}, "s"), ({2}, {4}, None), ({2, 3}, {2, 5}, None)]
    net = made_net(6, [*arcs, ({4, 5}, {1}, "t")])
    assert replay(net, [["s", "t"]])["fits"].item() is True


def test_each_sequence_is_replayed_alone() -> None:
    net = made_net(4, [({0}, {2}, "a"), ({2}, {3}, None), ({3}, {2}, "b"), ({3}, {1}, "c")])
    sequences = [list(text) for size in range(4) for text in product("abc", repeat=size)]
    together = replay(net, sequences)
    assert together.equals(pl.concat(replay(net, [sequence]) for sequence in sequences))
    assert sequences[together["fits"].arg_max() or 0] == ["a", "c"]


def test_hand_counted() -> None:
    net = made_net(4, [({0}, {2, 3}, "split"), ({2, 3}, {1}, "join")])
    found = replay(net, [["split", "join"], ["join"], ["split"], ["split", "x", "join"], []])
    assert found.select("produced", "consumed", "missing", "remaining", "unknown", "fits").rows() == [
        (4, 4, 0, 0, 0, True),
        (2, 3, 2, 1, 0, False),
        (3, 2, 1, 2, 0, False),
        (4, 4, 0, 0, 1, False),
        (1, 1, 1, 1, 0, False),
    ]
    assert replay_fitness(found.with_columns(objects=2)) == pytest.approx(1 - (4 / 14 + 4 / 14) / 2)
    assert replay_fitness(found.head(0).with_columns(objects=pl.Series([], dtype=pl.Int64))) is None


def test_pm4py_goes_on_towards_an_end_that_it_cannot_reach() -> None:
    import pm4py

    # After `a` the silent transition moves one of the two tokens that the silent join needs; `b` alone gives the other.
    # It cannot be fired: firing the first nevertheless, as pm4py does, adds a token to both sums and helps nothing.
    net = made_net(6, [({0}, {2, 3}, "a"), ({2}, {4}, None), ({3}, {5}, "b"), ({4, 5}, {1}, None)])
    ours = replay(net, [["a"]]).row(0, named=True)
    (theirs,) = pm4py.conformance_diagnostics_token_based_replay(case_log([["a"]]), *to_pm4py(net))
    assert (ours["produced"], ours["consumed"], ours["missing"], ours["remaining"]) == (3, 2, 1, 2)
    names = ("produced_tokens", "consumed_tokens", "missing_tokens", "remaining_tokens")
    assert tuple(theirs[name] for name in names) == (4, 3, 1, 2)


def test_pm4py_takes_a_trace_with_an_unknown_activity_for_fitting() -> None:
    import pm4py

    net = made_net(2, [({0}, {1}, "a")])
    (theirs,) = pm4py.conformance_diagnostics_token_based_replay(case_log([["a", "x"]]), *to_pm4py(net))
    assert theirs["trace_is_fit"]
    assert replay(net, [["a", "x"]])["fits"].item() is False


def mined(log: Log) -> tuple[Traces, Ocpn, dict[str, pl.DataFrame]]:
    """Give the traces of a log, the model of its first half (of objects), and the log's conformance to it."""
    tables = log.tables()
    part = log.part(sorted(log.objects)[::2]).tables()
    names = ("ocel.event_objects", "ocel.objects", "ocel.events")
    traces, half = (encode(*(frames[name] for name in names)) for frames in (tables, part))
    variants = find_variants(traces)
    ocpn = discover_ocpn(half)
    ids = trace_variants(traces, variants)["variant_id"]
    return traces, ocpn, conformance_tables(traces, variants, ids, ocpn, "m")


@settings(max_examples=40)
@given(logs())
def test_the_tables_are_those_of_the_registry_and_follow_from_each_other(log: Log) -> None:
    traces, ocpn, tables = mined(log)
    for identifier, frame in tables.items():
        spec = TABLES[identifier]
        assert dict(frame.schema) == {name: dtype for name, dtype in spec.schema.items() if name != "log_id"}
        assert frame.equals(frame.sort(spec.sort))
        assert not frame.select(spec.key[1:]).is_duplicated().any()
    found = tables["gold.variant_conformance"]
    assert (found["fits"] <= (found["cost"] == 0)).all()
    assert ((found["cost"] > 0) == found["moves"].is_not_null()).all()
    quality = {row["metric"]: row for row in tables["gold.model_quality"].iter_rows(named=True)}
    assert set(tables["gold.model_quality"]["object_type"].drop_nulls()) == {net.object_type for net in ocpn.nets}
    assert (quality["glued_replay"]["value"] is None) == (len(traces.event_ids) == 0)
    for net in ocpn.nets:
        part = found.filter(object_type=net.object_type)
        rows = tables["gold.model_quality"].filter(object_type=net.object_type)
        values = dict(rows.select("metric", "value").iter_rows())
        fitting = part.filter(pl.col("cost") == 0)["objects"].sum() / part["objects"].sum()
        assert values["alignment_fitting"] == fitting >= values["replay_fitting"]
