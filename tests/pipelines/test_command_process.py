"""The command as users start it: a process of its own in a folder that holds only their files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from syncline.pipelines.cli import main; main()"]

GIVE_UP_S = 300.0
"""A command that does not end fails its test after so long: far more than a busy machine needs."""

SENTINEL = "s3nt1nel+Secret/value"

MEMORY = """\
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from syncline.connectors import Records, Secret, SourceBusy, ConfigError
from syncline.pipelines import Pipeline, Stream

COLUMNS = pa.schema([("Id", pa.string()), ("Name", pa.string()), ("At", pa.timestamp("us", "UTC"))])
START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = [{"Id": f"{n:05}", "Name": f"name {n}", "At": START + timedelta(seconds=n)} for n in range(2_000)]


def source(**settings):
    found = Records(slice_rows=500, **settings)
    for name in ("Account", "Contact"):
        found.add(name, COLUMNS, key="Id", cursor="At", deletes="flagged", rows=ROWS)
    return found
"""

PLAIN = (
    MEMORY + 'pipeline = Pipeline("crm", source=source(), streams=["Account", Stream("Contact", on_delete="mark")])\n'
)


def call(folder: Path, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **(environment or {})}
    return subprocess.run([*COMMAND, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=GIVE_UP_S)


def write(folder: Path, text: str) -> None:
    (folder / "pipelines").mkdir(exist_ok=True)
    (folder / "pipelines/crm.py").write_text(text, encoding="utf-8")


def test_help_loads_no_heavy_module(tmp_path: Path) -> None:
    """``syncline --help`` under 0.3 s: what is not imported costs no time. Timed in the benchmarks, not here."""
    script = (
        "import sys; from syncline.pipelines.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pyarrow', 'numpy', 'duckdb', 'rich', 'requests', 'sqlglot', 'obstore', 'dlt', 'simple_salesforce'}\n"
        "heavy |= {'asyncio', 'concurrent', 'email', 'http', 'logging', 'msgspec', 'socket', 'sqlite3', 'ssl'}\n"
        "heavy |= {'tempfile', 'tenacity', 'urllib.request', 'urllib3', 'xml'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=GIVE_UP_S
    )
    assert done.stderr == "[]\n"
    assert "Usage: " in done.stdout


def test_empty_folder_gets_a_hint_and_exit_code_2(tmp_path: Path) -> None:
    done = call(tmp_path, "run", "crm")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"error: find pipeline: crm: there is no pipeline file in {tmp_path}/pipelines\n"
        "  hint: write one with `syncline init`, or go to the folder that holds pipelines/\n"
    )
    assert list(tmp_path.iterdir()) == [], "nothing is created"


def test_whole_journey_in_a_folder_with_one_file(tmp_path: Path) -> None:
    """IDLE-IS-FREE, seen from outside: the second run sends the warehouse nothing."""
    write(tmp_path, PLAIN)
    assert call(tmp_path, "check", "crm").returncode == 0
    first = json.loads(call(tmp_path, "run", "crm", "--json").stdout)
    assert first["status"] == "done"
    assert first["streams"]["Contact"]["inserted"] == 2_000
    second = json.loads(call(tmp_path, "run", "crm", "--json").stdout)
    assert (second["status"], second["warehouse_statements"]) == ("idle", 0)
    status = json.loads(call(tmp_path, "status", "--json").stdout)
    assert [run["status"] for run in status["pipelines"][0]["recent"]] == ["done", "idle"]
    assert {file.name for file in tmp_path.iterdir()} == {".syncline", "crm.duckdb", "pipelines"}


def test_terminal_that_knows_ascii_only_gets_the_report_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, PLAIN)
    narrow = {"PYTHONIOENCODING": "ascii"}
    assert call(tmp_path, "run", "crm", environment=narrow).returncode == 0
    done = call(tmp_path, "status", "crm", environment=narrow)
    assert done.returncode == 0, done.stderr
    assert "last run done" in done.stdout


def test_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    write(tmp_path, PLAIN)
    for words in (["--help"], ["status", "--json"], ["status"]):
        shell = subprocess.Popen(
            [*COMMAND, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert shell.stdout is not None
        assert shell.stderr is not None
        shell.stdout.close()
        assert shell.stderr.read() == ""
        shell.stderr.close()
        shell.wait(timeout=GIVE_UP_S)


FAILING = (
    MEMORY
    + """
token = Secret(os.environ["CRM_TOKEN"])


class Talkative(Records):
    def horizon(self):
        raise ERROR


pipeline = Pipeline("crm", source=Talkative(), streams=["Account"])
"""
)

FAILING_IN_READ = (
    MEMORY
    + """
token = Secret(os.environ["CRM_TOKEN"])


class Talkative(Records):
    def plan(self, stream, window):
        return Extraction(super().plan(stream, window))


class Extraction:
    def __init__(self, inner):
        self.inner, self.forecast, self.warnings = inner, inner.forecast, [f"said {token.reveal()}"]

    def slices(self, resume, remember):
        return self.inner.slices(resume, remember)

    def read(self, slice):
        yield from self.inner.read(slice)
        raise ERROR

    def close(self, outcome, left=None):
        self.inner.close(outcome, left)


records = Talkative(slice_rows=500).add("Account", COLUMNS, key="Id", cursor="At", rows=ROWS)
pipeline = Pipeline("crm", source=records, streams=["Account"])
"""
)


@pytest.mark.parametrize("template", [FAILING, FAILING_IN_READ])
@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        ("SourceBusy('read', 'Account', f'body {token.reveal()}', token.reveal())", 1),
        ("ConfigError('sign in', f'org {token.reveal()}', 'refused')", 2),
        ("RuntimeError(f'unforeseen {token.reveal()}')", 1),
    ],
)
def test_failing_run_leaves_no_secret_behind(tmp_path: Path, template: str, error: str, exit_code: int) -> None:
    """NO-SECRETS: searched for in everything a failing run prints or leaves, whatever a library put into its error."""
    write(tmp_path, template.replace("ERROR", error))
    (tmp_path / ".env").write_text(f"CRM_TOKEN={SENTINEL}\n")
    done = call(tmp_path, "--debug", "run", "crm", "--json")
    assert done.returncode == exit_code, done.stderr
    assert SENTINEL not in done.stdout + done.stderr
    (tmp_path / ".env").unlink()
    left = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name == "state.db" for file in left)
    guilty = [file for file in left if SENTINEL.encode() in file.read_bytes()]
    assert guilty == []


HANGING = (
    MEMORY
    + """
import threading


class Hanging(Records):
    def plan(self, stream, window):
        return Extraction(super().plan(stream, window))

    def close(self):
        closed.set()


class Extraction:
    def __init__(self, inner):
        self.inner, self.forecast, self.warnings, self.close = inner, inner.forecast, [], inner.close

    def slices(self, resume, remember):
        return self.inner.slices(resume, remember)

    def read(self, slice):
        if slice.params["first"]:
            closed.wait()
            raise SourceBusy("read", "Account", "broken off")
        return self.inner.read(slice)


closed = threading.Event()
records = Hanging(slice_rows=500).add("Account", COLUMNS, key="Id", cursor="At", rows=ROWS)
pipeline = Pipeline("crm", source=records, streams=["Account"], workers=1)
"""
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_a_run_cleanly_and_the_next_goes_on(tmp_path: Path, number: int) -> None:
    """The source hangs for ever. The lease is released and the run recorded, so the next run starts at once."""
    write(tmp_path, HANGING)
    process = subprocess.Popen(
        [*COMMAND, "run", "crm", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert any('"slice_landed"' in line for line in process.stderr), "the run ended before it was stopped"
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=GIVE_UP_S)
    finally:
        process.kill()
    assert process.returncode == 1, err
    assert json.loads(out)["status"] == "stopped"
    assert "error: " in err
    write(tmp_path, PLAIN.replace(', Stream("Contact", on_delete="mark")', ""))
    again = call(tmp_path, "run", "crm", "--json")
    assert again.returncode == 0, again.stderr
