"""One case for one tool in a process of its own: prints seconds of the work and the peak memory in GiB, as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
import warnings
from pathlib import Path

from benchmarks.registry import CASES, prepare


def main() -> None:
    """Run the case that the command line names."""
    case, tool, folder, events = sys.argv[1:]
    warnings.filterwarnings("ignore")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if case == "prepare":
            prepare(Path(folder), int(events))
            seconds = 0.0
        else:
            work = CASES[case][tool](Path(folder))
            started = time.perf_counter()
            repeat = work()
            seconds = time.perf_counter() - started if repeat is None else float(repeat)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(json.dumps({"seconds": seconds, "memory": memory}))


if __name__ == "__main__":
    main()
