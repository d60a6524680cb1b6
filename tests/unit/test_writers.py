"""What the writers write is the standard's layout, is legal, complete or refused by name, and is read by others."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import r4pm
from pm4py.objects.ocel.validation import ocel20_rel_validation

from ocelake.errors import ExportRefused
from ocelake.ocel import Ocel, layout
from ocelake.ocel.generate import generate
from ocelake.ocel.model import frame_schema
from ocelake.ocel.read import read_log
from ocelake.ocel.write import lost_on_export, write_log

SUFFIXES = ("json", "xml", "sqlite")
TIME = datetime(2023, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture(scope="module")
def generated() -> Ocel:
    return generate(1_500, seed=11)


def rows(table: str, *values: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(values), schema=frame_schema(f"ocel.{table}"), orient="row")


def small(
    *,
    event: str = "e1",
    values: tuple[tuple[str, str, str], ...] = (),
    declared: dict[str, str] | None = None,
    **names: Any,
) -> Ocel:
    """One event, one object, one relation; ``values`` are (name, value, type) of the event."""
    obj, activity, qualifier = names.get("obj", "o1"), names.get("activity", "pack"), names.get("qualifier", "box")
    kinds = declared or {name: kind for name, _, kind in values}
    return Ocel(
        events=rows("events", (event, activity, TIME, 0, False, "b", 0)),
        objects=rows("objects", (obj, "order", False, "b", 0)),
        event_objects=rows("event_objects", (event, obj, qualifier, activity, "order", TIME, 0)),
        event_attributes=rows(
            "event_attributes", *((event, name, 0, value, kind, None, None) for name, value, kind in values)
        ),
        event_types=rows("event_types", (activity,)),
        object_types=rows("object_types", ("order",)),
        event_type_attributes=rows(
            "event_type_attributes", *((activity, name, kind) for name, kind in sorted(kinds.items()))
        ),
    )


# --- the standard's layout


def test_json_has_the_standards_members(tmp_path: Path) -> None:
    values = (
        ("count", "7", "integer"),
        ("rate", "-0.0", "float"),
        ("ok", "true", "boolean"),
        ("word", "null", "string"),
    )
    write_log(small(values=values), tmp_path / "log.json")
    content = json.loads((tmp_path / "log.json").read_text())
    assert list(content) == ["eventTypes", "objectTypes", "events", "objects"]
    assert content["eventTypes"][0]["attributes"][0] == {"name": "count", "type": "integer"}
    assert content["events"] == [
        {
            "id": "e1",
            "type": "pack",
            "time": "2023-05-01T12:00:00.250000Z",
            "attributes": [
                {"name": "count", "value": 7},
                {"name": "rate", "value": -0.0},
                {"name": "ok", "value": True},
                {"name": "word", "value": "null"},
            ],
            "relationships": [{"objectId": "o1", "qualifier": "box"}],
        }
    ]
    assert content["objects"] == [{"id": "o1", "type": "order", "attributes": [], "relationships": []}]


def test_xml_marks_only_values_that_are_not_of_the_declared_type(tmp_path: Path) -> None:
    values = (("a", "7", "integer"), ("b", "[1]", "list"))
    write_log(small(values=values, declared={"a": "integer", "b": "string"}), tmp_path / "log.xml")
    found = ET.parse(tmp_path / "log.xml").getroot().findall("events/event/attributes/attribute")
    assert [attribute.attrib for attribute in found] == [{"name": "a"}, {"name": "b", "type": "list"}]


def test_sqlite_has_the_keys_that_pm4py_checks(generated: Ocel, tmp_path: Path) -> None:
    write_log(generated, tmp_path / "log.sqlite")
    satisfied, unsatisfied = ocel20_rel_validation.apply(str(tmp_path / "log.sqlite"))
    assert (len(satisfied), list(unsatisfied)) == (24, [])
    with closing(sqlite3.connect(tmp_path / "log.sqlite")) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'ocelake_value_type'").fetchall()


@pytest.mark.parametrize("log", [Ocel(), small(activity="object"), small(activity="map_type"), small(activity="=?!")])
def test_constraints_hold_for_odd_names_and_empty_logs(log: Ocel, tmp_path: Path) -> None:
    write_log(log, tmp_path / "log.db")
    assert not ocel20_rel_validation.apply(str(tmp_path / "log.db"))[1]


def test_types_that_differ_in_case_have_tables_of_their_own(tmp_path: Path) -> None:
    log = replace(Ocel(), event_types=rows("event_types", ("ORDER",), ("Order",), ("order",), ("order!",)))
    write_log(log, tmp_path / "log.db")
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        maps = dict(connection.execute("SELECT ocel_type, ocel_type_map FROM event_map_type"))
    assert set(maps) == {"ORDER", "Order", "order", "order!"}
    assert len({name.lower() for name in maps.values()}) == 4


def test_sqlite_marks_values_that_are_not_of_their_columns_type(tmp_path: Path) -> None:
    values = (("n", "2.0", "float"), ("t", "2023", "string"))
    log = small(values=values, declared={"n": "integer", "t": "time"})
    write_log(log, tmp_path / "log.db")
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        assert connection.execute("SELECT n, t FROM event_Pack").fetchone() == (b"2.0", b"2023")
        marks = connection.execute(
            "SELECT ocel_table, ocel_id, ocel_row, attribute, value_type FROM ocelake_value_type"
        )
        assert sorted(marks) == [("event_Pack", "e1", 1, "n", "float"), ("event_Pack", "e1", 1, "t", "string")]


# --- escaping

AWKWARD = '<a href="x">&amp;\'\\ ]]> \t\r\n\u2028 \U0001f600 é'


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_awkward_text_survives_everywhere(suffix: str, tmp_path: Path) -> None:
    log = small(event=AWKWARD, obj=AWKWARD, activity=AWKWARD, qualifier=AWKWARD, values=((AWKWARD, AWKWARD, "string"),))
    write_log(log, tmp_path / f"log.{suffix}")
    again = read_log(tmp_path / f"log.{suffix}").ocel
    assert again.event_objects.row(0)[:4] == (AWKWARD, AWKWARD, AWKWARD, AWKWARD)
    assert again.event_attributes.row(0)[:4] == (AWKWARD, AWKWARD, 0, AWKWARD)


def test_json_holds_every_control_character(tmp_path: Path) -> None:
    text = "".join(map(chr, range(1, 32))) + "\ufffe\uffff"
    write_log(small(event=text), tmp_path / "log.json")
    assert json.loads((tmp_path / "log.json").read_bytes())["events"][0]["id"] == text
    assert read_log(tmp_path / "log.json").ocel.events["event_id"].item() == text


# --- refusals


@pytest.mark.parametrize("character", ["\x01", "\x0b", "\x1f", "\ufffe", "\uffff"])
@pytest.mark.parametrize("place", ["event", "obj", "activity", "qualifier", "value", "name"])
def test_xml_refuses_what_it_cannot_hold(character: str, place: str, tmp_path: Path) -> None:
    text = f"x{character}"
    if place in ("value", "name"):
        log = small(values=((text, "v", "string") if place == "name" else ("a", text, "string"),))
    else:
        log = small(**{place: text})
    with pytest.raises(ExportRefused, match="XML cannot hold") as refusal:
        write_log(log, tmp_path / "log.xml")
    assert repr(text) in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("names", [("Price", "price"), ("ocel_id",), ("OCEL_Time",)])
def test_sqlite_refuses_attribute_names_that_collide(names: tuple[str, ...], tmp_path: Path) -> None:
    log = small(values=tuple((name, "1", "integer") for name in names))
    with pytest.raises(ExportRefused, match=f"'{names[0]}'.*but for case.*pack"):
        write_log(log, tmp_path / "log.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_sqlite_refuses_an_attribute_twice_and_nul(tmp_path: Path) -> None:
    log = small(values=(("a", "1", "integer"),))
    second = log.event_attributes.with_columns(ordinal=pl.lit(1, pl.Int64))
    with pytest.raises(ExportRefused, match="several values"):
        write_log(replace(log, event_attributes=pl.concat([log.event_attributes, second])), tmp_path / "log.sqlite")
    with pytest.raises(ExportRefused, match="NUL"):
        write_log(small(obj="a\0b"), tmp_path / "log.sqlite")


def test_the_same_name_but_for_case_is_no_collision_outside_of_ascii(tmp_path: Path) -> None:
    write_log(small(values=(("Ähre", "1", "integer"), ("ähre", "2", "integer"))), tmp_path / "log.sqlite")
    assert read_log(tmp_path / "log.sqlite").ocel.event_attributes["value"].to_list() == ["1", "2"]


def test_unknown_suffixes_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match=r"\.csv is unknown.*\.json"):
        write_log(Ocel(), tmp_path / "log.csv")
    with pytest.raises(ExportRefused, match="cannot be written"):
        write_log(Ocel(), tmp_path / "missing" / "log.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ExportRefused, match="folder"):
        write_log(Ocel(), tmp_path / "folder.json")


def test_a_relation_to_nothing_is_refused(tmp_path: Path) -> None:
    log = replace(small(), events=frame_schema("ocel.events").to_frame())
    with pytest.raises(ExportRefused, match="refers to 'e1'"):
        write_log(log, tmp_path / "log.json")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_export_leaves_the_old_file(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"log.{suffix}"
    write_log(small(), path)
    before = path.read_bytes()
    monkeypatch.setattr(layout, "_CHUNK", 0)  # cutting into ranges of no records is an error, after the head is written
    with pytest.raises(ValueError, match="range"):
        write_log(small(event="e2"), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_mode_of_the_file_is_the_users(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_log(small(), tmp_path / "log.json")
    assert (tmp_path / "log.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_chunks_change_nothing(generated: Ocel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in ("json", "xml"):
        write_log(generated, tmp_path / f"whole.{suffix}")
        with monkeypatch.context() as patch:
            patch.setattr(layout, "_CHUNK", 101)
            write_log(generated, tmp_path / f"cut.{suffix}")
        assert (tmp_path / f"whole.{suffix}").read_bytes() == (tmp_path / f"cut.{suffix}").read_bytes()


def test_what_no_file_can_hold_is_said() -> None:
    log = small()
    events = log.events.with_columns(sequence=pl.lit(3, pl.Int64), time_ambiguous=pl.lit(True))
    assert lost_on_export(log) == []
    order, ambiguous = lost_on_export(replace(log, events=events))
    assert "ties" in order
    assert "ambiguous" in ambiguous


# --- what others read


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_r4pm_reads_every_row(generated: Ocel, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"log.{suffix}"
    write_log(generated, path)
    frames = r4pm.df.import_ocel(str(path))
    changes = generated.object_attributes.filter(~pl.col("initial"))
    assert {name: frame.height for name, frame in frames.items()} == {
        "events": generated.events.height,
        "objects": generated.objects.height,
        "relations": generated.event_objects.height,
        "o2o": generated.object_objects.height,
        "object_changes": changes.height,
    }
    orders = frames["objects"].filter(pl.col("ocel:type") == "orders")
    prices = generated.object_attributes.filter(pl.col("name") == "price").join(generated.objects, on="object_id")
    assert orders["price"].sum() == pytest.approx(prices.filter(pl.col("object_type") == "orders")["value_float"].sum())
    assert frames["events"].schema["automatic"] == pl.Boolean
    assert frames["events"].schema["station"] == pl.Int64
    assert frames["events"]["promised"].drop_nulls().len() == (generated.event_attributes["name"] == "promised").sum()


PM4PY_ALONE = """
import json, sys
for name in [name for name in sys.modules if name.partition(".")[0] == "r4pm"] or ["r4pm"]:
    sys.modules[name] = None
import pm4py
log = getattr(pm4py, "read_ocel2_" + sys.argv[2])(sys.argv[1])
print(json.dumps({name: len(getattr(log, name)) for name in ("events", "objects", "relations", "o2o", "object_changes")}
    | {"times": int(log.events["ocel:timestamp"].notna().sum() + log.object_changes["ocel:timestamp"].notna().sum())}))
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pm4py_alone_reads_all_but_for_its_faults(generated: Ocel, suffix: str, tmp_path: Path) -> None:
    """It drops objects without events with all that belongs to them, and from JSON all but one qualifier of a pair."""
    odd = pl.col("time") + pl.duration(microseconds=125 * (pl.int_range(pl.len()) % 3))
    events, values = generated.events.with_columns(time=odd), generated.object_attributes.with_columns(time=odd)
    path = tmp_path / f"log.{suffix}"
    write_log(replace(generated, events=events, object_attributes=values), path)
    run = subprocess.run(
        [sys.executable, "-c", PM4PY_ALONE, str(path), suffix], capture_output=True, text=True, check=True
    )
    used = generated.event_objects["object_id"].unique().implode()
    links, pairs = generated.object_objects, generated.event_objects
    changes = values.filter(~pl.col("initial") & pl.col("object_id").is_in(used)).height
    assert json.loads(run.stdout.splitlines()[-1]) == {
        "events": generated.events.height,
        "times": generated.events.height + changes,
        "objects": generated.objects["object_id"].is_in(used).sum(),
        "relations": pairs.unique(["event_id", "object_id"]).height if suffix == "json" else pairs.height,
        "o2o": (links["source_id"].is_in(used) & links["target_id"].is_in(used)).sum(),
        "object_changes": changes,
    }


def test_lists_travel_as_text_with_a_marker_that_peers_ignore(tmp_path: Path) -> None:
    """OCEL 2.0 has no lists: a native one in JSON makes r4pm refuse the whole file."""
    log = small(values=(("tags", '["a",1]', "list"), ("due", "2024-01-01T00:00:00Z", "time")))
    for suffix in ("json", "xml", "sqlite"):
        path = tmp_path / f"log.{suffix}"
        write_log(log, path)
        assert r4pm.df.import_ocel(str(path))["events"].height == 1
        again = read_log(path).ocel.event_attributes
        assert again["value_type"].sort().to_list() == ["list", "time"], suffix
