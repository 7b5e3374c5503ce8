"""A process killed at any point of a commit leaves the old state or the new one, never a mix (ONE-TRANSACTION)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

ROOT = Path(__file__).parents[2]


def state(path: Path) -> tuple[Any, ...]:
    with duckdb.connect(str(path)) as connection:
        return tuple(
            connection.execute(query).fetchall()
            for query in (
                'SELECT "Id", "Name", "Stamp" FROM "Account" ORDER BY ALL',
                'SELECT "Id", "Name", "Stamp" FROM "Contact" ORDER BY ALL',
                "SELECT stream, version, watermark, run_id FROM _syncline_watermarks ORDER BY ALL",
                "SELECT run_id FROM _syncline_runs ORDER BY ALL",
            )
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill")
    command = [sys.executable, "-m", "tests.sinks.kill", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    reached, cut = map(int, done.stdout.split())
    assert reached > 15, "few statements were reached"
    assert cut, "no process was ended within COMMIT"
    return folder


def test_a_kill_before_any_statement_leaves_the_old_state_one_transaction(folder: Path) -> None:
    old, new = state(folder / "old.duckdb"), state(folder / "new.duckdb")
    assert old != new
    killed = {path.stem: path for path in folder.glob("killed-*.duckdb")}
    after = [name for name, path in killed.items() if state(path) != old]
    # Only what was sent after COMMIT may find the new state: dropping the staging, upkeep, and the run nobody killed.
    assert all(state(killed[name]) == new for name in after)
    assert len(after) == 1 + 2 * 3 + 1, "of each stream three statements, and one for both"
    assert len(killed) > 15


def test_a_kill_within_commit_leaves_one_state_or_the_other_one_transaction(folder: Path) -> None:
    old, new = state(folder / "old.duckdb"), state(folder / "new.duckdb")
    ends = [state(path) for path in folder.glob("timed-*.duckdb")]
    assert len(ends) == 6
    assert all(end in (old, new) for end in ends)
