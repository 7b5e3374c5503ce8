"""The run's own process lost while workers read: as any crash of a run; checkpoints, resume, no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.executor.conftest import Desk
from tests.executor.shelf import PATIENCE_S, Arrival, go

REPOSITORY = Path(__file__).parents[2]

SCRIPT = """\
import sys
from datetime import datetime
from pathlib import Path

from syncline.pipelines import Pipeline, runner
from syncline.pipelines.context import Seams
from syncline.sinks import DuckDB, Landing
from syncline.state import SqliteState
from tests.executor.shelf import Shelf


class Silent:
    def emit(self, event):
        pass


if __name__ == "__main__":
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


def start(desk: Desk, executor: str) -> subprocess.Popen[bytes]:
    script = desk.folder / "sync.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([sys.executable, str(script), str(desk.folder), executor], env=environment)


def lose_and_resume(desk: Desk, executor: str) -> None:
    """Kills the run while two workers hold the last two slices, and runs it again."""
    table = desk.fill("Account", 40)
    driver: list[subprocess.Popen[bytes]] = []
    at_the_end = threading.Barrier(3)

    def decide(arrival: Arrival) -> None:
        if arrival.slice < "Account-0020":
            go(arrival)
            return
        at_the_end.wait(PATIENCE_S)
        arrival.wait_end()

    with desk.gate(decide):
        driver.append(start(desk, executor))
        at_the_end.wait(PATIENCE_S)
        driver[0].kill()
        assert driver[0].wait(PATIENCE_S) == -signal.SIGKILL
    desk.clock.advance(minutes=5)  # the dead run's lease has expired
    with desk.gate(go) as gate:
        report = desk.run(desk.pipeline(executor=executor))
    assert report.resumed, "VALUE-RESUME"
    assert sorted(gate.slices_read()) == ["Account-0020", "Account-0030"]
    desk.require_equal(table)
    desk.require_landed_once()


@pytest.mark.checkout
def test_a_killed_run_takes_its_workers_with_it_and_the_next_one_goes_on(desk: Desk) -> None:
    lose_and_resume(desk, "processes")
