"""The warehouse has no room: a clear error, nothing half published, nothing left behind; then it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ocelake.errors import Unreachable
from ocelake.lake import Lake, PublicationRecord, open_lake
from ocelake.lake.store import Draft
from ocelake.metrics import REGISTRY
from ocelake.settings import LakeSettings, Resilience
from tests.integration.faults import fill, small_disk
from tests.lake_frames import events, publish_silver, state


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 24) as folder:
        yield folder


@pytest.fixture
def lake(disk: Path, tmp_path: Path) -> Lake:
    settings = LakeSettings(
        home=tmp_path,
        catalog_uri=f"sqlite:///{tmp_path / 'catalog.db'}",
        warehouse=str(disk / "warehouse"),
        resilience=Resilience(seconds=1, first_wait=0.1, longest_wait=0.2, open_seconds=0.1),
    )
    lake = open_lake(settings=settings)
    lake.ensure_tables()
    publish_silver(lake, "A", 3, "a")
    return lake


def content(disk: Path) -> set[str]:
    return {str(path) for path in disk.rglob("*") if path.is_file() and path.name != "ballast"}


def noise(rows: int) -> pl.DataFrame:
    """Events that do not compress."""
    random = np.random.default_rng(1)
    ids = pl.Series([random.bytes(100).hex() for _ in range(rows)])
    return events(rows).with_columns(event_id=ids.sort())


@pytest.mark.parametrize("at_once", [True, False])
def test_a_full_disk_is_told_and_leaves_nothing(lake: Lake, disk: Path, at_once: bool) -> None:
    before, rows = content(disk), noise(20_000)
    ballast = fill(disk, leave=700_000)
    with pytest.raises(Unreachable, match="No space left on device") as error:
        publish_parts(lake, [rows] if at_once else rows.iter_slices(500))
    assert error.value.where.startswith("ocel.events")
    assert "has room" in error.value.fix
    assert content(disk) == before
    assert state(lake, "A") == (3, {"a"}, 3)
    ballast.unlink()
    publish_silver(lake, "A", 5, "b")
    assert state(lake, "A") == (5, {"b"}, 5)


def publish_parts(lake: Lake, parts: Iterable[pl.DataFrame]) -> None:
    with lake.publication("A", "silver") as publication:
        for part in parts:
            publication.append("ocel.events", part)
        publication.commit()


def test_a_disk_that_is_full_at_any_step_leaves_nothing(lake: Lake, disk: Path) -> None:
    hasty = lake.settings.model_copy(update={"resilience": Resilience(seconds=0.001)})
    lake, before, places = open_lake(settings=hasty), content(disk), set()
    for pages in range(100):
        ballast = fill(disk, leave=4096 * pages)
        try:
            publish_silver(lake, "A", 1000, "b")
        except Unreachable as error:
            places.add(error.where)
            assert content(disk) == before, f"{pages} pages"
            time.sleep(0.11)  # until the warehouse is tried again
        else:
            break
        finally:
            ballast.unlink()
    # Data files had no room, and then what tells of them.
    assert any(place.startswith("ocel.events ") for place in places)
    assert lake.settings.warehouse in places
    assert state(lake, "A") == (1000, {"b"}, 1000)


def test_a_publication_waits_for_room(lake: Lake, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = open_lake(settings=lake.settings.model_copy(update={"resilience": Resilience(seconds=60)}))
    publish, filled = patient.store.publish, []

    def into_a_full_disk(draft: Draft) -> PublicationRecord:
        ballast = fill(disk)  # the data files are written; manifests and metadata have no room
        filled.append(ballast)
        threading.Timer(2, ballast.unlink).start()
        return publish(draft)

    monkeypatch.setattr(patient.store, "publish", into_a_full_disk)
    before = retries(lake)
    publish_silver(patient, "A", 5, "b")
    assert filled
    assert retries(lake) > before
    assert state(lake, "A") == (5, {"b"}, 5)
    assert lake.latest("A", "silver").number == 2


def retries(lake: Lake) -> float:
    labels = {"system": "warehouse", "place": lake.settings.warehouse}
    return REGISTRY.get_sample_value("ocelake_retries_total", labels) or 0
