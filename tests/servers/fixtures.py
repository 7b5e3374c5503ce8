"""Fixtures every test can ask for by name; a server is started when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.postgres import PgAddress, PgServer
from tests.servers.s3 import S3Server, running_s3


@pytest.fixture(scope="session")
def pg_server() -> Iterator[PgServer]:
    """A real PostgreSQL, one for each worker of a test session."""
    server = PgServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def pg_database(pg_server: PgServer) -> Iterator[PgAddress]:
    """A fresh empty database of the session's server, with its superuser."""
    with pg_server.database() as address:
        yield address


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server over HTTP, one for each worker of a test session."""
    with running_s3() as server:
        yield server
