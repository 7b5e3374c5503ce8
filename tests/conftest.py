"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

pytest.register_assert_rewrite(
    "syncline.connectors.conformance",
    "syncline.connectors.conformance_resume",
    "syncline.connectors.world",
    "syncline.sinks.conformance",
    "syncline.sinks.conformance_compare",
    "syncline.sinks.conformance_doubles",
    "syncline.sinks.conformance_history",
    "syncline.sinks.conformance_json",
    "syncline.sinks.conformance_maintain",
    "syncline.sinks.conformance_merge",
    "syncline.sinks.conformance_owners",
    "syncline.sinks.conformance_tables",
    "syncline.sinks.trial",
    "syncline.state.conformance",
    "tests.sinks.houses",
)

from syncline.connectors import secret  # noqa: E402

settings.register_profile("untimed", deadline=None)  # how long an example takes says more of the machine than of it
settings.load_profile("untimed")

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
