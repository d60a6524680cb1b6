"""What the command line prints: rich tables, progress, and reports."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ocelake.tables import TABLES

if TYPE_CHECKING:
    from ocelake.lake import Lake
    from ocelake.ocel.audit import Finding
    from ocelake.ocel.conform import Conformed

__all__ = [
    "RunProgress",
    "print_frame",
    "print_ingested",
    "print_quarantine",
    "print_tables",
    "print_validation",
    "run_progress",
]

_CELL = 60


class RunProgress:
    """One line per step of a run, with its time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}
        self._started = time.perf_counter()
        self.seconds = 0.0

    def step(self, name: str, state: str) -> None:
        """Show that a step started, or how it ended."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=1, state="")
        marks = {"start": "[cyan]running", "done": "[green]done", "failed": "[red]failed", "skipped": "[yellow]skipped"}
        self._progress.update(self._tasks[name], state=marks[state], completed=int(state != "start"))

    def finish(self) -> None:
        """Take the time."""
        self.seconds = time.perf_counter() - self._started


@contextmanager
def run_progress(log_id: str) -> Iterator[RunProgress]:
    """Show the progress of one log's run while the block is executed."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        whole = progress.add_task(f"[bold]{log_id}", total=1, state="")
        shown = RunProgress(progress)
        yield shown
        shown.finish()
        progress.update(whole, completed=1)


def print_frame(frame: pl.DataFrame, title: str | None = None) -> None:
    """Print rows as a table."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value) for value in row))
    Console().print(table)


def print_tables(lake: Lake) -> None:
    """Print every table with its rows and what one row is."""
    table = Table(header_style="bold")
    table.add_column("table")
    table.add_column("rows", justify="right")
    table.add_column("one row is")
    for identifier, spec in TABLES.items():
        snapshot = lake.table(identifier).current_snapshot()
        rows = int(snapshot.summary["total-records"] or 0) if snapshot and snapshot.summary else 0
        table.add_row(identifier, f"{rows:,}", spec.doc)
    Console().print(table)


def print_ingested(lake: Lake, log_id: str, seconds: float) -> None:
    """Print what a run built: rows per table, what is in quarantine, the top variants, and what to do next."""
    console = Console(highlight=False)
    published = [record for layer in ("bronze", "silver", "gold") if (record := lake.latest(log_id, layer))]
    table = Table(title=f"Log {log_id}", title_justify="left", header_style="bold")
    for name, justify in (("publication", "left"), ("table", "left"), ("rows", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # a literal in a tuple widens to str
    for record in published:
        for number, (identifier, rows) in enumerate(record.rows.items()):
            table.add_row(record.publication_id if number == 0 else "", identifier, f"{rows:,}")
        table.add_section()
    console.print(table)
    reasons = _reasons(lake.read("silver.quarantine", log_id))
    if reasons.height:
        print_frame(reasons, "Quarantined")
    else:
        console.print("Nothing is quarantined.")
    variants = (
        lake.read("gold.trace_variants", log_id)
        .sort("objects", "object_type", "variant_id", descending=[True, False, False])
        .head(5)
        .select(
            "object_type",
            pl.col("activities").list.join(" → ").replace("", "(no events)").alias("trace variant"),
            "objects",
            pl.col("share").mul(100).round(1).alias("% of type"),
        )
    )
    print_frame(variants, "Top trace variants")
    console.print(f"Published [bold]{published[-1].publication_id}[/] in {seconds:.1f} s. Next:")
    for command in (
        f"ocelake draw ocdfg {log_id} {log_id}.svg",
        f"ocelake quarantine {log_id}",
        f"ocelake export {log_id} {log_id}.sqlite",
        'ocelake sql "select activity, count(*) as n from ocel.events group by all order by n desc"',
        "make ui",
    ):
        console.print(f"  {command}", style="cyan", soft_wrap=True)


def print_quarantine(lake: Lake, log_id: str, rows: int) -> None:
    """Print the reasons with their counts, then some of the rows."""
    frame = lake.read("silver.quarantine", log_id)
    print_frame(_reasons(frame), f"Quarantine of {log_id}: {frame.height:,} rows")
    if frame.height:
        columns = ("record_kind", "reason", "source", "position", "detail", "raw")
        print_frame(frame.head(rows).select(columns), f"The first {min(rows, frame.height)}")


def print_validation(conformed: Conformed, findings: Sequence[Finding]) -> None:
    """Print the accounting and the findings of one file."""
    print_frame(
        conformed.accounting.group_by("record_kind", maintain_order=True).agg(
            pl.col("read", "accepted", "quarantined").sum()
        ),
        "Accounting",
    )
    print_frame(_reasons(conformed.quarantine), "Quarantined")
    table = Table(title="Checks", title_justify="left", header_style="bold")
    for name in ("check", "result", "finding"):
        table.add_column(name)
    for finding in findings:
        result = (
            "[green]passed" if finding.passed else "[red]failed" if finding.severity == "error" else "[yellow]warning"
        )
        table.add_row(finding.check, result, Text(finding.message))
    Console().print(table)


def _reasons(quarantine: pl.DataFrame) -> pl.DataFrame:
    return (
        quarantine.group_by("record_kind", "reason").len("rows").sort("rows", "record_kind", "reason", descending=True)
    )


def _cell(value: object) -> Text:
    if value is None:
        return Text("null", style="dim")
    if isinstance(value, bool):
        return Text(str(value).lower())
    if isinstance(value, int):
        return Text(f"{value:,}")
    text = str(value)
    return Text(text if len(text) <= _CELL * 4 else text[: _CELL * 4] + "…")
