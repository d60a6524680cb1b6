"""What is written is read again as the same log, through every format in turn."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ocelake.ocel import Ocel
from ocelake.ocel.conform import conform
from ocelake.ocel.equal import log_differences
from ocelake.ocel.generate import generate
from ocelake.ocel.model import frame_schema
from ocelake.ocel.read import read_log
from ocelake.ocel.records import EVENT_RECORD, OBJECT_RECORD
from ocelake.ocel.write import lost_on_export, write_log
from ocelake.settings import LogSettings
from ocelake.tables import VALUE_TYPES

FORMATS = ("json", "xml", "sqlite", "json")

REAL_LOGS = (
    "ocel1/BPI150to550executionprocess.jsonocel",
    "ocel1/github_pm4py.xmlocel",
    "ocel1/minimal_nested.jsonocel",
    "ocel1/p2p-normal.jsonocel",
    "ocel2/QEL_Inventory_Management_extended.xml",
    "ocel2/logistics.sqlite",
    "ocel2/ocel20_example.jsonocel",
    "ocel2/ocel_inventory_management.xml",
    "ocel2/pallet-logistics-v0.9.sqlite",
    "ocel2/running-example.sqlite",
)


def travel(log: Ocel, folder: Path, formats: tuple[str, ...] = FORMATS) -> None:
    """Write and read the log, format after format, and compare each with the first."""
    current = log
    for turn, suffix in enumerate(formats):
        path = folder / f"{turn}.{suffix}"
        write_log(current, path)
        conformed = read_log(path)
        assert conformed.quarantine.is_empty(), (suffix, conformed.quarantine.row(0, named=True))
        assert log_differences(log, conformed.ocel, ignore=("sequence",)) == [], suffix
        current = conformed.ocel


def log_of(events: list[dict[str, Any]], objects: list[dict[str, Any]], declarations: dict[str, Any]) -> Ocel:
    """Make the log that conforming makes of these records."""
    batch = pl.lit("b").alias("batch_id")
    empty = {"attributes": [], "relationships": [], "declared": True}
    event_rows = [{**empty, **event, "position": position} for position, event in enumerate(events)]
    object_rows = [{**empty, **each, "position": position} for position, each in enumerate(objects)]
    batches = pl.DataFrame(
        [
            {
                **dict.fromkeys(("batch_id", "source", "format", "content_hash"), "b"),
                "event_records": len(events),
                "object_records": len(objects),
                "declarations": json.dumps(declarations),
                "metadata": "{}",
                "received": datetime.now(UTC),
            }
        ],
        schema=frame_schema("bronze.batches"),
    )
    return conform(
        pl.DataFrame(event_rows, schema=EVENT_RECORD).with_columns(batch),
        pl.DataFrame(object_rows, schema=OBJECT_RECORD).with_columns(batch),
        batches,
        LogSettings(undeclared_objects="infer"),
    ).ocel


# --- logs that hypothesis makes

LEGAL = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "null",
            "NaN",
            "nan",
            "1",
            "007",
            "1e5",
            "1e999",
            ".5",
            "0x10",
            "true",
            "-0.0",
            "2023",
            "inf",
            "<&>\"'",
        ]
    ),
    st.sampled_from(["a\r\nb", "\ttab\n", " padded ", "]]>", "&amp;", "&#13;", "\\u0041", "'); DROP TABLE event; --"]),
    st.text(LEGAL, max_size=12),
)
IDS = st.one_of(
    st.sampled_from(
        ["o 1", "urn:x:1", "https://example.org/a?b=c&d#e", "[1]", "{}", "o'1", 'o"1', "1", "01", "ä", "A", "a"]
    ),
    st.text(LEGAL, min_size=1, max_size=6).filter(lambda text: bool(text.strip())),
)
TYPES = ("order", "Order", "ORDER", "order ", "object", "map_type", "Map Type", "place/ship", "place ship", "ü", "日本")
NAMES = ("price", "a b", 'quo"ted', "Ähre", "ähre", "time", "id", "ocel_type", "select", "x'y", "[z]")
QUALIFIERS = ("", "has", "Has", "is\npart\tof", 'the "one"', "&", "null")
TIMES = st.datetimes().map(lambda time: f"{time.isoformat()}Z")  # from year 1 to 9999
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
VALUES = st.one_of(
    TEXTS.map(lambda text: (text, None)),
    st.integers(-(2**70), 2**70).map(lambda number: (str(number), "integer")),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: (repr(number), "float")),
    st.sampled_from([("1e-320", "float"), ("-0.0", "float"), ("1e400", "float"), ("2.0", "float"), ("12.50", "float")]),
    st.sampled_from([("true", "boolean"), ("false", "boolean")]),
    TIMES.map(lambda time: (time, None)),
    st.lists(NESTED, max_size=3).map(lambda value: (json.dumps(value), "list")),
    st.dictionaries(TEXTS, NESTED, max_size=3).map(lambda value: (json.dumps(value), "map")),
)


@st.composite
def attributes(draw: st.DrawFn, *, timed: bool) -> list[dict[str, Any]]:
    names = st.sampled_from(NAMES)
    chosen = draw(st.lists(names, max_size=4, unique=not timed))
    times = st.none() | st.sampled_from(["2020-01-01T00:00:00Z", "0", "1970-01-01 00:00:00"]) | TIMES
    rows = []
    for name in chosen:
        value, value_type = draw(VALUES)
        rows.append({"name": name, "time": draw(times) if timed else None, "value": value, "value_type": value_type})
    return rows


@st.composite
def logs(draw: st.DrawFn) -> Ocel:
    types = st.sampled_from(TYPES)
    ids = draw(st.lists(IDS, min_size=1, max_size=6, unique=True))

    def relations() -> list[dict[str, Any]]:
        pairs = st.tuples(st.sampled_from(ids), st.sampled_from(QUALIFIERS))
        chosen = draw(st.lists(pairs, max_size=5, unique=True))
        return [{"object_id": target, "qualifier": qualifier, "object_type": None} for target, qualifier in chosen]

    objects = [
        {
            "object_id": each,
            "object_type": draw(types),
            "attributes": draw(attributes(timed=True)),
            "relationships": relations(),
        }
        for each in ids
    ]
    events = [
        {
            "event_id": each,
            "activity": draw(types),
            "time": draw(TIMES),
            "attributes": draw(attributes(timed=False)),
            "relationships": relations(),
        }
        for each in draw(st.lists(IDS, max_size=5, unique=True))
    ]
    declared = st.dictionaries(types, st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUE_TYPES)), max_size=4)
    return log_of(events, objects, {"event_types": draw(declared), "object_types": draw(declared)})


@settings(max_examples=40)
@given(logs())
@example(Ocel())
def test_any_log_travels(log: Ocel) -> None:
    with tempfile.TemporaryDirectory() as folder:
        travel(log, Path(folder))


# --- logs that there are


def test_a_generated_log_travels(tmp_path: Path) -> None:
    travel(generate(2_000, seed=5), tmp_path)


@pytest.mark.data
@pytest.mark.parametrize("name", REAL_LOGS)
def test_a_real_log_travels(data: Path, name: str, tmp_path: Path) -> None:
    travel(read_log(data / name).ocel, tmp_path)


@pytest.mark.data
def test_a_case_log_travels_but_for_its_sequence(data: Path, tmp_path: Path) -> None:
    log = read_log(data / "xes/running-example.xes").ocel
    assert any("declared order" in note for note in lost_on_export(log))
    travel(log, tmp_path)


@pytest.mark.parametrize("suffix", ["json", "xml", "sqlite"])
def test_the_order_of_ties_can_be_read_again(suffix: str, tmp_path: Path) -> None:
    """Events are written in the order of the log, so that their position tells the order of ties."""
    events = [
        {"event_id": each, "activity": "a", "time": "2023-01-01T00:00:00Z", "sequence": place}
        for place, each in enumerate(["z", "b", "y", "a"])
    ]
    log = log_of(events, [], {"event_types": {}, "object_types": {}})
    write_log(log, tmp_path / f"log.{suffix}")
    again = read_log(tmp_path / f"log.{suffix}", LogSettings(ties="position")).ocel
    assert again.events["event_id"].to_list() == ["z", "b", "y", "a"]
