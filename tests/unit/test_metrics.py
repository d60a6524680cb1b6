"""The metrics, as Prometheus reads them."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ocelake import metrics
from ocelake.errors import SettingError
from ocelake.lake import open_lake
from tests.lake_frames import publish_silver

UNITS = ("messages", "bytes", "seconds", "records", "rows", "events")
COUNTS = ("ocelake_rebalances", "ocelake_retries", "ocelake_failures", "ocelake_publication_number")


@pytest.fixture
def address():
    server = metrics.serve(0)
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()


def scraped(address: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What is answered, by name and labels."""
    with urlopen(address) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_a_publication_shows_in_the_metrics(address: str, tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    publish_silver(lake, "shown", 5, "a")
    record = publish_silver(lake, "shown", 7, "b")
    found = scraped(address)
    labels = (("layer", "silver"), ("log", "shown"))
    assert found["ocelake_committed_rows_total", labels] == 2 * (5 + 7)
    assert found["ocelake_publication_number", labels] == 2
    assert found["ocelake_publication_timestamp_seconds", labels] == pytest.approx(record.time.timestamp())
    assert found["ocelake_commit_seconds_count", labels] == 2
    assert 0 < found["ocelake_commit_seconds_sum", labels] < 60
    assert ("ocelake_committed_rows_total", (("layer", "bronze"), ("log", "shown"))) not in found


def test_every_metric_has_a_name_with_its_unit_and_a_text() -> None:
    families = list(metrics.REGISTRY.collect())
    assert len(families) == len([name for name in metrics.__all__ if name.isupper()]) - 1
    for family in families:
        assert family.documentation.endswith("."), family.name
        assert family.name.startswith("ocelake_")
        assert family.name.endswith(UNITS) or family.name in COUNTS or family.type == "stateset", family.name


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=str(port)):
            metrics.serve(port)
    with pytest.raises(SettingError):
        metrics.serve(70000)
