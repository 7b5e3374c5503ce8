"""The live folder itself works: against the stand-in where an account would be, and never skipped in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.accounts import lacking
from tests.servers.snowflake_fixtures import FakeSnowflake

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[2]
SOME = "commit_moves_the_watermark or each_difference_is_found"


def run(*words: str, **variables: str) -> str:
    """The suite in a process of its own; what it printed."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("SNOWFLAKE_", "REDSHIFT_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=ROOT,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.stdout + done.stderr


def test_without_accounts_the_last_lines_name_the_variables_that_are_missing() -> None:
    said = run("tests/live")
    assert "live tests did not run (Snowflake: SNOWFLAKE_ACCOUNT or SNOWFLAKE_CONNECTION is not set, " in said
    assert "Redshift: REDSHIFT_HOST is not set" in said
    assert "tests/live/README.md" in said
    assert "2 skipped" in said


def test_with_an_account_the_suite_runs_against_it_and_leaves_nothing(fake_snowflake: FakeSnowflake) -> None:
    database = fake_snowflake.database()
    variables = {**fake_snowflake.variables, "SNOWFLAKE_DATABASE": database}
    said = run("tests/live/test_snowflake.py", "-k", SOME, **variables)
    assert "live tests ran against Snowflake" in said, said
    assert " passed" in said, said
    assert "failed" not in said, said
    with fake_snowflake.reader(database=database) as reader:
        schemas = reader.cursor().execute("SELECT schema_name FROM information_schema.schemata").fetchall()
    assert not [name for (name,) in schemas if name.startswith("SYNCLINE_TEST")]


def test_every_account_needs_what_its_line_says() -> None:
    assert lacking("Snowflake", {"SNOWFLAKE_CONNECTION": "prod", "SNOWFLAKE_DATABASE": "T"}) == ""
    assert lacking("Redshift", {"REDSHIFT_HOST": "h", "REDSHIFT_DATABASE": "d"}) == "REDSHIFT_LIVE_LANDING is not set"
