"""Bars and tables: what a person sees, taken from the same events and documents as the JSON."""

from __future__ import annotations

import io
import json
import threading
from typing import Any, TextIO

import pytest
from rich.console import Console

from syncline.pipelines import tables, verify_tables
from syncline.pipelines.bars import Bars
from syncline.pipelines.console import console_on
from syncline.pipelines.events import Event, JsonLines, LastRun, Quiet, Several
from tests.pipelines.doubles import NOW


def event(name: str, **fields: Any) -> Event:
    return Event(name, NOW, fields)


def seen(*events: Event) -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    with Bars(console) as bars:
        for each in events:
            bars.emit(each)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


PLANNED = event("stream_planned", stream="Account", api="bulk", rows_expected=2_000)


def test_bar_shows_rows_of_those_announced() -> None:
    text = seen(PLANNED, event("rows_read", stream="Account", rows=1_500))
    assert "Account" in text
    assert "1,500 / 2,000 rows" in text
    assert "reading (bulk)" in text


def test_bar_without_an_announced_count_shows_what_was_read() -> None:
    planned = event("stream_planned", stream="Lead", api="rest", rows_expected=None)
    assert "1,500 rows" in seen(planned, event("rows_read", stream="Lead", rows=1_500))


def test_bar_ends_full_and_says_how_far_the_rows_got() -> None:
    landed = [PLANNED, event("stream_landed", stream="Account", rows=1_990)]
    assert "1,990 rows" in seen(*landed)
    assert "landed" in seen(*landed)
    assert "committed" in seen(*landed, event("table_loaded", stream="Account"), event("committed", stream="Account"))
    assert "nothing new" in seen(PLANNED, event("stream_landed", stream="Account", rows=0))


def test_a_proof_says_what_it_does_while_nothing_is_read() -> None:
    landed = [PLANNED, event("stream_landed", stream="Account", rows=1_990)]
    staged = [*landed, event("stream_staged", stream="Account", rows=1_990)]
    assert "comparing" in seen(*staged)
    paused = [*staged, event("proof_paused", stream="Account", wait_s=61.0)]
    assert "waiting 61 s for deletions to be told" in seen(*paused)
    assert "compared" in seen(*paused, event("stream_compared", stream="Account", rows=1_990))
    counted = seen(event("stream_counted", stream="Account", rows=1_990, differences=0))
    assert "1,990 rows" in counted
    assert "counted" in counted


def test_merged_runs_are_counted() -> None:
    merged = [event("runs_merged", stream="Account", runs=runs, of=12, rows=100) for runs in (5, 4)]
    assert "9 / 12 runs" in seen(*merged)


def test_warnings_are_printed_above_the_bars() -> None:
    assert "warning: Account: odd" in seen(PLANNED, event("warning", stream="Account", text="odd"))
    assert "warning: odd" in seen(event("warning", text="odd"))


def test_a_pause_that_is_long_enough_to_be_noticed_is_explained() -> None:
    fields = {"operation": "query", "object": "Account", "cause": "the org is busy", "attempt": 3}
    said = seen(PLANNED, event("request_retried", wait_s=42.4, **fields))
    assert "attempt 3 failed, the next in 42 s: query: Account: the org is busy" in said
    assert "busy" not in seen(PLANNED, event("request_retried", wait_s=0.8, **fields))


def test_events_that_bars_do_not_know_are_ignored() -> None:
    seen(event("warehouse_connected"), event("brand_new", stream="Account"), event("run_finished", status="done"))


def test_bars_count_right_from_many_threads() -> None:
    console = Console(file=io.StringIO(), width=160)
    with Bars(console) as bars:
        bars.emit(PLANNED)

        def work() -> None:
            for _ in range(100):
                bars.emit(event("rows_read", stream="Account", rows=1))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "400 / 2,000 rows" in console.file.getvalue()  # type: ignore[attr-defined]


def test_output_without_a_terminal_is_wide_and_has_no_colours() -> None:
    console = console_on(io.StringIO())
    console.print("x" * 300, style="red")
    assert console.file.getvalue() == "x" * 300 + "\n"  # type: ignore[attr-defined]


def test_json_lines_are_whole_lines_and_leave_out_what_is_for_bars() -> None:
    file = io.StringIO()
    lines = JsonLines(file)
    lines.emit(event("rows_read", stream="Account", rows=1))
    lines.emit(event("slice_landed", stream="Käse", note='a "b"\n', event="hidden", at="hidden"))
    assert [json.loads(line) for line in file.getvalue().splitlines()] == [
        {"event": "slice_landed", "at": "2026-05-04T12:00:00.000000Z", "stream": "Käse", "note": 'a "b"\n'}
    ]


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_log_whose_reader_went_away_does_not_stop_the_run() -> None:
    lines = JsonLines(Gone())
    lines.emit(event("run_started"))
    lines.emit(event("run_finished"))


def test_json_lines_stay_whole_from_many_threads() -> None:
    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            return sum(super(Slow, self).write(letter) for letter in text)

    file: TextIO = Slow()
    lines = JsonLines(file)
    threads = [threading.Thread(target=lines.emit, args=(event("e", n=n),)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(json.loads(line)["n"] for line in file.getvalue().splitlines()) == list(range(50))  # type: ignore[attr-defined]


def test_last_run_is_the_one_that_started_last() -> None:
    last, quiet = LastRun(), Quiet()
    both = Several([quiet, last])
    assert last.run_id is None
    for run_id in ("a", "b"):
        both.emit(event("run_started", run_id=run_id))
    both.emit(event("run_finished", run_id="a"))
    assert last.run_id == "b"


def printed(kind: str, report: dict[str, Any]) -> str:
    file = io.StringIO()
    module = verify_tables if kind == "verify" else tables
    getattr(module, f"print_{kind}")(console_on(file), report)
    return file.getvalue()


def stream(**counts: Any) -> dict[str, Any]:
    window = {"low": "2026-05-04T11:50:00.000000Z", "high": "2026-05-04T12:00:00.000000Z"}
    return {"window": window, "api": "rest", "read": 0, "landed": 0, "warnings": [], **counts}


def run_report(**streams: dict[str, Any]) -> dict[str, Any]:
    return {
        "run_id": "r1",
        "pipeline": "crm",
        "status": "done",
        "started_at": "2026-05-04T12:00:00Z",
        "finished_at": "2026-05-04T12:01:30Z",
        "api_calls": 3,
        "warehouse_statements": 0,
        "resumed": ["r0"],
        "streams": streams,
        "warnings": ["of the run"],
    }


def test_run_table_shows_windows_sums_and_only_counts_that_matter() -> None:
    text = printed("run", run_report(Account=stream(read=5, moot=2), Contact=stream(read=1_000)))
    assert "crm: done in 90.0 s, run r1" in text
    assert "2026-05-04 11:50:00Z   2026-05-04 12:00:00Z" in text
    assert "moot" in text
    assert "superseded" not in text
    assert "1,005" in next(line for line in text.splitlines() if line.startswith("all streams"))
    assert "went on with what run r0 had left unfinished" in text
    assert "warning: of the run" in text


def test_run_table_of_one_stream_has_no_sum() -> None:
    assert "all streams" not in printed("run", run_report(Account=stream()))


def test_run_that_failed_early_prints_without_streams() -> None:
    report = {**run_report(), "finished_at": None, "status": "failed"}
    assert printed("run", report).startswith("crm: failed in -, run r1")


def test_plan_shows_query_columns_and_what_is_left_out() -> None:
    each = {
        **stream(),
        "target": "Account",
        "on_delete": "delete",
        "mode": "changes",
        "query": "SELECT Id FROM Account",
        "rows": None,
        "calls": 2,
        "key": ["Id"],
        "cursor": None,
        "columns": {"Id": "string", "Name": "string"},
        "left_out": {"Photo": "base64"},
        "ddl": ["add column Name string to Account"],
        "notes": ["a note"],
    }
    text = printed("plan", {"pipeline": "crm", "streams": {"Account": each}})
    for part in (
        "SELECT Id FROM Account",
        "not known before reading",
        "Id, Name",
        "Photo (base64)",
        "add column Name",
        "a note",
        "nothing was read, written or created",
    ):
        assert part in text


def test_verify_names_the_differences() -> None:
    counts = {"rows_source": 10, "rows_target": 9, "missing": 1, "extra": 0, "stale": 0, "different": 1}
    examples = [{"kind": "different", "key": ("001A",), "columns": ("Name",)}, {"kind": "missing", "key": ("001B",)}]
    streams = {"Account": {**counts, "equal": False, "examples": examples}, "Contact": {**counts, "equal": True}}
    text = printed("verify", {"streams": streams, "warnings": []})
    assert "Account 001A: different in Name" in text
    assert "Account 001B: missing" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("Contact ")] == ["equal"]


def test_verify_draws_a_stream_s_time_in_cells() -> None:
    low, high = "2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"
    cells = [{"low": low, "high": high, "state": state} for state in ("equal", "different", "empty", "equal")]
    text = printed("verify", {"streams": {"Account": {"equal": False, "buckets": cells}}})
    assert "Account  ■✗·■  before 2026-05-01 00:00:00Z to 2026-05-02 00:00:00Z" in text


def test_verify_claims_no_more_than_was_looked_at() -> None:
    sampled = {"equal": True, "keys_share": 1.0, "rows_share": 0.05, "pending": 3, "rechecked": 2}
    text = printed("verify", {"streams": {"Account": sampled, "Contact": {"equal": True, "level": "counts"}}})
    assert "key and cursor of 100% of rows compared, every column of 5.0%; 3 pending, for the next run; 2 gone" in text
    assert "Contact: counts and newest cursors by time agree; no row was compared" in text


@pytest.mark.parametrize("text", ["2026-05-04T12:00:00.123456Z", "0001-01-01T00:00:00+00:00", "odd"])
def test_instants_are_shortened_or_left_alone(text: str) -> None:
    assert tables.instant(text, "-") in ("2026-05-04 12:00:00Z", "0001-01-01 00:00:00Z", "1-01-01 00:00:00Z", "odd")
