"""A fresh practice org for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite(
    "syncline.connectors.conformance", "syncline.connectors.conformance_resume", "syncline.connectors.world"
)

from syncline.connectors.sandbox import Org, SandboxServer  # noqa: E402
from tests.salesforce.org_world import START, Site  # noqa: E402


@pytest.fixture
def site() -> Iterator[Site]:
    org = Org(seed=7, start=START)
    with SandboxServer(org) as server:
        yield Site(org, server)
