"""The landing folder: what is a source, when it is whole, and that landing loses nothing."""

from __future__ import annotations

from pathlib import Path

from ocelake.landing import Mark, land, landed_files, log_id_for, marks, newly_stable


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
