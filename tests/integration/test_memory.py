"""Reading a log takes memory by the chunk, not by the file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ocelake.ocel.generate import generate
from ocelake.ocel.write import write_log

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the peak memory of one process from /proc")

# The peak of this process's own memory. What getrusage tells starts at what the test's process took before it started
# this one, and would hide all that is below.
READ = """
import sys
from pathlib import Path
from ocelake.ocel.read import open_log
from ocelake.ocel.records import Records

events = sum(part.events.height for part in open_log(sys.argv[1]) if isinstance(part, Records))
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(events, int(peak.split()[1]) * 1024)
"""

# Beyond some chunks each: a file of one chunk has not yet taken what a chunk takes.
SMALL, LARGE = 160_000, 480_000


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Logs of both sizes; they are large, and are removed after use."""
    with TemporaryDirectory(prefix="ocelake-") as name:
        for events in (SMALL, LARGE):
            log = generate(events, seed=1)
            for suffix in ("json", "xml"):
                write_log(log, Path(name) / f"{events}.{suffix}")
        yield Path(name)


def peak(path: Path, events: int) -> int:
    """Give the most memory that a process had that read a file and kept nothing, in bytes."""
    told = subprocess.run([sys.executable, "-c", READ, path], check=True, capture_output=True, text=True).stdout
    read, most = map(int, told.split())
    assert read == events
    return most


@pytest.mark.parametrize("suffix", ["json", "xml"])
def test_a_log_three_times_as_large_takes_hardly_more_memory(folder: Path, suffix: str) -> None:
    small, large = (folder / f"{events}.{suffix}" for events in (SMALL, LARGE))
    file_growth = large.stat().st_size - small.stat().st_size
    assert file_growth > 150e6
    growth = peak(large, LARGE) - peak(small, SMALL)
    print(f"{suffix}: the file grew by {file_growth / 1e6:.0f} MB, the memory by {growth / 1e6:.0f} MB")
    assert growth < 0.35 * file_growth + 60e6
