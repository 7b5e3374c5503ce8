"""What the documents say of Snowflake is what the code does: settings, variables, ways to sign in, rights."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import MISSING, fields

import pytest

from syncline.sinks.landing import Landing
from syncline.sinks.snowflake_settings import VARIABLES, Settings, settings_from
from syncline.sinks.snowflake_setup import setup
from syncline.sinks.snowflake_signin import ADDITIONS, PREFIX, WAYS
from tests.docs.pages import blocks, read, rows, sections
from tests.servers.snowflake_fixtures import key_pair

pytestmark = pytest.mark.checkout

PLACE = {"ACCOUNT": "acme-prod", "USER": "SYNCLINE", "ROLE": "SYNCLINE_ROLE", "WAREHOUSE": "SYNCLINE_WH"}


def test_every_setting_is_documented_with_its_default_and_no_other_is() -> None:
    section = sections("docs/settings.md", 2)["Snowflake"]
    listed = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(section, "setting")}
    declared = {each.name: each.default for each in fields(Settings) if each.init and each.name != "sign_in"}
    assert listed.keys() == declared.keys()
    for name, default in listed.items():
        expected = MISSING if default == "required" else ast.literal_eval(default)
        assert declared[name] == expected, name


def test_every_variable_is_documented_and_no_other_is() -> None:
    section = sections("docs/settings.md", 2)["Snowflake"]
    assert set(re.findall(r"SNOWFLAKE_[A-Z_]+", section)) == {PREFIX + name for name in VARIABLES}


def test_every_way_to_sign_in_has_its_line() -> None:
    section = sections("docs/warehouses.md", 2)["Snowflake"]
    listed = [set(re.findall(r"SNOWFLAKE_[A-Z_]+", cells[1])) for cells in rows(section, "way")]
    of_ways = [{PREFIX + name for name in way} for way in WAYS]
    assert len(listed) == len(of_ways)
    for way in of_ways:
        assert [line for line in listed if way <= line], way
    assert {PREFIX + name for name in ADDITIONS} <= set().union(*listed)


def test_the_rights_are_what_the_command_prints() -> None:
    """The SQL and both policies, to the letter, for the pipeline that the page shows."""
    page = read("docs/warehouses.md")
    given = re.search(r"Snowflake\.from_env\((.*)\)", page)
    assert given is not None
    shown = {name: ast.literal_eval(value) for name, value in re.findall(r'(\w+)=("[^"]*")', given[1])}
    variables = {PREFIX + name: value for name, value in PLACE.items()} | {"SNOWFLAKE_PRIVATE_KEY": key_pair()[0]}
    printed = setup(settings_from(variables, **shown), Landing("s3://acme-landing/crm"))
    texts = [block for block in blocks("docs/warehouses.md") if "Snowflake" in section_of(page, block.line)]
    [sql] = [block.text for block in texts if block.language == "sql"]
    policies = [json.loads(block.text) for block in texts if block.language == "json"]
    before, _, rest = printed.partition("-- 3. ")
    assert sql.strip() == f"{before}{rest[rest.index('-- Only') :]}".strip()
    assert policies == [json.loads(found) for found in re.findall(r"^\{$.*?^\}$", printed, re.M | re.S)]


def section_of(page: str, line: int) -> str:
    """The heading of the section that the line is in."""
    headings = [text for text in page.splitlines()[:line] if text.startswith("## ")]
    return headings[-1] if headings else ""
