"""The landing folder: what is a source, when it is whole, and that landing loses nothing."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from ocelake.landing import Mark, land, landed_files, log_id_for, marks, newly_stable, unreadable_names


def test_a_copy_under_way_is_no_source(tmp_path: Path) -> None:
    for name in ("a.json", ".b.json", "c.json.part", "d.tmp"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in landed_files(tmp_path)] == ["a.json"]
    assert landed_files(tmp_path / "missing") == []


def test_a_source_is_ready_when_two_looks_agree_and_only_once() -> None:
    first, second = Mark(1, 10), Mark(2, 20)
    assert newly_stable({}, {"l/a": first}, {}) == []
    assert newly_stable({"l/a": first}, {"l/a": second}, {}) == []
    assert newly_stable({"l/a": second}, {"l/a": second}, {}) == ["l/a"]
    assert newly_stable({"l/a": second}, {"l/a": second}, {"l/a": second}) == []
    assert newly_stable({"l/a": second}, {"l/a": second}, {"l/a": first}) == ["l/a"], "changed since it was handled"


def test_a_folder_of_tables_changes_when_a_file_in_it_does(tmp_path: Path) -> None:
    tables = tmp_path / "orders" / "export"
    tables.mkdir(parents=True)
    (tables / "event.csv").write_text("a")
    before = marks(tmp_path)
    (tables / "object.csv").write_text("b")
    assert set(before) == {"orders/export"}
    assert marks(tmp_path) != before


def test_a_folder_that_cannot_be_a_log_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "not a log").mkdir()
    (tmp_path / "not a log" / "x").write_text("x")
    (tmp_path / "file").write_text("x")
    assert marks(tmp_path) == {}
    assert marks(tmp_path / "missing") == {}


def test_landing_the_same_content_twice_is_one_file_and_other_content_another(tmp_path: Path) -> None:
    source, landing = tmp_path / "log.json.gz", tmp_path / "landing"
    source.write_text("one")
    first = land(source, landing, "x")
    assert land(source, landing, "x") == first
    source.write_text("two")
    second = land(source, landing, "x")
    assert (first.read_text(), second.read_text()) == ("one", "two")
    assert second.name == "log-2.json.gz"
    assert land(source, landing, "x") == second
    assert land(second, landing, "x") == second, "a landed file lands where it is"


def test_a_log_is_named_after_its_file() -> None:
    assert log_id_for(Path("Orders (2024).json.gz")) == "Orders-2024"
    assert log_id_for(Path("---.json")) == "log"


def test_processes_that_land_files_of_one_name_keep_them_all(tmp_path: Path) -> None:
    sources = []
    for number in range(8):
        source = tmp_path / str(number) / "log.json"
        source.parent.mkdir()
        source.write_text(str(number % 4) * 100_000)
        sources.append(source)
    # Not forked: the threads of the engines that other tests started would not survive it.
    with ProcessPoolExecutor(4, get_context("forkserver")) as pool:
        landed = list(pool.map(partial(land, landing=tmp_path / "landing", log_id="x"), sources))
    assert [path.read_text()[0] for path in landed] == [str(number % 4) for number in range(8)]
    names = {path.name for path in (tmp_path / "landing" / "x").iterdir()}
    assert names >= {path.name for path in landed}
    assert not any(name.startswith(".") for name in names), "no copy is left half done"


def test_a_name_that_is_not_utf8_is_told_and_landed_under_another(tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "x"
    folder.mkdir(parents=True)
    odd = folder / os.fsdecode(b"caf\xe9.json")
    odd.write_text("x")
    assert marks(tmp_path / "landing") == {}
    assert unreadable_names(tmp_path / "landing") == [odd]
    source = tmp_path / odd.name
    source.write_text("y")
    assert land(source, tmp_path / "landing", "x").name == "caf\ufffd.json"
