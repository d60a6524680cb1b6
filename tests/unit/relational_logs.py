"""Small random OCEL tables, broken in the ways that files are, and what records they have to become, row by row."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

__all__ = ["Tables", "reference", "shape", "tables", "write_csv", "write_parquet", "write_sqlite"]

Row = tuple[str | None, ...]
Tables = dict[str, tuple[tuple[str, ...], list[Row]]]

_IDS = st.sampled_from(["1", "2", "ü 3", "é'\"4", "[5]"])
_MAYBE_ID = st.one_of(_IDS, st.none())
_TYPES = st.sampled_from(["place order", "Place order", "pay"])
_MAPS = (("place order", "PlaceOrder"), ("Place order", "Place Order 2"), ("pay", "pay"), ("absent", "gone"))
_TIMES = st.sampled_from(["2024-01-01 10:00:00", "1970-01-01", None])
_VALUES = st.one_of(st.none(), st.sampled_from(["x", "null", "12", "a,b;c", 'say "hi"', "two\nlines"]))


@st.composite
def tables(draw: st.DrawFn) -> Tables:
    """Draw OCEL 2.0 tables, all values text."""

    def rows(*columns: st.SearchStrategy[Any]) -> list[Row]:
        return draw(st.lists(st.tuples(*columns), max_size=7))

    log: Tables = {"event_map_type": (("ocel_type", "ocel_type_map"), list(_MAPS))}
    log["object_map_type"] = log["event_map_type"]
    for kind, source in (("event", "event"), ("object", "source")):
        log[kind] = (("ocel_id", "ocel_type"), rows(_MAYBE_ID, _TYPES))
        relation = "event_object" if kind == "event" else "object_object"
        target = "object" if kind == "event" else "target"
        names = (f"ocel_{source}_id", f"ocel_{target}_id", "ocel_qualifier")
        log[relation] = (names, rows(_MAYBE_ID, _MAYBE_ID, st.sampled_from([None, "q", "r"])))
        fields = st.sampled_from([None, None, "a", "B b", "no column"])
        for of, _ in (*_MAPS[:3], (None, None)):
            name = f"{kind}_{dict(_MAPS).get(of, 'unmapped')}"
            if kind == "event":
                log[name] = (("ocel_id", "ocel_time", "a", "B b"), rows(_MAYBE_ID, _TIMES, _VALUES, _VALUES))
            else:
                columns = ("ocel_id", "ocel_time", "a", "ocel_changed_field", "B b")
                log[name] = (columns, rows(_MAYBE_ID, _TIMES, _VALUES, fields, _VALUES))
    for optional in ("object_object", "event_pay", "object_pay", "event_unmapped", "object_unmapped"):
        if draw(st.booleans()):
            del log[optional]
    return log


def reference(log: Tables) -> tuple[list[Any], list[Any]]:
    """Say what records the tables are, one row after the other."""
    return _records(log, "event"), _records(log, "object")


def _records(log: Tables, kind: str) -> list[Any]:
    records = [_record(*row, None, True) for row in log[kind][1]]
    by_key: dict[tuple[Any, Any], list[int]] = {}
    by_id: dict[Any, int] = {}
    for at, (row_id, row_type) in enumerate(log[kind][1]):
        if row_id is not None:
            by_key.setdefault((row_id, row_type), []).append(at)
            by_id.setdefault(row_id, at)
    rows = list(_value_rows(log, kind))
    undeclared: list[Any] = []
    groups: dict[tuple[Any, Any], list[tuple[bool, int]]] = {}
    for at, (row_id, row_type, _, _) in enumerate(rows):
        if (row_id, row_type) in by_key:
            groups.setdefault((row_id, row_type), []).append((False, at))
        elif row_id in by_id:
            groups.setdefault((row_id, records[by_id[row_id]]["type"]), []).append((row_type is not None, at))
    if kind == "event":
        extra: list[int] = []
        for key, found in groups.items():
            places = by_key[key]
            for nth, (_, at) in enumerate(sorted(found)):
                if nth < len(places):
                    records[places[nth]].update(time=rows[at][2], values=rows[at][3])
                else:
                    extra.append(at)
        for at in sorted(extra):
            row_id, row_type, time, values = rows[at]
            told = row_type or records[by_id[row_id]]["type"]
            undeclared.append({**_record(row_id, told, time, True), "values": values})
        for row_id, row_type, time, values in rows:
            if row_id not in by_id:
                undeclared.append({**_record(row_id, row_type, time, False), "values": values})
    else:
        for row_id, row_type, _, values in rows:
            if row_id in by_id:
                at = by_key.get((row_id, row_type), [by_id[row_id]])[0]
                records[at]["values"] = records[at]["values"] + values
            else:
                same = [record for record in undeclared if record["id"] == row_id]
                if not same:
                    undeclared.append(_record(row_id, row_type, None, False))
                    same = undeclared[-1:]
                same[0]["values"] = same[0]["values"] + values
    records += undeclared
    known = len(records)
    for source, target, qualifier in log.get("event_object" if kind == "event" else "object_object", ((), []))[1]:
        at = [n for n, r in enumerate(records) if r["id"] == source and (source is not None or n >= known)]
        if not at:
            records.append(_record(source, None, None, False))
            at = [len(records) - 1]
        records[at[0]]["relations"].append((target, qualifier))
    return records


def _record(row_id: str | None, row_type: str | None, time: str | None, declared: bool) -> dict[str, Any]:
    return {"id": row_id, "type": row_type, "time": time, "declared": declared, "values": [], "relations": []}


def _value_rows(log: Tables, kind: str) -> Iterable[tuple[Any, Any, Any, list[Any]]]:
    for of, mapped in (*_MAPS, (None, "unmapped")):
        columns, rows = log.get(f"{kind}_{mapped}", ((), []))
        for row in rows:
            cells = dict(zip(columns, row, strict=True))
            field = cells.pop("ocel_changed_field", None)
            row_id, time = cells.pop("ocel_id"), cells.pop("ocel_time")
            at = time if kind == "object" else None
            values = [(name, at, value) for name, value in cells.items() if value is not None]
            if field in cells:
                values = [(field, at, cells[field])]
            elif field is not None:
                values.append((field, at, None))
            yield row_id, of, time, values


def shape(frame: pl.DataFrame) -> list[Any]:
    """Give records in the form of `reference`."""
    named = frame.rename({"event_id": "id", "object_id": "id", "activity": "type", "object_type": "type"}, strict=False)
    return [
        {
            "id": row["id"],
            "type": row["type"],
            "time": row.get("time"),
            "declared": row["declared"],
            "values": [(value["name"], value["time"], value["value"]) for value in row["attributes"]],
            "relations": [(related["object_id"], related["qualifier"]) for related in row["relationships"]],
        }
        for row in named.iter_rows(named=True)
    ]


def write_sqlite(log: Tables, path: Path, affinity: str = "TEXT") -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, (columns, rows) in log.items():
            declared = ", ".join(f'"{column}" {affinity}' for column in columns)
            connection.execute(f'CREATE TABLE "{name}" ({declared})')
            connection.executemany(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(columns))})', rows)


def write_csv(log: Tables, folder: Path, separator: str = ",", end: str = "\r\n", encoding: str = "utf-8-sig") -> None:
    folder.mkdir()
    for name, (columns, rows) in log.items():
        with (folder / f"{name}.csv").open("w", encoding=encoding, newline="") as stream:
            csv.writer(stream, delimiter=separator, lineterminator=end).writerows([columns, *rows])


def write_parquet(log: Tables, folder: Path) -> None:
    folder.mkdir()
    for name, (columns, rows) in log.items():
        pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row").write_parquet(
            folder / f"{name}.parquet"
        )
