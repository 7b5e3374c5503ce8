"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncline.connectors import secret

pytest_plugins = [
    "tests.live.summary",
    "tests.servers.fixtures",
    "tests.servers.redshift_fixtures",
    "tests.servers.snowflake_fixtures",
]


@pytest.fixture(autouse=True)
def _secrets_of_one_test() -> Iterator[None]:
    """What a test wraps as a secret is hidden in its own output only, not in that of later tests of the process."""
    known = set(secret._SPELLINGS)
    yield
    secret._SPELLINGS.clear()
    secret._SPELLINGS.update(known)
