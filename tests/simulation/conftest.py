"""How many seeds are tried, and which: ``pytest tests/simulation --seed 17``, ``--seeds 5000``."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="play this history alone, exactly as it was")
    parser.addoption("--seeds", type=int, help="how many histories are drawn")
