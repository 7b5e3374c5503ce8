"""Two processes, as on two hosts, that share one state, one landing and one warehouse; one sleeps past its lease.

The sleeper stops in the middle of its run (SIGSTOP), its lease runs out, another process finishes its work and goes on,
and then the sleeper wakes. FENCED-COMMIT: whatever it still does, the copy is what the newest run made it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from syncline.pipelines import runner
from syncline.pipelines.context import Seams
from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.report import RunReport
from syncline.sinks.landing import Landing
from syncline.sinks.postgres import Postgres
from syncline.state import PostgresState
from tests.executor.conftest import START, Desk
from tests.executor.shelf import PATIENCE_S, Shelf
from tests.servers.postgres import PgAddress

SLEEPER = """\
import os
import signal
import sys

from syncline.connectors.errors import SynclineError
from tests.executor.test_two_hosts import pipeline_of, run

class SleepsAt:
    slept = False

    def emit(self, event):
        if event.name == sys.argv[3] and not self.slept:
            self.slept = True
            os.kill(os.getpid(), signal.SIGSTOP)

try:
    print(run(pipeline_of(sys.argv[1], sys.argv[2]), SleepsAt()).status)
except SynclineError as error:
    print(type(error).__name__, error)
"""


def pipeline_of(folder: str, dsn: str) -> Pipeline:
    return Pipeline(
        "crm",
        source=Shelf(folder),
        streams=["Account"],
        landing=Landing(f"{folder}/landing"),
        warehouse=Postgres(dsn, "crm", names="exact"),
        state=PostgresState(dsn, schema="state"),
        workers=1,
    )


class Silent:
    def emit(self, event: Any) -> None:
        pass


def run(pipeline: Pipeline, events: Any) -> RunReport:
    return runner.run(pipeline, events=events, seams=Seams())


class Host:
    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder, self.dsn = folder, dsn

    def ask(self, statement: sql.SQL) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def names(self) -> list[tuple[str, str]]:
        return self.ask(sql.SQL('SELECT "Id", "Name" FROM crm."Account" ORDER BY 1'))

    def mark(self) -> tuple[Any, ...]:
        [mark] = self.ask(sql.SQL("SELECT watermark, version, run_id FROM crm._syncline_watermarks"))
        return mark

    def fall_asleep(self, event: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": ":".join(each or "." for each in sys.path)}
        command = [sys.executable, "-c", SLEEPER, str(self.folder), self.dsn, event]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "it ended before it fell asleep"
        return process

    def run_out(self) -> None:
        """So much time goes by that the sleeper's lease ends."""
        self.ask(sql.SQL("UPDATE state.leases SET until = clock_timestamp()"))


@pytest.mark.parametrize("event", ["rows_read", "slice_landed", "stream_landed", "table_loaded"])
def test_a_run_that_sleeps_past_its_lease_and_wakes_changes_nothing(
    desk: Desk, pg_database: PgAddress, event: str
) -> None:
    """FENCED-COMMIT, SEALED-MANIFEST, NEWEST-WINS."""
    host = Host(desk.folder, pg_database.dsn)
    desk.fill("Account", 25)
    sleeper = host.fall_asleep(event)
    try:
        host.run_out()
        desk.clock.advance(hours=1)
        table = desk.fill("Account", 27, changed=(25, 26))
        newer = pipeline_of(str(desk.folder), host.dsn)
        assert run(newer, Silent()).resumed, "VALUE-RESUME: it goes on with what the sleeper had begun"
        truth, mark = host.names(), host.mark()
        assert truth == list(zip(table["Id"].to_pylist(), table["Name"].to_pylist(), strict=True))
        assert mark[0] == START + timedelta(hours=1)
        sleeper.send_signal(signal.SIGCONT)
        said, _ = sleeper.communicate(timeout=PATIENCE_S)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert said.startswith(("DataError seal manifest", "idle")), said
    assert host.names() == truth
    assert host.mark() == mark, "FENCED-COMMIT"
    last = run(newer, Silent())
    assert last.status in ("idle", "done")
    assert host.names() == truth
    landing = newer.landing
    for run_id in landing.sealed("crm", "Account"):
        manifest = landing.find("crm", "Account", run_id)
        assert manifest is not None
        assert all((desk.folder / "landing" / entry.path).is_file() for entry in manifest.files)
