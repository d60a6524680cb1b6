"""Features of prefixes against pm4py's features of whole objects, which are those of each object's last prefix.

Compared is what both define alike. Descendants, inheritance, common birth and common death are pm4py's alone, and its
degree centrality is the number of co-objects, scaled. Its work in progress differs: it counts objects of all types that
begin after the object and before its end, where ours counts those of one type that are under way as of an event.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ocelake.features import PredictionSettings, prefix_features
from ocelake.mining import encode
from ocelake.ocel import Ocel
from ocelake.ocel.generate import generate
from ocelake.ocel.read import read_log
from tests.integration.test_mining_oracles import as_pm4py

LOGS = ("ocel1/p2p-normal.jsonocel", "ocel1/order_process.jsonocel", "ocel2/ocel20_example.jsonocel")
REAL = [pytest.param(name, marks=pytest.mark.data) for name in LOGS]


@cache
def load(path: Path | None) -> Ocel:
    return read_log(path).ocel if path else generate(events=400, seed=7)


@pytest.fixture(params=["generated", *REAL])
def log(request: pytest.FixtureRequest) -> Ocel:
    name: str = request.param
    return load(None if name == "generated" else request.getfixturevalue("data") / name)


def types_of(ocel: Ocel) -> list[str]:
    """Give the object types with events, in order."""
    return sorted(ocel.event_objects["object_type"].unique())


@cache
def ours_of(ocel: Ocel, object_type: str) -> pl.DataFrame:
    """Give every prefix of a type's objects with its features, by object."""
    traces = encode(ocel.event_objects, ocel.objects, ocel.events)
    tables = {"ocel.object_attributes": ocel.object_attributes}
    found = prefix_features(traces, object_type, tables, settings=PredictionSettings(initial_values=True))
    prefixes = pl.concat([found.keys.drop("position"), found.values], how="horizontal")
    return prefixes.sort("object_id", "position")


@cache
def theirs_of(ocel: Ocel, object_type: str, **asked: tuple[str, ...]) -> pl.DataFrame:
    """Give pm4py's features of a type's objects that have events, by object; of the others nothing but its values."""
    import pm4py

    log = as_pm4py(ocel)
    log.objects = ocel.to_pm4py().objects
    found = pl.from_pandas(pm4py.extract_ocel_features(log, object_type, include_obj_id=True, **asked))
    having = pl.col("@@object_lifecycle_length") > 0
    without = found.filter(~having).select(pl.col("^@@(object_lifecycle|ocel_lif).*$"))
    assert not without.select(pl.any_horizontal(pl.all() != 0)).to_series().any()
    return found.filter(having).rename({"ocel:oid": "object_id"}).sort("object_id")


def test_features_of_last_prefixes_are_pm4pys(log: Ocel) -> None:
    """Counts are equal; durations but for pm4py's seconds since 1970, and the single precision of ours."""
    for object_type in types_of(log):
        prefixes, theirs = ours_of(log, object_type), theirs_of(log, object_type)
        ours = prefixes.group_by("object_id", maintain_order=True).last()
        assert ours["object_id"].equals(theirs["object_id"])

        assert_same(ours["position"], theirs["@@object_lifecycle_length"])
        counts = ours.select(pl.col("^count: .*$").name.map(lambda name: name.removeprefix("count: ")))
        for activity in log.events["activity"].unique():
            # Ours are of activities that some object of the type has.
            found = counts[activity] if activity in counts.columns else pl.zeros(counts.height, eager=True)
            assert_same(found, theirs[f"@@ocel_lif_activity_{activity}"])
        assert_same(counts.select(pl.sum_horizontal(pl.all() > 0)), theirs["@@object_lifecycle_unq_act"])

        for other in types_of(log):
            assert_same(ours[f"met: {other}"], theirs[f"@@object_interaction_graph_{other}"])
        assert_same(ours.select(pl.sum_horizontal("^met: .*$")), theirs["@@object_general_interaction_graph"])

        first = prefixes.group_by("object_id", maintain_order=True).first()
        assert_near(seconds(first["time"]), theirs["@@object_lifecycle_start_timestamp"])
        assert_near(seconds(ours["time"]), theirs["@@object_lifecycle_end_timestamp"])
        assert_near(ours["elapsed"], theirs["@@object_lifecycle_duration"])


def test_each_step_of_a_prefix_is_on_pm4pys_paths(log: Ocel) -> None:
    """An object's prefixes, by their last two activities, are its directly following pairs."""
    for object_type in types_of(log):
        prefixes, theirs = ours_of(log, object_type), theirs_of(log, object_type)
        steps = prefixes.drop_nulls("activity_1")
        assert prefixes.height - steps.height == prefixes["object_id"].n_unique()
        ours = Counter(steps.select("object_id", pl.format("{}##{}", "activity_1", "activity").alias("path")).rows())
        found = theirs.unpivot(pl.selectors.starts_with("@@ocel_lif_path_"), index="object_id").filter(
            pl.col("value") > 0
        )
        paths = found.with_columns(pl.col("variable").str.strip_prefix("@@ocel_lif_path_"))
        assert ours == {(object_id, path): count for object_id, path, count in paths.iter_rows()}


def test_attributes_that_never_change_are_pm4pys() -> None:
    """pm4py knows initial values alone, and has 0 where there is none."""
    ocel = load(None)
    for object_type, number in (("orders", "price"), ("items", "quantity")):
        ours = ours_of(ocel, object_type).group_by("object_id", maintain_order=True).last()
        theirs = theirs_of(ocel, object_type, object_num_attributes=(number,))
        assert ours[f"own: {number}"].n_unique() > 1
        assert_near(ours[f"own: {number}"].fill_null(0), theirs[f"@@event_num_{number}"])

    ours = ours_of(ocel, "employees").group_by("object_id", maintain_order=True).last()
    theirs = theirs_of(ocel, "employees", object_str_attributes=("role",))
    for role in ours["own: role (text)"].unique():
        assert_same(ours["own: role (text)"] == role, theirs[f"@@object_attr_value_role_{role}"])


def seconds(times: pl.Series) -> pl.Series:
    return times.dt.epoch("us") / 1e6


def assert_same(ours: pl.Series | pl.DataFrame, theirs: pl.Series) -> None:
    found = ours.to_series() if isinstance(ours, pl.DataFrame) else ours
    assert len(found)
    assert found.cast(pl.Float64).to_list() == theirs.cast(pl.Float64).to_list()


def assert_near(ours: pl.Series, theirs: pl.Series) -> None:
    assert len(ours)
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=1e-6, atol=1e-6)
