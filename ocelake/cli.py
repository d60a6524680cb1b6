"""The `ocelake` command: thin, every command is one library call or one Dagster run.

Exit codes: 0 fine (quarantined rows included), 1 a file is refused or a blocking check failed, 2 the call is wrong.
Engines are imported by the command that needs them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ocelake import errors
from ocelake.kinds import Kind

if TYPE_CHECKING:
    import polars as pl

    from ocelake.lake import Lake
    from ocelake.ocel.model import Ocel

__all__ = ["app", "main"]

app = typer.Typer(
    name="ocelake",
    help="An object-centric process mining lakehouse: any event log to checked, versioned OCEL 2.0 tables and models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
logs_app = typer.Typer(help="List the logs, or add one.", invoke_without_command=True)
app.add_typer(logs_app, name="logs")

LogArgument = Annotated[str, typer.Argument(help="The log's name.", show_default=False)]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="A time (ISO 8601) or a publication id: read the tables as they were then."),
]
_WRONG_CALL = (errors.SettingError, errors.NotFound, errors.QueryRefused)


class Format(StrEnum):
    """How `sql` prints its rows."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


class MessageFormat(StrEnum):
    """How `produce` writes its messages."""

    json = "json"
    avro = "avro"
    protobuf = "protobuf"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print the rows.")]
TypesOption = Annotated[list[str] | None, typer.Option("--type", help="These object types alone (repeat).")]


def main() -> NoReturn:
    """Run the command line; a domain error becomes a message and an exit code, a traceback only with ``--debug``."""
    try:
        app()
    except errors.OcelakeError as error:
        if "--debug" in sys.argv:
            raise
        _fail(error)
    except Exception as error:  # the boundary: a person gets one message, and how to see the rest
        if "--debug" in sys.argv:
            raise
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        _fail(errors.OcelakeError(what, fix="Run it again with `ocelake --debug ...` for the traceback."))
    raise SystemExit(0)


@app.callback()
def _options(
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of all state (default: OCELAKE_HOME, else .ocelake)."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if home is not None:
        os.environ["OCELAKE_HOME"] = str(home.expanduser().resolve())
    if debug and "--debug" not in sys.argv:  # called from Python
        sys.argv.append("--debug")


@app.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="A log file, a folder of its tables, or a folder of logs.")],
    log: Annotated[
        str | None,
        typer.Option("--log", help="The log to add to (default: made from the file's name)."),
    ] = None,
) -> None:
    """Land a file or folder, and build the log's tables and process from it through Dagster."""
    from ocelake.console import print_ingested, run_progress
    from ocelake.landing import land, log_id_for, sources
    from ocelake.ocel.detect import detect
    from ocelake.ocel.input import Input
    from ocelake.run import run_graph

    settings = _settings()
    landed: dict[str, list[Path]] = {}
    problems: list[errors.OcelakeError] = []
    for source in sources(path):
        log_id = log or log_id_for(source)
        settings.log(log_id)  # a wrong settings file is told before anything is copied
        try:
            detect(Input(source))
        except errors.LogRefused as refusal:
            problems.append(errors.LogRefused(refusal.what, where=str(source), fix=refusal.fix))
        else:
            landed.setdefault(log_id, []).append(land(source, settings.landing, log_id))
    for log_id, files in landed.items():
        with run_progress(log_id) as progress:
            outcome = run_graph(log_id, [file.name for file in files], progress.step)
        problems += outcome.problems
        lake = _lake()
        if lake.latest(log_id, "gold"):
            print_ingested(lake, log_id, progress.seconds, outcome.warnings)
    for problem in problems[:-1]:
        _tell(problem)
    if problems:
        raise problems[-1]


@logs_app.callback()
def logs(context: typer.Context) -> None:
    """List the logs with their newest publications."""
    if context.invoked_subcommand is None:
        from ocelake.console import print_logs
        from ocelake.run import logs_registered

        print_logs(_lake(), logs_registered())


@logs_app.command("add")
def add_log(
    log: LogArgument,
    time_zone: Annotated[
        str | None,
        typer.Option(help="Zone of times that have none (UTC at first)."),
    ] = None,
    undeclared_objects: Annotated[
        str | None,
        typer.Option(help="quarantine (at first), or infer."),
    ] = None,
    ties: Annotated[
        str | None,
        typer.Option(help="Order of equal times: id (at first), or position."),
    ] = None,
) -> None:
    """Register a log (its Dagster partition and landing folder), or change how it is read."""
    from pydantic import ValidationError

    from ocelake.run import register_log
    from ocelake.settings import LogSettings, check_log_id

    settings = _settings()
    path = settings.home / "logs" / f"{check_log_id(log)}.yaml"
    given = {"time_zone": time_zone, "undeclared_objects": undeclared_objects, "ties": ties}
    changes = {name: value for name, value in given.items() if value is not None}
    try:
        chosen = LogSettings.model_validate({**LogSettings.load(path).model_dump(), **changes})
    except ValidationError as error:
        problems = "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise errors.SettingError(f"The log's settings are wrong: {problems}.", where=log) from error
    chosen.save(path)
    folder = settings.landing / log
    folder.mkdir(parents=True, exist_ok=True)
    register_log(log)
    typer.echo(f"Log {log} is registered; put its files into {folder}")


@app.command()
def stream(
    topics: Annotated[
        list[str] | None, typer.Argument(help="Topics (default: those of logs/<log>.stream.yaml).")
    ] = None,
    log: Annotated[
        str | None, typer.Option("--log", help="The log to add to (default: named as the first topic).")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Consumer group that shares the partitions (default: ocelake-<log>).")
    ] = None,
    format: Annotated[str | None, typer.Option(help="json (at first), avro, protobuf or prices.")] = None,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="Publish after so many messages (200,000 at first) ...")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option(help="... or so many seconds (2 at first).")] = None,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="End once every partition was read to its end.")
    ] = False,
    skip_lost: Annotated[
        bool, typer.Option("--skip-lost", help="Go on after messages that expired before they were read.")
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Tell Prometheus how it goes, on this port (0: any).")
    ] = None,
    metrics_address: Annotated[str, typer.Option(help="Listen there, such as on 0.0.0.0.")] = "127.0.0.1",
) -> None:
    """Read topics into a log, exactly once, and keep silver and gold up with it, until SIGTERM or Ctrl-C."""
    from ocelake.live import stream_log

    if metrics_port is not None:
        from ocelake.metrics import serve

        port = serve(metrics_port, metrics_address).server_port
        typer.echo(f"Metrics are at http://{metrics_address}:{port}/metrics")
    given = {
        "topics": tuple(topics or ()) or None,
        "format": format,
        "max_rows": max_rows,
        "max_seconds": max_seconds,
    }
    stream_log(
        _lake(),
        log,
        {name: value for name, value in given.items() if value is not None},
        group=group,
        until_caught_up=until_caught_up,
        skip_lost=skip_lost,
    )


@app.command()
def export(
    log: LogArgument,
    out: Annotated[Path, typer.Argument(help="OUT.json, OUT.xml or OUT.sqlite (OCEL 2.0).")],
    as_of: AsOfOption = None,
) -> None:
    """Write a log as an OCEL 2.0 file."""
    from ocelake.ocel.write import SUFFIXES, lost_on_export, write_log

    _writable(out, *SUFFIXES)
    ocel = _lake().ocel(log, as_of=as_of)
    write_log(ocel, out)
    typer.echo(f"Wrote {out} ({out.stat().st_size:,} bytes)")
    for lost in lost_on_export(ocel):
        typer.echo(f"Note: {lost}")


@app.command()
def tables() -> None:
    """List the tables with what a row is, and how many there are."""
    from ocelake.console import print_tables

    print_tables(_lake())


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT statement, over the tables that `ocelake tables` lists.")],
    output: FormatOption = Format.table,
    as_of: AsOfOption = None,
) -> None:
    """Query the tables with SQL (DuckDB, read only)."""
    lake = _lake()
    lake.moment(as_of)  # a wrong moment is told, also where the query reads no table
    frame = lake.sql(query, as_of=as_of)
    _print(frame, output)


@app.command()
def history(table: Annotated[str, typer.Argument(help="As in SQL, such as ocel.events.")]) -> None:
    """List the publications that changed a table."""
    from ocelake.console import print_frame

    print_frame(_lake().history(table), f"history of {table}")


@app.command()
def quarantine(log: LogArgument, rows: Annotated[int, typer.Option(help="How many rows to show.")] = 20) -> None:
    """Show what of a log was not accepted, and why."""
    from ocelake.console import print_quarantine

    lake = _lake()
    _known(lake, log)
    print_quarantine(lake, log, rows)


@app.command()
def validate(
    path: Annotated[Path, typer.Argument(help="A log file, or a folder of its tables.")],
    log: Annotated[
        str | None,
        typer.Option("--log", help="Read it with this log's settings (default: none)."),
    ] = None,
) -> None:
    """Read a file without a lake, and say what is accepted, what is not, and what its checks find."""
    from ocelake.console import print_validation
    from ocelake.lake.audits import audit_silver, blocking
    from ocelake.ocel.read import read_log
    from ocelake.settings import LogSettings

    settings = _settings().log(log) if log else LogSettings()
    conformed = read_log(_existing(path), settings)
    findings = audit_silver(conformed, settings)
    print_validation(conformed, findings)
    if blocking(findings):
        raise typer.Exit(1)


@app.command()
def generate(
    out: Annotated[Path, typer.Argument(help="OUT.json, OUT.xml or OUT.sqlite (OCEL 2.0).")],
    events: Annotated[int, typer.Option(min=1, help="About how many events.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal logs.")] = 1,
    bad_records: Annotated[bool, typer.Option("--bad-records", help="Add a few broken records (JSON only).")] = False,
) -> None:
    """Generate an order-to-cash log."""
    from ocelake.ocel.generate import generate as generate_log
    from ocelake.ocel.generate import write_demo_log
    from ocelake.ocel.write import SUFFIXES, write_log

    _writable(out, *SUFFIXES)
    if bad_records:
        if out.suffix != ".json":
            raise typer.BadParameter("--bad-records needs OUT.json")
        write_demo_log(out, events, seed)
    else:
        write_log(generate_log(events, seed), out)
    typer.echo(f"Wrote {out} ({out.stat().st_size:,} bytes)")


@app.command()
def produce(
    log: Annotated[str, typer.Argument(help="A log of the lake, or a log file.", show_default=False)],
    topic: Annotated[
        str,
        typer.Argument(
            help="The topic; created where it is not there, but by an embedded broker, which is given its topics.",
            show_default=False,
        ),
    ],
    rate: Annotated[float | None, typer.Option(min=0.001, help="Messages a second (else as fast as can be).")] = None,
    speed: Annotated[float | None, typer.Option(min=0.001, help="Seconds of the log in one second.")] = None,
    output: Annotated[MessageFormat, typer.Option("--format", help="How a message is written.")] = MessageFormat.json,
    partitions: Annotated[int | None, typer.Option(min=1, help="Of a new topic (3 at first).")] = None,
) -> None:
    """Replay a log into a Kafka topic, in time order."""
    from ocelake.stream.client import broker_guard, ensure_topic
    from ocelake.stream.encode import encoder, messages
    from ocelake.stream.produce import at_once, at_rate, at_speed
    from ocelake.stream.produce import produce as send
    from ocelake.stream.settings import KafkaSettings

    if rate is not None and speed is not None:
        raise errors.SettingError("--rate and --speed exclude each other.", fix="Give one of them.")
    pace = at_rate(rate) if rate is not None else at_speed(speed) if speed is not None else at_once
    settings, ocel = KafkaSettings.load(), _ocel(log)
    broker_guard(settings).call(ensure_topic, settings, topic, partitions)
    sent = send(settings, topic, messages(ocel, encoder(output, topic, settings)), pace=pace)
    typer.echo(
        f"Sent {sent.messages:,} messages ({sent.size:,} bytes) to {topic!r} in {sent.seconds:.1f} s,"
        f" {sent.messages / sent.seconds:,.0f} a second"
    )


@app.command()
def broker(topics: Annotated[list[str], typer.Argument(help="Topics to have.", show_default=False)]) -> None:
    """Be a Kafka broker to try things out, until SIGTERM or Ctrl-C; writes its address.

    It is in memory: it keeps about 5 MB a partition, and loses everything at its end.
    """
    from ocelake.live import serve_broker

    serve_broker(topics)


@app.command()
def draw(
    kind: Annotated[Kind, typer.Argument(help="What to draw.")],
    log: LogArgument,
    out: Annotated[Path, typer.Argument(help="OUT.svg; OUT.html for the slider.")],
    coverage: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Share of the flow to show (OC-DFG), or of the objects to mine from (OCPN)."
        ),
    ] = None,
    types: TypesOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Draw a log's process: as SVG, or as a page with a slider over the coverage."""
    from ocelake.pictures import draw_log

    lake = _lake()
    _known(lake, log)
    _writable(out, ".html" if kind is Kind.slider else ".svg")
    svg = draw_log(kind, lake, log, object_types=types, coverage=coverage, as_of=as_of)
    out.write_text(svg, encoding="utf-8")
    typer.echo(f"Wrote {out} ({out.stat().st_size:,} bytes)")


@app.command()
def model(
    log: LogArgument,
    out: Annotated[Path, typer.Argument(help="OUT.json (the whole model) or OUT.pnml (the net of one type).")],
    object_type: Annotated[str | None, typer.Option("--type", help="The object type, for PNML.")] = None,
    as_of: AsOfOption = None,
) -> None:
    """Write a log's current object-centric Petri net."""
    from ocelake.exchange import write_model

    lake = _lake()
    _known(lake, log)
    _writable(out, ".json", ".pnml")
    write_model(lake, log, out, object_type=object_type, as_of=as_of)
    typer.echo(f"Wrote {out} ({out.stat().st_size:,} bytes)")


@app.command()
def sublog(
    log: LogArgument,
    out: Annotated[Path, typer.Argument(help="OUT.json, OUT.xml or OUT.sqlite (OCEL 2.0).")],
    types: TypesOption = None,
    activities: Annotated[list[str] | None, typer.Option("--activity", help="Keep these activities (repeat).")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Keep events from this time on (ISO 8601).")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Keep events before this time.")] = None,
    objects: Annotated[
        list[str] | None, typer.Option("--with", help="Keep the executions with one of these objects (repeat).")
    ] = None,
    sample: Annotated[int | None, typer.Option(min=0, help="Draw so many executions.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
    drill_down: Annotated[
        tuple[str, str] | None, typer.Option(metavar="TYPE ATTRIBUTE", help="Split an object type by an attribute.")
    ] = None,
    unfold: Annotated[
        tuple[str, str] | None, typer.Option(metavar="ACTIVITY TYPE", help="Split an activity by an object type.")
    ] = None,
    as_of: AsOfOption = None,
) -> None:
    """Write a part of a log, or a finer view of it, as a log of its own."""
    from ocelake.lake.records import parse_time
    from ocelake.mining import explore
    from ocelake.ocel.write import SUFFIXES, write_log

    _writable(out, *SUFFIXES)
    part = explore.select_log(
        _lake().ocel(log, as_of=as_of),
        object_types=types,
        activities=activities,
        start=parse_time(start) if start else None,
        end=parse_time(end) if end else None,
        executions_with=objects,
        sample=sample,
        seed=seed,
    )
    if drill_down:
        part = explore.drill_down(part, *drill_down)
    if unfold:
        part = explore.unfold(part, *unfold)
    write_log(part, out)
    typer.echo(f"Wrote {out}: {part.events.height:,} events, {part.objects.height:,} objects")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A log or a silver publication, and @FROM/TO for a part of its time.")],
    after: Annotated[str, typer.Argument(help="Likewise.")],
    everything: Annotated[bool, typer.Option("--all", help="Show what is the same as well.")] = False,
    output: FormatOption = Format.table,
) -> None:
    """Compare two processes: what appeared, vanished, became more or less frequent, faster or slower."""
    from ocelake.compare import compare_processes
    from ocelake.console import print_changes

    found = compare_processes(_lake(), before, after)
    if not everything:
        found = found.filter(~(found["occurrence"].eq("same") & found["duration"].fill_null("same").eq("same")))
    if output is Format.table:
        print_changes(found)
    else:
        _print(found, output)


@app.command()
def train(log: LogArgument) -> None:
    """Train and judge the models of a log, promote what is good enough, and predict what is running."""
    from ocelake.console import print_results, run_progress
    from ocelake.run import run_job

    lake = _lake()
    _known(lake, log)
    with run_progress(log) as progress:
        outcome = run_job("training_job", log, progress.step)
    if lake.latest(log, "models"):
        print_results(lake, log, outcome.warnings)
    for problem in outcome.problems[:-1]:
        _tell(problem)
    if outcome.problems:
        raise outcome.problems[-1]


@app.command()
def predict(
    log: LogArgument,
    thing: Annotated[str, typer.Argument(metavar="OBJECT", help="The object's id.", show_default=False)],
    output: FormatOption = Format.table,
) -> None:
    """Say what is to be expected of an object, as of its last event, and why."""
    from ocelake.console import print_prediction
    from ocelake.predict import predict_object
    from ocelake.registry import open_registry

    lake = _lake()
    _known(lake, log)
    found = predict_object(lake, open_registry(lake.settings), log, thing)
    if output is Format.table:
        print_prediction(found)
    else:
        _print(found, output)


@app.command()
def rules(
    log: LogArgument,
    rows: Annotated[int, typer.Option(min=0, help="How many violations to show.")] = 20,
    as_of: AsOfOption = None,
) -> None:
    """Show how a log keeps its rules (logs/<log>.rules.yaml), and what violates them."""
    from ocelake.console import print_rules

    lake = _lake()
    _known(lake, log)
    print_rules(lake, log, rows, as_of=as_of)


def _print(frame: pl.DataFrame, output: Format) -> None:
    from ocelake.console import as_text, print_frame, without_bytes

    if output is Format.table:
        print_frame(frame)
    elif output is Format.csv:
        sys.stdout.write(as_text(frame).write_csv())
    elif output is Format.json:
        sys.stdout.write(without_bytes(frame).write_json() + "\n")
    else:
        frame.write_parquet(sys.stdout.buffer)


def _settings() -> Any:
    from ocelake.settings import LakeSettings

    return LakeSettings.load()


def _lake() -> Lake:
    from ocelake.lake import open_lake

    return open_lake()


def _ocel(log: str) -> Ocel:
    """Read a log of the lake, or a log file."""
    if Path(log).exists():
        from ocelake.ocel.read import read_log

        return read_log(log).ocel
    return _lake().ocel(log)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise errors.NotFound("There is no such file or folder.", where=str(path), fix="Check the path.")
    return path


def _writable(out: Path, *suffixes: str) -> None:
    if out.suffix not in suffixes:
        raise typer.BadParameter(f"{out} has to end in {', '.join(suffixes)}")
    if not out.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.parent}")


def _known(lake: Lake, log: str) -> None:
    if log not in lake.logs():
        known = ", ".join(lake.logs()) or "none yet"
        raise errors.NotFound(f"There is no log {log!r}.", fix=f"Logs: {known}.")


def _fail(error: errors.OcelakeError) -> NoReturn:
    _tell(error)
    raise SystemExit(2 if isinstance(error, _WRONG_CALL) else 1)


def _tell(error: errors.OcelakeError) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    console.print(Text(error.what, style="bold red"))
    if error.where:
        console.print(Text(f"  where: {error.where}"))
    if error.fix:
        console.print(Text(f"  do:    {error.fix}"))
