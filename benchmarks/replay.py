"""Conformance to a model: all trace variants of every type replayed, and aligned, on nets mined from a part of them.

Both tools get the same nets, and the variants as they mine from them: ours sequences, pm4py's a flat log with one case
for each variant, so that the clock is on the replay alone. The nets are mined from a tenth of each type's variants, so
that some do not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cases import LOG, Work, _done, _pm4py_alone

__all__ = ["CASES"]

_LONGEST = 20
"""Events of the longest variants that are aligned: pm4py needs minutes for one of hundreds."""

_ALIGNED = 100
"""Variants of a type that are aligned, the most frequent ones."""


def _variants(folder: Path) -> dict[str, list[list[str]]]:
    """Give the non-empty variants of each type, the most frequent first."""
    from ocelake.lake import open_lake

    frame = open_lake(folder / "home").read("gold.trace_variants", LOG).sort("objects", "variant_id", descending=True)
    found: dict[str, list[list[str]]] = {}
    for kind, activities in frame.select("object_type", "activities").iter_rows():
        if activities:
            found.setdefault(kind, []).append(activities)
    return found


def _nets(variants: dict[str, list[list[str]]]) -> dict[str, Any]:
    from ocelake.mining.inductive import VariantLog, discover_tree, net_of_tree

    return {
        kind: net_of_tree(discover_tree(VariantLog.of(sequences[::10])), kind) for kind, sequences in variants.items()
    }


def _short(variants: dict[str, list[list[str]]]) -> dict[str, list[list[str]]]:
    short = {kind: [s for s in sequences if len(s) <= _LONGEST] for kind, sequences in variants.items()}
    return {kind: sequences[:_ALIGNED] for kind, sequences in short.items() if sequences}


def _replay_ocelake(folder: Path) -> Work:
    from ocelake.mining.replay import replay

    variants = _variants(folder)
    nets = _nets(variants)

    def work() -> None:
        for kind, sequences in variants.items():
            _done(replay(nets[kind], sequences))

    return work


def _align_ocelake(folder: Path) -> Work:
    from ocelake.mining.alignments import Aligner

    variants = _variants(folder)
    nets = _nets(variants)

    def work() -> None:
        for kind, sequences in _short(variants).items():
            aligner = Aligner(nets[kind])
            for sequence in sequences:
                _done(aligner.align(sequence))

    return work


def _pm4py(function: str, choose: Callable[[dict[str, list[list[str]]]], dict[str, list[list[str]]]]) -> Any:
    def prepare(folder: Path) -> Work:
        from tests.pm4py_nets import case_log, to_pm4py

        conform = _pm4py_alone(function)
        variants = _variants(folder)
        nets = {kind: to_pm4py(net) for kind, net in _nets(variants).items()}
        logs = {kind: case_log(sequences) for kind, sequences in choose(variants).items()}

        def work() -> None:
            for kind, log in logs.items():
                _done(conform(log, *nets[kind]))

        return work

    return prepare


CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    "replay fitness, all types": {
        "ocelake": _replay_ocelake,
        "pm4py": _pm4py("conformance_diagnostics_token_based_replay", lambda variants: variants),
    },
    f"alignments of {_ALIGNED} variants, all types": {
        "ocelake": _align_ocelake,
        "pm4py": _pm4py("conformance_diagnostics_alignments", _short),
    },
}
