"""The reference implementation passes the suite that every connector passes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from syncline.connectors.conformance import DECIMALS, INTEGERS, ConnectorConformance
from syncline.connectors.world import World
from tests.connectors.records_world import FlaggingWorld, RecordsWorld


class TestRecords(ConnectorConformance):
    text = "Name"
    exact = {  # noqa: RUF012
        "Count": INTEGERS,
        "Amount": DECIMALS,
        "At": [datetime(1700, 1, 1, tzinfo=UTC), datetime(4000, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)],
    }

    @pytest.fixture(params=[FlaggingWorld, RecordsWorld])
    def world(self, request: pytest.FixtureRequest) -> World:
        made: World = request.param()
        return made
