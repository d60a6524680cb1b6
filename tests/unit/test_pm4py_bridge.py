"""Crossing over to pm4py and back keeps the log, and keeps quiet."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pm4py
import polars as pl
import pytest
from pm4py.objects.ocel.obj import OCEL

from ocelake.errors import ExportRefused
from ocelake.ocel import Ocel
from ocelake.ocel.equal import log_differences
from ocelake.ocel.generate import generate
from ocelake.ocel.model import frame_schema
from ocelake.ocel.pm4py_bridge import from_pm4py, to_pm4py
from ocelake.ocel.read import read_log


@pytest.fixture(scope="module")
def generated() -> Ocel:
    return generate(1_500, seed=11)


def test_there_and_back_is_the_same_log(generated: Ocel) -> None:
    assert log_differences(generated, from_pm4py(to_pm4py(generated))) == []


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["ocel2/ocel20_example.jsonocel", "ocel2/QEL_Inventory_Management_extended.xml", "ocel2/logistics.sqlite"]
)
def test_there_and_back_keeps_real_logs(data: Path, name: str) -> None:
    """Only the declarations differ: pm4py has none, so that unused types and attributes do not come back."""
    log = read_log(data / name).ocel
    declarations = ("event_types", "object_types", "event_type_attributes", "object_type_attributes")
    again = from_pm4py(to_pm4py(log))
    undeclared = {name: getattr(again, name) for name in declarations}
    assert log_differences(replace(log, **undeclared), again) == []


def test_pm4py_gets_every_row_and_native_types(generated: Ocel) -> None:
    log = to_pm4py(generated)
    changes = generated.object_attributes.filter(~pl.col("initial"))
    assert len(log.events) == generated.events.height
    assert len(log.objects) == generated.objects.height
    assert len(log.relations) == generated.event_objects.height
    assert len(log.o2o) == generated.object_objects.height
    assert len(log.object_changes) == changes.height
    assert log.events["ocel:timestamp"].is_monotonic_increasing
    assert str(log.events["ocel:timestamp"].dtype) == "datetime64[us, UTC]"
    assert {str(log.events[name].dtype) for name in ("station", "automatic", "amount")} == {
        "Int64",
        "boolean",
        "float64",
    }
    order = log.object_changes.iloc[0]
    value = changes.filter(pl.col("object_id") == order["ocel:oid"], pl.col("name") == order["ocel:field"])
    assert order[order["ocel:field"]] in (value["value"].to_list() + value["value_float"].to_list())


def test_pm4py_can_work_with_it(generated: Ocel) -> None:
    graph = pm4py.discover_ocdfg(to_pm4py(generated))
    assert graph["activities"] == set(generated.events["activity"])
    flat = pm4py.ocel_flattening(to_pm4py(generated), "orders")
    orders = generated.event_objects.filter(pl.col("object_type") == "orders")
    assert len(flat) == orders.unique(["event_id", "object_id"]).height


def test_values_of_several_types_in_one_column(tmp_path: Path) -> None:
    values = [("n", 7), ("n", 2.5), ("n", True), ("n", "text"), ("n", [1, {"a": None}]), ("n", {"b": "é"})]
    content = {
        "eventTypes": [],
        "objectTypes": [],
        "events": [
            {
                "id": f"e{place}",
                "type": f"t{place}",
                "time": "2023-01-01T00:00:00Z",
                "attributes": [{"name": n, "value": v}],
            }
            for place, (n, v) in enumerate(values)
        ],
        "objects": [],
    }
    (tmp_path / "log.json").write_text(json.dumps(content))
    log = read_log(tmp_path / "log.json").ocel
    assert to_pm4py(log).events["n"].to_list() == [value for _, value in values]
    assert log_differences(log, from_pm4py(to_pm4py(log))) == []


def test_several_initial_values_stay_in_order() -> None:
    schema = frame_schema("ocel.object_attributes")
    value = {"object_id": "o", "name": "n", "time": None, "initial": True, "value_type": "string"}
    log = Ocel(
        objects=pl.DataFrame([("o", "t", False, "b", 0)], schema=frame_schema("ocel.objects"), orient="row"),
        object_types=pl.DataFrame({"object_type": ["t"]}),
        object_type_attributes=pl.DataFrame({"object_type": ["t"], "name": ["n"], "value_type": ["string"]}),
        object_attributes=pl.DataFrame(
            [{**value, "ordinal": place, "value": text} for place, text in enumerate("cab")], schema=schema
        ),
    )
    assert to_pm4py(log).object_changes["ocel:timestamp"].astype(str).unique().tolist() == ["1970-01-01 00:00:00+00:00"]
    assert log_differences(log, from_pm4py(to_pm4py(log))) == []


def test_what_pm4py_read_is_taken_over_by_our_rules() -> None:
    """NaN is no value, a time without zone is UTC, several qualifiers stay, and what is refused is said."""
    events = pd.DataFrame(
        {
            "ocel:eid": ["e1", "e2", "e3"],
            "ocel:activity": ["a", "b", "b"],
            "ocel:timestamp": pd.to_datetime(["2023-05-01 12:00:00", "2023-05-02 08:00:00.5", None], format="ISO8601"),
            "cost": [1.5, float("nan"), 2.0],
            "note": ["x", None, "NaN"],
        }
    )
    relations = pd.DataFrame(
        {
            "ocel:eid": ["e1", "e1", "e1", "e2"],
            "ocel:oid": ["o1", "o1", "nobody", "o1"],
            "ocel:qualifier": ["q", "r", "q", None],
        }
    )
    objects = pd.DataFrame({"ocel:oid": ["o1"], "ocel:type": ["order"]})
    with pytest.warns(UserWarning, match="1 e2o: undeclared_object.*1 event: missing_time"):
        log = from_pm4py(OCEL(events=events, relations=relations, objects=objects))
    assert log.events["time"].to_list() == [
        datetime(2023, 5, 1, 12, tzinfo=UTC),
        datetime(2023, 5, 2, 8, 0, 0, 500_000, tzinfo=UTC),
    ]
    assert log.event_objects.select("event_id", "qualifier").rows() == [("e1", "q"), ("e1", "r"), ("e2", "")]
    assert log.event_attributes.select("event_id", "name", "value", "value_type").rows() == [
        ("e1", "cost", "1.5", "float"),
        ("e1", "note", "x", "string"),
    ]


def test_pm4pys_object_is_not_changed(generated: Ocel) -> None:
    log = to_pm4py(generated)
    before = {name: getattr(log, name).copy() for name in ("events", "objects", "relations", "o2o", "object_changes")}
    from_pm4py(log)
    for name, frame in before.items():
        pd.testing.assert_frame_equal(frame, getattr(log, name))


def test_empty_logs_cross_over() -> None:
    assert log_differences(Ocel(), from_pm4py(to_pm4py(Ocel()))) == []
    assert from_pm4py(OCEL()).events.is_empty()


def test_what_pm4py_cannot_hold_is_refused(generated: Ocel) -> None:
    values = generated.event_attributes.head(1)
    twice = pl.concat([values, values.with_columns(ordinal=pl.lit(1, pl.Int64))])
    with pytest.raises(ExportRefused, match="several values"):
        to_pm4py(replace(generated, event_attributes=twice))
    own = values.with_columns(name=pl.lit("ocel:activity"))
    with pytest.raises(ExportRefused, match="column 'ocel:activity' of its own"):
        to_pm4py(replace(generated, event_attributes=own))


def test_the_banner_of_pm4py_is_not_printed() -> None:
    script = "from ocelake.ocel.generate import generate; log = generate(20, 1); log.from_pm4py(log.to_pm4py())"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
