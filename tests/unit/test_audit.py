"""The audit: each check holds on a sound log, and fails on one that is broken in just its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from ocelake.ocel.audit import LOG_CHECKS, Finding, audit_log, audit_table, table_checks
from ocelake.ocel.conform import Conformed
from ocelake.ocel.model import Ocel
from ocelake.settings import LogSettings
from ocelake.tables import TABLES, layer_tables
from tests.unit.hand_made import conformed, event, thing

SOUND = conformed(
    [
        event("e1", [("1", "of"), ("2",)], [("price", "1.5", "float")]),
        event("e2", [("2",)], time="2024-05-02"),
        thing("1", [("2", "part")], [("c", "1")]),
        thing("2", object_type="item"),
    ]
)
SETTINGS = LogSettings(earliest=datetime(2024, 1, 1, tzinfo=UTC), latest=datetime(2024, 12, 31, tzinfo=UTC))


def failed(findings: list[Finding]) -> list[str]:
    return [finding.check for finding in findings if not finding.passed]


def with_table(name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Conformed:
    """Give the sound log with one table changed."""
    return replace(SOUND, ocel=replace(SOUND.ocel, **{name: change(getattr(SOUND.ocel, name))}))


def test_a_sound_log_passes_every_check_and_each_is_reported() -> None:
    findings = audit_log(SOUND, SETTINGS, SOUND.ocel)
    assert failed(findings) == []
    assert [(finding.check, finding.table, finding.severity) for finding in findings] == [
        (check.name, check.table, check.severity) for check in LOG_CHECKS
    ]
    for name, frame in SOUND.frames().items():
        found = audit_table(TABLES[name], frame)
        assert [finding.check for finding in found] == [check.name for check in table_checks(TABLES[name])]
        assert failed(found) == []
        assert all(finding.rows == 0 and finding.message for finding in found)


def test_names_of_checks_are_unique_and_their_tables_exist() -> None:
    checks = [*LOG_CHECKS, *(check for spec in layer_tables("silver") for check in table_checks(spec))]
    assert len({check.name for check in checks}) == len(checks)
    assert {check.table for check in checks} <= set(TABLES)


# --- one table


@pytest.mark.parametrize(
    ("change", "check", "rows", "says"),
    [
        (lambda f: f.drop("sequence"), "events_schema_declared", 1, "sequence: missing"),
        (lambda f: f.with_columns(extra=1), "events_schema_declared", 1, "extra"),
        (lambda f: f.with_columns(pl.col("sequence").cast(pl.Int32)), "events_schema_declared", 1, "Int32"),
        (lambda f: f.with_columns(pl.col("time").dt.replace_time_zone(None)), "events_schema_declared", 1, "time"),
        (lambda f: f.with_columns(activity=pl.lit(None, pl.String)), "events_required_not_null", 2, "activity has 2"),
        (lambda f: pl.concat([f, f.head(1)]), "events_key_unique", 1, "1 rows share event_id"),
    ],
)
def test_a_broken_table_fails(change: Callable[[pl.DataFrame], pl.DataFrame], check: str, rows: int, says: str) -> None:
    findings = audit_table(TABLES["ocel.events"], change(SOUND.ocel.events))
    assert failed(findings) == [check]
    [finding] = [finding for finding in findings if not finding.passed]
    assert (finding.rows, finding.severity, finding.table) == (rows, "error", "ocel.events")
    assert says in finding.message


def test_a_table_without_its_key_cannot_pass_for_unique() -> None:
    findings = audit_table(TABLES["ocel.events"], SOUND.ocel.events.drop("event_id"))
    assert failed(findings) == ["events_schema_declared", "events_key_unique"]


def test_a_key_of_several_columns_is_taken_together_nulls_included() -> None:
    values = SOUND.ocel.object_attributes
    assert failed(audit_table(TABLES["ocel.object_attributes"], pl.concat([values, values]))) == [
        "object_attributes_key_unique"
    ]
    other = values.with_columns(ordinal=pl.col("ordinal") + 1)
    assert failed(audit_table(TABLES["ocel.object_attributes"], pl.concat([values, other]))) == []


def test_a_table_of_one_row_per_log_has_one_row() -> None:
    spec = TABLES["gold.log_summary"]
    frame = pl.DataFrame(
        {column.name: [None] for column in spec.columns[1:]}, schema=dict(list(spec.schema.items())[1:])
    )
    assert "log_summary_key_unique" in failed(audit_table(spec, pl.concat([frame, frame])))
    assert "log_summary_key_unique" not in failed(audit_table(spec, frame))


# --- the whole log


def renamed(column: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda frame: frame.with_columns(pl.lit("nobody").alias(column))


@pytest.mark.parametrize(
    ("table", "column", "check"),
    [
        ("event_objects", "event_id", "event_objects_event_id_known"),
        ("event_objects", "object_id", "event_objects_object_id_known"),
        ("object_objects", "source_id", "object_objects_source_id_known"),
        ("object_objects", "target_id", "object_objects_target_id_known"),
        ("event_attributes", "event_id", "event_attributes_event_id_known"),
        ("object_attributes", "object_id", "object_attributes_object_id_known"),
        ("events", "activity", "events_activity_known"),
        ("objects", "object_type", "objects_object_type_known"),
    ],
)
def test_a_reference_to_nothing_fails(table: str, column: str, check: str) -> None:
    findings = audit_log(with_table(table, renamed(column)), SETTINGS)
    found = {finding.check: finding for finding in findings if not finding.passed}
    assert found.pop(check).severity == "error"
    assert "nobody" in next(finding for finding in findings if finding.check == check).message
    assert set(found) <= {"events_with_objects"}


@pytest.mark.parametrize(
    "broken",
    [
        replace(SOUND, accounting=SOUND.accounting.with_columns(read=pl.col("read") + 1)),
        replace(SOUND, accounting=SOUND.accounting.with_columns(pl.col("read", "quarantined") + 1)),
        replace(SOUND, accounting=SOUND.accounting.with_columns(pl.col("read", "accepted") + 1)),
        replace(SOUND, accounting=SOUND.accounting.head(0)),
        with_table("object_objects", lambda frame: frame.head(0)),
        with_table("event_attributes", lambda frame: frame.head(0)),
        replace(
            SOUND,
            quarantine=conformed([event("x", time="soon")]).quarantine,
        ),
    ],
)
def test_what_is_not_accounted_for_fails(broken: Conformed) -> None:
    findings = {finding.check: finding for finding in audit_log(broken, SETTINGS)}
    assert not findings["accounting_balanced"].passed
    assert findings["accounting_balanced"].severity == "error"


@pytest.mark.parametrize(
    "setting", [{"earliest": datetime(2024, 5, 2, tzinfo=UTC)}, {"latest": datetime(2024, 5, 1, tzinfo=UTC)}]
)
def test_a_time_outside_of_the_declared_range_fails(setting: dict[str, datetime]) -> None:
    findings = audit_log(SOUND, LogSettings(**setting))
    assert failed(findings) == ["events_time_in_range"]


def test_a_range_holds_its_ends() -> None:
    ends = {"earliest": datetime(2024, 5, 1, 12, tzinfo=UTC), "latest": datetime(2024, 5, 2, tzinfo=UTC)}
    assert failed(audit_log(SOUND, LogSettings(**ends))) == []


def test_much_in_quarantine_warns() -> None:
    log = conformed([event("e", [("1",)]), event("f", [("1",)], time="soon"), thing("1")])
    found = {finding.check: finding for finding in audit_log(log, LogSettings())}
    assert (found["quarantine_share_allowed"].passed, found["quarantine_share_allowed"].severity) == (False, "warn")
    assert "40.0%" in found["quarantine_share_allowed"].message
    assert failed(audit_log(log, LogSettings(max_quarantined_share=0.4))) == []


def test_duplicates_warn() -> None:
    log = conformed([event("e", [("1",)]), event("e", [("1",)]), thing("1")])
    [finding] = [finding for finding in audit_log(log, LogSettings()) if finding.check == "quarantine_no_duplicates"]
    assert (finding.passed, finding.severity, finding.rows) == (False, "warn", 2)
    assert "1 e2o, 1 event" in finding.message


def test_events_without_objects_warn() -> None:
    log = conformed([event("e"), event("f", [("1",)]), thing("1")])
    [finding] = [finding for finding in audit_log(log, LogSettings()) if not finding.passed]
    assert (finding.check, finding.severity, finding.rows) == ("events_with_objects", "warn", 1)


def test_an_activity_that_loses_its_objects_names_the_way_out() -> None:
    records = [event("e", [("1",)]), event("f", [("9",), ("1",)]), event("g", [("9",)], activity="load"), thing("1")]
    found = {finding.check: finding for finding in audit_log(conformed(records), LogSettings())}
    finding = found["event_objects_not_lost"]
    assert (finding.passed, finding.severity, finding.rows) == (False, "warn", 1)
    assert "'load' in 1 of 1" in finding.message
    assert "'pay'" not in finding.message
    assert "undeclared_objects: infer" in finding.message
    inferred = conformed(records, undeclared_objects="infer")
    assert "event_objects_not_lost" not in failed(audit_log(inferred, LogSettings()))


@pytest.mark.parametrize(("lost", "passed"), [(1, True), (2, False)])
def test_one_percent_may_be_lost(lost: int, passed: bool) -> None:
    records = [event(f"e{number}", [("9" if number < lost else "1",)]) for number in range(100)]
    found = {finding.check: finding for finding in audit_log(conformed([*records, thing("1")]), LogSettings())}
    assert found["event_objects_not_lost"].passed is passed


def test_a_new_type_warns_against_what_is_published() -> None:
    grown = conformed([event("e", [("1",)]), event("f", [("1",)], activity="ship"), thing("1", object_type="pallet")])
    [finding] = [finding for finding in audit_log(grown, SETTINGS, SOUND.ocel) if not finding.passed]
    assert (finding.check, finding.severity, finding.rows) == ("event_types_not_new", "warn", 2)
    assert "activity 'ship', object_type 'pallet'" in finding.message
    assert failed(audit_log(grown, SETTINGS)) == []
    assert failed(audit_log(SOUND, SETTINGS, Ocel())) == ["event_types_not_new"]
