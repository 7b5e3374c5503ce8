from pathlib import Path

import pytest

from tests.runner.world import Clock, World, make_world


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> World:
    return make_world(tmp_path, clock)
