"""What the command line prints: rich tables, progress, and reports."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ocelake.mining.times import spoken
from ocelake.tables import READS, TABLES

if TYPE_CHECKING:
    from ocelake.lake import Lake
    from ocelake.ocel.audit import Finding
    from ocelake.ocel.conform import Conformed

__all__ = [
    "RunProgress",
    "as_text",
    "longest_queues",
    "print_frame",
    "print_ingested",
    "print_logs",
    "print_prediction",
    "print_quarantine",
    "print_results",
    "print_tables",
    "print_validation",
    "queues_table",
    "results",
    "results_table",
    "run_progress",
    "without_bytes",
]

_CELL = 60
_QUEUES = 3
_WEEK = 7 * 24
_TOGETHER = "\u00a0"
"""A space at which no line is broken."""
_WIDE, _FEW = 9, 3
"""A few rows of many columns are shown a column a line."""
_COUNTABLE = 10**12
"""Integers from here on are ids rather than counts, and get no separators."""


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
    if frame.width > _WIDE and 0 < frame.height <= _FEW:
        values = [pl.Series(f"row {number + 1}", list(map(str, row))) for number, row in enumerate(frame.rows())]
        frame = pl.DataFrame([pl.Series("column", frame.columns), *values])
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


def print_logs(lake: Lake, registered: Sequence[str]) -> None:
    """Print each log with its newest publications and its size; registered ones without any as well."""
    summaries = lake.read("gold.log_summary").select("log_id", "events", "objects", "quarantined", "last_time")
    newest = pl.concat(
        [lake.publications(limit=0), *(lake.publications(log_id, limit=1) for log_id in lake.logs())]
    ).select("log_id", "publication_id", "time")
    of_prices = lake.scan("silver.price_quarantine").group_by("log_id").len("ticks").collect()
    known = pl.DataFrame({"log_id": sorted({*registered, *lake.logs()})}, schema={"log_id": pl.String})
    frame = known.join(newest, on="log_id", how="left").join(summaries, on="log_id", how="left").sort("log_id")
    frame = frame.join(of_prices, on="log_id", how="left", maintain_order="left")
    shown = frame.select(
        pl.col("log_id").alias("log"),
        pl.col("publication_id").alias("newest publication"),
        pl.col("time").dt.truncate("1s").alias("published"),
        "events",
        "objects",
        pl.coalesce("quarantined", "ticks").alias("quarantined"),
        pl.col("last_time").alias("last event"),
    )
    print_frame(shown, "logs")


def print_ingested(lake: Lake, log_id: str, seconds: float, warnings: Sequence[tuple[str, str]]) -> None:
    """Print what a run built: rows per table, what is in quarantine, the top variants, and what to do next."""
    console = Console(highlight=False)
    published = [record for layer in READS if (record := lake.latest(log_id, layer))]
    table = Table(title=f"Log {log_id}", title_justify="left", header_style="bold")
    table.add_column("publication")
    table.add_column("table")
    table.add_column("rows", justify="right")
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
    for name, found in warnings:
        console.print(Text.assemble(("Warning ", "bold yellow"), (name, "yellow"), f": {found}"))
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
    _print_found(console, lake, log_id)
    console.print(
        f"Published [bold]{', '.join(record.publication_id for record in published)}[/] in {seconds:.1f} s. Next:"
    )
    ocelake = _command()
    for command in (
        f"{ocelake} draw ocpn {log_id} {log_id}.svg",
        f"{ocelake} rules {log_id}",
        f"{ocelake} quarantine {log_id}",
        f"{ocelake} export {log_id} {log_id}.sqlite",
        f'{ocelake} sql "from gold.ocdfg_edges order by total_objects desc limit 10"',
        "make ui",
    ):
        console.print(f"  {command}", style="cyan", soft_wrap=True)


def print_results(lake: Lake, log_id: str, warnings: Sequence[tuple[str, str]] = ()) -> None:
    """Print how the models of a log are beside their baselines, and what they say of what is running."""
    console = Console(highlight=False)
    tasks = lake.read("models.tasks", log_id)
    table = Table(
        title=f"Predictions of {log_id}, judged on what came later",
        title_justify="left",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for place, name in enumerate(_RESULTS):
        table.add_column(name, justify="right" if place in (3, 4, 6, 7) else "left", no_wrap=True)
    for row in results(tasks):
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False, width=max(console.width, _RESULTS_WIDTH)).print(table)
    for kind, task, reason in tasks.filter(~pl.col("trained")).select("object_type", "task", "reason").iter_rows():
        console.print(Text(f"No model for {task} of {kind}: {reason}"))
    for name, found in warnings:
        if name not in ("baselines_beaten", "tasks_trained"):  # the table says so
            console.print(Text.assemble(("Warning ", "bold yellow"), (name, "yellow"), f": {found}"))
    if lake.latest(log_id, "outlook"):
        counts = (lake.read(f"gold.{name}", log_id).height for name in ("predictions", "early_warnings", "anomalies"))
        console.print("{:,} predictions of what is running, {:,} early warnings, {:,} anomalies.".format(*counts))
        queues = longest_queues(lake.read("gold.bottleneck_forecast", log_id))
        for queue in queues.head(_QUEUES).iter_rows(named=True):
            console.print(Text(_QUEUE.format(**queue)))


_QUEUE: Final = "After '{activity}' {expected:.1f} {object_type} will wait, on average over a week (usual {usual:.1f})."
_RESULTS_WIDTH: Final = 116
_RESULTS: Final = ("type", "task", "metric", "baseline", "ours", "champion", "difference (95%)", "prefixes")


def results(tasks: pl.DataFrame) -> list[tuple[str, ...]]:
    """Give the rows of the results table, as text: every trained task beside its baseline."""
    rows: list[tuple[str, ...]] = []
    for row in tasks.filter(pl.col("trained")).sort("object_type", "task").iter_rows(named=True):
        metric = "mae, days" if row["metric"] == "mae" else row["metric"]
        low, high = row["difference_low"], row["difference_high"]
        verdict = "promoted" if row["promotable"] else "worse than before" if row["better"] else "not better"
        rows.append(
            (
                row["object_type"],
                row["task"],
                metric,
                f"{row['baseline']:.3f}",
                f"{row['model']:.3f}",
                verdict,
                f"{row['difference']:+.3f} ({'cannot be told' if low is None else f'{low:+.3f}, {high:+.3f}'})",
                f"{row['test_rows']:,}",
            )
        )
    return rows


def results_table(tasks: pl.DataFrame) -> str:
    """Give the results table as Markdown."""
    lines = [f"| {' | '.join(cell.replace(' ', _TOGETHER) for cell in row)} |" for row in results(tasks)]
    reasons = tasks.filter(~pl.col("trained")).select("object_type", "task", "reason").iter_rows()
    said = [f"No model for {task} of {kind}: {reason}" for kind, task, reason in reasons]
    return "\n".join(
        [f"| {' | '.join(_RESULTS)} |", "| --- | --- | --- | ---: | ---: | --- | ---: | ---: |", *lines, "", *said]
    )


def longest_queues(forecast: pl.DataFrame) -> pl.DataFrame:
    """Give how many wait after each activity on average over the week ahead, most first, of `gold.bottleneck_forecast`.

    Hours that the forecast has no row for count as none.
    """
    means = (pl.col(name).sum() / _WEEK for name in ("expected", "usual"))
    found = forecast.group_by("object_type", "activity").agg(*means, pl.col("method", "error").first())
    return found.sort("expected", "object_type", "activity", descending=[True, False, False])


def queues_table(forecast: pl.DataFrame) -> str:
    """Give the same as Markdown."""
    head = [
        "| object type | waiting after | expected | usual | foretold by | mean error |",
        "| --- | --- | ---: | ---: | --- | ---: |",
    ]
    lines = [
        f"| {kind} | {activity} | {expected:.1f} | {usual:.1f} | {method} | {'' if error is None else f'{error:.1f}'} |"
        for kind, activity, expected, usual, method, error in longest_queues(forecast).iter_rows()
    ]
    return "\n".join([*head, *lines])


def print_prediction(predictions: pl.DataFrame) -> None:
    """Print what models say of one object."""
    console = Console(highlight=False, markup=False)
    first = predictions.row(0, named=True)
    place = f", after {first['position']} events, the last at {first['time']:%Y-%m-%d %H:%M} UTC"
    silence = f" ({spoken(first['silence'])} before the log's last one)"
    console.print(Text.assemble((f"{first['object_type']} {first['object_id']}", "bold"), place, silence))
    for row in predictions.iter_rows(named=True):
        if row["model_name"] is None:
            console.print(Text.assemble((f"  {row['task']}: ", "bold"), f"{row['prediction']}, by now"))
            continue
        if row["prediction"] is None:
            days = [row[name] / 86_400 for name in ("prediction_float", "low", "high")]
            said = "{:.1f} days ({:.1f} to {:.1f} in 8 of 10 cases)".format(*days)
        else:
            said = f"{row['prediction']} ({row['probability']:.0%})"
        console.print(Text.assemble((f"  {row['task']}: ", "bold"), said))
        if row["reasons"]:
            console.print(Text(f"    because of {', '.join(row['reasons'])}", style="dim"))
        console.print(Text(f"    by {row['model_name']}, version {row['model_version']}", style="dim"))


def print_quarantine(lake: Lake, log_id: str, rows: int) -> None:
    """Print the reasons with their counts, then some of the rows."""
    tables = ("silver.quarantine", "silver.price_quarantine")
    frame = pl.concat([lake.read(name, log_id) for name in tables], how="diagonal")
    frame = frame.with_columns(pl.col("record_kind").fill_null("price tick"))
    print_frame(_reasons(frame), f"Quarantine of {log_id}: {frame.height:,} rows")
    if frame.height:
        place = ("partition", "offset") if frame["offset"].count() else ("position",)
        columns = ("record_kind", "reason", "source", *place, "detail", "raw")
        print_frame(frame.head(rows).select(columns), f"The first {min(rows, frame.height)}")


def _print_found(console: Console, lake: Lake, log_id: str) -> None:
    """Print what a person asks first: where time is lost, how good the model is, what it costs, what is kept."""
    delayed = lake.read("gold.bottlenecks", log_id).filter(kind="activity").sort("rank")
    if delayed.height:
        console.print("[bold]Bottlenecks[/]")
    for reason in delayed["reason"].head(3):
        console.print(Text(f"  {reason}"))
    for model in lake.read("ocpn.models", log_id).iter_rows(named=True):
        measured = lake.read("gold.model_quality", log_id).filter(pl.col("object_type").is_null())
        quality = ", ".join(
            f"{metric.replace('_', ' ')} {value:.3f}"
            for metric, value in measured.drop_nulls("value").sort("metric").select("metric", "value").iter_rows()
        )
        size = (
            f"{model['places']} places, {model['transitions']} transitions of {len(model['object_types'])} object types"
        )
        sound = {True: "sound", False: "not sound", None: "soundness not known"}[model["sound"]]
        console.print(Text.assemble(("Model ", "bold"), f"{model['model_id']}: {size}; {sound}; {quality}"))
    for summary in lake.read("gold.cost_summary", log_id).iter_rows(named=True):
        told = [f"{summary['cost']:,.0f} {summary['currency']}".strip()]
        savings = lake.read("gold.savings", log_id).drop_nulls("saving").sort("saving", descending=True)
        for saved in savings.head(1).iter_rows(named=True):
            told.append(f"up to {saved['saving']:,.0f} less if all {saved['object_type']} went their best way")
        console.print(Text.assemble(("Cost ", "bold"), "; ".join(told)))
        if summary["without_effect"] is not None:
            console.print(Text(f"  {summary['without_effect']}"))
    rules = lake.read("gold.rule_results", log_id)
    if rules.height:
        kept = rules["passed"].fill_null(False).sum()
        console.print(Text.assemble(("Rules ", "bold"), f"{kept} of {rules.height} are kept"))


def print_rules(lake: Lake, log_id: str, rows: int, *, as_of: str | None = None) -> None:
    """Print how each rule of a log is kept, then some of its violations."""
    moment = lake.moment(as_of)
    results = lake.read("gold.rule_results", log_id, as_of=moment)
    if results.is_empty():
        Console(highlight=False).print(
            f"No rule was checked. Write them into {lake.settings.home / 'logs' / f'{log_id}.rules.yaml'} "
            "(docs/rules.md says how), then materialize gold.rule_results."
        )
        return
    outcome = (
        pl.when(pl.col("problem").is_not_null())
        .then(pl.format("not checked: {}", pl.col("problem").fill_null("")))
        .when("passed")
        .then(pl.lit("kept"))
        .otherwise(pl.format("violated ({})", "severity"))
    )
    counts = ("violations", "candidates", "pending")
    print_frame(results.select("rule", outcome.alias("outcome"), *counts), f"rules of {log_id}")
    violations = lake.read("gold.rule_violations", log_id, as_of=moment)
    if rows and violations.height:
        print_frame(violations.head(rows), f"{min(rows, violations.height):,} of {violations.height:,} violations")


def print_changes(changes: pl.DataFrame) -> None:
    """Print what differs between two processes, the greatest effects first."""
    from ocelake.draw.svg import human_duration

    if changes.is_empty():
        Console(highlight=False).print("Nothing differs that is neither small nor likely to be by chance.")
        return
    effect = pl.max_horizontal(pl.col("occurrence_effect").abs(), pl.col("duration_effect").abs())
    told = changes.sort(effect, descending=True, nulls_last=True, maintain_order=True)
    durations = [
        pl.Series(f"mean {side}", [human_duration(value) for value in told[f"duration_mean_{side}"]])
        for side in ("before", "after")
    ]
    words = pl.concat_list(
        [
            pl.when(pl.col(name).ne_missing("same")).then(name).fill_null("").replace("", None)
            for name in ("occurrence", "duration")
        ]
    )
    print_frame(
        told.select(
            "object_type",
            pl.when(pl.col("source").is_null())
            .then("activity")
            .otherwise(pl.format("{} → {}", pl.col("source").fill_null(""), "activity"))
            .alias("activity or edge"),
            words.list.drop_nulls().list.join(", ").alias("change"),
            *(pl.col(f"share_{side}").mul(100).round(1).alias(f"% {side}") for side in ("before", "after")),
            *durations,
        ),
        "% is the share of the type's objects",
    )


def print_validation(conformed: Conformed, findings: Sequence[Finding]) -> None:
    """Print the accounting and the findings of one file."""
    print_frame(
        conformed.accounting.group_by("record_kind", maintain_order=True).agg(
            pl.col("read", "accepted", "quarantined").sum()
        ),
        "Accounting",
    )
    print_frame(_reasons(conformed.quarantine), "Quarantined")
    failed = [finding for finding in findings if not finding.passed]
    console = Console(highlight=False)
    console.print(f"{len(findings) - len(failed)} of {len(findings)} checks passed.")
    for finding in failed:
        kind = ("Failed ", "bold red") if finding.severity == "error" else ("Warning ", "bold yellow")
        console.print(Text.assemble(kind, (finding.check, "bold"), f": {finding.message}"))


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Write lists, structs and bytes as text, for formats that hold none: JSON, and hexadecimal digits."""
    frame = without_bytes(frame)
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    texts = [
        pl.Series(name, [None if value is None else _json(value) for value in frame[name].to_list()], dtype=pl.String)
        for name in nested
    ]
    return frame.with_columns(texts)


def without_bytes(frame: pl.DataFrame) -> pl.DataFrame:
    """Write bytes as hexadecimal digits."""
    return frame.with_columns(pl.col(pl.Binary).bin.encode("hex"))


def _json(value: object) -> str:
    import orjson

    return orjson.dumps(value, default=str).decode()


def _command() -> str:
    """Give the command as it can be typed here."""
    started = Path(sys.argv[0])
    if shutil.which("ocelake") or started.name != "ocelake":
        return "ocelake"
    return os.path.relpath(started)


def _reasons(quarantine: pl.DataFrame) -> pl.DataFrame:
    return (
        quarantine.group_by("record_kind", "reason").len("rows").sort("rows", "record_kind", "reason", descending=True)
    )


def _cell(value: object) -> Text:
    if value is None:
        return Text("null", style="dim")
    if isinstance(value, datetime):
        return Text(value.replace(tzinfo=None).isoformat(" "))
    if isinstance(value, bool):
        return Text(str(value).lower())
    if isinstance(value, int):
        return Text(f"{value:,}" if abs(value) < _COUNTABLE else str(value))
    text = str(value)
    return Text(text if len(text) <= _CELL * 4 else text[: _CELL * 4] + "…")
