"""Fixtures of the warehouses' tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A DuckDB file's path."""
    return tmp_path / "crm.duckdb"
