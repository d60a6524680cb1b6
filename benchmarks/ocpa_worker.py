"""ocpa's features of a table of events, as JSON: seconds, peak GiB, and for each event its values.

Run by a Python that has ocpa, which needs an old pm4py and so cannot be installed beside ours. It knows no ocelake.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
import time
from pathlib import Path

from ocpa.algo.predictive_monitoring import factory as features
from ocpa.objects.log.importer.csv import factory as importer


def peak() -> float:
    """Give the peak memory in GiB; what `resource` says may be of the process that started this one."""
    with Path("/proc/self/status").open() as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024**2


def main() -> None:
    """Read the table that the command line names, and print what ocpa finds."""
    path = sys.argv[1]
    with Path(path).open(newline="") as file:
        object_types = [name for name in next(csv.reader(file)) if not name.startswith("event_")]
    names = {
        "obj_names": object_types,
        "val_names": [],
        "act_name": "event_activity",
        "time_name": "event_timestamp",
        "sep": ",",
    }
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        ocel = importer.apply(path, parameters=names)
        activities = sorted(set(ocel.log.log["event_activity"]))
        asked = [
            (features.EVENT_NUM_OF_OBJECTS, ()),
            (features.EVENT_ELAPSED_TIME, ()),
            (features.EVENT_SOJOURN_TIME, ()),
            (features.EVENT_SYNCHRONIZATION_TIME, ()),
            *((features.EVENT_PREVIOUS_ACTIVITY_COUNT, (activity,)) for activity in activities),
            *((features.EVENT_TYPE_COUNT, (name,)) for name in object_types),
            *((features.EVENT_PREVIOUS_TYPE_COUNT, (name,)) for name in object_types),
        ]
        started = time.perf_counter()
        found = features.apply(ocel, asked, [])
        seconds = time.perf_counter() - started
    rows = [
        {
            "event": int(node.event_id),
            "execution": node.pexec_id,
            **{":".join((name, *of)): float(node.attributes[name, of]) for name, of in asked},
        }
        for graph in found.feature_graphs
        for node in graph.nodes
    ]
    print(json.dumps({"seconds": seconds, "memory": peak(), "features": len(asked), "rows": rows}))


if __name__ == "__main__":
    main()
