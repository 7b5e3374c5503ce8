"""Texts are compared by their bytes in Snowflake, whatever collation an administrator gave the target's columns.

Snowflake reference, collation support: an explicit COLLATE goes before a column's own collation, and columns take a
default one from their schema, database or account. The stand-in knows no collation, so its catalog is made to tell of
one here, and what Syncline adds for it is taken out before the stand-in sees it: what a server of Snowflake makes of
these statements is not proved here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import snowflake.connector

from syncline.sinks.landing import Landing
from syncline.sinks.snowflake import Snowflake
from syncline.sinks.snowflake_settings import settings_from
from syncline.sinks.trial import Change, Trial, record, tombstone
from tests.servers.snowflake_fixtures import FakeSnowflake
from tests.sinks.snowflake_house import SnowflakeHouse

BY_BYTES = re.compile(r"""COLLATE\(("T"\."\w+"), 'utf8'\)|\s+COLLATE\s+'utf8'""")


@dataclass
class Collated:
    """A session whose catalog tells of a collation of every text; ``sent`` is what reached it."""

    connection: Any
    collation: str | None
    sent: list[str]
    _told: bool = False

    def cursor(self) -> Collated:
        return Collated(self.connection.cursor(), self.collation, self.sent)

    def execute(self, statement: str, **arguments: Any) -> None:
        self.sent.append(statement)
        self._told = "INFORMATION_SCHEMA" in statement
        self.connection.execute(BY_BYTES.sub(r"\1", statement), **arguments)

    def fetchall(self) -> Any:
        rows = self.connection.fetchall()
        return [(*row[:-1], self.collation if row[2] == "TEXT" else None) for row in rows] if self._told else rows

    @property
    def description(self) -> Any:
        return self.connection.description

    def close(self, **arguments: Any) -> None:
        self.connection.close(**arguments)


@dataclass
class CollatedHouse(SnowflakeHouse):
    collation: str | None = None
    sent: list[str] = field(default_factory=list)

    def open(self) -> Snowflake:
        settings = settings_from(self.server.variables, database=self.database, schema="CRM", network_timeout_s=5)

        def connect(**arguments: Any) -> Any:
            return Collated(snowflake.connector.connect(**arguments), self.collation, self.sent)

        return Snowflake(settings, connect=connect)

    def read(self, target: str) -> pa.Table | None:
        return super().read(target.upper())


def second_run(server: FakeSnowflake, folder: Path, collation: str | None) -> dict[str, str]:
    """The statements of a run upon a target that has the collation, by their first words, staging tables' too."""
    house = CollatedHouse(server, server.database(), collation=collation)
    trial = Trial(house, Landing(str(folder / "landing")))
    trial.run(Change([record("1"), record("2"), record("ä")]))
    asked = sum("INFORMATION_SCHEMA" in each for each in house.sent)
    house.sent.clear()
    trial.run(Change([record("1", "new", 2), record("ä", "new", 2)], [tombstone("2", 2)]))
    assert [(row["ID"], row["NAME"]) for row in trial.rows()] == [("1", "new"), ("ä", "new")]
    assert asked == 4, "a collation is read with the columns that are read anyhow"
    assert sum("INFORMATION_SCHEMA" in each for each in house.sent) == 3
    return {" ".join(each.split()[:3]): each for each in house.sent}


@pytest.mark.parametrize("collation", ["en-ci", "de-ai-fl"])
def test_under_a_collation_no_range_cuts_off_rows_and_keys_stay_apart(
    fake_snowflake: FakeSnowflake, tmp_path: Path, collation: str
) -> None:
    """NEWEST-WINS: 'a' stands before 'B' in en-ci, and after it in bytes: by bounds, 'a' would be inserted again."""
    sent = second_run(fake_snowflake, tmp_path, collation)
    [merge] = [text for start, text in sent.items() if start.startswith("MERGE INTO") and "ACCOUNT" in start]
    assert "BETWEEN" not in merge
    assert '"S"."ID" = COLLATE("T"."ID", \'utf8\')' in merge
    assert 'IS DISTINCT FROM COLLATE("T"."NAME", \'utf8\')' in merge, "a change of case alone is a change"
    made = next(text for start, text in sent.items() if start.startswith("CREATE OR REPLACE"))
    assert re.search(r"\"ID\" VARCHAR COLLATE 'utf8'", made)
    assert not re.search(r"\"STAMP\" \S+ COLLATE", made)


@pytest.mark.parametrize("collation", [None, "", "utf8"])
def test_without_one_the_target_is_read_in_part(
    fake_snowflake: FakeSnowflake, tmp_path: Path, collation: str | None
) -> None:
    """The bounds are found by bytes: a default collation of the staging schema alone must not move them."""
    sent = second_run(fake_snowflake, tmp_path, collation)
    [merge] = [text for start, text in sent.items() if start.startswith("MERGE INTO") and "ACCOUNT" in start]
    assert "\"T\".\"ID\" BETWEEN '1' AND 'ä'" in merge
    assert not any("COLLATE" in text for text in sent.values())
    measure = next(text for text in sent.values() if "MIN(" in text)
    assert 'MIN(HEX_ENCODE("ID"))' in measure
