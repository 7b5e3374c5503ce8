"""A frozen org, a caller for it, and the same org behind a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncline.connectors.sandbox import Org, SandboxServer
from tests.sandbox.calling import START, Caller


@pytest.fixture
def org() -> Org:
    """Frozen at noon, 15 January 2026, with some records of the main objects."""
    return Org(seed=7, start=START, seed_rows={"Account": 300, "Contact": 200, "Opportunity": 100})


@pytest.fixture
def call(org: Org) -> Caller:
    return Caller(org)


@pytest.fixture
def server(org: Org) -> Iterator[SandboxServer]:
    with SandboxServer(org) as running:
        yield running
