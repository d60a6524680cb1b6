"""Mining a log that is too large for its frames to be held at once: seconds and peak memory of each kernel.

``python -m benchmarks.large [--millions 10]`` publishes that many million generated events as silver tables, part by
part, and then runs each kernel from Iceberg to its frames in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import polars as pl

LOG: Final = "large"
KERNELS: Final = ("traces", "OC-DFG", "trace variants", "connected executions", "performance", "OCPN")


def main() -> None:
    """Prepare the log and run the kernels, or run the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, default=10)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--kernel", choices=KERNELS)
    chosen = parser.parse_args()
    if chosen.kernel:
        print(json.dumps(_run(chosen.home, chosen.kernel)))
        return
    with tempfile.TemporaryDirectory(prefix="ocelake-large-") as folder:
        home = chosen.home or Path(folder)
        if not (home / "catalog.db").exists():
            _prepare(home, chosen.millions)
        print("| kernel | seconds | of them traces | peak GiB |\n| --- | ---: | ---: | ---: |")
        for kernel in KERNELS:
            command = [sys.executable, "-m", "benchmarks.large", "--home", str(home), "--kernel", kernel]
            done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(f"| {kernel} | {found['seconds']:.1f} | {found['traces']:.1f} | {found['memory']:.2f} |", flush=True)


def _prepare(home: Path, millions: int) -> None:
    """Publish the log: every million is a log of its own, their ids told apart by a number before them."""
    from ocelake.lake import open_lake
    from ocelake.ocel.generate import generate

    with open_lake(home).publication(LOG, "silver") as publication:
        for number in range(millions):
            print(f"preparing million {number + 1} of {millions}", file=sys.stderr, flush=True)
            ocel = generate(1_000_000, seed=number + 1)
            for identifier in ("ocel.events", "ocel.objects", "ocel.event_objects"):
                frame = getattr(ocel, identifier.removeprefix("ocel."))
                ids = [name for name in ("event_id", "object_id") if name in frame.columns]
                own = frame.with_columns(pl.concat_str(pl.lit(f"{number:03}:"), name).alias(name) for name in ids)
                publication.append(identifier, own)
            del ocel, frame, own
        publication.commit()


def _run(home: Path, kernel: str) -> dict[str, float]:
    from ocelake.lake import open_lake

    started = time.perf_counter()
    lake = open_lake(home)
    traces = lake.traces(LOG)
    encoded = time.perf_counter() - started
    found = _mine(kernel, traces)
    seconds = time.perf_counter() - started
    del found
    return {
        "seconds": seconds,
        "traces": encoded,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    }


def _mine(kernel: str, traces: Any) -> Any:
    from ocelake.mining.execution_variants import execution_tables
    from ocelake.mining.executions import find_executions
    from ocelake.mining.ocdfg import ocdfg
    from ocelake.mining.ocpn import discover_ocpn
    from ocelake.mining.performance import performance_tables
    from ocelake.mining.variants import find_variants, trace_variants
    from ocelake.settings import MiningSettings
    from ocelake.tables import as_table

    if kernel == "OC-DFG":
        return ocdfg(traces)
    if kernel == "trace variants":
        return trace_variants(traces, find_variants(traces))
    if kernel == "connected executions":
        return execution_tables(traces, [find_executions(traces, "connected")], equality="labelled")
    if kernel == "performance":
        attributes = {"ocel.event_attributes": as_table("ocel.event_attributes")}
        return performance_tables(traces, attributes, MiningSettings())
    return discover_ocpn(traces) if kernel == "OCPN" else traces


if __name__ == "__main__":
    main()
