"""What the commands share: options, loading a pipeline, showing a report or an error, and the one catch-all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from syncline.connectors.errors import SynclineError
from syncline.connectors.secret import scrub, scrubbed

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.pipeline import Pipeline

Kind = Literal["run", "plan", "verify", "check", "status", "runs", "starter", "evidence", "replay", "maintenance"]
TABLES: Mapping[Kind, str] = {
    "verify": "verify_tables",
    "evidence": "evidence_tables",
    "replay": "replay_tables",
    "maintenance": "maintenance_tables",
}
"""The module that prints a kind of report, where it is not ``tables``."""

Command = TypeVar("Command", bound=Callable[..., None])


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
            show_error(session, error, str(error))
            ctx.exit(error.exit_code)
        except KeyboardInterrupt as error:
            show_error(session, error, "stopped")
            ctx.exit(1)
        except Exception as error:  # noqa: BLE001
            hint = "" if session.debug else "\n  hint: repeat with --debug to see where; if it stays, report it"
            show_error(session, error, f"unexpected {type(error).__name__}: {error}{hint}")
            ctx.exit(1)


def _write_any_text() -> None:
    """A terminal that cannot show a sign gets a question mark; a report is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def debug_option(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Session).debug |= value


def _json_option(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Session).as_json |= value


def reporting(command: Command) -> Command:
    """The options of every command that reports: ``--json`` and ``--debug``."""
    debug = click.option(
        "--debug", is_flag=True, expose_value=False, callback=debug_option, help="Show where an error arose."
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


def load(reference: str) -> Pipeline:
    from syncline.pipelines.find import find_pipeline, read_environment

    read_environment(Path.cwd())
    return find_pipeline(reference, Path.cwd())


def show(session: Session, kind: Kind, report: Mapping[str, Json]) -> None:
    if session.as_json:
        print_json(report)
        return
    from importlib import import_module

    from syncline.pipelines.console import console_on

    tables = import_module(f"syncline.pipelines.{TABLES.get(kind, 'tables')}")
    getattr(tables, f"print_{kind}")(console_on(sys.stdout), report)


def print_json(report: Mapping[str, Json]) -> None:
    click.echo(json.dumps(scrubbed(report), indent=2, ensure_ascii=False))


def show_error(session: Session, error: BaseException, text: str) -> None:
    if session.debug:
        click.echo(scrub(trace(error)), err=True)
    click.echo(f"{click.style('error', fg='red')}: {scrub(text)}", err=True)
    if session.as_json:
        print_json({**(session.failed or {"status": "failed"}), "error": describe(error)})


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
