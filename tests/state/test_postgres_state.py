"""State in a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from syncline.state.conformance import ManualClock, OpenStore, StateConformance
from syncline.state.postgres import PostgresState
from tests.servers.postgres import PgAddress, PgServer

SCHEMAS = count(1)


@pytest.fixture(scope="module")
def address(pg_server: PgServer) -> Iterator[PgAddress]:
    """One database for the module: a schema of its own is as good as new, and faster."""
    with pg_server.database("state") as address:
        yield address


@pytest.fixture
def schema() -> str:
    return f'State %s {next(SCHEMAS)} "odd"'


class TestPostgresState(StateConformance):
    @pytest.fixture
    def open_store(self, address: PgAddress, schema: str, clock: ManualClock) -> OpenStore:
        return lambda: PostgresState(address.dsn, schema=schema, clock=clock)
