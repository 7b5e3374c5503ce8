"""``status`` and ``runs``: what the state store remembers, as JSON and as tables."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from syncline.pipelines.history import picture, run_of, runs_of, status_of
from syncline.pipelines.tables import span
from syncline.state.store import Remembered, RunRecord, RunStatus
from tests.pipelines.doubles import CRM, NOW, Folder, StubState, stub_pipeline


def run(number: int, status: RunStatus, landed: int = 0) -> RunRecord:
    streams = {"Account": {"read": landed + 1, "landed": landed, "inserted": landed, "deleted": 1, "absent": 2}}
    report = {"kind": "run", "api_calls": 3, "warehouse_statements": 4, "streams": streams, "warnings": ["odd"]}
    started = NOW + timedelta(minutes=number)
    return RunRecord(f"run-{number}", "crm", status, started, started + timedelta(seconds=9), report)


RUNS = [run(3, "idle"), run(2, "failed"), run(1, "done", 500)]
MARKS = {"Account": Remembered(NOW, 7, "run-1", checkpoint={"run_id": "x"})}


def test_status_gives_watermark_lag_and_what_is_unfinished() -> None:
    status = status_of(stub_pipeline(state=StubState(RUNS, MARKS)), NOW + timedelta(minutes=5))
    assert status["streams"]["Account"] == {
        "watermark": "2026-05-04T12:00:00.000000Z",
        "lag_s": 300.0,
        "version": 7,
        "rows_last_run": 0,
        "unfinished": True,
    }
    assert status["streams"]["Contact"]["watermark"] is None
    assert status["last_run"]["status"] == "idle"
    assert status["last_run"]["age_s"] == 111.0
    assert status["last_success_at"] == "2026-05-04T12:03:09.000000Z"
    assert status["recent"][0] == {"status": "done", "rows": 500}


def test_lag_is_never_negative_when_the_sources_clock_is_ahead() -> None:
    status = status_of(stub_pipeline(state=StubState(RUNS, MARKS)), NOW - timedelta(hours=1))
    assert status["streams"]["Account"]["lag_s"] == 0
    assert status["last_run"]["age_s"] == 0


def test_pipeline_that_never_ran_has_a_status() -> None:
    status = status_of(stub_pipeline(), NOW)
    assert (status["last_run"], status["recent"], status["last_success_at"]) == (None, [], None)


def test_history_sums_the_streams_of_a_run() -> None:
    line = run_of(run(1, "done", 500))
    assert (line["read"], line["inserted"], line["deleted"], line["api_calls"], line["statements"]) == (
        501,
        500,
        3,
        3,
        4,
    )
    assert line["warnings"] == ["odd"]


def test_history_is_limited_and_newest_first() -> None:
    runs = runs_of(stub_pipeline(state=StubState(RUNS)), 2)["runs"]
    assert [each["run_id"] for each in runs] == ["run-3", "run-2"]


def test_report_of_a_killed_run_is_shown_as_far_as_it_goes() -> None:
    line = run_of(replace(run(1, "running"), finished_at=None, report={}))
    assert (line["finished_at"], line["read"], line["error"]) == (None, 0, None)


def test_picture_shows_sizes_and_troubles() -> None:
    recent = [{"status": "done", "rows": rows} for rows in (1_000_000, 500_000, 62_500, 3, 0)]
    recent += [{"status": status, "rows": 0} for status in ("idle", "failed", "stopped", "guarded", "running")]
    assert picture(recent) == "█▇▄▁▁·✗■!…"
    assert picture([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_spans_are_readable(seconds: float, text: str) -> None:
    assert span(seconds) == text


SEEN = CRM.replace(
    "stub_pipeline()",
    "stub_pipeline(state=StubState(RUNS, MARKS))\n",
).replace(
    "import stub_pipeline", "import StubState, stub_pipeline\nfrom tests.pipelines.test_history import MARKS, RUNS"
)


def test_status_command_shows_every_pipeline_and_the_broken_files(folder: Folder) -> None:
    folder.write("pipelines/crm.py", SEEN)
    folder.write("pipelines/wrong.py", "1 / 0\n")
    result = folder.call("status")
    assert result.exit_code == 2
    assert "crm  █✗·  last run idle" in result.stdout
    assert "2026-05-04 12:00:00Z" in result.stdout
    assert "pipelines/wrong.py:1: ZeroDivisionError" in result.stdout
    report = json.loads(folder.call("status", "crm", "--json").stdout)
    assert report["pipelines"][0]["streams"]["Account"]["version"] == 7


def test_runs_command_prints_one_line_a_run(folder: Folder) -> None:
    folder.write("pipelines/crm.py", SEEN)
    lines = [line.split() for line in folder.call("runs", "crm", "--limit", "2").stdout.splitlines()]
    assert [line[0] for line in lines if line and line[0].startswith("run-")] == ["run-3", "run-2"]
    assert len(json.loads(folder.call("runs", "crm", "--json").stdout)["runs"]) == 3


def test_runs_command_says_when_there_are_none(folder: Folder) -> None:
    folder.write("pipelines/crm.py", CRM)
    assert "crm never ran; start it with `syncline run crm`" in folder.call("runs", "crm").stdout


def test_run_that_never_ended_counts_as_killed_once_another_of_its_kind_came() -> None:
    """The lease lets one run at a time: the older of two that say "running" is dead."""
    reload = replace(run(4, "running"), report={"kind": "reload"})
    runs = runs_of(stub_pipeline(state=StubState([run(5, "running"), reload, run(3, "running")])), 9)["runs"]
    assert [each["status"] for each in runs] == ["running", "running", "killed"]


def test_a_rewind_that_never_ended_counts_as_killed_once_a_run_came() -> None:
    """It holds the lease of a run from beginning to end; nobody may ever rewind again."""
    killed = replace(run(3, "running"), report={"kind": "rewind"})
    runs = runs_of(stub_pipeline(state=StubState([run(4, "done"), killed, run(2, "running")])), 9)["runs"]
    assert [each["status"] for each in runs] == ["done", "killed", "killed"]
