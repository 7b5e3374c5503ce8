"""A fresh practice org for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncline.connectors.sandbox import Org, SandboxServer
from tests.salesforce.org_world import START, Site


@pytest.fixture
def site() -> Iterator[Site]:
    org = Org(seed=7, start=START)
    with SandboxServer(org) as server:
        yield Site(org, server)
