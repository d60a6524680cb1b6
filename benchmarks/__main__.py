"""Runs every case for every tool in turn, each in a fresh process, and prints medians, memory and ratios.

``python -m benchmarks [--size 100k|1m|N] [--rounds R] [--only CASE ...]``. The tools take turns within a round, so
that a slow minute of the machine hits all of them. Times are of the work alone, without imports; memory is the
process's peak.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.registry import CASES, PEERS, SCAN, SCANNED, TOOLS


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="100k", help="events: 100k, 1m or a number")
    parser.add_argument("--rounds", type=int, default=0, help="default: 3, and 1 from a million events on")
    parser.add_argument("--only", nargs="*", default=[], help="cases to run")
    parser.add_argument("--tools", nargs="*", default=TOOLS)
    chosen = parser.parse_args()
    events = int(chosen.size.lower().replace("k", "000").replace("m", "000000"))
    rounds = chosen.rounds or (1 if events >= 1_000_000 else 3)
    with tempfile.TemporaryDirectory(prefix="ocelake-bench-") as folder:
        print(f"{events:,} events, {rounds} rounds; preparing", file=sys.stderr, flush=True)
        _call("prepare", "ocelake", folder, events)
        results: dict[tuple[str, str], list[dict[str, float]]] = {}
        for turn in range(rounds):
            for case, tools in CASES.items():
                if chosen.only and case not in chosen.only:
                    continue
                for tool in tools:
                    if tool in chosen.tools:
                        print(f"round {turn + 1}: {case}: {tool}", file=sys.stderr, flush=True)
                        results.setdefault((case, tool), []).append(_call(case, tool, folder, events))
    _print(results, events)


def _call(case: str, tool: str, folder: str, events: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.worker", case, tool, folder, str(events)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    if done.returncode:
        print(f"  {case}: {tool} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {"seconds": float("nan"), "memory": float("nan")}
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _print(results: dict[tuple[str, str], list[dict[str, float]]], events: int) -> None:
    print(f"\n{events:,} events; median seconds (peak GiB); ratios are the peer's time by ours;")
    print("scan: the share of our time that a bare scan of the columns takes\n")
    print("| case | ocelake | pm4py | ratio | r4pm | ratio | scan |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    scan = _median(results, SCAN, "ocelake")
    for case in dict.fromkeys(case for case, _ in results):
        middle = {tool: found for tool in TOOLS if (found := _median(results, case, tool))}
        cells = []
        for tool in TOOLS:
            cells.append(f"{middle[tool]['seconds']:.3g} ({middle[tool]['memory']:.2f})" if tool in middle else "-")
            if tool != "ocelake":
                both = tool in middle and "ocelake" in middle
                cells.append(f"{middle[tool]['seconds'] / middle['ocelake']['seconds']:.1f}x" if both else "-")
        both = scan is not None and case in SCANNED and "ocelake" in middle
        cells.append(f"{scan['seconds'] / middle['ocelake']['seconds']:.0%}" if scan and both else "-")
        print(f"| {case} | {' | '.join(cells)} |")


def _median(results: dict[tuple[str, str], list[dict[str, float]]], case: str, tool: str) -> dict[str, float] | None:
    """Give the medians of a case; a peer's may be those of the case that ours is compared with."""
    runs = results.get((case if tool == "ocelake" else PEERS.get(case, case), tool))
    return {key: statistics.median(run[key] for run in runs) for key in ("seconds", "memory")} if runs else None


if __name__ == "__main__":
    main()
