"""The run's own process lost while workers read: as any crash of a run; checkpoints, resume, no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.executor.conftest import Desk
from tests.executor.shelf import PATIENCE_S, Arrival, go

REPOSITORY = Path(__file__).parents[2]

SCRIPT = """\
import sys
from datetime import datetime
from pathlib import Path

from syncline.pipelines import Pipeline, executor, runner
from syncline.pipelines.context import Seams
from syncline.sinks import DuckDB, Landing
from syncline.state import SqliteState
from tests.executor.shelf import Shelf


class Silent:
    def emit(self, event):
        pass


if __name__ == "__main__":
    executor.HERE_ROWS_MAX = -1
    folder = Path(sys.argv[1])
    now = datetime.fromisoformat((folder / "now").read_text())
    pipeline = Pipeline(
        "crm",
        source=Shelf(str(folder)),
        streams=["Account"],
        landing=Landing(str(folder / "landing")),
        warehouse=DuckDB(str(folder / "crm.duckdb")),
        state=SqliteState(folder / "state.db", clock=lambda: now),
        workers=2,
        executor=sys.argv[2],
    )
    runner.run(pipeline, events=Silent(), seams=Seams(clock=lambda: now))
"""


def start(desk: Desk) -> subprocess.Popen[bytes]:
    script = desk.folder / "sync.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([sys.executable, str(script), str(desk.folder), desk.executor], env=environment)


def lose_and_resume(desk: Desk, then: Callable[[Arrival], None]) -> None:
    """Kills the run while two workers hold the last two slices; ``then`` befalls those; and runs it again."""
    table = desk.fill("Account", 40)
    held, killed = threading.Barrier(3), threading.Event()

    def decide(arrival: Arrival) -> None:
        if arrival.slice < "Account-0020" or killed.is_set():
            go(arrival)
            return
        held.wait(PATIENCE_S)
        killed.wait(PATIENCE_S)
        then(arrival)

    with desk.gate(decide):
        driver = start(desk)
        held.wait(PATIENCE_S)
        driver.kill()
        assert driver.wait(PATIENCE_S) == -signal.SIGKILL
        killed.set()
    desk.clock.advance(minutes=5)  # the dead run's lease has expired
    with desk.gate(go) as gate:
        report = desk.run()
    assert report.resumed, "VALUE-RESUME"
    assert sorted(gate.slices_read()) == ["Account-0020", "Account-0030"]
    desk.require_equal(table)
    named = desk.manifest().files
    assert len({entry.slice for entry in named}) == len(named) == 4, "SEALED-MANIFEST"


@pytest.mark.checkout
def test_a_killed_run_takes_its_workers_with_it_and_the_next_one_goes_on(desk: Desk) -> None:
    lose_and_resume(desk, Arrival.wait_end)
    desk.require_landed_once()
