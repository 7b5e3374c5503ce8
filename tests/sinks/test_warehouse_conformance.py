"""Every warehouse passes the same laws."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.sinks.conformance import WarehouseConformance
from syncline.sinks.conformance_compare import ComparerLaws
from syncline.sinks.conformance_doubles import DoublesLaws
from syncline.sinks.conformance_history import RunHistoryLaws
from syncline.sinks.conformance_maintain import MaintainerLaws
from syncline.sinks.trial import House
from tests.sinks.houses import DuckDBHouse, MemoryHouse


class TestMemory(WarehouseConformance, ComparerLaws, RunHistoryLaws):
    @pytest.fixture
    def house(self) -> House:
        return MemoryHouse()


class TestDuckDB(WarehouseConformance, ComparerLaws, DoublesLaws, RunHistoryLaws, MaintainerLaws):
    @pytest.fixture
    def house(self, path: Path) -> House:
        return DuckDBHouse(path)
