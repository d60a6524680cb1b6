"""A warehouse on S3."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from ocelake.lake import open_lake
from ocelake.settings import LakeSettings
from tests.lake_frames import events, publish_silver, state


def test_publication_and_reads_on_s3(tmp_path: Path, s3_bucket: dict[str, str]) -> None:
    settings = LakeSettings(
        home=tmp_path,
        catalog_uri=f"sqlite:///{tmp_path / 'catalog.db'}",
        warehouse="s3://lake/warehouse",
        catalog_properties=s3_bucket,
    )
    lake = open_lake(settings=settings)
    publish_silver(lake, "A", 5, "a")
    publish_silver(lake, "B", 7, "b")
    publish_silver(lake, "A", 3, "c")
    again = open_lake(settings=settings)
    assert state(again, "A") == (3, {"c"}, 3)
    assert_frame_equal(again.ocel("B").events, events(7, "b"))
    assert_frame_equal(again.read("ocel.events", "A", as_of="A.silver.1"), events(5, "a"))
    assert again.scan("ocel.events").filter(pl.col("activity") == "b").select(pl.len()).collect().item() == 7
    assert all(
        path.startswith("s3://lake/warehouse/ocel/events/data/log_id=") for path in again.plan("ocel.events").paths
    )
    with lake.publication("A", "silver") as publication:
        publication.replace("ocel.events", events(9))
    assert lake.plan("ocel.events").rows == 10
