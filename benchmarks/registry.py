"""All cases: each area's own, whole layers, and the scan that bounds them from below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks import cases, constraints, context_quality, executions, explore, features, ocpn, performance, replay
from benchmarks.cases import LOG, TOOLS, Work, _done, prepare
from ocelake.tables import Layer

__all__ = ["CASES", "PEERS", "SCAN", "SCANNED", "TOOLS", "prepare"]

SCAN = "bare scan of the columns"
"""Reading what traces are made of, and nothing else: what no case that starts from Iceberg can be faster than."""


def _scan(folder: Path) -> Work:
    from ocelake.lake import open_lake

    lake = open_lake(folder / "home")
    lake.latest(LOG, "silver")

    def work() -> None:
        _done(lake.read("ocel.event_objects", LOG, columns=["event_id", "object_id"]))
        _done(lake.read("ocel.events", LOG, columns=["event_id", "activity", "time", "sequence"]))
        _done(lake.read("ocel.objects", LOG, columns=["object_id", "object_type"]))

    return work


def _layer(layer: Layer) -> Callable[[Path], Work]:
    """From silver to the layer's tables, computed and published."""

    def prepared(folder: Path) -> Work:
        from ocelake.lake import open_lake
        from ocelake.lake.build import STEPS, publish, sources

        lake, step = open_lake(folder / "home"), STEPS[layer]
        read = sources(lake, LOG, layer)

        def work() -> None:
            settings = step.settings(lake, LOG)
            publish(lake, read, layer, step.compute(lake, read, settings, 1), settings=settings)

        return work

    return prepared


_MINING = {
    **ocpn.CASES,
    **executions.CASES,
    **performance.CASES,
    **context_quality.CASES,
    **constraints.CASES,
    **explore.CASES,
    **features.CASES,
}

CASES: dict[str, dict[str, Callable[[Path], Work]]] = {
    **cases.CASES,
    SCAN: {"ocelake": _scan},
    **_MINING,
    **replay.CASES,
    "gold layer, silver to published": {"ocelake": _layer("gold")},
    "analysis layer, silver to published": {"ocelake": _layer("analysis")},
    "model layer, silver to published": {"ocelake": _layer("model")},
}

PEERS: dict[str, str] = {**cases.PEERS, **features.PEERS}
"""Cases of ours alone, each with the case that its peers' figures are of."""

SCANNED: frozenset[str] = frozenset({"OC-DFG with durations", *_MINING})
"""Cases that start from the columns of the bare scan."""
