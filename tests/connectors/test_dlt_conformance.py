"""A dlt resource passes the suite that every connector passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from syncline.connectors.conformance import DECIMALS, INTEGERS, ConnectorConformance
from syncline.connectors.world import World
from tests.connectors.dlt_world import DltWorld, FlaggingDltWorld


class TestDltSource(ConnectorConformance):
    text = "Name"
    exact: ClassVar[Mapping[str, Sequence[object]]] = {
        "Amount": DECIMALS,
        "Count": INTEGERS,
        "At": [datetime(1700, 1, 1, tzinfo=UTC), datetime(4000, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)],
    }

    @pytest.fixture(params=[DltWorld, FlaggingDltWorld])
    def world(self, request: pytest.FixtureRequest) -> World:
        made: World = request.param()
        return made
