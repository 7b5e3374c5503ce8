"""The page of settings agrees with the signatures: every argument is there, with its default, and no other."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from inspect import Parameter, signature
from typing import Any, cast

import pytest

from syncline.connectors import DltSource, Records, Salesforce
from syncline.connectors.connector import BATCH_ROWS_MAX
from syncline.connectors.salesforce.settings import NAMES, PREFIX, Options, Settings
from syncline.pipelines.lifecycle import LEASE_TTL_S
from syncline.pipelines.pipeline import NAME_CHARS_MAX, OVERLAP_MAX, WORKERS_MAX, Pipeline, Stream
from syncline.sinks import DuckDB, Landing, Postgres
from syncline.sinks.warehouse import DELETE_GUARD_ROWS_MIN, DIFFERENCES_MAX
from syncline.state import ObjectStoreState, PostgresState, SqliteState
from syncline.state.object_store import S3Options
from syncline.state.sqlite import RUNS_KEPT
from tests.docs.pages import read, rows, sections

pytestmark = pytest.mark.checkout

PAGE = "docs/settings.md"
REQUIRED = Parameter.empty

NOT_SETTINGS = {
    Pipeline: {"unknown"},
    Stream: {"unknown"},
    Landing: {"random"},
    DuckDB: {"clock", "sleep", "observe", "connect"},
    SqliteState: {"clock", "random"},
    Postgres: {"clock", "sleep", "jitter"},
    PostgresState: {"clock", "sleep", "random"},
    ObjectStoreState: {"clock", "sleep", "random", "s3"},
    DltSource: {"clock", "api_calls"},
    Records: {"clock", "api_calls"},
}
"""Seams for tests, and what catches a misspelt setting."""


def declared(owner: type) -> dict[str, Any]:
    """Each setting with its default."""
    if owner is Salesforce:
        return {each.name: each.default for each in fields(Settings)}
    public = {name: each for name, each in signature(owner).parameters.items() if not name.startswith("_")}
    return {name: each.default for name, each in public.items() if name not in NOT_SETTINGS[owner]}


def documented(title: str) -> dict[str, Any]:
    listed: dict[str, Any] = {}
    for cells in rows(sections(PAGE, 2)[title], "setting"):
        default = cells[1].strip("`")
        listed[cells[0].strip("`")] = REQUIRED if default == "required" else ast.literal_eval(default)
    return listed


@pytest.mark.parametrize("owner", [*NOT_SETTINGS, Salesforce], ids=lambda owner: owner.__name__)
def test_every_setting_is_documented_with_its_default_and_no_other_is(owner: type) -> None:
    assert documented(owner.__name__) == declared(owner)


def test_the_state_in_a_bucket_names_the_settings_it_shares_with_the_landing() -> None:
    shared = re.search(r"set as for the \[landing\]\(#landing\): (.*?)\.", sections(PAGE, 2)["ObjectStoreState"], re.S)
    assert shared is not None
    assert re.findall(r"`(\w+)`", shared[1]) == list(S3Options.__annotations__)
    assert set(S3Options.__annotations__) <= set(declared(Landing))


def test_the_options_of_salesforce_are_its_settings() -> None:
    assert set(Options.__annotations__) == {each.name for each in fields(Settings)}


def test_every_variable_of_salesforce_is_documented_and_no_other_is() -> None:
    section = sections(PAGE, 2)["Salesforce"]
    expected = {PREFIX + name for name in NAMES}
    assert {cells[0].strip("`") for cells in rows(section, "variable")} == expected
    assert set(re.findall(r"SALESFORCE_[A-Z_]+", section)) == expected


def test_every_default_is_one_that_the_setting_accepts() -> None:
    """Written out in full, the documented defaults make the same parts as leaving them out."""
    given: dict[str, dict[str, Any]] = {"Stream": {"name": "Account"}, "DuckDB": {"path": "crm.duckdb"}}
    made = {
        owner.__name__: owner(**documented(owner.__name__) | given.get(owner.__name__, {}))
        for owner in (Stream, DuckDB, Landing, SqliteState)
    }
    assert made["Stream"] == Stream("Account")
    assert repr(made["Landing"]) == repr(Landing())
    assert repr(made["SqliteState"]) == repr(SqliteState())
    assert Settings(**cast(Options, documented("Salesforce"))) == Settings()


@pytest.mark.parametrize(
    ("title", "setting", "text"),
    [
        ("Pipeline", "name", f"{NAME_CHARS_MAX} characters"),
        ("Pipeline", "workers", f"1 to {WORKERS_MAX}"),
        ("Stream", "overlap", f"0 to {OVERLAP_MAX.days} days"),
        ("Pipeline", "digest_rows_max", "0 to 10,000,000"),
        ("Salesforce", "page_rows", "1 to 1,000,000"),
        ("Salesforce", "settling_lag_s", "0 to 86,400"),
    ],
)
def test_a_limit_is_the_program_s(title: str, setting: str, text: str) -> None:
    (cells,) = [cells for cells in rows(sections(PAGE, 2)[title], "setting") if cells[0] == f"`{setting}`"]
    assert text in cells[3]


def test_the_limits_that_cannot_be_set_are_the_program_s() -> None:
    page = read(PAGE)
    assert DELETE_GUARD_ROWS_MIN == 10
    for text in (
        "Ten rows may always go",
        f"lease | {LEASE_TTL_S:.0f} s",
        f"rows in a batch | {BATCH_ROWS_MAX:,}",
        f"`syncline verify` | {DIFFERENCES_MAX} a stream and kind",
        f"{RUNS_KEPT:,} runs a pipeline",
    ):
        assert text in page
