"""Accounts that live tests may use, as the environment tells them. Imports nothing of the tests: it is loaded first."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence

NEEDED: Mapping[str, Sequence[Sequence[str]]] = {
    "Snowflake": (("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_CONNECTION"), ("SNOWFLAKE_DATABASE",)),
    "Redshift": (("REDSHIFT_HOST",), ("REDSHIFT_DATABASE",), ("REDSHIFT_LIVE_LANDING",)),
}
"""Of each group one variable must be set; a sign-in besides, as in docs/warehouses.md."""


def lacking(warehouse: str, environ: Mapping[str, str] = os.environ) -> str:
    """Why its live tests cannot run; empty where they can."""
    missing = [group for group in NEEDED[warehouse] if not any(environ.get(name) for name in group)]
    return ", ".join(f"{' or '.join(group)} is not set" for group in missing)


def schema_name() -> str:
    return f"SYNCLINE_TEST_{secrets.token_hex(6)}".upper()
