from pathlib import Path

import pytest

from tests.runner.world import Clock, World, make_world


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> World:
    """Synced, and settled: what is looked at afterwards was stamped before the watermark."""
    made = make_world(tmp_path, clock)
    made.run()
    return made
