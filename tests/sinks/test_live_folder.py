"""The live folder itself works: against the stand-in where an account would be, and never skipped in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.live.accounts import NEEDED, lacking
from tests.live.summary import pytest_terminal_summary
from tests.servers.snowflake_fixtures import FakeSnowflake

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[2]
SOME = "each_difference_is_found"


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


class Reporter:
    """What pytest hands to a plugin at the end of a run."""

    def __init__(self, *ran: str) -> None:
        self.lines: list[str] = []
        self.stats = {"passed": [SimpleNamespace(nodeid=id) for id in ran]}

    def write_line(self, line: str) -> None:
        self.lines.append(line)


def said_after(*ran: str) -> list[str]:
    reporter: Any = Reporter(*ran)
    pytest_terminal_summary(reporter)
    return list(reporter.lines)


def test_the_last_lines_name_what_ran_and_the_variables_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for group in (*NEEDED["Snowflake"], *NEEDED["Redshift"]):
        for name in group:
            monkeypatch.delenv(name, raising=False)
    [line] = said_after("tests/sinks/test_snowflake_copy.py::test_text")
    assert line.startswith(
        "live tests did not run (Snowflake: SNOWFLAKE_ACCOUNT or SNOWFLAKE_CONNECTION is not set, SNOWFLAKE_DATABASE"
        " is not set; Redshift: REDSHIFT_HOST is not set"
    )
    assert (ROOT / line.rpartition("see ")[2]).exists()
    ran, rest = said_after("tests/live/test_snowflake.py::TestSnowflake::test_x")
    assert ran == "live tests ran against Snowflake"
    assert "Snowflake" not in rest
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "acme")
    monkeypatch.setenv("SNOWFLAKE_DATABASE", "TESTS")
    assert "Snowflake: not among the tests chosen" in said_after()[0]


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
