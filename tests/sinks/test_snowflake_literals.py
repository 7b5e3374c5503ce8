r"""Texts reach Snowflake as they are, though a backslash begins an escape in its literals, as it does nowhere else.

Snowflake reference, string constants: in single quotes ``\'``, ``\"``, ``\\``, ``\b``, ``\f``, ``\n``, ``\r``, ``\t``,
``\0`` and the escapes by number stand for one sign each, ``''`` for a quote, and any other backslash is dropped.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from syncline.sinks.dialect import text
from syncline.sinks.landing import Landing
from syncline.sinks.match import literal
from syncline.sinks.snowflake_catalog import select_columns
from syncline.sinks.snowflake_dialect import SNOWFLAKE
from syncline.sinks.trial import Change, Trial, record, tombstone
from tests.servers.snowflake_fixtures import FakeSnowflake
from tests.sinks.snowflake_house import SnowflakeHouse

ESCAPE = re.compile(r"''|\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[0-7]{1,3}|.)", re.DOTALL)
SIGNS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
AWKWARD = ("\\", "a\\", "\\b", "C:\\new\\table", "it's", "\\'", "''", 'say "no"', "\t\n", "\\u0041", "\\101", "%_", "ü")


def read(written: str) -> str:
    """What Snowflake takes a literal for, by the reference and by nothing of the code under test."""

    def sign(found: re.Match[str]) -> str:
        body = found[0][1:]
        if body[0] in "xu" and len(body) > 1:
            return chr(int(body[1:], 16))
        return chr(int(body, 8)) if body.isdigit() and body < "8" else SIGNS.get(body, body)

    assert written.startswith("'")
    assert written.endswith("'")
    return ESCAPE.sub(sign, written[1:-1])


@given(st.text(alphabet=st.one_of(st.sampled_from("\\'\"nbtrfxu0417"), st.characters(exclude_characters="\0"))))
def test_a_text_is_read_as_it_was_meant(value: str) -> None:
    assert read(SNOWFLAKE.render(text(value))) == value
    assert read(SNOWFLAKE.render_exact(text(value))) == value
    bound = literal(value)
    assert isinstance(bound, exp.Literal)
    assert read(SNOWFLAKE.render(bound)) == value


def test_a_schema_s_name_is_looked_up_as_it_is() -> None:
    assert "= 'a\\\\b'" in select_columns("SALES", "a\\b")


@pytest.fixture
def trial(fake_snowflake: FakeSnowflake, tmp_path: Path) -> Trial:
    house = SnowflakeHouse(fake_snowflake, fake_snowflake.database(), given={})
    return Trial(house, Landing(str(tmp_path / "landing")))


def test_keys_with_backslashes_are_found_again_within_their_bounds(trial: Trial) -> None:
    """A bound that is read as another text cuts rows off: they would be inserted a second time."""
    for number, keys in enumerate((AWKWARD, ("it's\\",))):
        one = Change([record(key, key, 1) for key in keys], stream=f"Keys{number}")
        assert trial.counts(one).inserted == len(keys)
        two = replace(one, records=[record(key, key + "\\n", 2) for key in keys])
        assert (trial.counts(two).updated, trial.counts(two).unchanged) == (len(keys), len(keys))
        three = replace(one, records=(), tombstones=[tombstone(key, 3) for key in keys])
        assert trial.counts(three).deleted == len(keys)


def test_a_run_s_row_is_json_whatever_it_tells(trial: Trial) -> None:
    warehouse = trial.house.open()
    told = {"source": 'C:\\new "folder"', "pattern": "\\d+'s", "lines": "a\nb"}
    unit = replace(trial.stage(warehouse, Change([record("1")])), run=told)
    warehouse.commit(unit)
    again = trial.house.open()
    assert list(again.committed_runs(unit.pipeline)) == [unit.run_id]  # type: ignore[attr-defined]
    warehouse.close()
    again.close()
    assert isinstance(trial.house, SnowflakeHouse)
    with trial.house.server.reader(database=trial.house.database, schema="CRM") as reader:
        [(row,)] = reader.cursor().execute("SELECT run FROM _syncline_runs").fetchall()
    assert told.items() <= json.loads(row).items()
