"""State in a bucket: the suite in memory and over HTTP, lost replies, races, clocks, damage and bounds."""

from __future__ import annotations

import pytest
from obstore.store import MemoryStore

from syncline.state.conformance import ManualClock, OpenStore, StateConformance
from syncline.state.object_store import ObjectStoreState


class TestObjectStoreStateInMemory(StateConformance):
    @pytest.fixture
    def open_store(self, clock: ManualClock) -> OpenStore:
        store = MemoryStore()
        return lambda: ObjectStoreState.over(store, clock=clock)
