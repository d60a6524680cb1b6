"""Replay and alignments against pm4py, on nets that pm4py mined from a part of each type's variants."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from ocelake.mining.alignments import Aligner
from ocelake.mining.conformance import conformance_tables
from ocelake.mining.glued import replay_glued
from ocelake.mining.ocpn import discover_ocpn
from ocelake.mining.replay import replay, replay_fitness
from ocelake.mining.soundness import model_soundness
from ocelake.mining.traces import Traces, encode
from ocelake.mining.variants import Variants, find_variants, trace_variants
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log
from tests.pm4py_nets import case_log, discover, to_pm4py

LOGS = ("ocel1/p2p-normal.jsonocel", "ocel1/order_process.jsonocel", "ocel2/ocel20_example.jsonocel")
REAL = [pytest.param(name, marks=pytest.mark.data) for name in LOGS]
LONGEST = 12
"""pm4py's alignments of longer traces take minutes."""

TOKENS = ("produced", "consumed", "missing", "remaining")


@cache
def load(path: Path | None) -> tuple[Traces, Variants, pl.DataFrame]:
    ocel = read_log(path).ocel if path else generate(events=1500, seed=7)
    traces = encode(ocel.event_objects, ocel.objects, ocel.events)
    variants = find_variants(traces)
    return traces, variants, trace_variants(traces, variants)


@pytest.fixture(params=["generated", *REAL])
def log(request: pytest.FixtureRequest) -> tuple[Traces, Variants, pl.DataFrame]:
    name: str = request.param
    return load(None if name == "generated" else request.getfixturevalue("data") / name)


def sequences_by_type(described: pl.DataFrame) -> dict[str, list[list[str]]]:
    """Give the non-empty variants of each type that are short enough for pm4py, in a random order."""
    found = {}
    for (kind,), part in described.group_by("object_type", maintain_order=True):
        sequences = [sequence for sequence in part["activities"].to_list() if 0 < len(sequence) <= LONGEST]
        if sequences:
            found[str(kind)] = random.Random(1).sample(sequences, min(len(sequences), 40))
    return found


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_replay_is_that_of_pm4py(log: tuple[Traces, Variants, pl.DataFrame], share: float) -> None:
    import pm4py

    for kind, sequences in sequences_by_type(log[2]).items():
        net = discover(kind, sequences[: max(1, int(len(sequences) * share))])
        ours = replay(net, sequences)
        theirs = pm4py.conformance_diagnostics_token_based_replay(case_log(sequences), *to_pm4py(net))
        labels = {transition.label for transition in net.transitions}
        for row, other, sequence in zip(ours.iter_rows(named=True), theirs, sequences, strict=True):
            # pm4py passes over unknown activities too, but takes no account of them.
            assert row["unknown"] == sum(activity not in labels for activity in sequence)
            assert row["fits"] == (other["trace_is_fit"] and not row["unknown"])
            if row["fits"]:
                assert [row[name] for name in TOKENS] == [other[f"{name}_tokens"] for name in TOKENS]
                assert row["replay_fitness"] == other["trace_fitness"] == 1
            else:
                # Where an end or an activity cannot be reached, pm4py fires silent transitions on the way to it
                # nevertheless: more is produced and consumed, and what is missing and remaining may differ.
                assert row["produced"] <= other["produced_tokens"]
        if share == 1:
            assert replay_fitness(ours.with_columns(objects=1)) == 1


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_alignments_cost_what_those_of_pm4py_do(log: tuple[Traces, Variants, pl.DataFrame], share: float) -> None:
    import pm4py

    for kind, sequences in sequences_by_type(log[2]).items():
        net = discover(kind, sequences[: max(1, int(len(sequences) * share))])
        chosen = sequences[-8:]
        theirs = pm4py.conformance_diagnostics_alignments(case_log(chosen), *to_pm4py(net))
        aligner = Aligner(net)
        shortest = aligner.align([]).cost
        assert shortest is not None
        for sequence, other in zip(chosen, theirs, strict=True):
            found = aligner.align(sequence)
            silent = sum(move == "silent" for move, _ in found.moves)
            assert (found.cost, silent) == divmod(other["cost"], 10_000)
            assert found.cost is not None
            assert 1 - found.cost / (len(sequence) + shortest) == pytest.approx(other["fitness"])


def test_a_log_can_be_replayed_on_its_own_model(log: tuple[Traces, Variants, pl.DataFrame]) -> None:
    traces, variants, described = log
    ocpn = discover_ocpn(traces, variants)
    assert model_soundness(ocpn).select("sound", "states").unique().rows() == [(True, 0)]
    assert replay_glued(traces, variants, ocpn).replayable
    quality = conformance_tables(traces, variants, described["variant_id"], ocpn, "m")["gold.model_quality"]
    assert quality["value"].to_list() == [1.0] * (1 + 4 * len(ocpn.nets))
