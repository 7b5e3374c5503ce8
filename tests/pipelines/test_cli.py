"""The command: reports on stdout, all else on stderr, exit codes by the class of the error, no secret anywhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from syncline.connectors.connector import Window
from syncline.connectors.errors import (
    CommitUnknown,
    ConfigError,
    CountMismatch,
    LeaseHeld,
    MassDelete,
    QuotaReached,
    SignInError,
    SourceBusy,
    Stopped,
    SynclineError,
)
from syncline.connectors.secret import Secret
from syncline.pipelines.events import Event, Events
from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.report import RunReport
from syncline.sinks.warehouse import RowCounts
from syncline.state.store import RunRecord
from tests.pipelines.doubles import CRM, NOW, Folder

COMMANDS = ("init", "check", "plan", "run", "reload", "verify", "status", "runs", "sandbox", "demo")


@dataclass
class Runner:
    """Stands in for the runner; ``error`` is what a run raises, ``act`` what it does first."""

    error: BaseException | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    act: Callable[[Events], None] = lambda events: None

    def run(self, pipeline: Pipeline, **options: Any) -> RunReport:
        self.calls.append(options)
        report = report_of(pipeline.name)
        options["events"].emit(Event("run_started", NOW, {"run_id": report.run_id, "pipeline": pipeline.name}))
        self.act(options["events"])
        if self.error is not None:
            if isinstance(self.error, SynclineError):
                report.fail(self.error, "failed")
            pipeline.state.record(
                RunRecord(report.run_id, pipeline.name, report.status, NOW, report.finished_at, report.to_json())
            )
            raise self.error
        options["events"].emit(Event("run_finished", NOW, {"run_id": report.run_id, "status": "done"}))
        return report


def report_of(pipeline: str) -> RunReport:
    report = RunReport("20260504T120000Z-1", pipeline, NOW, status="done", finished_at=NOW + timedelta(seconds=2.5))
    report.api_calls, report.warehouse_statements = 12, 1234
    stream = report.stream("Account")
    stream.window = Window(None, NOW)
    stream.api, stream.announced, stream.read, stream.landed = "bulk", 2000, 2000, 2000
    stream.counts = RowCounts(staged=2000, inserted=1500, updated=500)
    stream.warnings.append("deletes may have been missed, run verify")
    report.stream("Contact").api = "rest"
    return report


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    stub = Runner()
    for name, function in (("scheduled", "run_scheduled"), ("runner", "reload")):
        module = ModuleType(f"syncline.pipelines.{name}")
        setattr(module, function, stub.run)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return stub


@pytest.fixture
def crm(folder: Folder) -> Folder:
    folder.write("pipelines/crm.py", CRM)
    return folder


def test_run_prints_a_table_of_counts(crm: Folder, runner: Runner) -> None:
    result = crm.call("run", "crm", "--log-format", "quiet")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "crm: done in 2.5 s, run 20260504T120000Z-1"
    account = next(line for line in lines if line.strip().startswith("Account")).split()
    assert account == [
        "Account",
        "bulk",
        "the",
        "beginning",
        "2026-05-04",
        "12:00:00Z",
        "2,000",
        "2,000",
        "2,000",
        "2,000",
        "1,500",
        "500",
        "0",
    ]
    assert "12 API calls, 1,234 warehouse statements" in lines
    assert "warning: Account: deletes may have been missed, run verify" in lines


def test_json_prints_exactly_the_report(crm: Folder, runner: Runner) -> None:
    result = crm.call("run", "crm", "--json", "--log-format", "quiet")
    assert json.loads(result.stdout) == report_of("crm").to_json()


def test_without_a_terminal_progress_is_one_json_line_an_event(crm: Folder, runner: Runner) -> None:
    result = crm.call("run", "crm", "--json")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert [event["event"] for event in events] == ["run_started", "run_finished"]
    assert events[0] == {
        "event": "run_started",
        "at": "2026-05-04T12:00:00.000000Z",
        "run_id": "20260504T120000Z-1",
        "pipeline": "crm",
    }


def test_bars_go_to_stderr_and_leave_stdout_to_the_report(crm: Folder, runner: Runner) -> None:
    def act(events: Events) -> None:
        events.emit(Event("stream_planned", NOW, {"stream": "Account", "api": "bulk", "rows_expected": 2000}))
        events.emit(Event("rows_read", NOW, {"stream": "Account", "rows": 2000}))
        events.emit(Event("stream_landed", NOW, {"stream": "Account", "rows": 2000}))

    runner.act = act
    result = crm.call("run", "crm", "--json", "--log-format", "bars")
    assert "Account" in result.stderr
    assert "2,000 rows" in result.stderr
    assert json.loads(result.stdout)["status"] == "done"


def test_options_reach_the_runner(crm: Folder, runner: Runner) -> None:
    crm.call("run", "crm", "--stream", "Account", "--stream", "Contact", "--allow-deletes")
    crm.call("reload", "crm", "--stream", "Account")
    first, second = runner.calls
    assert (first["streams"], first["allow_deletes"]) == (("Account", "Contact"), True)
    assert (second["streams"], second["allow_deletes"]) == (("Account",), False)


def test_reload_without_a_stream_is_a_usage_error(crm: Folder, runner: Runner) -> None:
    result = crm.call("reload", "crm")
    assert result.exit_code == 2
    assert "Missing option '--stream'" in result.stderr
    assert not runner.calls


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (SourceBusy, 1),
        (CommitUnknown, 1),
        (CountMismatch, 4),
        (Stopped, 1),
        (ConfigError, 2),
        (SignInError, 2),
        (LeaseHeld, 3),
        (MassDelete, 4),
        (QuotaReached, 4),
    ],
)
def test_exit_code_follows_the_class_of_the_error(
    crm: Folder, runner: Runner, kind: type[SynclineError], exit_code: int
) -> None:
    runner.error = kind("read Bulk page", "Account, locator X", "it was cut short", "run again")
    result = crm.call("run", "crm", "--log-format", "quiet")
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr == "error: read Bulk page: Account, locator X: it was cut short\n  hint: run again\n"


def test_failed_run_prints_its_recorded_report_as_json(crm: Folder, runner: Runner) -> None:
    runner.error = MassDelete("merge", "Account", "it would delete 900 of 1,000 rows", "look, then --allow-deletes")
    result = crm.call("run", "crm", "--json", "--log-format", "quiet")
    report = json.loads(result.stdout)
    assert result.exit_code == 4
    assert report["run_id"] == "20260504T120000Z-1"
    assert report["streams"]["Account"]["read"] == 2000
    assert report["error"]["kind"] == "MassDelete"
    assert report["error"]["exit_code"] == 4


def test_command_that_fails_before_a_run_still_prints_json(folder: Folder) -> None:
    result = folder.call("run", "crm", "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert report["status"] == "failed"
    assert report["error"]["hint"].startswith("write one with `syncline init`")


def test_unforeseen_error_is_short_without_debug_and_traced_with_it(crm: Folder, runner: Runner) -> None:
    runner.error = ZeroDivisionError("division by zero")
    short = crm.call("run", "crm", "--log-format", "quiet")
    assert short.exit_code == 1
    assert short.stderr.startswith("error: unexpected ZeroDivisionError: division by zero\n  hint: repeat with --debug")
    for words in (("--debug", "run", "crm"), ("run", "crm", "--debug")):
        traced = crm.call(*words, "--log-format", "quiet")
        assert "test_cli.py:" in traced.stderr
        assert "in run" in traced.stderr


def test_interrupt_outside_a_run_is_no_traceback(crm: Folder, runner: Runner) -> None:
    runner.error = KeyboardInterrupt()
    result = crm.call("run", "crm", "--log-format", "quiet")
    assert result.exit_code == 1
    assert result.stderr == "error: stopped\n"


SENTINEL = "s3nt1nel/+Secret value"


@pytest.mark.parametrize("words", [("--debug", "run", "crm"), ("run", "crm", "--json"), ("run", "crm")])
@pytest.mark.parametrize("kind", [RuntimeError, ConfigError])
def test_no_secret_reaches_the_screen(
    crm: Folder, runner: Runner, kind: type[Exception], words: tuple[str, ...]
) -> None:
    Secret(SENTINEL)
    cause = ValueError(f"body: client_secret={SENTINEL}")
    runner.error = RuntimeError(SENTINEL) if kind is RuntimeError else ConfigError("sign in", "org", SENTINEL, SENTINEL)
    runner.error.__cause__ = cause
    runner.act = lambda events: events.emit(Event("warning", NOW, {"text": f"retry {SENTINEL}", "stream": "Account"}))
    result = crm.call(*words)
    assert "***" in result.stderr
    assert SENTINEL not in result.stderr + result.stdout, "NO-SECRETS"


def test_no_secret_of_the_environment_or_the_file_reaches_the_screen(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", SENTINEL + "1")
    folder.write(".env", f"OTHER_PASSWORD='{SENTINEL}2'\n")
    folder.write(
        "pipelines/crm.py",
        "import os\n"
        f"literal = dict(password='{SENTINEL}3')\n"
        "names = ['MY_API_TOKEN', 'OTHER_PASSWORD']\n"
        "def sign_in(password): raise RuntimeError('refused ' + ''.join(os.environ[name] for name in names))\n"
        f"sign_in(password='{SENTINEL}3')\n",
    )
    result = folder.call("--debug", "run", "crm", "--json")
    monkeypatch.delenv("OTHER_PASSWORD")
    assert result.exit_code == 2
    assert "RuntimeError: refused ******" in result.stderr
    assert "crm.py:5" in result.stderr
    assert SENTINEL not in result.stderr + result.stdout, "NO-SECRETS"


def test_help_lists_every_command_in_the_order_of_a_journey(folder: Folder) -> None:
    text = folder.call("--help").output
    places = [text.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert "Exit codes:" in text
    assert "..." not in text.partition("Commands:")[2], "no description is cut off"


@pytest.mark.parametrize("words", [("run",), ("run", "crm", "--nope"), ("fly",), ("runs", "crm", "--limit", "0")])
def test_wrong_usage_exits_with_2(crm: Folder, words: tuple[str, ...]) -> None:
    result = crm.call(*words)
    assert result.exit_code == 2
    assert "Usage: syncline" in result.stderr


def test_misspelt_command_suggests_the_right_one(crm: Folder) -> None:
    said = crm.call("relaod", "crm").stderr
    assert "Did you mean" in said
    assert "'reload'" in said
