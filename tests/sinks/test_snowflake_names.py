"""EXACT-NAMES in Snowflake: upper case, so that plain SQL works, or the source's spelling; what collides is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError
from syncline.sinks.landing import Landing
from syncline.sinks.snowflake import Snowflake
from syncline.sinks.snowflake_settings import Names, settings_from
from syncline.sinks.trial import COLUMNS, Change, Trial, record, tombstone
from tests.servers.snowflake_fixtures import FakeSnowflake
from tests.sinks.snowflake_house import SnowflakeHouse
from tests.sinks.snowflake_rules import Rules, Script

VARIABLES = {
    "SNOWFLAKE_ACCOUNT": "acme-test",
    "SNOWFLAKE_USER": "SYNCLINE",
    "SNOWFLAKE_PASSWORD": "sentinel-password",
    "SNOWFLAKE_WAREHOUSE": "WH",
}


def test_plain_sql_finds_what_a_run_wrote(fake_snowflake: FakeSnowflake, tmp_path: Path) -> None:
    """The default: nobody has to quote a name."""
    house = SnowflakeHouse(fake_snowflake, fake_snowflake.database(), given={})
    trial = Trial(house, Landing(str(tmp_path / "landing")))
    trial.run(Change([record("1", "a"), record("2", "b")], stream="Order", on_delete="mark"))
    trial.run(Change([record("1", "c", 1)], [tombstone("2", 1)], stream="Order", on_delete="mark"))
    with fake_snowflake.reader(database=house.database, schema="CRM") as reader:
        cursor = reader.cursor()
        sql = (
            "SELECT id, Name, _syncline_deleted_at IS NULL FROM \"ORDER\" AS o WHERE stamp >= '2024-01-01' ORDER BY id"
        )
        assert cursor.execute(sql).fetchall() == [("1", "c", True), ("2", "b", False)]
        assert cursor.execute("SELECT stream, version FROM _syncline_watermarks").fetchall() == [("Order", 2)]
        named = cursor.execute("SELECT column_name FROM information_schema.columns WHERE table_name = 'ORDER'")
        found = {name for (name,) in named.fetchall()}
        assert found == {"ID", "NAME", "STAMP", "_SYNCLINE_SYNCED_AT", "_SYNCLINE_DELETED_AT"}


def asked(statement: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """An empty schema."""
    return (["t", "c", "d", "p", "s", "r"], [(None,) * 6]) if "INFORMATION_SCHEMA" in statement else (["n"], [(0,)])


def prepared(names: Names, *changes: Change) -> list[str]:
    rules = Rules("CRM_STAGING")
    settings = settings_from(VARIABLES, database="SALES", schema="CRM", names=names)
    warehouse = Snowflake(settings, connect=rules.connect(Script(asked)))
    try:
        warehouse.prepare([change.plan("run-1") for change in changes])
    finally:
        warehouse.close()
        assert rules.breaches == []
    return [each.statement for each in rules.sent if each.kind == "ddl"]


TWINS = COLUMNS.append(pa.field("NAME", pa.string()))
OWN = COLUMNS.append(pa.field("_SYNCLINE_SYNCED_AT", pa.string()))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ((Change(columns=TWINS),), "Name.*NAME|NAME.*Name"),
        ((Change(stream="Account"), Change(stream="ACCOUNT")), "Account.*ACCOUNT|ACCOUNT.*Account"),
        ((Change(columns=OWN),), "_SYNCLINE_SYNCED_AT"),
    ],
)
def test_names_that_differ_in_case_alone_are_refused_by_both_and_nothing_is_made(
    changes: tuple[Change, ...], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        prepared("upper", *changes)


def test_exact_names_keep_the_source_s_spelling_and_twins_apart() -> None:
    made = "\n".join(prepared("exact", Change(columns=TWINS), Change(stream="ACCOUNT")))
    for name in ('"SALES"."CRM"."Account"', '"SALES"."CRM"."ACCOUNT"', '"Name" VARCHAR', '"NAME" VARCHAR'):
        assert name in made
