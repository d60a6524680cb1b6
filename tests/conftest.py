"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.integration.kafka_fixtures"]

# That a machine is busy is no defect, nor that all examples of a test write into one folder.
_CALM = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
settings.register_profile("ocelake", deadline=None, suppress_health_check=_CALM)
settings.load_profile("ocelake")


def data_folder() -> Path | None:
    """Give the folder of shared real logs, where there is one."""
    named = os.environ.get("OCELAKE_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return folder if (folder / "expected.json").exists() else None


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared real logs; the test is skipped, by name, where they are missing."""
    folder = data_folder()
    if folder is None:
        skip_or_fail("data", "needs the shared real logs: set OCELAKE_TEST_DATA")
    assert folder is not None
    return folder


def skip_or_fail(need: str, reason: str) -> None:
    """Skip a test whose need is missing; fail it where OCELAKE_REQUIRE names the need, as CI does."""
    if need in os.environ.get("OCELAKE_REQUIRE", "").split():
        pytest.fail(reason)
    pytest.skip(reason)
