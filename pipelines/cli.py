"""The command. Every import that costs time happens in the command that needs it, so that ``--help`` is quick.

stdout carries the report (a table, or JSON with ``--json``); stderr carries progress, warnings and errors. Exit codes:
0 done, 1 failed (a retry may help), 2 usage or configuration (it won't), 3 another run holds the lease, 4 a guard
stopped it, or ``verify`` found differences.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import click

import syncline
from syncline.connectors.errors import SynclineError
from syncline.connectors.secret import scrub

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.console import LogFormat
    from syncline.pipelines.events import Events
    from syncline.pipelines.pipeline import Pipeline
    from syncline.pipelines.report import RunReport
    from syncline.pipelines.stop import StopSignal

Kind = Literal["run", "plan", "verify", "check", "status", "runs", "starter"]
Command = TypeVar("Command", bound=Callable[..., None])

EXIT_CODES = """\b
Exit codes:
  0  done
  1  failed; a retry may help
  2  wrong usage or configuration; a retry won't help
  3  another run of the pipeline is under way
  4  a guard stopped it (mass delete, quota, counts), or verify found differences
"""


@dataclass(slots=True)
class Session:
    """What the boundary below needs to know about the command that ran. ``failed`` is the report of a failed run."""

    debug: bool = False
    as_json: bool = False
    failed: Mapping[str, Json] | None = None


class Boundary(click.Group):
    """Turns what a command raises into a message and an exit code; the only place that catches everything."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a newcomer's journey."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        session = ctx.ensure_object(Session)
        _write_any_text()
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):
            raise
        except SynclineError as error:
            _show_error(session, error, str(error))
            ctx.exit(error.exit_code)
        except KeyboardInterrupt as error:
            _show_error(session, error, "stopped")
            ctx.exit(1)
        except Exception as error:  # noqa: BLE001
            hint = "" if session.debug else "\n  hint: repeat with --debug to see where; if it stays, report it"
            _show_error(session, error, f"unexpected {type(error).__name__}: {error}{hint}")
            ctx.exit(1)


def _write_any_text() -> None:
    """A terminal that cannot show a sign gets a question mark; a report is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _debug_option(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Session).debug |= value


def _json_option(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Session).as_json |= value


def reporting(command: Command) -> Command:
    """The options of every command that reports: ``--json`` and ``--debug``."""
    debug = click.option(
        "--debug", is_flag=True, expose_value=False, callback=_debug_option, help="Show where an error arose."
    )
    as_json = click.option(
        "--json", is_flag=True, expose_value=False, callback=_json_option, help="Print the report as JSON on stdout."
    )
    return as_json(debug(command))


def following_runs(command: Command) -> Command:
    """The option of every command that takes time."""
    return click.option(
        "--log-format",
        type=click.Choice(["auto", "bars", "json", "quiet"]),
        default="auto",
        help="Progress on stderr: bars, one JSON line per event, or none; auto is bars on a terminal, else json.",
    )(command)


def choosing_streams(required: bool) -> Callable[[Command], Command]:
    return click.option(
        "--stream",
        "streams",
        multiple=True,
        required=required,
        metavar="STREAM",
        help="Only this stream; may be given several times.",
    )


pipeline_argument = click.argument("pipeline", metavar="PIPELINE")


@click.group(cls=Boundary, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(syncline.__version__, prog_name="syncline")
@click.option("--debug", is_flag=True, expose_value=False, callback=_debug_option, help="Show where an error arose.")
def main() -> None:
    """Copy records from SaaS systems into a warehouse, and keep the copy provably true.

    PIPELINE is a name found in ./pipelines/*.py, or a path: file.py, or file.py:name for one of several.
    Settings and secrets come from the environment and from ./.env.
    """


@main.command()
@reporting
@click.pass_obj
def init(session: Session) -> None:
    """Write example pipelines into this folder.

    Also .env.example and a crontab line. Nothing that exists is overwritten.
    """
    from syncline.pipelines.starter import write_starter

    _show(session, "starter", write_starter(Path.cwd()))


@main.command()
@pipeline_argument
@choosing_streams(required=False)
@reporting
@click.pass_context
def check(ctx: click.Context, pipeline: str, streams: Sequence[str]) -> None:
    """Try everything a run needs and name the cures.

    Credentials, permissions, clocks, landing, warehouse and state; exit code 2 if a run would fail.
    """
    from dataclasses import asdict

    from syncline.pipelines.check import check as look

    found = _load(pipeline)
    findings = look(found, streams, datetime.now(UTC))
    healthy = all(finding.level != "error" for finding in findings)
    report = {"pipeline": found.name, "ok": healthy, "findings": [asdict(finding) for finding in findings]}
    _show(ctx.obj, "check", report)
    ctx.exit(0 if healthy else 2)


@main.command()
@pipeline_argument
@choosing_streams(required=False)
@reporting
@click.pass_obj
def plan(session: Session, pipeline: str, streams: Sequence[str]) -> None:
    """Show what a run would do; touch nothing.

    Windows, queries, rows, API calls, columns, DDL.
    """
    from syncline.pipelines.plan import plan as make_plan

    _show(session, "plan", make_plan(_load(pipeline), streams).to_json())


@main.command()
@pipeline_argument
@choosing_streams(required=False)
@click.option("--allow-deletes", is_flag=True, help="Let this run delete more than the pipeline's delete_share_max.")
@following_runs
@reporting
@click.pass_obj
def run(session: Session, pipeline: str, streams: Sequence[str], allow_deletes: bool, log_format: LogFormat) -> None:
    """Sync once: all at first, then what changed."""
    from syncline.pipelines.runner import run as sync

    found = _load(pipeline)
    work = partial(sync, found, streams=streams, allow_deletes=allow_deletes)
    _carry_out(session, found, log_format, lambda events, stop: work(events=events, stop=stop))


@main.command()
@pipeline_argument
@choosing_streams(required=True)
@click.option("--allow-deletes", is_flag=True, help="Let this run delete more than the pipeline's delete_share_max.")
@following_runs
@reporting
@click.pass_obj
def reload(session: Session, pipeline: str, streams: Sequence[str], allow_deletes: bool, log_format: LogFormat) -> None:
    """Read whole streams again.

    Replaces the tables' content in one transaction: readers never see a gap.
    """
    from syncline.pipelines.runner import reload as read_again

    found = _load(pipeline)
    work = partial(read_again, found, streams=streams, allow_deletes=allow_deletes)
    _carry_out(session, found, log_format, lambda events, stop: work(events=events, stop=stop))


@main.command()
@pipeline_argument
@choosing_streams(required=False)
@following_runs
@reporting
@click.pass_context
def verify(ctx: click.Context, pipeline: str, streams: Sequence[str], log_format: LogFormat) -> None:
    """Prove that the tables equal the source.

    Compares keys and all columns, names what differs, and then ends with exit code 4.
    """
    from syncline.pipelines.console import following
    from syncline.pipelines.stop import StopSignal
    from syncline.pipelines.verify import verify as compare

    found = _load(pipeline)
    with following(log_format) as events, StopSignal().installed() as stop:
        report = compare(found, streams=streams, events=events, stop=stop)
    _show(ctx.obj, "verify", report.to_json())
    ctx.exit(0 if report.equal else 4)


@main.command()
@click.argument("pipeline", metavar="[PIPELINE]", required=False)
@reporting
@click.pass_context
def status(ctx: click.Context, pipeline: str | None) -> None:
    """Show watermarks, lag and the last runs.

    Of one pipeline, or of all in ./pipelines. Asks neither source nor warehouse.
    """
    from syncline.pipelines.find import find_pipelines, read_environment
    from syncline.pipelines.history import status_of

    now = datetime.now(UTC)
    if pipeline is not None:
        _show(ctx.obj, "status", {"pipelines": [status_of(_load(pipeline), now)], "errors": []})
        return
    read_environment(Path.cwd())
    found, broken = find_pipelines(Path.cwd())
    states = [status_of(each.pipeline, now) for each in found]
    _show(ctx.obj, "status", {"pipelines": states, "errors": [str(error) for error in broken]})
    ctx.exit(2 if broken else 0)


@main.command()
@pipeline_argument
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, newest first.")
@reporting
@click.pass_obj
def runs(session: Session, pipeline: str, limit: int) -> None:
    """Show the history, one line a run."""
    from syncline.pipelines.history import runs_of

    _show(session, "runs", runs_of(_load(pipeline), limit))


@main.group()
def sandbox() -> None:
    """Run a practice server on this machine.

    It speaks a vendor's protocols and holds made-up records.
    """


@sandbox.command("salesforce")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0 picks a free one.")
@click.option("--rows", type=click.IntRange(0), default=100_000, show_default=True, help="Accounts to make up.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same records.")
def sandbox_salesforce(port: int, rows: int, seed: int) -> None:
    """A practice Salesforce org with made-up customers; any Salesforce client can use it."""
    from syncline.pipelines.practice import serve_salesforce

    serve_salesforce(port, rows, seed)


@main.command()
@click.option("--rows", type=click.IntRange(100), default=200_000, show_default=True, help="Accounts in the org.")
@click.option("--keep", is_flag=True, help="Keep the folder with the landing and the DuckDB file.")
@following_runs
@reporting
@click.pass_context
def demo(ctx: click.Context, rows: int, keep: bool, log_format: LogFormat) -> None:
    """Walk the whole journey in about a minute.

    Full load, changes, incremental run, idle run and reload against a practice org with made-up customers, in a
    temporary folder; then proves, row by row, that the tables equal the org.
    """
    from syncline.pipelines.demo import run_demo

    report = run_demo(rows, keep=keep, log_format=log_format, quiet=ctx.obj.as_json)
    if ctx.obj.as_json:
        _print_json(report)
    ctx.exit(0 if report["proved"] else 1)


def _load(reference: str) -> Pipeline:
    from syncline.pipelines.find import find_pipeline, read_environment

    read_environment(Path.cwd())
    return find_pipeline(reference, Path.cwd())


def _carry_out(
    session: Session, pipeline: Pipeline, log_format: LogFormat, work: Callable[[Events, StopSignal], RunReport]
) -> None:
    from syncline.pipelines.console import following
    from syncline.pipelines.events import LastRun, Several
    from syncline.pipelines.stop import StopSignal

    last = LastRun()
    with following(log_format) as shown, StopSignal().installed() as stop:
        try:
            report = work(Several([shown, last]), stop).to_json()
        except SynclineError:
            session.failed = _recorded(pipeline, last.run_id)
            raise
    _show(session, "run", report)


def _recorded(pipeline: Pipeline, run_id: str | None) -> Mapping[str, Json] | None:
    """The failed run's report, as the runner left it in the state store; the run's own error matters more."""
    try:
        return next((run.report for run in pipeline.state.runs(pipeline.name, 10) if run.run_id == run_id), None)
    except SynclineError:
        return None


def _show(session: Session, kind: Kind, report: Mapping[str, Json]) -> None:
    if session.as_json:
        _print_json(report)
        return
    from syncline.pipelines import tables
    from syncline.pipelines.console import console_on

    getattr(tables, f"print_{kind}")(console_on(sys.stdout), report)


def _print_json(report: Mapping[str, Json]) -> None:
    click.echo(scrub(json.dumps(report, indent=2, ensure_ascii=False, default=str)))


def _show_error(session: Session, error: BaseException, text: str) -> None:
    if session.debug:
        click.echo(scrub(trace(error)), err=True)
    click.echo(f"{click.style('error', fg='red')}: {scrub(text)}", err=True)
    if session.as_json:
        _print_json({**(session.failed or {"status": "failed"}), "error": describe(error)})


def describe(error: BaseException) -> dict[str, Json]:
    """The error for ``--json``; ``exit_code`` is the command's."""
    if isinstance(error, SynclineError):
        parts = {name: getattr(error, name) for name in ("operation", "object", "cause", "hint")}
        return {"kind": type(error).__name__, **parts, "exit_code": error.exit_code}
    return {"kind": type(error).__name__, "cause": str(error), "exit_code": 1}


def trace(error: BaseException) -> str:
    """The traceback without source lines: a line of the user's file may hold a secret that nothing has wrapped yet."""
    import traceback

    parts: list[str] = []
    each: BaseException | None = error
    while each is not None:
        frames = traceback.extract_tb(each.__traceback__)
        lines = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        parts.append("\n".join([f"{type(each).__name__}: {each}", *lines]))
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return "\ncaused by ".join(parts)
