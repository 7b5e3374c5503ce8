"""The command. Every import that costs time happens in the command that needs it, so that ``--help`` is quick.

stdout carries the report (a table, or JSON with ``--json``); stderr carries progress, warnings and errors. Exit codes:
0 done, 1 failed (a retry may help), 2 usage or configuration (it won't), 3 another run holds the lease, 4 a guard
stopped it, or ``verify`` found differences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

import syncline
from syncline.connectors.errors import SynclineError
from syncline.pipelines.cli_landing import landing
from syncline.pipelines.cli_maintain import maintain
from syncline.pipelines.cli_parts import (
    Boundary,
    Session,
    choosing_streams,
    debug_option,
    following_runs,
    load,
    pipeline_argument,
    print_json,
    reporting,
    show,
)
from syncline.pipelines.cli_replay import replay, rewind
from syncline.pipelines.cli_verify import verify

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.console import LogFormat
    from syncline.pipelines.events import Events
    from syncline.pipelines.pipeline import Pipeline
    from syncline.pipelines.report import RunReport
    from syncline.pipelines.stop import StopSignal

EXIT_CODES = """\b
Exit codes:
  0  done
  1  failed; a retry may help
  2  wrong usage or configuration; a retry won't help
  3  another run of the pipeline is under way
  4  a guard stopped it (mass delete, quota, counts), or verify found differences
"""


@click.group(cls=Boundary, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(syncline.__version__, prog_name="syncline")
@click.option("--debug", is_flag=True, expose_value=False, callback=debug_option, help="Show where an error arose.")
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

    show(session, "starter", write_starter(Path.cwd()))


@main.command()
@pipeline_argument
@choosing_streams(required=False)
@click.option("--show-setup", is_flag=True, help="Print what an administrator of the warehouse runs; check nothing.")
@reporting
@click.pass_context
def check(ctx: click.Context, pipeline: str, streams: Sequence[str], show_setup: bool) -> None:
    """Try everything a run needs and name the cures.

    Credentials, permissions, clocks, landing, warehouse and state; exit code 2 if a run would fail.
    """
    from dataclasses import asdict

    from syncline.pipelines.check import check as look
    from syncline.pipelines.check import setup_of

    found = load(pipeline)
    if show_setup:
        text = setup_of(found)
        if ctx.obj.as_json:
            print_json({"pipeline": found.name, "setup": text})
        else:
            click.echo(text or "this warehouse needs no setting up", nl=not text)
        return
    findings = look(found, streams, datetime.now(UTC))
    healthy = all(finding.level != "error" for finding in findings)
    report = {"pipeline": found.name, "ok": healthy, "findings": [asdict(finding) for finding in findings]}
    show(ctx.obj, "check", report)
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

    show(session, "plan", make_plan(load(pipeline), streams).to_json())


@main.command()
@pipeline_argument
@choosing_streams(required=False)
@click.option("--allow-deletes", is_flag=True, help="Let this run delete more than the pipeline's delete_share_max.")
@following_runs
@reporting
@click.pass_obj
def run(session: Session, pipeline: str, streams: Sequence[str], allow_deletes: bool, log_format: LogFormat) -> None:
    """Sync once: all at first, then what changed.

    Streams for which a proof is due (verify_every) are compared with the source afterwards, and mended.
    """
    from syncline.pipelines.scheduled import run_scheduled as sync

    found = load(pipeline)
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

    found = load(pipeline)
    work = partial(read_again, found, streams=streams, allow_deletes=allow_deletes)
    _carry_out(session, found, log_format, lambda events, stop: work(events=events, stop=stop))


main.add_command(verify)
main.add_command(replay)
main.add_command(rewind)


@main.command()
@click.argument("pipeline", metavar="[PIPELINE]", required=False)
@click.option("--cost", is_flag=True, help="Ask the warehouse what its account was billed in the last 7 days.")
@reporting
@click.pass_context
def status(ctx: click.Context, pipeline: str | None, cost: bool) -> None:
    """Show watermarks, lag and the last runs.

    Of one pipeline, or of all in ./pipelines. Asks neither source nor warehouse, but for --cost.
    """
    from syncline.pipelines.costs import cost_of
    from syncline.pipelines.find import find_pipelines, read_environment
    from syncline.pipelines.history import status_of

    now = datetime.now(UTC)

    def state(one: Pipeline) -> dict[str, Json]:
        return status_of(one, now) | ({"cost": cost_of(one)} if cost else {})

    if pipeline is not None:
        show(ctx.obj, "status", {"pipelines": [state(load(pipeline))], "errors": []})
        return
    read_environment(Path.cwd())
    found, broken = find_pipelines(Path.cwd())
    states = [state(each.pipeline) for each in found]
    show(ctx.obj, "status", {"pipelines": states, "errors": [str(error) for error in broken]})
    ctx.exit(2 if broken else 0)


@main.command()
@pipeline_argument
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, newest first.")
@click.option(
    "--show",
    "run_id",
    default=None,
    metavar="RUN",
    help="All evidence of one run: queries, versions, counts, checksums.",
)
@reporting
@click.pass_obj
def runs(session: Session, pipeline: str, limit: int, run_id: str | None) -> None:
    """Show the history, one line a run."""
    from syncline.pipelines.evidence import evidence_of
    from syncline.pipelines.history import runs_of

    if run_id is not None:
        show(session, "evidence", evidence_of(load(pipeline), run_id))
        return
    show(session, "runs", runs_of(load(pipeline), limit))


main.add_command(landing)
main.add_command(maintain)


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
        print_json(report)
    ctx.exit(0 if report["proved"] else 1)


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
    show(session, "run", report)


def _recorded(pipeline: Pipeline, run_id: str | None) -> Mapping[str, Json] | None:
    """The failed run's report, as the runner left it in the state store; the run's own error matters more."""
    try:
        return next((run.report for run in pipeline.state.runs(pipeline.name, 10) if run.run_id == run_id), None)
    except SynclineError:
        return None
