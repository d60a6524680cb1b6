"""A real Prometheus scrapes a process of ours, and answers questions about it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from ocelake import metrics
from ocelake.lake import open_lake
from tests.conftest import skip_or_fail
from tests.integration.conftest import free_port
from tests.lake_frames import publish_silver

pytestmark = pytest.mark.prometheus

CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: ocelake
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
Query = Callable[[str], list[tuple[dict[str, str], float]]]


@pytest.fixture
def exposed() -> Iterator[int]:
    server = metrics.serve(0)
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def prometheus(exposed: int, tmp_path: Path) -> Iterator[Query]:
    """A Prometheus that scrapes this process; call it with PromQL for labels and values."""
    program = shutil.which("prometheus")
    if program is None:
        skip_or_fail("prometheus", "needs Prometheus (Debian's package prometheus)")
    configuration, port = tmp_path / "prometheus.yml", free_port()
    configuration.write_text(CONFIGURATION.format(port=exposed))
    server = subprocess.Popen(
        [
            program,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={tmp_path / 'series'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def query(text: str) -> list[tuple[dict[str, str], float]]:
        with urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={quote(text)}") as answer:
            return [(item["metric"], float(item["value"][1])) for item in json.load(answer)["data"]["result"]]

    try:
        for _ in range(300):
            assert server.poll() is None, "Prometheus ended at once"
            try:
                query("up")
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield query
    finally:
        server.terminate()
        server.wait(60)


def eventually(query: Query, text: str, wanted: float) -> dict[str, str]:
    """Wait until a question has one answer of this value; give its labels."""
    found: list[tuple[dict[str, str], float]] = []
    for _ in range(60):
        found = query(text)
        if [value for _, value in found] == [wanted]:
            return found[0][0]
        time.sleep(0.5)
    raise AssertionError(f"{text} is {found}")


def test_prometheus_knows_what_was_published(prometheus: Query, tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    publish_silver(lake, "watched", 5, "a")
    labels = eventually(prometheus, 'ocelake_publication_number{log="watched"}', 1)
    assert labels["layer"] == "silver"
    record = publish_silver(lake, "watched", 7, "b")
    eventually(prometheus, 'ocelake_publication_number{log="watched"}', 2)
    eventually(prometheus, 'sum(ocelake_committed_rows_total{log="watched"})', 24)
    eventually(prometheus, 'ocelake_commit_seconds_count{log="watched"}', 2)
    ((_, when),) = prometheus('ocelake_publication_timestamp_seconds{log="watched"}')
    assert when == pytest.approx(record.time.timestamp(), abs=0.01)
    ((_, slowest),) = prometheus('histogram_quantile(1, ocelake_commit_seconds_bucket{log="watched"})')
    assert 0 < slowest < 60


def test_its_linter_finds_nothing(exposed: int, tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        skip_or_fail("prometheus", "needs Prometheus' promtool (Debian's package prometheus)")
    publish_silver(open_lake(tmp_path), "linted", 5, "a")
    for metric in (metrics.LAG_MESSAGES, metrics.LAG_SECONDS, metrics.CONSUMED_MESSAGES, metrics.CONSUMED_BYTES):
        metric.labels("linted", "topic", "0")
    with urlopen(f"http://127.0.0.1:{exposed}/metrics") as answer:
        text = answer.read()
    linted = subprocess.run([program, "check", "metrics"], input=text, capture_output=True)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, b"", b"")
