"""What the documents say of Redshift is what the code does: settings, variables, rights."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import MISSING, fields

import pytest

from syncline.sinks.landing import Landing
from syncline.sinks.redshift_dialect import REDSHIFT
from syncline.sinks.redshift_settings import PREFIX, VARIABLES, Settings, settings_from
from syncline.sinks.redshift_setup import setup
from tests.docs.pages import Block, blocks, read, rows, sections
from tests.servers.redshift_rules import translate

pytestmark = pytest.mark.checkout

SETTINGS, WAREHOUSES = "docs/settings.md", "docs/warehouses.md"
VARIABLES_SET = {PREFIX + "HOST": "crm.c1.eu-central-1.redshift.amazonaws.com", PREFIX + "USER": "syncline"}


def test_every_setting_is_documented_with_its_default_and_no_other_is() -> None:
    listed = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(sections(SETTINGS, 2)["Redshift"], "setting")}
    declared = {each.name: each.default for each in fields(Settings)}
    assert listed.keys() == declared.keys()
    for name, default in listed.items():
        assert declared[name] == (MISSING if default == "required" else ast.literal_eval(default)), name


def test_every_variable_is_documented_and_no_other_is() -> None:
    found = set(re.findall(r"REDSHIFT_[A-Z_]+", sections(SETTINGS, 2)["Redshift"]))
    assert found == {PREFIX + name for name in VARIABLES}


def own_blocks(language: str) -> list[Block]:
    lines = read(WAREHOUSES).splitlines()
    first = lines.index("## Redshift") + 1
    last = next((n for n, line in enumerate(lines[first:], first) if line.startswith("## ")), len(lines))
    return [block for block in blocks(WAREHOUSES) if first <= block.line <= last and block.language == language]


def test_the_rights_are_what_the_command_prints() -> None:
    """The SQL and both policies, to the letter, for the warehouse that the page shows."""
    [shown] = own_blocks("python")
    given = dict(re.findall(r'(\w+)="([^"]*)"', shown.text))
    variables = {**VARIABLES_SET, PREFIX + "PASSWORD": "fake-password"}
    printed = setup(settings_from(variables, **given), Landing("s3://acme-landing/crm"))
    sql, _ = own_blocks("sql")
    assert sql.text.strip() == printed.partition("-- 3. ")[0].strip()
    policies = [json.loads(found) for found in re.findall(r"^\{$.*?^\}$", printed, re.MULTILINE | re.DOTALL)]
    assert [json.loads(block.text) for block in own_blocks("json")] == policies


def test_redshift_takes_the_sql_of_the_page() -> None:
    """As far as the stand-in's rules know its grammar."""
    for block in own_blocks("sql"):
        for statement in re.findall(r"^[A-Z].*(?=;$)", block.text, re.MULTILINE):
            translate(statement, in_transaction=False)


def test_the_types_are_the_dialects() -> None:
    listed = {
        each
        for cells in rows(sections(WAREHOUSES, 2)["Redshift"], "source")
        for each in re.findall(r"`([^`]+)`", cells[1])
    }
    made = {*REDSHIFT.types.values(), REDSHIFT.decimal.format(precision="p", scale="s"), REDSHIFT.lists}
    assert listed == made
