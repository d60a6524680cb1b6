"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
        pytest.skip("needs the shared real logs: set OCELAKE_TEST_DATA")
    return folder
