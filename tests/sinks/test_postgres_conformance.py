"""Postgres passes the laws of every warehouse, on a real server through the real driver, in both spellings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncline.sinks.conformance import WarehouseConformance
from syncline.sinks.conformance_compare import ComparerLaws
from syncline.sinks.conformance_doubles import DoublesLaws
from syncline.sinks.conformance_history import RunHistoryLaws
from syncline.sinks.conformance_maintain import MaintainerLaws
from syncline.sinks.trial import House
from tests.servers.postgres import PgAddress, PgServer
from tests.sinks.postgres_house import LowerHouse, PostgresHouse, new_schema


@pytest.fixture(scope="module")
def address(pg_server: PgServer) -> Iterator[PgAddress]:
    with pg_server.database("conformance") as address:
        yield address


class TestPostgresExact(WarehouseConformance):
    @pytest.fixture
    def house(self, address: PgAddress) -> House:
        return PostgresHouse(address, new_schema())


class TestPostgresLower(WarehouseConformance, ComparerLaws, DoublesLaws, RunHistoryLaws, MaintainerLaws):
    @pytest.fixture
    def house(self, address: PgAddress) -> House:
        return LowerHouse(address, new_schema())
