"""The registry holds together."""

from __future__ import annotations

import polars as pl
import pytest

from ocelake.ocel.model import Ocel, frame_schema
from ocelake.tables import TABLES, TableSpec, layer_tables

SPECS = pytest.mark.parametrize("spec", TABLES.values(), ids=list(TABLES))


@SPECS
def test_every_table_starts_with_its_log_and_names_only_columns_that_it_has(spec: TableSpec) -> None:
    names = list(spec.schema)
    assert names[0] == "log_id"
    assert len(names) == len(set(names)) == len(spec.columns)
    assert set(spec.key) | set(spec.sort) | set(spec.partition) <= set(names)
    assert spec.key, "without a key, a check for doubled rows is not possible"


@SPECS
def test_every_table_and_column_is_documented(spec: TableSpec) -> None:
    assert spec.doc.endswith(".")
    for column in spec.columns:
        assert column.doc.endswith("."), column.name


def test_key_columns_have_one_name_and_one_type_everywhere() -> None:
    names = ("log_id", "event_id", "object_id", "source_id", "target_id", "activity", "object_type", "qualifier")
    for name in names:
        assert {str(spec.schema[name]) for spec in TABLES.values() if name in spec.schema} == {"String"}, name


def test_the_fourteen_ocel_tables_are_there() -> None:
    silver = {spec.identifier for spec in layer_tables("silver") if spec.namespace == "ocel"}
    gold = {spec.identifier for spec in layer_tables("gold") if spec.namespace == "ocel"}
    assert len(silver) == 11
    assert gold == {"ocel.process_executions", "ocel.execution_events", "ocel.execution_objects"}


def test_what_outside_readers_rely_on() -> None:
    edges = list(TABLES["gold.ocdfg_edges"].schema)
    assert edges[:7] == [
        "log_id", "object_type", "source", "target", "event_couples", "unique_objects", "total_objects",
    ]  # fmt: skip
    assert {"log_id", "object_type", "variant_id", "activities", "objects"} <= set(TABLES["gold.trace_variants"].schema)
    assert TABLES["gold.trace_variants"].schema["activities"] == pl.List(pl.String)
    assert {"log_id", "execution_id", "kind"} <= set(TABLES["ocel.process_executions"].schema)


def test_an_empty_log_has_the_frames_of_silver() -> None:
    for identifier, frame in Ocel().frames():
        assert frame.schema == frame_schema(identifier)
        assert frame.is_empty()
