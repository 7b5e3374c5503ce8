"""Shared by the tests of the connectors."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "syncline.connectors.conformance", "syncline.connectors.conformance_resume", "syncline.connectors.world"
)
