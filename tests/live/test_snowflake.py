"""The conformance suite against a real Snowflake account; see README.md beside this."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.sinks.conformance import WarehouseConformance
from syncline.sinks.conformance_compare import ComparerLaws
from syncline.sinks.conformance_doubles import DoublesLaws
from syncline.sinks.conformance_history import RunHistoryLaws
from syncline.sinks.conformance_maintain import MaintainerLaws
from syncline.sinks.landing import Landing
from syncline.sinks.snowflake import Snowflake
from syncline.sinks.trial import House
from tests.live.accounts import lacking, schema_name
from tests.live.places import LiveHouse

if reason := lacking("Snowflake"):
    pytest.skip(reason, allow_module_level=True)

ROUTE: dict[str, Any] = {
    setting: value
    for setting in ("stage", "storage_integration")
    if (value := os.environ.get(f"SNOWFLAKE_LIVE_{setting.upper()}"))
}


class TestSnowflake(WarehouseConformance, ComparerLaws, DoublesLaws, RunHistoryLaws, MaintainerLaws):
    @pytest.fixture
    def house(self) -> Iterator[House]:
        schema = schema_name()
        house = LiveHouse(lambda: Snowflake.from_env(schema=schema, names="exact", **ROUTE))
        yield house
        house.clear()

    @pytest.fixture
    def landing(self, tmp_path: Path) -> Landing:
        root = os.environ.get("SNOWFLAKE_LIVE_LANDING")
        return Landing(f"{root}/{schema_name()}" if root else str(tmp_path / "landing"))
