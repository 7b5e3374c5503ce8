"""Postgres passes the laws of every warehouse, on a real server through the real driver."""

from __future__ import annotations

import pytest

from syncline.sinks.conformance import WarehouseConformance
from syncline.sinks.conformance_compare import ComparerLaws
from syncline.sinks.conformance_history import RunHistoryLaws
from syncline.sinks.trial import House
from tests.servers.postgres import PgAddress
from tests.sinks.postgres_house import PostgresHouse


class TestPostgres(WarehouseConformance, ComparerLaws, RunHistoryLaws):
    @pytest.fixture
    def house(self, pg_database: PgAddress) -> House:
        return PostgresHouse(pg_database)
