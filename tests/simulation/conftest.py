"""How many seeds are tried, and which: ``pytest tests/simulation --seed 17``, ``--seeds 5000``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.quick import quick


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="play this history alone, exactly as it was")
    parser.addoption("--seeds", type=int, help="how many histories are drawn")


@pytest.fixture(scope="package", autouse=True)
def _quickly() -> Iterator[None]:
    with quick():
        yield
