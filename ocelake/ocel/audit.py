"""What has to hold before a log is published: checks on staged frames, and what they find.

The checks of a table come from the registry (schema, required columns, key); those of a log look across its tables.
Every check gives one `Finding` whenever it runs, and is known beforehand by name, so that it can be declared before
there is data. A failed check of severity ``error`` keeps the publication from happening; one of ``warn`` is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from ocelake.ocel.conform import Conformed
from ocelake.ocel.model import Ocel
from ocelake.ocel.reasons import Reason
from ocelake.settings import LogSettings
from ocelake.tables import TableSpec

__all__ = ["LOG_CHECKS", "Check", "Finding", "audit_log", "audit_table", "table_checks"]

Severity = Literal["error", "warn"]
_LOST_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to hold: its name, the table it is shown with, its severity, and what it means."""

    name: str
    table: str
    severity: Severity
    doc: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check : str
        The check's name.
    table : str or None
        The table that it is about.
    passed : bool
        Whether it holds.
    severity : {"error", "warn"}
        Whether a failure blocks the publication.
    message : str
        What was found, for a person.
    rows : int
        How many rows it fails for.
    """

    check: str
    table: str | None
    passed: bool
    severity: Severity
    message: str
    rows: int


def table_checks(spec: TableSpec) -> tuple[Check, ...]:
    """Give the checks that `audit_table` makes on a table; all of them block."""
    columns = ", ".join(name for name in spec.key if name not in spec.partition) or "the log"
    return tuple(
        Check(f"{spec.name}_{predicate}", spec.identifier, "error", doc)
        for predicate, doc in (
            ("schema_declared", "Columns and types are those of the table registry."),
            ("required_not_null", "No required column has a null."),
            ("key_unique", f"No two rows have the same {columns}."),
        )
    )


def audit_table(spec: TableSpec, frame: pl.DataFrame) -> list[Finding]:
    """Check one table's rows of one log against the registry.

    Parameters
    ----------
    spec : TableSpec
        The table.
    frame : DataFrame
        Its rows, without the partition columns.

    Returns
    -------
    list of Finding
        One for each of `table_checks`. Where the schema is wrong, what cannot be looked at passes no other check.
    """
    columns = [column for column in spec.columns if column.name not in spec.partition]
    wanted = {column.name: pl.Schema({column.name: column.dtype})[column.name] for column in columns}
    wrong = sorted(
        f"{name}: {frame.schema.get(name, 'missing')} instead of {wanted.get(name, 'nothing')}"
        for name in {*wanted, *frame.columns}
        if wanted.get(name) != frame.schema.get(name)
    )
    present = [column.name for column in columns if column.required and column.name in frame.columns]
    nulls = {
        name: count for name, count in zip(present, frame.select(present).null_count().row(0), strict=True) if count
    }
    key = [name for name in spec.key if name not in spec.partition]
    repeated = _repeated(frame, key) if set(key) <= set(frame.columns) else len(frame)
    problems = (
        (len(wrong), "; ".join(wrong)),
        (sum(nulls.values()), ", ".join(f"{name} has {count:,} nulls" for name, count in nulls.items())),
        (repeated, f"{repeated:,} rows share {', '.join(key) or 'the log'} with another"),
    )
    return [_finding(check, rows, message) for check, (rows, message) in zip(table_checks(spec), problems, strict=True)]


def audit_log(conformed: Conformed, settings: LogSettings, previous: Ocel | None = None) -> list[Finding]:
    """Check one log across its tables.

    Parameters
    ----------
    conformed : Conformed
        The staged log.
    settings : LogSettings
        Its declared range of times, and the share that may be quarantined.
    previous : Ocel, optional
        What is published now, to tell new types by; without it every type is welcome.

    Returns
    -------
    list of Finding
        One for each of `LOG_CHECKS`, in that order.

    Notes
    -----
    ``event_objects_not_lost`` fails where undeclared objects cost an activity all its objects in more than 1% of its
    events, and its message names the setting that creates them. It warns and does not block: nothing is lost for good
    (the relations wait in quarantine), the log's other activities are sound, and a file that is broken in this way
    (logistics is) has to come in before anyone can look at it.
    """
    return [_finding(check, *_LOG_AUDITS[check.name](conformed, settings, previous)) for check in LOG_CHECKS]


_Audit = Callable[[Conformed, LogSettings, Ocel | None], tuple[int, str]]


def _finding(check: Check, rows: int, message: str) -> Finding:
    return Finding(check.name, check.table, not rows, check.severity, message if rows else check.doc, rows)


def _repeated(frame: pl.DataFrame, key: list[str]) -> int:
    """Count the rows beyond the first of each key."""
    if not key:
        return max(len(frame) - 1, 0)
    keys = frame.select(key)
    hashes = keys.hash_rows()
    if hashes.n_unique() == len(keys):  # different hashes, so different keys
        return 0
    suspects = keys.filter(hashes.is_duplicated())
    return len(suspects) - suspects.n_unique()


def _balanced(conformed: Conformed, _: LogSettings, __: Ocel | None) -> tuple[int, str]:
    tables = {
        "event": conformed.ocel.events,
        "object": conformed.ocel.objects.filter(~pl.col("inferred")),
        "e2o": conformed.ocel.event_objects,
        "o2o": conformed.ocel.object_objects,
        "event_attribute": conformed.ocel.event_attributes,
        "object_attribute": conformed.ocel.object_attributes,
    }
    accounting = conformed.accounting
    held = conformed.quarantine.group_by("batch_id", "record_kind").agg(held=pl.len().cast(pl.Int64))
    uneven = accounting.join(held, on=["batch_id", "record_kind"], how="full", coalesce=True).filter(
        (pl.col("read") != pl.col("accepted") + pl.col("quarantined")).fill_null(True)
        | (pl.col("quarantined") != pl.col("held").fill_null(0))
    )
    problems = [
        f"{row['record_kind']} of batch {row['batch_id']}: read {row['read']}, accepted {row['accepted']}, "
        f"quarantined {row['quarantined']} ({row['held'] or 0} rows)"
        for row in uneven.iter_rows(named=True)
    ]
    for kind, frame in tables.items():
        accepted = int(accounting.filter(record_kind=kind)["accepted"].sum())
        if accepted != len(frame):
            problems.append(f"{kind}: {accepted:,} accepted, {len(frame):,} in the table")
    return len(problems), "; ".join(problems[:10])


def _refers(table: str, column: str, target: str, target_column: str) -> _Audit:
    def audit(conformed: Conformed, _: LogSettings, __: Ocel | None) -> tuple[int, str]:
        frames = dict(conformed.ocel.frames())
        known = frames[target].select(pl.col(target_column).alias(column))
        dangling = frames[table].select(column).join(known, on=column, how="anti", maintain_order="left")
        some = ", ".join(dangling[column].cast(pl.String).head(3).fill_null("null"))
        return len(dangling), f"{len(dangling):,} rows of {table} name a {column} that {target} does not hold: {some}"

    return audit


def _in_range(conformed: Conformed, settings: LogSettings, _: Ocel | None) -> tuple[int, str]:
    time = pl.col("time")
    outside = pl.lit(False)
    if settings.earliest is not None:
        outside |= time < settings.earliest
    if settings.latest is not None:
        outside |= time > settings.latest
    late = conformed.ocel.events.filter(outside)
    return len(late), (
        f"{len(late):,} events are outside of {settings.earliest or 'the beginning'} to "
        f"{settings.latest or 'the end'}, such as {', '.join(late['event_id'].head(3))}"
    )


def _share(conformed: Conformed, settings: LogSettings, _: Ocel | None) -> tuple[int, str]:
    read, bad = (int(conformed.accounting[name].sum()) for name in ("read", "quarantined"))
    excess = bad if read and bad / read > settings.max_quarantined_share else 0
    return excess, (
        f"{bad:,} of {read:,} things read are in quarantine: {bad / max(read, 1):.1%}, "
        f"and {settings.max_quarantined_share:.1%} is allowed"
    )


def _duplicates(conformed: Conformed, _: LogSettings, __: Ocel | None) -> tuple[int, str]:
    found = conformed.quarantine.filter(reason=Reason.DUPLICATE.value)
    counts = found.group_by("record_kind").len().sort("record_kind").rows()
    return len(found), "equal ones were read more than once: " + ", ".join(f"{n:,} {kind}" for kind, n in counts)


def _objects_of_events(conformed: Conformed, _: LogSettings, __: Ocel | None) -> tuple[int, str]:
    alone = conformed.ocel.events.join(conformed.ocel.event_objects, on="event_id", how="anti")
    return len(alone), f"{len(alone):,} of {len(conformed.ocel.events):,} events have no object"


def _not_lost(conformed: Conformed, _: LogSettings, __: Ocel | None) -> tuple[int, str]:
    events = conformed.ocel.events.select("event_id", "activity")
    waiting = conformed.quarantine.filter(record_kind="e2o", reason=Reason.UNDECLARED_OBJECT.value)
    waiting = waiting.select(event_id=pl.col("raw").str.json_path_match("$.event_id")).unique()
    lost = events.join(waiting, on="event_id", how="semi")
    lost = lost.join(conformed.ocel.event_objects, on="event_id", how="anti").group_by("activity").len("lost")
    shares = (
        events.group_by("activity")
        .len()
        .join(lost, on="activity")
        .filter(pl.col("lost") > _LOST_SHARE * pl.col("len"))
        .sort("lost", "activity", descending=[True, False])
    )
    names = ", ".join(f"{activity!r} in {few:,} of {all_:,}" for activity, all_, few in shares.rows()[:5])
    return int(shares["lost"].sum()), (
        f"activities lose all their objects, since nothing declares these: {names}. "
        "Set `undeclared_objects: infer` to create them: `ocelake logs add LOG --undeclared-objects infer`, then ingest"
    )


def _no_new_types(conformed: Conformed, _: LogSettings, previous: Ocel | None) -> tuple[int, str]:
    if previous is None:
        return 0, ""
    new = [
        f"{column} {name!r}"
        for table, column in (("event_types", "activity"), ("object_types", "object_type"))
        for name in sorted(set(getattr(conformed.ocel, table)[column]) - set(getattr(previous, table)[column]))
    ]
    return len(new), "new since the last publication: " + ", ".join(new)


def _reference(table: str, column: str, target: str, target_column: str) -> tuple[Check, _Audit]:
    name = f"{table.removeprefix('ocel.')}_{column}_known"
    doc = f"Every {column} is in {target}."
    return Check(name, table, "error", doc), _refers(table, column, target, target_column)


_AUDITS: Final[tuple[tuple[Check, _Audit], ...]] = (
    (
        Check(
            "accounting_balanced",
            "silver.accounting",
            "error",
            "Read = accepted + quarantined for each batch and kind, and the tables hold as many rows.",
        ),
        _balanced,
    ),
    _reference("ocel.event_objects", "event_id", "ocel.events", "event_id"),
    _reference("ocel.event_objects", "object_id", "ocel.objects", "object_id"),
    _reference("ocel.object_objects", "source_id", "ocel.objects", "object_id"),
    _reference("ocel.object_objects", "target_id", "ocel.objects", "object_id"),
    _reference("ocel.event_attributes", "event_id", "ocel.events", "event_id"),
    _reference("ocel.object_attributes", "object_id", "ocel.objects", "object_id"),
    _reference("ocel.events", "activity", "ocel.event_types", "activity"),
    _reference("ocel.objects", "object_type", "ocel.object_types", "object_type"),
    (
        Check("events_time_in_range", "ocel.events", "error", "Every event is in the declared range of times."),
        _in_range,
    ),
    (
        Check(
            "quarantine_share_allowed", "silver.quarantine", "warn", "No more is quarantined than the settings allow."
        ),
        _share,
    ),
    (Check("quarantine_no_duplicates", "silver.quarantine", "warn", "Nothing was read twice."), _duplicates),
    (Check("events_with_objects", "ocel.events", "warn", "Every event has an object."), _objects_of_events),
    (
        Check(
            "event_objects_not_lost",
            "ocel.event_objects",
            "warn",
            "No activity loses all its objects in more than 1% of its events because nothing declares them.",
        ),
        _not_lost,
    ),
    (
        Check("event_types_not_new", "ocel.event_types", "warn", "No type is new since the last publication."),
        _no_new_types,
    ),
)

LOG_CHECKS: Final = tuple(check for check, _ in _AUDITS)
"""The checks across the tables of a log."""

_LOG_AUDITS: Final = {check.name: audit for check, audit in _AUDITS}
