"""SQLite state: the suite, several processes, kills and damage."""

from pathlib import Path

import pytest

from syncline.state.conformance import ManualClock, OpenStore, StateConformance
from syncline.state.sqlite import SqliteState


class TestSqliteState(StateConformance):
    @pytest.fixture
    def open_store(self, tmp_path: Path, clock: ManualClock) -> OpenStore:
        return lambda: SqliteState(tmp_path / "deep" / "state.db", clock=clock)
