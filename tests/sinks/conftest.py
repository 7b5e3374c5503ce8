"""Fixtures of the warehouses' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite(
    "syncline.sinks.conformance",
    "syncline.sinks.conformance_compare",
    "syncline.sinks.conformance_history",
    "syncline.sinks.conformance_merge",
    "syncline.sinks.conformance_owners",
    "syncline.sinks.conformance_tables",
    "syncline.sinks.trial",
    "tests.sinks.houses",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A DuckDB file's path."""
    return tmp_path / "crm.duckdb"
