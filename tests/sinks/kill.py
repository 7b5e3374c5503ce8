"""Runs in a process of its own: commits a run again and again, each time on a fresh copy, and is killed each time.

``python kill.py FOLDER`` makes ``FOLDER/old.duckdb`` (before the run) and ``FOLDER/new.duckdb`` (after it), and one
``FOLDER/killed-<n>.duckdb`` for every statement ``n`` of the commit, left behind by a process that got SIGKILL just
before it; then some ``FOLDER/timed-<n>.duckdb`` of processes that an alarm ended somewhere within COMMIT.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.compute
import pyarrow.parquet

from syncline.sinks import duckdb_commit, duckdb_upkeep, slice_writer, staging, targets
from syncline.sinks.landing import Landing
from syncline.sinks.trial import Change, Trial, at, record, tombstone
from tests.sinks.connections import Tap, ignore
from tests.sinks.houses import DuckDBHouse

LOADED_BEFORE_FORKING = (pyarrow.compute, pyarrow.parquet, duckdb_commit, duckdb_upkeep, slice_writer, staging, targets)

ROWS = 400
TIMED = 6
ALARM_STEP_S = 0.0005
STREAMS = ("Account", "Contact")


def before(folder: Path) -> None:
    trial = Trial(DuckDBHouse(folder / "old.duckdb"), Landing(str(folder / "landing-0")))
    rows = [record(f"{number:04}") for number in range(ROWS)]
    trial.run(*(Change(rows, stream=name, high=at(10)) for name in STREAMS))


def change() -> list[Change]:
    rows = [record(f"{number:04}", "new", 5) for number in range(0, ROWS * 2, 2)]
    gone = [tombstone("0001", 5), tombstone("0003", 5)]
    return [Change(rows, gone, stream=name, high=at(20)) for name in STREAMS]


def commit(folder: Path, name: str, hook: Callable[[int, str], None]) -> None:
    """Commits the change on a copy; the hook sees each statement of the commit and its position."""
    shutil.copy(folder / "old.duckdb", folder / f"{name}.duckdb")
    tap = Tap()
    house = DuckDBHouse(folder / f"{name}.duckdb", settings={"connect": tap.connect})
    trial = Trial(house, Landing(str(folder / f"landing-{name}")))
    warehouse = house.open()
    unit = trial.stage(warehouse, *change())
    first = len(tap.statements)
    tap.before = lambda statement: hook(len(tap.statements) - first - 1, statement)
    warehouse.commit(unit)
    tap.before = ignore
    warehouse.close()


def forked(work: Callable[[], None]) -> int:
    """Runs in a child and returns how it ended: 0 or the signal."""
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    work()
    os._exit(0)


def pass_by(now: int, statement: str) -> None:
    """The hook that kills nobody."""


def kill_at(position: int) -> Callable[[int, str], None]:
    def hook(now: int, statement: str) -> None:
        if now == position:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def alarm_in(delay_s: float) -> Callable[[int, str], None]:
    def hook(now: int, statement: str) -> None:
        if statement == "COMMIT":
            signal.setitimer(signal.ITIMER_REAL, delay_s)

    return hook


def main(folder: Path) -> None:
    assert forked(partial(before, folder)) == 0
    assert forked(partial(commit, folder, "new", pass_by)) == 0
    position = cut = 0
    while forked(partial(commit, folder, f"killed-{position}", kill_at(position))) == signal.SIGKILL:
        position += 1
    for number in range(TIMED):
        ended = forked(partial(commit, folder, f"timed-{number}", alarm_in(ALARM_STEP_S * (number + 1))))
        assert ended in (0, signal.SIGALRM), ended
        cut += ended == signal.SIGALRM
    print(position, cut)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
