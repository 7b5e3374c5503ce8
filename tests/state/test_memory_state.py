"""The reference implementation passes the suite first."""

import pytest

from syncline.state.conformance import ManualClock, OpenStore, StateConformance
from syncline.state.memory import MemoryState


class TestMemoryState(StateConformance):
    @pytest.fixture
    def open_store(self, clock: ManualClock) -> OpenStore:
        store = MemoryState(clock=clock)
        return lambda: store
