"""What a killed proof or rewind left in the system's temporary folder goes with the next one (BOUNDED)."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from syncline.pipelines.aside import landing_aside
from syncline.pipelines.rewind import rewind
from syncline.pipelines.scratch import scratch
from syncline.pipelines.stop import StopSignal
from syncline.pipelines.verify import verify
from syncline.sinks.duckdb import DuckDB
from tests.runner.world import World


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def left(temporary: Path, name: str) -> list[Path]:
    return sorted(temporary.glob(f"syncline-{name}-*"))


def test_a_killed_rewind_s_folder_goes_with_the_next_rewind(world: World, temporary: Path) -> None:
    good = world.watermarks()["Account"][2]
    with ExitStack() as alive:
        elsewhere = world.pipeline(warehouse=DuckDB(str(world.folder / "other.duckdb")))
        for pipeline in (world.pipeline(), elsewhere):
            folder = alive.enter_context(scratch("rewind", pipeline))
            (folder / "then.duckdb").write_bytes(b"customers' records")
        (other,) = [each for each in left(temporary, "rewind") if each == folder]
        rewind(world.pipeline(), to=good, events=world.events, stop=StopSignal(), seams=world.seams())
        assert left(temporary, "rewind") == [other], "another pipeline's may be at work"


def test_a_killed_proof_s_folder_goes_with_the_next_proof(world: World, temporary: Path) -> None:
    with ExitStack() as alive:
        alive.enter_context(landing_aside(world.pipeline()))
        assert len(left(temporary, "verify")) == 1
        assert verify(world.pipeline(), events=world.events, seams=world.seams()).equal
        assert left(temporary, "verify") == []


def test_a_folder_is_its_user_s_alone(world: World, temporary: Path) -> None:
    """NO-SECRETS: a table of customers' records lies in it for a while."""
    with scratch("rewind", world.pipeline()) as folder:
        assert folder.stat().st_mode & 0o077 == 0
